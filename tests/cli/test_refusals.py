"""What `docs/compared.md` says that is not here: each is tried, and refused with what to do instead."""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, UnsafePathError, UnsupportedError
from dxflow_async.cli.app import make_app
from dxflow_async.cli.elsewhere import COMMANDS, OPTIONS
from dxflow_async.cli.help_pages import DIRECTORY
from tests.cli.called_command import Command, s3_variables
from tests.cli.missing_features import REFUSED
from tests.python_processes import clean_environment, run_script
from tests.servers.weed import SeaweedFS


@pytest.fixture
def bucket(configured: SeaweedFS, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A bucket of the test's own with an object `a`; there is a file `file` to send."""
    bucket = configured.create_bucket(f"refusals-{abs(hash(request.node.nodeid)) % 10**8}")
    configured.client.put_object(Bucket=bucket, Key="a", Body=b"1")
    (tmp_path / "file").write_bytes(b"1")
    return bucket


@pytest.mark.parametrize("row", list(REFUSED))
def test_what_is_missing_is_refused(command: Command, configured: SeaweedFS, bucket: str, row: str) -> None:
    """The message says what to do instead, and nothing is done."""
    for line, status, advice in REFUSED[row]:
        outcome = command(*shlex.split(line.format(bucket=bucket)))
        assert (outcome.status, outcome.stdout) == (status, ""), (line, outcome)
        assert outcome.stderr.startswith("dxflow-async: ")
        assert outcome.stderr.count("\n") == 1
        assert advice in outcome.stderr, (line, outcome.stderr)
    (left,) = configured.client.list_objects_v2(Bucket=bucket)["Contents"]
    assert (left["Key"], left["Size"], left.get("StorageClass", "STANDARD")) == ("a", 1, "STANDARD")


def test_names_of_other_tools_are_answered(command: Command) -> None:
    """Each names a command or an option that is here, in one line, with status 2; none of them is a name of ours."""
    ours = set(re.findall(r"--[a-z-]+", "".join(page.read_text() for page in DIRECTORY.glob("*.txt"))))
    assert not COMMANDS.keys() & {*make_app()}
    assert not OPTIONS.keys() & ours
    assert set(re.findall(r"--[a-z-]+", " ".join([*COMMANDS.values(), *OPTIONS.values()]))) <= ours
    for name, advice in COMMANDS.items():
        outcome = command(name, "a", "b")
        assert outcome.status == 2
        assert outcome.stderr == f'dxflow-async: unknown command "{name}"; {advice}; dxflow-async help explains it\n'
    for name, advice in OPTIONS.items():
        for written in ((name, "1"), (f"{name}=1",)):
            outcome = command("cp", "a", "b", *written)
            assert outcome.status == 2
            assert f"unknown option: {name}" in outcome.stderr
            assert f"; {advice}; dxflow-async help cp explains it\n" in outcome.stderr


def test_both_directions_without_deletions(command: Command, tmp_path: Path) -> None:
    """Two copies, one each way, as the message for `bisync` says, bring both sides up to date and delete nothing."""
    for side, name, text, age in (
        ("A", "both", "old", 100),
        ("B", "both", "newer", 0),
        ("A", "changed", "newer", 0),
        ("B", "changed", "old", 100),
        ("A", "only-a", "a", 50),
        ("B", "only-b", "b", 50),
    ):
        file = tmp_path / side / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        os.utime(file, (1.7e9 - age, 1.7e9 - age))
    advice = command("bisync", "A", "B").stderr
    lines = re.findall(r"cp --update A/ B/|cp --update B/ A/", advice)
    assert len(lines) == 2
    for line in lines:
        assert command(*line.split()).status == 0
    expected = {"both": "newer", "changed": "newer", "only-a": "a", "only-b": "b"}
    for side in "AB":
        assert {each.name: each.read_text() for each in (tmp_path / side).iterdir()} == expected


async def test_buckets_are_neither_made_nor_removed(configured: SeaweedFS, bucket: str) -> None:
    """`mkdir` of a bucket says by what it is made; `rm -r` empties one that is written with a slash, and leaves it."""
    async with AsyncSession() as session:
        storage = session.get_storage_manager().at("aws")
        for call in (storage.mkdir, lambda path: storage.write(path, b"1")):
            with pytest.raises(UnsafePathError, match="aws s3 mb"):
                await call("/no-such-bucket")
        with pytest.raises(UnsupportedError, match="write an object below it"):
            await storage.mkdir(f"/{bucket}/directory")
        assert await storage.delete(f"/{bucket}/") == 1
        assert not await storage.list(f"/{bucket}/")
    names = {each["Name"] for each in configured.client.list_buckets()["Buckets"]}
    assert bucket in names
    assert "no-such-bucket" not in names


@pytest.mark.parametrize("package", ["dxflow_async", "dxflow", "dxflow_async.cli"])
def test_windows_is_refused(tmp_path: Path, package: str) -> None:
    """The first import says where the package runs, instead of failing on a module that Windows does not have."""
    code = f"""
        import sys
        sys.platform = "win32"
        try:
            import {package}
        except ImportError as error:
            print(error)
    """
    outcome = run_script(code, clean_environment(tmp_path))
    assert outcome.stdout == "dxflow-async runs on Linux and macOS; on Windows, install and run it in WSL\n"


@pytest.mark.parametrize("name", ["dxflow-async", "dxa"])
def test_the_program_is_a_script_of_an_interpreter(name: str) -> None:
    """It is no binary of its own: it names the interpreter of the environment that it was installed into."""
    program = (Path(sys.executable).parent / name).read_bytes()
    assert program.startswith(b"#!")
    assert b"python" in program.partition(b"from dxflow_async")[0]


def test_a_remote_listing_imports_a_session(configured: SeaweedFS, bucket: str, tmp_path: Path) -> None:
    """Unlike one of a local directory it loads a parser, a session and an HTTP client, which take most of its time."""
    code = f"""
        import sys
        from dxflow_async.cli import main
        status = main(["ls", "aws:/{bucket}/"])
        needed = ("asyncio", "cyclopts", "dxflow_async.net", "dxflow_async.session")
        print("status", status, [name for name in needed if name not in sys.modules], len(sys.modules) > 400)
    """
    outcome = run_script(code, clean_environment(tmp_path / "home", **s3_variables(configured)), directory=tmp_path)
    assert outcome.stdout.splitlines()[-1] == "status 0 [] True", outcome.stderr

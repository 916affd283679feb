"""The README and all other documents: their code runs, their links lead somewhere, their settings exist."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from dxflow_async import Settings
from dxflow_async.config.loader import fields_of, parse_size
from tests.docs.code_blocks import code_blocks
from tests.python_processes import clean_environment, run_script
from tests.servers import SeaweedFS

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [
        ROOT / "README.md",
        ROOT / "benchmarks/README.md",
        *(ROOT / ".github").glob("*.md"),
        *(ROOT / "dxflow_async/docs").glob("*.md"),
    ]
)
PACKAGES_OF_THEIR_OWN = {
    "dxflow_async/docs/providers.md",
    "dxflow_async/docs/applications.md",
    "dxflow_async/docs/scale.md",
}
"""Documents whose blocks are the files of one package, or need a cloud.

`tests/providers/test_outside_package.py`, `tests/doors/test_applications.py` and `tests/docs/test_scale.py` run them.
"""


def blocks_of(language: str) -> list[object]:
    """Every block of a language in every document, as parameters of a test."""
    return [
        pytest.param(block, id=f"{document}-{number}")
        for document in DOCUMENTS
        if document not in PACKAGES_OF_THEIR_OWN
        for number, block in enumerate(code_blocks(ROOT / document, language), 1)
    ]


def make_results(directory: Path) -> None:
    """The files that the documents use."""
    (directory / "results").mkdir(parents=True)
    for name in ("table.csv", "other.csv"):
        (directory / "results" / name).write_text("column\n" * 100)


@pytest.mark.parametrize("block", blocks_of("python"))
def test_python_blocks_run(tmp_path: Path, block: str) -> None:
    """Each runs as it stands, in a process of its own, with a home of its own and no cloud configured."""
    make_results(tmp_path / "work")
    outcome = run_script(block, clean_environment(tmp_path / "home"), directory=tmp_path / "work")
    assert outcome.status == 0, f"{block}\n{outcome.stderr}"
    assert "Traceback" not in outcome.stderr


_WAIT_FOR_PORT = """
wait_for_port() {
    for _ in $(seq 300); do
        (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return
        sleep 0.1
    done
    return 1
}
"""


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def runnable(block: str) -> str:
    """A block with free ports instead of the default ones, which waits for each server that it starts."""
    for port in ("8780", "8790"):
        block = block.replace(port, str(free_port()))
    lines = []
    for line in block.splitlines():
        lines.append(line)
        if line.endswith("&") and (port_option := re.search(r"--port (\d+)", line)):
            lines.append(f"wait_for_port {port_option[1]}")
    return _WAIT_FOR_PORT + "\n".join(lines)


@pytest.mark.server
@pytest.mark.parametrize("block", blocks_of("sh"))
def test_shell_blocks_run(weed: SeaweedFS, tmp_path: Path, block: str) -> None:
    """Each runs as it stands, where S3 has a bucket `project`; servers that it starts use free ports."""
    if "project" not in {each["Name"] for each in weed.client.list_buckets()["Buckets"]}:
        weed.create_bucket("project")
    make_results(tmp_path / "work")
    (tmp_path / "work" / "password.txt").write_text("correct horse\n")
    environment = clean_environment(
        tmp_path / "home",
        DXFLOW_AWS_ENDPOINT=weed.endpoint,
        DXFLOW_AWS_ACCESS_KEY=weed.access_key,
        DXFLOW_AWS_SECRET_KEY=weed.secret_key,
        PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    )
    with subprocess.Popen(
        ["bash", "-euc", runnable(block)],
        env=environment,
        cwd=tmp_path / "work",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            status = process.wait(280)  # some blocks are 30 commands, and the machine may be busy
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # the servers, too
        assert process.stdout is not None
        assert status == 0, f"{block}\n{process.stdout.read()}"


@pytest.mark.parametrize("block", blocks_of("toml"))
def test_configuration_blocks_are_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: str) -> None:
    """Each can be the configuration file."""
    tomllib.loads(block)
    (tmp_path / "config.toml").write_text(block)
    (tmp_path / "config.toml").chmod(0o600)
    monkeypatch.setenv("DXFLOW_HOME", str(tmp_path))
    Settings.load()


def test_blocks_are_found(tmp_path: Path) -> None:
    """Only blocks of that language, each whole, with any text around them."""
    document = tmp_path / "document.md"
    document.write_text("a\n```python\nx = 1\n\ny = 2\n```\n```sh\nls\n```\ntext\n```python title\nz = 3\n```")
    assert code_blocks(document, "python") == ["x = 1\n\ny = 2\n", "z = 3\n"]
    assert code_blocks(document, "sh") == ["ls\n"]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    """Each relative link of a document names a file of the repository."""
    text = (ROOT / document).read_text("utf-8")
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)
    missing = [link for link in links if "://" not in link and not (ROOT / document).parent.joinpath(link).exists()]
    assert not missing


def test_the_readme_is_short() -> None:
    """It has at most 220 lines; the rest stands in the other documents."""
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 220


def test_the_readme_names_every_extra() -> None:
    """The line that installs an extra lists all of them, in their order."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    assert f"# extras: {', '.join(sorted(extras))}\n" in (ROOT / "README.md").read_text("utf-8")


def test_the_design_names_every_package() -> None:
    """Its table says what each package, and each module beside them, is for."""
    named = re.findall(r"`(\w+)`", (ROOT / "dxflow_async/docs/design.md").read_text("utf-8"))
    there = {path.stem for path in (ROOT / "dxflow_async").iterdir() if path.is_dir() or path.suffix == ".py"}
    assert {name for name in there if not name.startswith("__")} - set(named) == set()


def test_the_changelog_has_its_form() -> None:
    """Its sections are those of Keep a Changelog, each once a version; no entry is in it twice."""
    versions = (ROOT / "CHANGELOG.md").read_text("utf-8").split("\n## ")[1:]
    assert versions
    for version in versions:
        headings = re.findall(r"^### (.+)$", version, re.MULTILINE)
        assert set(headings) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
        assert len(set(headings)) == len(headings)
        for section in version.split("\n### ")[1:]:
            assert "\n\n- " not in section.partition("\n\n")[2]
        entries = re.findall(r"^- .*(?:\n  .*)*", version, re.MULTILINE)
        assert sorted(set(entries)) == sorted(entries)


_SETTINGS = ROOT / "dxflow_async/docs/settings.md"
Row = tuple[list[str], list[str], str]


def rows_of(document: Path) -> list[Row]:
    """Of a table of settings: the names, the variables that are written out, the default."""
    rows = re.findall(r"^\| (`[^|]+) \| ([^|]+) \| ([^|]+) \|", document.read_text("utf-8"), re.MULTILINE)
    return [
        (re.findall(r"`([^`]+)`", names), re.findall(r"`([^`]+)`", variables), default)
        for names, variables, default in rows
        if "DXFLOW_" in variables
    ]


def is_mapping(name: str) -> bool:
    """Whether a setting is a table of others, such as the remotes, each of which has variables of its own."""
    return isinstance(every_setting()[name], Mapping)


def every_setting() -> dict[str, object]:
    """Every setting, with its default."""
    found: dict[str, object] = {}
    settings = Settings()
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            found |= {f"{field.name}.{each.name}": getattr(value, each.name) for each in fields_of(type(value))}
        else:
            found[field.name] = value
    return found


def test_the_table_has_every_setting() -> None:
    """No setting is missing, and none is invented."""
    documented = {name for names, _, _ in rows_of(_SETTINGS) for name in names}
    assert documented == every_setting().keys()


@pytest.mark.parametrize("document", [_SETTINGS, ROOT / "README.md"], ids=lambda path: path.name)
def test_the_tables_have_the_defaults(document: Path) -> None:
    """The defaults of the tables are those of `Settings`."""
    settings = every_setting()
    for names, _, default in rows_of(document):
        for name in names:
            value = settings[name]
            if isinstance(value, bool | str):
                assert default == f"`{str(value).lower()}`", name
            elif isinstance(value, int | float):
                assert parse_size(default.replace(",", "").removesuffix(" s")) == value, name


@pytest.mark.parametrize("document", [_SETTINGS, ROOT / "README.md"], ids=lambda path: path.name)
def test_the_tables_have_the_variables(document: Path) -> None:
    """Each variable that is written out is that of a setting of its row, and no row is without one."""
    for names, variables, _ in rows_of(document):
        assert variables
        if any(is_mapping(name) for name in names):
            continue
        assert set(variables) <= {f"DXFLOW_{name.upper().replace('.', '_')}" for name in names}

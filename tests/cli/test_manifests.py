"""`check --manifest`: lists of checksums, made and compared by this command and by the system's tools."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from dxflow_async.cli.manifests import Manifest, format_manifest
from dxflow_async.exceptions import ConfigurationError
from tests.cli.called_command import Command
from tests.servers.weed import SeaweedFS


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory with plain and odd names."""
    tree = tmp_path / "tree"
    for name in ("a.txt", "sub/b c.txt", "sub/ü%25.txt", "back\\slash", "line\nfeed", " space"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(f"content of {name}")
    return tree


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs GNU coreutils")
@pytest.mark.parametrize("tool", ["sha256sum", "md5sum", "sha512sum"])
def test_the_systems_tools_and_this_one_agree(command: Command, tree: Path, tool: str) -> None:
    """A list that the tool made is verified here, and the other way around, odd names included."""
    names = sorted(str(each.relative_to(tree)) for each in tree.rglob("*") if each.is_file())
    made = subprocess.run([tool, "--", *names], cwd=tree, capture_output=True, check=True)
    Path("theirs").write_bytes(made.stdout)
    outcome = command("check", str(tree), "--manifest", "theirs")
    assert (outcome.status, outcome.stdout.split(";")[0]) == (0, "6 same")
    algorithm = tool.removesuffix("sum")
    assert command("check", str(tree), "--manifest", "ours", "--write", "--algorithm", algorithm).status == 0
    subprocess.run([tool, "--check", "--strict", "--quiet", str(Path("ours").resolve())], cwd=tree, check=True)


@pytest.mark.parametrize("file", ["sums.crc32c", "SHA256SUMS"])
def test_every_difference_is_found(
    command: Command, configured: SeaweedFS, tree: Path, file: str, request: pytest.FixtureRequest
) -> None:
    """A list of a local tree is kept at the service and compared with the copy there: status 6 when they differ."""
    bucket = configured.create_bucket(f"manifest-{len(request.node.nodeid)}-{len(file)}")
    (tree / "line\nfeed").unlink()
    (tree / "back\\slash").unlink()
    assert command("check", str(tree), "--manifest", f"aws:/{bucket}/copy/{file}", "--write").status == 0
    assert command("cp", "-q", f"{tree}/", f"aws:/{bucket}/copy/").status == 0
    manifest = f"aws:/{bucket}/copy/{file}"
    outcome = command("check", f"aws:/{bucket}/copy/", "--manifest", manifest)
    assert (outcome.status, outcome.stdout) == (0, "4 same; 0 differing; 0 missing; 0 extra; 0 unreadable\n")
    configured.client.put_object(Bucket=bucket, Key="copy/a.txt", Body=b"other")
    configured.client.put_object(Bucket=bucket, Key="copy/new", Body=b"new")
    configured.client.delete_object(Bucket=bucket, Key="copy/ space")
    outcome = command("check", f"aws:/{bucket}/copy", "--manifest", manifest, "--json")
    assert outcome.status == 6
    assert '"same": 2, "differing": 1, "missing": 1, "extra": 1' in outcome.stdout
    outcome = command("check", f"aws:/{bucket}/copy/", "--manifest", manifest, "--include", "sub/")
    assert (outcome.status, outcome.stdout.split(";")[0]) == (0, "2 same")


def test_a_bag(command: Command, tree: Path, tmp_path: Path) -> None:
    """A manifest of BagIt lists what is below data/, with its own escapes, and comes with the declaration."""
    bag = tmp_path / "bag"
    bag.mkdir()
    tree.rename(bag / "data")
    (bag / "bag-info.txt").write_text("Source-Organization: us\n")
    assert command("check", str(bag), "--manifest", f"{bag}/manifest-sha256.txt", "--write").status == 0
    lines = (bag / "manifest-sha256.txt").read_text().splitlines()
    assert len(lines) == 6
    assert all(line.split("  ", 1)[1].startswith("data/") for line in lines)
    assert any("line%0Afeed" in line for line in lines)
    assert (bag / "bagit.txt").read_text().startswith("BagIt-Version: 1.0\n")
    assert command("check", str(bag), "--manifest", f"{bag}/manifest-sha256.txt").status == 0
    (bag / "data" / "a.txt").write_text("changed")
    assert command("check", str(bag), "--manifest", f"{bag}/manifest-sha256.txt").status == 6


@pytest.mark.parametrize(
    "line", ["hello", "abcd  a.txt", f"{'0' * 64}  /etc/passwd", f"{'0' * 64}  ../a", f"{'0' * 64}"]
)
def test_lines_that_are_none_are_status_2(command: Command, tree: Path, line: str) -> None:
    """The message names the line; a list that names something outside of the directory is refused."""
    Path("list").write_text(f"{'0' * 64}  a.txt\n{line}\n")
    outcome = command("check", str(tree), "--manifest", "list")
    assert (outcome.status, "list, line 2" in outcome.stderr) == (2, True)


def test_which_options_belong_together(command: Command, tree: Path) -> None:
    """A manifest takes the place of the second directory."""
    for arguments in (("a", "b", "--manifest", "c"), ("a",), ("a", "b", "--write"), ("a", "--algorithm", "md5")):
        assert command("check", *arguments).status == 2
    assert command("check", str(tree), "--manifest", "nowhere").status == 3
    outcome = command("check", f"{tree}/a.txt", "--manifest", "list", "--write")
    assert (outcome.status, Path("list").exists()) == (2, False)


def test_forms_of_lines() -> None:
    """The forms of GNU's and BSD's tools, with and without the mark of binary mode, and Windows' line ends."""
    digest = "0" * 40
    text = f"{digest}  a\r\n{digest} *b\n# a comment\nSHA1 (c (d)) = {digest}\n\\{digest}  e\\nf\n{digest}\tg\n"
    assert [*Manifest(text, "list").files] == ["a", "b", "c (d)", "e\nf", "g"]
    odd = [("a\\b", digest), ("c%0Ad\n", digest)]
    for bag, name in ((False, "list"), (True, "manifest-sha1.txt")):
        assert [*Manifest(format_manifest(odd, bag=bag), name).files] == [path for path, _ in odd]
    with pytest.raises(ConfigurationError):
        Manifest("hello", "list")

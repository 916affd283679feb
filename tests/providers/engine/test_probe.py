"""The script that finds out what an engine does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dxflow_async.testing.engine import main
from tests.python_processes import RunningScript, clean_environment
from tests.servers.engine_switches import NASTY, Switches
from tests.servers.engine_thread import engine_on_a_thread

OTHERWISE: dict[tuple[str, Any], tuple[str, str]] = {
    ("framing", "ndjson"): ("framing of streams", "lines without an array"),
    ("framing", "one_line"): ("framing of streams", "one line"),
    ("kind_key", "type"): ("key of a chunk's kind", "type"),
    ("total", "bare"): ("form of a total", "number"),
    ("total", "absent"): ("form of a total", "absent"),
    ("error_http", "200"): ("report of an error", "status 200, reported in it"),
    ("error_code_missing", 500): ("report of an error", "status 500"),
    ("error_code_exists", 400): ("upload without force onto a file", "refused (400)"),
    ("identity_form", "./a/b"): ("identity in a listing", "./a/b"),
    ("identity_form", "/a/b"): ("identity in a listing", "/a/b"),
    ("identity_form", "absolute"): ("identity in a listing", "absolute"),
    ("time", "ms"): ("unit of times", "milliseconds"),
    ("time", "ns"): ("unit of times", "nanoseconds"),
    ("time", "text"): ("unit of times", "text"),
    ("permission", "octal"): ("form of permissions", "octal"),
    ("directory_size", 0): ("size of a directory", "0"),
    ("list_self", True): ("directory in its own listing", "listed"),
    ("paging", "ignored"): ("pages of a listing", "ignored"),
    ("depth", "ignored"): ("depth of a listing", "ignored"),
    ("root", "dot_refused"): ("volume in a listing", ". is refused (400)"),
    ("root", "slash_too"): ("volume in a listing", ". is the volume, / too"),
    ("inspect", "entity"): ("inspection of a token", "tells (200)"),
    ("inspect", "missing"): ("inspection of a token", "404"),
    ("shell", "works"): ("shells", "served"),
    ("list_hidden", "always"): ("names with a dot first", "always listed"),
    ("list_hidden", "never"): ("names with a dot first", "never listed"),
    ("upload_dot_names", "refused"): ("names with a dot first", "refused (400)"),
    ("upload_exists", "replaces"): ("upload without force onto a file", "replaces"),
    ("upload_force", "refused"): ("upload with force onto a file", "refused (409)"),
    ("upload_parents", "missing"): ("directories above an upload", "missing (404)"),
    ("upload_empty", "refused"): ("upload without a byte", "refused (400)"),
    ("upload_no_extension", "directory"): ("upload to a name without a dot", "another name"),
    ("upload_answer", "empty"): ("answer to an upload", "empty (200)"),
    ("upload_answer", "no_content"): ("answer to an upload", "empty (204)"),
    ("upload_answer", "late"): ("uploaded file in a listing", "later"),
    ("rename_exists", "refused"): ("rename onto a file", "refused (409)"),
    ("rename_exists", "nothing"): ("rename onto a file", "succeeds, and does nothing"),
    ("rename_onto_directory", "into"): ("rename onto a directory", "moves into it"),
    ("rename_parents", "created"): ("directories above a rename", "made"),
    ("create_existing", "entity"): ("directory that exists", "succeeds"),
    ("create_parents", True): ("directories above a directory", "made"),
    ("create_force", "empties"): ("forced making of a directory", "empties it"),
    ("pattern", "path"): ("pattern of a listing", "compares paths"),
    ("pattern", "ignored"): ("pattern of a listing", "ignored"),
    ("list_missing", "empty"): ("listing of a missing directory", "empty"),
    ("list_file", "itself"): ("listing of a file", "the file itself"),
    ("list_file", "empty"): ("listing of a file", "empty"),
    ("download_range", "served"): ("range of a download", "sent"),
    ("download_range", "416"): ("range of a download", "refused (416)"),
    ("download_length", "chunked"): ("headers of a download", "name, no length"),
    ("download_headers", "none"): ("headers of a download", "no name, length"),
    ("download_headers", "validators"): ("headers of a download", "name, length, etag"),
    ("download_encoding", "gzip_if_accepted"): ("encoding of a download", "gzip"),
    ("download_error", "envelope"): ("download of a missing file", "an envelope with status 200"),
    ("download_directory", "archive"): ("download of a directory", "bytes"),
    ("download_directory", "endless"): ("download of a directory", "bytes"),
    ("download_directory", "empty"): ("download of a directory", "empty"),
    ("head", 200): ("head of a file", "length"),
    ("delete_missing", "done"): ("deletion of a missing file", "succeeds"),
    ("delete_filled", "refused"): ("deletion of a filled directory", "refused (400)"),
    ("batch", "refused"): ("deletion of several files", "refused (400)"),
    ("batch", "partial"): ("deletion of several files", "succeeds, and does nothing"),
    ("share_missing", "allowed"): ("link to a missing file", "allowed"),
    ("generation", "object"): ("generation", "object"),
}
"""What the table says where an engine does one thing in another way."""

TOGETHER = {
    "framing": "ndjson",
    "kind_key": "type",
    "total": "bare",
    "identity_form": "absolute",
    "time": "ms",
    "paging": "ignored",
    "list_self": True,
    "upload_exists": "replaces",
    "upload_empty": "refused",
    "upload_answer": "no_content",
    "rename_exists": "nothing",
    "rename_parents": "created",
    "create_force": "empties",
    "download_headers": "none",
    "download_directory": "endless",
    "delete_missing": "done",
    "batch": "partial",
    "shell": "works",
}


def table(text: str) -> dict[str, str]:
    """Returns the rows of a table by their matters."""
    return {line[:34].strip(): line[34:].strip() for line in text.splitlines()}


def test_an_engine_as_documented(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every row is as assumed, and nothing is left in the volume."""
    with engine_on_a_thread(tmp_path / "volume") as server:
        (server.root / "kept").write_bytes(b"x")
        assert main([server.url, "--key", str(server.write_key(tmp_path / "key.pem"))]) == 0
        assert [path.name for path in server.root.iterdir()] == ["kept"]
    rows = table(capsys.readouterr().out)
    assert rows["rename onto a file"].split() == ["replaces", "as", "assumed"]
    assert rows["range of a download"].split() == ["ignored", "as", "assumed"]
    assert rows["upload without force onto a file"].startswith("refused (409)")
    assert rows["generation"] == "artifact"


def test_an_engine_that_does_much_otherwise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows that are otherwise are told, and that the client handles them."""
    switches = Switches(**NASTY["nothing is made, found or emptied"])
    switches.download_range = "served"
    with engine_on_a_thread(tmp_path / "volume", switches) as server:
        assert main([server.url, "--key", str(server.write_key(tmp_path / "key.pem"))]) == 0
        assert list(server.root.iterdir()) == []
    rows = table(capsys.readouterr().out)
    for matter, seen in {
        "rename onto a file": "refused (409)",
        "directories above an upload": "missing (404)",
        "pattern of a listing": "compares paths",
        "listing of a missing directory": "empty",
        "range of a download": "sent",
        "deletion of a filled directory": "refused (400)",
        "deletion of several files": "succeeds, and does nothing",
    }.items():
        assert rows[matter].startswith(seen), (matter, rows[matter])
        assert rows[matter].endswith("handled")


def test_an_engine_that_is_away(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An engine that cannot be used ends with a message and status 2."""
    assert main(["http://127.0.0.1:1", "--key", str(tmp_path / "none.pem")]) == 2
    assert "refused the connection" in capsys.readouterr().err


def check_otherwise(rows: dict[str, str], switch: str, value: Any) -> None:
    """Asserts that a row tells the value of a switch, and that the client handles it."""
    matter, seen = OTHERWISE[switch, value]
    assert rows[matter].startswith(seen), (matter, rows[matter])
    assert "NOT KNOWN" not in rows[matter]


@pytest.mark.parametrize("switches", [{}, TOGETHER], ids=["documented", "otherwise"])
def test_the_script_in_a_process_of_its_own(switches: dict[str, Any], tmp_path: Path) -> None:
    """The command of the documentation prints the whole table, and leaves the volume as it was."""
    with engine_on_a_thread(tmp_path / "volume", Switches(**switches)) as server:
        key = str(server.write_key(tmp_path / "key.pem"))
        module = ("dxflow_async.testing.engine", server.url, "--key", key)
        with RunningScript("", clean_environment(tmp_path / "home"), module=module, strict=False) as script:
            outcome = script.wait()
        assert (outcome.status, outcome.stderr) == (0, "")
        assert list(server.root.iterdir()) == []
    rows = table(outcome.stdout)
    for switch, value in switches.items():
        check_otherwise(rows, switch, value)
    if not switches:
        assert [row for row in rows.values() if row.endswith("handled")] == []


@pytest.mark.long
@pytest.mark.parametrize(("switch", "value"), OTHERWISE, ids=str)
def test_each_switch_is_told(switch: str, value: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An engine that does one thing in another way has one row that says so."""
    with engine_on_a_thread(tmp_path / "volume", Switches(**{switch: value})) as server:
        assert main([server.url, "--key", str(server.write_key(tmp_path / "key.pem"))]) == 0
    check_otherwise(table(capsys.readouterr().out), switch, value)

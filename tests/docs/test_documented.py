"""The documented snippets of the blocking API run as they stand, at real servers and where directories stand in.

Only the literal local paths are mapped, into a temporary directory; the account and its files are made before.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dxflow_async.blocking.session import Session
from tests.docs.code_blocks import code_blocks
from tests.servers import Azurite, GCSServer, SeaweedFS

_DOCUMENT = Path(__file__).with_name("documented.md")
_SHA256 = "1e362dfa2f2ab2d40d5eeefc9caf3b65fc93081aad18633d80834c6bd349f976"
_BLOCKS = code_blocks(_DOCUMENT, "python")
_SESSION, _COMPUTE_UNIT, _PROVIDERS, _BATCH, _ERRORS = _BLOCKS

_BUCKETS = ("remote", "results", "project", "s3-bucket", "container", "gcs-bucket")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory, azurite: Azurite, gcs: GCSServer) -> Iterator[dict[str, str]]:
    """The settings of one real server a provider, with the buckets that the snippets name."""
    with SeaweedFS.start(tmp_path_factory.mktemp("documented")) as weed:
        for create in (weed.create_bucket, azurite.create_container, gcs.create_bucket):
            for name in _BUCKETS:
                create(name)
        yield {
            "DXFLOW_AWS_ENDPOINT": weed.endpoint,
            "DXFLOW_AWS_ACCESS_KEY": weed.access_key,
            "DXFLOW_AWS_SECRET_KEY": weed.secret_key,
            "DXFLOW_AZURE_ENDPOINT": azurite.endpoint,
            "DXFLOW_AZURE_ACCOUNT": azurite.account,
            "DXFLOW_AZURE_ACCOUNT_KEY": azurite.account_key,
            "DXFLOW_GCP_ENDPOINT": gcs.endpoint,
        }


@pytest.fixture(params=["directories", "servers"])
def local(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What stands for /local: the files that the snippets upload. The environment says where the account's are."""
    for name in list(os.environ):
        if name.startswith(("DXFLOW_", "AWS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("DXFLOW_HOME", str(tmp_path / "home"))
    if request.param == "servers":
        for name, value in request.getfixturevalue("servers").items():
            monkeypatch.setenv(name, value)
    local = tmp_path / "local"
    (local / "data").mkdir(parents=True)
    for name in ("file.txt", "data.csv", "model.pkl", "results.json", "data/a.csv", "data/b.csv", "data/c.txt"):
        (local / name).write_text(f"content of {name}")
    return local


@pytest.fixture
def run(local: Path) -> Iterator[Any]:
    """Runs a snippet in the names that the snippets before it made; the first one makes the session."""
    with Session(email="your@email.com", password="your_password") as account:
        storage = account.get_storage_manager()
        storage.write("/remote/file.txt", b"remote file")
        for provider in ("AWS", "AZURE", "GCP"):
            for name in ("one.dat", "two.dat", "below/three.dat"):
                storage.write(f"/results/{name}", name.encode(), provider)
    names: dict[str, Any] = {}

    def run(block: str) -> dict[str, Any]:
        exec(compile(block.replace('"/local/', f'"{local}/'), "documented.md", "exec"), names)
        return names

    yield run
    if "session" in names:
        names["session"].close()


def test_the_document_is_the_given_one() -> None:
    """To the byte: no formatter has touched it."""
    assert hashlib.sha256(_DOCUMENT.read_bytes()).hexdigest() == _SHA256


def test_every_block_is_known() -> None:
    """A block that is added to the document is added here."""
    assert "get_storage_manager" in _SESSION
    assert "get_compute_manager" in _COMPUTE_UNIT
    assert all("storage_manager." in block for block in (_PROVIDERS, _BATCH, _ERRORS))


def test_session_level_storage_manager(run: Any, local: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It lists, uploads into the directory, and downloads into the directory."""
    storage = run(_SESSION)["storage_manager"]
    assert {"remote", "results"} <= {line.split()[-1] for line in capsys.readouterr().out.splitlines()}
    assert b"".join(storage.read("/remote/path/file.txt")) == b"content of file.txt"
    assert (local / "downloads" / "file.txt").read_text() == "remote file"


def test_compute_unit_storage(run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A unit that holds what the documented one did prints the documented lines, directories first.

    The size of a directory is for its file system to say.
    """
    listing = re.search(r"^```markdown\n(d .*?)^```", _DOCUMENT.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert listing is not None
    expected = listing[1].splitlines()
    volume = tmp_path / "home" / "units" / "Demo"
    for position, line in enumerate(expected):
        kind, size, day, clock, name = line.split()
        path = volume / name
        if kind == "d":
            path.mkdir()
            expected[position] = f"d {path.stat().st_size:>10} {day} {clock} {name}"
        else:
            path.touch()
            os.truncate(path, int(size))
        os.utime(path, (0, time.mktime(time.strptime(f"{day} {clock}", "%Y-%m-%d %H:%M:%S"))))
    capsys.readouterr()
    run(_COMPUTE_UNIT)
    printed = capsys.readouterr().out.splitlines()
    assert sorted(printed) == sorted(expected)
    assert [line[0] for line in printed] == [line[0] for line in expected]


def test_working_with_multiple_providers(run: Any, tmp_path: Path) -> None:
    """Each provider gets its own; what is configured keeps nothing on this machine."""
    run(_SESSION)
    storage = run(_PROVIDERS)["storage_manager"]
    assert b"".join(storage.read("/s3-bucket/data/data.csv", provider="AWS")) == b"content of data.csv"
    assert b"".join(storage.read("/container/models/model.pkl", provider="AZURE")) == b"content of model.pkl"
    assert b"".join(storage.read("/gcs-bucket/results/results.json", provider="GCP")) == b"content of results.json"
    assert not storage.exists("/container/models/model.pkl", provider="AWS")
    assert (tmp_path / "home" / "storage").exists() == ("DXFLOW_AWS_ENDPOINT" not in os.environ)


@pytest.mark.parametrize("provider", ["AWS", "AZURE", "GCP"])
def test_batch_operations(run: Any, local: Path, provider: str) -> None:
    """Every CSV file goes up; every file of the remote directory, and none below it, comes down: at any provider."""
    run(_SESSION)
    storage = run(_BATCH.replace('"AWS"', f'"{provider}"'))["storage_manager"]
    assert [item.name for item in storage.scan(provider, "/project/datasets/")] == ["a.csv", "b.csv"]
    assert sorted(path.name for path in (local / "results").rglob("*")) == ["one.dat", "two.dat"]
    assert (local / "results" / "two.dat").read_text() == "two.dat"


def test_error_handling(run: Any, local: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is printed when it works; a failure is a StorageError that says what failed."""
    run(_SESSION)
    capsys.readouterr()
    storage = run(_ERRORS)["storage_manager"]
    assert capsys.readouterr().out == ""
    assert storage.exists("/remote/file.txt")
    (local / "file.txt").unlink()
    run(_ERRORS)
    assert capsys.readouterr().out.startswith("Upload failed: ")

"""Remotes whose kind another package adds: which of their errors stop what, and what those say."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, ConfigurationError, Session, Settings, UnsafePathError
from dxflow_async.cli import main
from dxflow_async.providers import registry
from tests.storage.naive_package import installed


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """`DXFLOW_HOME`, with the package installed and no other variable of ours."""
    for name in [each for each in os.environ if each.startswith("DXFLOW_")]:
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("DXFLOW_HOME", str(home))
    with installed(tmp_path / "site", monkeypatch):
        yield home


BROKEN = '[remotes.bb]\ntype = "broken"\ncolor = "red"\n'


def test_broken_package_stops_its_remote_only(
    home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Other remotes and local paths work; the remote's own error names it, its line, the package and the fault."""
    (home / "config.toml").write_text(f'[remotes.disk]\ntype = "local"\nroot = "{home}"\n{BROKEN}')
    monkeypatch.setenv("DXFLOW_REMOTE_BB_SIZE", "1")
    monkeypatch.setenv("DXFLOW_REMOTE_OTHER_TYPE", "broken")
    assert main(["ls", "disk:/"]) == 0
    assert main(["cp", str(home / "config.toml"), str(home / "copy")]) == 0
    assert "unknown variable" not in caplog.text
    capfd.readouterr()
    for name, where in (("bb", rf"{home}/config\.toml:4"), ("other", "environment: DXFLOW_REMOTE_OTHER_TYPE")):
        assert main(["ls", f"{name}:/x"]) == 2
        error = capfd.readouterr().err
        assert re.search(f"{where}: remotes.{name}: the type broken .*package mydav is broken.*mydav_missing", error)


def test_broken_package_is_listed(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The list of remotes has the remote and the reason why it cannot be used."""
    (home / "config.toml").write_text(BROKEN)
    assert main(["remotes", "list"]) == 0
    assert re.search(r"bb +broken +cannot be used: .*package mydav is broken", capfd.readouterr().out)
    assert main(["remotes", "list", "--json"]) == 0
    rows = {row["name"]: row for row in map(json.loads, capfd.readouterr().out.splitlines())}
    assert "mydav is broken" in rows["bb"]["error"]
    assert "error" not in rows["aws"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('type = "nothing"', "type = 'nothing' is not allowed"),
        ('type = "mydav"\ncolor = "red"', "unknown setting remotes.bb.color"),
        ('type = "vault"', "remotes.bb.key is not set"),
    ],
)
def test_mistakes_in_the_file_are_found_when_it_is_read(home: Path, text: str, words: str) -> None:
    """A type that does not exist, and a bad value of one that works, are errors at once."""
    (home / "config.toml").write_text(f"[remotes.bb]\n{text}\n")
    with pytest.raises(ConfigurationError, match=words):
        Settings.load()


async def test_error_of_a_factory_names_the_remote(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the remote, and the line or the variable that defines it; for an argument there is none."""
    (home / "config.toml").write_text('max_attempts = 1\n\n[remotes.QQ]\ntype = "mydav"\n')
    monkeypatch.setenv("DXFLOW_REMOTE_RR_TYPE", "mydav")
    argument = {"ss": registry.provider_kinds()["mydav"].settings()}
    async with AsyncSession(settings=Settings.load(), remotes=argument) as session:
        for location, start in (
            ("qq:/", f"{home}/config.toml:3: remotes.qq: endpoint is not set"),
            ("rr:/", "environment: DXFLOW_REMOTE_RR_TYPE: remotes.rr: endpoint is not set"),
            ("ss:/", "remotes.ss: endpoint is not set"),
        ):
            with pytest.raises(ConfigurationError, match=f"^{re.escape(start)}"):
                await session.copy(location, home / "out")


def test_url_of_a_kind_that_needs_settings(home: Path) -> None:
    """A URL that belongs to no remote says which remote is missing, and what it needs."""
    with (
        Session(settings=Settings.load()) as session,
        pytest.raises(
            ConfigurationError, match=r"location vault://x/y: no remote has the type vault, .*key is not set"
        ),
    ):
        session.copy("vault://x/y", home / "out")


@pytest.mark.parametrize("written", ["nowhere:/x", "nowhere://x", "nowhere:x"])
def test_unknown_place_names_all_urls(written: str, capfd: pytest.CaptureFixture[str]) -> None:
    """The URLs that work are listed, those of other packages too, however the unknown place is written."""
    assert main(["ls", written]) == 2
    error = capfd.readouterr().err
    for scheme in ("az", "file", "gs", "https", "mydav", "s3", "sftp", "vault"):
        assert f"{scheme}://" in error


def test_list_shows_a_kind_that_has_required_settings(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A remote whose settings have no valid defaults is listed, its secret as ***."""
    monkeypatch.setenv("DXFLOW_REMOTE_VV_TYPE", "vault")
    monkeypatch.setenv("DXFLOW_REMOTE_VV_KEY", "SECRET")
    assert main(["remotes", "list"]) == 0
    assert re.search(r"vv +vault +key=\*\*\*", capfd.readouterr().out)


async def test_two_remotes_of_one_place(home: Path, tmp_path: Path) -> None:
    """Nothing is moved onto itself by another name, also where a kind tells no absolute paths; a copy elsewhere is."""
    cls = registry.provider_kinds()["folder"].settings
    one, other = tmp_path / "one", tmp_path / "other"
    (one / "dir").mkdir(parents=True)
    (one / "dir/file").write_bytes(b"precious")
    remotes = {"aa": cls(root=str(one)), "bb": cls(root=str(one)), "cc": cls(root=str(other))}
    async with AsyncSession(settings=Settings(home=home, remotes=remotes)) as session:
        for path in ("dir/file", "dir/"):
            with pytest.raises(UnsafePathError, match="the destination is the source"):
                await session.move(f"aa:/{path}", f"bb:/{path}")
        assert (one / "dir/file").read_bytes() == b"precious"
        await session.copy("aa:/dir/file", "cc:/dir/file")
        await session.move("aa:/dir/file", "cc:/dir/file")
    assert (other / "dir/file").read_bytes() == b"precious"
    assert not (one / "dir/file").exists()

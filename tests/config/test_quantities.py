"""Sizes and durations as text."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from dxflow_async import AsyncSession, Settings
from dxflow_async.config.quantities import to_seconds, to_size
from dxflow_async.exceptions import ConfigurationError

KiB, MiB, GiB = 1 << 10, 1 << 20, 1 << 30


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("64MiB", 64 * MiB),
        ("50 MB", 50_000_000),
        ("1.5GiB", 3 * GiB // 2),
        ("  8mib ", 8 * MiB),
        ("64k", 64 * KiB),
        ("7B", 7),
        ("0", 0),
        ("2 TB", 2 * 10**12),
        ("1PiB", 1 << 50),
        (12, 12),
    ],
)
def test_sizes(text: str | int, size: int) -> None:
    """Powers of 1024 with an i or a bare letter, of 1000 with a B; fractions and spaces are allowed."""
    assert to_size("part_size", text) == size


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("1.5 h", 5400), ("7D", 604800), ("2w", 1209600), (0.5, 0.5)]
)
def test_durations(text: str | float, seconds: float) -> None:
    """A number of seconds, or one with a unit."""
    assert to_seconds("expires", text) == seconds


@pytest.mark.parametrize(
    "value", ["64 apples", "-1", "-5MiB", "", "MiB", "1e9", "1,5GiB", "9" * 40, -1, True, 1.5, None]
)
def test_what_is_no_size(value: object) -> None:
    """The error names what was given and what would be right."""
    with pytest.raises(ConfigurationError, match=r"part_size = .* is not allowed; it must be a size such as 64MiB"):
        to_size("part_size", value)


@pytest.mark.parametrize("value", ["soon", "-1s", "", "1y", "nan", -1, True, float("inf"), float("nan"), None])
def test_what_is_no_duration(value: object) -> None:
    """The error names what was given and what would be right."""
    with pytest.raises(ConfigurationError, match=r"expires = .* is not allowed; it must be a duration such as 90s"):
        to_seconds("expires", value)


def test_settings_take_text(tmp_path: Path) -> None:
    """Settings are given as text or as numbers and are read as numbers, also by copies and other processes."""
    settings = Settings(
        home=tmp_path,
        part_size="16MiB",
        max_bandwidth="50 MB",
        max_memory_bytes="1GiB",
        connect_timeout="2m",
        stall_timeout="90s",
        min_speed="1KiB",
    )
    assert (settings.part_size, settings.max_bandwidth, settings.max_memory_bytes) == (16 * MiB, 50_000_000, GiB)
    assert (settings.connect_timeout, settings.stall_timeout, settings.min_speed) == (120.0, 90.0, KiB)
    assert replace(settings, part_size="8MiB").part_size == 8 * MiB
    assert pickle.loads(pickle.dumps(settings)) == settings
    assert Settings(home=tmp_path, part_size=16 * MiB) == Settings(home=tmp_path, part_size="16MiB")
    with pytest.raises(AttributeError):
        settings.part_size = 5  # type: ignore[misc]
    assert Settings(home=tmp_path).max_bandwidth is None


@pytest.mark.parametrize(
    ("name", "text", "allowed"),
    [
        ("part_size", "64 apples", "a size such as"),
        ("part_size", "9999PiB", "5242880 to 5368709120"),
        ("max_bandwidth", "-5MiB", "a size such as"),
        ("stall_timeout", "soon", "a duration such as"),
        ("stall_timeout", "7d", "0.1 to 3600"),
    ],
)
def test_settings_that_are_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, allowed: str
) -> None:
    """An argument, a variable and the file are refused alike, with the setting and what is allowed."""
    with pytest.raises(ConfigurationError, match=f"{name} = .* is not allowed; it must be {allowed}"):
        Settings(home=tmp_path, **{name: text})  # type: ignore[arg-type]
    (tmp_path / "config.toml").write_text(f'{name} = "{text}"\n')
    with pytest.raises(ConfigurationError, match=f"config.toml.*{name} = .* is not allowed; it must be {allowed}"):
        Settings.load(home=tmp_path)
    (tmp_path / "config.toml").unlink()
    monkeypatch.setenv(f"DXFLOW_{name.upper()}", text)
    with pytest.raises(ConfigurationError, match=f"DXFLOW_{name.upper()}.* is not allowed; it must be {allowed}"):
        Settings.load(home=tmp_path)


def test_the_file_and_the_environment_take_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A size and a duration may be text in both."""
    (tmp_path / "config.toml").write_text('part_size = "16 MiB"\nstall_timeout = "2m"\nmin_speed = "1k"\n')
    monkeypatch.setenv("DXFLOW_MAX_BANDWIDTH", "50MB")
    monkeypatch.setenv("DXFLOW_CONNECT_TIMEOUT", "5s")
    settings = Settings.load(home=tmp_path)
    assert (settings.part_size, settings.stall_timeout, settings.min_speed) == (16 * MiB, 120.0, KiB)
    assert (settings.max_bandwidth, settings.connect_timeout) == (50_000_000, 5.0)


async def test_presigned_urls_take_durations(tmp_path: Path) -> None:
    """`expires` may be text; a wrong one is refused before anything else."""
    async with AsyncSession(settings=Settings(home=tmp_path / "home")) as session:
        with pytest.raises(ConfigurationError, match="expires = 'soon' is not allowed; it must be a duration"):
            await session.presign("aws:/bucket/key", expires="soon")

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dxflow_async import AsyncSession, AWSSettings, AzureSettings, GCPSettings, Settings
from dxflow_async.config.loader import parse_size
from dxflow_async.exceptions import ConfigurationError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`DXFLOW_HOME`, and no other variable of ours."""
    for name in list(os.environ):
        if name.startswith("DXFLOW_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("DXFLOW_HOME", str(tmp_path))
    return tmp_path


def write(home: Path, text: str) -> Path:
    path = home / "config.toml"
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_defaults_without_any_source(home: Path) -> None:
    """Nothing set is the defaults, and the home that was named."""
    assert Settings.load() == Settings(home=home)


def test_every_source_wins_over_the_one_before(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Defaults < file < environment < arguments, each setting for itself."""
    write(home, 'max_concurrency = 3\npart_size = "6MiB"\nmax_attempts = 9\n[aws]\nregion = "file"\nprofile = "file"\n')
    monkeypatch.setenv("DXFLOW_PART_SIZE", "7MiB")
    monkeypatch.setenv("DXFLOW_MAX_ATTEMPTS", "8")
    monkeypatch.setenv("DXFLOW_AWS_REGION", "variable")
    loaded = Settings.load(max_attempts=7)
    assert (loaded.max_concurrency, loaded.part_size, loaded.max_attempts) == (3, 7 << 20, 7)
    assert loaded.aws == AWSSettings(region="variable", profile="file")


def test_each_provider_has_its_section(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sections do not mix, and only one that is written counts as configured."""
    write(home, "[aws]\nprivate = 'a'\n[azure]\nprivate = 'b'")
    monkeypatch.setenv("DXFLOW_AZURE_ACCOUNT", "science")
    loaded = Settings.load()
    assert (loaded.aws, loaded.azure) == (AWSSettings(private="a"), AzureSettings(private="b", account="science"))
    assert (loaded.aws.configured, loaded.azure.configured, loaded.gcp.configured) == (True, True, False)


def test_argument_home_is_where_the_file_is(home: Path, tmp_path: Path) -> None:
    """A home that is given has its own file; None is no home."""
    other = tmp_path / "other"
    other.mkdir()
    write(other, "max_concurrency = 5")
    assert Settings.load(home=other).max_concurrency == 5
    assert Settings.load(home=None).home == home


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("max_concurrency = 2\nmax_speed = 3", 2, ["unknown setting max_speed", "max_bandwidth"]),
        ("\n\n[aws]\nregon = 'x'", 4, ["unknown setting AWS.regon", "region"]),
        ("max_attempts = 'many'", 1, ["max_attempts", "many", "whole number"]),
        ("\nmax_concurrency = 0", 2, ["max_concurrency", "'0'", "1 to 1024"]),
        ("part_size = '1MiB'", 1, ["part_size", "1048576"]),
        ("embedded = 'perhaps'", 1, ["embedded", "true or false"]),
        ("embedded = 1", 1, ["embedded", "true or false"]),
        ("max_concurrency = true", 1, ["max_concurrency", "whole number"]),
        ("max_concurrency = 1.5", 1, ["max_concurrency", "1.5"]),
        ("\nhub = 'ftp://x'", 2, ["hub", "ftp://x", "http(s)://"]),
        ("hub = 2020-01-01", 1, ["hub", "2020-01-01"]),
        ("[aws]\naddressing = 'odd'", 2, ["AWS.addressing", "path or virtual"]),
        ("[aws]\nendpoint = 's3'", 2, ["AWS.endpoint", "http(s)://"]),
        ("aws = 3", 1, ["aws must be a table"]),
        ("[azure]\naccount = 'Capitals'", 2, ["AZURE.account", "Capitals", "small letters"]),
        ("[azure]\nchecksum = 'sha'", 2, ["AZURE.checksum", "crc64 or md5"]),
        ("[azure]\nendpoint = 'blob'", 2, ["AZURE.endpoint", "http(s)://"]),
        ("[gcp]\nprivate = '/area'", 2, ["GCP.private", "bucket/prefix"]),
        ("[gcp]\nservice_file = 'none.json'", 2, ["GCP.service_file", "JSON"]),
        ("stall_timeout = nan", 1, ["stall_timeout", "nan"]),
    ],
)
def test_wrong_file_names_its_line(home: Path, text: str, line: int, words: list[str]) -> None:
    """The error names file, line, setting, value and what is allowed."""
    path = write(home, text)
    with pytest.raises(ConfigurationError) as raised:
        Settings.load()
    message = str(raised.value)
    assert message.startswith(f"{path}:{line}: ")
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("DXFLOW_PART_SIZE", "large", ["part_size", "large", "8MiB"]),
        ("DXFLOW_MAX_CONCURRENCY", "5000", ["max_concurrency", "5000", "1 to 1024"]),
        ("DXFLOW_AWS_ENDPOINT", "nonsense", ["AWS.endpoint", "nonsense"]),
        ("DXFLOW_EMBEDDED", "2", ["embedded", "true or false"]),
        ("DXFLOW_MAX_BANDWIDTH", "9" * 400, ["max_bandwidth"]),
    ],
)
def test_wrong_variable_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: list[str]
) -> None:
    """The error names the variable, its value and what is allowed."""
    assert home
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError) as raised:
        Settings.load()
    for word in (variable, *words):
        assert word in str(raised.value)


@pytest.mark.parametrize(
    "options",
    [
        {"max_concurrency": "x"},
        {"max_concurrency": None},
        {"max_concurrency": True},
        {"stall_timeout": 0},
        {"max_memory_bytes": 16 << 20, "part_size": 9 << 20},
        {"ca_bundle": Path("none.pem")},
        {"client_certificate": Path("none.pem")},
        {"client_key": Path("none.pem")},
        {"transport": "quick"},
        {"transport": None},
        {"tls_minimum_version": "1.1"},
    ],
)
def test_wrong_arguments_are_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    """Settings made by hand are checked as well, and the message begins with the setting's name."""
    with pytest.raises(ConfigurationError, match=f"^{next(iter(options))} = "):
        Settings(home=tmp_path, **options)


def test_tls_settings_are_paths_and_versions(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle may be a directory, a version may be written as a number, and a key needs its certificate."""
    (home / "config.toml").write_text("tls_minimum_version = 1.3\n", "utf-8")
    monkeypatch.setenv("DXFLOW_CA_BUNDLE", str(tmp_path))
    monkeypatch.setenv("DXFLOW_TRANSPORT", "aiohttp")
    loaded = Settings.load()
    assert (loaded.tls_minimum_version, loaded.ca_bundle, loaded.transport) == ("1.3", tmp_path, "aiohttp")
    key = tmp_path / "key.pem"
    key.touch()
    with pytest.raises(ConfigurationError, match=r"^client_key needs client_certificate"):
        Settings(client_key=key)
    with pytest.raises(ConfigurationError, match=r"^client_certificate = "):
        Settings(client_certificate=tmp_path)


@pytest.mark.parametrize("name", ["AZURE_ACCOUNT", "AWS_REGION", "HUB", "MAX_ATTEMPTS", "CLIENT_KEY"])
def test_a_key_in_the_wrong_setting_is_not_shown(home: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The text of a key that was put where something else belongs is in no error."""
    key = '{"type": "service_account", "private_key": "-----BEGIN PRIVATE KEY-----\\nTOPSECRET"}'
    monkeypatch.setenv(f"DXFLOW_{name}", key)
    with pytest.raises(ConfigurationError, match="is not allowed") as raised:
        Settings.load(home=home)
    assert "TOPSECRET" not in str(raised.value)


async def test_a_key_as_the_profile_is_not_shown(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same of a profile's name, which only the SDK looks at."""
    monkeypatch.setenv("AWS_PROFILE", '{"type": "service_account", "private_key": "TOPSECRET"}')
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    async with AsyncSession(settings=Settings(home=home)) as session:
        with pytest.raises(ConfigurationError, match=r"AWS_PROFILE is not allowed") as raised:
            await session.get_storage_manager().list("AWS", "/bucket/")
    assert "TOPSECRET" not in str(raised.value)


def test_a_key_needs_its_account() -> None:
    """What can only be used together is refused alone, before any I/O."""
    with pytest.raises(ConfigurationError, match=r"AZURE\.account_key needs AZURE\.account"):
        AzureSettings(account_key="a2V5")


@pytest.mark.parametrize("value", ["", " ", "\n", "\ufeff", "hush\r\nhush", "hush\0", '"hush"'])
def test_keys_that_were_copied_badly(value: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is empty, or has quotes around or a line break in it, is refused by name and not shown."""
    kinds: list[tuple[Any, str, dict[str, str]]] = [
        (AWSSettings, "access_key", {"secret_key": "x"}),
        (AWSSettings, "secret_key", {"access_key": "x"}),
        (AWSSettings, "session_token", {"access_key": "x", "secret_key": "x"}),
        (AzureSettings, "account_key", {"account": "a23"}),
        (AzureSettings, "sas_token", {}),
    ]
    for kind, name, others in kinds:
        with pytest.raises(ConfigurationError, match=rf"^A[A-Z]+\.{name} is not allowed") as raised:
            kind(**{name: value, **others})
        assert "hush" not in str(raised.value)
    if "\0" not in value:
        monkeypatch.setenv("DXFLOW_AZURE_SAS_TOKEN", value)
        with pytest.raises(ConfigurationError, match=r"DXFLOW_AZURE_SAS_TOKEN: AZURE\.sas_token"):
            Settings.load(home=home)


def test_secrets_are_in_no_message_and_no_repr(home: Path) -> None:
    """What must not be logged is not shown, also when it is wrong."""
    aws = AWSSettings(access_key="AKID", secret_key="hush-hush", session_token="very-quiet")
    assert "hush" not in repr(aws)
    assert "quiet" not in repr(Settings(home=home, aws=aws))
    azure = AzureSettings(account="a23", account_key="hush", connection_string="AccountKey=hush", sas_token="sig=hush")
    assert "hush" not in repr(azure)
    write(home, "[aws]\nsecret_key = ['hush-hush']")
    with pytest.raises(ConfigurationError) as raised:
        Settings.load()
    assert "hush" not in str(raised.value)
    assert "***" in str(raised.value)
    with pytest.raises(ConfigurationError, match="go together") as raised:
        AWSSettings(secret_key="hush-hush")
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, True), (0o604, True)])
def test_file_with_secrets_that_others_may_read(
    home: Path, caplog: pytest.LogCaptureFixture, mode: int, *, warned: bool
) -> None:
    """It is used, and the log says how to close it."""
    path = write(home, "[aws]\naccess_key = 'AKID'\nsecret_key = 'hush-hush'")
    path.chmod(mode)
    with caplog.at_level(logging.WARNING, "dxflow_async.config.settings"):
        assert Settings.load().aws.secret_key == "hush-hush"
    assert ("chmod 600" in caplog.text) is warned
    assert "hush" not in caplog.text


@given(text=st.text(alphabet="max_concurrency=part_size[]{}'\"\n .#0123456789hubaws\0é\ud800", max_size=60))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_junk_is_a_configuration_error(home: Path, text: str) -> None:
    """Whatever the file holds, it is settings or a ConfigurationError."""
    (home / "config.toml").write_bytes(text.encode("utf-8", "surrogatepass"))
    with suppress(ConfigurationError):
        Settings.load()


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, "max_attempts = " + "9" * 5000])
def test_hostile_toml_is_a_configuration_error(home: Path, text: str) -> None:
    """Nesting and numbers without end are refused like any other mistake."""
    write(home, text)
    with pytest.raises(ConfigurationError):
        Settings.load()


@given(number=st.integers(0, 1 << 60), unit=st.sampled_from([("", 1), ("k", 1 << 10), ("MiB", 1 << 20), ("GB", 10**9)]))
def test_sizes_are_exact(number: int, unit: tuple[str, int]) -> None:
    """A number and a unit are so many bytes, to the byte."""
    assert parse_size(f"{number}{unit[0]}") == parse_size(f" {number} {unit[0]} ") == number * unit[1]
    assert parse_size(f"{number}.125{unit[0]}") == (8 * number + 1) * unit[1] // 8


@given(text=st.text(max_size=12))
def test_sizes_are_sizes_or_value_errors(text: str) -> None:
    """Any text is a whole number of bytes, or no size."""
    with suppress(ValueError):
        assert parse_size(text) >= 0


@pytest.mark.parametrize("path", [str, Path])
def test_tilde_stands_for_the_home_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: Callable[[str], str | Path]
) -> None:
    """`~` is expanded in every setting that is a path: in code, in the environment and in the file."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "pem").write_text("x")
    made = Settings(
        home=path("~/dx"),  # type: ignore[arg-type]
        client_certificate=path("~/pem"),  # type: ignore[arg-type]
        gcp=GCPSettings(service_file=path("~/pem")),  # type: ignore[arg-type]
    )
    assert made.home == tmp_path / "dx"
    assert made.client_certificate == made.gcp.service_file == tmp_path / "pem"
    monkeypatch.setenv("DXFLOW_HOME", "~/dx")
    (tmp_path / "dx").mkdir()
    write(tmp_path / "dx", 'client_certificate = "~/pem"')
    loaded = Settings.load()
    assert (loaded.home, loaded.client_certificate) == (tmp_path / "dx", tmp_path / "pem")


def test_unknown_home_of_a_tilde() -> None:
    """A `~` of nobody is an error that names the setting."""
    with pytest.raises(ConfigurationError, match=r"home = '~nobody-of/x' .*not known"):
        Settings(home=Path("~nobody-of/x"))


def test_byte_order_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that begins with the byte order mark of Windows' editors is read like any other."""
    monkeypatch.setenv("DXFLOW_HOME", str(tmp_path))
    (tmp_path / "config.toml").write_bytes(b"\xef\xbb\xbfmax_concurrency = 7\r\n[aws]\r\nregion = 'eu-west-1'\r\n")
    loaded = Settings.load()
    assert (loaded.max_concurrency, loaded.aws.region) == (7, "eu-west-1")

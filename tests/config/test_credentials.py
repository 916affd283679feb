"""What the `credentials` functions of settings are and return."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dxflow_async import AccessKeys, AzureSettings, BearerToken, ConfigurationError, GCSSettings, S3Settings, SASToken
from dxflow_async.config.credentials import end_of
from dxflow_async.config.settings import Settings


async def never() -> Any:
    """A function that no test calls."""
    raise AssertionError("settings call nothing")


def test_no_repr_shows_credentials() -> None:
    """Keys and tokens, and settings that have a function, show no secret; the id of a key is shown."""
    made = (AccessKeys("AKID", "hush-hush", "hush-token"), BearerToken("hush-bearer"), SASToken("sig=hush"))
    assert "hush" not in repr(made)
    assert "AKID" in repr(made)
    assert "never" not in repr(S3Settings(credentials=never))
    assert made[0].secret_key == "hush-hush"


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: AccessKeys("", "hush"), "AccessKeys.access_key"),
        (lambda: AccessKeys("AKID", "hush hush"), "AccessKeys.secret_key"),
        (lambda: AccessKeys("AKID", "hush\nhush"), "AccessKeys.secret_key"),
        (lambda: AccessKeys("AKID", None), "AccessKeys.secret_key"),  # type: ignore[arg-type]
        (lambda: AccessKeys("AKID", "hush", "hüsh"), "AccessKeys.session_token"),
        (lambda: BearerToken(b"hush"), "BearerToken.token"),  # type: ignore[arg-type]
        (lambda: SASToken(""), "SASToken.token"),
        (lambda: SASToken("hush", datetime(2026, 1, 1)), "SASToken.expires.*time zone"),  # noqa: DTZ001
        (lambda: BearerToken("hush", "soon"), "BearerToken.expires"),  # type: ignore[arg-type]
        (lambda: BearerToken("hush", True), "BearerToken.expires"),
        (lambda: BearerToken("hush", math.nan), "BearerToken.expires"),
        (lambda: BearerToken("hush", 1_800_000_000_000), "BearerToken.expires.*milliseconds"),
    ],
)
def test_wrong_credentials_are_refused(make: Callable[[], object], name: str) -> None:
    """Each field is checked when the object is made; the message names it and shows no value."""
    with pytest.raises(ConfigurationError, match=f"^{name}") as raised:
        make()
    assert "hush" not in str(raised.value)


def test_an_end_is_a_time() -> None:
    """`expires` is a datetime with a time zone, or seconds since the epoch; without it there is no end."""
    assert end_of(BearerToken("t", datetime(2027, 1, 1, tzinfo=UTC))) == 1_798_761_600
    assert end_of(AccessKeys("a", "b", expires=12.5)) == 12.5
    assert end_of(SASToken("t")) == math.inf


@pytest.mark.parametrize(
    ("cls", "others"),
    [
        (S3Settings, {"access_key": "AKID", "secret_key": "hush"}),
        (S3Settings, {"profile": "work"}),
        (AzureSettings, {"account": "account1", "account_key": "a2V5"}),
        (AzureSettings, {"sas_token": "sig=hush"}),
        (AzureSettings, {"connection_string": "AccountKey=hush"}),
        (GCSSettings, {"service_file": Path(__file__)}),
    ],
)
def test_a_function_excludes_other_credentials(cls: Any, others: dict[str, Any]) -> None:
    """Settings with a function and with another kind of credentials are refused, and so is what is no function."""
    assert cls(credentials=never).configured
    with pytest.raises(ConfigurationError, match=r"\.credentials and .* exclude each other"):
        cls(credentials=never, **others)
    with pytest.raises(ConfigurationError, match=r"\.credentials must be an async function that returns") as raised:
        cls(credentials="hush-hush")
    assert "hush" not in str(raised.value)


def test_only_code_sets_a_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the file nor the environment can set `credentials`."""
    monkeypatch.setenv("DXFLOW_AWS_CREDENTIALS", "hush")
    assert Settings.load(home=tmp_path).aws.credentials is None
    (tmp_path / "config.toml").write_text('[aws]\ncredentials = "hush"\n', "utf-8")
    with pytest.raises(ConfigurationError, match=r"config\.toml:2: unknown setting AWS\.credentials") as raised:
        Settings.load(home=tmp_path)
    assert "hush" not in str(raised.value)

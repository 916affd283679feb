"""Credentials files of Google Cloud: which one counts, and of which type it is.

Sources: https://cloud.google.com/docs/authentication/application-default-credentials
https://google.aip.dev/auth/4110
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dxflow_async.exceptions import ConfigurationError
from dxflow_async.security.redaction import printable

__all__ = ["UNIVERSE", "CredentialsFile", "is_domain", "read_credentials_file"]

_TYPES: dict[str, tuple[str, ...]] = {
    "authorized_user": ("client_id", "client_secret", "refresh_token"),
    "external_account": ("audience", "subject_token_type", "credential_source"),
    "external_account_authorized_user": (),
    "impersonated_service_account": ("service_account_impersonation_url", "source_credentials"),
    "service_account": ("client_email", "private_key"),
}
"""The supported types, with the fields that a file of each has to have."""

UNIVERSE = "googleapis.com"
_MAX_SIZE = 1 << 20


@dataclass(frozen=True, slots=True)
class CredentialsFile:
    """A credentials file.

    Attributes:
        path: the file; None: there is none, so that the metadata service is asked.
        info: its content; empty if there is none.
        named: how messages name it.
    """

    path: str | None
    info: dict[str, Any] = field(repr=False)
    named: str

    def __str__(self) -> str:
        return self.named

    @property
    def kind(self) -> str:
        """The type of the credentials; empty if there is no file."""
        return str(self.info.get("type", ""))

    @property
    def universe(self) -> str:
        """The domain of Google's services that the credentials belong to."""
        return str(self.info.get("universe_domain") or UNIVERSE).lower()


def read_credentials_file(path: str | None, setting: str) -> CredentialsFile:
    """Reads the file that is given, or the one that `gcloud auth application-default login` wrote. Blocks.

    Args:
        path: the file of the settings or of `GOOGLE_APPLICATION_CREDENTIALS`; None: neither is set.
        setting: the setting or the variable that names the file, for messages.

    Raises:
        ConfigurationError: the file cannot be read, its type is not supported, or the environment names another
            universe than the file does.
    """
    if path is not None:
        named, found = f"{setting} = {path!r}", path
    else:
        found = str(_gcloud_file())
        named = f"the default credentials in {found}"
        if not os.path.isfile(found):
            return CredentialsFile(None, {}, named)
    info = _read(found, named)
    fault = _fault(info, named)
    if fault is None:
        return CredentialsFile(found, info, named)
    info.clear()  # the frames of the error keep it
    raise ConfigurationError(fault)


def _fault(info: dict[str, Any], named: str) -> str | None:
    """Returns why the content of a file cannot be used; None if it can."""
    kind = info.get("type")
    if kind == "gdch_service_account":
        return (
            f"{named} cannot be used: service accounts of Google Distributed Cloud are not supported; use its S3 "
            "interface with a remote of the type s3"
        )
    if not isinstance(kind, str) or kind not in _TYPES:
        said = printable(repr(kind)[:60])
        return f"{named} cannot be used: its type is {said}; it must be one of {', '.join(_TYPES)}"
    missing = [name for name in _TYPES[kind] if not info.get(name)]
    if missing:
        return f"{named} cannot be used: it has no {', '.join(missing)}; create the file again"
    return _universe_fault(info, named)


def _universe_fault(info: dict[str, Any], named: str) -> str | None:
    universe = info.get("universe_domain") or None
    if universe is None:
        return None
    if not isinstance(universe, str) or not is_domain(universe):
        return f"{named} cannot be used: its universe_domain {printable(repr(universe)[:60])} is not a domain"
    wanted = os.environ.get("GOOGLE_CLOUD_UNIVERSE_DOMAIN", "").strip()
    if wanted and wanted.lower() != universe.lower():
        return (
            f"{named} cannot be used: it belongs to the universe {universe[:100]}, and GOOGLE_CLOUD_UNIVERSE_DOMAIN is "
            f"{printable(wanted)[:100]}; unset the variable, or use credentials of that universe"
        )
    return None


def is_domain(text: str) -> bool:
    """Returns whether a text is a domain with two labels or more."""
    return re.fullmatch(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", text) is not None


def _read(path: str, named: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            info = json.loads(file.read(_MAX_SIZE).decode("utf-8-sig"))
    except OSError as error:
        reason = f"{type(error).__name__}: {error}"
    except (ValueError, RecursionError):
        reason = "it is not JSON"
    else:
        if isinstance(info, dict):
            return info
        reason = "it is not a JSON object"
    # Not from the error, which holds the file's content.
    raise ConfigurationError(f"{named} cannot be used: {reason}")


def _gcloud_file() -> Path:
    """The file in gcloud's directory, which `CLOUDSDK_CONFIG` moves."""
    folder = os.environ.get("CLOUDSDK_CONFIG") or os.path.join("~", ".config", "gcloud")
    return Path(os.path.expanduser(folder)) / "application_default_credentials.json"

"""Secrets that tests make up, and all the texts in which one could be seen: errors, logs, files, the process."""

from __future__ import annotations

import base64
import faulthandler
import gc
import json
import logging
import os
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from dxflow_async import AWSSettings
from dxflow_async.config.settings import AzureSettings, GCPSettings

__all__ = [
    "ACCOUNT_KEY",
    "BEARER",
    "KEY",
    "MARK",
    "PASSWORD",
    "PLACES",
    "SAS",
    "TOKEN",
    "UNIT_SECRET",
    "Everything",
    "SettingsFor",
    "about_this_process",
    "assert_clean",
    "aws",
    "azure_key",
    "azure_sas",
    "azure_string",
    "dumped",
    "gcp",
    "held",
    "service_file",
    "written_below",
]

MARK = "M4rk3r"


KEY = f"{MARK}secretkey"


TOKEN = f"{MARK}sessiontoken"


ACCOUNT_KEY = base64.b64encode(f"{MARK}-account-key-of-azure".encode()).decode()


SAS = f"sv=2023-11-03&sp=rwdl&sig={MARK}%2Fsignature%3D"


UNIT_SECRET = f"{MARK}unitsecret"


PASSWORD = f"{MARK} password 1"


BEARER = f"{MARK}bearer"


class Everything(logging.Handler):
    """All that any logger says, with all that its records carry."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines += [record.getMessage(), repr(record.__dict__)]
        if record.exc_info is not None:
            self.lines.append("".join(traceback.format_exception(*record.exc_info)))


def dumped(error: BaseException) -> str:
    """What a crash reporter sends: local variables of each frame but the tests', of every error in the chain."""
    lines, seen = [str(error), repr(error)], set()
    pending: list[BaseException | None] = [error]
    while pending:
        each = pending.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        lines += [str(each), repr(each), repr(getattr(each, "__dict__", {}))]
        frames = traceback.TracebackException.from_exception(each, capture_locals=True, compact=False).stack
        lines += [
            f"{frame.filename}:{frame.lineno} {frame.locals}" for frame in frames if "/tests/" not in frame.filename
        ]
        pending += [each.__cause__, each.__context__]
        pending += [result.error for result in getattr(each, "report", ())]
    return "\n".join(lines)


def held(*things: object) -> str:
    """What a debugger shows of objects and of what they hold."""
    lines = []
    for thing in things:
        lines += [repr(thing), str(thing)]
        for inner in gc.get_referents(thing):
            lines.append(repr(inner))
    return "\n".join(lines)


def about_this_process() -> str:
    with tempfile.TemporaryFile() as file:
        faulthandler.dump_traceback(file, all_threads=True)
        file.seek(0)
        dump = file.read().decode(errors="replace")
    return dump + Path("/proc/self/cmdline").read_text() + Path("/proc/self/comm").read_text()


def written_below(home: Path) -> str:
    """All files but those that are there to keep secrets."""
    kept = {"login.json", "config.toml"}
    lines = []
    for top, _, names in os.walk(home):
        lines += [(Path(top) / name).read_bytes().decode("latin-1") for name in names if name not in kept]
    return "\n".join(lines)


def assert_clean(*texts: str) -> None:
    for text in texts:
        for secret in (MARK, quote(PASSWORD), base64.b64encode(MARK.encode()).decode()[:7], ACCOUNT_KEY[:16]):
            found = text.find(secret)
            assert found < 0, text[max(0, found - 300) : found + 100]


def service_file(path: Path, token_uri: str) -> Path:
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    account = {
        "type": "service_account",
        "project_id": "project",
        "private_key_id": "1",
        "private_key": pem,
        "client_email": "someone@project.example",
        "client_id": "1",
        "token_uri": token_uri,
    }
    path.write_text(json.dumps(account))
    path.chmod(0o600)
    return path


SettingsFor = Callable[[str, Path], tuple[str, dict[str, Any]]]


def aws(url: str, _: Path) -> tuple[str, dict[str, Any]]:
    return "AWS", {"aws": AWSSettings(endpoint=url, access_key="ID", secret_key=KEY, session_token=TOKEN)}


def azure_key(url: str, _: Path) -> tuple[str, dict[str, Any]]:
    return "AZURE", {"azure": AzureSettings(endpoint=url, account="account", account_key=ACCOUNT_KEY)}


def azure_sas(url: str, _: Path) -> tuple[str, dict[str, Any]]:
    return "AZURE", {"azure": AzureSettings(endpoint=url, sas_token=f"?{SAS}")}


def azure_string(url: str, _: Path) -> tuple[str, dict[str, Any]]:
    text = f"AccountName=account;AccountKey={ACCOUNT_KEY};BlobEndpoint={url}/account"
    return "AZURE", {"azure": AzureSettings(connection_string=text)}


def gcp(url: str, tmp_path: Path) -> tuple[str, dict[str, Any]]:
    file = service_file(tmp_path / "service.json", f"{url}/token")
    return "GCP", {"gcp": GCPSettings(endpoint=url, service_file=file)}


PLACES = [aws, azure_key, azure_sas, azure_string, gcp]

"""The two secrets of a unit: RW allows everything, RO allows listing and downloading."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from dxflow_async.config.loader import warn_when_readable
from dxflow_async.durability import sync_file, sync_path
from dxflow_async.exceptions import ConfigurationError

__all__ = ["UnitSecrets"]


@dataclass(frozen=True, slots=True)
class UnitSecrets:
    """A unit's secrets. Generated ones have 256 random bits each.

    Args:
        rw: allows everything.
        ro: allows listing and downloading.

    Raises:
        ConfigurationError: they are the same, or not 16 to 1024 visible ASCII characters.
    """

    rw: str = field(repr=False)
    ro: str = field(repr=False)

    def __post_init__(self) -> None:
        for secret in (self.rw, self.ro):
            if not (isinstance(secret, str) and re.fullmatch(r"[!-~]{16,1024}", secret)):
                raise ConfigurationError("a unit's secrets RW and RO must be 16 to 1024 visible ASCII characters each")
        if self.rw == self.ro:
            raise ConfigurationError("a unit's secrets RW and RO must differ")

    @classmethod
    def generate(cls) -> Self:
        """Returns new secrets."""
        return cls(secrets.token_urlsafe(32), secrets.token_urlsafe(32))

    @classmethod
    def load_or_create(cls, path: Path) -> Self:
        """Reads the secrets from a file, `{"RW": ..., "RO": ...}`. A missing file is created, for its owner. Blocks.

        Raises:
            ConfigurationError: the file cannot be read or written, or has another form.
        """
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return cls.load(path)
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be written: {error}; name another with --secrets") from error
        made = cls.generate()
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(made.to_dict(), file)
            file.flush()
            sync_file(descriptor)
        sync_path(path.parent)
        return made

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads the secrets from a file. Blocks.

        Raises:
            ConfigurationError: the file cannot be read, or has another form.
        """
        try:
            tree = json.loads(path.read_bytes())
            warn_when_readable(path)
            return cls(tree["RW"], tree["RO"])
        except FileNotFoundError as error:
            raise ConfigurationError(f"{path} does not exist; name the file that `unit serve` printed") from error
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            if isinstance(error, ConfigurationError):
                raise ConfigurationError(f"{path}: {error}") from error
            raise ConfigurationError(f'{path} is not {{"RW": ..., "RO": ...}}; remove it for a new one') from error

    def to_dict(self) -> dict[str, str]:
        """Returns the secrets in clear text, as a unit's description holds them."""
        return {"RW": self.rw, "RO": self.ro}

    def access(self, secret: str) -> str | None:
        """Returns `"RW"`, `"RO"`, or None for any other secret, in constant time."""
        given = _digest(secret)
        matches = [hmac.compare_digest(given, _digest(each)) for each in (self.rw, self.ro)]
        return "RW" if matches[0] else "RO" if matches[1] else None


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()

"""The two secrets of a unit: one does everything, one may only list and download."""

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
    """A unit's secrets: 256 random bits each, where we make them.

    Args:
        rw: does everything.
        ro: may list and download.

    Raises:
        ConfigurationError: they are the same, or no 16 to 1024 visible ASCII characters.
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
        """New ones."""
        return cls(secrets.token_urlsafe(32), secrets.token_urlsafe(32))

    @classmethod
    def load_or_create(cls, path: Path) -> Self:
        """Those of a file, `{"RW": ..., "RO": ...}`, which is made, for its owner only, when it is missing. Blocks.

        Raises:
            ConfigurationError: it cannot be read or written, or is of another form.
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
        """Those of a file. Blocks.

        Raises:
            ConfigurationError: it cannot be read, or is of another form.
        """
        try:
            tree = json.loads(path.read_bytes())
            warn_when_readable(path)
            return cls(tree["RW"], tree["RO"])
        except FileNotFoundError as error:
            raise ConfigurationError(f"there is no {path}; name the file that `unit serve` has said") from error
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            if isinstance(error, ConfigurationError):
                raise ConfigurationError(f"{path}: {error}") from error
            raise ConfigurationError(f'{path} is not {{"RW": ..., "RO": ...}}; remove it for a new one') from error

    def to_dict(self) -> dict[str, str]:
        """As a unit's description has them, in clear."""
        return {"RW": self.rw, "RO": self.ro}

    def access(self, secret: str) -> str | None:
        """`"RW"`, `"RO"`, or None for any other secret; takes the same time for all."""
        given = _digest(secret)
        matches = [hmac.compare_digest(given, _digest(each)) for each in (self.rw, self.ro)]
        return "RW" if matches[0] else "RO" if matches[1] else None


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()

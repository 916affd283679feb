"""Encrypts what the hub must be able to read again: AES-256-GCM with a key in a file beside the database.

Every value is sealed for its place. Moved to another account or provider, it cannot be opened.

Source: https://nvlpubs.nist.gov/nistpubs/Legacy/SP/nistspecialpublication800-38d.pdf
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from dxflow_async.config.loader import warn_when_readable
from dxflow_async.durability import sync_file, sync_path
from dxflow_async.exceptions import ConfigurationError

__all__ = ["KEY_NAME", "Vault"]

KEY_NAME = "hub.key"

_KEY_SIZE, _NONCE_SIZE = 32, 12


class Vault:
    """Seals and opens values.

    Args:
        home: the directory of the key. A missing key is created for its owner only. Blocks.

    Raises:
        ConfigurationError: the key cannot be read or created.
    """

    def __init__(self, home: Path) -> None:
        self._path = home / KEY_NAME
        self._cipher = AESGCM(_key(self._path))

    def seal(self, place: str, value: Any) -> bytes:
        """Returns a JSON value in encrypted form.

        Args:
            place: what the value is and whose. The same place is needed to open it.
            value: the value.
        """
        nonce = secrets.token_bytes(_NONCE_SIZE)
        return nonce + self._cipher.encrypt(nonce, json.dumps(value).encode(), place.encode())

    def open(self, place: str, sealed: bytes) -> Any:
        """Returns the value that was sealed for a place.

        Raises:
            ConfigurationError: the value was sealed with another key, or for another place.
        """
        try:
            text = self._cipher.decrypt(sealed[:_NONCE_SIZE], sealed[_NONCE_SIZE:], place.encode())
        except InvalidTag as error:
            reason = f"what the hub keeps was sealed with another key than {self._path}; restore that key"
            raise ConfigurationError(reason) from error
        return json.loads(text)


def _key(path: Path) -> bytes:
    # Written beside its name first, so that another process sees the whole key or none.
    temporary = path.with_name(f".{KEY_NAME}-{secrets.token_hex(8)}")
    try:
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(_KEY_SIZE))
                file.flush()
                sync_file(descriptor)
            with contextlib.suppress(FileExistsError):
                os.link(temporary, path)
            temporary.unlink()
            sync_path(path.parent)
        key = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"the hub's key {path} cannot be used: {error}") from error
    if len(key) != _KEY_SIZE:
        raise ConfigurationError(f"the hub's key {path} has {len(key)} bytes, not {_KEY_SIZE}; restore it")
    warn_when_readable(path)
    return key

"""Private keys, and the signature that proves that one has them.

A signature is RSASSA-PKCS1-v1_5 with SHA-256 over the text of a nonce, in base64.

Source: https://github.com/dxflow-ai/docs (04.api/001.auth); https://www.rfc-editor.org/rfc/rfc8017#section-8.2
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING

from dxflow_async.providers import ConfigurationError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

__all__ = ["Signer"]

_MAX_SIZE = 64 << 10


class Signer:
    """Signs with a private key.

    Args:
        path: the key's file: PEM, PKCS#1 or PKCS#8, unencrypted.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._key: RSAPrivateKey | None = None

    def sign(self, nonce: str) -> str:
        """Returns the signature of a nonce. It blocks: it reads the key's file the first time.

        Raises:
            ConfigurationError: the file cannot be used; the message says why and what to do.
        """
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import padding

        if self._key is None:
            self._key = _load(self.path)
        signature = self._key.sign(nonce.encode("utf-8", "surrogatepass"), padding.PKCS1v15(), hashes.SHA256())
        return base64.b64encode(signature).decode("ascii")


def _load(path: Path) -> RSAPrivateKey:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        with path.open("rb") as file:
            data = file.read(_MAX_SIZE)
    except OSError as error:
        raise ConfigurationError(f"key = {str(path)!r} cannot be read ({error.strerror})") from error
    if b"BEGIN OPENSSH PRIVATE KEY" in data:
        raise ConfigurationError(
            f"key = {str(path)!r} is in OpenSSH's format; convert a copy of it with: ssh-keygen -p -m PEM -f KEY"
        )
    if b"ENCRYPTED" in data:
        raise ConfigurationError(
            f"key = {str(path)!r} has a passphrase; remove it from a copy with: openssl rsa -in KEY -out KEY.plain"
        )
    if b"PRIVATE KEY" not in data:
        public = b"PUBLIC KEY" in data or data.startswith(b"ssh-rsa")
        kind = "a public key" if public else "no private key in PEM format"
        raise ConfigurationError(f"key = {str(path)!r} is {kind}; name the file of the private key")
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError) as error:
        # Without the error's own words, which may quote the file.
        raise ConfigurationError(
            f"key = {str(path)!r} is damaged, or of an unknown format ({type(error).__name__})"
        ) from None
    if not isinstance(key, RSAPrivateKey):
        raise ConfigurationError(f"key = {str(path)!r} is not an RSA key, which engines require")
    return key

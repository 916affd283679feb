"""How a service encrypts an object at rest."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from typing import Literal, Self

from dxflow_async.exceptions import ConfigurationError
from dxflow_async.security.redaction import Secret

__all__ = ["Encryption"]

_KEY_SIZE = 32


@dataclass(frozen=True, slots=True)
class Encryption:
    """How a service encrypts an object at rest. Use one of the class methods to make one.

    Attributes:
        kind: `"service"`, `"managed"`, `"customer"` or `"scope"`.
        name: of the managed key or of the scope.
        key: the customer's key in base64. It is never shown.

    Example:
        >>> Encryption.managed("arn:aws:kms:eu-central-1:111122223333:key/1234")
        Encryption(kind='managed', name='arn:aws:kms:eu-central-1:111122223333:key/1234')
        >>> Encryption.customer(bytes(32))
        Encryption(kind='customer', name=None)
    """

    kind: Literal["service", "managed", "customer", "scope"]
    name: str | None = None
    key: Secret | None = field(default=None, repr=False)

    @classmethod
    def service(cls) -> Self:
        """Encrypts with a key that belongs to the service: SSE-S3."""
        return cls("service")

    @classmethod
    def managed(cls, name: str | None = None) -> Self:
        """Encrypts with a key of the service's key management.

        Args:
            name: the ARN, ID or alias of an AWS KMS key, or the resource name of a Cloud KMS key. None: the account's
                default key, which only S3 has.
        """
        return cls("managed", name)

    @classmethod
    def customer(cls, key: bytes | str) -> Self:
        """Encrypts with a key that the service does not keep: SSE-C, CSEK, or a customer-provided key of Azure.

        The same key is needed to read the object. The service cannot recover it.

        Args:
            key: 32 bytes, or their base64.

        Raises:
            ConfigurationError: the key has another length.
        """
        try:
            data = base64.b64decode(key, validate=True) if isinstance(key, str) else bytes(key)
        except ValueError:
            data = b""
        if len(data) != _KEY_SIZE:
            raise ConfigurationError(f"a customer key has {_KEY_SIZE} bytes; give them as bytes, or as base64")
        return cls("customer", None, Secret(base64.b64encode(data).decode()))

    @classmethod
    def scope(cls, name: str) -> Self:
        """Encrypts with an encryption scope of an Azure storage account.

        Args:
            name: the name of the encryption scope.
        """
        return cls("scope", name)

    @property
    def key_md5(self) -> str:
        """The MD5 of the customer's key in base64, which S3 wants beside the key."""
        return base64.b64encode(hashlib.md5(self._raw, usedforsecurity=False).digest()).decode()

    @property
    def key_sha256(self) -> str:
        """The SHA-256 of the customer's key in base64, which Azure and Google want beside the key."""
        return base64.b64encode(hashlib.sha256(self._raw).digest()).decode()

    @property
    def _raw(self) -> bytes:
        return base64.b64decode(self.key or "")

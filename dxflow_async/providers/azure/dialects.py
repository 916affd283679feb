"""Remembers which parts of Azure's protocol an endpoint refuses.

Azure Stack Hub, IoT Edge and emulators know only older versions of the protocol, and some servers have no batches.
Source: https://learn.microsoft.com/rest/api/storageservices/previous-azure-storage-service-versions and
https://learn.microsoft.com/azure-stack/user/azure-stack-acs-differences
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from dxflow_async.providers.common.capability import Refusals
from dxflow_async.security.redaction import printable

__all__ = ["BATCH", "CRC64", "VERSIONS", "Dialect", "is_version_refusal"]

_log = logging.getLogger("dxflow_async.providers.azure")

VERSIONS = ("2023-11-03", "2021-02-12", "2019-12-12", "2019-07-07", "2017-11-09", "2017-04-17")
"""The protocol versions, in the order in which they are tried.

Each has less than the one before: names that XML cannot represent (2021-02-12), blocks of 4,000 MiB (2019-12-12),
CRC64 (2019-02-02), batches (2018-11-09), bearer tokens (2017-11-09).
"""

BATCH = "deletion of many blobs in one request"
CRC64 = "CRC64 of bodies"

_FIRST_WITH_START = "2023-05-03"
_FIRST_WITH_CRC64 = "2019-02-02"
_FIRST_WITH_BATCHES = "2018-11-09"
_FIRST_WITH_LARGE_BLOCKS = "2019-12-12"
_CODES = ("InvalidHeaderValue", "UnsupportedHeader", "")


class Dialect:
    """What a session learned of an endpoint.

    Args:
        endpoint: its URL, for log lines.

    Attributes:
        on_older: called after the version changed.
        version: the protocol version that requests name.
        confirmed: whether the service has accepted that version.
        refused: what the endpoint refuses.
    """

    def __init__(self, endpoint: str) -> None:
        self.version = VERSIONS[0]
        self.confirmed = False
        self.refused = Refusals()
        self.on_older: Callable[[], None] = lambda: None
        self._endpoint = endpoint

    @property
    def has_crc64(self) -> bool:
        """Whether the version has CRC64, and none was refused."""
        return self.version >= _FIRST_WITH_CRC64 and CRC64 not in self.refused

    @property
    def has_batches(self) -> bool:
        """Whether the version has batches, and none was refused."""
        return self.version >= _FIRST_WITH_BATCHES and BATCH not in self.refused

    @property
    def has_start(self) -> bool:
        """Whether the version lists from a key (`startFrom`)."""
        return self.version >= _FIRST_WITH_START

    @property
    def has_large_blocks(self) -> bool:
        """Whether a block may have more than 100 MiB, and one request more than 256 MiB."""
        return self.version >= _FIRST_WITH_LARGE_BLOCKS

    def try_older(self, used: str) -> bool:
        """Changes to an older version after `used` was refused; returns False if there is none.

        Another request may have changed the version already.
        """
        if self.version == used:
            place = VERSIONS.index(used) + 1
            if place == len(VERSIONS):
                self.version = VERSIONS[0]
                self.on_older()
                return False
            self.version = VERSIONS[place]
            self.on_older()
            return True
        return self.version < used

    def confirm(self, used: str) -> None:
        """Records that the service accepted a version."""
        if not self.confirmed and used == self.version:
            self.confirmed = True
            if used != VERSIONS[0]:
                _log.warning("%s takes no version of the protocol after %s", self._endpoint, used)

    def refuse(self, what: str, reason: str) -> None:
        """Records that the endpoint refuses something, which is done another way for an hour."""
        if self.refused.note(what, reason):
            _log.warning("%s refuses the %s (%s): it is done another way", self._endpoint, what, printable(reason))

    @property
    def facts(self) -> Sequence[tuple[str, str]]:
        """What is known, as pairs of a subject and its value."""
        version = [("protocol version", self.version)] if self.confirmed else []
        return [*version, *self.refused.facts]


def is_version_refusal(dialect: Dialect, used: str, status: int, code: str, data: bytes) -> bool:
    """Returns whether a response refuses the version of the protocol that the request used.

    A response to HEAD has no body. It is believed as long as no request of that version succeeded: one that was sent
    with a newer version may be answered after an older one was confirmed.
    """
    if status != 400 or code not in _CODES:
        return False
    said = data.lower()
    return (
        b"x-ms-version" in said
        or b"api version" in said
        or (not said and not (dialect.confirmed and used == dialect.version))
    )

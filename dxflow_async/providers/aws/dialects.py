"""What is known of one S3 endpoint: which optional parts of the protocol it accepts, and its own limits.

Services that speak the S3 protocol leave out parts of it, and say so only when they are asked: by an error, or by an
answer that lacks a confirmation. A `Dialect` collects these facts from the endpoint's host name, from the settings and
from its answers. An ability that was refused is done another way from then on, without trying it each time. A refusal
may be temporary (a proxy, a node that is being updated), so it is believed for an hour; then one request tries again.
An ability that worked is never doubted: an error of a later request is about that request.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from dxflow_async.config.settings import AWSSettings
from dxflow_async.security.redaction import printable

__all__ = ["Ability", "Dialect", "Fact", "is_amazon"]

_BELIEF = 3600.0
"""Seconds for which a refusal is believed."""

_PATIENCE = 1.0
"""Seconds that requests wait for the one that tries an ability first."""

_MAX_REASON = 200


class Ability(StrEnum):
    """An optional part of the protocol. Each value is its name in `remotes test`."""

    UNSIGNED = "UNSIGNED-PAYLOAD in signatures"
    UNSIGNED_BODIES = "UNSIGNED-PAYLOAD in signatures of uploads"
    READ_CHECKSUMS = "checksums on reads"
    OBJECT_CRC32C = "CRC32C of objects"
    PART_CRC32C = "CRC32C of parts"
    UPLOAD_CRC32C = "CRC32C of multipart uploads"
    FULL_OBJECT = "full-object CRC32C of multipart uploads"
    FINISH_FULL = "full-object CRC32C at completion"
    FINISH_PARTS = "CRC32C of parts at completion"
    MD5_ETAGS = "MD5s as ETags"
    ETAGS = "ETags of objects"
    LISTED_ETAGS = "ETags in listings that HEAD tells, too"
    METADATA = "metadata of objects"
    BATCH_DELETE = "deletion of many objects in one request"
    DELETE_MD5 = "Content-MD5 of deletions"
    LIST_V2 = "ListObjectsV2"
    HEAD = "HEAD of objects"
    HEAD_SIZE = "size in the answer to HEAD"
    PLAIN_DELETE = "status 204 after a deletion"
    RANGES = "ranges"
    ANY_NAMES = "keys with // and . segments"
    BACKSLASHES = "keys with backslashes"
    CREATE_ONLY = "If-None-Match of writes"
    REPLACE_ONLY = "If-Match of writes"


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that is known of an endpoint.

    Attributes:
        value: whether an ability is there, or a limit.
        reason: how it is known: the status and code of an answer, `"host name"` or `"settings"`.
        until: when it is no longer believed, by the dialect's clock.
    """

    value: Any
    reason: str
    until: float = math.inf


_AMAZON = re.compile(r"(?:^|\.)(amazonaws\.com(\.[a-z]+)?|api\.aws)$")
_AMAZONS = (
    Ability.READ_CHECKSUMS,
    Ability.OBJECT_CRC32C,
    Ability.PART_CRC32C,
    Ability.UPLOAD_CRC32C,
    Ability.FULL_OBJECT,
    Ability.FINISH_FULL,
    Ability.FINISH_PARTS,
    Ability.BATCH_DELETE,
    Ability.LIST_V2,
    Ability.LISTED_ETAGS,
    Ability.HEAD,
    Ability.ANY_NAMES,
    Ability.BACKSLASHES,
    Ability.CREATE_ONLY,
    Ability.REPLACE_ONLY,
)

_LIMITS: Sequence[tuple[re.Pattern[str], Mapping[str, Any]]] = (
    # https://developers.cloudflare.com/r2/objects/upload-objects/#part-size-limits
    (re.compile(r"(?:^|\.)r2\.cloudflarestorage\.com$"), {"uniform_parts": True}),
    # https://www.scaleway.com/en/docs/object-storage/reference-content/s3-multipart-upload/ (1,000 parts)
    (re.compile(r"(?:^|\.)s3\.[a-z0-9-]+\.scw\.cloud$"), {"max_parts": 1000}),
)

_SHOWN = {
    "max_parts": "most parts of an upload",
    "uniform_parts": "parts of one size",
    "max_write_size": "largest object in one request (bytes)",
    "max_part_size": "largest part (bytes)",
    "min_part_size": "smallest part (bytes)",
}


def is_amazon(host: str) -> bool:
    """Returns whether a host, which may have a port, is Amazon's own.

    Example:
        >>> is_amazon("s3.eu-central-1.amazonaws.com:443"), is_amazon("s3.example.org")
        (True, False)
    """
    return _AMAZON.search((urlsplit(f"//{host}").hostname or "").lower()) is not None


class Dialect:
    """Everything that is known of one S3 endpoint.

    Args:
        settings: the remote's settings.
        limited: called with the name and the value of each limit that is learned.
        clock: the time in seconds; tests give their own.

    Attributes:
        amazon: whether it is Amazon's own, as far as the host is known.
        compares: whether the checksums that answers report are compared.
        names_kept: the kinds of odd names that a listing had as they were written; see `odd_names`.
        proven: the abilities that are known to be there.
    """

    def __init__(
        self,
        settings: AWSSettings,
        *,
        limited: Callable[[str, Any], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limited = limited
        self._clock = clock
        self._facts: dict[Ability, Fact] = {}
        self.proven: set[Ability] = set()
        self._limits: dict[str, Fact] = {}
        self._regions: dict[str, tuple[str, str]] = {}
        self._trying: dict[Ability, asyncio.Lock] = {}
        self._host: str | None = None
        self.amazon = False
        self.compares = True
        self.names_kept: set[Ability] = set()
        if settings.sign_payload:
            self._note(Fact(False, "settings"), Ability.UNSIGNED, Ability.UNSIGNED_BODIES)
        if settings.max_parts is not None:
            self.limit("max_parts", settings.max_parts, "settings")
        if settings.uniform_parts:
            self.limit("uniform_parts", True, "settings")
        if settings.endpoint:
            self.meet(urlsplit(settings.endpoint).netloc)

    def use_checksums(self, *, sent: bool, compared: bool) -> None:
        """Notes which checksums the configuration wants; see `ChecksumSettings`."""
        off = Fact(False, "settings")
        if not sent:
            self._note(off, Ability.OBJECT_CRC32C, Ability.PART_CRC32C, Ability.UPLOAD_CRC32C)
        if not compared:
            self._note(off, Ability.READ_CHECKSUMS)
        self.compares = compared

    def meet(self, host: str) -> None:
        """Notes what is known of a service by its host name, which may have a port. The settings take precedence."""
        if host == self._host:
            return
        self._host = host
        name = (urlsplit(f"//{host}").hostname or "").lower()
        self.amazon = is_amazon(host)
        if self.amazon:
            self._note(Fact(True, "host name"), *(each for each in _AMAZONS if each not in self._facts))
        for pattern, limits in _LIMITS:
            for limit, value in limits.items() if pattern.search(name) else ():
                if limit not in self._limits:
                    self.limit(limit, value, "host name")

    def allows(self, ability: Ability) -> bool:
        """Returns whether to use an ability: yes, unless it was refused within the last hour."""
        fact = self._facts.get(ability)
        return fact is None or fact.value or self._expired(ability, fact)

    def has(self, ability: Ability) -> bool:
        """Returns whether an ability is known to be there."""
        return ability in self.proven

    def known(self, ability: Ability) -> bool:
        """Returns whether an ability is known to be there or not to be there."""
        fact = self._facts.get(ability)
        return fact is not None and (fact.value or not self._expired(ability, fact))

    def accept(self, *abilities: Ability) -> None:
        """Notes that the endpoint used abilities as they were requested."""
        self._note(Fact(True, "as it answered"), *(each for each in abilities if each not in self._facts))

    def refuse(self, ability: Ability, reason: str) -> bool:
        """Notes that the endpoint does not have an ability. Returns whether that is new."""
        new = not self.known(ability) or self.allows(ability)
        self._note(Fact(False, reason[:_MAX_REASON], self._clock() + _BELIEF), ability)
        return new

    @asynccontextmanager
    async def first(self, ability: Ability) -> AsyncIterator[None]:
        """Lets one request try an ability that nothing is known of, while others wait for its answer.

        Requests that arrive together would otherwise all be refused, and send their bodies twice. They wait for a
        second at most: a body that takes longer to send does not delay the others.
        """
        if self.known(ability):
            yield
            return
        lock = self._trying.setdefault(ability, asyncio.Lock())
        held = False
        try:
            async with asyncio.timeout(_PATIENCE):
                held = await lock.acquire()
        except TimeoutError:
            pass
        if held and self.known(ability):
            lock.release()
            held = False
        try:
            yield
        finally:
            if held:
                lock.release()

    def limit(self, name: str, value: Any, reason: str) -> None:
        """Notes a limit, for this session.

        Args:
            name: as in `Features`.
            value: the limit.
            reason: how it is known.
        """
        self._limits[name] = Fact(value, reason[:_MAX_REASON])
        if self._limited is not None:
            self._limited(name, value)

    def region(self, bucket: str, region: str, reason: str) -> None:
        """Notes the region of a bucket, for this session."""
        if len(self._regions) < 1000:
            self._regions[bucket] = region, reason

    def facts(self) -> Sequence[tuple[str, str]]:
        """Returns each fact and its value with the reason, for `remotes test`."""
        rows = [(str(name), _ability(fact, fact.until - self._clock())) for name, fact in self._facts.items()]
        rows += [(_SHOWN.get(name, name), _limit(fact)) for name, fact in self._limits.items()]
        rows += [(f"region of {name}", f"{value} ({reason})") for name, (value, reason) in self._regions.items()]
        return [(printable(name), printable(value)) for name, value in rows]

    def _note(self, fact: Fact, *abilities: Ability) -> None:
        self._facts.update(dict.fromkeys(abilities, fact))
        (self.proven.update if fact.value else self.proven.difference_update)(abilities)

    def _expired(self, ability: Ability, fact: Fact) -> bool:
        if fact.until > self._clock():
            return False
        if self._facts.get(ability) is fact:
            del self._facts[ability]
        return True


def _ability(fact: Fact, seconds: float) -> str:
    if fact.value or math.isinf(seconds):
        return f"{'yes' if fact.value else 'no'} ({fact.reason})"
    return f"no ({fact.reason}; believed for {max(1, math.ceil(seconds / 60))} minutes)"


def _limit(fact: Fact) -> str:
    value = "yes" if fact.value is True else fact.value
    learned = "" if fact.reason in ("host name", "settings") else "; believed for this session"
    return f"{value} ({fact.reason}{learned})"

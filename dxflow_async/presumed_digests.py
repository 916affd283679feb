"""Digests of which a service does not say for certain what they are of.

An ETag of 32 hexadecimal digits is an object's MD5 at most services, but not with every encryption. One that ends in
the number of parts is the MD5 of the parts' MD5s. S3's composite checksums are the same with other algorithms. rclone
keeps the MD5 of a whole in the metadata `md5chksum`. If the computed digest equals such a value, the bytes are proven.
If it does not, either the bytes are wrong or the value is something else, which `DigestFacts` tells apart.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html (ETag),
https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html (composite checksums),
https://rclone.org/s3/#hashes (md5chksum)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from dxflow_async.digests import RunningDigest, digest_of
from dxflow_async.streams import Buffer

__all__ = ["DigestFacts", "PartsDigest", "PresumedDigest", "uniform_sizes"]

_MAX_REMEMBERED = 1024
"""Objects with an unexpected digest that are remembered. Each is read again once at most."""


class DigestFacts:
    """What the reads of one service have shown about its presumed digests, by bucket and kind.

    Attributes:
        tells_parts: the service has not yet failed to tell the size of a part by its number.
        tells_attributes: the service has not yet failed to list the parts of an object.
    """

    def __init__(self) -> None:
        self.tells_parts = True
        self.tells_attributes = True
        self._holds: set[tuple[str, str]] = set()
        self._refuted: set[tuple[str, str]] = set()
        self._others: dict[tuple[str, bytes], bytes] = {}

    def refuted(self, where: tuple[str, str]) -> bool:
        """Returns whether digests of that bucket and kind were compared, and none was ever right."""
        return where in self._refuted and where not in self._holds

    def held(self, where: tuple[str, str]) -> None:
        """Notes that a digest was right."""
        self._holds.add(where)

    def differs(self, where: tuple[str, str], key: str, told: bytes, found: bytes, *, again: bool) -> bool | None:
        """Returns False if bytes with another digest are to be taken for wrong, None if they prove nothing.

        Where such digests were right before, the bytes are wrong. Otherwise the first object is read again: the same
        bytes twice show that the value is no digest of them.
        """
        if where in self._holds:
            return False
        before = self._others.pop((key, told), None)
        if not again or before == found or where in self._refuted or (before is None and self._others):
            self._refuted.add(where)
            return None
        if len(self._others) >= _MAX_REMEMBERED:
            self._others.clear()
        self._others[key, told] = found
        return False

    def __reduce__(self) -> tuple[type[DigestFacts], tuple[()]]:
        return DigestFacts, ()  # another process learns by itself


@dataclass(frozen=True, slots=True)
class PresumedDigest:
    """A digest that an object probably has.

    Attributes:
        algorithm: of the whole, or of the parts and of their digests in order; as in `ExpectedDigest`.
        value: its bytes.
        kind: what reports it: `"ETag"`, `"md5chksum"` or `"checksum"`.
        bucket: where the object is.
        count: how many parts it is of; 0: it is of the whole object.
        sizes: the sizes of the parts in bytes, once they are known.
        certain: the service documents that it is what it is taken for, so other bytes are wrong.
        facts: what is known of the service.
    """

    algorithm: str
    value: bytes
    kind: str
    bucket: str = ""
    count: int = 0
    sizes: Sequence[int] = ()
    certain: bool = False
    facts: DigestFacts = field(default_factory=DigestFacts, compare=False, repr=False)

    @property
    def shown(self) -> str:
        """The digest's name, as errors show it."""
        name = self.algorithm.upper()
        return f"{name} ({self.kind})" if not self.count else f"{name} of its {self.count} parts ({self.kind})"

    @property
    def computable(self) -> bool:
        """Whether it can be computed from the object's bytes."""
        return not self.count or bool(self.sizes)

    @property
    def reason(self) -> str:
        """Why it proved nothing."""
        if not self.computable:
            return "the sizes of the source's parts are not known"
        return f"the {self.kind} of the source is not a checksum of its bytes"

    def running(self) -> RunningDigest | PartsDigest:
        """Returns a digest without bytes that computes this one."""
        return PartsDigest(self.algorithm, self.sizes) if self.count else RunningDigest(self.algorithm)

    def judge(self, key: str, found: bytes, *, again: bool = False) -> bool | None:
        """Returns whether an object has this digest; None if that is not decided.

        Args:
            key: the object's.
            found: the digest of the bytes that arrived.
            again: the caller reads the object again if the answer is False.
        """
        where = self.bucket, f"{self.kind} {self.count > 0}"
        if found == self.value:
            self.facts.held(where)
            return True
        return False if self.certain else self.facts.differs(where, key, self.value, found, again=again)


class PartsDigest:
    """The digest of the digests of an object's parts, computed as the bytes pass.

    Args:
        algorithm: as in `ExpectedDigest`.
        sizes: the sizes of the parts in bytes.

    Example:
        >>> parts = PartsDigest("md5", (2, 1))
        >>> parts.update(b"abc")
        >>> parts.value == digest_of("md5", digest_of("md5", b"ab") + digest_of("md5", b"c"))
        True
    """

    __slots__ = ("_current", "_done", "_left", "_sizes", "algorithm")

    def __init__(self, algorithm: str, sizes: Sequence[int]) -> None:
        self.algorithm = algorithm
        self._sizes = iter(sizes)
        self._done: list[bytes] = []
        self._current = RunningDigest(algorithm)
        self._left = next(self._sizes, 0)

    def update(self, data: Buffer) -> None:
        """Adds the next bytes. Blocks while they are hashed."""
        view = memoryview(data).cast("B")
        while view:
            piece = view[: self._left] if self._left else view
            self._current.update(piece)
            view = view[len(piece) :]
            if self._left == len(piece):
                self._done.append(self._current.value)
                self._current = RunningDigest(self.algorithm)
                self._left = next(self._sizes, 0)
            elif self._left:
                self._left -= len(piece)

    @property
    def value(self) -> bytes:
        """The digest of the digests of all parts that are complete."""
        return digest_of(self.algorithm, b"".join(self._done))


def uniform_sizes(size: int, part_size: int, count: int) -> Sequence[int]:
    """Returns the sizes of an object's parts, all equal but the last; nothing if the object has another size.

    Example:
        >>> uniform_sizes(20, 8, 3), uniform_sizes(20, 8, 2)
        ((8, 8, 4), ())
    """
    if not (count > 0 and part_size > 0 and part_size * (count - 1) < size <= part_size * count):
        return ()
    return (part_size,) * (count - 1) + (size - part_size * (count - 1),)

"""Digests of objects that S3 reports in other ways than a checksum of the whole.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dxflow_async import checksum
from dxflow_async.digests import ExpectedDigest, decoded, digest_of, is_combinable, joiner
from dxflow_async.exceptions import StorageError
from dxflow_async.presumed_digests import DigestFacts, PresumedDigest, uniform_sizes
from dxflow_async.providers.aws.headers import METADATA, checksum_type, etag_of, range_headers, split_key
from dxflow_async.providers.common.etags import if_match, opaque_tag, same_etag
from dxflow_async.providers.common.fields import content_length
from dxflow_async.providers.contract import Entry
from dxflow_async.providers.http import Call

if TYPE_CHECKING:
    from dxflow_async.providers.aws.provider import AWSProvider

__all__ = ["add_digests", "complete_digest"]

_ALGORITHMS = tuple((f"x-amz-checksum-{each}", each) for each in ("crc32c", "crc64nvme", "crc32", "sha256", "sha1"))
_RCLONE = f"{METADATA}md5chksum"
_ETAG = re.compile(r"([0-9a-f]{32})(?:-([1-9][0-9]{0,4}))?")
_GOOGLE = re.compile(r"(crc32c|md5)=([A-Za-z0-9+/=]+)")
_EXPRESS = "--x-s3"
"""How the names of directory buckets end; their ETags are not MD5s."""

_MAX_LOOKED_UP = 32
"""Parts of different sizes that are looked up one by one."""

_MiB = 1 << 20
_USUAL_SIZES = tuple(size * _MiB for size in (8, 5, 16, 50, 64, 10, 15, 100, 128, 32, 25, 20, 256, 512))
"""Part sizes that aws-cli, rclone, s5cmd and the SDKs use by default or by advice, the most usual ones first."""


def add_digests(entry: Entry, headers: Mapping[str, str], facts: DigestFacts, *, amazon: bool) -> None:
    """Adds the digest of an object that has no checksum of the whole, from the headers that describe it.

    Args:
        entry: the object.
        headers: of a response about it.
        facts: what is known of the service.
        amazon: whether it is Amazon's, which documents what its ETags are.
    """
    if entry.crc32c is not None or entry.digest is not None:
        return
    if "x-goog-hash" in headers:
        google = dict(_GOOGLE.findall(headers["x-goog-hash"]))
        entry.crc32c = checksum.decode(google.get("crc32c"))
        entry.digest = None if entry.crc32c is not None else decoded("md5", google.get("md5"))
    if entry.crc32c is None and entry.digest is None:
        entry.presumed = _presumed(split_key(entry.key)[0], headers, facts, amazon=amazon)


def _presumed(bucket: str, headers: Mapping[str, str], facts: DigestFacts, *, amazon: bool) -> PresumedDigest | None:
    md5 = _md5_of(headers[_RCLONE]) if _RCLONE in headers else None
    if md5 is not None and not facts.refuted((bucket, "md5chksum False")):
        return PresumedDigest("md5", md5.value, "md5chksum", bucket, facts=facts)
    etag = _ETAG.fullmatch(opaque_tag(headers.get("etag", "").strip()).lower())
    composite = checksum_type(headers) == "COMPOSITE"
    for name, algorithm in _ALGORITHMS:
        if name not in headers:
            continue
        value, _, parts = headers[name].strip().strip('"').partition("-")
        found = decoded(algorithm, value)
        count = parts or (etag[2] if etag and composite else None)
        if found is not None and count and count.isdecimal() and 0 < int(count) <= 10_000:
            return PresumedDigest(algorithm, found.value, "checksum", bucket, int(count), facts=facts)
    if etag is None or _has_own_key(headers) or facts.refuted((bucket, f"ETag {bool(etag[2])}")):
        return None
    certain = amazon and not etag[2] and not bucket.endswith(_EXPRESS) and bool(headers.get("x-amz-id-2"))
    return PresumedDigest(
        "md5", bytes.fromhex(etag[1]), "ETag", bucket, int(etag[2] or 0), certain=certain, facts=facts
    )


def _md5_of(text: str) -> ExpectedDigest | None:
    """Returns an MD5 that is written in base64, as by rclone, or in hexadecimal digits."""
    text = text.strip().strip('"')
    is_hex = re.fullmatch(r"[0-9a-fA-F]{32}", text) is not None
    return ExpectedDigest("md5", bytes.fromhex(text)) if is_hex else decoded("md5", text)


def _has_own_key(headers: Mapping[str, str]) -> bool:
    """Returns whether an object is encrypted in a way by which its ETag is not an MD5."""
    managed = headers.get("x-amz-server-side-encryption", "").lower().startswith("aws:kms")
    customer = "x-amz-server-side-encryption-customer"
    return managed or f"{customer}-algorithm" in headers or f"{customer}-key-md5" in headers


async def complete_digest(provider: AWSProvider, entry: Entry) -> Entry:
    """Returns an object with the sizes of its parts in `presumed`, or with the checksum of the whole.

    A refusal is no error: the object is then not verified.
    """
    presumed = entry.presumed
    if presumed is None or presumed.computable:
        return entry
    call = Call(provider.name, "stat", f"/{entry.key}")
    try:
        if presumed.kind == "checksum" and presumed.facts.tells_attributes:
            found = await _by_attributes(provider, call, entry, presumed)
            if found is not None:
                return found
            presumed.facts.tells_attributes = False
        sizes = await _by_numbers(provider, call, entry, presumed) if presumed.facts.tells_parts else None
    except StorageError as error:
        if error.retryable:
            raise
        sizes = None
    if sizes is None:
        presumed.facts.tells_parts = False
        sizes = next(filter(None, (uniform_sizes(entry.size, each, presumed.count) for each in _USUAL_SIZES)), ())
    return replace(entry, presumed=replace(presumed, sizes=sizes))


async def _by_attributes(provider: AWSProvider, call: Call, entry: Entry, presumed: PresumedDigest) -> Entry | None:
    """Returns the object with what GetObjectAttributes tells of its parts; None if that is not all of them.

    The checksum of the parts' checksums is computed: only if it is that of the object, the answer is believed.
    """
    try:
        sizes, values = await _listed_parts(provider, call, entry, presumed)
    except (KeyError, ValueError):
        return None
    except StorageError as error:
        if error.retryable and error.status != 200:
            raise
        return None
    proven = digest_of(presumed.algorithm, b"".join(values)) == presumed.value
    if not proven or len(sizes) != presumed.count or sum(sizes) != entry.size:
        return None
    if not is_combinable(presumed.algorithm):
        return replace(entry, presumed=replace(presumed, sizes=tuple(sizes), certain=True))
    whole = _combined(presumed.algorithm, values, sizes)
    if presumed.algorithm == "crc32c":
        return replace(entry, crc32c=int.from_bytes(whole, "big"), presumed=None)
    return replace(entry, digest=ExpectedDigest(presumed.algorithm, whole), presumed=None)


async def _listed_parts(
    provider: AWSProvider, call: Call, entry: Entry, presumed: PresumedDigest
) -> tuple[list[int], list[bytes]]:
    """Returns the sizes and the digests of an object's parts, from as many pages as there are.

    Raises:
        KeyError, ValueError: the answer is not about parts, or lacks a size or a digest.
        StorageError: the service refused, or answered with something else.
    """
    name = "Checksum" + presumed.algorithm.upper()
    sizes: list[int] = []
    values: list[bytes] = []
    while len(sizes) < presumed.count:
        headers = {"x-amz-object-attributes": "ObjectParts,Checksum,ObjectSize"}
        headers["x-amz-part-number-marker"] = str(len(sizes))
        response = await provider.requests.send(call, "GET", *split_key(entry.key), headers, query={"attributes": ""})
        if content_length(response.headers) == entry.size or not same_etag(entry.etag, etag_of(response.headers)):
            response.close()
            raise ValueError("it is the object itself, or another version")
        document = await provider.requests.document(
            call, response, "GetObjectAttributesResponse", "GetObjectAttributesOutput"
        )
        rows = document.rows.get("Part", ())
        if not rows:
            break
        for row in rows:
            value = decoded(presumed.algorithm, row.get(name))
            if value is None or int(row["PartNumber"]) != len(sizes) + 1:
                raise ValueError("a part without a digest, or out of order")
            sizes.append(int(row["Size"]))
            values.append(value.value)
    return sizes, values


def _combined(algorithm: str, values: Sequence[bytes], sizes: Sequence[int]) -> bytes:
    join, whole = joiner(algorithm), 0
    for value, size in zip(values, sizes, strict=True):
        whole = join(whole, int.from_bytes(value, "big"), size)
    return whole.to_bytes(len(values[0]), "big")


async def _by_numbers(
    provider: AWSProvider, call: Call, entry: Entry, presumed: PresumedDigest
) -> Sequence[int] | None:
    """Returns the sizes of the parts as HEAD tells them by number; None if the service does not."""
    first = await _size_of_part(provider, call, entry, presumed.count, 1)
    if first is None:
        return None
    sizes = uniform_sizes(entry.size, first, presumed.count)
    if sizes or presumed.count > _MAX_LOOKED_UP:
        return sizes or None
    found = [first]
    for number in range(2, presumed.count + 1):
        size = await _size_of_part(provider, call, entry, presumed.count, number)
        if size is None:
            return None
        found.append(size)
    return found if sum(found) == entry.size else None


async def _size_of_part(provider: AWSProvider, call: Call, entry: Entry, count: int, number: int) -> int | None:
    headers = range_headers(0, None, entry.etag) if if_match(entry.etag) is not None else {}
    response = await provider.requests.send(
        call, "HEAD", *split_key(entry.key), headers, query={"partNumber": str(number)}
    )
    response.close()
    told = response.headers.get("x-amz-mp-parts-count", "").strip()
    if told != str(count) or not same_etag(entry.etag, etag_of(response.headers)):
        return None
    return content_length(response.headers)

"""Limits of a service that its refusals tell: the number and the sizes of parts, and the size of one request.

Each function returns the limits by their names in `Features`; an empty dictionary if the refusal is not about a limit.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from dxflow_async.providers.aws.refusals import Refusal
from dxflow_async.providers.contract import Features, PartReceipt

__all__ = ["finish_limits", "part_limits", "write_limits"]

_NUMBER = re.compile(
    r"part ?number|parts? (count|limit)|number of parts|too many parts|maximum (number )?of parts", re.IGNORECASE
)
_UNIFORM = re.compile(r"same (length|size)|uniform|equal (length|size)", re.IGNORECASE)
_MOST = re.compile(
    r"between 1 and ([0-9]{1,6})|(?:exceed|maximum|more than|at most|limit)[^0-9]{0,60}([0-9]{1,6})", re.IGNORECASE
)
_TOO_LARGE = ("EntityTooLarge", "EntityTooLargeException", "RequestEntityTooLarge", "MaxMessageLengthExceeded")


def part_limits(refusal: Refusal, features: Features, number: int, size: int) -> dict[str, Any]:
    """Returns the limits that the refusal of a part tells.

    Args:
        refusal: the response.
        features: the limits so far.
        number, size: the part's.
    """
    if refusal.status not in (400, 413):
        return {}
    if refusal.code == "InvalidPart" and _UNIFORM.search(refusal.message):
        return {"uniform_parts": True}
    if refusal.code in ("InvalidPartNumber", "TooManyParts") or _NUMBER.search(refusal.message):
        return _parts_below(refusal, features, number)
    if _is_too_large(refusal):
        largest = _told(refusal, "MaxSizeAllowed")
        if largest is None or largest >= size:
            largest = size // 2
        return {"max_part_size": largest} if largest >= features.min_part_size else {}
    return {}


def finish_limits(refusal: Refusal, features: Features, receipts: Sequence[PartReceipt]) -> dict[str, Any]:
    """Returns the limits that the refusal to complete an upload tells.

    Args:
        refusal: the response.
        features: the limits so far.
        receipts: of the parts, ordered by number.
    """
    if refusal.status not in (200, 400):
        return {}
    if refusal.code in ("InvalidPart", "InvalidArgument", "InvalidRequest") and _UNIFORM.search(refusal.message):
        return {"uniform_parts": True}
    if refusal.code == "EntityTooSmall":
        smallest, least = _told(refusal, "MinSizeAllowed"), min(each.part.size for each in receipts[:-1] or receipts)
        return {"min_part_size": smallest if smallest is not None and smallest > least else 2 * least}
    if refusal.code == "TooManyParts" or (refusal.code != "InvalidPart" and _NUMBER.search(refusal.message)):
        return _parts_below(refusal, features, receipts[-1].part.number)
    return {}


def write_limits(refusal: Refusal, size: int) -> dict[str, Any]:
    """Returns the limits that the refusal of a whole object tells.

    Args:
        refusal: the response.
        size: the object's, in bytes.
    """
    if refusal.status not in (400, 413) or not _is_too_large(refusal) or not size:
        return {}
    largest = _told(refusal, "MaxSizeAllowed")
    return {"max_write_size": largest if largest is not None and largest < size else size - 1}


def _parts_below(refusal: Refusal, features: Features, number: int) -> dict[str, Any]:
    """Returns the limit that the message names, or that a refused number shows."""
    found = _MOST.search(refusal.message)
    told = int(found.group(1) or found.group(2)) if found is not None else number
    most = min(told if 0 < told < number else number - 1, features.max_parts)
    return {"max_parts": most} if most >= 1 else {}


def _is_too_large(refusal: Refusal) -> bool:
    return refusal.code in _TOO_LARGE or (refusal.status == 413 and not refusal.code)


def _told(refusal: Refusal, element: str) -> int | None:
    found = re.search(rb"<%s>\s*([0-9]{1,18})\s*</%s>" % (element.encode(), element.encode()), refusal.data)
    return None if found is None else int(found.group(1))

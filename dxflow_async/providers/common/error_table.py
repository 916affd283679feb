"""Tables that translate a service's refusals: the code decides, then the words, and the status only at last.

A status alone says little: 403 is a missing right, a retention period, an archived object, a wrong clock, or the page
of a proxy. The advice in each row is one sentence that names the setting to change or the thing to do.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from html import unescape
from typing import NamedTuple
from urllib.parse import urlsplit

from dxflow_async.exceptions import AccessDeniedError, ServiceError, StorageError
from dxflow_async.providers.common.confirm import FEW_ATTEMPTS
from dxflow_async.providers.common.remote_names import for_remote
from dxflow_async.providers.common.server_clock import ServerClock
from dxflow_async.providers.common.status_errors import STATUS_ERRORS, is_page, retry_after_of
from dxflow_async.providers.http import Call

__all__ = ["AGAIN", "SLOWER", "ErrorRow", "ErrorTable", "KeyRows", "page_text"]

AGAIN = "the service failed; try again"
SLOWER = "the service asks for fewer requests; try again later, or set max_concurrency to a smaller value"
_FOREIGN = (
    "the answer is not one of the service; a proxy, a firewall or a load balancer in front of it may have refused the "
    "request: check the network and the endpoint"
)


class ErrorRow(NamedTuple):
    """An error of ours.

    Attributes:
        cls: its class.
        advice: what the user can do.
        retryable: whether to retry, where that differs from the rule of the class.
        max_attempts: the most attempts, where ten are too many.
    """

    cls: type[StorageError]
    advice: str
    retryable: bool | None = None
    max_attempts: int | None = None


class KeyRows:
    """The errors of objects under customers' keys.

    Args:
        setting: of the remote, with the key: `AWS.customer_key`.

    Attributes:
        needed: the request had no key.
        wrong: it had another one.
        needless: it had one, and the object has none.
    """

    def __init__(self, setting: str) -> None:
        places = f"encryption= of the call, or in {setting}"
        self.needed = ErrorRow(AccessDeniedError, f"it is encrypted with a customer's key: give that key in {places}")
        self.wrong = ErrorRow(
            AccessDeniedError, f"it is encrypted with another customer's key than the one in {places}: give that one"
        )
        self.needless = ErrorRow(StorageError, f"it is not encrypted with a customer's key: leave out that in {places}")


@dataclass(frozen=True, kw_only=True)
class ErrorTable:
    """The refusals of one service.

    Args:
        kind: the name of the built-in remote, which advice names settings of, such as `"AWS"`.
        codes: rows by the service's code; a key that ends in `*` stands for all codes that begin so.
        messages: patterns of the service's words, in the order in which they are tried. They are tried first, because
            they say more than a code does.
        statuses: rows for statuses; `STATUS_ERRORS` has the others.
        request_id: the header that has the request's id. An answer without it and without a code may be foreign.
        elsewhere: what to do where the endpoint redirects; the target stands before it.
        marks: further headers that only the service sends.
        time_codes: codes that say that the time of a signature is wrong.
        vague_codes: codes that may say so in their words.
        always_marked: whether the service marks each answer. Where many programs speak like it, one without a body may
            be of any of them.
    """

    kind: str
    codes: Mapping[str, ErrorRow]
    messages: Sequence[tuple[re.Pattern[str], ErrorRow]]
    statuses: Mapping[int, ErrorRow]
    request_id: str
    elsewhere: str
    marks: Sequence[str] = ()
    time_codes: Collection[str] = ()
    vague_codes: Collection[str] = ()
    always_marked: bool = False
    _prefixes: tuple[tuple[str, ErrorRow], ...] = field(init=False, default=())

    def __post_init__(self) -> None:
        prefixes = tuple((code[:-1], row) for code, row in self.codes.items() if code.endswith("*"))
        object.__setattr__(self, "_prefixes", prefixes)

    def row(self, status: int, code: str, message: str, headers: Mapping[str, str]) -> ErrorRow:
        """Returns the row for a refusal."""
        known = self.statuses.get(status)
        for pattern, worded in self.messages:
            # A message may repeat a name, in which anything may stand.
            certain = status in _CERTAIN or (status == 412 and code in self.codes)
            fits = not certain or known is None or worded.cls is known.cls
            if fits and pattern.search(message):
                return worded
        coded = self.codes.get(code) or next((row for start, row in self._prefixes if code.startswith(start)), None)
        if coded is not None:
            return coded
        if not code and (foreign := self._foreign(status, message, headers)) is not None:
            return foreign
        if known is not None:
            return known
        if status in STATUS_ERRORS:
            return ErrorRow(*STATUS_ERRORS[status])
        return ErrorRow(ServiceError, AGAIN) if status >= 500 else ErrorRow(StorageError, "look up the code")

    def error(
        self,
        call: Call,
        status: int,
        code: str,
        message: str,
        headers: Mapping[str, str],
        row: ErrorRow | None = None,
    ) -> StorageError:
        """Returns the error for a refusal.

        Args:
            call: the storage call.
            status: of the response.
            code: the service's own code; empty if there is none.
            message: the service's words.
            headers: of the response, in small letters.
            row: the row, if the caller knows a better one than `row` finds.
        """
        row = row or self.row(status, code, message, headers)
        advice = for_remote(row.advice, call.provider, self.kind)
        said = f"{message or 'no reason given'} ({' '.join(filter(None, [str(status), code]))}); {advice}"
        return call.error(
            row.cls,
            said,
            status=status,
            code=code or None,
            request_id=headers.get(self.request_id),
            retryable=row.retryable,
            retry_after=retry_after_of(headers),
            max_attempts=row.max_attempts,
        )

    def clock_error(
        self, call: Call, status: int, code: str, message: str, headers: Mapping[str, str], clock: ServerClock
    ) -> StorageError | None:
        """Returns the error of a request that was refused again after it was signed with the service's time.

        Another code than one about the time is the reason of the second refusal, and has advice of its own. Without a
        code nothing is known but the difference of the clocks, so nothing else is advised.

        Args:
            call, status, code, message, headers: as for `error`.
            clock: the service's time.

        Returns:
            None if the code is not about the time.
        """
        if code and code not in self.time_codes and (code not in self.vague_codes or not _TIME.search(message)):
            return None
        row = ErrorRow(AccessDeniedError, "set the clock of this machine, for example with NTP")
        return self.error(call, status, code, clock.explained(message), headers, row)

    def _foreign(self, status: int, message: str, headers: Mapping[str, str]) -> ErrorRow | None:
        """Returns the row for an answer that has no code of the service; None if it may be the service's after all."""
        if any(name in headers for name in (self.request_id, *self.marks)) and not (status == 400 and is_page(headers)):
            return None
        target = _origin(headers.get("location", "")) if 300 < status < 400 else ""
        if target and status in (302, 303):
            advice = f"it redirects to {target}, which may be a sign-in page or a proxy; check the network"
            return ErrorRow(ServiceError, advice, max_attempts=FEW_ATTEMPTS)
        if target:
            return ErrorRow(ServiceError, f"it redirects to {target}; {self.elsewhere}", retryable=False)
        # A balancer without a route knows nothing of objects.
        unrouted = is_page(headers) and status in (404, 410) and (self.always_marked or message != "")
        if status == 400 or unrouted:
            return ErrorRow(ServiceError, _FOREIGN, retryable=True, max_attempts=FEW_ATTEMPTS)
        if is_page(headers) and status in (401, 403):
            return ErrorRow(AccessDeniedError, _FOREIGN)
        return None


_TIME = re.compile(r"expired|not yet (current|valid)|valid date|skew|timestamp|clock", re.IGNORECASE)

_CERTAIN = (404, 416, 429, 502, 503, 504)
"""Statuses that no word of a message makes something else."""


def _origin(location: str) -> str:
    """Returns the scheme and host of a URL, without anything that may be secret."""
    try:
        parts = urlsplit(location)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.hostname}{port}/" if parts.scheme in ("http", "https") and parts.hostname else ""


def page_text(data: bytes, max_length: int = 200) -> str:
    """Returns the words of an error's body that has not the service's form; the tags of an HTML page are left out.

    Example:
        >>> page_text(b"<html><h1>400 Bad Request</h1><hr>nginx</html>")
        '400 Bad Request nginx'
    """
    text = data[: 16 << 10].decode("utf-8", "replace")
    if "<" in text:
        text = _INVISIBLE.sub(" ", text)
        text = _words(_TITLE.sub(" ", text)) or _words(text)  # most pages repeat their title
    return " ".join(text.split())[:max_length]


def _words(html: str) -> str:
    return unescape(_TAG.sub(" ", html)).strip()


_INVISIBLE = re.compile(r"<!--.*?-->|<(script|style)\b.*?</\1\s*>|<!doctype[^>]*>", re.IGNORECASE | re.DOTALL)
_TITLE = re.compile(r"<title\b.*?</title\s*>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"</?[A-Za-z?!][^<>]*>")

"""How each service says no."""

from __future__ import annotations

from typing import Literal

__all__ = ["Dialect", "refusal"]

Dialect = Literal["AWS", "AZURE", "GCP", "UNIT"]

_STATUSES = {
    "slow_down": "503 Service Unavailable",
    "too_many": "429 Too Many Requests",
    "lost_answer": "500 Internal Server Error",
}
_CODES: dict[Dialect, dict[str, str]] = {
    "AWS": {"slow_down": "SlowDown", "too_many": "TooManyRequests", "lost_answer": "InternalError"},
    "AZURE": {"slow_down": "ServerBusy", "too_many": "TooManyRequests", "lost_answer": "InternalError"},
    "GCP": {"slow_down": "backendError", "too_many": "rateLimitExceeded", "lost_answer": "internalError"},
    "UNIT": {"slow_down": "unavailable", "too_many": "too_many_requests", "lost_answer": "internal"},
}


def refusal(dialect: Dialect, mode: str, method: str, retry_after: int = 0) -> bytes:
    """The whole answer; a 429 says after how many seconds to come back."""
    status, code = _STATUSES[mode], _CODES[dialect][mode]
    headers = f"Retry-After: {retry_after}\r\n" if mode == "too_many" else ""
    if dialect in ("AWS", "AZURE"):
        body, kind = f"<Error><Code>{code}</Code><Message>a fault</Message></Error>", "application/xml"
    elif dialect == "GCP":
        body = f'{{"error": {{"code": {status[:3]}, "message": "a fault", "errors": [{{"reason": "{code}"}}]}}}}'
        kind = "application/json"
    else:
        body, kind = f'{{"error": "{code}", "message": "a fault"}}', "application/json"
    if dialect == "AZURE":
        headers += f"x-ms-error-code: {code}\r\n"
    if method == "HEAD":
        body = ""
    head = f"HTTP/1.1 {status}\r\n{headers}Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return (head + body).encode()

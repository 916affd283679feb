"""Tokens of accounts that google-auth signs in: workload and workforce identities, and impersonated service accounts.

google-auth blocks. It runs in a thread of its own, and its requests go over the session's data plane, with the
session's proxies and certificates.

Source: https://cloud.google.com/docs/authentication/application-default-credentials
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from functools import partial
from time import time
from typing import Any, TypeVar

from dxflow_async.exceptions import (
    AccessDeniedError,
    ConfigurationError,
    ServiceError,
    StorageError,
)
from dxflow_async.providers.common.fields import timestamp_of
from dxflow_async.providers.common.server_clock import ServerClock
from dxflow_async.providers.gcp.google_auth_clock import shifted_by
from dxflow_async.providers.gcp.token_transport import (
    TOKEN_SECONDS,
    Answer,
    TokenTransport,
    is_time_refused,
    sign_in_error,
    with_lifetime,
)
from dxflow_async.security.redaction import printable, redacted

__all__ = ["TYPES", "FetchedToken", "GoogleAuthToken"]

TYPES = ("external_account", "external_account_authorized_user", "impersonated_service_account")
"""The types of credential files that this module signs in."""

_AWS_SUBJECT = "urn:ietf:params:aws:token-type:aws4_request"

_EXECUTABLE_SECONDS = 30.0
"""How long an executable may run where its file does not say, as in google-auth."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FetchedToken:
    """A token as the SDK returned it, and its lifetime in seconds."""

    value: str = field(repr=False)
    expires_in: float


class GoogleAuthToken:
    """Stands for the token object of gcloud-aio-auth. The constructor blocks: it imports google-auth.

    Args:
        info: the credentials file's content.
        scope: what the token is for.
        clock: Google's time.

    Attributes:
        service_data: `info`.
        session: sends the requests.

    Raises:
        ValueError: the file lacks a field, or one has a wrong value.
    """

    def __init__(self, info: dict[str, Any], scope: str, clock: ServerClock) -> None:
        self.service_data = info
        self._clock = clock
        # The end of such a token is told by Google's clock; that of others is counted from now.
        self._absolute = "service_account_impersonation_url" in info
        self.session: TokenTransport
        self._credentials = _load(info, scope)
        source = info.get("credential_source")
        self._executable = source.get("executable") if isinstance(source, dict) else None

    async def refresh(self, **_: object) -> FetchedToken:
        """Fetches a new token. Each request has `TOKEN_SECONDS`.

        What a token server refuses because of its time is signed once more, with the server's time.

        Raises:
            AccessDeniedError: a token server refuses.
            ConfigurationError: the file's token source cannot be used.
            StorageError: a token server fails or cannot be reached.
        """
        for again in (True, False):
            requests, offset = _Requests(self.session, asyncio.get_running_loop()), self._clock.offset
            try:
                return await _in_own_thread(partial(self._refresh, requests, offset), requests.stop)
            except Exception as error:  # noqa: BLE001 - whatever the SDK raises for files and responses of others
                failure = self._failure(error, requests)
            refusal = requests.refusal
            if not (again and refusal is not None and is_time_refused(self._clock, refusal, offset)):
                break
        # Raised here: the frames of the SDK hold tokens.
        raise failure

    @property
    def seconds(self) -> float:
        """How long a token may take in addition to its requests: as long as an executable may run."""
        if not isinstance(self._executable, dict):
            return 0.0
        try:
            return float(self._executable.get("timeout_millis") or 1000 * _EXECUTABLE_SECONDS) / 1000
        except (TypeError, ValueError):
            return _EXECUTABLE_SECONDS

    def _refresh(self, requests: _Requests, offset: float) -> FetchedToken:
        with shifted_by(offset):
            self._credentials.refresh(requests)
        token, expiry = self._credentials.token, self._credentials.expiry
        if self._absolute and requests.offset is not None:
            offset = requests.offset
        if expiry is None:
            return FetchedToken(token, 3600.0)
        from datetime import UTC

        return FetchedToken(token, expiry.replace(tzinfo=UTC).timestamp() - time() - offset)

    def _failure(self, error: Exception, requests: _Requests) -> Exception:
        if requests.failure is not None:
            return requests.failure
        if requests.refusal is not None:
            return requests.refusal.error()
        text = _shown(error)
        if "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES" in str(error):
            return ConfigurationError(
                "the GCP credentials run an executable, which is not allowed; set "
                "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1 if you trust the credentials file"
            )
        if self._executable is not None and isinstance(error, (OSError, TimeoutError)):
            text = f"its executable cannot be run ({type(error).__name__})"
        if requests.answered:
            return sign_in_error(ServiceError, f"a token server's answer cannot be used: {text}")
        return sign_in_error(AccessDeniedError, text)


def _load(info: dict[str, Any], scope: str) -> Any:
    """Returns the credentials of google-auth. Its own loader would ask for the project, and not over the data plane."""
    from google.auth import external_account_authorized_user
    from google.auth.exceptions import GoogleAuthError

    try:
        if info["type"] == "external_account_authorized_user":
            from_info: Callable[..., Any] = external_account_authorized_user.Credentials.from_info
            return from_info(info | {"scopes": [scope]})
        credentials = _class_of(info)(info, scopes=[scope])
        if info["type"] == "impersonated_service_account":
            # The library takes only the account from the URL, and always asks the public host.
            credentials._iam_endpoint_override = info["service_account_impersonation_url"]
    except (GoogleAuthError, ValueError, KeyError, TypeError, AttributeError) as error:
        text = _shown(error)
    else:
        return credentials
    raise ValueError(text)


def _class_of(info: dict[str, Any]) -> Callable[..., Any]:
    """Selects as `google.auth.default` does, by the type and the source."""
    if info["type"] == "impersonated_service_account":
        from google.auth import impersonated_credentials

        return impersonated_credentials.Credentials.from_impersonated_service_account_info
    if info.get("subject_token_type") == _AWS_SUBJECT:
        from google.auth import aws

        return aws.Credentials.from_info
    if "executable" in (info.get("credential_source") or {}):
        from google.auth import pluggable

        return pluggable.Credentials.from_info
    from google.auth import identity_pool

    return identity_pool.Credentials.from_info


@dataclass(slots=True)
class _Response:
    """Has what google-auth reads of a response."""

    status: int
    headers: Mapping[str, str]
    data: bytes = field(repr=False)


class _Requests:
    """A transport of google-auth, called in another thread than the event loop's.

    Attributes:
        failure: why a request was not answered; the last one counts.
        refusal: the last response with an error.
        answered: whether a server answered at all.
        offset: seconds by which the clock of the last server is ahead of this machine's, if it told its time.
    """

    def __init__(self, wire: TokenTransport, loop: asyncio.AbstractEventLoop) -> None:
        self.failure: StorageError | None = None
        self.refusal: Answer | None = None
        self.answered = False
        self.offset: float | None = None
        self._wire = wire
        self._loop = loop
        self._stopped = False
        self._pending: Any = None

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        **_: Any,
    ) -> _Response:
        if self._stopped:
            raise _not_sent("the session does not wait for it any more")
        self.failure = self.refusal = None
        data = body.encode() if isinstance(body, str) else body
        sending = self._wire.exchange(method, url, headers or {}, data, TOKEN_SECONDS)
        try:
            self._pending = asyncio.run_coroutine_threadsafe(sending, self._loop)
        except RuntimeError:  # the event loop is closed
            sending.close()
            raise _not_sent("the session is closed") from None
        try:
            answer: Answer = self._pending.result()
        except StorageError as error:
            self.failure = error
            raise _not_sent("the request was not answered") from error
        except CancelledError:
            raise _not_sent("the session does not wait for it any more") from None
        self.answered = True
        if served := timestamp_of(answer.headers.get("date", "")):
            self.offset = served - time()
        if answer.status >= 400:
            self.refusal = answer
        return _Response(answer.status, answer.headers, with_lifetime(answer.data))

    def stop(self) -> None:
        """Ends a request under way; later ones are refused."""
        self._stopped = True
        if self._pending is not None:
            self._pending.cancel()


def _not_sent(reason: str) -> Exception:
    from google.auth.exceptions import TransportError

    error: Exception = TransportError(reason)  # type: ignore[no-untyped-call]
    return error


async def _in_own_thread(function: Callable[[], T], stop: Callable[[], None]) -> T:
    """Runs a function in a daemon thread, which may wait for this event loop; a cancelled call leaves it behind."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def finish(result: Any, error: Exception | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    def run() -> None:
        result: Any = None
        failure: Exception | None = None
        try:
            result = function()
        except Exception as error:  # noqa: BLE001 - passed on
            failure = error
        with contextlib.suppress(RuntimeError):  # the event loop is closed: nobody waits
            loop.call_soon_threadsafe(finish, result, failure)

    threading.Thread(target=run, name="dxflow-google-auth", daemon=True).start()
    try:
        return await future
    finally:
        stop()


_OUTPUT = re.compile(r"(Error:|credentials:).*", re.DOTALL)
_LONG = re.compile(r"eyJ[\w.-]+|(?=[^\d\s]{0,200}\d)[A-Za-z0-9_+=~-]{32,}")


def _shown(error: Exception) -> str:
    """The first part of an error of the SDK, without outputs of executables, responses and tokens."""
    text = str(error.args[0]) if error.args else type(error).__name__
    return _LONG.sub("***", printable(redacted(_OUTPUT.sub(r"\1 ***", text))))[:300]

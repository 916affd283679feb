"""Credentials that the user's own function returns: kept while they are good, and asked for by one task for all."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable
from time import time
from typing import Any, Generic, TypeVar

from dxflow_async.config.credentials import AccessKeys, BearerToken, SASToken, end_of
from dxflow_async.exceptions import (
    AccessDeniedError,
    ConfigurationError,
    DxflowError,
    NetworkError,
    StallTimeoutError,
    StorageError,
)
from dxflow_async.providers.common.remote_names import for_remote

__all__ = ["RenewedCredentials"]

T = TypeVar("T", AccessKeys, BearerToken, BearerToken | SASToken)

TIMEOUT = 120.0
"""Seconds that the function may take."""

_RENEW_SECONDS = 300.0
"""Credentials are renewed so long before they end, or after half of their life. Requests under way still use them."""

_PAUSE_SECONDS = 30.0
"""After a renewal that failed, the old credentials are used so long before the next attempt, or until they end."""

_UNSURE_SECONDS = 60.0

_log = logging.getLogger("dxflow_async.providers")


class RenewedCredentials(Generic[T]):
    """The credentials of one remote.

    Args:
        name: the remote's name, as messages show it.
        kind: the name of the built-in remote of its kind, such as `"AWS"`.
        function: the async function of the settings.
        expected: the classes that it may return.
    """

    def __init__(self, name: str, kind: str, function: Callable[[], Any], *expected: type[Any]) -> None:
        self._name = name
        self._setting = for_remote(f"{kind}.credentials", name, kind)
        self._function = function
        self._expected = expected
        self._asking = asyncio.Lock()
        self._current: T | None = None
        self._asked_at = self._renew_at = self._ends_at = 0.0

    async def get(self) -> T:
        """Returns credentials for the next request; the same object until they are renewed.

        Raises:
            ConfigurationError: the function returned something else than credentials.
            AccessDeniedError: it failed, or returned credentials that had ended.
            NetworkError: it failed with an `OSError`.
            StallTimeoutError: it took too long.
        """
        now = time()
        current = self._current
        if current is not None and (now < self._renew_at or (self._asking.locked() and now < self._ends_at)):
            return current
        async with self._asking:
            current = self._current
            if current is None or time() >= self._renew_at:
                current = await self._renew(current)
        return current

    def forget(self, refused: T, *, sure: bool = True) -> bool:
        """Drops credentials that the service refused, unless they were renewed meanwhile.

        Args:
            refused: the credentials.
            sure: whether the service refused the credentials themselves, or perhaps only the request. In the latter
                case, the function is not called again within a minute.

        Returns:
            Whether other credentials may be had.
        """
        if refused is self._current:
            if not sure and time() < self._asked_at + _UNSURE_SECONDS:
                return False
            self._current = None
        return True

    async def _renew(self, old: T | None) -> T:
        try:
            found, ends_at = await self._ask()
        except StorageError as error:
            if old is None or time() >= self._ends_at:
                raise
            _log.warning("%s; the credentials in use are good for another %.0f s", error, self._ends_at - time())
            self._renew_at = min(self._ends_at, time() + _PAUSE_SECONDS)
            return old
        self._asked_at = time()
        left = ends_at - self._asked_at
        self._current, self._ends_at = found, ends_at
        self._renew_at = ends_at - min(_RENEW_SECONDS, left / 2)
        return found

    async def _ask(self) -> tuple[T, float]:
        try:
            async with asyncio.timeout(TIMEOUT):
                answer = self._function()
                if not inspect.isawaitable(answer):
                    raise self._wrong(f"it must be an async function, and returned {type(answer).__name__} at once")
                found = await answer
        except DxflowError:
            raise
        except TimeoutError as error:
            raise self._failed(StallTimeoutError, f"it did not return within {TIMEOUT:g} s") from error
        except Exception as error:
            cls = NetworkError if isinstance(error, OSError) else AccessDeniedError
            raise self._failed(cls, f"it raised {type(error).__name__}: {error}"[:500]) from error
        if not isinstance(found, self._expected):
            names = " or ".join(each.__name__ for each in self._expected)
            raise self._wrong(f"it must return {names}, and returned {type(found).__name__}")
        ends_at = end_of(found)
        if ends_at <= time():
            seconds = time() - ends_at
            raise self._failed(AccessDeniedError, f"it returned credentials that ended {seconds:.0f} s ago")
        return found, ends_at

    def _wrong(self, reason: str) -> ConfigurationError:
        return ConfigurationError(f"{self._setting} is not allowed: {reason}")

    def _failed(self, cls: type[StorageError], reason: str) -> StorageError:
        text = f"{self._name} credentials could not be obtained: {self._setting} is a function, and {reason}"
        return cls(text, provider=self._name, operation="sign in")

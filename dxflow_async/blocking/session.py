"""The blocking twin of `dxflow_async.session`."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Mapping
from typing import Any, Self

from dxflow_async.blocking.portal import Portal
from dxflow_async.blocking.storage import StorageManager
from dxflow_async.config import Settings
from dxflow_async.session import AsyncSession

__all__ = ["Session"]


class Session:
    """A signed-in session whose calls block; the twin of `AsyncSession`.

    It works without `with`, from many threads at once, and where a loop is running (as in Jupyter). What a script
    leaves open is closed when the interpreter ends.

    Args:
        email, password, namespace, secrets, hub, settings: as for `AsyncSession`.
        progress: whether transfers show a bar; only on a terminal either way.

    Raises:
        AuthenticationError: the hub did not accept the e-mail and password, or the secrets.
        ConfigurationError: a setting is wrong.

    Example:
        >>> with Session(email="your@email.com", password="your_password") as session:
        ...     session.get_storage_manager().list(path="/")
    """

    def __init__(
        self,
        email: str | None = None,
        password: str | None = None,
        *,
        namespace: str = "diphyx",
        secrets: Mapping[str, Any] | None = None,
        hub: str | None = None,
        settings: Settings | None = None,
        progress: bool = True,
    ) -> None:
        self._progress = progress
        self._portal = Portal()

        def make() -> contextlib.aclosing[AsyncSession]:
            return contextlib.aclosing(
                AsyncSession(email, password, namespace=namespace, secrets=secrets, hub=hub, settings=settings)
            )

        try:
            self._session = self._portal.enter(make)
            self._portal.call(self._session.sign_in)
        except BaseException:
            self._portal.close()
            raise
        # At the interpreter's end the portal's own handler does this, and waits for it.
        weakref.finalize(self, self._portal.stop).atexit = False

    @property
    def settings(self) -> Settings:
        """Twin: `AsyncSession.settings`."""
        return self._session.settings

    @property
    def closed(self) -> bool:
        """Twin: `AsyncSession.closed`."""
        return self._portal.closing

    @property
    def secrets(self) -> dict[str, Any] | None:
        """Twin: `AsyncSession.secrets`."""
        return self._session.secrets

    def get_storage_manager(self) -> StorageManager:
        """Twin: `AsyncSession.get_storage_manager`."""
        twin = self._portal.call_soon(self._session.get_storage_manager)
        return StorageManager(self, self._portal, twin, progress=self._progress)

    def close(self) -> None:
        """Cancels what is running in other threads and closes everything. Twin: `AsyncSession.aclose`."""
        self._portal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

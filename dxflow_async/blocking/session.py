"""The blocking session: one delegate for each method of `AsyncSession`."""

from __future__ import annotations

import contextlib
import functools
import weakref
from collections.abc import Mapping
from typing import Any, Self, Unpack

from dxflow_async.blocking.compute import ComputeManager
from dxflow_async.blocking.handles import Starter
from dxflow_async.blocking.location_calls import LocationCalls
from dxflow_async.blocking.path import StoragePath
from dxflow_async.blocking.portal import Portal
from dxflow_async.blocking.storage import StorageManager
from dxflow_async.blocking.transfers import TransferCalls
from dxflow_async.config.settings import Settings
from dxflow_async.models import JobList, Leftover, TransferReport
from dxflow_async.session import AsyncSession
from dxflow_async.storage.resolver import Written
from dxflow_async.transfer.progress import OnProgress
from dxflow_async.transfer.run_options import CallOptions

__all__ = ["Session"]


class Session(LocationCalls):
    """A signed-in session whose calls block; the twin of `AsyncSession`.

    It can be used without `with`, by many threads at once, and in threads that run an event loop, as in Jupyter. A
    session that is left open is closed when the interpreter ends.

    Args:
        email, password, namespace, secrets, hub, settings, remotes: as for `AsyncSession`.
        progress: whether transfers show a progress bar on a terminal.

    Raises:
        AuthenticationError: the hub refused the e-mail and password, or the secrets.
        ConfigurationError: an argument or a setting is invalid.

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
        remotes: Mapping[str, Any] | None = None,
        progress: bool = True,
    ) -> None:
        self._portal = Portal()
        self._calls = TransferCalls(self._portal, progress=progress)

        def make() -> contextlib.aclosing[AsyncSession]:
            return contextlib.aclosing(
                AsyncSession(
                    email, password, namespace=namespace, secrets=secrets, hub=hub, settings=settings, remotes=remotes
                )
            )

        try:
            self._session = self._portal.enter(make)
            self._portal.call(self._session.sign_in)
        except BaseException:
            self._portal.close()
            raise
        # When the interpreter ends, the portal's own handler closes the session, and waits for it.
        weakref.finalize(self, self._portal.stop).atexit = False

    @property
    def settings(self) -> Settings:
        """Twin: `AsyncSession.settings`."""
        return self._session.settings

    @property
    def start(self) -> Starter:
        """Starts bulk calls as handles. Twin: `AsyncSession.start`."""
        return Starter(self._session, self._calls)

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
        return StorageManager(self, self._calls, twin)

    def get_compute_manager(self) -> ComputeManager:
        """Twin: `AsyncSession.get_compute_manager`."""
        twin = self._portal.call_soon(self._session.get_compute_manager)
        return ComputeManager(self, self._calls, twin)

    def path(self, location: Written, *, storage_type: str = "private") -> StoragePath:
        """Twin: `AsyncSession.path`."""
        return StoragePath(location, self, storage_type)

    def jobs(self, *job_ids: str) -> JobList:
        """Twin: `AsyncSession.jobs`."""
        return self._portal.call(self._session.jobs, *job_ids)

    def resume(
        self, job_id: str, *, on_progress: OnProgress | None = None, **where: Unpack[CallOptions]
    ) -> TransferReport:
        """Twin: `AsyncSession.resume`."""
        call = functools.partial(self._session.resume, job_id, **where)
        return self._calls.run("resume", on_progress, lambda show: call(on_progress=show))

    def clean_jobs(self, *job_ids: str, dry_run: bool = True) -> list[Leftover]:
        """Twin: `AsyncSession.clean_jobs`."""
        return self._portal.call(self._session.clean_jobs, *job_ids, dry_run=dry_run)

    def provider_settings(self) -> dict[str, list[str]]:
        """Twin: `AsyncSession.provider_settings`."""
        return self._portal.call(self._session.provider_settings)

    def keep_provider_settings(self, provider: str) -> list[str]:
        """Twin: `AsyncSession.keep_provider_settings`."""
        return self._portal.call(self._session.keep_provider_settings, provider)

    def forget_provider_settings(self, provider: str) -> bool:
        """Twin: `AsyncSession.forget_provider_settings`."""
        return self._portal.call(self._session.forget_provider_settings, provider)

    def close(self) -> None:
        """Cancels the calls of all threads, and closes everything. Twin: `AsyncSession.aclose`."""
        self._portal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

"""The blocking twin of `dxflow_async.session`."""

from __future__ import annotations

import contextlib
import functools
import weakref
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Self, overload

from dxflow_async.blocking.compute import ComputeManager
from dxflow_async.blocking.portal import Portal
from dxflow_async.blocking.progress import shown
from dxflow_async.blocking.storage import StorageManager
from dxflow_async.config.settings import Settings
from dxflow_async.models import JobInfo, Leftover, SyncPlan, TransferReport
from dxflow_async.session import AsyncSession
from dxflow_async.storage.transfer_service import Written
from dxflow_async.transfer.progress import OnProgress
from dxflow_async.transfer.sync.compare import Compare

__all__ = ["Session"]


class Session:
    """A signed-in session whose calls block; the twin of `AsyncSession`.

    It works without `with`, from many threads at once, and where a loop is running (as in Jupyter). What a script
    leaves open is closed when the interpreter ends.

    Args:
        email, password, namespace, secrets, hub, settings, remotes: as for `AsyncSession`.
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
        remotes: Mapping[str, Any] | None = None,
        progress: bool = True,
    ) -> None:
        self._progress = progress
        self._portal = Portal()

        def make() -> contextlib.aclosing[AsyncSession]:
            return contextlib.aclosing(
                AsyncSession(
                    email, password, namespace=namespace, secrets=secrets, hub=hub, settings=settings, remotes=remotes
                )
            )

        try:
            self._session = self._portal.enter(make)
            self._session._repeat_by(self._portal.call)
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

    def get_compute_manager(self) -> ComputeManager:
        """Twin: `AsyncSession.get_compute_manager`."""
        twin = self._portal.call_soon(self._session.get_compute_manager)
        return ComputeManager(self, self._portal, twin, progress=self._progress)

    def copy(
        self, src: Written, dst: Written, *, storage_type: str = "private", on_progress: OnProgress | None = None
    ) -> TransferReport:
        """Twin: `AsyncSession.copy`."""
        with self._shown("copy", on_progress) as show:
            return self._portal.call(self._session.copy, src, dst, storage_type=storage_type, on_progress=show)

    def move(
        self, src: Written, dst: Written, *, storage_type: str = "private", on_progress: OnProgress | None = None
    ) -> TransferReport:
        """Twin: `AsyncSession.move`."""
        with self._shown("move", on_progress) as show:
            return self._portal.call(self._session.move, src, dst, storage_type=storage_type, on_progress=show)

    @overload
    def sync(
        self,
        src: Written,
        dst: Written,
        *,
        delete: bool = False,
        compare: Compare = "size+mtime",
        include: str | Iterable[str] = (),
        exclude: str | Iterable[str] = (),
        dry_run: Literal[False] = False,
        storage_type: str = "private",
        on_progress: OnProgress | None = None,
    ) -> TransferReport: ...
    @overload
    def sync(
        self,
        src: Written,
        dst: Written,
        *,
        delete: bool = False,
        compare: Compare = "size+mtime",
        include: str | Iterable[str] = (),
        exclude: str | Iterable[str] = (),
        dry_run: Literal[True],
        storage_type: str = "private",
        on_progress: OnProgress | None = None,
    ) -> SyncPlan: ...
    def sync(
        self,
        src: Written,
        dst: Written,
        *,
        delete: bool = False,
        compare: Compare = "size+mtime",
        include: str | Iterable[str] = (),
        exclude: str | Iterable[str] = (),
        dry_run: bool = False,
        storage_type: str = "private",
        on_progress: OnProgress | None = None,
    ) -> TransferReport | SyncPlan:
        """Twin: `AsyncSession.sync`."""
        with self._shown("sync", on_progress) as show:
            call = functools.partial(
                self._session.sync,
                src,
                dst,
                delete=delete,
                compare=compare,
                include=include if isinstance(include, str) else tuple(include),
                exclude=exclude if isinstance(exclude, str) else tuple(exclude),
                storage_type=storage_type,
                on_progress=show,
            )
            return self._portal.call(call, dry_run=True) if dry_run else self._portal.call(call)

    def jobs(self) -> list[JobInfo]:
        """Twin: `AsyncSession.jobs`."""
        return self._portal.call(self._session.jobs)

    def resume(self, job_id: str, *, on_progress: OnProgress | None = None) -> TransferReport:
        """Twin: `AsyncSession.resume`."""
        with self._shown("resume", on_progress) as show:
            return self._portal.call(self._session.resume, job_id, on_progress=show)

    def clean_jobs(self, *job_ids: str, dry_run: bool = True) -> list[Leftover]:
        """Twin: `AsyncSession.clean_jobs`."""
        return self._portal.call(self._session.clean_jobs, *job_ids, dry_run=dry_run)

    def close(self) -> None:
        """Cancels what is running in other threads and closes everything. Twin: `AsyncSession.aclose`."""
        self._portal.close()

    def _shown(
        self, label: str, on_progress: OnProgress | None
    ) -> contextlib.AbstractContextManager[OnProgress | None]:
        return shown(label, on_progress, enabled=self._progress)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

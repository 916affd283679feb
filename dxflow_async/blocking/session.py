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
        """The settings of the session."""
        return self._session.settings

    @property
    def start(self) -> Starter:
        """Starts bulk calls as handles: `session.start.copy(...)` has the parameters of `copy`."""
        return Starter(self._session, self._calls)

    @property
    def closed(self) -> bool:
        """Whether `close` was called, or the session belongs to the parent process."""
        return self._portal.closing

    @property
    def secrets(self) -> dict[str, Any] | None:
        """The secrets of the sign-in, to be passed as `secrets=` later; None before it, and without an account.

        Reading them lets the sign-in outlive the session.
        """
        return self._session.secrets

    def get_storage_manager(self) -> StorageManager:
        """Returns the storage at every remote.

        Raises:
            SessionClosedError: the session was closed.
            SessionLoopError: the session belongs to another event loop.
        """
        twin = self._portal.call_soon(self._session.get_storage_manager)
        return StorageManager(self, self._calls, twin)

    def get_compute_manager(self) -> ComputeManager:
        """Returns the account's compute units, and the engines that the settings name.

        Raises:
            ConfigurationError: the session has no account, and the settings name no engine.
            SessionClosedError: the session was closed.
            SessionLoopError: the session belongs to another event loop.
        """
        twin = self._portal.call_soon(self._session.get_compute_manager)
        return ComputeManager(self, self._calls, twin)

    def path(self, location: Written, *, storage_type: str = "private") -> StoragePath:
        """Returns any location as a path like those of `pathlib`, without looking at it.

        Args:
            location: the location, which need not exist.
            storage_type: the area of remotes, `"private"` or `"public"`.
        """
        return StoragePath(location, self, storage_type)

    def jobs(self, *job_ids: str) -> JobList:
        """Lists these jobs, or all running, interrupted and partly failed jobs of all processes, oldest first.

        Args:
            job_ids: the jobs to list; by default all that are not finished.
        """
        return self._portal.call(self._session.jobs, *job_ids)

    def resume(
        self, job_id: str, *, on_progress: OnProgress | None = None, **where: Unpack[CallOptions]
    ) -> TransferReport:
        """Resumes a job: transfers the items that are not done, and large items from where they were interrupted.

        Sources that have changed since are transferred again. The report has the items that were not done.

        Args:
            job_id: the job, as `jobs` lists it.
            on_progress: called with a `Progress` at most ten times a second.
            timeout, on_cancel, processes, executor, credentials, shared: as for `copy`.

        Raises:
            JobNotFoundError: there is no such job.
            ConfigurationError: a newer version wrote it, or it needs another account or settings.
            JobBusyError: another process works on it.
            TransferError: some item failed; the job is kept.

        Example:
            >>> for job in session.jobs():
            ...     session.resume(job.id)
        """
        call = functools.partial(self._session.resume, job_id, **where)
        return self._calls.run("resume", on_progress, lambda show: call(on_progress=show))

    def clean_jobs(self, *job_ids: str, dry_run: bool = True) -> list[Leftover]:
        """Lists what these jobs, or all jobs, have left: unfinished uploads, temporary files, the jobs themselves.

        With `dry_run=False` it is removed, too, and the jobs cannot be resumed. Running jobs are left alone.

        Args:
            job_ids: the jobs to clean; by default all.
            dry_run: whether only to list what would be removed.

        Raises:
            ConfigurationError: as for `resume`.
            StorageError: an upload could not be removed.
        """
        return self._portal.call(self._session.clean_jobs, *job_ids, dry_run=dry_run)

    def provider_settings(self) -> dict[str, list[str]]:
        """Lists the settings that the account's hub keeps: their names (no values), by provider."""
        return self._portal.call(self._session.provider_settings)

    def keep_provider_settings(self, provider: str) -> list[str]:
        """Stores this machine's settings of a provider, credentials included, at the hub; returns their names.

        The account's sessions use them on every machine that has no settings of that provider.

        Args:
            provider: the name of the provider, such as `"AWS"`.

        Raises:
            ConfigurationError: this machine has no settings of that provider, or the hub does not allow them.
        """
        return self._portal.call(self._session.keep_provider_settings, provider)

    def forget_provider_settings(self, provider: str) -> bool:
        """Deletes the settings of a provider at the account's hub; returns whether there were any.

        Args:
            provider: the name of the provider, such as `"AWS"`.
        """
        return self._portal.call(self._session.forget_provider_settings, provider)

    def close(self) -> None:
        """Closes connections, threads and the embedded hub, and ends a sign-in whose `secrets` were not read.

        Running calls fail. A second call does nothing, nor does one in a process forked from the session's own. After
        the session's event loop has ended, everything is closed that does not need that loop.
        """
        self._portal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

"""The session: an account, connections, threads and limits, and the calls that need them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Self, Unpack

from anyio import CancelScope

from dxflow_async.account_connection import AccountConnection, SignedIn
from dxflow_async.concurrency.event_loop import check_asyncio
from dxflow_async.config.settings import Settings
from dxflow_async.location_calls import AsyncLocationCalls
from dxflow_async.models import JobList, Leftover, TransferReport
from dxflow_async.net import AddressRule
from dxflow_async.starting import AsyncStarter
from dxflow_async.storage.closing import close_session
from dxflow_async.storage.listing import ListingCache
from dxflow_async.storage.manager import AsyncStorageManager
from dxflow_async.storage.path import AsyncStoragePath
from dxflow_async.storage.resolver import LocationResolver, Written
from dxflow_async.storage.transfer_service import TransferService
from dxflow_async.transfer.progress import OnProgress
from dxflow_async.transfer.resources import Resources
from dxflow_async.transfer.run_options import CallOptions, RunOptions

if TYPE_CHECKING:
    from dxflow_async.compute.manager import AsyncComputeManager
    from dxflow_async.storage.jobs import Jobs

__all__ = ["AsyncSession"]


class AsyncSession(AsyncLocationCalls):
    """A user's connections to storage. Use it with `async with`, or call `aclose` at the end.

    Without an account the session works directly with the clouds, with the credentials that each SDK finds, and the
    first segment of a path is the bucket. With an account it signs in, on first use, to a hub; there, a provider that
    is not configured keeps its bytes in a local directory.

    Args:
        email: the account's e-mail. The embedded hub creates the account at its first sign-in.
        password: the account's password.
        namespace: the account's namespace to work in.
        secrets: the secrets of an earlier sign-in, instead of e-mail and password.
        hub: the hub's URL; by default the setting, else the stored login's hub, else a hub inside this process.
        settings: by default the result of `Settings.load()`.
        remotes: further remotes by name, such as `{"minio": S3Settings(...)}`; they replace those of the settings.

    Raises:
        ConfigurationError: an argument or a setting is invalid.

    Example:
        >>> async def main() -> None:
        ...     async with AsyncSession(email="you@example.com", password="secret") as session:
        ...         await session.get_storage_manager().upload("data.csv", "/project/data/")
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
    ) -> None:
        self.settings = Settings.load(remotes=remotes) if settings is None else settings.with_remotes(remotes)
        self._resources = Resources(self.settings)
        account = AccountConnection(self._resources, email, password, namespace=namespace, secrets=secrets, hub=hub)
        self._assemble(account)

    @classmethod
    def _of_sign_in(cls, settings: Settings, signed_in: SignedIn, rule: AddressRule | None = None) -> Self:
        """Returns the session of an account that this process has signed in to. It never ends the sign-in.

        Args:
            settings: nothing else of this machine is used.
            signed_in: the account.
            rule: the addresses of storage that may be connected to; None: all.
        """
        session = cls.__new__(cls)
        session.settings = settings
        session._resources = Resources(settings, rule)
        session._assemble(AccountConnection.of_sign_in(session._resources, signed_in))
        return session

    def _assemble(self, account: AccountConnection) -> None:
        self._account = account
        self._resolver = LocationResolver(self._resources, self._account)
        cache = ListingCache(self.settings.max_cached_items)
        self._transfers = TransferService(self._resources, self._resolver, cache)
        self._storage = AsyncStorageManager(self._transfers)
        self._starter = AsyncStarter(self, self._storage, self.resume, partial(self.clean_jobs, dry_run=False))

    @cached_property
    def _compute(self) -> AsyncComputeManager:
        from dxflow_async.compute.manager import AsyncComputeManager

        return AsyncComputeManager(self._account, self._transfers)

    @cached_property
    def _jobs(self) -> Jobs:
        from dxflow_async.storage.jobs import Jobs

        return Jobs(self._resources, self._resolver)

    @property
    def start(self) -> AsyncStarter:
        """Starts bulk calls as handles: `session.start.copy(...)` has the parameters of `copy`."""
        return self._starter

    @property
    def closed(self) -> bool:
        """Whether `aclose` was called, or the session belongs to the parent process."""
        return self._resources.closed or self._resources.owner.forked

    @property
    def secrets(self) -> dict[str, Any] | None:
        """The secrets of the sign-in, to be passed as `secrets=` later; None before it, and without an account.

        Reading them lets the sign-in outlive the session.
        """
        return self._account.share_secrets()

    def get_storage_manager(self) -> AsyncStorageManager:
        """Returns the storage at every remote.

        Raises:
            SessionClosedError: the session was closed.
            SessionLoopError: the session belongs to another event loop.
        """
        self._resources.check_place()
        return self._storage

    def get_compute_manager(self) -> AsyncComputeManager:
        """Returns the account's compute units, and the engines that the settings name.

        Raises:
            ConfigurationError: the session has no account, and the settings name no engine.
            SessionClosedError: the session was closed.
            SessionLoopError: the session belongs to another event loop.
        """
        self._resources.check_place()
        if not self.settings.units:
            self._account.require("compute units belong")
        return self._compute

    def path(self, location: Written, *, storage_type: str = "private") -> AsyncStoragePath:
        """Returns any location as a path like those of `pathlib`, without looking at it.

        Args:
            location: the location, which need not exist.
            storage_type: the area of remotes, `"private"` or `"public"`.
        """
        return AsyncStoragePath(location, self._transfers, storage_type)

    async def jobs(self, *job_ids: str) -> JobList:
        """Lists these jobs, or all running, interrupted and partly failed jobs of all processes, oldest first.

        Args:
            job_ids: the jobs to list; by default all that are not finished.
        """
        return await self._jobs.unfinished(job_ids)

    async def resume(
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
            >>> for job in await session.jobs():
            ...     await session.resume(job.id)
        """
        return await self._transfers.resume(job_id, on_progress, RunOptions.of(**where))

    async def clean_jobs(self, *job_ids: str, dry_run: bool = True) -> list[Leftover]:
        """Lists what these jobs, or all jobs, have left: unfinished uploads, temporary files, the jobs themselves.

        With `dry_run=False` it is removed, too, and the jobs cannot be resumed. Running jobs are left alone.

        Args:
            job_ids: the jobs to clean; by default all.
            dry_run: whether only to list what would be removed.

        Raises:
            ConfigurationError: as for `resume`.
            StorageError: an upload could not be removed.
        """
        return await self._jobs.clean(job_ids, dry_run=dry_run)

    async def provider_settings(self) -> dict[str, list[str]]:
        """Lists the settings that the account's hub keeps: their names (no values), by provider."""
        return {name: sorted(kept) for name, kept in (await self._account.provider_settings()).items()}

    async def keep_provider_settings(self, provider: str) -> list[str]:
        """Stores this machine's settings of a provider, credentials included, at the hub; returns their names.

        The account's sessions use them on every machine that has no settings of that provider.

        Args:
            provider: the name of the provider, such as `"AWS"`.

        Raises:
            ConfigurationError: this machine has no settings of that provider, or the hub does not allow them.
        """
        return await self._account.keep_provider_settings(provider)

    async def forget_provider_settings(self, provider: str) -> bool:
        """Deletes the settings of a provider at the account's hub; returns whether there were any.

        Args:
            provider: the name of the provider, such as `"AWS"`.
        """
        return await self._account.forget_provider_settings(provider)

    async def sign_in(self) -> None:
        """Signs in now instead of on first use. Does nothing without an account, or when that is done.

        Raises:
            AuthenticationError: the hub refused the credentials, or there were too many attempts.
            NetworkError: the hub cannot be reached.
        """
        await self._account.sign_in()

    async def aclose(self) -> None:
        """Closes connections, threads and the embedded hub, and ends a sign-in whose `secrets` were not read.

        Running calls fail. A second call does nothing, nor does one in a process forked from the session's own. After
        the session's event loop has ended, everything is closed that does not need that loop.
        """
        check_asyncio()
        await self._starter.aclose()
        await close_session(self._resources, self._resolver)

    async def __aenter__(self) -> Self:
        self._resources.check_open()  # a session of another loop is not closed here
        try:
            await self.sign_in()
        except BaseException:
            with CancelScope(shield=True):
                await self.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

"""The session: signs in, owns connections, threads and budgets, and hands out managers.

What only an account needs (the hub, its client) is loaded when there is one.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, overload

from anyio import CancelScope, Lock

from dxflow_async.compute.manager import AsyncComputeManager
from dxflow_async.compute.storage import AsyncUnitStorage
from dxflow_async.compute.volumes import Volumes
from dxflow_async.config.account_settings import with_account
from dxflow_async.config.settings import Settings
from dxflow_async.exceptions import ConfigurationError, SessionClosedError
from dxflow_async.models import JobInfo, Leftover, SyncPlan, TransferReport, Unit
from dxflow_async.paths import parse_location, provider_name, unit_path
from dxflow_async.providers import registry
from dxflow_async.providers.contract import Provider
from dxflow_async.security.redaction import Secret, redacted
from dxflow_async.storage.area import Area
from dxflow_async.storage.area_storage import AreaStorage
from dxflow_async.storage.jobs import Jobs
from dxflow_async.storage.listing import ListingCache
from dxflow_async.storage.manager import AsyncStorageManager
from dxflow_async.storage.transfer_service import Located, TransferService, Written
from dxflow_async.transfer.progress import OnProgress
from dxflow_async.transfer.resources import Resources
from dxflow_async.transfer.sync.compare import Compare
from dxflow_async.transfer.sync.sync import Rules

if TYPE_CHECKING:
    import aiohttp

    from dxflow_async.control.account import Secrets
    from dxflow_async.control.units import UnitHub
    from dxflow_async.server.embedded import EmbeddedHub

__all__ = ["AsyncSession"]

T = TypeVar("T")

_log = logging.getLogger("dxflow_async.session")


class AsyncSession:
    """One user's connections to storage. Use as `async with`, or call `aclose` at the end.

    Without an account it works directly with the clouds, with each SDK's own credentials, and the first segment of a
    path is the bucket. With one it signs in, on first use, to a hub: `hub`, else the setting, else the stored login's,
    else one inside this process; there, a provider that is not configured keeps its bytes in a local directory.

    Args:
        email, password: the account; its first sign-in to the embedded hub creates it.
        namespace: the account's namespace to work in.
        secrets: what an earlier sign-in gave, instead of e-mail and password.
        hub: the control plane's URL.
        settings: by default what `Settings.load()` finds.
        remotes: further remotes by name, such as `{"minio": S3Settings(...)}`; they win over those of the settings.

    Raises:
        ConfigurationError: arguments or settings that cannot be.

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
        password = None if password is None else Secret(password)
        if (email is None) != (password is None):
            raise ConfigurationError("email and password go together: give both or neither")
        if email is not None and secrets is not None:
            raise ConfigurationError("give email and password, or secrets, not both")
        self.settings = Settings.load(remotes=remotes) if settings is None else settings.with_remotes(remotes)
        self._email = email
        self._password = password
        self._namespace = namespace
        self._secrets = None if secrets is None else _checked(secrets)
        self._hub = hub or self.settings.hub
        self._embedded: EmbeddedHub | None = None
        self._given: dict[str, dict[str, Any]] = {}
        self._resources = Resources(self.settings)
        self._providers: dict[tuple[str, str], Provider] = {}
        cache = ListingCache(self.settings.max_cached_items)
        self._transfers = TransferService(self._open_resources, self._area, self._volume, cache)
        self._volumes = Volumes(self._open_resources)
        self._jobs = Jobs(self._open_resources, self._transfers)
        self._resources.again = self._jobs.repeat
        self._storage: AsyncStorageManager | None = None
        self._compute: AsyncComputeManager | None = None
        self._signing_in = Lock()
        self._has_account = email is not None or secrets is not None
        self._signed_in = not self._has_account
        # A sign-in of its own ends with the session, unless somebody was given its secrets.
        self._ends_sign_in = False
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether `aclose` was called."""
        return self._closed

    @property
    def secrets(self) -> dict[str, Any] | None:
        """What the sign-in gave, to be passed as `secrets=` later; None before it, and without an account.

        Once they were asked for, the sign-in outlives the session.
        """
        self._ends_sign_in = False
        return None if self._secrets is None else self._secrets.to_dict()

    def get_storage_manager(self) -> AsyncStorageManager:
        """The account's storage at every provider.

        Raises:
            SessionClosedError: the session was closed.
        """
        self._open_resources()
        if self._storage is None:
            self._storage = AsyncStorageManager(self._open_resources, self._area, self._transfers)
        return self._storage

    def get_compute_manager(self) -> AsyncComputeManager:
        """The account's compute units.

        Raises:
            ConfigurationError: the session has no account.
            SessionClosedError: the session was closed.
        """
        self._open_resources()
        self._check_account("compute units belong")
        if self._compute is None:
            self._compute = AsyncComputeManager(self._unit_hub, self._unit_storage)
        return self._compute

    async def copy(
        self, src: Written, dst: Written, *, storage_type: str = "private", on_progress: OnProgress | None = None
    ) -> TransferReport:
        """Copies a file or an object, or a directory with all that is in it, from anywhere to anywhere.

        Places are written `aws:/bucket/key`, `azure:/container/blob`, `gcp:/bucket/object`, `unit:/Demo/dir/file`,
        `local:/dir/file`, or as a local path, which may be a glob pattern as a source. Another word before a colon is
        an error, unless there is something of that name: write `./word:name` for it. A `dst` that ends in a slash is
        a directory to put the source into, else exactly the name to give it; an existing local directory counts as
        written with the slash. Of a `src` that ends in a slash only the content is meant.

        Within a provider the provider copies; from one to the other the bytes stream through memory, large objects in
        parallel parts, compared with the checksums that either side tells. The media type and the time of the last
        change go along; within a provider all metadata does.

        Args:
            src: what to copy.
            dst: where to.
            storage_type: of the account's places: `"private"` or `"public"`.
            on_progress: told at most ten times a second.

        Returns:
            What became of each item.

        Raises:
            ConfigurationError: no place is written like `src` or `dst`.
            NotFoundError: there is no such source.
            UnsupportedError: the source is a pipe, a socket or a device.
            UnsafePathError: the destination is the source, or lies in it, or is a pipe, a socket, a device or a link
                to nothing; a link to a file stays, and that file is replaced.
            TransferError: some item failed; the others are there.

        Example:
            >>> async def main() -> None:
            ...     async with AsyncSession() as session:
            ...         await session.copy("aws:/bucket/results/", "gcp:/other-bucket/results/")
        """
        source, destination = await self._located(src, dst, storage_type)
        return await self._transfers.relocate(source, destination, on_progress, move=False)

    async def move(
        self, src: Written, dst: Written, *, storage_type: str = "private", on_progress: OnProgress | None = None
    ) -> TransferReport:
        """Moves, with the rules of `copy`. Each source is deleted once its copy is known to be stored.

        On one local disk it is a rename. Local directories that a move has emptied go, too, but for one that was
        written with a slash at its end; what lies behind a link is copied, and stays.
        """
        source, destination = await self._located(src, dst, storage_type)
        return await self._transfers.relocate(source, destination, on_progress, move=True)

    @overload
    async def sync(
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
    async def sync(
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
    async def sync(
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
        """Makes the directory `dst` like the directory `src`: copies what is new or differs.

        Places are written as for `copy`; both are directories, with or without a slash at the end. A `dst` that is
        not there is made. Memory does not grow with the directories.

        Args:
            src: the directory to go by.
            dst: the directory to change.
            delete: whether what only `dst` has is deleted: at the end, and only when both listings came to their end
                and every copy worked. A file in the place of a directory, or the reverse, goes before the copy. What
                cannot be read at `src` protects its name, and all below it.
            compare: `"size+mtime"` (or checksums, where those of both sides cost nothing; where `dst` keeps no times,
                an item of equal size that is not older is the same), `"checksum"` (files and objects that none is
                stored with are read for it), or `"size"`.
            include: glob patterns; when there are any, the sync is about these names only.
            exclude: glob patterns of names that it is not about: they are neither copied nor deleted. `*.csv`
                matches in every directory, `raw/*.csv` from the top, `**` any directories; what matches a directory
                matches all that is in it.
            dry_run: whether only to say what would be done.
            storage_type: of the account's places.
            on_progress: told at most ten times a second.

        Returns:
            What was copied and deleted; with `dry_run` what would be.

        Raises:
            NotFoundError: there is no such source; nothing is deleted.
            UnsafePathError: one of the directories lies in the other one.
            ConfigurationError: a pattern or a comparison that cannot be.
            TransferError: some item failed, and nothing was deleted; or it could not be read at `src`, or not be
                deleted, after all else was done.
        """
        rules = Rules(compare, _patterns(include), _patterns(exclude), delete)
        source, destination = await self._located(src, dst, storage_type)
        if dry_run:
            return await self._transfers.plan(source, destination, rules)
        return await self._transfers.sync(source, destination, rules, on_progress)

    async def jobs(self) -> list[JobInfo]:
        """The calls that have not come to their end: they are under way, were broken off, or had items that failed.

        They are kept in `DXFLOW_HOME/jobs`, oldest first; those of other processes are among them. Of a call that ended
        well nothing is kept.
        """
        return await self._jobs.unfinished()

    async def resume(self, job_id: str, *, on_progress: OnProgress | None = None) -> TransferReport:
        """Goes on with a job: does what is not done yet, and large items from where they were.

        The sources are looked at again. What was changed since is moved anew, which the log says; what is done and the
        same is left alone, and is not in the report. A sync compares anew.

        Args:
            job_id: as `jobs` and `TransferReport.job_id` tell.
            on_progress: told at most ten times a second.

        Returns:
            What became of each item that was not done.

        Raises:
            ConfigurationError: there is no such job, a newer version wrote it, or account and settings are others.
            JobBusyError: another process works on it.
            TransferError: some item failed; the job is kept.
        """
        return await self._jobs.resume(job_id, on_progress)

    async def clean_jobs(self, *job_ids: str, dry_run: bool = True) -> list[Leftover]:
        """What jobs have left that nobody works on: uploads in parts, temporary files, and the jobs themselves.

        Args:
            job_ids: the jobs; none stands for all.
            dry_run: whether it is only said; else it is removed, and there is nothing to go on with.

        Raises:
            ConfigurationError: as for `resume`.
            StorageError: an upload could not be removed.
        """
        return await self._jobs.clean(job_ids, dry_run=dry_run)

    async def sign_in(self) -> None:
        """Signs in now instead of on first use; does nothing without an account, or when it is done.

        Raises:
            AuthenticationError: a wrong pair, wrong secrets, or too many tries.
            NetworkError: the hub cannot be reached.
        """
        self._open_resources()
        async with self._signing_in:
            if not self._signed_in:
                await self._sign_in()
                self._signed_in = True
                self._resources.account = "the embedded hub" if self._embedded is not None else self._hub

    async def aclose(self) -> None:
        """Closes connections, threads and the embedded hub. Calls under way fail; a second call does nothing.

        A sign-in that the session has made ends, unless its `secrets` were asked for.
        """
        if self._closed:
            return
        self._closed = True
        try:
            await self._sign_out()
            for provider in self._providers.values():
                await provider.aclose()
            await self._volumes.aclose()
        finally:
            await self._resources.aclose()
            if self._embedded is not None:
                await self._embedded.aclose()

    async def __aenter__(self) -> Self:
        try:
            await self.sign_in()
        except BaseException:
            with CancelScope(shield=True):
                await self.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _repeat_by(self, call: Callable[..., Any]) -> None:
        """Lets `call(function, ...)` make the calls that `TransferReport.retry_failed` asks for."""
        self._resources.again = functools.partial(call, self._jobs.repeat)

    async def _located(self, src: Written, dst: Written, storage: str) -> tuple[Located, Located]:
        return await self._transfers.locate(src, storage), await self._transfers.locate(dst, storage, new=True)

    def _open_resources(self) -> Resources:
        if self._closed:
            raise SessionClosedError("this session was closed; make a new one")
        return self._resources

    async def _sign_in(self) -> None:
        from dxflow_async.control.account import provider_settings, sign_in, verify

        hub = await self._hub_url()
        async with await self._connect_to_hub() as http:
            if self._secrets is not None:
                await verify(http, hub, self._secrets)
            else:
                assert self._email is not None
                assert self._password is not None
                self._secrets, created = await sign_in(http, hub, self._email, self._password, self._namespace)
                self._ends_sign_in = True
                if created:
                    _log.warning("the account %s was created at %s", self._email, redacted(hub))
            self._given = await provider_settings(http, hub, self._secrets)
        if self._embedded is not None:
            await self._embedded.serve_demo(self._secrets.user_pointer)

    async def _sign_out(self) -> None:
        if self._ends_sign_in and self._secrets is not None and self._hub is not None:
            from dxflow_async.control.account import end_sign_in

            await end_sign_in(self._hub_connection, self._hub, self._secrets)

    async def _connect_to_hub(self) -> aiohttp.ClientSession:
        self._open_resources()
        return await self._hub_connection()

    async def _hub_connection(self) -> aiohttp.ClientSession:
        import aiohttp

        tls = await self._resources.http.tls_context()
        headers = None if self._embedded is None else self._embedded.headers
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls), headers=headers)

    async def _hub_url(self) -> str:
        from dxflow_async.control.account import StoredLogin
        from dxflow_async.server.embedded import EmbeddedHub

        if self._hub is None:
            stored = await self._resources.threads.run(StoredLogin.load, self.settings.home)
            self._hub = None if stored is None else stored.hub
        if self._hub is None:
            if not self.settings.embedded:
                raise ConfigurationError("no hub to sign in to: set hub (DXFLOW_HUB), or embedded to true")
            self._embedded = self._embedded or EmbeddedHub(self.settings.home, durable=self.settings.durable)
            self._hub = await self._embedded.start()
        return self._hub

    async def _area(self, provider: str, storage_type: str) -> Area:
        """Where the paths of a provider and a storage type lie."""
        self._open_resources()
        name = provider_name(provider)
        if storage_type not in ("private", "public"):
            raise ConfigurationError(f"storage type = {storage_type!r} is not allowed; it must be private or public")
        await self.sign_in()
        public = storage_type == "public"
        given = self._given.get(name)
        settings = with_account(self.settings, name, given) if given else self.settings
        own = getattr(settings, name.lower(), None)
        stands_in = self._embedded is not None and not (own is not None and own.configured)
        key, resources = (name, storage_type if stands_in else ""), self._resources.of_provider(name)
        if key not in self._providers and stands_in:
            root = self.settings.storage_home / name.lower() / storage_type
            self._providers[key] = registry.create_stand_in(storage_type, root, resources)
        elif key not in self._providers:
            self._providers[key] = registry.create_provider(registry.kind_of_settings(own).kind, own, resources)
        if stands_in:
            return Area(name, self._providers[key])
        prefix = getattr(own, storage_type, None)
        return Area(name, self._providers[key], f"{prefix.rstrip('/')}/" if prefix else "", public)

    async def _at_hub(self, call: Callable[[aiohttp.ClientSession, str, Secrets], Awaitable[T]]) -> T:
        """What `call` returns when it may speak to the hub; for the command line."""
        self._check_account("settings at a hub belong")
        await self.sign_in()
        assert self._secrets is not None
        assert self._hub is not None
        async with await self._connect_to_hub() as http:
            return await call(http, self._hub, self._secrets)

    def _check_account(self, what: str) -> None:
        if not self._has_account:
            raise ConfigurationError(
                f"{what} to an account, and this session has none: sign in, with email and password or "
                "with secrets (in the shell: dxflow-async login, or --email)"
            )

    async def _unit_hub(self) -> UnitHub:
        from dxflow_async.control.units import UnitHub

        await self.sign_in()
        assert self._secrets is not None
        assert self._hub is not None
        return UnitHub(self._hub, self._secrets.user_pointer, self._secrets.user_secret, self._connect_to_hub)

    def _unit_storage(self, unit: Callable[[], Unit]) -> AsyncUnitStorage:
        return AsyncUnitStorage(self._open_resources, lambda: self._volumes.open(unit()), self._transfers)

    async def _volume(self, name: str) -> Area:
        # Asked for each time: a unit that was started again may have another address.
        return await self._volumes.open((await self.get_compute_manager().get_unit(name)).detail)

    async def _storage_at(self, written: str, storage_type: str) -> tuple[AreaStorage, str]:
        """What has the calls of the place that users wrote, and the path there; for the command line."""
        location = parse_location(written)
        if location.provider == "UNIT":
            name, path = unit_path(location.path)
            return (await self.get_compute_manager().get_unit(name)).storage, path

        def find() -> Awaitable[Area]:
            return self._area(location.provider, storage_type)

        return AreaStorage(self._open_resources, find, self._transfers, storage_type), location.path


def _patterns(patterns: str | Iterable[str]) -> tuple[str, ...]:
    return (patterns,) if isinstance(patterns, str) else tuple(patterns)


def _checked(secrets: Mapping[str, Any]) -> Secrets:
    from dxflow_async.control.account import Secrets

    return Secrets.from_dict(secrets)

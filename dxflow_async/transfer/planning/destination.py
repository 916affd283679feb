"""The destination of a call: it gives each item its place, and refuses names.

The rules of names are the same for copy, move, upload and the command `cp`:

- A destination with a trailing slash is the directory that the source goes into. Any other destination is the source's
  new name. An existing local directory, and a whole remote, count as written with the slash.
- Of a source with a trailing slash only the content is copied. It goes into the directory that the destination names,
  with or without a slash.
"""

from __future__ import annotations

import os
import stat
from abc import ABC, abstractmethod
from pathlib import Path

from dxflow_async.concurrency.threads import Threads
from dxflow_async.config.working_directory import absolute_path
from dxflow_async.exceptions import UnsafePathError
from dxflow_async.modes import kind_of_file
from dxflow_async.paths import check_key, local_name
from dxflow_async.providers.contract import Provider
from dxflow_async.providers.registry import local_provider
from dxflow_async.transfer.context import Place, TransferContext
from dxflow_async.transfer.planning.name_claims import NameClaims
from dxflow_async.transfer.planning.one_service import is_below, is_inside

__all__ = [
    "Destination",
    "LocalDestination",
    "LocalPlaces",
    "RemoteDestination",
    "below",
    "contains",
    "directory",
    "inside",
    "taken",
]


def below(place: Place, name: str) -> Place:
    """Returns the place of a name in a directory."""
    return Place(place.provider, place.key + name, place.shown + name)


def directory(place: Place) -> Place:
    """Returns a place as a directory: its key ends in a slash, or is empty."""
    slash = "" if not place.key or place.key.endswith("/") else "/"
    return Place(place.provider, place.key + slash, place.shown.removesuffix("/") + "/")


async def contains(outer: Place, inner: Place) -> bool:
    """Returns whether two places are the same, or `outer` is a directory (its key ends in a slash) with `inner` in it.

    On this machine's disks symbolic links are followed. Two remotes may lead to one place: see `is_inside`.
    """
    outer_disk, inner_disk = outer.provider.local_disk, inner.provider.local_disk
    if outer_disk is not None and inner_disk is not None:
        one, other = await outer_disk.real_path(outer.key), await inner_disk.real_path(inner.key)
        return os.path.join(other, "").startswith(os.path.join(one, ""))
    if outer.provider is not inner.provider:
        return await is_inside(outer, inner)
    return is_below(outer.key, inner.key)


class Destination(ABC):
    """The destination of a call.

    Attributes:
        shown: the destination as the user wrote it.
        into: whether sources go into it, as a directory; otherwise it is the source's new name.
        claims: the names that the call has given away; None where no two items can get one name.
    """

    shown: str
    into: bool
    claims: NameClaims | None = None

    @abstractmethod
    def named(self, name: str) -> Place:
        """Returns the place of an object of that name."""

    @abstractmethod
    def directory(self, name: str = "") -> Place:
        """Returns the new directory for the content of a directory of that name; without a name, the destination."""

    @abstractmethod
    def check(self, place: Place, operation: str, *, marker: bool) -> None:
        """Checks that a place may be created.

        Args:
            place: the place.
            operation: the operation, for errors.
            marker: whether it is a directory.

        Raises:
            UnsafePathError: it may not; the message has the reason.
        """

    async def resolve(self, target: Place, operation: str) -> Place:
        """Returns the place to write for a new name that the user chose, following a symbolic link there.

        Raises:
            UnsafePathError: the name is taken by something that is neither a file nor a directory.
        """
        return target

    def claim(self, source: Place, target: Place, operation: str) -> None:
        """Claims a name for a source.

        Raises:
            UnsafePathError: another source of the call has that name, or one that is the same at the destination.
        """
        if self.claims is not None and not self.claims.take(target.shown, source.shown):
            raise taken(source, target, operation)

    async def prepare(self, context: TransferContext, *, several: bool = False) -> None:
        """Prepares the destination before the first item: finds out whether names can collide.

        Args:
            context: the call's context.
            several: whether the call has several sources, whose names can always collide.
        """
        if self.claims is None:
            folds = await self.folds_names()
            self.claims = NameClaims(folds=folds) if folds or several else None

    async def folds_names(self) -> bool:
        """Returns whether the destination treats names as equal that differ in case or in Unicode form."""
        return False


def taken(source: Place, target: Place, operation: str) -> UnsafePathError:
    """Returns the error of an item whose name another item of the call has."""
    return UnsafePathError(
        f"{operation} of {source.shown} to {target.shown} refused: another item of this call has that name there, or "
        "one that the file system takes for the same; give one of them another name",
        provider=source.provider.name,
        operation=operation,
        path=source.shown,
    )


class RemoteDestination(Destination):
    """A destination in a storage area."""

    def __init__(self, place: Place) -> None:
        self.shown = place.shown
        self.into = not place.key or place.key.endswith("/")
        self._place = place

    def named(self, name: str) -> Place:
        return below(self._place, name) if self.into else self._place

    def directory(self, name: str = "") -> Place:
        top = directory(self._place)
        return directory(below(top, name)) if self.into and name else top

    def check(self, place: Place, operation: str, *, marker: bool) -> None:
        if not self._place.key and place.provider.features.buckets and "/" not in place.key:
            raise UnsafePathError(
                f"{place.provider.name} {operation} to {self.shown} refused: it names no bucket for {place.key}; write "
                f"{self.shown}BUCKET/",
                provider=place.provider.name,
                operation=operation,
                path=place.shown,
            )
        if marker and place.key.count("/") == 1:  # a bucket, as the top of what is copied
            check_key(place.key, provider=place.provider.name, operation=operation)
        else:
            place.check_target(operation, directory=marker)


class LocalDestination(Destination):
    """A destination on this machine. Nothing is created outside of it, also not through a symbolic link in it.

    Args:
        path: the path as the user wrote it; it need not exist.
        threads: the session's worker threads.
        into: as for `Destination`.
    """

    def __init__(self, path: str, threads: Threads, *, into: bool) -> None:
        self.shown = path
        self.into = into
        self._threads = threads

    def named(self, name: str) -> Place:
        path = os.path.join(self.shown, local_name(name)) if self.into else self.shown
        parent, base = os.path.split(absolute_path(path))
        return Place(local_provider(parent, self._threads), base, path)

    def directory(self, name: str = "") -> Place:
        path = os.path.join(self.shown, local_name(name)) if self.into and name else self.shown
        return Place(local_provider(path, self._threads), "", os.path.join(path, ""))

    async def resolve(self, target: Place, operation: str) -> Place:
        if self.into:  # the user did not choose the name
            return target
        path = await self._threads.run(_real_file, self.shown, operation)
        if path is None:
            return target
        parent, base = os.path.split(path)
        return Place(local_provider(parent, self._threads), base, target.shown)

    async def folds_names(self) -> bool:
        disk = local_provider(self.shown, self._threads).local_disk
        return disk is not None and await disk.folds_names("")

    async def prepare(self, context: TransferContext, *, several: bool = False) -> None:
        await super().prepare(context, several=several)
        if context.journal is not None:
            await context.journal.sweep(self.directory().provider, "any name in it")

    def check(self, place: Place, operation: str, *, marker: bool) -> None:
        local_name(place.key)
        if place.key.endswith("/") and not marker:
            raise UnsafePathError(
                f"{operation} to {place.shown} refused: the name ends in a slash, which no file name may; "
                "copy it under another name",
                operation=operation,
                path=place.shown,
            )


def inside(target: Place, threads: Threads) -> Destination:
    """Returns a directory as the destination of what goes into it, where no two names are the same file's."""
    local = target.provider.local_disk is not None
    return LocalDestination(target.shown, threads, into=True) if local else RemoteDestination(target)


def _real_file(path: str, operation: str) -> str | None:
    """Returns the file that a symbolic link leads to, which is replaced while the link stays; None without a link.

    Blocks.

    Raises:
        UnsafePathError: the path is a pipe, a socket, a device, or a link to one of them or to nothing.
    """
    path = absolute_path(path)
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return None  # it does not exist, or writing it fails with the reason
    is_link = stat.S_ISLNK(mode)
    reason = None
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        reason = "it is a broken symbolic link; remove it, or name the file that it is to lead to"
    except OSError as error:
        reason = f"the symbolic link cannot be followed ({error.strerror}); remove it"
    else:
        if is_link and _is_descriptor(path):
            reason = "it is an open file of a process; name the file, or redirect dxflow-async cat"
        elif not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            reason = f"it is {kind_of_file(mode)}, which cannot hold a file; name a file, or redirect dxflow-async cat"
    if reason is not None:
        text = f"{operation} to {path} refused: {reason}"
        raise UnsafePathError(text, provider="LOCAL", operation=operation, path=path)
    return os.path.realpath(path) if is_link else None


def _is_descriptor(path: str) -> bool:
    """Returns whether a link leads to an open file of a process: an entry of /proc/PID/fd or, on macOS, of /dev/fd."""
    for _ in range(_MAX_LINKS):
        if os.path.realpath(os.path.dirname(path)).startswith(("/proc/", "/dev/fd")):
            return True
        if not os.path.islink(path):
            return False
        path = os.path.join(os.path.dirname(path), os.readlink(path))
    return False


_MAX_LINKS = 40  # the limit of Linux


class LocalPlaces:
    """The places of the user's own files. Symbolic links are followed.

    Args:
        threads: the session's worker threads.
        marks_links: listings report symbolic links below a directory as such, and do not follow them.

    Attributes:
        threads: as given.
    """

    def __init__(self, threads: Threads, *, marks_links: bool = False) -> None:
        self.threads = threads
        self._marks_links = marks_links
        self._providers: dict[str, Provider] = {}

    def place(self, path: str) -> Place:
        """Returns the place of a local path; with a trailing slash that of a directory."""
        anchor = Path(absolute_path(path)).anchor
        provider = self._providers.get(anchor)
        if provider is None:
            provider = self._providers[anchor] = local_provider(anchor, self.threads, follow_symlinks=True)
            if self._marks_links and provider.local_disk is not None:
                provider.local_disk.mark_links()
        key = Path(absolute_path(path)).relative_to(anchor).as_posix()
        slash = "/" if path.endswith(("/", os.sep)) else ""
        return Place(provider, "" if key == "." else key + slash, path)

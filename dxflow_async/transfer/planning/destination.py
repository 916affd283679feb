"""The two ends of a copy: how places are written, which names they give, and which they refuse.

The rules are the same everywhere, for copy, move, upload and the command `cp`:

- a destination that ends in a slash is a directory to put the source into; else it is the name to give it. An
  existing local directory, and the whole of a provider, count as written with the slash;
- of a source that ends in a slash only the content is meant, which goes into the directory that the destination
  names, with or without its slash.
"""

from __future__ import annotations

import os
import stat
from abc import ABC, abstractmethod
from pathlib import Path

from dxflow_async.concurrency.threads import Threads
from dxflow_async.exceptions import UnsafePathError
from dxflow_async.modes import kind_of_file
from dxflow_async.paths import check_key, local_name
from dxflow_async.providers.contract import Provider
from dxflow_async.providers.registry import local_provider
from dxflow_async.transfer.context import Place, TransferContext, check_target
from dxflow_async.transfer.planning.name_claims import NameClaims
from dxflow_async.transfer.planning.one_service import is_one_service

__all__ = [
    "Destination",
    "LocalDestination",
    "LocalPlaces",
    "RemoteDestination",
    "below",
    "contains",
    "directory",
    "taken",
]


def below(place: Place, name: str) -> Place:
    """A name in a directory."""
    return Place(place.provider, place.key + name, place.shown + name)


def directory(place: Place) -> Place:
    """A place as a directory."""
    slash = "" if not place.key or place.key.endswith("/") else "/"
    return Place(place.provider, place.key + slash, place.shown.removesuffix("/") + "/")


async def contains(outer: Place, inner: Place) -> bool:
    """Whether a place is the other one, or lies in it where that is a directory (its key ends in a slash).

    On this machine's disks links are followed for that. Two remotes may be one service: that is so for one kind with
    one endpoint, and where both have the same object under the key in question.
    """
    outer_disk, inner_disk = outer.provider.local_disk, inner.provider.local_disk
    if outer_disk is not None and inner_disk is not None:
        one, other = await outer_disk.real_path(outer.key), await inner_disk.real_path(inner.key)
        return os.path.join(other, "").startswith(os.path.join(one, ""))
    if outer.provider is not inner.provider and not await is_one_service(outer, inner):
        return False
    if outer.key and not outer.key.endswith("/"):
        return inner.key == outer.key
    return directory(inner).key.startswith(outer.key)


class Destination(ABC):
    """A destination.

    Attributes:
        shown: as users write it.
        into: whether it is a directory to put things into.
        claims: of what goes there, where two things might get one name; else None.
    """

    shown: str
    into: bool
    claims: NameClaims | None = None

    @abstractmethod
    def named(self, name: str) -> Place:
        """Where an object of that name goes."""

    @abstractmethod
    def directory(self, name: str = "") -> Place:
        """The directory that the content of a directory of that name goes into; of none, of itself."""

    @abstractmethod
    def check(self, place: Place, operation: str, *, marker: bool) -> None:
        """Refuses a place that must not be created, before anything is; `marker`: it is a directory.

        Raises:
            UnsafePathError: with the reason.
        """

    async def resolve(self, target: Place, operation: str) -> Place:
        """Where that goes which the user gave the name of `target` himself.

        Raises:
            UnsafePathError: what has the name is neither a file nor a directory.
        """
        return target

    def claim(self, source: Place, target: Place, operation: str) -> None:
        """Gives a name to a source.

        Raises:
            UnsafePathError: in this call another one has it, or one that is the same here.
        """
        if self.claims is not None and not self.claims.take(target.shown, source.shown):
            raise taken(source, target, operation)

    async def prepare(self, context: TransferContext, *, several: bool = False) -> None:
        """Before a directory is filled, from `several` sources or one: whether names may clash, there or anyway."""
        if self.claims is None:
            folds = await self.folds_names()
            self.claims = NameClaims(folds=folds) if folds or several else None

    async def folds_names(self) -> bool:
        """Whether names that differ in case, or in how a letter is written, are one there."""
        return False


def taken(source: Place, target: Place, operation: str) -> UnsafePathError:
    """Why an item is left alone whose name another one of the call has."""
    return UnsafePathError(
        f"{operation} of {source.shown} to {target.shown} refused: another item of this call has that name there, or "
        "one that the file system takes for the same; give one of them another name",
        provider=source.provider.name,
        operation=operation,
        path=source.shown,
    )


class RemoteDestination(Destination):
    """A place in the account's storage."""

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
        if marker and place.key.count("/") == 1:  # a bucket, as the top of what is copied
            check_key(place.key, provider=place.provider.name, operation=operation)
        else:
            check_target(place, operation, directory=marker)


class LocalDestination(Destination):
    """A place on this machine; what is created never leaves it through a link.

    Args:
        path: as users write it; it need not exist.
        threads: for its provider.
        into: whether it is a directory to put things into.
    """

    def __init__(self, path: str, threads: Threads, *, into: bool) -> None:
        self.shown = path
        self.into = into
        self._threads = threads

    def named(self, name: str) -> Place:
        path = os.path.join(self.shown, local_name(name)) if self.into else self.shown
        parent, base = os.path.split(os.path.abspath(path))
        return Place(local_provider(parent, self._threads), base, path)

    def directory(self, name: str = "") -> Place:
        path = os.path.join(self.shown, local_name(name)) if self.into and name else self.shown
        return Place(local_provider(path, self._threads), "", os.path.join(path, ""))

    async def resolve(self, target: Place, operation: str) -> Place:
        if self.into:  # the name is the source's
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
                f"{operation} to {place.shown} refused: the name ends in a slash, which no file's can; "
                "copy it under another name",
                operation=operation,
                path=place.shown,
            )


def _real_file(path: str, operation: str) -> str | None:
    """The file that is to be replaced where a link was named, so that the link stays; None where none was. Blocks.

    Raises:
        UnsafePathError: the name is that of a pipe, a socket, a device, or a link to one of them or to nothing.
    """
    path = os.path.abspath(path)
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return None  # it is not there, or whoever writes it says why it cannot be
    is_link = stat.S_ISLNK(mode)
    reason = None
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        reason = "it is a symbolic link to nothing; remove it, or name what it is to lead to"
    except OSError as error:
        reason = f"the symbolic link cannot be followed ({error.strerror}); remove it"
    else:
        if is_link and _is_descriptor(path):
            reason = "it is an open file of a process; name the file, or redirect dxflow-async cat"
        elif not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            reason = (
                f"it is {kind_of_file(mode)}, which has no place for a file; name one, or redirect dxflow-async cat"
            )
    if reason is not None:
        text = f"{operation} to {path} refused: {reason}"
        raise UnsafePathError(text, provider="LOCAL", operation=operation, path=path)
    return os.path.realpath(path) if is_link else None


def _is_descriptor(path: str) -> bool:
    """Whether a link leads to an entry of /proc/PID/fd, such as /dev/stdout does."""
    for _ in range(_MAX_LINKS):
        if os.path.realpath(os.path.dirname(path)).startswith("/proc/"):
            return True
        if not os.path.islink(path):
            return False
        path = os.path.join(os.path.dirname(path), os.readlink(path))
    return False


_MAX_LINKS = 40  # as many as Linux follows


class LocalPlaces:
    """The user's own files, by the paths users write; links are followed."""

    def __init__(self, threads: Threads) -> None:
        self.threads = threads
        self._providers: dict[str, Provider] = {}

    def place(self, path: str) -> Place:
        """A file, or (with a slash at its end) a directory, as one end of a transfer."""
        anchor = Path(path).absolute().anchor
        provider = self._providers.get(anchor)
        if provider is None:
            provider = self._providers[anchor] = local_provider(anchor, self.threads, follow_symlinks=True)
        key = Path(os.path.abspath(path)).relative_to(anchor).as_posix()
        slash = "/" if path.endswith(("/", os.sep)) else ""
        return Place(provider, "" if key == "." else key + slash, path)

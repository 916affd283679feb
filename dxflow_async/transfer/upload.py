"""Which local files an upload moves, and the names they get."""

from __future__ import annotations

import glob
import mimetypes
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from dxflow_async.exceptions import ConfigurationError, NotFoundError, StorageError, UnsafePathError
from dxflow_async.models import TransferResult
from dxflow_async.providers.base import Entry, ObjectOptions, Provider
from dxflow_async.providers.local import LocalProvider
from dxflow_async.providers.threads import Threads
from dxflow_async.transfer.copy import CopyJob, MarkerJob, SettledJob
from dxflow_async.transfer.engine import Job
from dxflow_async.transfer.listing import pages
from dxflow_async.transfer.moving import Place, Route, check_target

__all__ = ["LocalFiles", "Target", "content_type_of", "file_job", "upload"]


@dataclass(frozen=True, slots=True)
class Target:
    """Where an upload goes: a key, or a prefix that ends in a slash; how users write it; what is stored with it."""

    provider: Provider
    key: str
    shown: str
    options: ObjectOptions

    def place(self, name: str = "") -> Place:
        """The target itself, or a name below it."""
        return Place(self.provider, self.key + name, self.shown + name)

    def directory(self, name: str = "") -> Target:
        """The target as a directory, or one of that name in it."""
        return Target(
            self.provider,
            "/".join(filter(None, (self.key.removesuffix("/"), name))) + "/",
            "/".join(filter(None, (self.shown.removesuffix("/"), name))) + "/",
            self.options,
        )


@dataclass(slots=True)
class LocalFiles:
    """The user's own files, by the paths users write; links are followed."""

    threads: Threads
    _providers: dict[str, LocalProvider] = field(default_factory=dict)

    def place(self, path: str) -> Place:
        """A file as one end of a transfer."""
        anchor = Path(path).absolute().anchor
        provider = self._providers.get(anchor)
        if provider is None:
            provider = self._providers[anchor] = LocalProvider(Path(anchor), self.threads, follow_symlinks=True)
        key = Path(os.path.abspath(path)).relative_to(anchor).as_posix()
        return Place(provider, "" if key == "." else key, path)

    async def expand(self, pattern: str) -> list[str]:
        """The path itself when there is such a file; else what the glob pattern matches, sorted.

        Raises:
            NotFoundError: nothing does.
        """
        paths = await self.threads.run(_expand, pattern)
        if not paths:
            raise NotFoundError(
                f"LOCAL upload of {pattern} failed: there is no such file, and nothing matches it; check the path",
                provider="LOCAL",
                operation="upload",
                path=pattern,
            )
        return paths


async def upload(route: Route, files: LocalFiles, source: str, target: Target) -> AsyncIterator[Job]:
    """The jobs that upload a file, a directory with all that is in it, or what a glob pattern matches.

    A target that ends in a slash is a directory to put the source into; else it is the name to give it. Of a
    source directory written with a trailing slash only the content is meant.

    Raises:
        NotFoundError: no such source.
        ConfigurationError: several sources for one name.
    """
    paths = await files.expand(source)
    into = not target.key or target.key.endswith("/")
    if len(paths) > 1 and not into:
        raise ConfigurationError(
            f"{source} matches {len(paths)} files, and {target.shown} is one name; end it in a slash for a directory"
        )
    for path in paths:
        place = files.place(path)
        name = place.key.rpartition("/")[2]
        try:
            entry = await place.provider.stat(place.key)
        except StorageError as error:
            if len(paths) == 1:
                raise
            yield SettledJob(TransferResult(path, target.shown + name, error=error))
            continue
        if not entry.directory:
            end = target.place(name) if into else target.place()
            yield file_job(route, place, end, target.options, entry)
            continue
        content_only = path.endswith(("/", os.sep)) or not into
        below = target.directory() if content_only else target.directory(name)
        async for job in _tree(route, place, below):
            yield job


async def _tree(route: Route, top: Place, target: Target) -> AsyncIterator[Job]:
    prefix = f"{top.key}/" if top.key else ""
    shown = os.path.join(top.shown, "")
    listing = pages(top.provider, prefix, recursive=True, limits=route.limits, policy=route.policy)
    async for page in listing:
        for entry in page:
            name = entry.key[len(prefix) :]
            source = Place(top.provider, entry.key, shown + name)
            yield file_job(route, source, target.place(name), target.options, entry)


def file_job(route: Route, source: Place, target: Place, options: ObjectOptions, entry: Entry | None) -> Job:
    """What uploads one file, or says why it is not uploaded."""
    try:
        check_target(target, "upload", directory=entry is not None and entry.directory)
    except UnsafePathError as error:
        return SettledJob(TransferResult(source.shown, target.shown, error=error))
    if entry is not None and entry.unreadable is not None:
        return SettledJob(TransferResult(source.shown, target.shown, skipped=entry.unreadable))
    if entry is not None and entry.directory:
        return MarkerJob(route, source, target)
    if options.content_type is None:
        options = _typed(options, content_type_of(target.key))
    return CopyJob(route, source, target, options, entry)


def _typed(options: ObjectOptions, content_type: str) -> ObjectOptions:
    return ObjectOptions(content_type, options.metadata, options.public, options.modified)


def content_type_of(name: str) -> str:
    """The media type that a name's ending says, else `application/octet-stream`.

    Example:
        >>> content_type_of("a/table.CSV"), content_type_of("a.tar.gz")
        ('text/csv', 'application/gzip')
    """
    ending = os.path.splitext(name)[1].lower()
    return _COMPRESSED.get(ending) or _TYPES.get(ending) or "application/octet-stream"


# The same on every machine: the system's own tables are not read.
_TYPES = mimetypes.MimeTypes(filenames=()).types_map[True]
_COMPRESSED = {
    ".gz": "application/gzip",
    ".bz2": "application/x-bzip2",
    ".xz": "application/x-xz",
    ".zst": "application/zstd",
}


def _expand(pattern: str) -> list[str]:
    if os.path.lexists(pattern):
        return [pattern]
    return sorted(glob.glob(pattern, recursive=True, include_hidden=False)) if glob.has_magic(pattern) else []

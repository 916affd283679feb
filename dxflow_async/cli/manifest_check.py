"""`check --manifest`: compares a place with a list of checksums, or writes the list of a place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from dxflow_async.blocking.tables import difference_line, write_line, write_text
from dxflow_async.cli.json_lines import print_json
from dxflow_async.cli.manifests import (
    ALGORITHMS,
    BAG_DECLARATION,
    Manifest,
    algorithm_of_name,
    bag_algorithm,
    format_manifest,
)
from dxflow_async.cli.places import Place, area_name
from dxflow_async.cli.selecting import selected
from dxflow_async.cli.status import DIFFERS, DONE, Failures
from dxflow_async.concurrency.pool import for_each
from dxflow_async.exceptions import ConfigurationError, NotFoundError, StorageError
from dxflow_async.models import Item
from dxflow_async.plurals import counted
from dxflow_async.security.redaction import printable
from dxflow_async.session import AsyncSession
from dxflow_async.transfer.selection import Selection

__all__ = ["ManifestCheck"]

_TOGETHER = 16
"""The number of files that are read at a time."""

_KINDS = ("differing", "missing", "extra")


@dataclass(slots=True)
class ManifestCheck:
    """The comparison of a place with a manifest.

    Args:
        location: the directory.
        manifest: where the list is, or is to be.
        selection: the files that take part; None: all.
        algorithm: that of a new list; None: the one that its name tells, else SHA-256.
        json, quiet: how to report.
        public: whether remote locations are in the account's public storage.
    """

    location: str
    manifest: str
    selection: Selection | None
    algorithm: str | None
    json: bool
    quiet: bool
    public: bool
    same: int = 0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_KINDS, 0))

    async def verify(self, session: AsyncSession) -> int:
        """Compares the place with the list; returns the exit status.

        The bytes of every listed file are read.
        """
        failures = Failures(json=self.json)
        data = await session.read_bytes(self.manifest, storage_type=area_name(public=self.public))
        manifest = Manifest(data.decode("utf-8", "surrogateescape"), self.manifest)
        place, own = await self._place(session), await self._own_name(session)
        left = dict(manifest.files)

        async def compare(found: tuple[str, Item]) -> None:
            name, item = found
            listed = left.pop(name, None)
            if listed is None:
                self._report("extra", name, item.size, "not in the manifest")
                return
            try:
                digest = await _digest(place, item, listed.algorithm)
            except StorageError as error:
                failures.add(error)
                return
            if digest == listed.digest:
                self.same += 1
            else:
                self._report("differing", name, item.size, f"{listed.algorithm} differs")

        await for_each(self._files(place, own, bag=manifest.is_bag), compare, _TOGETHER)
        for name in left:
            if self.selection is None or self.selection.names.admits(name):
                self._report("missing", name, 0, "only in the manifest")
        self._sums(failures)
        return failures.status or (DIFFERS if any(self.counts.values()) else DONE)

    async def write(self, session: AsyncSession) -> int:
        """Writes the list of the place, once every file was read; returns the exit status."""
        failures = Failures(json=self.json)
        bag = bag_algorithm(self.manifest)
        algorithm = self.algorithm or bag or algorithm_of_name(self.manifest)
        if bag not in (None, algorithm):
            raise ConfigurationError(f"{self.manifest} is the name of a {bag} manifest; leave out --algorithm")
        place, own = await self._place(session), await self._own_name(session)
        found: list[tuple[str, str]] = []

        async def add(each: tuple[str, Item]) -> None:
            name, item = each
            try:
                digest = await _digest(place, item, algorithm)
            except StorageError as error:
                failures.add(error)
                return
            found.append((name, digest))
            if self.json:
                print_json("checksum", {"path": name, "algorithm": algorithm, "value": digest, "size": item.size})

        await for_each(self._files(place, own, bag=bag is not None), add, _TOGETHER)
        if failures.status:
            return failures.status  # a list that lacks files would say that they may be missing
        area = area_name(public=self.public)
        text = format_manifest(found, bag=bag is not None)
        await session.write(self.manifest, text.encode("utf-8", "surrogateescape"), storage_type=area)
        if bag is not None:
            declaration = f"{self.manifest.rpartition('/')[0] or '.'}/bagit.txt"
            if not await session.exists(declaration, storage_type=area):
                await session.write(declaration, BAG_DECLARATION, storage_type=area)
        if not self.quiet and not self.json:
            write_text(f"{counted(len(found), 'checksum')} ({algorithm}) written to {printable(self.manifest)}")
        return DONE

    async def _place(self, session: AsyncSession) -> Place:
        storage, path = await session.storage_at(self.location, storage_type=area_name(public=self.public))
        item = await storage.stat(path)
        if not item.directory:
            raise ConfigurationError(f"{self.location} is no directory; --manifest compares a directory with a list")
        return Place(self.location, storage, f"{path.rstrip('/')}/")

    async def _own_name(self, session: AsyncSession) -> str:
        """Returns the path of the list itself, which is not part of what it lists."""
        _, path = await session.storage_at(self.manifest, storage_type=area_name(public=self.public))
        return path

    async def _files(self, place: Place, own: str, *, bag: bool) -> AsyncIterator[tuple[str, Item]]:
        try:
            async with place.storage.scan(place.path) as items:
                async for item in selected(items, place, self.selection):
                    name = item.path[len(place.path) :]
                    if not item.directory and item.path != own and (not bag or name.startswith("data/")):
                        yield name, item
        except NotFoundError:
            if bag:
                return
            raise

    def _report(self, kind: str, path: str, size: int, reason: str) -> None:
        self.counts[kind] += 1
        if self.json:
            print_json("difference", {"kind": kind, "path": path, "size": size, "reason": reason})
        elif not self.quiet:
            write_line(difference_line(kind, size, path, reason))

    def _sums(self, failures: Failures) -> None:
        unreadable = failures.count
        if self.json:
            ok = not unreadable and not any(self.counts.values())
            print_json("check", {"ok": ok, "same": self.same, **self.counts, "unreadable": unreadable})
        elif not self.quiet:
            rows = {**self.counts, "unreadable": unreadable}
            write_text(f"{self.same} same; " + "; ".join(f"{count} {name}" for name, count in rows.items()))


async def _digest(place: Place, item: Item, algorithm: str) -> str:
    _, make = ALGORITHMS[algorithm]
    digest = make()
    async with place.storage.read(item.path) as chunks:
        async for chunk in chunks:
            await asyncio.to_thread(digest.update, chunk)
    return digest.hexdigest()

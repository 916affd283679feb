"""Listings of the test engine, and the directories that it makes."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.servers.engine_access import Access
from tests.servers.engine_answers import RefusalError

__all__ = ["Listing"]


class Listing(Access):
    """Lists and makes directories."""

    async def _list(self, request: web.Request) -> web.StreamResponse:
        query, switches = request.query, self.switches
        if self._revokes("in_listing"):
            return await self._answer(request, [], late=(401, "token is missing or expired"))
        if switches.root == "dot_refused" and query.get("directory") == ".":
            raise RefusalError(400, "invalid directory")
        if switches.root != "slash_too" and query.get("directory") == "/":
            raise RefusalError(400, "invalid directory")
        depth = int(query.get("depth", "0"))
        if depth < 0 and switches.depth == "all_refused":
            raise RefusalError(400, "invalid depth")
        directory = self._path(query.get("directory", "."))
        if not directory.is_dir():
            return await self._answer(request, self._instead(directory, query.get("directory", "")), total=0)
        pattern = query.get("pattern")
        hidden = query.get("all") == "true"
        paths = self._names(directory, hidden, pattern, 0 if switches.depth == "ignored" else depth)
        every = len(paths)
        if switches.paging != "ignored":
            offset, limit = int(query.get("offset", "0")), int(query.get("limit", "-1"))
            paths = paths[offset:] if limit < 0 else paths[offset : offset + limit]
            paths = paths[:1000] if switches.paging == "capped" else paths
        entities = self._entities(paths)
        total = every if switches.list_total == "all" else len(entities)
        if switches.list_self and pattern is None:
            entities.insert(0, self._entity(directory))
            total += 1
        total -= len(paths) - len(self._entities(paths))  # names that are left out are not counted
        return await self._answer(request, entities, total=total + (3 if switches.list_total_wrong else 0))

    def _entities(self, paths: list[Path]) -> list[Any]:
        """Returns the entities of names, without those that are not valid Unicode where the engine omits them."""
        omits = self.switches.names == "omitted"
        return [self._entity(path) for path in paths if not (omits and not _is_unicode(path.name))]

    def _instead(self, path: Path, identity: str) -> list[Any]:
        """What the listing of something that is no directory has."""
        kind = self.switches.list_file if path.is_file() else self.switches.list_missing
        if kind == "missing":
            raise self._missing(identity)
        return [self._entity(path)] if kind == "itself" else []

    def _names(self, directory: Path, hidden: bool, pattern: str | None, depth: int) -> list[Path]:
        kind, order = self.switches.list_hidden, self.switches.list_order
        paths = list(directory.iterdir())
        if order == "name":
            paths.sort(key=lambda path: os.fsencode(path.name))
        elif order == "changing":
            random.shuffle(paths)
        if kind == "never" or (kind == "by_all" and not hidden):
            paths = [path for path in paths if not path.name.startswith(".")]
        found = []
        for path in paths:
            matches = self._matches(path, pattern)
            if matches:
                found.append(path)
            if depth and self._is_directory(path) and (matches or self.switches.pattern != "prunes"):
                found += self._names(path, hidden, pattern, depth - 1)
        return found

    async def _create(self, request: web.Request) -> web.StreamResponse:
        document = await request.json()
        path = self._path(document["identity"])
        self._check_owner(path)
        if path.exists():
            if document.get("force") and self.switches.create_force == "empties" and path.is_dir():
                for each in path.iterdir():
                    self._remove_path(each)
                return await self._answer(request, [self._entity(path)])
            if self.switches.create_existing == "entity" and path.is_dir() and document.get("directory"):
                return await self._answer(request, [self._entity(path)])
            if not (document.get("force") and path.is_file() and not document.get("directory")):
                raise self._exists(document["identity"])
        if not path.parent.is_dir():
            if not self.switches.create_parents:
                raise self._missing(document["identity"])
            path.parent.mkdir(parents=True)
        path.mkdir() if document.get("directory") else path.write_bytes(b"")
        return await self._answer(request, [self._entity(path)])


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True

"""What the test engine renames, deletes, shares, packs and runs."""

from __future__ import annotations

import asyncio
import json
import shutil
import zipfile
from pathlib import Path
from secrets import token_hex, token_urlsafe
from time import time
from typing import Any

from aiohttp import web

from tests.servers.engine_answers import RefusalError
from tests.servers.engine_bodies import Bodies
from tests.servers.engine_switches import Switches

__all__ = ["Changes"]


class Changes(Bodies):
    """Changes the names of the volume.

    Attributes:
        breaks_copies: whether a rename that copies ends in its middle.
    """

    def __init__(self, root: Path, switches: Switches) -> None:
        super().__init__(root, switches)
        self.breaks_copies = False
        self._shares: dict[str, tuple[str, float, bool]] = {}
        self._shells: dict[str, dict[str, Any]] = {}

    async def _rename(self, request: web.Request) -> web.StreamResponse:
        document = await request.json()
        old, new = self._path(document["identity"]), self._path(document["new_identity"])
        self._check_owner(old)
        self._check_owner(new)
        if not old.exists() and not old.is_symlink():
            raise self._missing(document["identity"])
        if new.is_dir():
            if self.switches.rename_onto_directory == "refused":
                raise self._exists(document["new_identity"])
            new = new / old.name
        if new.exists():
            if self.switches.rename_exists == "refused":
                raise self._exists(document["new_identity"])
            if self.switches.rename_exists == "nothing":
                return await self._answer(request, [document])
        if not new.parent.is_dir():
            if self.switches.rename_parents == "missing":
                raise self._missing(document["new_identity"])
            new.parent.mkdir(parents=True)
        if self.switches.rename_how == "copied" and old.is_file():
            await self._copy(old, new)
        else:
            old.replace(new)
        return await self._answer(request, [document])

    async def _copy(self, old: Path, new: Path) -> None:
        data = old.read_bytes()  # noqa: ASYNC240 - files are small
        with new.open("wb") as file:
            for start in range(0, len(data), max(1, len(data) // 2)):
                file.write(data[start : start + max(1, len(data) // 2)])
                file.flush()
                await asyncio.sleep(0)
                self._moment(f"within a copy to {new.name}")
                if self.breaks_copies:
                    raise RefusalError(500, "input/output error")
        old.unlink()  # noqa: ASYNC240

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        identity = request.query.get("identity", "")
        if self.switches.delete_identity == "body":
            document = await request.json() if request.can_read_body else {}
            identity = document.get("identity", "")
        self._remove(identity)
        return await self._answer(request, [{"identity": identity}])

    def _remove(self, identity: str) -> None:
        path = self._path(identity)
        if path == self.root:
            if self.switches.delete_volume == "refused":
                raise RefusalError(400, "the volume stays")
            shutil.rmtree(path)
            path.mkdir()
            return
        self._check_owner(path)
        if path.is_dir() and not path.is_symlink() and self.switches.delete_filled == "refused" and any(path.iterdir()):
            raise RefusalError(400, "directory not empty")
        if not self._remove_path(path) and self.switches.delete_missing == "missing":
            raise self._missing(identity)

    async def _batch(self, request: web.Request) -> web.StreamResponse:
        kind = self.switches.batch
        if kind == "refused":
            raise RefusalError(400, "identities are required")
        identities = await self._identities(request, kind)
        entities = []
        for identity in identities[: len(identities) // 2] if kind == "partial" else identities:
            entity = {"identity": identity} if kind == "error_absent" else {"identity": identity, "error": ""}
            try:
                self._remove(identity)
            except RefusalError as refusal:
                entity["error"] = str(refusal)
            entities.append(entity)
        return await self._answer(request, entities)

    async def _identities(self, request: web.Request, kind: str) -> list[str]:
        """Returns the names of a batch, from where the engine expects them."""
        told = request.query.getall("identities", [])
        if kind == "query_repeated":
            found = list(told)
        elif kind == "query_comma":
            found = [each for text in told for each in text.split(",")]
        elif kind == "query_json":
            found = [each for text in told for each in json.loads(text)]
        elif kind == "body_dropped":
            return []
        else:
            return [str(each) for each in (await request.json())["identities"]]
        if not found:
            raise RefusalError(400, "identities are required")
        return found

    async def _share(self, request: web.Request) -> web.StreamResponse:
        document = await request.json()
        entities = []
        for identity in document["identities"]:
            if not self._path(identity).is_file() and self.switches.share_missing == "missing":
                raise self._missing(identity)
            signature = token_urlsafe(16) + ("+/=&%" if self.switches.share_signature == "escaped" else "")
            ends = time() + float(document["lifetime"].removesuffix("s"))
            self._shares[signature] = (identity, ends, bool(document.get("writable")))
            entities.append({"identity": identity, "signature": signature, "expires_at": int(ends)})
        return await self._answer(request, entities)

    async def _presigned_download(self, request: web.Request) -> web.StreamResponse:
        identity, ends, writable = self._shares.get(request.query["signature"], ("", 0.0, False))
        if ends < time() or (writable and not self.switches.share_writable_downloads):
            raise RefusalError(self.switches.share_expired, "the link has expired")
        return await self._give(request, identity)

    async def _presigned_upload(self, request: web.Request) -> web.StreamResponse:
        identity, ends, writable = self._shares.get(request.query["signature"], ("", 0.0, False))
        if ends < time() or not writable:
            raise RefusalError(self.switches.share_expired, "the link has expired")
        return await self._take(request, identity, force=True)

    async def _zip(self, request: web.Request) -> web.StreamResponse:
        document, switches = await request.json(), self.switches
        if switches.read_only and switches.zip_read_only == "refused":
            raise self._denied("READ_ONLY")
        path = self._path(document["identity"])
        target = path.with_name(f"{path.name}.zip")
        if not path.exists():
            raise self._missing(document["identity"])
        if target.exists() and switches.zip_existing == "refused":
            raise self._exists(target.name)
        with zipfile.ZipFile(target, "w") as archive:
            for each in sorted(path.rglob("*")) if path.is_dir() else [path]:
                archive.write(each, each.relative_to(path.parent))
        return await self._answer(request, self._packed(target, quiet=bool(document.get("quiet"))))

    async def _unzip(self, request: web.Request) -> web.StreamResponse:
        document = await request.json()
        path = self._path(document["identity"])
        if not path.is_file():
            raise self._missing(document["identity"])
        with zipfile.ZipFile(path) as archive:
            archive.extractall(path.parent)
        return await self._answer(request, self._packed(path.with_suffix(""), quiet=bool(document.get("quiet"))))

    def _packed(self, target: Path, *, quiet: bool) -> list[Any]:
        absolute = self.switches.zip_destination == "absolute"
        named = str(target if absolute else target.relative_to(self.root))
        progress = [{"progress": 50}] if self.switches.zip_progress and not quiet else []
        return [*progress, {"destination": named}]

    async def _make_shell(self, request: web.Request) -> web.StreamResponse:
        self._permit_shell()
        document = await request.json()
        identity = document.get("identity", f"sh{token_hex(4)}")
        if identity in self._shells:
            raise self._exists(identity)
        shell = {"identity": identity, "path": document["path"], "args": document.get("args", []), "state": "created"}
        self._shells[identity] = shell
        return await self._answer(request, [shell])

    async def _run_shell(self, request: web.Request) -> web.StreamResponse:
        self._permit_shell()
        shell = self._shells.get((await request.json())["identity"])
        if shell is None:
            raise self._missing("shell")
        process = await asyncio.create_subprocess_exec(shell["path"], *shell["args"], cwd=self.root.parent)
        shell["state"] = "exited" if await process.wait() == 0 else "failed"
        return await self._answer(request, [shell])

    async def _list_shells(self, request: web.Request) -> web.StreamResponse:
        self._permit_shell()
        return await self._answer(request, list(self._shells.values()), total=len(self._shells))

    async def _remove_shell(self, request: web.Request) -> web.StreamResponse:
        self._permit_shell()
        shell = self._shells.pop(request.query["identity"], None)
        if shell is None:
            raise self._missing("shell")
        return await self._answer(request, [shell])

    def _permit_shell(self) -> None:
        if self.switches.shell == "absent":
            raise RefusalError(404, "no such route")
        if self.switches.shell == "refused" or self.switches.read_only:
            raise self._denied("SHELL")

"""Finds out what a dxflow engine does where its documentation is silent.

    python -m dxflow_async.testing.engine https://lab.example.org --key private-key.pem

Everything happens in a new directory at the top of the volume, which is removed at the end. The table that is printed
has what the engine does, what the client assumes until it has seen it, and whether that is a behaviour it knows.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from secrets import token_hex
from typing import Any, NamedTuple, TextIO

from dxflow_async.exceptions import DxflowError, StorageError
from dxflow_async.providers import Call, printable
from dxflow_async.providers.engine.envelope import Answer
from dxflow_async.providers.engine.provider import EngineProvider
from dxflow_async.providers.engine.settings import EngineSettings
from dxflow_async.testing.bodies import body
from dxflow_async.testing.resources import session_resources

__all__ = ["Finding", "main", "probe_engine"]


class Finding(NamedTuple):
    """What an engine does in one matter.

    Attributes:
        matter: the matter.
        seen: what the engine does.
        assumed: what its documentation says, or the client assumes first.
        known: whether the client knows that behaviour.
    """

    matter: str
    seen: str
    assumed: str
    known: bool


class _Probe:
    """Asks an engine one thing at a time, in a directory of its own."""

    def __init__(self, provider: EngineProvider) -> None:
        self.provider = provider
        self.folder = f"dxflow-async-probe-{token_hex(4)}"
        self.call = Call("ENGINE", "probe", f"/{self.folder}/")

    async def ask(self, method: str, route: str = "", *, document: Any = None, **query: str) -> tuple[int, Answer]:
        """Returns the status of an answer, and the answer; status 0: the answer is not an envelope."""
        requests = self.provider.requests
        try:
            answer = await requests.artifacts(self.call, method, route, query=tuple(query.items()), document=document)
        except StorageError as error:
            return error.status or 0, Answer()
        return 200, answer

    async def upload(self, name: str, data: bytes, *, force: str) -> int:
        """Uploads a file as an engine's own tool does; returns the status."""
        requests = self.provider.requests
        try:
            response = await requests.send(
                self.call,
                "PUT",
                f"{requests.prefix}upload/",
                query=(("identity", self.path(name)), ("force", force)),
                headers={"content-type": "application/octet-stream"},
                body=body(data),
            )
        except StorageError as error:
            return error.status or 0
        response.close()
        return response.status

    def path(self, name: str) -> str:
        """Returns the path of a name in the directory."""
        return f"{self.folder}/{name}"

    async def size(self, name: str) -> int | None:
        """Returns the size of a file; None where the engine does not list it."""
        parent, _, last = self.path(name).rpartition("/")
        _, answer = await self.ask("GET", directory=parent, all="true", depth="0")
        found = [each for each in answer.payloads if isinstance(each, dict) and each.get("name") == last]
        return int(found[0].get("size", -1)) if found else None

    async def names(self, **query: str) -> list[str]:
        """Returns the names that a listing of the directory has."""
        _, answer = await self.ask("GET", directory=self.folder, **query)
        return [str(each.get("name")) for each in answer.payloads if isinstance(each, dict)]

    async def rename(self, old: str, new: str) -> int:
        """Renames a name; returns the status."""
        document = {"identity": self.path(old), "new_identity": self.path(new)}
        return (await self.ask("PUT", "rename/", document=document))[0]

    async def create(self, name: str) -> int:
        """Makes a directory; returns the status."""
        document = {"identity": self.path(name), "directory": True, "force": False}
        return (await self.ask("POST", document=document))[0]


Look = Callable[[_Probe], Awaitable[str]]


async def _hidden(probe: _Probe) -> str:
    status = await probe.upload(".hidden", b"x", force="true")
    if status >= 300 or not status:
        return f"refused ({status})"
    always = ".hidden" in await probe.names()
    return (
        "always listed" if always else "listed by all" if ".hidden" in await probe.names(all="true") else "never listed"
    )


async def _unforced(probe: _Probe) -> str:
    await probe.upload("unforced", b"1", force="true")
    status = await probe.upload("unforced", b"22", force="false")
    return "replaces" if await probe.size("unforced") == 2 else f"refused ({status})"


async def _forced(probe: _Probe) -> str:
    await probe.upload("forced", b"1", force="true")
    status = await probe.upload("forced", b"22", force="true")
    return "replaces" if await probe.size("forced") == 2 else f"refused ({status})"


async def _parents(probe: _Probe) -> str:
    status = await probe.upload("made/by/upload", b"x", force="true")
    return "made" if await probe.size("made/by/upload") == 1 else f"missing ({status})"


async def _rename_onto(probe: _Probe) -> str:
    await probe.upload("from", b"new", force="true")
    await probe.upload("onto", b"1", force="true")
    status = await probe.rename("from", "onto")
    left, there = await probe.size("from"), await probe.size("onto")
    if left is None:
        return "replaces" if there == 3 else "loses a file"
    return "succeeds, and does nothing" if status == 200 else f"refused ({status})"


async def _rename_onto_directory(probe: _Probe) -> str:
    await probe.upload("inner", b"new", force="true")
    await probe.create("directory")
    status = await probe.rename("inner", "directory")
    if await probe.size("directory/inner") == 3:
        return "moves into it"
    return f"refused ({status})" if await probe.size("inner") == 3 else "loses a file"


async def _rename_parents(probe: _Probe) -> str:
    await probe.upload("away", b"new", force="true")
    status = await probe.rename("away", "not/there/away")
    return "made" if await probe.size("not/there/away") == 3 else f"missing ({status})"


async def _create_twice(probe: _Probe) -> str:
    await probe.create("twice")
    status = await probe.create("twice")
    return "succeeds" if status == 200 else f"refused ({status})"


async def _create_parents(probe: _Probe) -> str:
    status = await probe.create("one/two")
    return "made" if status == 200 else f"missing ({status})"


async def _pattern(probe: _Probe) -> str:
    for name in ("p-one", "p-two"):
        await probe.upload(name, b"x", force="true")
    by_name, by_path = await probe.names(pattern="p-one"), await probe.names(pattern=probe.path("p-one"))
    if by_name == ["p-one"]:
        return "compares names"
    return "compares paths" if by_path == ["p-one"] else "ignored" if "p-two" in by_name else "finds nothing"


async def _list_missing(probe: _Probe) -> str:
    status, answer = await probe.ask("GET", directory=probe.path("none"), all="true")
    return f"refused ({status})" if status != 200 else "empty" if not answer.payloads else "has entries"


async def _list_file(probe: _Probe) -> str:
    await probe.upload("file", b"x", force="true")
    status, answer = await probe.ask("GET", directory=probe.path("file"), all="true")
    return f"refused ({status})" if status != 200 else "empty" if not answer.payloads else "the file itself"


async def _total(probe: _Probe) -> str:
    _, answer = await probe.ask("GET", directory=probe.folder, all="true")
    if answer.total is None:
        return "absent"
    return "right" if answer.total == len(answer.entities) else "wrong"


async def _ranges(probe: _Probe) -> str:
    await probe.upload("range", b"0123456789", force="true")
    requests = probe.provider.requests
    try:
        response = await requests.send(
            probe.call,
            "GET",
            f"{requests.prefix}download/",
            query=(("identity", probe.path("range")),),
            headers={"range": "bytes=2-4", "accept-encoding": "identity"},
        )
    except StorageError as error:
        return f"refused ({error.status})"
    told = response.headers.get("content-range", "")
    response.close()
    if response.status != 206:
        return "ignored"
    return "sent" if told == "bytes 2-4/10" else "another range"


async def _delete_missing(probe: _Probe) -> str:
    path = probe.path("never-there")
    status, _ = await probe.ask("DELETE", document={"identity": path}, identity=path)
    return "succeeds" if status == 200 else f"refused ({status})"


async def _delete_filled(probe: _Probe) -> str:
    await probe.create("filled")
    await probe.upload("filled/name", b"x", force="true")
    path = probe.path("filled")
    status, _ = await probe.ask("DELETE", document={"identity": path}, identity=path)
    return "deletes its content" if await probe.size("filled/name") is None else f"refused ({status})"


async def _batch(probe: _Probe) -> str:
    for name in ("d-one", "d-two"):
        await probe.upload(name, b"x", force="true")
    wanted = [probe.path("d-one"), probe.path("d-two")]
    status, answer = await probe.ask("DELETE", "batch/", document={"identities": wanted})
    left = [name for name in await probe.names(all="true") if name in ("d-one", "d-two")]
    if left:
        return f"refused ({status})" if status != 200 else "succeeds, and does nothing"
    return "deletes" if len(answer.payloads) == 2 else "deletes, and does not say what"


_PROBES: Sequence[tuple[str, Look, str, tuple[str, ...]]] = (
    ("names with a dot first", _hidden, "listed by all", ("always listed", "never listed", "refused")),
    ("upload without force onto a file", _unforced, "refused", ("replaces",)),
    ("upload with force onto a file", _forced, "replaces", ("refused",)),
    ("directories above an upload", _parents, "made", ("missing",)),
    ("rename onto a file", _rename_onto, "replaces", ("refused", "succeeds, and does nothing")),
    ("rename onto a directory", _rename_onto_directory, "refused", ("moves into it",)),
    ("directories above a rename", _rename_parents, "missing", ("made",)),
    ("directory that exists", _create_twice, "refused", ("succeeds",)),
    ("directories above a directory", _create_parents, "missing", ("made",)),
    ("pattern of a listing", _pattern, "compares names", ("compares paths", "ignored", "finds nothing")),
    ("listing of a missing directory", _list_missing, "refused", ("empty",)),
    ("listing of a file", _list_file, "refused", ("empty", "the file itself")),
    ("total of a listing", _total, "right", ("absent",)),
    ("range of a download", _ranges, "ignored", ("sent", "refused", "another range")),
    ("deletion of a missing file", _delete_missing, "refused", ("succeeds",)),
    ("deletion of a filled directory", _delete_filled, "deletes its content", ("refused",)),
    ("deletion of several files", _batch, "deletes", ("refused", "succeeds, and does nothing")),
)


async def probe_engine(settings: EngineSettings) -> list[Finding]:
    """Returns what an engine does, from requests in a directory that is new and removed at the end.

    Raises:
        DxflowError: the engine cannot be reached, refuses the key, or keeps no file.
    """
    findings = []
    async with session_resources("ENGINE") as resources:
        provider = EngineProvider(settings, resources.http, resources.threads, name="ENGINE")
        try:
            await provider.connect()
            probe = _Probe(provider)
            await provider.make_directory(f"{probe.folder}/")
            try:
                for matter, look, assumed, others in _PROBES:
                    seen = await look(probe)
                    known = seen.startswith((assumed, *others))
                    findings.append(Finding(matter, seen, assumed, known))
            finally:
                failed = await provider.delete([f"{probe.folder}/"])
            findings += [Finding(name, value, "", known=True) for name, value in provider.endpoint_facts()]
            findings.append(
                Finding("removal of the test's directory", "failed" if failed else "done", "done", not failed)
            )
        finally:
            await provider.aclose()
    return findings


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table; returns 1 where the engine does something that the client does not know."""
    parser = argparse.ArgumentParser(prog="python -m dxflow_async.testing.engine", description=__doc__.split("\n")[0])
    parser.add_argument("address", help="the engine's address, such as https://lab.example.org")
    parser.add_argument("--key", type=Path, help="the file of the private key")
    given = parser.parse_args(arguments)
    try:
        findings = asyncio.run(probe_engine(EngineSettings(address=given.address, key=given.key)))
    except DxflowError as error:
        _say(str(error), sys.stderr)
        return 2
    for finding in findings:
        verdict = "" if not finding.assumed else "as assumed" if finding.seen.startswith(finding.assumed) else "handled"
        verdict = verdict if finding.known else "NOT KNOWN: do not use this engine, and report it"
        _say(f"{finding.matter:34} {finding.seen:28} {verdict}".rstrip())
    return 0 if all(finding.known for finding in findings) else 1


def _say(text: str, stream: TextIO | None = None) -> None:
    (stream or sys.stdout).write(f"{printable(text)}\n")


if __name__ == "__main__":
    sys.exit(main())

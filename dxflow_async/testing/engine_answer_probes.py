"""What the answers of an engine look like, where its documentation is silent: envelopes, listings, the sign-in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from time import time
from typing import Any

from dxflow_async.testing.engine_probe import Answered, Matter, Probe

__all__ = ["ANSWER_MATTERS"]

_STREAM = {"accept": "application/stream+json"}


async def _listed(probe: Probe, headers: Mapping[str, str]) -> Answered:
    return await probe.raw("GET", "", query=(("directory", probe.folder), ("all", "true")), headers=headers)


async def _framing(probe: Probe) -> str:
    await probe.upload("framed", b"x", force="true")
    lines = (await _listed(probe, _STREAM)).body.decode("utf-8", "replace").split("\n")
    if lines[0].strip() == "[":
        commas = [line for line in lines if line.startswith(",")]
        return "lines with a comma first" if commas else "lines with a comma last"
    return "lines without an array" if lines[0].startswith("{") else "one line"


async def _kind_key(probe: Probe) -> str:
    body = (await _listed(probe, _STREAM)).body
    return "kind" if b'"kind"' in body else "type" if b'"type"' in body else "neither"


async def _total_form(probe: Probe) -> str:
    body = (await _listed(probe, _STREAM)).body.replace(b" ", b"")
    if b'"total"' not in body:
        return "absent"
    return "object" if re.search(rb'"total","payload":\{', body) else "number"


async def _error_status(probe: Probe) -> str:
    answer = await probe.raw("GET", "", query=(("directory", probe.path("none/none")),), headers=_STREAM)
    if answer.status != 200:
        return f"status {answer.status}"
    return "status 200, reported in it" if b"404" in answer.body or b"500" in answer.body else "none"


async def _identity(probe: Probe) -> str:
    await probe.upload("identified", b"x", force="true")
    told = str((await probe.entity("identified")).get("identity", ""))
    forms = {
        probe.path("identified"): "a/b",
        f"./{probe.path('identified')}": "./a/b",
        f"/{probe.path('identified')}": "/a/b",
    }
    return forms.get(told, "absolute" if told.startswith("/") else "another one")


async def _time(probe: Probe) -> str:
    await probe.upload("timed", b"x", force="true")
    told: Any = (await probe.entity("timed")).get("modified_at")
    if isinstance(told, str):
        return "text"
    if not isinstance(told, int | float):
        return "absent"
    units = {1e9: "nanoseconds", 1e6: "microseconds", 1e3: "milliseconds"}
    return next((name for unit, name in units.items() if told / unit > time() / 10), "seconds")


async def _clock(probe: Probe) -> str:
    await probe.upload("clock", b"x", force="true")
    told: Any = (await probe.entity("clock")).get("modified_at")
    if not isinstance(told, int | float):
        return "not told as a number"
    while told > 1e11:
        told /= 1000
    return "right" if abs(told - time()) < 60 else f"off by {abs(told - time()):.0f} s"


async def _permission(probe: Probe) -> str:
    await probe.create("permitted")
    told = str((await probe.entity("permitted")).get("permission", ""))
    return "letters" if told.startswith("d") else "octal" if told.isdecimal() else "another form"


async def _directory_size(probe: Probe) -> str:
    await probe.create("sized")
    return f"{(await probe.entity('sized')).get('size')}"


async def _self(probe: Probe) -> str:
    await probe.create("selfless")
    _, answer = await probe.ask("GET", directory=probe.path("selfless"), all="true")
    return "not listed" if not answer.payloads else "listed"


async def _paging(probe: Probe) -> str:
    for name in ("page-1", "page-2", "page-3"):
        await probe.upload(name, b"x", force="true")
    every = await probe.names(all="true")
    page = await probe.names(all="true", offset="1", limit="1")
    return "obeyed" if len(page) == 1 else "ignored" if len(page) == len(every) else "something else"


async def _depth(probe: Probe) -> str:
    await probe.create("deep")
    await probe.upload("deep/inner", b"x", force="true")
    flat, deeper = await probe.names(all="true", depth="0"), await probe.names(all="true", depth="1")
    if "inner" in flat:
        return "0 lists more than children"
    return "0 lists children, 1 one level more" if "inner" in deeper else "ignored"


async def _slashless(probe: Probe) -> str:
    answer = await probe.raw("GET", probe.provider.requests.prefix.removesuffix("/"), headers=_STREAM)
    return "served" if answer.status == 200 else f"refused ({answer.status})"


async def _root(probe: Probe) -> str:
    dot, _ = await probe.ask("GET", directory=".", all="true", limit="1")
    slash, _ = await probe.ask("GET", directory="/", all="true", limit="1")
    return f"{'. is the volume' if dot == 200 else f'. is refused ({dot})'}{', / too' if slash == 200 else ''}"


async def _inspect(probe: Probe) -> str:
    answer = await probe.raw("GET", "/api/auth/inspect/")
    return f"{'empty' if not answer.body else 'tells'} ({answer.status})" if answer.status < 300 else f"{answer.status}"


async def _shell(probe: Probe) -> str:
    answer = await probe.raw("GET", "/api/engine/parameter/")
    found = re.search(rb'"controllers"\s*:\s*\[([^\]]*)\]', answer.body)
    return "not told" if found is None else "served" if b"shell" in found[1] else "not served"


ANSWER_MATTERS: Sequence[Matter] = (
    Matter("framing of streams", _framing, "lines with a comma first", ("lines", "one line")),
    Matter("key of a chunk's kind", _kind_key, "kind", ("type",)),
    Matter("form of a total", _total_form, "object", ("number", "absent")),
    Matter("report of an error", _error_status, "status 404", ("status", "none")),
    Matter("identity in a listing", _identity, "a/b", ("./a/b", "/a/b", "absolute", "another one")),
    Matter("unit of times", _time, "seconds", ("milliseconds", "microseconds", "nanoseconds", "text", "absent")),
    Matter("clock", _clock, "right", ("off by", "not told")),
    Matter("form of permissions", _permission, "letters", ("octal",)),
    Matter("size of a directory", _directory_size, "", ("",)),
    Matter("directory in its own listing", _self, "not listed", ("listed",)),
    Matter("pages of a listing", _paging, "obeyed", ("ignored", "something else")),
    Matter("depth of a listing", _depth, "0 lists children", ("ignored",)),
    Matter("volume in a listing", _root, ". is the volume", (". is refused",)),
    Matter("path without its last slash", _slashless, "refused", ("served",)),
    Matter("inspection of a token", _inspect, "empty (202)", ("tells", "empty", "404")),
    Matter("shells", _shell, "", ("",)),
)

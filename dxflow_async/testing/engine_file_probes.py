"""What an engine does with files and directories, where its documentation is silent."""

from __future__ import annotations

from collections.abc import Sequence

from dxflow_async.exceptions import StorageError
from dxflow_async.testing.bodies import body
from dxflow_async.testing.engine_probe import Matter, Probe

__all__ = ["FILE_MATTERS"]


async def _hidden(probe: Probe) -> str:
    status = await probe.upload(".hidden", b"x", force="true")
    if status >= 300 or not status:
        return f"refused ({status})"
    always = ".hidden" in await probe.names()
    return (
        "always listed" if always else "listed by all" if ".hidden" in await probe.names(all="true") else "never listed"
    )


async def _unforced(probe: Probe) -> str:
    await probe.upload("unforced", b"1", force="true")
    status = await probe.upload("unforced", b"22", force="false")
    return "replaces" if await probe.size("unforced") == 2 else f"refused ({status})"


async def _forced(probe: Probe) -> str:
    await probe.upload("forced", b"1", force="true")
    status = await probe.upload("forced", b"22", force="true")
    return "replaces" if await probe.size("forced") == 2 else f"refused ({status})"


async def _parents(probe: Probe) -> str:
    status = await probe.upload("made/by/upload", b"x", force="true")
    return "made" if await probe.size("made/by/upload") == 1 else f"missing ({status})"


async def _rename_onto(probe: Probe) -> str:
    await probe.upload("from", b"new", force="true")
    await probe.upload("onto", b"1", force="true")
    status = await probe.rename("from", "onto")
    left, there = await probe.size("from"), await probe.size("onto")
    if left is None:
        return "replaces" if there == 3 else "loses a file"
    return "succeeds, and does nothing" if status == 200 else f"refused ({status})"


async def _rename_onto_directory(probe: Probe) -> str:
    await probe.upload("inner.txt", b"new", force="true")
    await probe.create("directory")
    status = await probe.rename("inner.txt", "directory")
    if await probe.size("directory/inner.txt") == 3:
        return "moves into it"
    return f"refused ({status})" if await probe.size("inner.txt") == 3 else "loses a file"


async def _rename_parents(probe: Probe) -> str:
    await probe.upload("away", b"new", force="true")
    status = await probe.rename("away", "not/there/away")
    return "made" if await probe.size("not/there/away") == 3 else f"missing ({status})"


async def _create_twice(probe: Probe) -> str:
    await probe.create("twice")
    status = await probe.create("twice")
    return "succeeds" if status == 200 else f"refused ({status})"


async def _create_parents(probe: Probe) -> str:
    status = await probe.create("one/two")
    return "made" if status == 200 else f"missing ({status})"


async def _pattern(probe: Probe) -> str:
    for name in ("p-one", "p-two"):
        await probe.upload(name, b"x", force="true")
    by_name, by_path = await probe.names(pattern="p-one"), await probe.names(pattern=probe.path("p-one"))
    if by_name == ["p-one"]:
        return "compares names"
    return "compares paths" if by_path == ["p-one"] else "ignored" if "p-two" in by_name else "finds nothing"


async def _list_missing(probe: Probe) -> str:
    status, answer = await probe.ask("GET", directory=probe.path("none"), all="true")
    return f"refused ({status})" if status != 200 else "empty" if not answer.payloads else "has entries"


async def _list_file(probe: Probe) -> str:
    await probe.upload("file", b"x", force="true")
    status, answer = await probe.ask("GET", directory=probe.path("file"), all="true")
    return f"refused ({status})" if status != 200 else "empty" if not answer.payloads else "the file itself"


async def _total(probe: Probe) -> str:
    _, answer = await probe.ask("GET", directory=probe.folder, all="true")
    if answer.total is None:
        return "absent"
    return "right" if answer.total == len(answer.entities) else "wrong"


async def _ranges(probe: Probe) -> str:
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


async def _delete_missing(probe: Probe) -> str:
    path = probe.path("never-there")
    status, _ = await probe.ask("DELETE", document={"identity": path}, identity=path)
    return "succeeds" if status == 200 else f"refused ({status})"


async def _delete_filled(probe: Probe) -> str:
    await probe.create("filled")
    await probe.upload("filled/name", b"x", force="true")
    path = probe.path("filled")
    status, _ = await probe.ask("DELETE", document={"identity": path}, identity=path)
    return "deletes its content" if await probe.size("filled/name") is None else f"refused ({status})"


async def _batch(probe: Probe) -> str:
    for name in ("d-one", "d-two"):
        await probe.upload(name, b"x", force="true")
    wanted = [probe.path("d-one"), probe.path("d-two")]
    status, answer = await probe.ask("DELETE", "batch/", document={"identities": wanted})
    left = [name for name in await probe.names(all="true") if name in ("d-one", "d-two")]
    if left:
        return f"refused ({status})" if status != 200 else "succeeds, and does nothing"
    return "deletes" if len(answer.payloads) == 2 else "deletes, and does not say what"


async def _empty(probe: Probe) -> str:
    status = await probe.upload("empty", b"", force="true")
    return "stored" if await probe.size("empty") == 0 else f"refused ({status})"


async def _no_extension(probe: Probe) -> str:
    await probe.upload("plain", b"12345", force="true")
    return "stored" if await probe.size("plain") == 5 else "another name"


async def _force_on_directory(probe: Probe) -> str:
    await probe.create("forced-directory")
    await probe.upload("forced-directory/name", b"x", force="true")
    document = {"identity": probe.path("forced-directory"), "directory": True, "force": True}
    await probe.ask("POST", document=document)
    return "keeps its content" if await probe.size("forced-directory/name") == 1 else "empties it"


async def _directory_download(probe: Probe) -> str:
    await probe.create("downloaded")
    answer = await probe.raw("GET", "download/", query=(("identity", probe.path("downloaded")),))
    if answer.status != 200:
        return f"refused ({answer.status})"
    return "an envelope" if answer.body.lstrip()[:1] == b"[" else "bytes" if answer.body else "empty"


async def _download_headers(probe: Probe) -> str:
    await probe.upload("named", b"12345", force="true")
    answer = await probe.raw("GET", "download/", query=(("identity", probe.path("named")),))
    told = answer.headers
    named = "name" if "content-disposition" in told else "no name"
    length = "length" if told.get("content-length") == "5" else "no length"
    return f"{named}, {length}{', etag' if 'etag' in told else ''}"


async def _encoding(probe: Probe) -> str:
    await probe.upload("packed.csv", b"a,b,c\n" * 500, force="true")
    answer = await probe.raw(
        "GET", "download/", query=(("identity", probe.path("packed.csv")),), headers={"accept-encoding": "gzip"}
    )
    return answer.headers.get("content-encoding", "identity")


async def _missing_download(probe: Probe) -> str:
    answer = await probe.raw("GET", "download/", query=(("identity", probe.path("never-there")),))
    return f"refused ({answer.status})" if answer.status != 200 else "an envelope with status 200"


async def _head(probe: Probe) -> str:
    await probe.upload("head", b"12345", force="true")
    answer = await probe.raw("HEAD", "download/", query=(("identity", probe.path("head")),))
    return "length" if answer.headers.get("content-length") == "5" else f"refused ({answer.status})"


async def _upload_answer(probe: Probe) -> str:
    answer = await probe.raw(
        "PUT",
        "upload/",
        query=(("identity", probe.path("answered")), ("force", "true")),
        headers={"content-type": "application/octet-stream"},
        body=body(b"12345"),
    )
    kind = "envelope" if answer.body.lstrip()[:1] in (b"[", b"{") else "empty" if not answer.body else "something else"
    return f"{kind} ({answer.status})"


async def _seen_at_once(probe: Probe) -> str:
    return "later" if probe.delay else "at once"


async def _share(probe: Probe) -> str:
    await probe.upload("shared", b"12345", force="true")
    document = {"identities": [probe.path("shared")], "lifetime": "60s", "writable": False}
    status, answer = await probe.ask("PUT", "share/", document=document)
    signature = answer.document().get("signature")
    if not isinstance(signature, str):
        return f"refused ({status})"
    found = await probe.raw("GET", "presigned/download/", query=(("signature", signature),))
    return "works" if found.body == b"12345" else f"refused ({found.status})"


async def _share_missing(probe: Probe) -> str:
    document = {"identities": [probe.path("never-there")], "lifetime": "60s", "writable": True}
    status, _ = await probe.ask("PUT", "share/", document=document)
    return "allowed" if status == 200 else f"refused ({status})"


async def _zip(probe: Probe) -> str:
    await probe.create("zipped")
    await probe.upload("zipped/name", b"12345", force="true")
    status, _ = await probe.ask("PUT", "zip/", document={"identity": probe.path("zipped"), "quiet": False})
    if status != 200:
        return f"refused ({status})"
    return "made beside it" if await probe.size("zipped.zip") is not None else "made elsewhere"


FILE_MATTERS: Sequence[Matter] = (
    Matter("names with a dot first", _hidden, "listed by all", ("always listed", "never listed", "refused")),
    Matter("upload without force onto a file", _unforced, "refused", ("replaces",)),
    Matter("upload with force onto a file", _forced, "replaces", ("refused",)),
    Matter("directories above an upload", _parents, "made", ("missing",)),
    Matter("rename onto a file", _rename_onto, "replaces", ("refused", "succeeds, and does nothing")),
    Matter("rename onto a directory", _rename_onto_directory, "refused", ("moves into it",)),
    Matter("directories above a rename", _rename_parents, "missing", ("made",)),
    Matter("directory that exists", _create_twice, "refused", ("succeeds",)),
    Matter("directories above a directory", _create_parents, "missing", ("made",)),
    Matter("pattern of a listing", _pattern, "compares names", ("compares paths", "ignored", "finds nothing")),
    Matter("listing of a missing directory", _list_missing, "refused", ("empty",)),
    Matter("listing of a file", _list_file, "refused", ("empty", "the file itself")),
    Matter("total of a listing", _total, "right", ("absent",)),
    Matter("range of a download", _ranges, "ignored", ("sent", "refused", "another range")),
    Matter("deletion of a missing file", _delete_missing, "refused", ("succeeds",)),
    Matter("deletion of a filled directory", _delete_filled, "deletes its content", ("refused",)),
    Matter("deletion of several files", _batch, "deletes", ("refused", "succeeds, and does nothing")),
    Matter("upload without a byte", _empty, "stored", ("refused",)),
    Matter("upload to a name without a dot", _no_extension, "stored", ("another name",)),
    Matter("answer to an upload", _upload_answer, "envelope", ("empty", "something else")),
    Matter("uploaded file in a listing", _seen_at_once, "at once", ("later",)),
    Matter("forced making of a directory", _force_on_directory, "keeps its content", ("empties it",)),
    Matter("download of a directory", _directory_download, "refused", ("an envelope", "bytes", "empty")),
    Matter("headers of a download", _download_headers, "name, length", ("name", "no name")),
    Matter("encoding of a download", _encoding, "identity", ("gzip", "deflate", "br", "zstd")),
    Matter("download of a missing file", _missing_download, "refused", ("an envelope with status 200",)),
    Matter("head of a file", _head, "refused", ("length",)),
    Matter("link to a file", _share, "works", ("refused",)),
    Matter("link to a missing file", _share_missing, "refused", ("allowed",)),
    Matter("archive of a directory", _zip, "made beside it", ("made elsewhere", "refused")),
)

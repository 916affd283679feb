"""Processes that are forked from one with an open session."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.one_bucket_server import OneBucketServer
from tests.python_processes import clean_environment, run_script

_START = """
    import asyncio, os, sys, time
    from dxflow_async import AsyncSession, GCPSettings, Session, SessionClosedError, Settings

    SETTINGS = Settings(gcp=GCPSettings(endpoint=os.environ["ENDPOINT"]),
                        stall_timeout=8, transport=os.environ["TRANSPORT"])
    READ = dict(path="/bucket-one/x", provider="GCP")

    async def get(session):
        return b"".join([chunk async for chunk in session.get_storage_manager().read(**READ)])
"""

# The child uses the session in each way, and then ends as the interpreter does: with garbage collection and exit
# handlers, while the parent's calls are suspended in the memory that it inherited.
_ASYNC = (
    _START
    + """
    async def child(session, chunks):
        for use in (lambda: get(session), chunks.__anext__, session.jobs):
            try:
                await use()
            except SessionClosedError as error:
                assert "cannot be used in a process forked from it" in str(error)
            else:
                raise AssertionError
        await chunks.aclose()
        await session.aclose()
        assert session.closed

    async def before(session, chunks):
        await get(session)
        running = asyncio.ensure_future(get(session))
        return running, await anext(chunks)

    async def after(session, chunks, running, first):
        assert len(await running) == len(await get(session)) == 1_000_000
        assert len(first) + sum([len(chunk) async for chunk in chunks]) == 1_000_000
        await session.aclose()

    session = AsyncSession(settings=SETTINGS)
    chunks = session.get_storage_manager().read(**READ)
    loop = asyncio.new_event_loop()
    running, first = loop.run_until_complete(before(session, chunks))
    pid = os.fork()
    if not pid:
        asyncio.run(child(session, chunks))
        sys.exit(0)
    status = os.waitpid(pid, 0)[1]
    began = time.monotonic()
    loop.run_until_complete(after(session, chunks, running, first))
    loop.close()
    assert time.monotonic() - began < 6, "the parent stalled"
    assert not status, f"the child ended with {status}"
    print("done")
"""
)

_BLOCKING = (
    _START
    + """
    session = Session(settings=SETTINGS, progress=False)
    storage = session.get_storage_manager()
    chunks = iter(storage.read(**READ))
    first = next(chunks)
    pid = os.fork()
    if not pid:
        for use in (session.get_storage_manager, lambda: next(storage.read(**READ)), lambda: next(chunks),
                    lambda: storage.list("GCP", "/bucket-one/"), lambda: storage.at("gcp")):
            try:
                use()
            except SessionClosedError as error:
                assert "cannot be used in a process forked from it" in str(error)
            except StopIteration:
                pass
        session.close()
        sys.exit(0)
    began = time.monotonic()
    assert len(first) + sum(map(len, chunks)) == 1_000_000
    status = os.waitpid(pid, 0)[1]
    assert len(b"".join(storage.read(**READ))) == 1_000_000
    assert time.monotonic() - began < 6, "the parent stalled"
    session.close()
    assert not status, f"the child ended with {status}"
    print("done")
"""
)


@pytest.mark.parametrize("transport", ["fast", "aiohttp"])
@pytest.mark.parametrize("script", [_ASYNC, _BLOCKING], ids=["async", "blocking"])
def test_a_forked_child_is_refused_and_touches_nothing(tmp_path: Path, script: str, transport: str) -> None:
    """The child is told to make a session of its own and ends in silence; the parent's calls go on."""
    with OneBucketServer(delay=0.2) as server:
        endpoint = server.settings.endpoint
        assert endpoint is not None
        ended = run_script(script, clean_environment(tmp_path, ENDPOINT=endpoint, TRANSPORT=transport))
    assert (ended.stdout, ended.stderr, ended.status) == ("done\n", "", 0)

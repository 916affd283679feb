"""How scripts end, are interrupted, and fork: each one a process of its own, in development mode."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.python_processes import Outcome, RunningScript, clean_environment, run_script
from tests.servers.weed import SeaweedFS

_OPEN = """
    import logging
    from dxflow import Session
    logging.getLogger("dxflow_async").setLevel(logging.ERROR)
    session = Session(email="your@email.com", password="your_password")
    storage_manager = session.get_storage_manager()
    storage_manager.write("/bucket/name", b"bytes")
"""


def _run(code: str, home: Path, **variables: str) -> Outcome:
    lines = (_OPEN + code).splitlines()
    return run_script("\n".join(line.removeprefix("    ") for line in lines), clean_environment(home, **variables))


@pytest.mark.parametrize(
    "rest",
    [
        "",
        "del session",
        "del session, storage_manager",
        "items = storage_manager.scan(); next(items)",
        "chunks = storage_manager.read('/bucket/name'); next(chunks)",
        "others = [Session('your@email.com', 'your_password') for _ in range(3)]",
        "session.close()",
        "Session().get_storage_manager()",
    ],
)
def test_a_script_that_never_closes_its_session_ends_well(rest: str, tmp_path: Path) -> None:
    """Exit status 0 and nothing on standard error, whatever is left open."""
    outcome = _run(f"    {rest}\n    print('last line')", tmp_path)
    assert outcome == Outcome(0, "last line\n", "")


def test_an_ending_interpreter_waits_for_what_is_closing(tmp_path: Path) -> None:
    """A session that was dropped as the last thing still closes whole: it signs out and closes its files."""
    script = """
import asyncio, contextlib
from dxflow_async.blocking.portal import Portal
from dxflow_async.concurrency.exit_safe_executor import ExitSafeExecutor
@contextlib.asynccontextmanager
async def slowly_closed():
    threads = ExitSafeExecutor(1)
    yield
    await asyncio.sleep(0.5)
    await asyncio.get_running_loop().run_in_executor(threads, print, "closed")
    threads.shutdown()
portal = Portal()
portal.enter(slowly_closed)
portal.stop()
del portal
print("last line")
"""
    assert run_script(script, clean_environment(tmp_path)) == Outcome(0, "last line\nclosed\n", "")


def test_it_ends_well_on_the_standard_loop(tmp_path: Path) -> None:
    """The same without uvloop."""
    code = "import sys\nsys.modules['uvloop'] = None\n"
    body = "\n".join(line.removeprefix("    ") for line in _OPEN.splitlines())
    outcome = run_script(f"{code}{body}\nprint('last line')", clean_environment(tmp_path))
    assert outcome == Outcome(0, "last line\n", "")


def test_threads_finish_their_transfers_after_the_main_thread(tmp_path: Path) -> None:
    """The session is closed after the last non-daemon thread, not after the main one."""
    outcome = _run(
        """
    import threading, time
    def slowly():
        for _ in range(5):
            time.sleep(0.1)
            yield b"x"
    def work():
        storage_manager.write("/bucket/late", slowly())
        print(b"".join(storage_manager.read("/bucket/late")).decode())
    threading.Thread(target=work).start()
    """,
        tmp_path,
    )
    assert outcome == Outcome(0, "xxxxx\n", "")


def test_a_daemon_thread_at_work_does_not_hold_the_script_up(tmp_path: Path) -> None:
    """What it was doing is cancelled and cleaned up."""
    outcome = _run(
        """
    import threading, time
    started = threading.Event()
    def endless():
        while True:
            yield bytes(1 << 20)
            started.set()
    def work():
        try:
            storage_manager.write("/bucket/endless", endless())
        except Exception:
            pass
    threading.Thread(target=work, daemon=True).start()
    started.wait()
    print("last line")
    """,
        tmp_path,
    )
    assert outcome == Outcome(0, "last line\n", "")
    assert _stored(tmp_path) == ["bucket/name"]


def test_what_is_open_at_the_end_is_closed(tmp_path: Path) -> None:
    """Work under way is cancelled and cleans up, then what was entered is left, before the interpreter ends."""
    outcome = run_script(
        """
        import asyncio, contextlib, threading
        from dxflow_async.blocking.portal import Portal

        @contextlib.asynccontextmanager
        async def entered():
            yield
            await asyncio.to_thread(print, "left")

        async def hang():
            try:
                started.set()
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0.1)
                print("cleaned up")

        started = threading.Event()
        portal = Portal()
        portal.enter(entered)
        threading.Thread(target=portal.call, args=(hang,), daemon=True).start()
        started.wait()
        print("last line")
        threading.excepthook = lambda _: None
        """,
        clean_environment(tmp_path),
    )
    assert outcome == Outcome(0, "last line\ncleaned up\nleft\n", "")


def test_a_failing_script_fails_with_its_own_error_only(tmp_path: Path) -> None:
    """An uncaught error is the only thing on standard error."""
    outcome = _run("    raise SystemExit('my own error')", tmp_path)
    assert outcome == Outcome(1, "", "my own error\n")


def test_a_forked_process_is_told_to_make_its_own_session(tmp_path: Path) -> None:
    """In the child every call raises SessionClosedError and both processes end well; the parent goes on working."""
    outcome = _run(
        """
    import os, sys
    from dxflow.exceptions import SessionClosedError
    pid = os.fork()
    if pid == 0:
        for call in (session.get_storage_manager, storage_manager.list, lambda: list(storage_manager.scan())):
            try:
                call()
            except SessionClosedError as error:
                print("child:", "fork" in str(error), flush=True)
        with Session(email="your@email.com", password="your_password") as own:
            print("child:", own.get_storage_manager().exists("/bucket/name"), flush=True)
        session.close()
        sys.exit(7)
    print("parent:", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), storage_manager.exists("/bucket/name"))
    """,
        tmp_path,
    )
    assert outcome == Outcome(0, "child: True\n" * 4 + "parent: 7 True\n", "")


_INTERRUPTED = """
    import itertools
    def tell(progress):
        if progress.bytes_done:
            print("under way", flush=True)
    try:
        {call}
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    print("then:", storage_manager.exists("/bucket/name"))
"""


def test_ctrl_c_in_a_large_upload_leaves_nothing(tmp_path: Path) -> None:
    """KeyboardInterrupt comes back, no object and no temporary file is there, and the session still works."""
    large = tmp_path / "large.bin"
    with large.open("wb") as file:
        file.truncate(256 << 20)
    call = f"storage_manager.upload({str(large)!r}, '/bucket/large', on_progress=tell)"
    outcome = _interrupt(call, tmp_path / "home")
    assert outcome.status == 0
    assert outcome.stdout.endswith("interrupted\nthen: True\n")
    assert outcome.stderr == ""
    assert _stored(tmp_path / "home") == ["bucket/name"]


def test_ctrl_c_in_a_write_leaves_nothing(tmp_path: Path) -> None:
    """The same while the caller's own generator runs."""
    code = "storage_manager.write('/bucket/many', itertools.repeat(bytes(1 << 20), 256), on_progress=tell)"
    outcome = _interrupt(code, tmp_path)
    assert outcome.status == 0
    assert outcome.stdout.endswith("interrupted\nthen: True\n")
    assert outcome.stderr == ""
    assert _stored(tmp_path) == ["bucket/name"]


def test_ctrl_c_nobody_catches_ends_the_script(tmp_path: Path) -> None:
    """A traceback of KeyboardInterrupt, as of any other script, and nothing left."""
    code = "storage_manager.write('/bucket/many', itertools.repeat(bytes(1 << 20), 256), on_progress=tell)"
    body = (_OPEN + _INTERRUPTED.format(call=code)).replace("except KeyboardInterrupt", "except ZeroDivisionError")
    outcome = _interrupt_script(body, tmp_path)
    assert outcome.status != 0
    assert outcome.stderr.rstrip().endswith("KeyboardInterrupt")
    assert _stored(tmp_path) == ["bucket/name"]


def test_ctrl_c_leaves_no_part_of_an_upload_at_s3(tmp_path: Path) -> None:
    """An upload in parts to a real S3 server is aborted there."""
    large = tmp_path / "large.bin"
    with large.open("wb") as file:
        file.truncate(256 << 20)
    with SeaweedFS.start(tmp_path / "server") as server:
        bucket = server.create_bucket("bucket-one")
        body = (_OPEN + _INTERRUPTED).replace("/bucket/", f"/{bucket}/")
        call = f"storage_manager.upload({str(large)!r}, '/{bucket}/large', on_progress=tell)"
        outcome = _interrupt_script(
            body.format(call=call),
            tmp_path / "home",
            DXFLOW_AWS_ENDPOINT=server.endpoint,
            DXFLOW_AWS_REGION=server.region,
            DXFLOW_AWS_ACCESS_KEY=server.access_key,
            DXFLOW_AWS_SECRET_KEY=server.secret_key,
        )
        assert outcome.status == 0
        assert outcome.stdout.endswith("interrupted\nthen: True\n")
        assert outcome.stderr == ""
        assert "Uploads" not in server.client.list_multipart_uploads(Bucket=bucket)
        assert [each["Key"] for each in server.client.list_objects_v2(Bucket=bucket)["Contents"]] == ["name"]


def _interrupt(call: str, home: Path) -> Outcome:
    return _interrupt_script(_OPEN + _INTERRUPTED.format(call=call), home)


def _interrupt_script(body: str, home: Path, **variables: str) -> Outcome:
    """Interrupt a script in a transfer that is slowed down, so that it cannot end before."""
    variables = {"DXFLOW_MAX_BANDWIDTH": "20MiB"} | variables
    with RunningScript(body, clean_environment(home, **variables)) as script:
        script.wait_for_line("under way")
        script.interrupt()
        return script.wait()


def _stored(home: Path) -> list[str]:
    top = home / "storage" / "aws" / "private"
    return sorted(path.relative_to(top).as_posix() for path in top.rglob("*") if not path.is_dir())

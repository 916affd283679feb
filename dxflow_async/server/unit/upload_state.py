"""Unfinished uploads, kept in files that outlive the server: how far each of them is, and its bytes. All of it blocks.

Two files in the volume's workspace stand for an upload: `ID.info` and `ID.data`. The first line of `ID.info` has a
fixed size and holds the offset and the CRC32C of the bytes before it. It is written after the bytes, and after they
were compared if there is something to compare with. So a killed server continues at an offset that is true. The line
also holds the offset and CRC32C up to which the bytes are known to be on disk. Bytes between the two offsets are read
and compared before the upload continues, since a loss of power may have taken them. The rest of `ID.info` is JSON: what
was requested when the upload was created.

Partial uploads of one *group* write into one file, `GROUP.data`, each from its own start. So they are put together
without copying. Whoever writes to an upload holds a lock on `ID.info`, which ends with the process.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

from dxflow_async.checksum import crc32c
from dxflow_async.concurrency.file_locks import hold_alone, try_lock
from dxflow_async.durability import sync_directory, sync_file
from dxflow_async.exceptions import ChecksumMismatchError, NotFoundError, StorageError
from dxflow_async.modes import PRIVATE
from dxflow_async.security.safe_open import chmod_file
from dxflow_async.server.common.names import shown
from dxflow_async.server.unit.volume import Found

__all__ = [
    "FINISHED_SECONDS",
    "Status",
    "Upload",
    "check_unsynced",
    "create_files",
    "exists",
    "infos",
    "locked",
    "mismatch",
    "open_data",
    "opened",
    "read_status",
    "write_info",
    "write_progress",
]

FINISHED_SECONDS = 900.0
"""Seconds that a finished upload still reports its offset, for clients that did not get the answer."""

_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
# Earlier versions wrote only the first two numbers.
_PROGRESS = re.compile(rb"(\d{20}) ([0-9a-f]{8})(?: (\d{20}) ([0-9a-f]{8}))?\n")
_MAX_INFO_SIZE = 1 << 20
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """What was requested when an upload was created.

    Attributes:
        id: the upload's id. The id of a group's part starts with `GROUP.`.
        length: bytes.
        path: the file's path in the volume; `""` for a partial upload.
        metadata: the header as it was sent.
        concat: `""`, `"partial"`, or `"final;..."` as it was sent.
        group: the group whose file holds the bytes; `""` for a file of its own.
        start: where in that file the bytes start.
        modified_ns: the file's time in nanoseconds since the epoch.
        checksum: of the whole file, as `parse_expected` takes it.
        mode: the permission bits of a new file; None for the default.
        absent: the file replaces nothing.
    """

    id: str
    length: int
    path: str = ""
    metadata: str = ""
    concat: str = ""
    group: str = ""
    start: int = 0
    modified_ns: int | None = None
    checksum: str = ""
    mode: int | None = None
    absent: bool = False

    @property
    def partial(self) -> bool:
        """Whether it becomes a file only together with others."""
        return self.concat == "partial"

    @property
    def info_name(self) -> str:
        """The name of the file with its state."""
        return f"{self.id}.info"

    @property
    def data_name(self) -> str:
        """The name of the file with its bytes."""
        return f"{self.group or self.id}.data"


@dataclass(frozen=True, slots=True)
class Status:
    """How far an upload is.

    Attributes:
        upload: the upload.
        offset: bytes that arrived and were compared.
        crc32c: of these bytes.
        expires: seconds since the epoch.
        found: the file, if this call finished it.
        synced: an offset up to which the bytes are on disk, and their CRC32C; None if that is not kept.
    """

    upload: Upload
    offset: int
    crc32c: int = 0
    expires: float = 0.0
    found: Found | None = None
    synced: tuple[int, int] | None = None

    @property
    def complete(self) -> bool:
        """Whether all bytes arrived."""
        return self.offset == self.upload.length


@contextlib.contextmanager
def locked(directory: int, upload_id: str) -> Iterator[int]:
    """Gives the descriptor of an upload's state, locked.

    Raises:
        NotFoundError: the upload does not exist.
        StorageError: 423, somebody else has locked it.
    """
    with opened(directory, upload_id) as info, contextlib.ExitStack() as stack:
        try:
            stack.enter_context(hold_alone(info))
        except BlockingIOError as error:
            text = "another client is writing to this upload; try again later"
            raise StorageError(text, status=423, code="locked", retryable=True, retry_after=1.0) from error
        if not os.fstat(info).st_nlink:
            raise _unknown(upload_id)
        yield info


def create_files(directory: int, upload: Upload, *, durable: bool) -> None:
    """Creates the files of a new upload. The file with a group's bytes may exist already."""
    os.close(os.open(upload.data_name, _OPEN | os.O_CREAT, PRIVATE, dir_fd=directory))
    write_info(directory, upload, durable=durable)


def write_info(directory: int, upload: Upload, offset: int = 0, crc: int = 0, *, durable: bool) -> None:
    """Writes what an upload is. With `durable` it is on disk afterwards, with the names in the directory."""
    info = os.open(upload.info_name, _CREATE, 0o600, dir_fd=directory)
    try:
        os.write(info, _progress(offset, crc, (offset, crc)) + json.dumps(asdict(upload)).encode())
        if durable:
            sync_file(info)
    finally:
        os.close(info)
    if durable:
        sync_directory(directory)


def read_status(info: int, upload_id: str, lifetime: float, now: float) -> Status:
    """Reads the state of an upload.

    Args:
        info: the descriptor of its state.
        upload_id: the upload.
        lifetime: seconds after the last byte for which an upload may continue.
        now: seconds since the epoch.

    Raises:
        NotFoundError: there is no state, because the server was killed while it was written; 410 if the upload expired.
    """
    content = os.pread(info, _MAX_INFO_SIZE, 0)
    progress = _PROGRESS.match(content)
    try:
        if progress is None:
            raise ValueError("no progress")
        upload = Upload(**json.loads(content[progress.end() :]))
    except (ValueError, TypeError) as error:
        raise _unknown(upload_id) from error
    synced = None if progress[3] is None else (int(progress[3]), int(progress[4], 16))
    status = Status(upload, int(progress[1]), int(progress[2], 16), synced=synced)
    kept = FINISHED_SECONDS if status.complete and not upload.partial else lifetime
    status = replace(status, expires=os.fstat(info).st_mtime + kept)
    if status.expires < now:
        raise NotFoundError("the upload expired; start again", status=410, code="expired")
    return status


def write_progress(info: int, offset: int, crc: int, synced: tuple[int, int] | None) -> None:
    """Writes how far an upload is, as `Status` has it, in one small write that a killed process has made or not."""
    os.pwrite(info, _progress(offset, crc, synced), 0)


def check_unsynced(directory: int, status: Status) -> Status:
    """Takes back the bytes after the last sync, unless all of them are there."""
    if status.synced is None or status.offset <= status.synced[0]:
        return status
    offset, crc = status.synced
    try:
        data = os.open(status.upload.data_name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        return status
    try:
        while offset < status.offset:
            piece = os.pread(data, min(_PIECE, status.offset - offset), status.upload.start + offset)
            if not piece:
                break
            crc, offset = crc32c(piece, crc), offset + len(piece)
    finally:
        os.close(data)
    if (offset, crc) == (status.offset, status.crc32c):
        return status
    return replace(status, offset=status.synced[0], crc32c=status.synced[1])


def _open_for_writing(directory: int, name: str) -> int:
    with contextlib.suppress(PermissionError):
        return os.open(name, _OPEN, dir_fd=directory)
    # A killed server may have set the file's mode without giving it its name. Nobody else does that now: whoever opens
    # an upload's bytes holds the lock on its state.
    chmod_file(directory, name, PRIVATE)
    return os.open(name, _OPEN, dir_fd=directory)


def mismatch(path: str) -> ChecksumMismatchError:
    """Returns the error for bytes whose checksum differs from the one that was sent."""
    where = f"/{shown(path)}" if path else "the upload"
    text = f"the bytes that arrived for {where} do not have the checksum that was sent with them; send them again"
    return ChecksumMismatchError(text, status=460, code="checksum_mismatch", path=path)


@contextlib.contextmanager
def opened(directory: int, upload_id: str) -> Iterator[int]:
    """Opens an upload's state while others may write to it, and returns the descriptor.

    Raises:
        NotFoundError: the upload does not exist.
    """
    try:
        info = os.open(f"{upload_id}.info", _OPEN, dir_fd=directory)
    except FileNotFoundError as error:
        raise _unknown(upload_id) from error
    try:
        yield info
    finally:
        os.close(info)


def open_data(directory: int, name: str, lock: int) -> int:
    """Opens an upload's bytes. `LOCK_SH` keeps others from moving them, `LOCK_EX` from using them.

    Raises:
        FileNotFoundError: they have their final name already.
        StorageError: 423, they are being written or moved.
    """
    while True:
        data = _open_for_writing(directory, name)
        try:
            try_lock(data, lock)
            if os.path.samestat(os.fstat(data), os.stat(name, dir_fd=directory)):
                return data
        except BlockingIOError as error:
            os.close(data)
            text = "the upload is being written to, or finished; try again"
            raise StorageError(text, status=423, code="locked") from error
        except BaseException:
            os.close(data)
            raise
        os.close(data)


def exists(directory: int, name: str) -> bool:
    """Returns whether a name exists in a directory."""
    try:
        os.stat(name, dir_fd=directory)
    except FileNotFoundError:
        return False
    return True


def infos(directory: int) -> list[str]:
    """Returns the names of all uploads' states."""
    return [name for name in os.listdir(directory) if name.endswith(".info")]


def _progress(offset: int, crc: int, synced: tuple[int, int] | None) -> bytes:
    if synced is None:
        return b"%020d %08x\n" % (offset, crc)
    return b"%020d %08x %020d %08x\n" % (offset, crc, *synced)


def _unknown(upload_id: str) -> NotFoundError:
    return NotFoundError(f"there is no upload {upload_id:.100}; start again", status=404, code="no_such_upload")

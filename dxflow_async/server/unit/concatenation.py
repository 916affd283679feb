"""Puts partial uploads together to one file. All of it blocks.

The parts of a group are in one file already, which then gets its name. Other parts are copied by the kernel. A request
that is repeated, because its answer was lost or the server was killed, has no second effect.

Source: https://tus.io/protocols/resumable-upload (1.0.0, "Concatenation")
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Sequence
from dataclasses import replace

from dxflow_async.checksum import joined
from dxflow_async.durability import sync_file
from dxflow_async.exceptions import NotFoundError, StorageError
from dxflow_async.modes import PRIVATE
from dxflow_async.server.unit.checksums import parse_expected
from dxflow_async.server.unit.reflink import copy_bytes
from dxflow_async.server.unit.upload_state import Status, Upload, exists, infos, locked, mismatch, open_data, write_info
from dxflow_async.server.unit.uploads import Uploads

__all__ = ["concatenate"]


def concatenate(uploads: Uploads, final: Upload, parts: Sequence[str]) -> Status:
    """Makes one file of finished partial uploads, which are removed.

    Args:
        uploads: the uploads of the volume.
        final: the upload of the whole file. Its length is not known yet, and its id stands for these parts in this
            order.
        parts: the ids of the partial uploads.

    Raises:
        NotFoundError: a partial upload does not exist.
        AlreadyExistsError: no file can have that path.
        ChecksumMismatchError: the whole is not what was expected. The parts stay.
        StorageError: 409, one of them is not a partial upload or not complete, or the group is invalid; 423, somebody
            writes to one of them.
    """
    workspace = uploads.workspace
    with workspace.directory() as directory, contextlib.ExitStack() as stack:
        if exists(directory, final.info_name):
            return uploads.status(final.id)
        statuses = []
        for part in parts:
            statuses.append(uploads.read(directory, stack.enter_context(locked(directory, part)), part))
            _check(statuses[-1])
        crc = _crc_of(statuses)
        expected = parse_expected(final.checksum) if final.checksum else None
        if expected is not None and not expected.matches(crc.to_bytes(4, "big")):
            raise mismatch(final.path)
        workspace.check_target(final.path, new=final.absent)
        final = replace(final, length=sum(each.offset for each in statuses))
        _assemble(uploads, directory, final, [each.upload for each in statuses])
        write_info(directory, final, final.length, crc, durable=workspace.volume.durable)
        status = uploads.status(final.id)
        for each in statuses:
            _remove(directory, each.upload)
    return status


def _check(status: Status) -> None:
    if not status.upload.partial:
        raise StorageError("only partial uploads can be put together", status=409, code="not_partial")
    if not status.complete:
        text = f"a partial upload is at {status.offset} of {status.upload.length}; finish it first"
        raise StorageError(text, status=409, code="not_complete")


def _crc_of(statuses: Sequence[Status]) -> int:
    crc = 0
    for each in statuses:
        crc = joined(crc, each.crc32c, each.offset)
    return crc


def _assemble(uploads: Uploads, directory: int, final: Upload, parts: Sequence[Upload]) -> None:
    group = parts[0].group
    if group:
        _check_group(uploads, directory, parts)
        # The server may have crashed between this step and the next.
        if exists(directory, parts[0].data_name) or not exists(directory, final.data_name):
            data = open_data(directory, parts[0].data_name, fcntl.LOCK_EX)
            try:
                os.rename(parts[0].data_name, final.data_name, src_dir_fd=directory, dst_dir_fd=directory)
            finally:
                os.close(data)
        return
    if any(each.group for each in parts):
        raise _bad_group()
    flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    whole = os.open(final.data_name, flags, PRIVATE, dir_fd=directory)
    try:
        offset = 0
        for part in parts:
            data = open_data(directory, part.data_name, fcntl.LOCK_SH)
            try:
                copy_bytes(data, whole, part.length, offset, uploads.workspace.stopping)
            finally:
                os.close(data)
            offset += part.length
        if uploads.workspace.volume.durable:  # before the upload's state says that it is complete
            sync_file(whole)
    finally:
        os.close(whole)


def _check_group(uploads: Uploads, directory: int, parts: Sequence[Upload]) -> None:
    """Checks that the parts are all that write into the group's file, one after the other.

    A part may be there twice if the answer to its creation was lost. The one that is not named is dropped.
    """
    group, offset = parts[0].group, 0
    for part in parts:
        if part.group != group or part.start != offset:
            raise _bad_group()
        offset += part.length
    starts, named = {part.start for part in parts}, {part.info_name for part in parts}
    for name in infos(directory):
        if not name.startswith(f"{group}.") or name in named:
            continue
        with contextlib.suppress(NotFoundError), locked(directory, name.removesuffix(".info")) as info:
            if uploads.read(directory, info, name.removesuffix(".info")).upload.start not in starts:
                raise _bad_group()
            os.unlink(name, dir_fd=directory)


def _bad_group() -> StorageError:
    text = "all parts of a group must be put together, each of them starting where the one before ends"
    return StorageError(text, status=409, code="bad_group")


def _remove(directory: int, part: Upload) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(part.info_name, dir_fd=directory)
    if not part.group:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part.data_name, dir_fd=directory)

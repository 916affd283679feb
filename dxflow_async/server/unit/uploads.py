"""The uploads of one volume, from their creation to the finished file. All of it blocks."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from dxflow_async.exceptions import AlreadyExistsError, NotFoundError, PreconditionFailedError, StorageError
from dxflow_async.file_systems import set_time
from dxflow_async.server.unit import checksums
from dxflow_async.server.unit.checksums import Buffer, Expected, Hashing, parse_expected
from dxflow_async.server.unit.removing import TRASH, empty_trash
from dxflow_async.server.unit.upload_state import (
    FINISHED_SECONDS,
    Status,
    Upload,
    check_unsynced,
    create_files,
    exists,
    infos,
    locked,
    mismatch,
    open_data,
    opened,
    read_status,
)
from dxflow_async.server.unit.upload_writer import Writer, write_at
from dxflow_async.server.unit.volume import Found, found_of
from dxflow_async.server.unit.workspace import Workspace

__all__ = ["LIFETIME", "Uploads"]

LIFETIME = 24 * 3600.0
"""Seconds after its last byte for which an upload may continue."""


class Uploads:
    """The uploads of one volume.

    Args:
        workspace: where they are kept.
        lifetime: seconds after the last byte for which an upload may continue.
        clock: returns seconds since the epoch.
    """

    def __init__(
        self, workspace: Workspace, *, lifetime: float = LIFETIME, clock: Callable[[], float] = time.time
    ) -> None:
        self.workspace = workspace
        self._lifetime = lifetime
        self._clock = clock

    def create(self, upload: Upload) -> Status:
        """Creates an upload. An upload of no bytes is finished at once.

        Raises:
            AlreadyExistsError: no file can have that path.
            StorageError: 507, the volume has no space for it.
        """
        if not upload.partial:
            self.workspace.check_target(upload.path, new=upload.absent)
        self._check_room(upload.length)
        with self.workspace.directory() as directory:
            create_files(directory, upload, durable=self.workspace.volume.durable)
        return self.status(upload.id)

    def store(self, upload: Upload, chunks: Sequence[Buffer], expected: Expected | None) -> Status:
        """Stores a whole file at once. If that fails, nothing of it is kept."""
        crc, hashing = checksums.crc32c(chunks), Hashing(expected)
        hashing.update(chunks)
        if not hashing.agrees(crc):
            raise mismatch(upload.path)
        self._check_room(upload.length)
        with self.workspace.directory() as directory, self.workspace.temporary_file(directory) as (data, name):
            write_at(data, chunks, 0)
            found = self.finish(directory, data, name, upload, crc)
        return Status(upload, upload.length, crc, found=found)

    def status(self, upload_id: str) -> Status:
        """Returns how far an upload is. A complete upload that a crash kept from its name gets it now.

        Raises:
            NotFoundError: the upload does not exist; 410 if it expired.
        """
        with self.workspace.directory() as directory:
            with opened(directory, upload_id) as info:
                status = self.read(directory, info, upload_id)
            if not status.complete or status.upload.partial or not exists(directory, status.upload.data_name):
                return status
            try:
                with locked(directory, upload_id):
                    return self._finish_again(directory, status)
            except StorageError as error:
                if error.status != 423:
                    raise
        return status

    def writer(self, upload_id: str, offset: int, expected: Expected | None) -> Writer:
        """Opens an upload for its next bytes. Nobody else can write until it is closed.

        Args:
            upload_id: the upload.
            offset: where the bytes start. It must be the upload's offset.
            expected: what the bytes of this writer are compared with before any of them counts.

        Raises:
            NotFoundError: the upload does not exist, or has expired.
            PreconditionFailedError: 409, the upload has another offset.
            StorageError: 423, somebody else writes to it.
        """
        with contextlib.ExitStack() as stack:
            directory = stack.enter_context(self.workspace.directory())
            info = stack.enter_context(locked(directory, upload_id))
            status = self.read(directory, info, upload_id)
            if offset != status.offset:
                raise PreconditionFailedError(
                    f"the upload is at {status.offset}, not at {offset}; continue there",
                    status=409,
                    code="wrong_offset",
                )
            if status.upload.concat.startswith("final"):
                raise StorageError("a final upload takes no bytes of its own", status=403, code="final_upload")
            data = self._data_of(directory, status)
            stack.callback(os.close, data)
            upload = status.upload

            def finish(crc: int) -> Found | None:
                return None if upload.partial else self.finish(directory, data, upload.data_name, upload, crc)

            durable = self.workspace.volume.durable
            return Writer(status, info, data, expected, finish, stack.pop_all(), durable=durable)

    def terminate(self, upload_id: str) -> None:
        """Removes an upload and its bytes, or all uploads of a group.

        Args:
            upload_id: the upload, or the group.

        Raises:
            NotFoundError: neither exists.
            StorageError: 423, somebody writes to it.
        """
        with self.workspace.directory() as directory:
            group = [name.removesuffix(".info") for name in infos(directory) if name.startswith(f"{upload_id}.")]
            for each in group or [upload_id]:
                missing = contextlib.nullcontext() if each == upload_id else contextlib.suppress(NotFoundError)
                with missing, locked(directory, each) as info:
                    self.forget(directory, self.read(directory, info, each).upload)

    def finish(self, directory: int, data: int, name: str, upload: Upload, crc: int) -> Found:
        """Gives an upload's bytes their name in the volume.

        Raises:
            ChecksumMismatchError: they are not what was expected. The upload is removed.
            AlreadyExistsError: the name exists, and must not be replaced. The upload is removed.
        """
        expected = parse_expected(upload.checksum) if upload.checksum else None
        if expected is not None and not expected.matches(crc.to_bytes(4, "big")):
            self.forget(directory, upload)
            raise mismatch(upload.path)
        os.ftruncate(data, upload.length)
        if upload.modified_ns is not None:
            set_time(data, ns=upload.modified_ns)
        checksums.keep(data, crc, upload.length, os.fstat(data).st_mtime_ns)
        try:
            status = self.workspace.place(directory, name, data, upload.path, upload.mode, new=upload.absent)
        except AlreadyExistsError:
            if upload.absent:
                self.forget(directory, upload)
            raise
        return found_of(upload.path.rpartition("/")[2], status, crc32c=crc)

    def forget(self, directory: int, upload: Upload) -> None:
        """Removes the files of an upload. A group's bytes are removed with its last upload."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(upload.info_name, dir_fd=directory)
        if upload.group and any(name.startswith(f"{upload.group}.") for name in infos(directory)):
            return
        with contextlib.suppress(FileNotFoundError):
            os.unlink(upload.data_name, dir_fd=directory)

    def sweep(self) -> int:
        """Removes what has expired or was left by a killed server, and returns the number of removed files."""
        if not self.workspace.exists():
            return 0
        with self.workspace.directory() as directory:
            names = os.listdir(directory)
            return sum(self._sweep(directory, name) for name in names)

    def read(self, directory: int, info: int, upload_id: str) -> Status:
        """Reads the state of an upload, as `read_status`. Bytes that a loss of power took do not count."""
        return check_unsynced(directory, read_status(info, upload_id, self._lifetime, self._clock()))

    def _sweep(self, directory: int, name: str) -> bool:
        stem, _, kind = name.rpartition(".")
        try:
            if kind == "info":
                return self._sweep_info(directory, stem)
            if kind == TRASH:
                empty_trash(directory, name)
                return True
            age = self._clock() - os.stat(name, dir_fd=directory, follow_symlinks=False).st_mtime
            if age < self._lifetime or (kind == "data" and any(each.startswith(stem) for each in infos(directory))):
                return False
            os.unlink(name, dir_fd=directory)
        except (OSError, StorageError):
            return False  # another server does the same, or somebody writes
        return True

    def _sweep_info(self, directory: int, upload_id: str) -> bool:
        try:
            self.status(upload_id)  # which finishes it, if a crash kept it from its name
        except NotFoundError:
            with locked(directory, upload_id) as info:
                age = self._clock() - os.fstat(info).st_mtime
                if age < FINISHED_SECONDS:  # it is being created
                    return False
                os.unlink(f"{upload_id}.info", dir_fd=directory)
            return True
        return False

    def _data_of(self, directory: int, status: Status) -> int:
        try:
            return open_data(directory, status.upload.data_name, fcntl.LOCK_SH)
        except FileNotFoundError as error:
            if status.complete:
                raise StorageError("the upload is finished", status=409, code="finished") from error
            raise NotFoundError("the upload's bytes are gone; start again", status=410, code="lost") from error

    def _finish_again(self, directory: int, status: Status) -> Status:
        data = open_data(directory, status.upload.data_name, fcntl.LOCK_SH)
        try:
            found = self.finish(directory, data, status.upload.data_name, status.upload, status.crc32c)
        finally:
            os.close(data)
        return replace(status, found=found)

    def _check_room(self, length: int) -> None:
        free = self.workspace.volume.free_bytes()
        if free is not None and length > free:
            raise StorageError("the volume has no space for the upload; free some", status=507, code="disk_full")

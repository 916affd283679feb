"""Blocking work on local files, for `local.py` to run in threads."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from dxflow_async.exceptions import ChecksumMismatchError, SourceChangedError, UnsafePathError
from dxflow_async.providers.base import Buffer, Entry
from dxflow_async.providers.checksum import crc32c

__all__ = ["CACHED_SIZE", "READ_SIZE", "ReadableFile", "Root", "TemporaryFile", "etag_of"]

READ_SIZE = 1 << 20
"""Bytes a read asks the system for: large against the cost of a call, small against a cache."""

_TEMPORARY = re.compile(r"\.[0-9a-f]{16}\.dxpart")

SCAN_SIZE = 256 << 10
"""Bytes of a checksum's pass over a file: they stay in the processor's cache."""

CACHED_SIZE = 64 << 10
"""Of bytes that are in memory anyway, as many are read in the event loop: some 10 microseconds' worth."""

_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_CLOEXEC = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_MAX_KNOWN_DIRECTORIES = 10_000
_MAX_BUFFERS = 1024  # IOV_MAX of Linux, and at least that of other systems


class CachedReads:
    """Which devices can be asked for bytes that are in memory anyway, without ever waiting for a disk.

    Reading such a file in the event loop takes a few microseconds; handing it to a thread takes fifty.
    """

    def __init__(self) -> None:
        self._flags: dict[int, int | None] = {}

    def learn(self, device: int) -> None:
        """Looks up what kind of file system a device has. Blocks."""
        if device not in self._flags:
            self._flags[device] = _READ_FLAGS.get(_file_system(device))

    def flags(self, device: int) -> int | None:
        """What to read with; None where a read might wait."""
        return self._flags.get(device)


# Others, network file systems above all, may wait in `open` already.
_NOWAIT = getattr(os, "RWF_NOWAIT", None)
_READ_FLAGS: dict[str, int | None] = {"tmpfs": 0, "ramfs": 0, "ext4": _NOWAIT, "xfs": _NOWAIT, "btrfs": _NOWAIT}


def _file_system(device: int) -> str:
    """The kind of a device's file system, as Linux names it.

    Source: https://docs.kernel.org/filesystems/proc.html (3.5, /proc/<pid>/mountinfo)
    """
    number = f"{os.major(device)}:{os.minor(device)}"
    with contextlib.suppress(OSError), open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:
        for line in mounts:
            if line.split(" ", 3)[2] == number:
                return line.rpartition(" - ")[2].split(" ", 1)[0]
    return ""


class Root:
    """A directory that paths do not leave.

    Args:
        path: the directory; it is made when something is first written.
        follow_symlinks: links may lead out of it: for the user's own files, never for names from outside.
    """

    def __init__(self, path: Path, *, follow_symlinks: bool = False) -> None:
        self.path = Path(os.path.abspath(path))
        self.follow_symlinks = follow_symlinks
        self._prefix = os.path.join(self.path, "")
        self._known: set[str] = set()
        self.cached_reads = CachedReads()

    def resolve(self, key: str) -> str:
        """The path of a key.

        Raises:
            UnsafePathError: it would lie outside.
        """
        name = key.removesuffix("/")
        if "\0" in name or (name and not {"", ".", ".."}.isdisjoint(name.split("/"))):
            raise UnsafePathError(f"{key!r} is not a name below {self.path}; remove '//', '.' and '..'", path=key)
        path = self._prefix + name if name else str(self.path)
        if os.name == "nt" and os.path.splitdrive(name)[0]:
            raise UnsafePathError(f"{key!r} names a drive; remove it", path=key)
        return path

    def contained(self, key: str) -> str:
        """The path of a key, whose links lead nowhere else."""
        path = self.resolve(key)
        if not self.follow_symlinks:
            self._check(os.path.realpath(path), key)
        return path

    def for_writing(self, key: str) -> str:
        """The path of a key, its directory made; a link is replaced, not followed."""
        path = self.resolve(key)
        parent = os.path.dirname(path)
        if parent not in self._known:
            os.makedirs(parent, exist_ok=True)
            if not self.follow_symlinks:
                self._check(os.path.realpath(parent), key)
            if len(self._known) >= _MAX_KNOWN_DIRECTORIES:
                self._known.clear()
            self._known.add(parent)
        return path

    def for_deleting(self, key: str) -> str:
        """The path of a key, whose directory is inside; a link is removed, not followed."""
        path = self.resolve(key)
        if path == str(self.path):
            raise UnsafePathError(f"{self.path} itself is not deleted; name what is in it", path=key)
        if not self.follow_symlinks:
            self._check(os.path.realpath(os.path.dirname(path)), key)
        return path

    def forget_directories(self) -> None:
        """Directories known to be there may be gone."""
        self._known.clear()

    def walk(self, prefix: str, *, recursive: bool) -> Iterator[Entry]:
        """Entries below a prefix, in the order of their keys' bytes; a recursive walk has files and empty directories.

        Raises:
            FileNotFoundError: the prefix ends in a slash and is no directory.
        """
        directory, _, start = prefix.rpartition("/")
        top = f"{directory}/" if directory else ""
        path = self.contained(top)
        if not top and not os.path.isdir(path):
            return
        status = os.stat(path)
        self.cached_reads.learn(status.st_dev)
        yield from self._walk(path, top, start, recursive, (status,))

    def _walk(
        self, path: str, prefix: str, start: str, recursive: bool, above: tuple[os.stat_result, ...]
    ) -> Iterator[Entry]:
        with os.scandir(path) as found:
            names = [
                f"{each.name}/" if self._is_directory(each) else each.name
                for each in found
                if each.name.startswith(start) and not _TEMPORARY.fullmatch(each.name)
            ]
        names.sort(key=os.fsencode)
        for name in names:
            entry = _entry(f"{path}/{name}", prefix + name)
            if entry is None:
                continue
            if not recursive or not entry.directory:
                yield entry
                continue
            below = os.stat(f"{path}/{name}")
            self.cached_reads.learn(below.st_dev)
            if any(os.path.samestat(below, each) for each in above):
                entry.unreadable = "a link to a directory above it"
                yield entry
                continue
            empty = True
            for inner in self._walk(f"{path}/{name[:-1]}", prefix + name, "", True, (*above, below)):
                empty = False
                yield inner
            if empty:
                yield entry

    def _is_directory(self, entry: os.DirEntry[str]) -> bool:
        return entry.is_dir(follow_symlinks=self.follow_symlinks)

    def _check(self, real: str, key: str) -> None:
        top = os.path.realpath(self.path)
        if real != top and not real.startswith(os.path.join(top, "")):
            raise UnsafePathError(
                f"{key!r} leads out of {self.path} through a symbolic link; remove the link", path=key
            )


def _entry(path: str, key: str) -> Entry | None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        if not os.path.islink(path):
            return None
        return Entry(key, unreadable="a symbolic link to nothing")
    except OSError as error:
        return Entry(key, unreadable=error.strerror or str(error))
    if stat.S_ISDIR(status.st_mode):
        return Entry(key.removesuffix("/") + "/", modified=status.st_mtime, directory=True)
    unreadable = None if stat.S_ISREG(status.st_mode) else "not a regular file"
    return Entry(key, status.st_size, status.st_mtime, etag=etag_of(status), unreadable=unreadable)


def etag_of(status: os.stat_result) -> str:
    """Names a version of a file: another size, time or inode is another version."""
    return f"{status.st_size:x}-{status.st_mtime_ns:x}-{status.st_ino:x}"


class ReadableFile:
    """The bytes `[start, end)` of a file, read in pieces; all methods block."""

    def __init__(self, path: str, key: str, start: int, end: int | None) -> None:
        self.path = path
        self._key = key
        self._position = start
        self._end = end
        self._descriptor = -1
        self.entry = Entry(key)
        self.crc32c = 0

    def open(self) -> Buffer:
        """Opens the file, fills `entry`, and reads the first piece; closed again when that is all."""
        self._open()
        return self.read()

    def open_cached(self, cached_reads: CachedReads) -> Buffer | None:
        """The whole of a small file, where that takes no waiting; else None, and it is closed."""
        status = self._open()
        flags = cached_reads.flags(status.st_dev)
        if flags is not None and self.remaining <= CACHED_SIZE:
            buffer = bytearray(self.remaining)
            with contextlib.suppress(OSError):
                if not buffer or os.preadv(self._descriptor, [buffer], 0, flags) == len(buffer):
                    self._position += len(buffer)
                    self.crc32c = crc32c(buffer)
                    self.close()
                    return buffer
        self.close()
        return None

    def _open(self) -> os.stat_result:
        # Opening a named pipe would wait for a writer.
        self._descriptor = os.open(self.path, os.O_RDONLY | _CLOEXEC | getattr(os, "O_NONBLOCK", 0))
        status = os.fstat(self._descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(21, "it is a directory", self.path)
        if not stat.S_ISREG(status.st_mode):
            raise PermissionError(1, "it is not a regular file", self.path)
        self.entry = Entry(self._key, status.st_size, status.st_mtime, etag=etag_of(status))
        self._end = status.st_size if self._end is None else min(self._end, status.st_size)
        self._position = min(self._position, self._end)
        return status

    @property
    def remaining(self) -> int:
        """Bytes not yet read."""
        assert self._end is not None
        return self._end - self._position

    def read(self) -> bytes:
        """The next piece; at the last one the file is closed.

        Raises:
            SourceChangedError: the file is not what it was when it was opened.
        """
        if not self.remaining:
            self.close()
            return b""
        data = os.pread(self._descriptor, min(READ_SIZE, self.remaining), self._position)
        self._position += len(data)
        self.crc32c = crc32c(data, self.crc32c)
        if not data or not self.remaining:
            changed = not data or etag_of(os.fstat(self._descriptor)) != self.entry.etag
            self.close()
            if changed:
                raise self._changed()
        return data

    def scan(self, crc: int) -> int:
        """The checksum of what came before (`crc`) and of all that is left, which stays to be read."""
        buffer = memoryview(bytearray(min(SCAN_SIZE, self.remaining)))
        position = self._position
        assert self._end is not None
        while position < self._end:
            size = os.preadv(self._descriptor, [buffer[: self._end - position]], position)
            if not size:
                raise self._changed()
            crc = crc32c(buffer[:size], crc)
            position += size
        return crc

    def close(self) -> None:
        """Also when it was never opened."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def _changed(self) -> SourceChangedError:
        return SourceChangedError(
            f"LOCAL read of {self.path} failed: the file was changed while it was read; try again",
            provider="LOCAL",
            operation="read",
            path=self.path,
        )


class TemporaryFile:
    """Bytes written beside their target and renamed to it; all methods block."""

    def __init__(self, root: Root, key: str) -> None:
        self._root = root
        self._key = key
        self._descriptor = -1
        self.path = ""

    def create(self, size: int | None = None) -> None:
        """Makes the file; with a size, only where that fits on the disk."""
        self._target = self._root.for_writing(self._key)
        parent = os.path.dirname(self._target)
        if size and shutil.disk_usage(parent).free < size:
            raise OSError(28, "No space left on device", self._target)
        path = os.path.join(parent, f".{secrets.token_hex(8)}.dxpart")
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _NOFOLLOW | _CLOEXEC, 0o666)
        self.path = path

    def write(self, chunks: Sequence[Buffer], offset: int, crc: int = 0) -> int:
        """Writes chunks at an offset; the checksum of what came before (`crc`) and them."""
        for chunk in chunks:
            crc = crc32c(chunk, crc)
        views = [memoryview(chunk) for chunk in chunks]
        while views:
            written = os.pwritev(self._descriptor, views[:_MAX_BUFFERS], offset)
            offset += written
            while views and written >= len(views[0]):
                written -= len(views.pop(0))
            if written:
                views[0] = views[0][written:]
        return crc

    def write_new(self, chunks: Sequence[Buffer], expected: int | None, modified: float | None) -> int:
        """A whole small file: made, written, compared and renamed in one go. Returns its checksum."""
        self.create()
        crc = self.write(chunks, 0)
        self.compare_and_commit(crc, expected, modified)
        return crc

    def compare_and_commit(self, crc: int, expected: int | None, modified: float | None) -> None:
        """Gives the file its name when its checksum is the expected one, where one is.

        Raises:
            ChecksumMismatchError: it is not; whatever had the name still has it.
        """
        if expected is not None and crc != expected:
            raise ChecksumMismatchError(
                f"LOCAL write of {self._target} failed: the bytes that arrived have another checksum than the source; "
                "try again, and check memory and network when it happens again",
                provider="LOCAL",
                operation="write",
                path=self._target,
            )
        self.commit(modified)

    def commit(self, modified: float | None) -> None:
        """Gives the file its name; what had it before is replaced at once."""
        if modified is not None:
            os.utime(self.path, (modified, modified))
        os.close(self._descriptor)
        self._descriptor = -1
        os.replace(self.path, self._target)
        self.path = ""

    def discard(self) -> None:
        """Removes the file, if it is still there under its temporary name."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        if self.path:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)
            self.path = ""

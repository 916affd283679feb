"""A directory whose names do not lead out of it, for `local.py`: all of it blocks."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import re
import secrets
import shutil
import stat
import unicodedata
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from dxflow_async.beneath import O_PATH, make_beneath, open_beneath
from dxflow_async.exceptions import StorageError, UnsafePathError
from dxflow_async.providers.base import Entry
from dxflow_async.providers.directories import Directories

__all__ = ["CachedReads", "Root", "error_of", "etag_of", "is_temporary", "temporaries", "temporary_name"]

# One letter in two ways of writing, as local names show it: their bytes are UTF-8 also where Python's are ASCII.
_ACCENTED, _DECOMPOSED = (os.fsdecode(unicodedata.normalize(form, "\u00e9").encode()) for form in ("NFC", "NFD"))
_TEMPORARY = re.compile(rf"\.[0-9a-f]{{16}}\.dxpart(?:{_ACCENTED}|{_DECOMPOSED})?")
_DIRECTORY = O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_serials = itertools.count(secrets.randbits(32))


def temporary_name(mark: str) -> str:
    """A name for a file that is being written, by the session of that mark; no listing shows it."""
    return f".{mark}{next(_serials) & 0xFFFFFFFF:08x}.dxpart"


def is_temporary(name: str, marks: Collection[str] | None = None) -> bool:
    """Whether a file is one that is being written, or was: by one of the sessions of those marks."""
    return _TEMPORARY.fullmatch(name) is not None and (marks is None or name[1:9] in marks)


def temporaries(directory: str, marks: Collection[str]) -> list[str]:
    """The names in a directory of what sessions of those marks were writing."""
    with os.scandir(directory) as found:
        return [each.name for each in found if is_temporary(each.name, marks)]


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
        self.cached_reads = CachedReads()
        self.directories = Directories()

    # Paths

    def resolve(self, key: str) -> str:
        """The path of a key, without a look at the disk.

        Raises:
            UnsafePathError: it would lie outside, or is no name.
        """
        name = key.removesuffix("/")
        if "\0" in name or (name and not {"", ".", ".."}.isdisjoint(name.split("/"))):
            raise UnsafePathError(f"{key!r} is not a name below {self.path}; remove '//', '.' and '..'", path=key)
        if os.name == "nt" and os.path.splitdrive(name)[0]:
            raise UnsafePathError(f"{key!r} names a drive; remove it", path=key)
        if not name.isascii():
            try:
                os.fsencode(name)
            except UnicodeEncodeError as error:
                raise UnsafePathError(f"{key!r} is not valid Unicode; rename it", path=repr(key)) from error
        return self._prefix + name if name else str(self.path)

    def contained(self, key: str) -> str:
        """The path of a key, whose links lead nowhere else."""
        path = self.resolve(key)
        self._check(path, key)
        return path

    def open_file(self, key: str, flags: int) -> int:
        """A descriptor of a file, which lies inside also when names are exchanged meanwhile."""
        path = self.resolve(key)
        if self.follow_symlinks:
            return os.open(path, flags)
        return self._beneath(key, lambda root, name: open_beneath(root, name, flags))

    def open_parent(self, key: str, *, make: bool = False) -> tuple[int, str]:
        """A descriptor of the directory a key lies in, and the name there: for what changes something.

        The directory is inside, also when names are exchanged meanwhile. A link of that name is meant itself.

        Args:
            key: a file's or a directory's.
            make: make the directories above it that are missing.

        Raises:
            UnsafePathError: the directory lies outside, or the key is that of the root.
        """
        self.resolve_below(key)
        above, _, name = key.removesuffix("/").rpartition("/")
        return self.open_directory(above, make=make), name

    def resolve_below(self, key: str) -> str:
        """As `resolve`, of what is to be changed: not of the root itself.

        Raises:
            UnsafePathError: it would lie outside, is no name, or is that of the root.
        """
        path = self.resolve(key)
        if path == str(self.path):
            raise UnsafePathError(f"{self.path} itself stays; name what is in it", path=key)
        return path

    def open_directory(self, key: str, *, make: bool = False) -> int:
        """A descriptor of a directory below, or of the root itself; made where it is missing and `make` says so.

        Raises:
            UnsafePathError: it lies outside, or the key is no name.
        """
        path = self.resolve(key)
        if self.follow_symlinks:
            if make:
                os.makedirs(path, exist_ok=True)
            return os.open(path, _DIRECTORY)
        if not key:
            return self._open_root(make=make)
        if make:
            return self._beneath(key, make_beneath, make=True)
        return self._beneath(key, lambda root, name: open_beneath(root, name, _DIRECTORY))

    def _beneath(self, key: str, opened: Callable[[int, str], int], *, make: bool = False) -> int:
        root = self._open_root(make=make)
        try:
            try:
                return opened(root, key.removesuffix("/"))
            except OSError as error:
                if error.errno not in (errno.EXDEV, errno.ELOOP):
                    raise
            # There is a link on the way. It may lead inside all the same, over an absolute path.
            self._check(self.resolve(key), key)
            inside = os.path.relpath(os.path.realpath(self.resolve(key)), os.path.realpath(self.path))
            try:
                return opened(root, inside)
            except OSError as error:
                if error.errno == errno.EXDEV:  # exchanged since
                    raise self._outside(key) from error
                raise
        finally:
            os.close(root)

    def _open_root(self, *, make: bool) -> int:
        try:
            return os.open(self.path, _DIRECTORY)
        except FileNotFoundError:
            if not make:
                raise
        os.makedirs(self.path, exist_ok=True)
        return os.open(self.path, _DIRECTORY)

    def _check(self, path: str, key: str) -> None:
        if self.follow_symlinks:
            return
        real, top = os.path.realpath(path), os.path.realpath(self.path)
        if real != top and not real.startswith(os.path.join(top, "")):
            raise self._outside(key)

    def _outside(self, key: str) -> UnsafePathError:
        return UnsafePathError(f"{key!r} leads out of {self.path} through a symbolic link; remove the link", path=key)

    # What is there

    def entry(self, key: str) -> Entry:
        """What has a key."""
        path = self.contained(key)
        entry = _entry(key, os.stat(path))
        if key.endswith("/") and not entry.directory:
            raise NotADirectoryError(errno.ENOTDIR, "it is a file", path)
        return entry

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
        yield from self._walk(path, top, self._names(path, start), (status,) if recursive else ())

    def _walk(self, path: str, prefix: str, names: list[str], above: tuple[os.stat_result, ...]) -> Iterator[Entry]:
        for name in names:
            below = f"{path}/{name.removesuffix('/')}"
            entry = self._found(below, prefix + name)
            if entry is None:
                continue
            if not above or not entry.directory:
                yield entry
                continue
            try:
                status, inner = os.stat(below), self._names(below)
            except FileNotFoundError:
                continue  # it was removed meanwhile
            except OSError as error:
                entry.unreadable = error.strerror or str(error)
                yield entry
                continue
            self.cached_reads.learn(status.st_dev)
            if any(os.path.samestat(status, each) for each in above):
                entry.unreadable = "a link to a directory above it"
            if entry.unreadable or not inner:
                yield entry
            else:
                yield from self._walk(below, prefix + name, inner, (*above, status))

    def _names(self, path: str, start: str = "") -> list[str]:
        with os.scandir(path) as found:
            names = [
                f"{each.name}/" if self._is_directory(each) else each.name
                for each in found
                if each.name.startswith(start) and not is_temporary(each.name)
            ]
        names.sort(key=os.fsencode)
        return names

    def _is_directory(self, entry: os.DirEntry[str]) -> bool:
        try:
            return entry.is_dir(follow_symlinks=self.follow_symlinks)
        except OSError:  # a link into a loop
            return False

    def _found(self, path: str, key: str) -> Entry | None:
        """What a listing says of a name; None when it is gone."""
        try:
            status = os.stat(path, follow_symlinks=self.follow_symlinks)
        except FileNotFoundError:
            return Entry(key, unreadable="a symbolic link to nothing") if os.path.islink(path) else None
        except OSError as error:
            return Entry(key, unreadable=error.strerror or str(error))
        return _entry(key, status)

    # Changes

    def sweep(self, key: str, marks: Collection[str], kept: Collection[str]) -> None:
        """Removes what sessions of those marks were writing beside a key, but for the paths `kept`."""
        above = os.path.dirname(self.resolve(key))
        with contextlib.suppress(FileNotFoundError), self._parent(key) as (directory, _):
            for name in temporaries(above, marks):
                if os.path.join(above, name) not in kept:
                    os.unlink(name, dir_fd=directory)

    def delete(self, key: str) -> None:
        """Removes a file, or a directory with its content; a link is removed, not followed."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), self._parent(key) as (directory, name):
            if key.endswith("/") and not _is_link(directory, name):
                shutil.rmtree(name, dir_fd=directory)
            else:
                os.unlink(name, dir_fd=directory)

    def rename(self, source: str, key: str) -> None:
        """Moves a file or a directory; the target is replaced."""
        with self._parent(source) as (here, name), self._parent(key, make=True) as (there, new_name):
            os.replace(name, new_name, src_dir_fd=here, dst_dir_fd=there)

    def confuses(self, key: str, mark: str) -> bool:
        """Whether names in a directory that differ in case, or in how a letter is written, are one file's.

        The directory is made where it is missing; for a moment there is a temporary file of that mark in it.
        """
        self.make_directory(key)
        name = temporary_name(mark)
        with self._parent(f"{key}{name}") as (directory, _):
            return _is_one(directory, name, name.upper()) or _is_one(directory, name + _ACCENTED, name + _DECOMPOSED)

    def make_directory(self, key: str) -> None:
        """Makes a directory, parents included."""
        os.close(self.open_directory(key, make=True))

    def remove_directory(self, key: str) -> None:
        """Removes a directory with nothing in it."""
        with self._parent(key) as (directory, name):
            os.rmdir(name, dir_fd=directory)

    @contextlib.contextmanager
    def _parent(self, key: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
        directory, name = self.open_parent(key, make=make)
        try:
            yield directory, name
        finally:
            os.close(directory)


def _is_link(directory: int, name: str) -> bool:
    return stat.S_ISLNK(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)


def _is_one(directory: int, name: str, other: str) -> bool:
    """Whether a file that is made under one name is there under another one; it is removed again."""
    os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, dir_fd=directory))
    try:
        os.stat(other, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    finally:
        os.unlink(name, dir_fd=directory)
    return True


def _entry(key: str, status: os.stat_result) -> Entry:
    if stat.S_ISDIR(status.st_mode):
        return Entry(key.removesuffix("/") + "/", modified=status.st_mtime, directory=True)
    link = "a symbolic link, which is not followed" if stat.S_ISLNK(status.st_mode) else None
    unreadable = None if stat.S_ISREG(status.st_mode) else link or "not a regular file"
    modified = status.st_mtime
    return Entry(key, status.st_size, modified, etag=etag_of(status), unreadable=unreadable, mtime=modified)


def etag_of(status: os.stat_result) -> str:
    """Names a version of a file: another size, time or inode is another version."""
    return f"{status.st_size:x}-{status.st_mtime_ns:x}-{status.st_ino:x}"


def error_of(operation: str, path: str, cls: type[StorageError], text: str, code: str | None = None) -> StorageError:
    """An error about a local path."""
    return cls(
        f"LOCAL {operation} of {path} failed: {text}", provider="LOCAL", operation=operation, path=path, code=code
    )

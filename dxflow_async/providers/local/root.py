"""A directory whose keys cannot leave it. All of it blocks."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import sys
from collections.abc import Callable, Collection, Iterator
from itertools import islice
from pathlib import Path

from dxflow_async.concurrency.descriptors import patiently
from dxflow_async.config.working_directory import absolute_path
from dxflow_async.exceptions import StorageError, UnsafePathError
from dxflow_async.file_systems import set_mode
from dxflow_async.modes import PERMISSIONS, PRIVATE, is_device, kind_of_file
from dxflow_async.providers.contract import Entry
from dxflow_async.providers.local.cached_reads import CachedReads
from dxflow_async.providers.local.directories import Directories
from dxflow_async.providers.local.kept_checksums import KeptChecksums
from dxflow_async.providers.local.temporary_files import (
    ACCENTED,
    DECOMPOSED,
    hold_temporary,
    is_being_written,
    temporaries,
    temporary_name,
)
from dxflow_async.security.new_names import rename
from dxflow_async.security.safe_open import O_PATH, make_beneath, open_beneath

__all__ = ["Root", "error_of", "etag_of", "refuse_special"]

_DIRECTORY = O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


_DOUBTFUL = ("/", ".")


class Root:
    """A directory that paths do not leave.

    Args:
        path: the directory. It is made when something is first written.
        follow_symlinks: whether links may lead out of it: only for the user's own files, never for names from outside.
        kept_checksums: keeps a checksum with each file; None: none is kept.

    Attributes:
        in_memory: whether the directory that was opened last for a write is on a file system that is memory itself.
    """

    def __init__(
        self, path: str | Path, *, follow_symlinks: bool = False, kept_checksums: KeptChecksums | None = None
    ) -> None:
        self.path = Path(absolute_path(path))
        self.kept_checksums = kept_checksums
        self.follow_symlinks = follow_symlinks
        self.marks_links = False
        self._top = str(self.path)
        self._prefix = os.path.join(self._top, "")
        self.cached_reads = CachedReads()
        self.directories = Directories()
        self.in_memory = False

    # Paths

    def resolve(self, key: str) -> str:
        """Returns the path of a key, without a look at the disk.

        Raises:
            UnsafePathError: it would lie outside, or is no name.
        """
        name = key[:-1] if key[-1:] == "/" else key
        # Only a name with one of these texts in it can have such a segment; most have none.
        doubtful = "//" in name or "/." in name or name[:1] in _DOUBTFUL or name[-1:] == "/" or "\0" in name
        if doubtful and ("\0" in name or (name and not {"", ".", ".."}.isdisjoint(name.split("/")))):
            raise UnsafePathError(f"{key!r} is not a name below {self.path}; remove '//', '.' and '..'", path=key)
        if not name.isascii():
            try:
                os.fsencode(name)
            except UnicodeEncodeError as error:
                raise UnsafePathError(f"{key!r} is not valid Unicode; rename it", path=repr(key)) from error
        return self._prefix + name if name else self._top

    def contained(self, key: str) -> str:
        """Returns the path of a key, after a check that no link leads out of the directory."""
        path = self.resolve(key)
        self._check(path, key)
        return path

    def open_file(self, key: str, flags: int) -> int:
        """Opens a file, which lies inside the directory even if names are exchanged meanwhile."""
        path = self.resolve(key)
        if self.follow_symlinks:
            return patiently(os.open, path, flags)
        return self._beneath(key, lambda root, name: open_beneath(root, name, flags))

    def open_parent(self, key: str, *, make: bool = False) -> tuple[int, str]:
        """Opens the directory of a key, and returns its descriptor and the name in it; for changes.

        The directory lies inside even if names are exchanged meanwhile. The name may be a link, which is not followed.

        Args:
            key: a file or a directory.
            make: whether to make missing directories above it.

        Raises:
            UnsafePathError: the directory lies outside, or the key is that of the root.
        """
        self.resolve_below(key)
        above, _, name = key.removesuffix("/").rpartition("/")
        return self.open_directory(above, make=make), name

    def resolve_below(self, key: str) -> str:
        """Returns the path of a key that is to be changed, which must not be the root itself.

        Raises:
            UnsafePathError: it would lie outside, is no name, or is that of the root.
        """
        path = self.resolve(key)
        if path == self._top:
            raise UnsafePathError(f"{self.path} itself stays; name what is in it", path=key)
        return path

    def open_directory(self, key: str, *, make: bool = False) -> int:
        """Opens a directory below, or the root itself; makes it if it is missing and `make` is set.

        Raises:
            UnsafePathError: it lies outside, or the key is no name.
        """
        path = self.resolve(key)
        if self.follow_symlinks:
            if make:
                os.makedirs(path, exist_ok=True)
            return patiently(os.open, path, _DIRECTORY)
        if not key:
            return self._open_root(make=make)
        if make:
            return self._beneath(key, make_beneath, make=True)
        return self._beneath(key, lambda root, name: open_beneath(root, name, _DIRECTORY))

    def _beneath(self, key: str, opened: Callable[[int, str], int], *, make: bool = False) -> int:
        root = self._open_root(make=make)
        try:
            try:
                return patiently(opened, root, key.removesuffix("/"))
            except OSError as error:
                if error.errno not in (errno.EXDEV, errno.ELOOP):
                    raise
            # A link is on the way. It may lead inside all the same, by an absolute path.
            self._check(self.resolve(key), key)
            inside = os.path.relpath(os.path.realpath(self.resolve(key)), os.path.realpath(self.path))
            try:
                return patiently(opened, root, inside)
            except OSError as error:
                if error.errno == errno.EXDEV:  # exchanged since
                    raise self._outside(key) from error
                raise
        finally:
            os.close(root)

    def _open_root(self, *, make: bool) -> int:
        try:
            return patiently(os.open, self._top, _DIRECTORY)
        except FileNotFoundError:
            if not make:
                raise
        os.makedirs(self.path, exist_ok=True)
        return patiently(os.open, self._top, _DIRECTORY)

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
        """Returns what is under a key."""
        path = self.contained(key)
        status = os.stat(path)
        entry = _entry(key, status)
        if self.kept_checksums is not None and not entry.directory:
            entry.crc32c = self.kept_checksums.of(path, path, status)
        if key.endswith("/") and not entry.directory:
            raise NotADirectoryError(errno.ENOTDIR, "it is a file", path)
        return entry

    def walk(self, prefix: str, *, recursive: bool) -> Iterator[Entry]:
        """Yields the entries below a prefix in the order of their keys' bytes; recursively without filled directories.

        Raises:
            FileNotFoundError: the prefix ends in a slash and is no directory.
        """
        directory, _, start = prefix.rpartition("/")
        top = f"{directory}/" if directory else ""
        path = self.contained(top)
        if not top and not os.path.isdir(path):
            return
        status = _mounted(path)
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
                status, inner = _mounted(below), self._names(below)
            except FileNotFoundError:
                continue  # it was removed meanwhile
            except OSError as error:
                yield _failed(entry.key, error)
                continue
            self.cached_reads.learn(status.st_dev)
            if any(os.path.samestat(status, each) for each in above):
                entry.unreadable = "a link to a directory above it"
            if entry.unreadable or not inner:
                yield entry
            else:
                yield from self._walk(below, prefix + name, inner, (*above, status))
        if above:
            yield from self._gone(path, prefix, above)

    def _gone(self, path: str, prefix: str, above: tuple[os.stat_result, ...]) -> Iterator[Entry]:
        """Yields a directory as unreadable, after its content, if it is no longer on the device that it was on.

        A file system that was unmounted meanwhile leaves an empty directory or none, so that files seem to be missing.
        A directory that was simply removed is no error.
        """
        try:
            if os.stat(path).st_dev == above[-1].st_dev:
                return
            error = OSError(errno.ESTALE, "its file system went away while it was listed", path)
        except (FileNotFoundError, NotADirectoryError) as missing:
            if len(above) > 1:
                return  # the directory above finds out whether that went away, too
            error = missing
        except OSError as other:
            error = other
        if len(above) == 1:
            raise error
        yield _failed(prefix, error)

    def _names(self, path: str, start: str = "") -> list[str]:
        with patiently(os.scandir, path) as found:
            names = [
                f"{each.name}/" if self._is_directory(each) else each.name
                for each in found
                if each.name.startswith(start) and not is_being_written(path, each.name)
            ]
        names.sort(key=os.fsencode)
        return names

    def _is_directory(self, entry: os.DirEntry[str]) -> bool:
        try:
            return entry.is_dir(follow_symlinks=self.follow_symlinks and not self.marks_links)
        except OSError:  # a link into a loop
            return False

    def _found(self, path: str, key: str) -> Entry | None:
        """Returns the entry of a name in a listing; None if it is gone."""
        if self.marks_links and os.path.islink(path):
            try:
                target = os.readlink(path)
            except OSError as error:
                return _failed(key, error)
            return Entry(key, len(os.fsencode(target)), link=target)
        try:
            status = os.stat(path, follow_symlinks=self.follow_symlinks)
        except (FileNotFoundError, NotADirectoryError):
            return _dangling(key) if os.path.islink(path) else None  # gone
        except OSError as error:
            return _failed(key, error)
        return _entry(key, status)

    # Changes

    def leftovers(self, key: str, owner_ids: Collection[str], kept: Collection[str], *, recursive: bool) -> list[str]:
        """Returns the keys of the temporary files of these owners in a directory, except the paths `kept`."""
        top = self.resolve(key)
        found = [(top, name) for name in temporaries(top, owner_ids)]
        if recursive:
            for directory, _, _ in islice(os.walk(top), 1, None):
                with contextlib.suppress(OSError):
                    found += [(directory, name) for name in temporaries(directory, owner_ids)]
        paths = [os.path.join(directory, name) for directory, name in found]
        return [key + path[len(top) :].lstrip(os.sep) for path in paths if path not in kept]

    def remove_leftover(self, key: str) -> None:
        """Removes a temporary file, which may be gone already."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), self._parent(key) as (directory, name):
            os.unlink(name, dir_fd=directory)

    def delete(self, key: str) -> None:
        """Removes a file, or a directory with its content; links are not followed.

        Raises:
            UnsafePathError: the key is that of a device.
        """
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), self._parent(key) as (directory, name):
            if key.endswith("/") and not _is_link(directory, name):
                _remove_tree(directory, name)
            else:
                self._refuse_device("delete", key, directory, name)
                os.unlink(name, dir_fd=directory)

    def rename(self, source: str, key: str) -> None:
        """Renames a file or a directory; a file with the new name is replaced.

        Raises:
            UnsafePathError: a link, a pipe, a socket or a device has the new name, or the source is a device.
        """
        with self._parent(source) as (here, name):
            self._refuse_device("move", source, here, name)
            with self._parent(key, make=True) as (there, new_name):
                refuse_special("move", self, key, there)
                rename(here, name, new_name, target_directory=there)
        if self.kept_checksums is not None:
            self.kept_checksums.renamed(self.resolve(source), self.resolve(key))

    def _refuse_device(self, operation: str, key: str, directory: int, name: str) -> None:
        """Refuses to take a device away: other programs may need it."""
        if is_device(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
            text = "it is a device, which other programs may need; remove it with rm if that is meant"
            raise error_of(operation, self.resolve(key), UnsafePathError, text)

    def folds_names(self, key: str, mark: str) -> bool:
        """Returns whether names in a directory that differ only in case or Unicode form are the same file's.

        The directory is made if it is missing, and a temporary file of that mark is in it for a moment.
        """
        self.make_directory(key)
        name = temporary_name(mark)
        with self._parent(f"{key}{name}") as (directory, _):
            return _is_one(directory, name, name.upper()) or _is_one(directory, name + ACCENTED, name + DECOMPOSED)

    def make_directory(self, key: str, mode: int | None = None) -> None:
        """Makes a directory with its parents; `mode` has the permission bits of a new one.

        Raises:
            FileExistsError: a file has its name, or that of a parent.
        """
        try:
            if mode is not None:
                self._make_with_mode(key.removesuffix("/"), (mode | stat.S_IRWXU) & PERMISSIONS)
            os.close(self.open_directory(key, make=True))
        except NotADirectoryError as error:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), error.filename) from error

    def _make_with_mode(self, key: str, mode: int) -> None:
        if key:
            opened, name = self.open_parent(key, make=True)
        else:
            os.makedirs(self.path.parent, exist_ok=True)
            opened, name = patiently(os.open, self.path.parent, _DIRECTORY), self.path.name
        try:
            os.mkdir(name, mode, dir_fd=opened)
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            made = patiently(os.open, name, flags, dir_fd=opened)
        except FileExistsError:
            return
        finally:
            os.close(opened)
        try:
            set_mode(made, mode)  # the umask may have removed bits
        finally:
            os.close(made)

    def remove_directory(self, key: str) -> None:
        """Removes an empty directory."""
        with self._parent(key) as (directory, name):
            os.rmdir(name, dir_fd=directory)

    @contextlib.contextmanager
    def _parent(self, key: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
        directory, name = self.open_parent(key, make=make)
        try:
            yield directory, name
        finally:
            os.close(directory)


def refuse_special(operation: str, root: Root, key: str, directory: int) -> int | None:
    """Refuses to replace anything but a file or a directory; returns the mode of what has the name, or None.

    Args:
        operation: for the error.
        root: the root of the key.
        key: the file to be written.
        directory: a descriptor of its directory.

    Raises:
        UnsafePathError: a link, a pipe, a socket or a device has the name.
    """
    name = key.removesuffix("/").rpartition("/")[2]
    try:
        mode = os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return None
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        text = f"{kind_of_file(mode)} has that name, and is not replaced; remove it, or choose another name"
        raise error_of(operation, root.resolve(key), UnsafePathError, text)
    return mode


def _remove_tree(directory: int, name: str) -> None:
    """Removes a directory with all content that can be removed; raises the first error."""
    errors: list[BaseException] = []
    if sys.version_info >= (3, 12):
        shutil.rmtree(name, dir_fd=directory, onexc=lambda _, __, error: errors.append(error))
    else:
        shutil.rmtree(name, dir_fd=directory, onerror=lambda _, __, info: errors.append(info[1]))
    for error in errors:
        if not isinstance(error, FileNotFoundError):  # another process removes it, too
            raise error


def _mounted(path: str) -> os.stat_result:
    """Returns the status of a directory. The slash has a file system mounted that waits for its first use (automount).

    Without it the status would be that of the mount point, on another device than what is in the directory.
    """
    try:
        return os.stat(os.path.join(path, ""))
    except OSError as error:
        error.filename = path
        raise


def _dangling(key: str) -> Entry:
    return Entry(key, unreadable="a symbolic link to nothing", read_error="ENOENT")


def _failed(key: str, error: OSError) -> Entry:
    """Returns the entry of a name whose status cannot be read. A link in a loop has no error code."""
    code = None if error.errno == errno.ELOOP else errno.errorcode.get(error.errno or 0, "EIO")
    return Entry(key, directory=key.endswith("/"), unreadable=error.strerror or str(error), read_error=code)


def _is_link(directory: int, name: str) -> bool:
    return stat.S_ISLNK(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)


def _is_one(directory: int, name: str, other: str) -> bool:
    """Returns whether a file that is created under one name is found under another one; removes it again."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    made = patiently(os.open, name, flags, PRIVATE, dir_fd=directory)
    try:
        hold_temporary(made)
        os.stat(other, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    finally:
        os.unlink(name, dir_fd=directory)
        os.close(made)
    return True


def _entry(key: str, status: os.stat_result) -> Entry:
    if stat.S_ISDIR(status.st_mode):
        mode = status.st_mode & PERMISSIONS
        return Entry(key.removesuffix("/") + "/", modified=status.st_mtime, directory=True, mode=mode)
    link = "a symbolic link, which is not followed" if stat.S_ISLNK(status.st_mode) else None
    unreadable = None if stat.S_ISREG(status.st_mode) else link or "not a regular file"
    modified, mode, etag = status.st_mtime, status.st_mode & PERMISSIONS, etag_of(status)
    return Entry(key, status.st_size, modified, etag=etag, unreadable=unreadable, mtime=modified, mode=mode)


def etag_of(status: os.stat_result) -> str:
    """Returns what identifies a version of a file: its size, time and inode."""
    return f"{status.st_size:x}-{status.st_mtime_ns:x}-{status.st_ino:x}"


def error_of(operation: str, path: str, cls: type[StorageError], text: str, code: str | None = None) -> StorageError:
    """Returns an error about a local path."""
    return cls(
        f"LOCAL {operation} of {path} failed: {text}", provider="LOCAL", operation=operation, path=path, code=code
    )

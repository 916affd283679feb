"""A unit's volume: one directory, and operations on names that cannot lead out of it. All of it blocks.

`safe_open` resolves every path, and each operation uses the descriptor that this gave, so nothing can be exchanged
between the check and the use. Paths are relative, as `names.volume_path` returns them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dxflow_async import checksum
from dxflow_async.durability import SyncedDirectories, sync_file
from dxflow_async.exceptions import AlreadyExistsError, ConfigurationError, UnsafePathError, UnsupportedError
from dxflow_async.file_systems import free_space, set_mode
from dxflow_async.modes import PERMISSIONS, format_mode, is_device
from dxflow_async.security.new_names import rename
from dxflow_async.security.safe_open import O_PATH, make_beneath, open_beneath, reopen_beneath
from dxflow_async.server.common.names import decoded, shown
from dxflow_async.server.unit import checksums

__all__ = ["Found", "Volume", "etag_of", "found_of"]


@dataclass(frozen=True, slots=True)
class Found:
    """A name and what it stands for.

    Attributes:
        name: the name in the directory that was listed.
        size: bytes; 0 if it is not a file.
        modification: seconds since the epoch.
        etag: the version of a file.
        unreadable: why it is neither a file nor a directory that can be read, else None.
        crc32c: the stored checksum of a file.
        error: the code of the error (`"EACCES"`) if looking at it failed.
        mode: the permission bits of a file or a directory.
    """

    name: str
    directory: bool = False
    size: int = 0
    modification: float = 0.0
    etag: str | None = None
    unreadable: str | None = None
    crc32c: int | None = None
    error: str | None = None
    mode: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Returns the object that is sent."""
        tree: dict[str, Any] = {
            **decoded(self.name),
            "directory": self.directory,
            "size": self.size,
            "modification": self.modification,
        }
        if self.mode is not None:
            tree["mode"] = format_mode(self.mode)
        if self.etag is not None:
            tree["etag"] = self.etag
        if self.unreadable is not None:
            tree["unreadable"] = self.unreadable
        if self.error is not None:
            tree["error"] = self.error
        if self.crc32c is not None:
            tree["checksum"] = f"crc32c:{checksum.encode(self.crc32c)}"
        return tree


class Volume:
    """A directory that is served. It is held open until `close`.

    Args:
        root: the directory.
        durable: what a call writes is on disk when it returns.

    Raises:
        ConfigurationError: the path is not a directory, or cannot be read.
    """

    def __init__(self, root: Path, *, durable: bool = True) -> None:
        try:
            self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise ConfigurationError(f"root = {str(root)!r} cannot be served: {error.strerror}; create it") from error
        self.path = root
        self.durable = durable
        self._synced = SyncedDirectories()

    def close(self) -> None:
        """Closes the directory. A second call does nothing."""
        root, self._root = self._root, -1
        if root >= 0:
            os.close(root)

    # Opening

    def open_file(self, path: str) -> int:
        """Opens a regular file for reading and returns its descriptor.

        Raises:
            IsADirectoryError: the name is a directory.
            OSError: `ENXIO`, the name is neither; it was not touched.
        """
        seen = self._open(path, O_PATH)
        try:
            mode = os.fstat(seen).st_mode
            if stat.S_ISDIR(mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
            if not stat.S_ISREG(mode):
                raise OSError(errno.ENXIO, "it is not a regular file", path)
            return reopen_beneath(self._root, path, seen)
        finally:
            os.close(seen)

    def open_directory(self, path: str) -> int:
        """Opens a directory and returns its descriptor."""
        return self._open(path, os.O_RDONLY | os.O_DIRECTORY)

    def open_real_directory(self, path: str) -> int:
        """As `open_directory`, but a link of that name is refused (`ELOOP`), wherever it leads."""
        try:
            return self._open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except NotADirectoryError as error:
            raise OSError(errno.ELOOP, "a link to a directory, which is not followed", path) from error

    @contextlib.contextmanager
    def parent(self, path: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
        """Opens the directory that a name lies in, and returns its descriptor and the name.

        Args:
            path: what is to be written, moved or removed.
            make: create missing directories above it.

        Raises:
            AlreadyExistsError: one of the names above is a file.
            UnsafePathError: the path is the volume's top, which stays as it is.
        """
        above, _, name = path.rpartition("/")
        if not name:
            raise UnsafePathError("the volume's top cannot be written, moved or removed; name something in it")
        try:
            directory = make_beneath(self._root, above) if make else self._open(above, O_PATH | os.O_DIRECTORY)
        except NotADirectoryError as error:
            if not make:
                raise
            raise AlreadyExistsError(f"a part of /{shown(above)} is a file, not a directory", path=path) from error
        try:
            yield directory, name
        finally:
            os.close(directory)

    def _open(self, path: str, flags: int) -> int:
        return open_beneath(self._root, path, flags)

    # Looking

    def stat(self, path: str) -> Found:
        """Returns what a name stands for, following links that stay inside."""
        descriptor = self._open(path, O_PATH)
        try:
            status = os.fstat(descriptor)
            name = path.rpartition("/")[2]
            kept = checksums.stored(f"/proc/self/fd/{descriptor}", status) if stat.S_ISREG(status.st_mode) else None
            return found_of(name, status, crc32c=kept)
        finally:
            os.close(descriptor)

    def look(self, directory: int, name: str, path: str) -> Found | None:
        """Returns what a listing says of a name in an open directory; None if it is gone."""
        try:
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if not stat.S_ISLNK(status.st_mode):
                return found_of(name, status)
        except FileNotFoundError:
            return None
        try:
            descriptor = self._open(path, O_PATH)
        except OSError:
            text = "a symbolic link that leads out of the volume, or nowhere"
            return Found(name, modification=status.st_mtime, unreadable=text)
        try:
            return found_of(name, os.fstat(descriptor))
        finally:
            os.close(descriptor)

    # Changing

    def make_directory(self, path: str, mode: int | None = None) -> None:
        """Creates a directory, and those above it. An existing directory is fine.

        Args:
            path: the directory.
            mode: the permission bits of a new directory.

        Raises:
            AlreadyExistsError: a file has the name, or one above it.
        """
        try:
            if mode is not None and path:
                self._make_with_mode(path, mode | stat.S_IRWXU)
            os.close(make_beneath(self._root, path))
        except NotADirectoryError as error:
            raise AlreadyExistsError(f"/{shown(path)}, or a part of it, is a file", path=path) from error
        self.sync_names(path)

    def mode_of(self, path: str) -> int:
        """Returns the permission bits of a name."""
        descriptor = self._open(path, O_PATH)
        try:
            return os.fstat(descriptor).st_mode & PERMISSIONS
        finally:
            os.close(descriptor)

    def _make_with_mode(self, path: str, mode: int) -> None:
        with self.parent(path, make=True) as (above, name), contextlib.suppress(FileExistsError):
            os.mkdir(name, mode, dir_fd=above)
            made = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
            try:
                set_mode(made, mode)  # the umask may have removed bits
            finally:
                os.close(made)

    def rename(self, path: str, destination: str) -> None:
        """Moves a file or directory atomically and creates directories above. A file or empty directory is replaced."""
        if destination == path:
            self.stat(path)
            return
        if destination.startswith(f"{path}/"):
            raise AlreadyExistsError(f"/{shown(path)} cannot be moved into itself", path=path)
        with self.parent(path) as (source, name):
            if is_device(os.stat(name, dir_fd=source, follow_symlinks=False).st_mode):
                raise OSError(errno.ENXIO, "it is a device, which other programs may need", name)
            with self.parent(destination, make=True) as (target, new_name):
                _rename((source, name), (target, new_name), destination)
        self.forget_names()
        self.sync_names(path, destination)

    # Syncing

    def sync_names(self, *paths: str) -> None:
        """If the volume is durable, brings names to disk, and those of the directories above them that may be new."""
        if not self.durable:
            return
        moment, above = self._synced.moment, dict.fromkeys(os.path.dirname(path) for path in paths)
        wanted = dict.fromkeys(each for directory in above for each in self._synced.to_sync(directory, ""))
        for directory in wanted:
            try:
                opened = self._open(directory, os.O_RDONLY | os.O_DIRECTORY)
            except (FileNotFoundError, PermissionError):  # it was removed meanwhile, or may not be read
                continue
            try:
                sync_file(opened)
            finally:
                os.close(opened)
        self._synced.add(wanted, moment)

    def forget_names(self) -> None:
        """Forgets directories that were removed or renamed: whatever gets their names is new."""
        self._synced.forget()

    def free_bytes(self) -> int | None:
        """Returns how many bytes can still be written; None where the file system does not tell."""
        return free_space(self._root)


def etag_of(status: os.stat_result) -> str:
    """Returns the etag of a file: other bytes have another size, time or inode.

    It includes the time of the last change of status, because anybody who writes can set the other time.
    """
    return f"{status.st_size:x}-{status.st_mtime_ns:x}-{status.st_ctime_ns:x}-{status.st_ino:x}"


def _rename(source: tuple[int, str], target: tuple[int, str], path: str) -> None:
    try:
        rename(source[0], source[1], target[1], target_directory=target[0])
    except NotADirectoryError as error:
        raise AlreadyExistsError(f"/{shown(path)} is a file, and no directory replaces a file", path=path) from error
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        text = f"/{shown(path)} is on another file system and cannot be moved; copy it, then delete it"
        raise UnsupportedError(text, path=path) from error


def found_of(name: str, status: os.stat_result, *, crc32c: int | None = None) -> Found:
    """Returns what a status says of a name. Links were followed before."""
    size, modified, mode = status.st_size, status.st_mtime, status.st_mode & PERMISSIONS
    if stat.S_ISDIR(status.st_mode):
        return Found(name, directory=True, size=size, modification=modified, mode=mode)
    if not stat.S_ISREG(status.st_mode):
        return Found(name, modification=modified, unreadable="not a regular file")
    return Found(name, size=size, modification=modified, etag=etag_of(status), crc32c=crc32c, mode=mode)

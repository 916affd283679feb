"""The blocking twin of `dxflow_async.storage.manager`: one delegate for each method."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Mapping
from typing import BinaryIO, Literal, Unpack, overload

from dxflow_async.blocking.files import FileWriter, TextWriter
from dxflow_async.blocking.item_stream import ItemStream
from dxflow_async.blocking.storage_listing import StorageListing
from dxflow_async.models import TransferReport
from dxflow_async.providers.contract import Encryption, ObjectOptions
from dxflow_async.storage.files.opening import FileMode, OpenOptions
from dxflow_async.transfer.context import Symlinks
from dxflow_async.transfer.overwrite import Overwrite
from dxflow_async.transfer.progress import OnProgress
from dxflow_async.transfer.run_options import CallOptions

__all__ = ["StorageManager"]


class StorageManager(StorageListing):
    """The session's storage at every remote; the blocking twin of `AsyncStorageManager`.

    `Session.get_storage_manager` returns it. `at` returns the storage of one remote. Every other method takes the
    arguments of its twin, and raises the same errors. Transfers show a progress bar on a terminal, unless `on_progress`
    is given.
    """

    def upload(
        self,
        src: str | os.PathLike[str],
        dst: str,
        provider: str = "AWS",
        utype: str = "private",
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        options: ObjectOptions | None = None,
        overwrite: Overwrite = True,
        if_match: str | None = None,
        symlinks: Symlinks = "follow",
        on_progress: OnProgress | None = None,
        **where: Unpack[CallOptions],
    ) -> TransferReport:
        """Uploads a file, a directory with everything in it, or the files that match a glob pattern.

        Args:
            src: the local path. Of a directory with a trailing slash only the content is uploaded.
            dst: with a trailing slash the directory to upload into, else exactly the name of the new object.
            content_type: the media type; by default each name's ending decides.
            metadata: stored with each object.
            options: everything that is stored with each object, such as its storage class; the two arguments above win.
            overwrite: what happens to an object that exists: `True` replaces it, `False` is an `AlreadyExistsError` of
                the item, `"skip"` skips it, `"if-newer"` replaces an older object, `"if-different"` a different one.
            if_match: replace only the object with this etag; for a single file.
            symlinks: for links below a directory: `"follow"` uploads their targets, `"skip"` skips them, and
                `"preserve"` stores the target of each in an object named `NAME.rclonelink`.
            on_progress: called with a `Progress` at most ten times a second.
            timeout, on_cancel, processes, executor, credentials, shared: how the call runs; see
                `CallOptions`.
            provider: the remote's name, in any case.
            utype: the area, `"private"` or `"public"`.

        Returns:
            The result of each file.

        Raises:
            NotFoundError: there is no such file, and nothing matches.
            TransferError: some file failed; the others are stored.
            UnsupportedError: the area is public, and the provider has no public objects; or it keeps no such option.

        Example:
            >>> storage.upload("results/", "/bucket/results/", overwrite="if-newer")
        """
        storage = self._at(provider, utype)
        return storage.upload(
            src,
            dst,
            content_type=content_type,
            metadata=metadata,
            options=options,
            overwrite=overwrite,
            symlinks=symlinks,
            if_match=if_match,
            on_progress=on_progress,
            **where,
        )

    def download(
        self,
        src: str,
        dst: str | os.PathLike[str] | None = None,
        provider: str = "AWS",
        *,
        storage_type: str = "private",
        overwrite: Overwrite = True,
        version: str | None = None,
        encryption: Encryption | None = None,
        symlinks: Symlinks = "follow",
        on_progress: OnProgress | None = None,
        **where: Unpack[CallOptions],
    ) -> TransferReport:
        """Downloads an object, or a directory with everything in it, into a local directory.

        Args:
            src: the remote path; with a trailing slash everything under it.
            dst: the local directory, which is made when it is missing; by default the current one. When its last
                component is the source's name (and not a directory), it is the new file itself; where that is a
                symbolic link, the file that the link leads to is replaced.
            overwrite: what happens to files that are there already; as for `upload`.
            symlinks: with `"preserve"`, objects named `NAME.rclonelink` below a directory become symbolic links again,
                if they lead to a place inside the destination.
            version, encryption: of a single object; as for `stat`. A job that has a key cannot be resumed.
            on_progress: called with a `Progress` at most ten times a second.
            timeout, on_cancel, processes, executor, credentials, shared: as for `upload`.
            provider: the remote's name, in any case.
            storage_type: `"private"` or `"public"`.

        Returns:
            The result of each object.

        Raises:
            NotFoundError: there is no such object or directory.
            UnsafePathError: the new file itself is a pipe, a socket, a device or a link to nothing.
            TransferError: some object failed, for example because a link or a pipe has its name; the others are
                stored.

        Example:
            >>> storage.download("/bucket/results/", "results/")
        """
        return self._at(provider, storage_type).download(
            src,
            dst,
            overwrite=overwrite,
            symlinks=symlinks,
            version=version,
            encryption=encryption,
            on_progress=on_progress,
            **where,
        )

    def upload_many(
        self,
        pairs: Iterable[tuple[str, str]],
        provider: str = "AWS",
        utype: str = "private",
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        options: ObjectOptions | None = None,
        overwrite: Overwrite = True,
        on_progress: OnProgress | None = None,
        **where: Unpack[CallOptions],
    ) -> TransferReport:
        """Uploads files under names of their own. Otherwise like `upload`.

        `pairs` is iterated in the calling thread.

        Args:
            pairs: pairs of a local and a remote path; read as fast as the files are sent. The second of two files with
                one remote path fails with `UnsafePathError`.
            content_type: as for `upload`.
            metadata: as for `upload`.
            options, overwrite: as for `upload`.
            on_progress: as for `upload`.
            timeout, on_cancel, processes, executor, credentials, shared: as for `upload`.
            provider: the remote's name, in any case.
            utype: the area, `"private"` or `"public"`.

        Example:
            >>> storage.upload_many([("a.csv", "/bucket/2026/a.csv"), ("b.csv", "/bucket/old/b.csv")])
        """
        storage = self._at(provider, utype)
        return storage.upload_many(
            pairs,
            content_type=content_type,
            metadata=metadata,
            options=options,
            overwrite=overwrite,
            on_progress=on_progress,
            **where,
        )

    def download_many(
        self,
        pairs: Iterable[tuple[str, str]],
        provider: str = "AWS",
        *,
        storage_type: str = "private",
        overwrite: Overwrite = True,
        on_progress: OnProgress | None = None,
        **where: Unpack[CallOptions],
    ) -> TransferReport:
        """Downloads objects to files. Otherwise like `download`. `pairs` is iterated in the calling thread.

        Args:
            pairs: pairs of a remote and a local path; read as fast as the objects arrive. The second of two objects
                with one local path fails with `UnsafePathError`.
            overwrite: as for `download`.
            on_progress: as for `download`.
            timeout, on_cancel, processes, executor, credentials, shared: as for `upload`.
            provider: the remote's name, in any case.
            storage_type: `"private"` or `"public"`.

        Example:
            >>> storage.download_many([("/bucket/2026/a.csv", "a.csv"), ("/bucket/old/b.csv", "b.csv")])
        """
        return self._at(provider, storage_type).download_many(
            pairs, overwrite=overwrite, on_progress=on_progress, **where
        )

    def write(
        self,
        path: str,
        data: bytes | BinaryIO | Iterable[bytes],
        provider: str = "AWS",
        utype: str = "private",
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        options: ObjectOptions | None = None,
        overwrite: bool | Literal["skip"] = True,
        if_match: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> TransferReport:
        """Stores bytes, an open binary file's rest, or what an iterable of bytes yields in the calling thread.

        Raises:
            TypeError: text was given; encode it, or open the file in binary mode.

        Args:
            path: the new object.
            data: bytes, an open binary file, or an iterable of bytes, which the calling thread iterates. An
                exception that it raises passes through.
            content_type: the media type; by default the name's ending decides.
            metadata: stored with the object.
            options: everything that is stored with the object; the two arguments above win.
            overwrite: as for `upload`: `True`, `False`, or `"skip"`, which reads nothing from `data`.
            if_match: replace only the object with this etag.
            on_progress: called with a `Progress` at most ten times a second.
            provider: the remote's name, in any case.
            utype: the area, `"private"` or `"public"`.

        Raises:
            AlreadyExistsError, PreconditionFailedError: the object must not be replaced; it stays.
            StorageError: the object could not be stored.

        Example:
            >>> storage.write("/bucket/notes.txt", b"first line", overwrite=False)
        """
        storage = self._at(provider, utype)
        return storage.write(
            path,
            data,
            content_type=content_type,
            metadata=metadata,
            options=options,
            overwrite=overwrite,
            if_match=if_match,
            on_progress=on_progress,
        )

    def read(
        self,
        path: str,
        start: int | None = None,
        end: int | None = None,
        provider: str = "AWS",
        *,
        storage_type: str = "private",
        version: str | None = None,
        encryption: Encryption | None = None,
    ) -> ItemStream[bytes]:
        r"""Yields the bytes `[start, end)` of one version of an object; a broken connection is resumed.

        Where not all of them are read, use `with`, which gives the connection back.

        Args:
            path: the object.
            start, end: in bytes; by default its first byte and its end.
            version, encryption: as for `stat`.
            provider: the remote's name, in any case.
            storage_type: `"private"` or `"public"`.

        Raises:
            NotFoundError: there is no such object.
            PreconditionFailedError: the object has no byte at `start`, or was replaced while it was read.
            ChecksumMismatchError: a whole object was read, and its checksum is not the provider's; raised after the
                last bytes.

        Example:
            >>> with storage.read("/bucket/results.csv", 0, 100) as chunks:
            ...     head = b"".join([chunk for chunk in chunks])
        """
        return self._at(provider, storage_type).read(path, start, end, version=version, encryption=encryption)

    @overload
    def open(
        self,
        path: str,
        mode: Literal["rb"] = "rb",
        provider: str = "AWS",
        *,
        storage_type: str = "private",
        **options: Unpack[OpenOptions],
    ) -> io.BufferedReader: ...
    @overload
    def open(
        self,
        path: str,
        mode: Literal["wb", "xb"],
        provider: str = "AWS",
        *,
        storage_type: str = "private",
        **options: Unpack[OpenOptions],
    ) -> FileWriter: ...
    @overload
    def open(
        self,
        path: str,
        mode: Literal["r"],
        provider: str = "AWS",
        *,
        storage_type: str = "private",
        **options: Unpack[OpenOptions],
    ) -> io.TextIOWrapper: ...
    @overload
    def open(
        self,
        path: str,
        mode: Literal["w", "x"],
        provider: str = "AWS",
        *,
        storage_type: str = "private",
        **options: Unpack[OpenOptions],
    ) -> TextWriter: ...
    def open(
        self,
        path: str,
        mode: FileMode = "rb",
        provider: str = "AWS",
        *,
        storage_type: str = "private",
        **options: Unpack[OpenOptions],
    ) -> io.BufferedReader | FileWriter | io.TextIOWrapper:
        """Opens an object as a file of `io`, which other libraries take.

        A file that is written is stored when it is closed. When its `with` block raises, or it is garbage collected
        without being closed, nothing is stored.

        Args:
            path: the object.
            mode: `"rb"` reads, `"wb"` writes, `"xb"` writes a new object; `"r"`, `"w"` and `"x"` are the same for text.
            encoding, errors, newline: of text, as for the built-in `open`; written line feeds stay by default.
            content_type: the media type of a written object; by default the name's ending decides.
            metadata: stored with a written object.
            options, if_match: of a written object, as for `AreaStorage.write`.
            version, encryption: of an object that is read, as for `AreaStorage.stat`.
            provider: the remote's name, in any case.
            storage_type: `"private"` or `"public"`.

        Raises:
            ConfigurationError: there is no such mode.
            NotFoundError: the object to read does not exist.
            AlreadyExistsError: the object to create exists; closing the file raises it if it was created meanwhile.

        Example:
            >>> def count_lines(storage: "AreaStorage") -> int:
            ...     with storage.open("/bucket/log.txt", "r") as file:
            ...         return len([line for line in file])
        """
        return self._at(provider, storage_type).open(path, mode, **options)

    def delete(
        self,
        path: str | Iterable[str],
        provider: str = "AWS",
        *,
        storage_type: str = "private",
        if_match: str | None = None,
        version: str | None = None,
        on_progress: OnProgress | None = None,
        **where: Unpack[CallOptions],
    ) -> int:
        """Deletes an object, several objects, or (a path that ends in a slash) a directory with everything in it.

        Args:
            path: the object, the directory, or several of them.
            if_match: delete a single object only if it has this etag.
            version: delete this version of a single object, for good. A path that ends in a slash is the object of that
                name, as some tools store for a directory.
            on_progress: called with a `Progress` at most ten times a second.
            timeout, on_cancel, processes, executor, credentials, shared: as for `upload`.
            provider: the remote's name, in any case.
            storage_type: `"private"` or `"public"`.

        Returns:
            The number of objects whose deletion was requested. An object that does not exist is no error. A real
            directory counts as one.

        Raises:
            PreconditionFailedError: the object does not have the etag `if_match`; it stays.
            TransferError: some objects could not be deleted; the report has them. The others are gone.
            StorageError: the only object could not be deleted, or the objects could not be listed.

        Example:
            >>> deleted = storage.delete(["/bucket/a.csv", "/bucket/old/"])
        """
        return self._at(provider, storage_type).delete(
            path, if_match=if_match, version=version, on_progress=on_progress, **where
        )

    def copy(
        self,
        src: str,
        dst: str,
        provider: str = "AWS",
        *,
        storage_type: str = "private",
        options: ObjectOptions | None = None,
        overwrite: Overwrite = True,
        on_progress: OnProgress | None = None,
        **where: Unpack[CallOptions],
    ) -> TransferReport:
        """Copies an object, or a directory with everything in it, within the area. The provider copies if it can.

        Args:
            src: the source. Of a directory with a trailing slash only the content is copied.
            dst: with a trailing slash the directory to copy into, else exactly the new name.
            options: what is stored with each copy, instead of what is stored with its source.
            overwrite: what happens to objects that are there already; as for `upload`.
            on_progress: as for `upload`.
            timeout, on_cancel, processes, executor, credentials, shared: as for `upload`.
            provider: the remote's name, in any case.
            storage_type: `"private"` or `"public"`.

        Example:
            >>> storage.copy("/bucket/results/", "/bucket/archive/2026/")
        """
        return self._at(provider, storage_type).copy(
            src, dst, options=options, overwrite=overwrite, on_progress=on_progress, **where
        )

    def move(
        self,
        src: str,
        dst: str,
        provider: str = "AWS",
        *,
        storage_type: str = "private",
        options: ObjectOptions | None = None,
        overwrite: Overwrite = True,
        on_progress: OnProgress | None = None,
        **where: Unpack[CallOptions],
    ) -> TransferReport:
        """Moves, with the rules of `copy`. A source is deleted only after its copy is complete.

        Args:
            src, dst, options, overwrite: as for `copy`.
            on_progress: as for `upload`.
            timeout, on_cancel, processes, executor, credentials, shared: as for `upload`.
            provider: the remote's name, in any case.
            storage_type: `"private"` or `"public"`.

        Example:
            >>> storage.move("/bucket/incoming/a.csv", "/bucket/done/")
        """
        return self._at(provider, storage_type).move(
            src, dst, options=options, overwrite=overwrite, on_progress=on_progress, **where
        )

"""Directories: a name is never taken for another one, and no call removes more than it names."""

from __future__ import annotations

import pytest

from dxflow_async.checksum import crc32c
from dxflow_async.exceptions import AlreadyExistsError, NotFoundError, StorageError, UnsupportedError
from dxflow_async.providers.contract import Part
from dxflow_async.testing.bodies import body
from dxflow_async.testing.subject import OPTIONS, ContractTests, ProviderUnderTest

__all__ = ["DirectoryTests"]


class DirectoryTests(ContractTests):
    """Directories beside objects of the same name, and the slash at the end of a key."""

    @pytest.mark.parametrize("empty", [False, True])
    async def test_write_to_the_name_of_a_directory(self, subject: ProviderUnderTest, *, empty: bool) -> None:
        """Where directories are real, a write to the name of one fails and removes nothing."""
        subject.needs(directories=True, read_only=False)
        if empty:
            await subject.provider.make_directory(subject / "dir/")
        else:
            await subject.put("dir/name", b"kept")
        with pytest.raises(AlreadyExistsError) as raised:
            await subject.provider.write(subject / "dir", body(b"new"), OPTIONS)
        self.check_error(subject, raised.value, "dir")
        await self._check_kept(subject, empty=empty)

    @pytest.mark.parametrize("empty", [False, True])
    async def test_upload_to_the_name_of_a_directory(self, subject: ProviderUnderTest, *, empty: bool) -> None:
        """Where directories are real, an upload in parts to the name of one fails, at its end at the latest."""
        subject.needs(directories=True, read_only=False)
        if empty:
            await subject.provider.make_directory(subject / "dir/")
        else:
            await subject.put("dir/name", b"kept")
        with pytest.raises(StorageError):
            await _upload(subject, "dir", b"new")
        await self._check_kept(subject, empty=empty)

    @pytest.mark.parametrize("empty", [False, True])
    async def test_copy_to_the_name_of_a_directory(self, subject: ProviderUnderTest, *, empty: bool) -> None:
        """Where directories are real, a copy to the name of one fails and removes nothing."""
        subject.needs(directories=True, read_only=False, copy=True)
        if empty:
            await subject.provider.make_directory(subject / "dir/")
        else:
            await subject.put("dir/name", b"kept")
        await subject.put("source", b"new")
        source = await subject.provider.stat(subject / "source")
        with pytest.raises(AlreadyExistsError):
            await subject.provider.copy(source, subject / "dir", OPTIONS)
        assert await subject.read("source") == b"new"
        await self._check_kept(subject, empty=empty)

    async def _check_kept(self, subject: ProviderUnderTest, *, empty: bool) -> None:
        assert (await subject.provider.stat(subject / "dir/")).directory
        if not empty:
            assert await subject.read("dir/name") == b"kept"
        await subject.check_nothing_left_later()

    @pytest.mark.parametrize("empty", [False, True])
    async def test_delete_without_a_slash_keeps_a_directory(self, subject: ProviderUnderTest, *, empty: bool) -> None:
        """A key without a slash at its end never deletes a directory, with content or without."""
        subject.needs(read_only=False)
        if not empty:
            await subject.put("dir/name", b"kept")
        else:
            subject.needs(directories=True)
            await subject.provider.make_directory(subject / "dir/")
        failed = await subject.provider.delete([subject / "dir"])
        assert set(failed) <= {subject / "dir"}
        if empty:
            assert (await subject.provider.stat(subject / "dir/")).directory
        else:
            assert await subject.read("dir/name") == b"kept"

    async def test_directory_in_the_place_of_an_object(self, subject: ProviderUnderTest) -> None:
        """Where directories are real, `make_directory` fails if an object has that name, or the name of a parent."""
        subject.needs(directories=True, read_only=False)
        await subject.put("name", b"kept")
        for key in ("name/", "name"):
            with pytest.raises(AlreadyExistsError) as raised:
                await subject.provider.make_directory(subject / key)
            self.check_error(subject, raised.value, "name")
        with pytest.raises(StorageError):
            await subject.provider.make_directory(subject / "name/below/")
        assert await subject.read("name") == b"kept"

    async def test_directory_is_made_twice(self, subject: ProviderUnderTest) -> None:
        """Where directories are real, `make_directory` makes parents and accepts a directory that exists."""
        subject.needs(directories=True, read_only=False)
        await subject.provider.make_directory(subject / "one/two/")
        await subject.put("one/two/name", b"kept")
        await subject.provider.make_directory(subject / "one/two/")
        assert await subject.read("one/two/name") == b"kept"

    async def test_write_makes_the_directories_above(self, subject: ProviderUnderTest) -> None:
        """`write` makes the directories that its key needs; one in the place of an object is an error."""
        subject.needs(directories=True, read_only=False)
        await subject.put("one/two/name", b"content")
        assert (await subject.provider.stat(subject / "one/two/")).directory
        with pytest.raises(StorageError):
            await subject.put("one/two/name/below")
        assert await subject.read("one/two/name") == b"content"

    async def test_directory_is_looked_up_without_its_slash(self, subject: ProviderUnderTest) -> None:
        """Where directories are real, `stat` finds one with and without the slash; its key has the slash."""
        subject.needs(directories=True)
        await subject.put("dir/name")
        for key in ("dir", "dir/"):
            entry = await subject.provider.stat(subject / key)
            assert (entry.key, entry.directory) == (subject / "dir/", True)

    async def test_object_is_not_found_as_a_directory(self, subject: ProviderUnderTest) -> None:
        """The key of an object with a slash at its end is another key: nothing is found there or deleted."""
        await subject.put("name", b"kept")
        with pytest.raises((NotFoundError, UnsupportedError) if subject.features.unlisted else NotFoundError):
            await subject.provider.stat(subject / "name/")
        if not subject.features.read_only:
            await subject.provider.delete([subject / "name/"])
        assert await subject.read("name") == b"kept"

    async def test_directory_is_not_read(self, subject: ProviderUnderTest) -> None:
        """A directory that has content is not read as an object: there is none of that name."""
        await subject.put("dir/name")
        with pytest.raises(NotFoundError) as raised:
            await subject.read("dir")
        self.check_error(subject, raised.value, "dir")


async def _upload(subject: ProviderUnderTest, name: str, data: bytes) -> None:
    """Stores an object as an upload of one part, which is aborted where that fails."""
    upload = await subject.provider.start_upload(subject / name, len(data), OPTIONS)
    try:
        receipt = await upload.write_part(Part(1, 0, len(data)), body(data))
        await upload.finish([receipt], crc32c(data))
    except StorageError:
        await upload.abort()
        raise

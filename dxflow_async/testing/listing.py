"""Listings: order, pages, directories, and names of all kinds."""

from __future__ import annotations

import pytest

from dxflow_async.exceptions import AlreadyExistsError, NotFoundError, UnsafePathError, UnsupportedError
from dxflow_async.testing.bodies import body
from dxflow_async.testing.subject import OPTIONS, ContractTests, ProviderUnderTest

__all__ = ["NAMES", "ListingTests"]

NAMES = [
    "ünïcödé/日本語 🚀",
    "a b/  c  ",
    "plus+plus",
    "100%/%41%2F",
    "hash#tag",
    "what?x=1&y=2",
    "star*[a-z]{1}",
    "tilde~-_.",
    "quo'te\"s",
    "amp&<tag>;",
    ".hidden/.dot",
    "...",
    "colon:semi;comma,at@equals=dollar$bang!(paren)",
    "new\nline",
    "café",
    "cafe\u0301",
]
"""Names that each provider stores as they are, or refuses: see `ProviderUnderTest.refused`."""


class ListingTests(ContractTests):
    """`list_page` and `list_directory`."""

    async def test_listing_says_what_stat_says(self, subject: ProviderUnderTest) -> None:
        """A listing reports the size, time and version that `stat` reports."""
        await subject.put("name", b"12345")
        (listed,) = await subject.entries()
        entry = await subject.provider.stat(subject / "name")
        assert (listed.key, listed.size, listed.etag) == (entry.key, entry.size, entry.etag)
        assert abs(listed.modified - entry.modified) <= 1

    async def test_listing_is_in_the_order_of_bytes(self, subject: ProviderUnderTest) -> None:
        """Keys come in the order of their bytes."""
        names = ["-", "B", "a/1", "a/10", "a/2", "a/é", "b", "é/x", "z", "\uffee", "日", "\U0001f680"]
        subject.needs(unlisted=False)
        for name in reversed(names):
            await subject.put(name)
        assert await subject.names() == sorted(names, key=str.encode)

    async def test_listing_by_directories(self, subject: ProviderUnderTest) -> None:
        """A listing that is not recursive names each directory once, with a slash at the end."""
        subject.needs(unlisted=False)
        for name in ("top", "dir/one", "dir/two/three", "dir.txt", "dir0/x"):
            await subject.put(name)
        assert await subject.names(recursive=False) == ["dir.txt", "dir/", "dir0/", "top"]
        expected = [(subject / "dir/one", False), (subject / "dir/two/", True)]
        found = await subject.entries("dir/", recursive=False)
        assert [(entry.key, entry.directory) for entry in found] == expected
        found = list(await subject.provider.list_directory(subject / "dir/"))
        assert sorted((entry.key, entry.directory) for entry in found) == expected

    async def test_listing_by_a_prefix_in_mid_name(self, subject: ProviderUnderTest) -> None:
        """A prefix need not end at a slash."""
        subject.needs(unlisted=False)
        for name in ("data-1", "data-2/x", "date", "other"):
            await subject.put(name)
        assert await subject.names("dat", recursive=True) == ["data-1", "data-2/x", "date"]
        assert await subject.names("data", recursive=False) == ["data-1", "data-2/"]

    async def test_listing_after_a_key(self, subject: ProviderUnderTest) -> None:
        """A listing that begins after a key has all keys above it and no other; a provider that cannot says so."""
        subject.needs(list_after=True)
        names = ["a", "b", "ba/1", "ba/2", "c +%", "d/é", "日"]
        for name in names:
            await subject.put(name)
        for after in ("", "a", "b", "b/", "ba/", "ba/2", "bb/", "c +%", "d/é", "日", "日/"):
            try:
                page = await subject.provider.list_after(subject / "", subject / after)
            except UnsupportedError:
                assert not subject.provider.features.list_after
                return
            found = list(page.entries)
            while page.cursor is not None:
                page = await subject.provider.list_page(subject / "", recursive=True, cursor=page.cursor)
                found += page.entries
            assert [entry.key for entry in found] == [subject / name for name in names if name > after]

    async def test_listing_of_many_pages(self, subject: ProviderUnderTest) -> None:
        """More entries than a page holds come once each, in order."""
        subject.needs(unlisted=False)
        names = [f"many/{number:05}" for number in range(subject.page_size * 11 // 10)]
        await subject.put_all(names)
        first = await subject.provider.list_page(subject / "many/", recursive=True)
        assert len(first.entries) < len(names)
        assert first.cursor is not None
        assert await subject.names("many/") == names
        assert await subject.names("many/", recursive=False) == names

    async def test_listing_of_what_is_not_there(self, subject: ProviderUnderTest) -> None:
        """A directory that does not exist is empty, or is NotFoundError."""
        subject.needs(unlisted=False)
        await subject.put("name")
        try:
            assert await subject.entries("missing/") == []
        except NotFoundError as error:
            self.check_error(subject, error, "missing")

    @pytest.mark.parametrize("name", NAMES)
    async def test_name_comes_back(self, subject: ProviderUnderTest, name: str) -> None:
        """A name is stored, read, listed, looked up and deleted as it is; one that cannot be is refused."""
        subject.needs(read_only=False)
        if name in subject.refused:
            with pytest.raises(UnsafePathError):
                await subject.put(name)
            assert await subject.names() == []
            return
        await subject.put(name, name.encode())
        assert await subject.read(name) == name.encode()
        assert (await subject.provider.stat(subject / name)).size == len(name.encode())
        assert await subject.names() == [name]
        await subject.provider.delete([subject / name])
        with pytest.raises(NotFoundError):
            await subject.provider.stat(subject / name)

    async def test_longest_key(self, subject: ProviderUnderTest) -> None:
        """A key of 1,024 bytes, its segments of up to 255, comes back."""
        subject.needs(read_only=False)
        used = len(subject.prefix.partition("/")[2].encode()) if subject.features.buckets else len(subject.prefix)
        name = "/".join(["é" * 127, "x" * 255, "y" * 255, "z" * 200])
        name = f"{name}/{'w' * (1023 - used - len(name.encode()))}"
        await subject.put(name, b"deep")
        assert await subject.read(name) == b"deep"
        assert await subject.names() == [name]

    async def test_empty_object_is_no_directory(self, subject: ProviderUnderTest) -> None:
        """An object without bytes is listed as an object."""
        subject.needs(unlisted=False)
        await subject.put("empty", b"")
        (listed,) = await subject.entries()
        assert (listed.key, listed.size, listed.directory) == (subject / "empty", 0, False)

    async def test_empty_directory(self, subject: ProviderUnderTest) -> None:
        """An empty directory is listed: a real one, or the object without bytes that marks it."""
        subject.needs(read_only=False)
        if subject.features.directories:
            await subject.provider.make_directory(subject / "dir/empty/")
        else:
            await subject.provider.write(subject / "dir/empty/", body(b""), OPTIONS)
        (listed,) = await subject.entries("dir/")
        assert (listed.key, listed.directory) == (subject / "dir/empty/", True)
        found = await subject.provider.stat(subject / "dir/empty/")
        assert (found.key, found.directory) == (subject / "dir/empty/", True)
        await subject.provider.delete([subject / "dir/empty/"])
        with pytest.raises(NotFoundError):
            await subject.provider.stat(subject / "dir/empty/")

    async def test_directory_with_content_is_not_removed(self, subject: ProviderUnderTest) -> None:
        """Where directories are real, only an empty one is removed, and never the files in it."""
        if not subject.features.directories:
            for call in (subject.provider.remove_directory, subject.provider.make_directory):
                if not subject.features.directories_vary:
                    with self.refused("directories"):
                        await call(subject / "dir/")
            return
        await subject.put("dir/name")
        with pytest.raises(AlreadyExistsError, match="not empty"):
            await subject.provider.remove_directory(subject / "dir/")
        assert await subject.read("dir/name") == b"content"
        await subject.provider.delete([subject / "dir/name"])
        await subject.provider.remove_directory(subject / "dir/")
        with pytest.raises(NotFoundError):
            await subject.provider.stat(subject / "dir/")

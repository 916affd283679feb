"""The provider that is tested, and what each test does with it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from dxflow_async.exceptions import NotFoundError, StorageError, UnsupportedError
from dxflow_async.providers.contract import Entry, Features, ObjectOptions, Part, PartReceipt, Provider, Upload
from dxflow_async.testing.bodies import body

__all__ = ["OPTIONS", "ContractTests", "ProviderUnderTest"]

OPTIONS = ObjectOptions()


@dataclass(frozen=True)
class ProviderUnderTest:
    """A provider, and a prefix of its keys that belongs to one test alone and is empty.

    `subject / "name"` is a key below the prefix.

    Attributes:
        provider: connected.
        prefix: ends in a slash; `"bucket/area/"` where the first segment of a key is a bucket.
        leftovers: returns what identifies uploads that are neither finished nor aborted, and temporary files. By
            default it finds none, and tests of what is left behind prove less.
        keeps_aborted: the service drops aborted uploads some time later, so they are leftovers too.
        refused: names among those of the tests that the provider refuses with `UnsafePathError`, because its service
            would take them for others.
        store: for a read-only provider: stores an object on its server by other means, given the key and the bytes.
        with_secret: makes a provider of the same service that signs in with another secret (a password, a token, a
            key), which the service refuses. It is not connected yet, and the test closes it. The secret is valid
            base64, for services whose keys are.
        page_size: the most entries of a page of the service's listings.
        looks: seconds before each further look for what a broken request left behind; a server in the process of the
            tests needs less.
    """

    provider: Provider
    prefix: str
    leftovers: Callable[[], Sequence[str]] | None = None
    keeps_aborted: bool = False
    refused: frozenset[str] = frozenset()
    store: Callable[[str, bytes], Awaitable[None]] | None = None
    with_secret: Callable[[str], Provider] | None = None
    page_size: int = 1000
    looks: Sequence[float] = (0.05, 0.2)

    def __truediv__(self, name: str) -> str:
        return self.prefix + name

    @property
    def features(self) -> Features:
        """The provider's."""
        return self.provider.features

    def needs(self, **features: object) -> None:
        """Skips a test unless features have these values.

        Args:
            features: the values by the names of attributes of `Features`.

        Raises:
            pytest.skip.Exception: one of them has another value.

        Example:
            >>> subject.needs(read_only=False, rename=True)
        """
        for name, value in features.items():
            if getattr(self.features, name) != value:
                pytest.skip(f"Features.{name} is not {value}")

    def check_nothing_left(self, *, aborted: bool = False) -> None:
        """Asserts that no upload and no temporary file is left.

        Args:
            aborted: whether the uploads were aborted; they may stay where `keeps_aborted` is set.
        """
        if self.leftovers is not None and not (aborted and self.keeps_aborted):
            assert list(self.leftovers()) == []

    async def check_nothing_left_later(self) -> None:
        """Asserts that nothing is left, now and a moment later.

        A server may still create the file of a request that broke off when the client is done with it.
        """
        self.check_nothing_left()
        if self.leftovers is not None:
            for delay in self.looks:
                await asyncio.sleep(delay)
                self.check_nothing_left()

    async def put(self, name: str, data: bytes = b"content") -> Entry:
        """Stores an object; for a read-only provider by other means.

        Args:
            name: of the object, below the prefix.
            data: its bytes.

        Returns:
            The stored object.

        Raises:
            pytest.skip.Exception: the provider is read-only, and `store` is not given.

        Example:
            >>> entry = await subject.put("name", b"content")
        """
        if not self.features.read_only:
            return await self.provider.write(self / name, body(data), OPTIONS)
        if self.store is None:
            pytest.skip("the provider is read-only, and `ProviderUnderTest.store` is not given")
        await self.store(self / name, data)
        return await self.provider.stat(self / name)

    async def put_all(self, names: Sequence[str]) -> None:
        """Stores objects, up to 32 at a time.

        Of so many requests one may fail on a busy machine, so each is tried up to three times.

        Args:
            names: of the objects, below the prefix; each object is empty.

        Raises:
            StorageError: an object could not be stored.
        """
        slots = asyncio.Semaphore(32)

        async def put(name: str, attempts: int = 3) -> None:
            try:
                async with slots:
                    await self.put(name, b"")
            except StorageError as error:
                if not error.retryable or attempts == 1:
                    raise
                await put(name, attempts - 1)

        await asyncio.gather(*(put(name) for name in names))

    async def read(self, name: str, start: int = 0, end: int | None = None, *, etag: str | None = None) -> bytes:
        """Returns the bytes of an object.

        Args:
            name: of the object, below the prefix.
            start: offset of the first byte.
            end: offset after the last byte; None: up to the end.
            etag: of the version to read; None: the present one.

        Raises:
            StorageError: the provider cannot read it.

        Example:
            >>> data = await subject.read("name", 0, 4)
        """
        async with await self.provider.read(self / name, start, end, etag=etag) as reader:
            data = b"".join([bytes(chunk) async for chunk in reader])
            assert len(data) == reader.size
            return data

    async def entries(self, prefix: str = "", *, recursive: bool = True) -> list[Entry]:
        """Returns all pages of a listing. The test's own prefix need not be a directory yet.

        Args:
            prefix: of the keys, below the prefix of the test.
            recursive: whether to list what is in directories, too.

        Raises:
            NotFoundError: `prefix` is not there.
            pytest.skip.Exception: the provider has no listings.
        """
        self.needs(unlisted=False)
        try:
            page = await self.provider.list_page(self / prefix, recursive=recursive)
        except NotFoundError:
            if prefix:
                raise
            return []
        found = list(page.entries)
        while page.cursor is not None:
            page = await self.provider.list_page(self / prefix, recursive=recursive, cursor=page.cursor)
            found += page.entries
        return found

    async def names(self, prefix: str = "", *, recursive: bool = True) -> list[str]:
        """Returns the keys of a listing, without the test's prefix.

        Args:
            prefix: of the keys, below the prefix of the test.
            recursive: whether to list what is in directories, too.
        """
        return [entry.key.removeprefix(self.prefix) for entry in await self.entries(prefix, recursive=recursive)]

    # Parts

    @property
    def part_size(self) -> int:
        """Bytes of a part: few, but as many as the provider wants."""
        return max(self.features.min_part_size, 1024)

    def sample(self) -> bytes:
        """Returns bytes for two and a half parts."""
        if self.features.max_parts < 3:
            pytest.skip("Features.max_parts is below 3")
        return bytes(range(251)) * (self.part_size * 5 // 2 // 251)

    def pieces(self, data: bytes) -> list[bytes]:
        """Cuts bytes into parts.

        Args:
            data: the bytes; all parts but the last have `part_size`.
        """
        return [data[start : start + self.part_size] for start in range(0, len(data), self.part_size)]

    async def write_parts(self, upload: Upload, data: bytes, order: Sequence[int]) -> list[PartReceipt]:
        """Writes data in parts, in an order of their numbers, and returns their receipts in the order of the parts.

        Args:
            upload: receives the parts.
            data: all bytes of the object.
            order: the numbers of the parts, from 1, in the order in which to write them.
        """
        pieces, receipts = self.pieces(data), dict[int, PartReceipt]()
        for number in order:
            piece = pieces[number - 1]
            part = Part(number, (number - 1) * self.part_size, len(piece))
            receipts[number] = await upload.write_part(part, body(piece))
        return [receipts[number] for number in sorted(receipts)]


class ContractTests:
    """The base of the tests: asserts what all errors have in common."""

    @staticmethod
    @contextmanager
    def refused(feature: str) -> Iterator[None]:
        """Asserts that a call is refused, because a feature is not set, or needs other settings.

        Args:
            feature: the name of the attribute of `Features` that the call needs.
        """
        with pytest.raises((TypeError, UnsupportedError)) as raised:
            yield
        assert isinstance(raised.value, UnsupportedError) or f"{feature} is not set" in str(raised.value)

    @staticmethod
    def check_error(subject: ProviderUnderTest, error: StorageError, name: str) -> None:
        """Asserts that an error names its provider, its operation and its key.

        Args:
            subject: the provider that raised it, and its prefix.
            error: the error.
            name: what its message has to contain, such as the key.
        """
        assert error.provider == subject.provider.name
        assert error.operation
        assert name in str(error)

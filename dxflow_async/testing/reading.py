"""Reads: ranges, versions, what is missing, and the ways that a reader hands its bytes on."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from dxflow_async.checksum import crc32c
from dxflow_async.exceptions import NotFoundError, PreconditionFailedError
from dxflow_async.testing.subject import ContractTests, ProviderUnderTest

__all__ = ["ReadingTests"]

MiB = 1 << 20


class ReadingTests(ContractTests):
    """`read` and `stat`."""

    async def test_stored_bytes_are_read_back(self, subject: ProviderUnderTest) -> None:
        """A read yields what was stored; another object of that name replaces it."""
        await subject.put("dir/name", b"first")
        assert await subject.read("dir/name") == b"first"
        await subject.put("dir/name", b"second")
        assert await subject.read("dir/name") == b"second"

    @pytest.mark.parametrize(
        ("start", "end", "expected"),
        [(0, 1, b"0"), (3, 7, b"3456"), (7, None, b"789"), (0, 100, b"0123456789"), (9, 100, b"9")],
    )
    async def test_range(self, subject: ProviderUnderTest, start: int, end: int | None, expected: bytes) -> None:
        """A range yields its bytes, as far as there are any, and reports the size of the whole object."""
        await subject.put("digits", b"0123456789")
        assert await subject.read("digits", start, end) == expected
        async with await subject.provider.read(subject / "digits", start, end) as reader:
            assert (reader.entry.size, reader.size) == (10, len(expected))

    @pytest.mark.parametrize(("data", "start", "end"), [(b"0123", 4, None), (b"0123", 9, 12), (b"", 0, 5)])
    async def test_range_without_a_byte(
        self, subject: ProviderUnderTest, data: bytes, start: int, end: int | None
    ) -> None:
        """A range in which the object has no byte is refused."""
        await subject.put("short", data)
        with pytest.raises(PreconditionFailedError):
            await subject.provider.read(subject / "short", start, end)

    async def test_empty_object(self, subject: ProviderUnderTest) -> None:
        """An object without bytes is an object."""
        await subject.put("empty", b"")
        assert await subject.read("empty") == b""
        assert (await subject.provider.stat(subject / "empty")).size == 0

    async def test_missing(self, subject: ProviderUnderTest) -> None:
        """A key that is not there is NotFoundError, which is a FileNotFoundError, names the path."""
        await subject.put("there")
        for name in ("missing", "there/below", "no/such/directory"):
            with pytest.raises(NotFoundError) as stat:
                await subject.provider.stat(subject / name)
            with pytest.raises(FileNotFoundError) as opened:
                await subject.provider.read(subject / name)
            assert isinstance(opened.value, NotFoundError)
            for error in (stat.value, opened.value):
                self.check_error(subject, error, name)
                assert not error.retryable

    async def test_stat(self, subject: ProviderUnderTest) -> None:
        """`stat` and a read report the same key, size and version."""
        await subject.put("name", b"12345")
        entry = await subject.provider.stat(subject / "name")
        assert (entry.key, entry.size, entry.directory) == (subject / "name", 5, False)
        async with await subject.provider.read(subject / "name", listed=entry) as reader:
            assert (reader.entry.key, reader.entry.size, reader.entry.etag) == (entry.key, 5, entry.etag)

    async def test_etag_pins_the_version(self, subject: ProviderUnderTest) -> None:
        """A read of another version than was asked for is refused, in whole and in part."""
        await subject.put("name", b"0123456789")
        old = (await subject.provider.stat(subject / "name")).etag
        assert old is not None
        assert await subject.read("name", 2, 4, etag=old) == b"23"
        await subject.put("name", b"another, longer version")
        for start, end in ((0, None), (2, 4)):
            with pytest.raises(PreconditionFailedError):
                await subject.provider.read(subject / "name", start, end, etag=old)

    async def test_reads_closed_early(self, subject: ProviderUnderTest) -> None:
        """A read that is closed in its midst, or cancelled, releases what it held."""
        await subject.put("large", b"x" * 4 * MiB)
        for _ in range(5):
            async with await subject.provider.read(subject / "large") as reader:
                assert await reader.read()
        reading = asyncio.ensure_future(subject.read("large"))
        await asyncio.sleep(0)
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading
        assert len(await subject.read("large")) == 4 * MiB

    async def test_reader_fills_buffers(self, subject: ProviderUnderTest) -> None:
        """`readinto` and `stream_to` yield the same bytes as `read`, in order, into buffers of any size."""
        data = bytes(range(256)) * 1000
        await subject.put("name", data)
        found = bytearray()
        async with await subject.provider.read(subject / "name") as reader:
            buffer = memoryview(bytearray(10_007))
            while size := await reader.readinto(buffer):
                found += buffer[:size]
        assert found == data
        found.clear()
        async with await subject.provider.read(subject / "name") as reader:
            while await reader.stream_to(buffer, found.extend, asyncio.to_thread):
                pass
        assert found == data

    async def test_body_of_a_read_is_sent_twice(self, subject: ProviderUnderTest) -> None:
        """`buffer_or_reopen` gives a body that yields the bytes more than once, with their CRC32C."""
        data = b"0123456789" * 1000
        await subject.put("name", data)
        async with await subject.provider.read(subject / "name", 10, 9000) as reader:
            body = await reader.buffer_or_reopen()
            for _ in range(2):
                assert b"".join([bytes(chunk) async for chunk in body]) == data[10:9000]
            assert (body.size, body.crc32c) == (8990, crc32c(data[10:9000]))

    async def test_reported_checksum_is_that_of_the_bytes(self, subject: ProviderUnderTest) -> None:
        """Where the provider stores checksums, a read reports that of its bytes; elsewhere none is invented."""
        data = b"0123456789" * 1000
        await subject.put("name", data)
        async with await subject.provider.read(subject / "name") as reader:
            told = reader.crc32c
        assert told in ({crc32c(data)} if subject.features.checksum and subject.store is None else {crc32c(data), None})

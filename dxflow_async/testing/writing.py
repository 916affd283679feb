"""Writes in one go: what replaces the old object, and what must not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from dxflow_async.checksum import crc32c
from dxflow_async.exceptions import ChecksumMismatchError, NetworkError, StorageError, UnsupportedError
from dxflow_async.providers.contract import Buffered, ObjectOptions
from dxflow_async.testing.bodies import BrokenBody, StreamedOnce, body
from dxflow_async.testing.subject import OPTIONS, ContractTests, ProviderUnderTest

__all__ = ["WritingTests"]

MiB = 1 << 20


class WritingTests(ContractTests):
    """`write` and `delete`."""

    async def test_body_of_several_buffers(self, subject: ProviderUnderTest) -> None:
        """A body of many buffers arrives whole, and the entry says what is stored."""
        subject.needs(read_only=False)
        chunks = [bytes([number]) * 300_001 for number in range(20)]
        data = b"".join(chunks)
        entry = await subject.provider.write(subject / "large", body(*chunks), OPTIONS)
        assert (entry.key, entry.size, entry.crc32c) == (subject / "large", len(data), crc32c(data))
        assert await subject.read("large") == data
        await subject.provider.write(subject / "large", body(b"se", b"", b"cond"), OPTIONS)
        assert await subject.read("large") == b"second"

    @pytest.mark.parametrize("size", [7, 3 * MiB])
    async def test_body_without_a_checksum(self, subject: ProviderUnderTest, size: int) -> None:
        """The CRC32C of a body need not be known: that of the bytes is reported."""
        subject.needs(read_only=False, checksum_first=False)
        data = b"x" * size
        entry = await subject.provider.write(subject / "name", Buffered((data,), size), OPTIONS)
        assert (entry.size, entry.crc32c) == (size, crc32c(data))

    async def test_body_that_comes_once(self, subject: ProviderUnderTest) -> None:
        """A body that is an open read of another provider's is written as it comes."""
        subject.needs(read_only=False, checksum_first=False)
        chunks = [bytes([number]) * 200_003 for number in range(9)]
        entry = await subject.provider.write(subject / "name", StreamedOnce(*chunks), OPTIONS)
        assert entry.crc32c == crc32c(b"".join(chunks))
        assert await subject.read("name") == b"".join(chunks)

    async def test_wrong_checksum_is_refused(self, subject: ProviderUnderTest) -> None:
        """Bytes that do not have the announced CRC32C do not replace what is there."""
        subject.needs(read_only=False)
        await subject.put("name", b"old")
        wrong = body(b"new bytes")
        wrong.crc32c = crc32c(b"other bytes")
        with pytest.raises(ChecksumMismatchError) as raised:
            await subject.provider.write(subject / "name", wrong, OPTIONS)
        self.check_error(subject, raised.value, "name")
        assert await subject.read("name") == b"old"
        await subject.check_nothing_left_later()

    @pytest.mark.parametrize("size", [100_000, 3 * MiB])
    async def test_body_that_fails_leaves_the_old_object(self, subject: ProviderUnderTest, size: int) -> None:
        """An error of the body, in its midst, reaches the caller as it is; the object stays as it was."""
        subject.needs(read_only=False)
        await subject.put("name", b"old")
        error = NetworkError("the source broke off")
        with pytest.raises(NetworkError) as raised:
            await subject.provider.write(subject / "name", BrokenBody([b"x" * (size // 2)], size, error), OPTIONS)
        assert raised.value is error
        assert await subject.read("name") == b"old"
        await subject.check_nothing_left_later()

    @pytest.mark.parametrize("sent", [0, 99_999, 100_001, 3 * MiB - 1, 3 * MiB + 1])
    async def test_body_of_another_size_leaves_the_old_object(self, subject: ProviderUnderTest, sent: int) -> None:
        """A body that is shorter or longer than it announces is not stored."""
        subject.needs(read_only=False)
        await subject.put("name", b"old")
        size = 100_000 if sent < MiB else 3 * MiB
        with pytest.raises(StorageError):
            await subject.provider.write(subject / "name", BrokenBody([b"x" * sent], size), OPTIONS)
        assert await subject.read("name") == b"old"
        await subject.check_nothing_left_later()

    async def test_cancelled_write_leaves_the_old_object(self, subject: ProviderUnderTest) -> None:
        """A write that is cancelled in its midst leaves the object as it was, and the provider usable."""
        subject.needs(read_only=False)
        await subject.put("name", b"old")
        started = asyncio.Event()

        class Endless(BrokenBody):
            async def __aiter__(self) -> AsyncIterator[bytes]:
                yield b"x" * MiB
                started.set()
                await asyncio.Event().wait()

        writing = asyncio.create_task(subject.provider.write(subject / "name", Endless([], 3 * MiB), OPTIONS))
        await started.wait()
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        assert await subject.read("name") == b"old"
        await subject.check_nothing_left_later()

    async def test_writes_of_one_key_at_a_time(self, subject: ProviderUnderTest) -> None:
        """Of two writes to one key at a time one wins as a whole."""
        subject.needs(read_only=False)
        one, other = b"1" * MiB, b"2" * (MiB + 1)
        await asyncio.gather(subject.put("name", one), subject.put("name", other))
        assert await subject.read("name") in (one, other)
        subject.check_nothing_left()

    async def test_delete(self, subject: ProviderUnderTest) -> None:
        """Many keys are deleted at once; one that is not there is no error."""
        subject.needs(read_only=False)
        names = [f"dir/{number} ü&<>\"'" for number in range(20)]
        for name in (*names, "dir/kept"):
            await subject.put(name)
        wanted = [subject / name for name in (*names, "dir/missing", "nowhere/missing")]
        assert await subject.provider.delete(wanted) == {}
        assert await subject.provider.delete(wanted) == {}
        assert await subject.names() == ["dir/kept"]
        await subject.provider.delete_one(subject / "dir/kept")
        assert await subject.provider.delete([]) == {}

    async def test_delete_of_a_directory(self, subject: ProviderUnderTest) -> None:
        """A key with a slash is deleted with its content where directories are real, else only its marker is."""
        subject.needs(read_only=False)
        await subject.put("dir/sub/name")
        await subject.put("dir/subordinate")
        await subject.provider.delete([subject / "dir/sub/"])
        left = ["dir/subordinate"] if subject.features.directories else ["dir/sub/name", "dir/subordinate"]
        assert await subject.names() == left

    async def test_read_only_provider_refuses_to_write(self, subject: ProviderUnderTest) -> None:
        """A provider that says it is read-only refuses writes, uploads and deletions as UnsupportedError."""
        subject.needs(read_only=True)
        key = subject / "name"
        for call in (
            lambda: subject.provider.write(key, body(b"x"), OPTIONS),
            lambda: subject.provider.start_upload(key, 1, ObjectOptions()),
            lambda: subject.provider.delete_one(key),
        ):
            with pytest.raises(UnsupportedError) as raised:
                await call()
            self.check_error(subject, raised.value, "name")

"""Writes in one go: what replaces the old object, and what must not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from dxflow_async.checksum import crc32c
from dxflow_async.exceptions import (
    AlreadyExistsError,
    ChecksumMismatchError,
    NetworkError,
    NotFoundError,
    PreconditionFailedError,
    StorageError,
    UnsupportedError,
)
from dxflow_async.providers.contract import Buffered, Entry, ObjectOptions
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

    @pytest.mark.parametrize("in_parts", [False, True])
    async def test_only_a_new_object(self, subject: ProviderUnderTest, *, in_parts: bool) -> None:
        """With `if_absent` an object is stored where there is none, and one that is there stays."""
        subject.needs(read_only=False, conditions=True)
        options, data = ObjectOptions(if_absent=True), subject.sample() if in_parts else b"first"
        await self._store(subject, data, options, in_parts=in_parts)
        with pytest.raises(AlreadyExistsError) as raised:
            await self._store(subject, b"x" + data[1:], options, in_parts=in_parts)
        self.check_error(subject, raised.value, "name")
        assert not raised.value.retryable
        assert await subject.read("name") == data
        subject.check_nothing_left(aborted=True)

    @pytest.mark.parametrize("in_parts", [False, True])
    async def test_only_over_a_version(self, subject: ProviderUnderTest, *, in_parts: bool) -> None:
        """With `if_match` only the object of that etag is replaced; a missing one has none."""
        subject.needs(read_only=False, conditions=True)
        old = (await self._put_and_look(subject, b"old")).etag
        if old is None:
            pytest.skip("the service reports no etags")
        data = subject.sample() if in_parts else b"second"
        await self._store(subject, data, ObjectOptions(if_match=old), in_parts=in_parts)
        for _ in range(2):
            with pytest.raises(PreconditionFailedError) as raised:
                await self._store(subject, b"x" + data[1:], ObjectOptions(if_match=old), in_parts=in_parts)
            self.check_error(subject, raised.value, "name")
            assert not raised.value.retryable
            if await self._exists(subject):
                assert await subject.read("name") == data
                await subject.provider.delete_one(subject / "name")
        assert not await self._exists(subject)
        subject.check_nothing_left(aborted=True)

    async def test_etags_in_quotes(self, subject: ProviderUnderTest) -> None:
        """An etag is reported without quotes; a condition that has it in quotes, as HTTP does, is the same one."""
        subject.needs(read_only=False, conditions=True)
        old = (await self._put_and_look(subject, b"old")).etag
        if old is None or old.startswith("W/"):
            pytest.skip("the service reports no strong etags")
        assert '"' not in old
        quoted = ObjectOptions(if_match=f'"{old}"')
        await self._store(subject, b"second", quoted, in_parts=False)
        with pytest.raises(PreconditionFailedError):
            await self._store(subject, b"lost", quoted, in_parts=False)
        assert await subject.read("name") == b"second"

    async def test_deletion_of_a_version(self, subject: ProviderUnderTest) -> None:
        """`delete_matching` deletes the object of an etag, and no other one."""
        if not subject.features.conditions:
            with self.refused("conditions"):
                await subject.provider.delete_matching(subject / "name", "etag")
            return
        old = (await self._put_and_look(subject, b"old")).etag
        now = (await self._put_and_look(subject, b"second")).etag
        if old is None or now is None:
            pytest.skip("the service reports no etags")
        with pytest.raises(PreconditionFailedError) as raised:
            await subject.provider.delete_matching(subject / "name", old)
        self.check_error(subject, raised.value, "name")
        assert await subject.read("name") == b"second"
        await subject.provider.delete_matching(subject / "name", now)
        assert not await self._exists(subject)
        with pytest.raises(PreconditionFailedError):
            await subject.provider.delete_matching(subject / "name", now)

    @staticmethod
    async def _store(subject: ProviderUnderTest, data: bytes, options: ObjectOptions, *, in_parts: bool) -> None:
        if not in_parts:
            await subject.provider.write(subject / "name", body(data), options)
            return
        upload = await subject.provider.start_upload(subject / "name", len(data), options)
        try:
            await upload.finish(await subject.write_parts(upload, data, [1, 2, 3]), crc32c(data))
        except StorageError:
            await upload.abort()
            raise

    @staticmethod
    async def _put_and_look(subject: ProviderUnderTest, data: bytes) -> Entry:
        await subject.put("name", data)
        return await subject.provider.stat(subject / "name")

    @staticmethod
    async def _exists(subject: ProviderUnderTest) -> bool:
        try:
            await subject.provider.stat(subject / "name")
        except NotFoundError:
            return False
        return True

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

"""Uploads in parts: in any order, resumed, aborted, and with wrong bytes."""

from __future__ import annotations

import pytest

from dxflow_async.checksum import crc32c
from dxflow_async.exceptions import ChecksumMismatchError, NotFoundError, StorageError
from dxflow_async.providers.contract import Part, PartReceipt
from dxflow_async.testing.bodies import body
from dxflow_async.testing.subject import OPTIONS, ContractTests, ProviderUnderTest

__all__ = ["UploadTests"]


class UploadTests(ContractTests):
    """`start_upload` and `resume_upload`."""

    async def test_parts_in_any_order(self, subject: ProviderUnderTest) -> None:
        """Parts out of order, one of them written twice, are one object, which is seen only once it is finished."""
        subject.needs(read_only=False)
        data = subject.sample()
        upload = await subject.provider.start_upload(subject / "parts", len(data), OPTIONS)
        receipts = await subject.write_parts(upload, data, [3, 1, 2, 1])
        assert [receipt.crc32c for receipt in receipts] == [crc32c(piece) for piece in subject.pieces(data)]
        if subject.features.resumable and subject.leftovers is not None:
            assert subject.leftovers()
        with pytest.raises(NotFoundError):
            await subject.provider.stat(subject / "parts")
        if not subject.features.unlisted:
            assert await subject.names() == []
        entry = await upload.finish(receipts, crc32c(data))
        assert (entry.key, entry.size) == (subject / "parts", len(data))
        assert await subject.read("parts") == data
        subject.check_nothing_left()

    @pytest.mark.parametrize("size", [1, 1000])
    async def test_upload_of_unknown_size(self, subject: ProviderUnderTest, size: int) -> None:
        """An upload whose size is not known at its start, of one part, is an object like any other."""
        subject.needs(read_only=False)
        data = b"x" * size
        upload = await subject.provider.start_upload(subject / "name", None, OPTIONS)
        receipt = await upload.write_part(Part(1, 0, size), body(data))
        assert (await upload.finish([receipt], None)).size == size
        assert await subject.read("name") == data
        subject.check_nothing_left()

    async def test_aborted_upload_leaves_nothing(self, subject: ProviderUnderTest) -> None:
        """`abort` removes what was written and keeps what was there; a second call does nothing."""
        subject.needs(read_only=False)
        await subject.put("name", b"old")
        upload = await subject.provider.start_upload(subject / "name", None, OPTIONS)
        await subject.write_parts(upload, subject.sample(), [1])
        await upload.abort()
        await upload.abort()
        subject.check_nothing_left(aborted=True)
        assert await subject.read("name") == b"old"

    async def test_two_uploads_of_one_key(self, subject: ProviderUnderTest) -> None:
        """Two uploads of one key at a time never become a mixture: the second one to finish is stored, or fails."""
        subject.needs(read_only=False)
        data = subject.sample()
        other = bytes(reversed(data))
        first = await subject.provider.start_upload(subject / "name", len(data), OPTIONS)
        second = await subject.provider.start_upload(subject / "name", len(data), OPTIONS)
        ones = await subject.write_parts(first, data, [1, 2, 3])
        others = await subject.write_parts(second, other, [1, 2, 3])
        await first.finish(ones, crc32c(data))
        assert await subject.read("name") == data
        try:
            await second.finish(others, crc32c(other))
        except StorageError:
            assert await subject.read("name") == data
        else:
            assert await subject.read("name") == other

    async def test_wrong_checksum_of_the_whole_is_refused(self, subject: ProviderUnderTest) -> None:
        """Where the provider stores checksums, an upload whose whole has another one is not finished."""
        subject.needs(read_only=False, checksum=True)
        await subject.put("name", b"old")
        data = subject.sample()
        upload = await subject.provider.start_upload(subject / "name", len(data), OPTIONS)
        receipts = await subject.write_parts(upload, data, [1, 2, 3])
        with pytest.raises(ChecksumMismatchError):
            await upload.finish(receipts, crc32c(b"something else"))
        assert await subject.read("name") == b"old"
        await upload.abort()
        subject.check_nothing_left()

    async def test_upload_of_another_process_is_resumed(self, subject: ProviderUnderTest) -> None:
        """An upload is known by its id alone: stored parts are kept, the others written, and it is finished."""
        subject.needs(read_only=False)
        data = subject.sample()
        begun = await subject.provider.start_upload(subject / "parts", len(data), OPTIONS)
        receipts = await subject.write_parts(begun, data, [3, 1])
        if not subject.features.resumable:
            with self.refused("resumable"):
                await subject.provider.resume_upload(subject / "parts", begun.id, receipts, OPTIONS)
            await begun.abort()
            return
        never = PartReceipt(Part(2, len(data), 5), "no such part", 5)
        upload, kept = await subject.provider.resume_upload(subject / "parts", begun.id, [*receipts, never], OPTIONS)
        assert list(kept) == receipts
        (second,) = await subject.write_parts(upload, data, [2])
        entry = await upload.finish([receipts[0], second, receipts[1]], crc32c(data))
        assert entry.size == len(data)
        assert await subject.read("parts") == data
        subject.check_nothing_left()

    async def test_upload_of_another_process_is_aborted(self, subject: ProviderUnderTest) -> None:
        """Whoever knows the id of an upload can remove what it has left."""
        subject.needs(read_only=False, resumable=True)
        begun = await subject.provider.start_upload(subject / "parts", None, OPTIONS)
        receipts = await subject.write_parts(begun, subject.sample(), [1, 2])
        upload, _ = await subject.provider.resume_upload(subject / "parts", begun.id, receipts, OPTIONS)
        await upload.abort()
        subject.check_nothing_left(aborted=True)

    async def test_aborted_upload_is_not_resumed(self, subject: ProviderUnderTest) -> None:
        """Of an upload that was aborted no part is left: resuming it is NotFoundError, or keeps no receipt."""
        subject.needs(read_only=False, resumable=True)
        begun = await subject.provider.start_upload(subject / "parts", None, OPTIONS)
        receipts = await subject.write_parts(begun, subject.sample(), [1])
        await begun.abort()
        if subject.keeps_aborted:
            return
        try:
            _, kept = await subject.provider.resume_upload(subject / "parts", begun.id, receipts, OPTIONS)
        except NotFoundError:
            return
        assert list(kept) == []

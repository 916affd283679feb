"""What only some providers can do: tested where `Features` says yes, and refused where it says no."""

from __future__ import annotations

import asyncio
import traceback
import urllib.error
import urllib.request
from time import time

import pytest

from dxflow_async.checksum import crc32c
from dxflow_async.exceptions import AccessDeniedError, NotFoundError, PreconditionFailedError, UnsupportedError
from dxflow_async.providers.contract import ObjectOptions, Part, Provider
from dxflow_async.testing.bodies import body
from dxflow_async.testing.subject import OPTIONS, ContractTests, ProviderUnderTest

__all__ = ["CapabilityTests"]

ODD_NAME = "from +%?"

WRONG_SECRET = "bm90LXRoZS1wYXNzd29yZC03MzkxMjA0Ng=="  # noqa: S105 - it opens nothing
"""Not the secret of any service; valid base64."""


class CapabilityTests(ContractTests):
    """Everything that a feature announces."""

    async def test_features_are_sound(self, subject: ProviderUnderTest) -> None:
        """The name is in capitals, and the limits fit each other."""
        features, provider = subject.features, subject.provider
        assert provider.name
        assert provider.name == provider.name.upper()
        assert 1 <= features.min_part_size <= features.max_part_size
        assert features.max_parts >= 1
        assert features.max_size >= 1
        assert not (features.directories and features.directories_vary)
        assert not (features.read_only and (features.resumable or features.copy or features.rename or features.stages))
        assert provider.local_disk is None or features.endpoint is None

    async def test_connecting_again_changes_nothing(self, subject: ProviderUnderTest) -> None:
        """`connect` may be called again, as after an error."""
        before = subject.features
        await subject.provider.connect()
        assert subject.features == before

    async def test_wrong_credentials(self, subject: ProviderUnderTest) -> None:
        """Credentials that the service refuses are AccessDeniedError, and no error shows them."""
        if subject.with_secret is None:
            pytest.skip("`ProviderUnderTest.with_secret` is not given")
        await subject.put("name")
        provider = subject.with_secret(WRONG_SECRET)
        try:
            with pytest.raises(AccessDeniedError) as raised:
                await _connect_and_read(provider, subject / "name")
        finally:
            await provider.aclose()
        shown = "".join(traceback.format_exception(raised.value)) + repr(raised.value) + repr(vars(raised.value))
        assert WRONG_SECRET not in shown
        assert not raised.value.retryable

    async def test_copy(self, subject: ProviderUnderTest) -> None:
        """A copy has the bytes of the version that was seen, and no other."""
        subject.needs(read_only=False)
        name = "from" if ODD_NAME in subject.refused else ODD_NAME
        await subject.put(name, b"bytes")
        source = await subject.provider.stat(subject / name)
        if not subject.features.copy:
            with self.refused("copy"):
                await subject.provider.copy(source, subject / "to", OPTIONS)
            return
        await subject.provider.copy(source, subject / "below/to", OPTIONS)
        assert await subject.read("below/to") == b"bytes"
        await subject.put(name, b"other bytes")
        with pytest.raises(PreconditionFailedError):
            await subject.provider.copy(source, subject / "below/to", OPTIONS)
        assert await subject.read("below/to") == b"bytes"
        subject.check_nothing_left()

    @pytest.mark.parametrize("with_time", [False, True])
    async def test_copy_keeps_a_time(self, subject: ProviderUnderTest, *, with_time: bool) -> None:
        """A copy keeps the time of its source; of a source without one, `options.modified` is kept."""
        subject.needs(copy=True, mtime=True)
        own, given = 1234567890.0, 1345678900.0
        options = ObjectOptions(modified=own if with_time else None)
        await subject.provider.write(subject / "from", body(b"bytes"), options)
        source = await subject.provider.stat(subject / "from")
        await subject.provider.copy(source, subject / "to", ObjectOptions(modified=given))
        expected = given if source.mtime is None else source.mtime
        step = subject.features.mtime_resolution
        kept = expected // step * step if step else expected
        assert (await subject.provider.stat(subject / "to")).mtime == pytest.approx(kept, abs=1e-6)

    async def test_copy_in_parts(self, subject: ProviderUnderTest) -> None:
        """Where objects are larger than a copy may be, parts are filled from another object."""
        subject.needs(copy=True)
        if subject.features.max_copy_size >= subject.features.max_size:
            pytest.skip("Features.max_copy_size is not below max_size")
        data = subject.sample()
        await subject.put("from", data)
        source = await subject.provider.stat(subject / "from")
        upload = await subject.provider.start_upload(subject / "to", len(data), OPTIONS)
        size = subject.part_size
        parts = [Part(index + 1, index * size, len(piece)) for index, piece in enumerate(subject.pieces(data))]
        await upload.finish([await upload.copy_part(part, source) for part in parts], None)
        assert await subject.read("to") == data

    async def test_rename(self, subject: ProviderUnderTest) -> None:
        """A rename moves an object over another one, and a directory with its content."""
        if not subject.features.rename:
            with self.refused("rename"):
                await subject.provider.rename(subject / "from", subject / "to")
            return
        await subject.put("from", b"new")
        await subject.put("to/name", b"old")
        await subject.provider.rename(subject / "from", subject / "to/name")
        await subject.provider.rename(subject / "to/", subject / "moved/deep/")
        assert await subject.names() == ["moved/deep/name"]
        assert await subject.read("moved/deep/name") == b"new"
        with pytest.raises(NotFoundError):
            await subject.provider.rename(subject / "missing", subject / "to")

    async def test_staged_object_has_no_name(self, subject: ProviderUnderTest) -> None:
        """A staged object is seen once it is committed; one that is discarded leaves the old one and no trace."""
        if not subject.features.stages:
            with self.refused("stages"):
                await subject.provider.stage(subject / "name", body(b"x"), OPTIONS)
            return
        await subject.put("name", b"old")
        staged = await subject.provider.stage(subject / "name", body(b"dropped"), OPTIONS)
        await staged.discard()
        assert await subject.read("name") == b"old"
        subject.check_nothing_left()
        staged = await subject.provider.stage(subject / "name", body(b"new"), OPTIONS)
        await staged.commit()
        await staged.discard()
        assert staged.entry.crc32c == crc32c(b"new")
        assert await subject.read("name") == b"new"
        subject.check_nothing_left()

    async def test_unfinished_uploads_are_found(self, subject: ProviderUnderTest) -> None:
        """An upload that nobody finished is found by its key, and can be aborted."""
        if not subject.features.unfinished_uploads:
            with self.refused("unfinished_uploads"):
                await subject.provider.unfinished_uploads(subject / "name")
            return
        begun = await subject.provider.start_upload(subject / "name", None, OPTIONS)
        other = await subject.provider.start_upload(subject / "name2", None, OPTIONS)
        ((found, started),) = await subject.provider.unfinished_uploads(subject / "name")
        assert found.id == begun.id
        assert abs(started - time()) < 600
        await found.abort()
        assert await subject.provider.unfinished_uploads(subject / "name") == []
        await other.abort()

    async def test_checksum_is_computed(self, subject: ProviderUnderTest) -> None:
        """`tell_checksum` gives the CRC32C of an object, and refuses another version."""
        await subject.put("name", b"bytes")
        entry = await subject.provider.stat(subject / "name")
        if not subject.features.checksum_told:
            with self.refused("checksum_told"):
                await subject.provider.tell_checksum(entry)
            return
        assert await subject.provider.tell_checksum(entry) in (None, crc32c(b"bytes"))
        await subject.put("name", b"other bytes")
        with pytest.raises(PreconditionFailedError):
            await subject.provider.tell_checksum(entry)

    async def test_presigned_url(self, subject: ProviderUnderTest) -> None:
        """A presigned URL works without credentials, as it is and no other way."""
        if not subject.features.presign:
            with self.refused("presign"):
                await subject.provider.presign(subject / "name", 60)
            return
        await subject.put("a b+c%?ü", b"signed")
        url = await subject.provider.presign(subject / "a b+c%?ü", 60)
        assert await asyncio.to_thread(_fetch, url) == (200, b"signed")
        assert (await asyncio.to_thread(_fetch, url[:-1] + ("0" if url[-1] != "0" else "1")))[0] in (401, 403, 410)
        if "a%20b" in url:
            assert (await asyncio.to_thread(_fetch, url.replace("a%20b", "other")))[0] == 403
        try:
            target = await subject.provider.presign(subject / "put", 60, method="PUT")
        except UnsupportedError:
            return  # the service has links for reading only
        assert (await asyncio.to_thread(_fetch, target, b"from outside"))[0] in (200, 201)
        assert await subject.read("put") == b"from outside"

    async def test_metadata(self, subject: ProviderUnderTest) -> None:
        """Where content type and metadata are kept, a copy and an upload in parts keep them, too."""
        subject.needs(read_only=False)
        options = ObjectOptions("text/csv; charset=utf-8", {"origin": "lab 7", "run": "1=2"})
        await subject.provider.write(subject / "one", body(b"x"), options)
        source = await subject.provider.stat(subject / "one")
        if not subject.features.metadata:
            assert source.metadata == {}
            return
        upload = await subject.provider.start_upload(subject / "two", 1, options)
        await upload.finish([await upload.write_part(Part(1, 0, 1), body(b"x"))], None)
        names = ["one", "two"]
        if subject.features.copy:
            await subject.provider.copy(source, subject / "three", OPTIONS)
            names.append("three")
        for name in names:
            entry = await subject.provider.stat(subject / name)
            assert (entry.content_type, entry.metadata) == (options.content_type, options.metadata)

    @pytest.mark.parametrize("in_parts", [False, True])
    async def test_time_of_the_source(self, subject: ProviderUnderTest, *, in_parts: bool) -> None:
        """The time of the source is kept, also of an upload in parts; elsewhere none is reported."""
        subject.needs(read_only=False)
        moment = 1234567890.123456
        options = ObjectOptions(modified=moment)
        if in_parts:
            data = subject.sample()
            upload = await subject.provider.start_upload(subject / "name", len(data), options)
            await upload.finish(await subject.write_parts(upload, data, [1, 2, 3]), crc32c(data))
        else:
            await subject.provider.write(subject / "name", body(b"content"), options)
        async with await subject.provider.read(subject / "name") as reader:
            told = [await subject.provider.stat(subject / "name"), reader.entry]
        if subject.features.mtime_listed:
            told += await subject.entries()
        if subject.features.mtime:
            step = subject.features.mtime_resolution
            kept = moment // step * step if step else moment
            assert [entry.mtime for entry in told] == pytest.approx([kept] * len(told), abs=1e-6)
            assert len({entry.mtime for entry in told}) == 1
        else:
            assert [entry.mtime for entry in told] == [None] * len(told)
        assert all("mtime" not in entry.metadata for entry in told)

    async def test_permission_bits(self, subject: ProviderUnderTest) -> None:
        """The permission bits of the source are kept for a new object; elsewhere none are reported."""
        subject.needs(read_only=False)
        await subject.provider.write(subject / "name", body(b"x"), ObjectOptions(mode=0o640))
        expected = 0o640 if subject.features.modes else None
        assert (await subject.provider.stat(subject / "name")).mode == expected

    async def test_unlisted_provider_refuses_to_list(self, subject: ProviderUnderTest) -> None:
        """A provider that says that it cannot list refuses it as UnsupportedError."""
        subject.needs(unlisted=True)
        with pytest.raises(UnsupportedError) as raised:
            await subject.provider.list_page(subject / "dir/", recursive=True)
        self.check_error(subject, raised.value, "dir")


async def _connect_and_read(provider: Provider, key: str) -> None:
    await provider.connect()
    async with await provider.read(key) as reader:
        await reader.read()


def _fetch(url: str, data: bytes | None = None) -> tuple[int, bytes]:
    """Gets a URL, or puts data there, without credentials; returns the status and the body."""
    # Azure needs to know what kind of blob it gets; others ignore that.
    headers = {} if data is None else {"x-ms-blob-type": "BlockBlob"}
    request = urllib.request.Request(url, data, headers, method="GET" if data is None else "PUT")
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, b""

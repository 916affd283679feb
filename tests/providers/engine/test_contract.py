"""The provider contract at engines: as the documentation has them, and with each other behaviour alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from dxflow_async.exceptions import StorageError
from dxflow_async.testing import ProviderContract, ProviderUnderTest
from tests.providers.engine.connected_engine import under_test
from tests.servers.engine_switches import NASTY, QUIRKS, Switches


async def learned(subject: ProviderUnderTest) -> None:
    """Lets a provider learn what its engine does with temporary names, which costs the first upload an attempt."""
    with suppress(StorageError):
        await subject.put("learned")
    await subject.put("learned")
    assert await subject.provider.delete([subject / "learned", subject.prefix]) == {}


_LEARNED = {"list_hidden", "upload_dot_names", "upload_answer", "upload_no_extension", "upload_force", "rename_exists"}
"""Switches about which a provider learns from its first upload."""


class ReplacingTests:
    """The tests of the contract in which most can be lost: replacing, deleting, renaming and listing."""

    check_error = staticmethod(ProviderContract.check_error)
    test_writes_of_one_key_at_a_time = ProviderContract.test_writes_of_one_key_at_a_time
    test_cancelled_write_leaves_the_old_object = ProviderContract.test_cancelled_write_leaves_the_old_object
    test_delete = ProviderContract.test_delete
    test_delete_of_a_directory = ProviderContract.test_delete_of_a_directory
    test_delete_without_a_slash_keeps_a_directory = ProviderContract.test_delete_without_a_slash_keeps_a_directory
    test_directory_with_content_is_not_removed = ProviderContract.test_directory_with_content_is_not_removed
    test_directory_in_the_place_of_an_object = ProviderContract.test_directory_in_the_place_of_an_object
    test_listing_by_directories = ProviderContract.test_listing_by_directories


class TestDocumented(ProviderContract):
    """An engine as the documentation has it."""

    @pytest_asyncio.fixture
    async def subject(self, tmp_path: Path) -> AsyncIterator[ProviderUnderTest]:
        async with under_test(tmp_path) as made:
            yield made


@pytest.mark.parametrize("nasty", NASTY)
class TestNasty(ReplacingTests):
    """Engines that are the most likely to lose something, and a few of the contract's tests."""

    @pytest_asyncio.fixture
    async def subject(self, tmp_path: Path, nasty: str) -> AsyncIterator[ProviderUnderTest]:
        async with under_test(tmp_path, Switches(**NASTY[nasty])) as made:
            await learned(made)
            yield made


@pytest.mark.long
@pytest.mark.parametrize("nasty", NASTY)
class TestNastyWhole(ProviderContract):
    """The same engines, and the whole contract."""

    @pytest_asyncio.fixture
    async def subject(self, tmp_path: Path, nasty: str) -> AsyncIterator[ProviderUnderTest]:
        async with under_test(tmp_path, Switches(**NASTY[nasty])) as made:
            await learned(made)
            yield made


@pytest.mark.long
@pytest.mark.parametrize("quirk", QUIRKS, ids=lambda quirk: f"{quirk[0]}={quirk[1]}")
class TestOtherwise(ProviderContract):
    """An engine that does one thing in another way."""

    @pytest_asyncio.fixture
    async def subject(self, tmp_path: Path, quirk: tuple[str, Any]) -> AsyncIterator[ProviderUnderTest]:
        async with under_test(tmp_path, Switches(**{quirk[0]: quirk[1]})) as made:
            if quirk[0] in _LEARNED:
                await learned(made)
            yield made

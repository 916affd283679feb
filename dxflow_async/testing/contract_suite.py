"""All tests of the provider contract in one class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dxflow_async.testing.capabilities import CapabilityTests
from dxflow_async.testing.directories import DirectoryTests
from dxflow_async.testing.listing import ListingTests
from dxflow_async.testing.reading import ReadingTests
from dxflow_async.testing.subject import ProviderUnderTest
from dxflow_async.testing.uploads import UploadTests
from dxflow_async.testing.writing import WritingTests

__all__ = ["ProviderContract"]


@pytest.mark.asyncio
class ProviderContract(ReadingTests, ListingTests, DirectoryTests, WritingTests, UploadTests, CapabilityTests):
    """The tests that every provider passes, whatever is behind it.

    A subclass whose name begins with `Test` overrides the fixture `subject`. A capability that the provider does not
    have is tested as well: what it must not do, and that `Features` says so.
    """

    if not TYPE_CHECKING:  # a fixture that overrides it may be asynchronous, which no type checker allows

        @pytest.fixture
        def subject(self) -> ProviderUnderTest:
            """The provider to test, with an empty prefix for one test."""
            raise NotImplementedError("override the fixture `subject`: see docs/providers.md")

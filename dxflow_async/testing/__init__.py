"""The tests that every provider passes, for pytest: subclass `ProviderContract` and say which provider to test.

Needs the extra `testing` (pytest and pytest-asyncio). `docs/providers.md` has a complete example.

    class TestMemory(ProviderContract):
        @pytest_asyncio.fixture
        async def subject(self):
            async with session_resources("MEMORY") as resources:
                provider = create_provider("memory", MemorySettings(), resources)
                await provider.connect()
                yield ProviderUnderTest(provider, "area/")
"""

from __future__ import annotations

import pytest

# Failed assertions then show their values, as those of a test file do. This has to come before the imports.
_TESTS = ("capabilities", "directories", "listing", "reading", "subject", "uploads", "writing")
pytest.register_assert_rewrite(*(f"{__name__}.{name}" for name in _TESTS))

from dxflow_async.testing.bodies import BrokenBody, body  # noqa: E402
from dxflow_async.testing.contract_suite import ProviderContract  # noqa: E402
from dxflow_async.testing.listing import NAMES  # noqa: E402
from dxflow_async.testing.resources import session_resources  # noqa: E402
from dxflow_async.testing.subject import ProviderUnderTest  # noqa: E402

__all__ = ["NAMES", "BrokenBody", "ProviderContract", "ProviderUnderTest", "body", "session_resources"]

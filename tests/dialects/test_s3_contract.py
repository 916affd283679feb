"""The S3 provider keeps the contract at servers that differ from Amazon's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from dxflow_async.testing import ProviderContract, ProviderUnderTest
from tests.dialects.s3_subject import s3_subject
from tests.dialects.s3_switches import ENGINE_ONLY, LONG, SWITCHES, UNMET


class TestContract(ProviderContract):
    """All tests of the contract, under each switch alone."""

    @pytest.fixture(
        params=[
            pytest.param(name, marks=[pytest.mark.long] if name in LONG else [])
            for name in SWITCHES
            if name not in ENGINE_ONLY
        ]
    )
    async def subject(self, request: pytest.FixtureRequest) -> AsyncIterator[ProviderUnderTest]:
        """A server of the test's own."""
        unmet = UNMET.get(request.param, {}).get(request.node.originalname)
        if unmet is not None:
            pytest.skip(unmet)
        async with s3_subject(replace(SWITCHES[request.param], page_size=50)) as subject:
            yield subject

"""Our own providers pass the tests that we ship for those of others."""

from __future__ import annotations

import pytest

from dxflow_async.testing import ProviderContract, ProviderUnderTest
from tests.contract.unmet import UNMET


class TestContract(ProviderContract):
    """Each provider at its real server."""

    @pytest.fixture(
        params=[
            "local",
            "aws",
            "juicefs",
            "juicefs_etags",
            pytest.param("moto", marks=pytest.mark.long),
            pytest.param("swift", marks=pytest.mark.long),
            "azure",
            "gcp",
            "unit",
            "https",
            "sftp",
            "openssh",
        ]
    )
    def subject(self, request: pytest.FixtureRequest) -> ProviderUnderTest:
        """A new provider adds its fixture to conftest.py and its name here."""
        known = UNMET.get(request.param, {})
        unmet = known.get(request.node.originalname) or known.get(request.node.name)
        if unmet is not None:
            pytest.skip(unmet)
        found: ProviderUnderTest = request.getfixturevalue(request.param)
        return found

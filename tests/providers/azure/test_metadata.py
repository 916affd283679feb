"""Metadata that Azure's headers cannot hold."""

from __future__ import annotations

import pytest

from dxflow_async.exceptions import UnsupportedError
from dxflow_async.providers.azure.headers import object_headers
from dxflow_async.providers.contract import ObjectOptions
from dxflow_async.providers.http import Call


@pytest.mark.parametrize("value", ["René", "a\r\nb", "\0"])
def test_value_that_azure_does_not_take(value: str) -> None:
    """A value beyond ASCII or with control characters is refused with its name, before a request."""
    with pytest.raises(UnsupportedError, match="'owner'"):
        object_headers(Call("AZURE", "write", "/c/a"), ObjectOptions(metadata={"owner": value}))

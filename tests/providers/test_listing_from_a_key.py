"""Pages that are requested from a key on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from dxflow_async.exceptions import UnsupportedError
from dxflow_async.providers.common.confirm import entries_after
from dxflow_async.providers.contract import Entry, Features, Page
from dxflow_async.providers.http import Call

CALL = Call("AWS", "list", "/b/")


def test_entries_up_to_the_key_are_dropped() -> None:
    """Entries up to the key are left out; a page that ends before it shows that the service begins elsewhere."""
    provider = cast("Any", SimpleNamespace(features=Features(list_after=True)))
    provider.origin = provider
    page = Page([Entry("b/a"), Entry("b/b"), Entry("b/c")], "next")
    kept = entries_after(provider, CALL, page, "b/b")
    assert ([entry.key for entry in kept.entries], kept.cursor) == (["b/c"], "next")
    assert provider.features.list_after
    with pytest.raises(UnsupportedError):
        entries_after(provider, CALL, page, "b/d")
    assert not provider.features.list_after

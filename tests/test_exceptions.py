from __future__ import annotations

import copy
import pickle
import re

import pytest

from dxflow_async import exceptions
from dxflow_async.exceptions import DxflowError, NotFoundError, StorageError, TransferError
from dxflow_async.models import TransferReport, TransferResult


def drawn() -> dict[str, tuple[str | None, str | None]]:
    """Each class of the picture: its parent there, and the builtin in brackets."""
    found: dict[str, tuple[str | None, str | None]] = {}
    above: list[str] = []
    for line in (exceptions.__doc__ or "").splitlines():
        match = re.match(r" {4}((?:[│ ] {2})*(?:[├└]─ )?)(\w+Error)(?:\((\w+)\))?", line)
        if match:
            depth = len(match[1]) // 3
            above[depth:] = [match[2]]
            found[match[2]] = (above[depth - 1] if depth else None, match[3])
    return found


def test_tree_is_as_it_is_drawn() -> None:
    """The picture has every class, under its parent, with the builtin it also is."""
    tree = drawn()
    assert sorted(tree) == sorted(exceptions.__all__)
    for name, (parent, builtin) in tree.items():
        bases = [base.__name__ for base in getattr(exceptions, name).__bases__]
        assert bases == [each for each in (parent or "Exception", builtin) if each]


def test_every_class_is_public() -> None:
    """Whatever the library raises can be caught by name."""
    classes = [each for each in vars(exceptions).values() if isinstance(each, type) and issubclass(each, DxflowError)]
    assert {each.__name__ for each in classes} == set(exceptions.__all__)


@pytest.mark.parametrize("name", exceptions.__all__)
@pytest.mark.parametrize("again", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))], ids=["copy", "pickle"])
def test_errors_travel_whole(name: str, again: object) -> None:
    """Pickled or copied, an error keeps its class, message and attributes."""
    cls = getattr(exceptions, name)
    options: dict[str, object] = {}
    if issubclass(cls, StorageError):
        options = {"provider": "AWS", "path": "/b/k", "status": 503, "retryable": True, "retry_after": 2.5}
    if issubclass(cls, TransferError):
        options["report"] = TransferReport([TransferResult("a", "b", error=NotFoundError("none", path="b"))], 1.5)
    error = cls("what failed", **options)
    other = again(error)  # type: ignore[operator]
    assert type(other) is cls
    assert str(other) == str(error) == "what failed"
    for attribute, value in options.items():
        if attribute != "report":
            assert getattr(other, attribute) == value
    if issubclass(cls, TransferError):
        assert other.report.failed[0].error.path == "b"
        assert other.report.seconds == 1.5


def test_retryable_by_kind_unless_said() -> None:
    """Each class says whether another try is worth it; the one who raises may know better."""
    assert exceptions.NetworkError("x").retryable
    assert not exceptions.NetworkError("x", retryable=False).retryable
    assert not NotFoundError("x").retryable
    assert NotFoundError("x", retryable=True).retryable

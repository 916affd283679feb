"""The blocking twins agree with the asynchronous ones: names, parameters, defaults and annotations."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from importlib import import_module
from typing import get_type_hints

import pytest

import dxflow_async
from dxflow_async import exceptions
from dxflow_async.blocking.area_storage import AreaStorage
from dxflow_async.blocking.compute import ComputeManager, ComputeUnit, UnitStorage
from dxflow_async.blocking.path import StoragePath
from dxflow_async.blocking.session import Session
from dxflow_async.blocking.storage import StorageManager
from dxflow_async.compute.manager import AsyncComputeManager
from dxflow_async.compute.storage import AsyncUnitStorage
from dxflow_async.compute.unit import AsyncComputeUnit
from dxflow_async.session import AsyncSession
from dxflow_async.storage.area_storage import AsyncAreaStorage
from dxflow_async.storage.manager import AsyncStorageManager
from dxflow_async.storage.path import AsyncStoragePath
from tests.blocking.twin_docstrings import blocking_lines

_RENAMED = {"aclose": "close", "__aenter__": "__enter__", "__aexit__": "__exit__"}
"""The language's own words for the same."""

_ONE_SIDED = {
    (AsyncSession, "sign_in"): "a blocking session has signed in when it is made",
    (Session, "settings"): "an attribute there, a property here",
}

_PARAMETERS = {
    (Session, "__init__", "progress"): "only the facade shows a bar",
    (StorageManager, "list", "return_info"): "only the facade prints",
    (AreaStorage, "list", "return_info"): "only the facade prints",
}
"""Parameters that one side has alone, each with a default."""

_ANNOTATIONS = {
    (StorageManager, "list", "return"): "None, because it prints",
    (StorageManager, "scan", "return"): "an iterator of the other kind",
    (StorageManager, "read", "return"): "an iterator of the other kind",
    (StorageManager, "open", "return"): "a file of io",
    (StorageManager, "write", "data"): "bytes, a file or an iterable instead of an asynchronous one",
    (StorageManager, "upload_many", "pairs"): "an iterable only, which the calling thread iterates",
    (StorageManager, "download_many", "pairs"): "an iterable only, which the calling thread iterates",
    (Session, "storage_at", "return"): "the other twin",
    (StorageManager, "at", "return"): "the other twin",
    (Session, "open", "return"): "a file of io",
    (Session, "read", "return"): "an iterator of the other kind",
    (Session, "scan", "return"): "an iterator of the other kind",
    (Session, "write", "data"): "bytes, a file or an iterable instead of an asynchronous one",
    (AreaStorage, "glob", "return"): "an iterator of the other kind",
    (UnitStorage, "glob", "return"): "an iterator of the other kind",
    (AreaStorage, "list", "return"): "None, because it prints",
    (AreaStorage, "scan", "return"): "an iterator of the other kind",
    (AreaStorage, "read", "return"): "an iterator of the other kind",
    (AreaStorage, "open", "return"): "a file of io",
    (AreaStorage, "write", "data"): "bytes, a file or an iterable instead of an asynchronous one",
    (AreaStorage, "upload_many", "pairs"): "an iterable only, which the calling thread iterates",
    (AreaStorage, "download_many", "pairs"): "an iterable only, which the calling thread iterates",
    (Session, "get_storage_manager", "return"): "the other twin",
    (Session, "get_compute_manager", "return"): "the other twin",
    (ComputeManager, "list", "return"): "None, because it prints",
    (ComputeManager, "get_unit", "return"): "the other twin",
    (ComputeManager, "register", "return"): "the other twin",
    (ComputeUnit, "storage", "return"): "the other twin",
    (Session, "path", "return"): "the other twin",
    (Session, "start", "return"): "the other twin",
    (StoragePath, "iterdir", "return"): "an iterator of the other kind",
    (StoragePath, "glob", "return"): "an iterator of the other kind",
    (StoragePath, "rglob", "return"): "an iterator of the other kind",
    (StoragePath, "open", "return"): "a file of io",
    (UnitStorage, "list", "return"): "None, because it prints",
    (UnitStorage, "ls", "return"): "None, because it prints",
    (UnitStorage, "scan", "return"): "an iterator of the other kind",
    (UnitStorage, "read", "return"): "an iterator of the other kind",
    (UnitStorage, "open", "return"): "a file of io",
    (UnitStorage, "write", "data"): "bytes, a file or an iterable instead of an asynchronous one",
    (UnitStorage, "upload_many", "pairs"): "an iterable only, which the calling thread iterates",
    (UnitStorage, "download_many", "pairs"): "an iterable only, which the calling thread iterates",
}

_TWINS: list[tuple[type, type]] = [
    (AsyncSession, Session),
    (AsyncStorageManager, StorageManager),
    (AsyncAreaStorage, AreaStorage),
    (AsyncComputeManager, ComputeManager),
    (AsyncComputeUnit, ComputeUnit),
    (AsyncUnitStorage, UnitStorage),
    (AsyncStoragePath, StoragePath),
]


def _public(cls: type) -> dict[str, object]:
    kept = ("__aenter__", "__aexit__", "__enter__", "__exit__", "_get_content_from_path")
    members = {name: inspect.getattr_static(cls, name) for name in dir(cls) if not name.startswith("_") or name in kept}
    return {_RENAMED.get(name, name): member for name, member in members.items()}


def _methods() -> list[tuple[type, str, Callable[..., object], Callable[..., object]]]:
    found = []
    for twin, facade in _TWINS:
        ours, theirs = _public(facade), _public(twin)
        for name in sorted(ours.keys() & theirs.keys()):
            one, other = theirs[name], ours[name]
            if one is other:  # what paths know without looking
                continue
            if isinstance(one, property):
                assert isinstance(other, property)
                one, other = one.fget, other.fget
            if inspect.isfunction(one) and inspect.isfunction(other):
                found.append((facade, name, one, other))
    return [*found, (Session, "__init__", AsyncSession.__init__, Session.__init__)]


@pytest.mark.parametrize(("twin", "facade"), _TWINS)
def test_each_has_what_the_other_has(twin: type, facade: type) -> None:
    """Every public name is on both sides, but for the listed ones; methods stay methods, properties properties."""
    alone = {name for cls, name in _ONE_SIDED if cls in (twin, facade)}
    theirs, ours = _public(twin), _public(facade)
    assert theirs.keys() ^ ours.keys() == alone
    for name in ours.keys() & theirs.keys():
        assert type(theirs[name]) is type(ours[name]), name


@pytest.mark.parametrize(("facade", "name", "twin", "ours"), _methods())
def test_signatures_agree(facade: type, name: str, twin: Callable[..., object], ours: Callable[..., object]) -> None:
    """Parameters in the same order, of the same kind, with the same defaults and annotations, but for the listed."""
    theirs, mine = inspect.signature(twin), inspect.signature(ours)
    alone = {parameter for cls, method, parameter in _PARAMETERS if (cls, method) == (facade, name)}
    assert alone <= mine.parameters.keys()
    assert all(mine.parameters[parameter].default is not inspect.Parameter.empty for parameter in alone)
    shared = [parameter for parameter in mine.parameters.values() if parameter.name not in alone]
    assert [(each.name, each.kind, each.default) for each in shared] == [
        (each.name, each.kind, each.default) for each in theirs.parameters.values()
    ]
    # Modules that are imported only when they are used are not among a method's names.
    names = {name: getattr(dxflow_async, name) for name in dxflow_async.__all__}
    annotations, others = get_type_hints(ours, localns=names), get_type_hints(twin, localns=names)
    for parameter in alone:
        del annotations[parameter]
    assert annotations.keys() == others.keys()
    listed = {parameter for cls, method, parameter in _ANNOTATIONS if (cls, method) == (facade, name)}
    assert {key for key in annotations if annotations[key] != others[key]} == listed


_OWN_WORDS = {"list", "ls", "write", "open", "close", "upload_many", "download_many"}
"""Methods that print, or that take or return something else than their twin: their docstrings differ in some lines."""


@pytest.mark.parametrize(("facade", "name", "twin", "ours"), _methods())
def test_docstrings_are_whole(
    facade: type, name: str, twin: Callable[..., object], ours: Callable[..., object]
) -> None:
    """Every blocking method is documented where it stands, in the same words as the asynchronous one."""
    if name.startswith("_"):
        return
    inherited = facade is UnitStorage and name not in vars(UnitStorage)
    documented = getattr(AsyncAreaStorage, name, twin) if inherited else twin
    documented = documented.fget if isinstance(documented, property) else documented
    assert callable(documented)
    mine, theirs = (inspect.getdoc(ours) or "").splitlines(), blocking_lines(documented)
    assert mine
    assert not any(phrase in line for line in mine for phrase in ("Twin:", "See `Async", "await ", " async def"))
    if name not in _OWN_WORDS:
        assert mine == theirs
        return
    for section in ("Args:", "Returns:", "Raises:", "Example:"):
        assert section not in theirs or section in mine
    shared = inspect.signature(ours).parameters.keys() & inspect.signature(twin).parameters.keys()
    named = [line for line in theirs if line.startswith("    ") and line[4:5] != " " and ":" in line]
    for parameter in shared:
        told = any(re.search(rf"\b{parameter}\b", line.partition(":")[0]) for line in named)
        assert not told or any(re.search(rf"\b{parameter}\b", line.partition(":")[0]) for line in mine)


def test_the_documented_import_name_has_the_facade_only() -> None:
    """`dxflow` gives Session and exceptions, and these are the ones of `dxflow_async`."""
    documented, errors = import_module("dxflow"), import_module("dxflow.exceptions")
    assert documented.__all__ == ["Session", "exceptions"]
    assert documented.Session is Session
    assert documented.exceptions is errors
    assert errors.__all__ == exceptions.__all__
    for name in exceptions.__all__:
        assert getattr(errors, name) is getattr(exceptions, name)

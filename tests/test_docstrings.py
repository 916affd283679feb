"""Public docstrings are whole: a first sentence, every parameter, and an example of each verb."""

from __future__ import annotations

import ast
import dataclasses
import doctest
import inspect
import re
import typing
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import dxflow_async
from dxflow_async import (
    AsyncAreaStorage,
    AsyncSession,
    AsyncStorageManager,
    AsyncUnitStorage,
    Session,
    StoragePath,
    providers,
)
from dxflow_async.blocking.area_storage import AreaStorage
from dxflow_async.blocking.compute import ComputeManager, ComputeUnit, UnitStorage
from dxflow_async.blocking.files import FileWriter
from dxflow_async.blocking.storage import StorageManager
from dxflow_async.testing import BrokenBody, ProviderContract, ProviderUnderTest, body, session_resources

_DOOR = {name: getattr(providers, name) for name in providers.__all__}
"""What packages that add a provider import."""

_DOOR_FUNCTIONS: dict[str, Callable[..., Any]] = {
    name: function for name, each in _DOOR.items() if inspect.isfunction(function := inspect.unwrap(each))
}

_CLASSES = sorted(
    {each for name in dxflow_async.__all__ if inspect.isclass(each := getattr(dxflow_async, name))}
    | {AreaStorage, ComputeManager, ComputeUnit, FileWriter, StorageManager, UnitStorage}
    | {each for each in _DOOR.values() if inspect.isclass(each) and each.__module__.startswith("dxflow_async")}
    | {BrokenBody, ProviderContract, ProviderUnderTest},
    key=lambda cls: cls.__name__,
)
"""The public classes, those that only a `Session` returns, and those that authors of providers subclass or make."""

_VERBS = frozenset({
    "upload", "download", "copy", "move", "sync", "check", "delete", "list", "scan", "stat", "exists", "read",
    "read_bytes", "write", "open", "presign", "upload_many", "download_many", "wait", "resume",
})  # fmt: skip
_HAVE_EXAMPLES = (
    AsyncSession, Session, AsyncStorageManager, StorageManager, AsyncAreaStorage, AreaStorage, AsyncUnitStorage,
    UnitStorage,
)  # fmt: skip

_REFUSED = {"check": {"timeout", "on_cancel", "processes", "executor", "credentials", "shared"}}
"""Options of the annotation that a call refuses, and says so."""


def _methods(cls: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yields the public methods and properties that a class and its bases of this package define."""
    names = {name for base in cls.__mro__ if base.__module__.startswith("dxflow_async") for name in vars(base)}
    for name in sorted(each for each in names if not each.startswith("_")):
        member = inspect.getattr_static(cls, name)
        function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
        if inspect.isfunction(function):
            yield name, function


_METHODS = {
    function: pytest.param(name, function, id=function.__qualname__)
    for cls in _CLASSES
    for name, function in _methods(cls)
    if not name.startswith("test_")  # of the conformance suite; pytest fills in what they take
} | {
    function: pytest.param(function.__name__, function, id=function.__name__)
    for function in (body, session_resources, *_DOOR_FUNCTIONS.values())
}


def _entries(documentation: str, section: str) -> set[str]:
    """Returns the names before the colons of a section."""
    names: set[str] = set()
    inside = False
    for line in documentation.splitlines():
        if line and not line.startswith(" "):
            inside = line == section
        elif inside and re.match(r" {4}\S.*?:", line):
            names |= set(re.findall(r"\w+", line.partition(":")[0]))
    return names


def _is_made_by_packages(cls: object) -> bool:
    """Returns whether something is a class of this package whose constructor others call: no protocol, and no error."""
    if not (inspect.isclass(cls) and cls.__module__.startswith("dxflow_async")):
        return False
    return not issubclass(cls, BaseException | str) and not getattr(cls, "_is_protocol", False)


def _missing(name: str, function: Callable[..., Any], documentation: str) -> set[str]:
    """Returns the parameters that the documentation does not name; of `**options`, each option or the name itself."""
    missing, told = set(), _entries(documentation, "Args:") | {"self", "cls"}
    for parameter in inspect.signature(function).parameters.values():
        wanted = {parameter.name}
        options = re.fullmatch(r"Unpack\[(\w+)\]", str(parameter.annotation))
        if options is not None:
            keys = set(typing.get_type_hints(function.__globals__[options[1]]))
            whole = parameter.name in told - keys  # one of `OpenOptions` is called `options`, too
            wanted = set() if whole else keys - _REFUSED.get(name, set())
        missing |= wanted - told
    return missing


@pytest.mark.parametrize("cls", _CLASSES, ids=lambda cls: cls.__name__)
def test_classes_begin_with_a_sentence(cls: type) -> None:
    """The first line of a class's docstring is a whole sentence, and the class has a docstring of its own."""
    assert cls.__doc__
    assert cls.__doc__.splitlines()[0].endswith(".")


@pytest.mark.parametrize(
    "cls", [each for each in _CLASSES if dataclasses.is_dataclass(each)], ids=lambda cls: cls.__name__
)
def test_dataclasses_document_their_fields(cls: type) -> None:
    """Every public field of a dataclass is named in its docstring."""
    fields = {field.name for field in dataclasses.fields(cls) if not field.name.startswith("_")}
    told = {name for base in cls.__mro__ for name in _entries(inspect.cleandoc(base.__doc__ or ""), "Attributes:")}
    assert fields - told == set()


@pytest.mark.parametrize("cls", [AsyncSession, Session, StoragePath])
def test_classes_that_users_make_name_their_arguments(cls: type) -> None:
    """The docstring of such a class has each argument of its constructor in `Args`."""
    told = _entries(inspect.getdoc(cls) or "", "Args:") | _entries(
        inspect.getdoc(inspect.getattr_static(cls, "__init__")) or "", "Args:"
    )
    assert inspect.signature(cls).parameters.keys() - told == set()


@pytest.mark.parametrize("name", [name for name, cls in _DOOR.items() if _is_made_by_packages(cls)])
def test_classes_that_packages_make_name_their_arguments(name: str) -> None:
    """Each argument of their constructors is in `Args` or `Attributes` of the class, or of one that it extends."""
    documented = [inspect.cleandoc(base.__doc__ or "") for base in _DOOR[name].__mro__]
    told = {word for text in documented for section in ("Args:", "Attributes:") for word in _entries(text, section)}
    given = {each for each in inspect.signature(_DOOR[name]).parameters if not each.startswith("_")}
    assert given - told == set()


@pytest.mark.parametrize(("name", "function"), list(_METHODS.values()))
def test_methods_name_their_parameters(name: str, function: Callable[..., Any]) -> None:
    """Each method begins with a whole sentence, and names each of its parameters in `Args`."""
    documentation = inspect.getdoc(function) or ""
    assert documentation
    assert documentation.splitlines()[0].endswith(".")
    assert _missing(name, function, documentation) == set()


def _example(documentation: str) -> str:
    """Returns the code of an example, without what it prints."""
    _, found, example = documentation.partition("\nExample:\n")
    assert found
    code = "".join(each.source for each in doctest.DocTestParser().get_examples(inspect.cleandoc(example)))
    assert code
    return code


@pytest.mark.parametrize("name", list(_DOOR_FUNCTIONS))
def test_functions_of_the_providers_door_are_whole(name: str) -> None:
    """Each says what it returns, if anything, and has an example that is valid Python and prints what it says."""
    function = _DOOR_FUNCTIONS[name]
    documentation = inspect.getdoc(function) or ""
    returns = inspect.signature(function).return_annotation != "None"
    assert ("\nReturns:\n" in documentation) is returns
    ast.parse(_example(documentation))
    examples = doctest.DocTestFinder(recurse=False).find(
        function, name, globs=vars(inspect.getmodule(function)) | _DOOR
    )
    for each in examples:
        if any(line.want for line in each.examples):
            assert doctest.DocTestRunner().run(each).failed == 0


@pytest.mark.parametrize(
    ("cls", "verb"), [(cls, verb) for cls in _HAVE_EXAMPLES for verb in sorted(_VERBS & set(dir(cls)))]
)
def test_verbs_have_an_example(cls: type, verb: str) -> None:
    """Each verb of sessions and storage has an example that is valid Python, on the blocking side without `await`."""
    _, found, example = (inspect.getdoc(getattr(cls, verb)) or "").partition("\nExample:\n")
    assert found
    lines = [line.strip() for line in example.splitlines() if line.strip()]
    assert lines
    assert all(line.startswith((">>> ", "... ", "...")) for line in lines)
    code = "\n".join(line[4:] for line in lines)
    compile(code, verb, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT if "Async" in cls.__name__ else 0)
    assert "Async" in cls.__name__ or not re.search(r"\b(await|async)\b", code)


@pytest.mark.parametrize("cls", [AsyncStorageManager, StorageManager])
def test_storage_managers_document_themselves(cls: type) -> None:
    """The documentation of a storage manager sends nobody to the class of one storage area."""
    told = {name: inspect.getdoc(function) or "" for name, function in _methods(cls)}
    assert [name for name, text in told.items() if re.search(r"[Ss]ee `(Async)?AreaStorage", text)] == []


_PLACE = {
    "    provider: the remote's name, in any case.",
    '    storage_type: `"private"` or `"public"`.',
    '    utype: the area, `"private"` or `"public"`.',
}


@pytest.mark.parametrize(("name", "function"), [each for each in _methods(AsyncStorageManager) if each[0] != "at"])
def test_storage_managers_say_the_same_as_areas(name: str, function: Callable[..., Any]) -> None:
    """A storage manager and a storage area document a call in the same words, but for the place and the example."""
    documented = inspect.getdoc(function), inspect.getdoc(getattr(AsyncAreaStorage, name))
    texts = [(text or "").partition("\nExample:\n")[0].splitlines() for text in documented]
    mine, theirs = ([line for line in text if line not in {*_PLACE, "Args:", ""}] for text in texts)
    assert mine == theirs

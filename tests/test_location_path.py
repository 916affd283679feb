"""Locations as paths, without looking at them."""

from __future__ import annotations

import os
import pickle
from pathlib import PurePosixPath

import pytest

from dxflow_async import ConfigurationError, StoragePath
from dxflow_async.glob_patterns import matches
from dxflow_async.location_path import LocationPath

ROOTS = ["aws:/", "minio:/", "s3://", "unit:/", "https://host/", "sftp://me@host:22/", "/", ""]


@pytest.mark.parametrize("root", ROOTS)
def test_what_pathlib_says(root: str) -> None:
    """Names, suffixes, parents and joins are those of a `PurePosixPath`, below any root."""
    for text in ("bucket/dir/x.tar.gz", "a/.hidden", "b/no.", "c", "d/e.f/g"):
        ours, model = LocationPath(root + text), PurePosixPath(text)
        assert (ours.name, ours.suffix, ours.stem) == (model.name, model.suffix, model.stem)
        assert ours.suffixes == model.suffixes
        assert ours.text == root + text
        assert (ours / "x").parent == ours
        assert [each.text for each in ours.parents][:-1] == [root + str(each) for each in model.parents][:-1]
        assert ours.with_name("new").text == root + str(model.with_name("new"))
        assert ours.with_suffix(".q").text == root + str(model.with_suffix(".q"))
        assert (ours / "k/l").relative_to(ours) == "k/l"
    top = LocationPath(f"{root}a").parent
    assert top.parent == top


def test_values() -> None:
    """Paths are hashable, sorted and pickled as texts, cannot be changed, and forget slashes at the end."""
    path = StoragePath("aws:/bucket/dir/")
    assert path == StoragePath("aws:/bucket//dir")
    assert len({path, StoragePath("aws:/bucket/dir"), StoragePath("gcp:/bucket/dir")}) == 2
    assert sorted([StoragePath("aws:/b"), StoragePath("aws:/a/c"), StoragePath("aws:/a")])[1].text == "aws:/a/c"
    assert pickle.loads(pickle.dumps(path)) == path
    assert b"aws:/bucket/dir" in pickle.dumps(path)
    assert (str(path), repr(path)) == ("aws:/bucket/dir", "StoragePath('aws:/bucket/dir')")
    with pytest.raises(AttributeError):
        path.name = "x"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        path._root = "x"
    with pytest.raises(ConfigurationError, match=r"session\.path"):
        path.exists()


def test_what_is_refused() -> None:
    """A remote path is no path of this machine, and joins take relative names."""
    with pytest.raises(ConfigurationError, match="not a path of this machine"):
        os.fspath(LocationPath("aws:/bucket/x"))
    assert os.fspath(LocationPath("local:/tmp/x")) == os.fspath(LocationPath("/tmp/x")) == "/tmp/x"
    for name in ("/x", "/"):
        with pytest.raises(ConfigurationError, match="slash"):
            LocationPath("aws:/bucket") / name
    with pytest.raises(ConfigurationError):
        LocationPath("")
    with pytest.raises(ValueError, match="suffix"):
        LocationPath("aws:/b/x").with_suffix("csv")


def test_secrets_of_urls() -> None:
    """The query of a URL stays at its end, and no repr shows it."""
    path = LocationPath("https://account.blob.core.windows.net/c?sig=secret") / "x"
    assert path.text == "https://account.blob.core.windows.net/c/x?sig=secret"
    assert path.parent.parent.text.endswith("net/?sig=secret")
    assert "secret" not in repr(path)


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("*.csv", ["a.csv", ".csv"], ["a/b.csv", "acsv"]),
        ("**/*.csv", ["a.csv", "a/b/c.csv"], ["a.txt"]),
        ("a?b", ["axb"], ["a/b", "ab"]),
        ("a[0-9]", ["a1"], ["ax", "a/"]),
        ("a[!0-9]", ["ax"], ["a1", "a/"]),
        ("dir/**", ["dir/a", "dir/a/b"], ["other/a"]),
        ("a.(b)+", ["a.(b)+"], ["ax(b)b"]),
        ("[", ["["], ["x"]),
    ],
)
def test_globs(pattern: str, yes: list[str], no: list[str]) -> None:
    """Wildcards stay within a segment, and other characters stand for themselves."""
    wanted = pattern.split("/")
    assert [name for name in yes if not matches(name.split("/"), wanted)] == []
    assert [name for name in no if matches(name.split("/"), wanted)] == []

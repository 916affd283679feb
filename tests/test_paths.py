from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dxflow_async.exceptions import ConfigurationError, UnsafePathError
from dxflow_async.paths import check_key, key_of, local_name, parent_of, parse_location, provider_name, unit_path

texts = st.text(alphabet="ab/.\\:\0é\ud800 ", max_size=20) | st.text(max_size=20)


@given(path=texts)
def test_key_has_no_leading_slash_and_all_else(path: str) -> None:
    """A key is the path without its leading slashes."""
    key = key_of(path)
    assert not key.startswith("/")
    assert path.endswith(key)
    assert set(path[: len(path) - len(key)]) <= {"/"}
    assert key_of(f"/{key}") == key


@given(path=texts)
def test_parent_is_a_directory_above(path: str) -> None:
    """A parent ends in a slash, is a beginning of the path, and going up ends at the root."""
    path = f"/{path}"
    for _ in range(30):
        parent = parent_of(path)
        assert parent.endswith("/")
        assert path.startswith(parent) or not path.strip("/")
        assert len(parent) <= len(path)
        path = parent
    assert parent_of("/") == "/"


@given(name=texts)
def test_local_name_stays_where_it_is_put(name: str) -> None:
    """Whatever the name, the file lies below the root, or the name is refused."""
    try:
        local = local_name(name)
    except UnsafePathError:
        return
    path = os.path.normpath(os.path.join("/root-of-all", local))
    assert path.startswith("/root-of-all/")
    assert path == f"/root-of-all/{local}"
    assert "\0" not in path


@pytest.mark.parametrize(
    "name", ["", "/", "/etc/passwd", "..", "a/../../b", "a//b", "./a", "a\0b", "\ud800", "x" * 256]
)
def test_hostile_local_names_are_refused(name: str) -> None:
    """Names that climb, are absolute or cannot be files are errors that say so."""
    with pytest.raises(UnsafePathError, match="refused"):
        local_name(name)


@given(key=texts)
def test_checked_keys_round_trip(key: str) -> None:
    """A key that may be created can be downloaded again under its name."""
    try:
        check_key(key, provider="AWS", operation="upload")
    except UnsafePathError as error:
        str(error).encode()
        return
    assert local_name(key) == key.removesuffix("/")


@given(text=texts)
def test_locations_are_understood_or_refused(text: str) -> None:
    """A text is a local path, or a provider and an absolute path; written again it is the same place."""
    try:
        location = parse_location(text)
    except ConfigurationError:
        return
    if location.provider != "LOCAL":
        assert location.path.startswith("/")
        assert parse_location(str(location)) == location


@pytest.mark.parametrize(
    ("text", "provider", "path"),
    [
        ("aws:/b/k", "AWS", "/b/k"),
        ("AZURE:/c/", "AZURE", "/c/"),
        ("unit:/Demo/x", "UNIT", "/Demo/x"),
        ("local:/x", "LOCAL", "/x"),
        ("local:", "LOCAL", "."),
        ("./aws:/x", "LOCAL", "./aws:/x"),
        ("C:/x", "LOCAL", "C:/x"),
        ("other:/x", "LOCAL", "other:/x"),
    ],
)
def test_what_locations_mean(text: str, provider: str, path: str) -> None:
    """Only the names of providers are schemes."""
    location = parse_location(text)
    assert (location.provider, location.path) == (provider, path)


@pytest.mark.parametrize("text", ["", "aws:b/k", "aws:", "unit:Demo"])
def test_half_locations_are_refused(text: str) -> None:
    """Nothing, or a provider without an absolute path, is a mistake."""
    with pytest.raises(ConfigurationError):
        parse_location(text)


def test_provider_names_in_any_case() -> None:
    """The documented names, in capitals."""
    assert provider_name("aws") == provider_name("AWS") == "AWS"
    with pytest.raises(ConfigurationError, match="GCP"):
        provider_name(None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "unit", "inside"),
    [("/Demo/a/b/", "Demo", "/a/b/"), ("/Demo/", "Demo", "/"), ("/Demo", "Demo", "/"), ("/my unit/ä", "my unit", "/ä")],
)
def test_a_unit_is_the_first_segment(path: str, unit: str, inside: str) -> None:
    """What follows is the path on it; the unit alone is its root."""
    assert unit_path(path) == (unit, inside)


def test_a_location_without_a_unit_is_refused() -> None:
    """It says how one is written."""
    with pytest.raises(ConfigurationError, match="unit:/NAME/path"):
        unit_path("/")

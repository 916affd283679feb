from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dxflow_async.exceptions import ConfigurationError, UnsafePathError
from dxflow_async.paths import (
    check_key,
    is_local_path,
    key_of,
    local_name,
    parent_of,
    parse_location,
    provider_name,
    unit_path,
    unknown_scheme,
)

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
    if location.provider not in ("LOCAL", "URL"):
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
        ("../aws:/x", "LOCAL", "../aws:/x"),
        ("/aws:/x", "LOCAL", "/aws:/x"),
        ("~/a:b", "LOCAL", "~/a:b"),
        ("dir/a:b", "LOCAL", "dir/a:b"),
        ("my note: today", "LOCAL", "my note: today"),
    ],
)
def test_what_locations_mean(text: str, provider: str, path: str) -> None:
    """Only the names of providers are schemes."""
    location = parse_location(text)
    assert (location.provider, location.path) == (provider, path)


@pytest.mark.parametrize(
    ("text", "provider", "path"),
    [
        ("s3://bucket/x", "AWS", "/bucket/x"),
        ("S3://Bucket/x/", "AWS", "/Bucket/x/"),
        ("s3://bucket", "AWS", "/bucket"),
        ("s3://", "AWS", "/"),
        ("s3://bucket/a%20b?c#d//e:f@g", "AWS", "/bucket/a%20b?c#d//e:f@g"),
        ("gs://bucket/x y", "GCP", "/bucket/x y"),
        ("az://container/x", "AZURE", "/container/x"),
        ("file:///dir/a%20b%2Fc/", "LOCAL", "/dir/a b/c/"),
        ("file:///dir/a?b#c", "LOCAL", "/dir/a?b#c"),
        ("FILE://localhost/dir/x", "LOCAL", "/dir/x"),
        ("file:///%ff", "LOCAL", "/\udcff"),
        ("file:///\udcff", "LOCAL", "/\udcff"),
        ("minio:/bucket/x", "MINIO", "/bucket/x"),
        ("MinIO:/bucket/x", "MINIO", "/bucket/x"),
        ("second-account:/x", "SECOND-ACCOUNT", "/x"),
        ("./minio:/x", "LOCAL", "./minio:/x"),
        ("./s3://x", "LOCAL", "./s3://x"),
        ("sftp://me@host:22/dir/x", "URL", "sftp://me@host:22/dir/x"),
        (
            "https://account.blob.core.windows.net/box/x?sig=S",
            "URL",
            "https://account.blob.core.windows.net/box/x?sig=S",
        ),
    ],
)
def test_urls_and_names_of_remotes(text: str, provider: str, path: str) -> None:
    """URLs mean what other programs mean by them; the names of remotes are known in any case."""
    location = parse_location(text, ("minio", "second-account"), ("sftp",))
    assert (location.provider, location.path) == (provider, path)
    assert unknown_scheme(text, ("minio", "second-account"), ("sftp",)) is None


def test_a_urls_query_is_not_shown() -> None:
    """A location whose query may be a signature shows it nowhere."""
    location = parse_location("https://account.blob.core.windows.net/box/x?sv=1&sig=SECRET")
    assert "SECRET" not in f"{location!r} {location}"
    assert str(location) == "https://account.blob.core.windows.net/box/x"


@pytest.mark.parametrize(
    "text",
    [
        "s3:///key",
        "s3://me:SECRET@host/x",
        "az://box@account/x",
        "gs://host:80/x",
        "file://host/x",
        "file://",
        "file:///%00",
    ],
)
def test_urls_that_are_not_valid(text: str) -> None:
    """A URL without a bucket, with a user or of another machine is an error; no password is shown."""
    with pytest.raises(ConfigurationError, match=r"must follow|write file:///") as raised:
        parse_location(text)
    assert "SECRET" not in str(raised.value) + repr(raised.value)


def test_errors_name_the_remotes_and_schemes() -> None:
    """An unknown name is an error that lists what is known, and the nearest name."""
    with pytest.raises(ConfigurationError) as raised:
        parse_location("mino:/bucket/x", ("minio",), ("sftp",))
    assert "write minio:/bucket/x" in str(raised.value)
    assert "aws:, azure:, gcp:, minio:, unit:, local: and the URLs az://, file://, gs://, s3://, sftp://" in str(
        raised.value
    )
    with pytest.raises(ConfigurationError, match="AWS, AZURE, GCP, MINIO"):
        provider_name("mino", ("minio",))


@pytest.mark.parametrize("text", ["", "aws:b/k", "aws:", "unit:Demo"])
def test_half_locations_are_refused(text: str) -> None:
    """Nothing, or a provider without an absolute path, is a mistake."""
    with pytest.raises(ConfigurationError):
        parse_location(text)


FOREIGN = {
    "s3a://bucket/x": "aws:/bucket/x",
    "gs:bucket/x": "gcp:/bucket/x",
    "s3:/bucket/x": "aws:/bucket/x",
    "gcs://bucket/x y": "gcp:/bucket/x y",
    "abfss://container@account.dfs.core.windows.net/x": "azure:/container/x",
    "https://bucket.s3.eu-central-1.amazonaws.com/x?X-Amz-Signature=SECRET": "aws:/bucket/x",
    "https://storage.googleapis.com/bucket/x?X-Goog-Signature=SECRET": "gcp:/bucket/x",
    "file:/dir/x": "/dir/x",
    "asw:/bucket/x?sig=SECRET": "aws:/bucket/x",
    "azur:/container/x": "azure:/container/x",
    "units:/Demo/x": "unit:/Demo/x",
    "asw:bucket/x": "aws:/bucket/x",
}


@pytest.mark.parametrize("text", FOREIGN)
def test_foreign_and_mistyped_locations_are_refused_with_what_to_write(text: str) -> None:
    """What other programs write, or nearly a provider's name, is an error that says how it is written here."""
    with pytest.raises(ConfigurationError, match="not a known place") as raised:
        parse_location(text)
    message = str(raised.value)
    assert f"write {FOREIGN[text]}" in message
    assert all(known in message for known in ("aws:", "azure:", "gcp:", "unit:", "local:"))
    assert "SECRET" not in message + repr(raised.value)


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("https://me:SECRET@host/x", "SECRET"),
        ("me:SECRET@host:/x", "SECRET"),
        ("BlobEndpoint=https://host/;SharedAccessSignature=SECRET", "SECRET"),
        ("aws:bucket/x?sig=SECRET", "SECRET"),
        ("s3:?token=SECRET", "SECRET"),
    ],
)
def test_a_refused_location_shows_no_secret(text: str, secret: str) -> None:
    """Passwords, signatures and keys that stand in a location are in no part of the error."""
    with pytest.raises(ConfigurationError) as raised:
        parse_location(text)
    assert secret not in str(raised.value) + repr(raised.value)


@pytest.mark.parametrize(
    "text", ["report:2024.csv", "10:30.log", "2024-01-01T10:00:00", "foo::bar", "C:\\x", "b2:/bucket/x", "my dir:/x"]
)
def test_names_with_a_colon_need_a_dot_in_front(text: str) -> None:
    """A word before a colon is no name of a file unless the user says so, as the error tells."""
    with pytest.raises(ConfigurationError, match="for a local path of that name write") as raised:
        parse_location(text)
    assert f"./{text}" in raised.value.args[0]
    assert parse_location(f"./{text}").path == f"./{text}"


@pytest.mark.parametrize("text", ["minio:/bucket/x", "Lab-2:/x"])
def test_a_remote_that_is_not_defined_yet(text: str) -> None:
    """The error about an unknown word before a path names the command that defines a remote of that name."""
    name = text.partition(":")[0].lower()
    with pytest.raises(ConfigurationError, match=f"define the remote with dxflow-async remotes add {name}, or for a"):
        parse_location(text)


def test_drive_letters_are_words() -> None:
    """A single letter before a colon is a word as others are: there are no drives on POSIX systems."""
    assert unknown_scheme("C:\\x") == "C"
    assert unknown_scheme("s3:/x") == "s3"


def test_what_exists_is_local_whatever_it_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source that exists, or that a pattern matches; a destination that exists, or whose first directory does."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a:").mkdir()
    for name in ("report:2024.csv", "10:30.log", "a:/file"):
        (tmp_path / name).touch()
    (tmp_path / "dangling:").symlink_to("nowhere")
    for text in ("report:2024.csv", "10:*.log", "a:/file", "a:/", "a:/*", "dangling:", "s3:/../a:/file"):
        assert is_local_path(text, new=False) == (text != "s3:/../a:/file")
    for text in ("report:2025.csv", "11:*.log", "a:/none", "s3://a/b", "a\0:"):
        assert not is_local_path(text, new=False)
    assert is_local_path("a:/new/file", new=True)
    assert is_local_path("report:2024.csv", new=True)
    for text in ("report:2025.csv", "b:/file", "10:*.log", "a://new", "report:2024.csv/new", "dangling:/x"):
        assert not is_local_path(text, new=True)


def test_provider_names_in_any_case() -> None:
    """The documented names, in capitals."""
    assert provider_name("aws") == provider_name("AWS") == "AWS"
    assert provider_name("MinIO", ("minio",)) == "MINIO"
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


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a//b", "cannot hold a name with an empty"),
        ("/a", "cannot hold a name with an empty"),
        ("./a", "cannot hold a name with an empty"),
        ("a\0b", "NUL"),
        ("a/../b", "would leave the destination"),
    ],
)
def test_reason_why_a_disk_cannot_hold_a_name(name: str, reason: str) -> None:
    """Only a name with `..` would leave the destination; other names are refused with their own reason."""
    with pytest.raises(UnsafePathError, match=f"{reason}.*copy it to another bucket"):
        local_name(name)

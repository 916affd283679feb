"""Downloads, previews, images and zip files."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import pytest

from dxflow_async.hub_page.contents import attachment
from dxflow_async.hub_page.zips import safe_name
from tests.hub_page.page_client import Browser

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
HTML = b"<html><script>alert(1)</script></html>"


async def test_a_file_is_an_attachment(disk_user: Browser, tmp_path: Path) -> None:
    """Whatever it holds, no browser shows it as a page of this site; ranges and conditions work."""
    (tmp_path / "page.html").write_bytes(HTML)
    location = f"local:{tmp_path}/page.html"
    answer = await disk_user.get("page/file", location=location)
    assert (answer.status, answer.content) == (200, HTML)
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"].startswith("attachment;")
    assert answer.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    head = await disk_user.request("HEAD", "page/file", headers=None, data=None, location=location)
    assert (head.status, head.content, head.headers["Content-Length"]) == (200, b"", str(len(HTML)))
    for given, status, content in (
        ("bytes=1-4", 206, HTML[1:5]),
        ("bytes=5-", 206, HTML[5:]),
        ("bytes=-3", 206, HTML[-3:]),
        ("bytes=1-9999", 206, HTML[1:]),
        ("bytes=9999-", 416, b""),
        ("bytes=0-1,3-4", 200, HTML),
        ("bytes=4-1", 200, HTML),
        ("lines=1-2", 200, HTML),
    ):
        part = await disk_user.request("GET", "page/file", headers={"Range": given}, data=None, location=location)
        assert (part.status, part.content) == (status, content), given
    assert (await disk_user.get("page/file", location=f"local:{tmp_path}/")).code == "is_directory"
    assert (await disk_user.get("page/file", location=f"local:{tmp_path}")).code == "is_directory"
    assert (await disk_user.get("page/file", location=f"local:{tmp_path}/none")).code == "not_found"


async def test_conditions_on_a_file(user: Browser) -> None:
    """A file that has not changed is not sent again; a range of another version is the whole file."""
    await user.upload("unit:/Demo/tagged", b"0123456789")
    first = await user.get("page/file", location="unit:/Demo/tagged")
    etag = first.headers["ETag"]
    for headers, status in (
        ({"If-None-Match": etag}, 304),
        ({"If-None-Match": '"other"'}, 200),
        ({"Range": "bytes=1-2", "If-Range": etag}, 206),
        ({"Range": "bytes=1-2", "If-Range": '"other"'}, 200),
    ):
        answer = await user.request("GET", "page/file", headers=headers, data=None, location="unit:/Demo/tagged")
        assert answer.status == status, headers


@pytest.mark.parametrize(
    "name", ['a"b.txt', "a\r\nSet-Cookie: x=1", "ü€.txt", "a;filename=b", "%22", "\udcff", "..", "a\\b"]
)
def test_no_name_gets_out_of_a_header(name: str) -> None:
    """The value is ASCII without control characters, quotes within, or a second parameter of its own."""
    value = attachment(name)
    assert value.isascii()
    assert value.isprintable()
    assert value.count('"') == 2
    assert value.endswith(value.rpartition("filename*=UTF-8''")[2])


async def test_a_hostile_name_is_downloaded(disk_user: Browser, tmp_path: Path) -> None:
    """Quotes, line ends and markup in it change no header."""
    name = 'x"\r\nSet-Cookie: a=b; <img src=x>.html'
    (tmp_path / name).write_text("x")
    answer = await disk_user.get("page/file", location=f"local:{tmp_path}/{name}")
    assert (answer.status, answer.content) == (200, b"x")
    assert "Set-Cookie" not in answer.headers


async def test_previews(disk_user: Browser, tmp_path: Path) -> None:
    """Text, rows and images are told by their bytes; the beginning of a long text ends at a whole character."""
    files = {
        "a.txt": "grüße".encode(),
        "b.csv": b'a,b\n1,"x,y"\n',
        "c.png": PNG,
        "d.bin": bytes(range(256)),
        "empty": b"",
        "long.txt": "ü".encode() * 50_000,
        "long.csv": b"1,2,3\n" * 50_000,
        "fake.png": HTML,
        "e.tsv": b"a\tb\n",
        "utf16.txt": "\ufeffhallo".encode("utf-16-le"),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    found = {name: (await disk_user.get("page/preview", location=f"local:{tmp_path}/{name}")).tree for name in files}
    kinds = {name: each["kind"] for name, each in found.items()}
    assert kinds == {
        "a.txt": "text",
        "b.csv": "csv",
        "c.png": "image",
        "d.bin": "none",
        "empty": "text",
        "long.txt": "text",
        "long.csv": "csv",
        "fake.png": "text",
        "e.tsv": "csv",
        "utf16.txt": "text",
    }
    assert found["a.txt"]["text"] == "grüße"
    assert found["utf16.txt"]["text"] == "hallo"
    assert found["b.csv"]["rows"] == [["a", "b"], ["1", "x,y"]]
    assert found["d.bin"]["reason"]
    assert set(found["long.txt"]["text"]) == {"ü"}
    assert (found["long.txt"]["truncated"], found["a.txt"]["truncated"]) == (True, False)
    assert len(found["long.csv"]["rows"]) == 200
    image = await disk_user.get("page/image", location=f"local:{tmp_path}/c.png")
    assert (image.status, image.headers["Content-Type"], image.content) == (200, "image/png", PNG)
    assert image.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    for name in ("fake.png", "a.txt", "empty"):
        assert (await disk_user.get("page/image", location=f"local:{tmp_path}/{name}")).status in (413, 415)


async def test_a_directory_is_a_zip_file(disk_user: Browser, tmp_path: Path) -> None:
    """Small and large files, empty ones, empty directories and odd names are in it, each under a name of its own."""
    files = {
        "a.txt": b"a",
        "sub/empty": b"",
        "sub/large": os.urandom(3 << 20),
        "sub/ü €.txt": b"u",
        "sub/back\\slash": b"b",
        "A.TXT": b"other",
    }
    for number in range(30):
        files[f"many/{number}"] = str(number).encode()
    top = tmp_path / "top"
    for name, content in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(content)
    (top / "nothing in it").mkdir()
    answer = await disk_user.get("page/zip", location=f"local:{top}/")
    assert answer.status == 200
    assert 'filename="top.zip"' in answer.headers["Content-Disposition"]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as zipped:
        assert zipped.testzip() is None
        names = zipped.namelist()
        assert len({name.casefold() for name in names}) == len(names)
        assert sorted(zipped.read(name) for name in names if not name.endswith("/")) == sorted(files.values())
        assert "top/nothing in it/" in names
        assert zipped.read("top/sub/ü €.txt") == b"u"
        assert not [name for name in names if "\\" in name or ".." in name or name.startswith("/")]


async def test_several_locations_are_one_zip_file(disk_user: Browser, tmp_path: Path) -> None:
    """Files and directories, of which two may have the same name."""
    for name in ("x/f", "y/f"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(name)
    query = "&".join(f"location=local:{tmp_path}/{name}" for name in ("x/f", "y/f", "x/"))
    async with disk_user.http.get(f"{disk_user.base}page/zip?{query}") as response:
        content = await response.read()
    with zipfile.ZipFile(io.BytesIO(content)) as zipped:
        assert {name: zipped.read(name) for name in zipped.namelist()} == {
            "f": b"x/f",
            "f (2)": b"y/f",
            "x/": b"",
            "x/f": b"x/f",
        }
    assert (await disk_user.get("page/zip")).code == "invalid_location"
    assert (await disk_user.get("page/zip", location=f"local:{tmp_path}/none")).code == "not_found"


async def test_a_zip_file_that_fails_is_never_whole(disk_user: Browser, tmp_path: Path) -> None:
    """A file that cannot be read cuts the connection, so that no part of the directory is taken for all of it."""
    top = tmp_path / "top"
    top.mkdir()
    (top / "a").write_bytes(os.urandom(2 << 20))
    (top / "z").symlink_to("nowhere")
    import aiohttp

    with pytest.raises(aiohttp.ClientError):
        await disk_user.get("page/zip", location=f"local:{top}/")


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "/etc/passwd", "a/../../b", "C:\\x", "a\\..\\..\\b", "con", "x/./y", "a\0b", "a//b", "x. "],
)
def test_no_entry_leaves_its_directory(name: str) -> None:
    """Names of objects are whatever somebody has chosen; those of entries are safe to unpack anywhere."""
    safe = safe_name(name)
    assert not safe.startswith("/")
    assert all(part.strip(". ") for part in safe.split("/"))
    assert not set(safe) & set('\\:\0"<>|?*')


async def test_hostile_keys_of_s3_become_safe_entries(cloud_user: Browser, bucket: str) -> None:
    """Keys that some system gives a meaning are entries with plain names."""
    for key in ("zip/ok", "zip/C:x", "zip/con.txt", 'zip/a"b'):
        assert (await cloud_user.upload(f"aws:/{bucket}/{key}", key.encode())).status == 201
    answer = await cloud_user.get("page/zip", location=f"aws:/{bucket}/zip/")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as zipped:
        found = {name: zipped.read(name) for name in zipped.namelist() if not name.endswith("/")}
    assert found == {"zip/ok": b"zip/ok", "zip/C_x": b"zip/C:x", "zip/_con.txt": b"zip/con.txt", "zip/a_b": b'zip/a"b'}

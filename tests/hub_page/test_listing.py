"""Listing, searching and sizes."""

from __future__ import annotations

import os
from pathlib import Path

from dxflow_async import Settings
from tests.hub_page.page_client import Browser, browser, running_hub, running_page


async def test_a_directory_comes_in_pages(tmp_path: Path) -> None:
    """Every name comes once, whether the server still has the listing open or not; kinds and sizes are told."""
    directory = tmp_path / "many"
    directory.mkdir()
    for number in range(250):
        (directory / f"{number:03}.txt").write_text("x" * number)
    (directory / "sub").mkdir()
    (directory / "a link").symlink_to("000.txt")
    os.mkfifo(directory / "pipe")
    async with running_page(Settings(home=tmp_path / "home")) as user:
        names, after, pages = [], None, 0
        while True:
            query: dict[str, str] = {"after": after} if after else {}
            answer = await user.get("page/list", location=f"local:{directory}/", limit="100", **query)
            assert answer.status == 200, answer.content
            names += [(each["name"], each["kind"], each["size"]) for each in answer.tree["items"]]
            after, pages = answer.tree["next"], pages + 1
            if after is None:
                break
            if pages == 1:
                after = f"closed.{after.partition('.')[2]}"
        assert pages == 3
        kinds = {name: (kind, size) for name, kind, size in names}
        assert len(names) == len(kinds)
        assert kinds["249.txt"] == ("file", 249)
        assert kinds["sub"] == ("directory", None)
        assert kinds.get("a link", ("link", 0))[0] == "link"
        assert {f"{number:03}.txt" for number in range(250)} <= kinds.keys()


async def test_a_name_that_is_not_utf8_works_by_its_location(tmp_path: Path) -> None:
    """It is marked odd, its name is text, and its location is ASCII that lists it."""
    odd = os.fsencode(tmp_path) + b'/top/d\xff"r <b>'
    os.makedirs(odd)
    with open(odd + b"/inside", "w") as file:  # noqa: ASYNC230 - before anything runs
        file.write("x")
    async with running_page(Settings(home=tmp_path / "home")) as user:
        item = (await user.get("page/list", location=f"local:{tmp_path}/top")).tree["items"][0]
        assert item["odd"] is True
        assert item["location"].isascii()
        assert item["name"].encode()
        inside = (await user.get("page/list", location=item["location"])).tree["items"]
        assert [each["name"] for each in inside] == ["inside"]
        assert inside[0]["location"].startswith("%:")


async def test_search_and_size_below_a_directory(tmp_path: Path) -> None:
    """Both look at everything below; a search ignores case, and an error is the last line."""
    for name in ("a/Report.txt", "a/b/report2.txt", "c/other"):
        (tmp_path / "top" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "top" / name).write_text("12345")
    async with running_page(Settings(home=tmp_path / "home")) as user:
        found = (await user.get("page/search", location=f"local:{tmp_path}/top", text="REPORT")).lines
        assert [each["item"]["name"] for each in found[:-1]] == ["Report.txt", "report2.txt"]
        assert found[0]["item"]["location"] == f"local:{tmp_path}/top/a/Report.txt"
        assert found[-1]["done"] is True
        assert (await user.get("page/size", location=f"local:{tmp_path}/top/")).lines[-1] == {
            "files": 3,
            "bytes": 15,
            "done": True,
        }
        assert (await user.get("page/list", location=f"local:{tmp_path}/nothing/")).code == "not_found"
        assert (await user.get("page/search", location=f"local:{tmp_path}/nothing/", text="x")).code == "not_found"
        assert (await user.get("page/list", location="local:/", limit="0")).code == "invalid_limit"
        assert (await user.get("page/list")).code == "invalid_location"


REFUSED = [
    "local:/",
    "local:",
    "/etc/passwd",
    "./x",
    "~",
    "file:///etc/passwd",
    "http://127.0.0.1:1/x",
    "https://example.org/x",
    "sftp://host/x",
    "s3://bucket/key",
    "%:local%3A/etc/",
    "%:%2Fetc%2Fpasswd",
    " aws:/bucket/",
    "LOCAL:/etc",
    "minio:/bucket/",
    "aws:/bucket/",
    "azure:/container/",
    "gcp:/bucket/",
    "unit:bucket/",
]


async def test_an_account_reaches_nothing_of_the_hubs_machine(tmp_path: Path) -> None:
    """No disk, no URL, no remote of the machine, and no cloud without settings of the account's own."""
    async with running_hub(tmp_path) as url, browser(url) as user:
        await user.sign_in()
        assert (await user.get("page/places")).tree == {"places": []}
        for location in REFUSED:
            for path in ("page/list", "page/size"):
                answer = await user.get(path, location=location)
                assert (answer.status, answer.code) == (403, "outside"), location
        assert (await user.get("page/list", location="unit:/Demo/")).code == "not_found"


async def test_sizes_and_searches_at_s3(cloud_user: Browser, bucket: str) -> None:
    """A directory there is what names begin with; its location ends in a slash, and both calls take it."""
    assert (await cloud_user.upload(f"aws:/{bucket}/sized/deep/more.txt", b"12345")).status == 201
    listed = (await cloud_user.get("page/list", location=f"aws:/{bucket}/sized/")).tree["items"]
    assert [(each["location"], each["kind"]) for each in listed] == [(f"aws:/{bucket}/sized/deep/", "directory")]
    sized = await cloud_user.get("page/size", location=listed[0]["location"])
    assert sized.lines[-1] == {"files": 1, "bytes": 5, "done": True}
    found = await cloud_user.get("page/search", location=f"aws:/{bucket}/sized", text="MORE")
    assert [each["item"]["location"] for each in found.lines[:-1]] == [f"aws:/{bucket}/sized/deep/more.txt"]

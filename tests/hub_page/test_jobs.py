"""Jobs: started, counted, watched, paused, tried again and kept."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from dxflow_async import AsyncSession, Settings
from dxflow_async.hub_page import jobs
from tests.hub_page.page_client import Browser, browser, own_page, running_page
from tests.sessions import MiB


def tree(top: Path, count: int = 5, size: int = 10) -> Path:
    """A directory of files."""
    (top / "sub").mkdir(parents=True)
    for number in range(count):
        (top / "sub" / f"{number}").write_bytes(bytes(size))
    return top


async def ended(user: Browser, job: dict[str, Any]) -> dict[str, Any]:
    """The job when nothing more happens by itself."""
    async with asyncio.timeout(60):
        while True:
            found = {each["id"]: each for each in (await user.get("page/jobs")).tree["jobs"]}[job["id"]]
            if found["state"] in ("done", "failed", "cancelled", "paused"):
                return dict(found)
            await asyncio.sleep(0.02)


async def run(user: Browser, **plan: Any) -> dict[str, Any]:
    """A job that was started, when it has ended."""
    answer = await user.post("page/jobs", plan)
    assert answer.status == 202, answer.content
    return await ended(user, answer.tree["job"])


async def test_copy_move_rename_and_delete(user: Browser, tmp_path: Path) -> None:
    """Directories keep their names in the destination; the counts are those of the files."""
    source = tree(tmp_path / "top")
    counted = await user.post("page/jobs/count", {"verb": "delete", "sources": [f"local:{source}/"]})
    assert counted.lines[-1] == {"files": 5, "bytes": 50, "done": True}
    copied = await run(user, verb="copy", sources=[f"local:{source}/"], destination="unit:/Demo/in/")
    assert copied["state"] == "done", copied
    assert (copied["items_done"], copied["bytes_done"], copied["failed_count"]) == (5, 50, 0)
    assert copied["ended"] >= copied["started"]
    there = (await user.get("page/list", location="unit:/Demo/in/top/sub/")).tree["items"]
    assert [each["name"] for each in there] == list("01234")
    moved = await run(user, verb="move", sources=["unit:/Demo/in/top/"], destination=f"local:{tmp_path}/back")
    assert moved["state"] == "done"
    assert len([*(tmp_path / "back/top/sub").iterdir()]) == 5
    renamed = await run(user, verb="rename", sources=[f"local:{tmp_path}/back/top/"], name="new name")
    assert renamed["state"] == "done"
    assert sorted(os.listdir(tmp_path / "back")) == ["new name"]
    again = await user.post(
        "page/jobs", {"verb": "rename", "sources": [f"local:{tmp_path}/back/new name/"], "name": "new name"}
    )
    assert (again.status, again.code) == (409, "exists")
    deleted = await run(user, verb="delete", sources=[f"local:{tmp_path}/back/new name/", f"local:{source}/sub/0"])
    assert deleted["state"] == "done"
    assert os.listdir(tmp_path / "back") == []
    assert len(os.listdir(source / "sub")) == 4
    page = await user.get(f"page/jobs/{deleted['id']}/report")
    assert page.status == 200


async def test_names_that_look_like_patterns_are_names(disk_user: Browser, tmp_path: Path) -> None:
    """A file that is called `*` is that file, also after it has gone."""
    for name in ("*", "a", "b[1]"):
        (tmp_path / name).write_text(name)
    copied = await run(
        disk_user,
        verb="copy",
        sources=[f"local:{tmp_path}/*", f"local:{tmp_path}/b[1]"],
        destination=f"local:{tmp_path}/to/",
    )
    assert copied["state"] == "done"
    assert sorted(os.listdir(tmp_path / "to")) == ["*", "b[1]"]
    assert (await run(disk_user, verb="delete", sources=[f"local:{tmp_path}/*"]))["state"] == "done"
    gone = await disk_user.post(
        "page/jobs", {"verb": "move", "sources": [f"local:{tmp_path}/*"], "destination": f"local:{tmp_path}/to/"}
    )
    assert gone.code == "not_found"
    assert (tmp_path / "a").exists()


async def test_refused_jobs(user: Browser, tmp_path: Path) -> None:
    """Whole places are never moved or deleted; each refusal says what is wrong."""
    here = f"local:{tmp_path}/"
    for plan, code in (
        ({"verb": "erase", "sources": [here]}, "invalid_verb"),
        ({"verb": "copy", "sources": [], "destination": here}, "invalid_location"),
        ({"verb": "copy", "sources": "x", "destination": here}, "invalid_location"),
        ({"verb": "copy", "sources": [here], "destination": None}, "invalid_location"),
        ({"verb": "copy", "sources": [here], "destination": here, "overwrite": "maybe"}, "invalid_overwrite"),
        ({"verb": "delete", "sources": ["local:/"]}, "whole_place"),
        ({"verb": "delete", "sources": ["aws:/"]}, "whole_place"),
        ({"verb": "delete", "sources": ["unit:/Demo/"]}, "whole_place"),
        ({"verb": "delete", "sources": [f"{here}x/../../.."]}, "whole_place"),
        ({"verb": "move", "sources": ["/"], "destination": here}, "whole_place"),
        ({"verb": "rename", "sources": [here, here], "name": "x"}, "invalid_location"),
        ({"verb": "rename", "sources": [here], "name": "a/b"}, "invalid_name"),
        ({"verb": "rename", "sources": [here], "name": ".."}, "invalid_name"),
    ):
        assert (await user.post("page/jobs", plan)).code == code, plan
    failed = await run(user, verb="copy", sources=[f"{here}none"], destination=here)
    assert failed["state"] == "failed"
    assert failed["failed_count"] == 1
    assert "none" in failed["failed"][0]["reason"]
    assert (await user.get("page/jobs/guessed/report")).code == "not_found"


async def test_failed_items_are_tried_again(user: Browser, tmp_path: Path) -> None:
    """A failure names the item and its reason; trying again moves what failed, and nothing else."""
    source = tree(tmp_path / "top")
    there = "unit:/Demo/again/top/sub/3"
    await user.upload(there, b"in the way")
    plan = {"verb": "copy", "sources": [f"local:{source}/"], "destination": "unit:/Demo/again/"}
    failed = await run(user, **plan, overwrite=False)
    assert (failed["state"], failed["failed_count"]) == ("failed", 1)
    assert failed["failed"][0]["name"].endswith("3")
    assert "already" in failed["failed"][0]["reason"]
    page = await user.get(f"page/jobs/{failed['id']}/report")
    assert page.headers["Content-Type"].startswith("text/html")
    assert "sha256-" in page.headers["Content-Security-Policy"]
    assert "sub/3" in page.content.decode()
    assert (await run(user, verb="delete", sources=[there]))["state"] == "done"
    answer = await user.post(f"page/jobs/{failed['id']}/retry")
    assert answer.status == 200
    done = await ended(user, answer.tree["job"])
    assert (done["id"], done["state"], done["failed_count"]) == (failed["id"], "done", 0)
    assert (await user.get("page/file", location=there)).content == bytes(10)
    assert (await user.request("DELETE", f"page/jobs/{done['id']}")).status == 200
    assert done["id"] not in [each["id"] for each in (await user.get("page/jobs")).tree["jobs"]]


async def events(response: Any) -> AsyncIterator[tuple[str, Any]]:
    """The events of an answer."""
    name = ""
    async for line in response.content:
        text = line.decode().rstrip("\n")
        if text.startswith("event: "):
            name = text.removeprefix("event: ")
        elif text.startswith("data: "):
            yield name, json.loads(text.removeprefix("data: "))


async def test_changes_are_told_as_they_happen(user: Browser, tmp_path: Path) -> None:
    """A page that follows sees a job to its end and its dismissal; the server's end ends the answer."""
    source = tree(tmp_path / "top")
    async with user.open("GET", "page/events") as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        job = (
            await user.post(
                "page/jobs", {"verb": "copy", "sources": [f"local:{source}/"], "destination": "unit:/Demo/e"}
            )
        ).tree["job"]
        async with asyncio.timeout(60):
            async for name, data in events(response):
                if name == "job" and data["state"] == "done":
                    assert data["id"] == job["id"]
                    assert (await user.request("DELETE", f"page/jobs/{job['id']}")).status == 200
                if name == "removed":
                    assert data == {"id": job["id"]}
                    break


async def test_the_number_of_followers_and_jobs_is_limited(
    disk_user: Browser, tmp_path: Path, monkeypatch: Any
) -> None:
    """One more of either is refused, and says why."""
    from dxflow_async.hub_page import events as following

    monkeypatch.setattr(following, "MAX_CLIENTS", 1)
    monkeypatch.setattr(jobs, "MAX_RUNNING", 0)
    async with disk_user.open("GET", "page/events"):
        assert (await disk_user.get("page/events")).code == "too_many"
    plan = {"verb": "copy", "sources": [f"local:{tmp_path}/x"], "destination": f"local:{tmp_path}/y"}
    refused = await disk_user.post("page/jobs", plan)
    assert (refused.status, refused.code) == (429, "too_many")


async def test_pause_resume_and_cancel_between_clouds(cloud_user: Browser, bucket: str, container: str) -> None:
    """A paused copy from S3 to Azure goes on and stores everything once; a cancelled one is told as that."""
    content = os.urandom(12 * MiB)
    for number in range(4):
        name = f"aws:/{bucket}/from/{number}"
        assert (await cloud_user.upload(name, content)).status == 201
    plan = {"verb": "copy", "sources": [f"aws:/{bucket}/from/"], "destination": f"azure:/{container}/"}
    job = (await cloud_user.post("page/jobs", plan)).tree["job"]
    paused = (await cloud_user.post(f"page/jobs/{job['id']}/pause")).tree["job"]
    assert paused["state"] in ("running", "paused", "done")
    stopped = await ended(cloud_user, job)
    assert stopped["state"] in ("paused", "done")
    await cloud_user.post(f"page/jobs/{job['id']}/resume")
    done = await ended(cloud_user, job)
    assert done["state"] == "done", done
    for number in range(4):
        stored = await cloud_user.get("page/file", location=f"azure:/{container}/from/{number}")
        assert stored.content == content
    other = (await cloud_user.post("page/jobs", {**plan, "destination": f"azure:/{container}/other/"})).tree["job"]
    cancelled = (await cloud_user.post(f"page/jobs/{other['id']}/cancel")).tree["job"]
    assert cancelled["state"] in ("cancelled", "done")
    link = await cloud_user.post("page/links", {"location": f"aws:/{bucket}/from/0", "expires": 600})
    async with cloud_user.http.get(link.tree["url"]) as response:
        assert await response.read() == content
    assert (await cloud_user.post("page/links", {"location": f"aws:/{bucket}/from/"})).code == "is_directory"
    assert (
        await cloud_user.post("page/links", {"location": f"aws:/{bucket}/x", "expires": 0})
    ).code == "invalid_expires"


async def test_the_report_of_a_cancelled_job_has_what_it_did(tmp_path: Path) -> None:
    """Items that had ended, and the settings, are in it; what had not is not."""
    source = tmp_path / "top"
    source.mkdir()
    (source / "large.bin").write_bytes(bytes(4 << 20))
    (source / "small.txt").write_text("small")
    settings = Settings(home=tmp_path / "home", sdk_configuration=False, max_bandwidth=1 << 20)
    async with running_page(settings, email="me@example.org", password="correct horse") as user:
        plan = {"verb": "copy", "sources": [f"local:{source}/"], "destination": "unit:/Demo/"}
        async with user.open("GET", "page/events") as response:
            job = (await user.post("page/jobs", plan)).tree["job"]
            async for name, data in events(response):
                if name == "job" and data["items_done"]:
                    break
        assert (await user.post(f"page/jobs/{job['id']}/cancel")).tree["job"]["state"] == "cancelled"
        page = (await user.get(f"page/jobs/{job['id']}/report")).content.decode()
    assert "interrupted" in page
    assert "small.txt" in page
    assert "max_bandwidth" in page
    assert "large.bin" not in page


async def test_the_end_of_the_server_keeps_a_job(tmp_path: Path) -> None:
    """What it has done stays, and the next server lists it as paused and completes it."""
    source = tree(tmp_path / "top", count=300, size=1000)
    settings = Settings(home=tmp_path / "home", sdk_configuration=False)
    account: dict[str, Any] = {"email": "me@example.org", "password": "correct horse"}
    plan = {"verb": "copy", "sources": [f"local:{source}/"], "destination": "unit:/Demo/kept/"}
    async with own_page(settings, **account) as (url, door), browser(url) as user:
        await user.enter(door.new_ticket())
        async with user.open("GET", "page/events") as response:
            job = (await user.post("page/jobs", plan)).tree["job"]
            async for name, data in events(response):
                if name == "job" and (data["items_done"] or data["state"] != "running"):
                    break
    async with AsyncSession(settings=settings, **account) as session:
        left = await session.jobs()
    async with running_page(settings, **account) as user:
        listed = (await user.get("page/jobs")).tree["jobs"]
        assert [each["state"] for each in listed] == ["paused"] * len(left)
        for each in listed:
            await user.post(f"page/jobs/{each['id']}/resume")
            assert (await ended(user, each))["state"] == "done"
        sized = await user.get("page/size", location="unit:/Demo/kept/top/")
        assert sized.lines[-1]["files"] == 300
    assert job["state"] == "running"


async def test_directories_and_links(user: Browser, tmp_path: Path) -> None:
    """A directory is made once; where there are no links, the answer says so."""
    made = await user.post("page/directories", {"location": f"local:{tmp_path}/new"})
    assert (made.status, made.tree) == (201, {"exists": True})
    assert (tmp_path / "new").is_dir()
    assert (await user.post("page/directories", {"location": f"local:{tmp_path}/new/"})).code == "exists"
    assert (await user.post("page/directories", {"location": "unit:/Demo/a/b/"})).status == 201
    (tmp_path / "file").write_text("x")
    refused = await user.post("page/links", {"location": f"local:{tmp_path}/file"})
    assert (refused.status, refused.code) == (501, "unsupported")


async def test_a_directory_that_is_no_object_is_not_stored(cloud_user: Browser, bucket: str, container: str) -> None:
    """Where directories are what names begin with, a new one leaves nothing behind; one that exists is refused."""
    for top in (f"aws:/{bucket}/page", f"azure:/{container}/page"):
        made = await cloud_user.post("page/directories", {"location": f"{top}/new/"})
        assert (made.status, made.tree) == (200, {"exists": False})
        assert (await cloud_user.get("page/list", location=f"{top}/new")).tree["items"] == []
        assert (await cloud_user.get("page/list", location=f"{top}/")).tree["items"] == []
        assert (await cloud_user.upload(f"{top}/new/x", b"content")).status == 201
        assert (await cloud_user.post("page/directories", {"location": f"{top}/new"})).code == "exists"

"""What an account of a hub reaches through the page: what it has itself, and nothing of the hub's machine."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from dxflow_async import AsyncSession, GCPSettings, Settings
from dxflow_async.hub_page.account_settings import usable_settings
from dxflow_async.server.common.server import Listening, Server
from dxflow_async.server.unit.app import CONNECTION_OPTIONS, create_unit_app
from tests.hub_page.page_client import ME, YOU, Browser, browser, running_hub
from tests.server.hub.signed_in_clients import Hub, signed_in
from tests.server.running_hub import SECRETS
from tests.servers import GCSServer, SeaweedFS


async def as_program(url: str, http: aiohttp.ClientSession, who: dict[str, str] = ME) -> Hub:
    """The account as programs use it."""
    return await signed_in(url, http, who)


async def test_an_account_uses_its_own_remote_and_units(tmp_path: Path, weed: SeaweedFS, bucket: str) -> None:
    """Both are in its tree, and files go from one to the other; another account sees neither."""
    (tmp_path / "volume").mkdir()
    unit = Server(create_unit_app(tmp_path / "volume", SECRETS), Listening(), CONNECTION_OPTIONS)
    address = (await unit.start()).partition("//")[2]
    aws = {"endpoint": weed.endpoint, "access_key": weed.access_key, "secret_key": weed.secret_key}
    async with running_hub(tmp_path / "home", local_services=True) as url, browser(url) as me, browser(url) as you:
        program = await as_program(url, me.http)
        assert (await program.request("PUT", "providers/AWS/", body=aws))[0] == 200
        new = {"name": "mine", "ip": address, "protocol": "HTTP", "secrets": {"RW": SECRETS.rw, "RO": SECRETS.ro}}
        assert (await program.request("POST", "compute/units/", body=new))[0] == 201
        await me.sign_in(ME)
        places = (await me.get("page/places")).tree["places"]
        assert [(each["location"], each["state"]) for each in places] == [("aws:/", "ok"), ("unit:/mine/", "ok")]
        assert (await me.upload(f"aws:/{bucket}/account/x", b"content")).status == 201
        plan = {"verb": "copy", "sources": [f"aws:/{bucket}/account/"], "destination": "unit:/mine/"}
        job = (await me.post("page/jobs", plan)).tree["job"]
        await finished(me, job["id"])
        assert (tmp_path / "volume/account/x").read_bytes() == b"content"
        await you.sign_in(YOU)
        assert (await you.get("page/places")).tree == {"places": []}
        assert (await you.get("page/list", location="unit:/mine/")).code == "not_found"
        assert (await you.get("page/list", location=f"aws:/{bucket}/")).code == "outside"
        upload = (await me.create(f"aws:/{bucket}/account/y", 3)).headers["Location"]
        for answer in (
            await you.patch(upload, 0, b"abc"),
            await you.request("DELETE", f"page/uploads/{upload}"),
            await you.get(f"page/jobs/{job['id']}/report"),
            await you.request("DELETE", f"page/jobs/{job['id']}"),
            await you.post(f"page/jobs/{job['id']}/cancel"),
        ):
            assert (answer.status, answer.code) == (404, "not_found")
        assert await you.offset(upload) is None
        assert await me.offset(upload) == 0
    await unit.aclose(1.0)


async def test_an_account_reads_public_buckets_of_google(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gcs: GCSServer, gcs_bucket: str
) -> None:
    """Settings without credentials send none, whatever the hub's machine has; others of Google are not usable."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "of-the-owner.json"))
    settings = Settings(home=tmp_path / "own", gcp=GCPSettings(endpoint=gcs.endpoint, anonymous=True))
    async with AsyncSession(settings=settings) as session, session.open(f"gcp:/{gcs_bucket}/public.txt", "wb") as file:
        await file.write(b"for all")
    async with running_hub(tmp_path / "home", local_services=True) as url, browser(url) as me:
        program = await as_program(url, me.http)
        for given, state in (({"anonymous": True, "endpoint": gcs.endpoint}, "ok"), ({"project": "x"}, "unusable")):
            assert (await program.request("PUT", "providers/GCP/", body=given))[0] == 200
            await me.sign_in(ME)
            assert [each["state"] for each in (await me.get("page/places")).tree["places"]] == [state]
            listed = await me.get("page/list", location=f"gcp:/{gcs_bucket}/")
            if state == "ok":
                assert [each["name"] for each in listed.tree["items"]] == ["public.txt"]
                assert (await me.get("page/file", location=f"gcp:/{gcs_bucket}/public.txt")).content == b"for all"
            else:
                assert listed.code == "outside"


async def finished(user: Browser, job_id: str) -> None:
    """Waits until a job is done."""
    async with user.open("GET", "page/events") as response:
        async for _ in response.content:
            jobs = {each["id"]: each for each in (await user.get("page/jobs")).tree["jobs"]}
            if jobs[job_id]["state"] == "done":
                return
            assert jobs[job_id]["state"] == "running", jobs[job_id]


@pytest.mark.parametrize(
    "settings",
    [
        {"region": "us-east-1"},
        {"profile": "default"},
        {"anonymous": True},
        {"profile": "default", "region": "us-east-1", "private": "bucket/x"},
    ],
)
async def test_no_credentials_of_the_machine_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weed: SeaweedFS, bucket: str, settings: dict[str, Any]
) -> None:
    """Settings that leave them open would use those of the hub's environment; they are not usable at the page."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", weed.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", weed.secret_key)
    monkeypatch.setenv("AWS_ENDPOINT_URL", weed.endpoint)
    async with running_hub(tmp_path) as url, browser(url) as me:
        program = await as_program(url, me.http)
        assert (await program.request("PUT", "providers/AWS/", body=settings))[0] == 200
        await me.sign_in(ME)
        place = (await me.get("page/places")).tree["places"][0]
        assert (place["state"], bool(place["note"])) == ("unusable", True)
        for location in ("aws:/", f"aws:/{bucket}/", f"s3://{bucket}/", f"AWS:/{bucket}/x"):
            assert (await me.get("page/list", location=location)).code == "outside"


def test_an_endpoint_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """An account's keys go to the service that the account means, which without an endpoint is Amazon or Google."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "127.0.0.1:1")
    keys = {"access_key": "a", "secret_key": "b", "region": "eu-central-1"}
    usable, remotes = usable_settings({"AWS": keys}, local_services=False)
    assert usable["AWS"]["endpoint"] == "https://s3.eu-central-1.amazonaws.com"
    assert remotes == {"aws": ""}
    usable, remotes = usable_settings({"GCP": {"anonymous": True}}, local_services=False)
    assert usable["GCP"]["endpoint"] == "https://storage.googleapis.com"
    assert remotes == {"gcp": ""}


@pytest.mark.parametrize(
    ("provider", "settings"),
    [
        ("AWS", {"access_key": "a", "secret_key": "b", "endpoint": "http://127.0.0.1:9000"}),
        ("AWS", {"access_key": "a", "secret_key": "b", "endpoint": "http://localhost:9000"}),
        ("AWS", {"access_key": "a", "secret_key": "b", "endpoint": "http://169.254.169.254"}),
        ("AWS", {"access_key": "a", "secret_key": "b", "endpoint": "http://[::1]:9000"}),
        ("AWS", {"access_key": "a", "secret_key": "b", "endpoint": "http://0.0.0.0:9000"}),
        ("AZURE", {"account": "abc", "account_key": "YWJj", "endpoint": "http://127.0.0.1:10000/abc"}),
        ("GCP", {"service_file": "/etc/passwd"}),
        ("GCP", {"project": "x"}),
        ("AZURE", {"account": "abc"}),
    ],
)
def test_settings_that_reach_the_machine_are_not_usable(provider: str, settings: dict[str, Any]) -> None:
    """Neither the machine's own services and files, nor whatever it would sign in with."""
    usable, remotes = usable_settings({provider: settings}, local_services=False)
    assert usable == {}
    assert all(remotes.values())


async def test_units_on_the_machine_itself_are_refused(tmp_path: Path) -> None:
    """A unit that an account registered at a loopback address would be a service of the hub's machine."""
    async with running_hub(tmp_path) as url, browser(url) as me:
        program = await as_program(url, me.http)
        port = url.rpartition(":")[2]
        new = {"name": "mine", "ip": f"127.0.0.1:{port}", "protocol": "HTTP"}
        assert (await program.request("POST", "compute/units/", body=new))[0] == 201
        await me.sign_in(ME)
        for location in ("unit:/mine/", "UNIT:/mine/x", "unit://mine/"):
            for path in ("page/list", "page/file", "page/preview"):
                assert (await me.get(path, location=location)).status in (400, 403), location
        assert (await me.get("page/list", location="unit:/mine/")).code == "access_denied"
        assert (await me.upload("unit:/mine/x", b"abc")).code == "access_denied"
        plan = {"verb": "delete", "sources": ["unit:/mine/x/"]}
        assert (await me.post("page/jobs", plan)).code == "access_denied"
        assert (await me.get("page/places")).tree["places"][0]["state"] == "unusable"


@pytest.mark.parametrize("place", ["remote", "unit"])
async def test_a_name_that_moves_to_the_machine_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """A name that is elsewhere at sign-in and at this machine later is refused at the connection."""
    answers = iter(["192.0.2.7"])  # the next ones are this machine
    look_up, seen = socket.getaddrinfo, []

    def moving(host: Any, *rest: Any, **options: Any) -> Any:
        if host in ("moving.test", b"moving.test"):
            host = next(answers, "127.0.0.1")
            seen.append(host)
        return look_up(host, *rest, **options)

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append("connected")
        writer.close()

    monkeypatch.setattr(socket, "getaddrinfo", moving)
    async with (
        await asyncio.start_server(serve, "127.0.0.1", 0) as server,
        running_hub(tmp_path) as url,
        browser(url) as me,
    ):
        address = f"moving.test:{server.sockets[0].getsockname()[1]}"
        program = await as_program(url, me.http)
        if place == "remote":
            keys = {"endpoint": f"http://{address}", "access_key": "a", "secret_key": "b", "region": "us-east-1"}
            assert (await program.request("PUT", "providers/AWS/", body=keys))[0] == 200
        else:
            new = {"name": "mine", "ip": address, "protocol": "HTTP", "secrets": {"RW": SECRETS.rw, "RO": SECRETS.ro}}
            assert (await program.request("POST", "compute/units/", body=new))[0] == 201
        await me.sign_in(ME)
        location = "aws:/bucket/" if place == "remote" else "unit:/mine/"
        answer = await me.get("page/list", location=location)
    assert (answer.status, answer.code) == (403, "access_denied")
    assert "moving.test" in answer.tree["error"]["message"]
    assert seen[:2] == ["192.0.2.7", "127.0.0.1"]
    assert "connected" not in seen


async def test_the_home_of_an_account_is_its_own(tmp_path: Path) -> None:
    """Jobs of one account are kept in a directory that others of the machine cannot read, and other accounts not."""
    async with running_hub(tmp_path) as url, browser(url) as me, browser(url) as you:
        await me.sign_in(ME)
        await you.sign_in(YOU)
        homes = [*(tmp_path / "page").iterdir()]
        assert len(homes) == 2
        assert {oct(os.stat(each).st_mode & 0o777) for each in homes} == {"0o700"}

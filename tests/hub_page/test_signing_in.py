"""Signing in at the page, and what protects a visitor from other sites."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from dxflow_async import Settings
from dxflow_async.hub_page import visitors
from dxflow_async.server.common.server import Listening
from tests.hub_page.page_client import ME, YOU, browser, own_page, running_hub, running_page


async def test_an_account_signs_in_and_out(tmp_path: Path) -> None:
    """The answer to a sign-in has the token and a cookie that scripts cannot read; after signing out both are void."""
    async with running_hub(tmp_path) as url, browser(url) as user:
        assert (await user.get("page/session")).code == "signed_out"
        answer = await user.sign_in()
        assert answer.status == 200
        assert answer.tree.keys() == {"csrf", "email", "namespace", "mode"}
        assert (answer.tree["email"], answer.tree["mode"]) == (ME["email"], "hub")
        cookie = answer.headers["Set-Cookie"]
        assert cookie.startswith("dxflow-page=")
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert "Secure" not in cookie
        assert "Path=" not in cookie, "browsers then take the path of page/, also behind a prefix"
        assert (await user.get("page/session")).tree == answer.tree
        kept = {each.key: each.value for each in user.http.cookie_jar}
        assert (await user.request("DELETE", "page/session")).status == 200
        assert (await user.get("page/session")).status == 401
        old = "; ".join(f"{key}={value}" for key, value in kept.items())
        assert (await user.request("GET", "page/session", headers={"Cookie": old})).status == 401


async def test_wrong_passwords_are_refused(tmp_path: Path) -> None:
    """They are counted as those of programs are, and the sixth within a minute has to wait."""
    async with running_hub(tmp_path) as url, browser(url) as user:
        await user.sign_in()
        wrong = {**ME, "password": "wrong"}
        answers = [await user.sign_in(wrong) for _ in range(6)]
        assert [each.status for each in answers] == [401] * 5 + [429]
        assert [each.code for each in answers] == ["wrong_credentials"] * 5 + ["too_many_tries"]


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"X-CSRF-Token": ""}, "csrf"),
        ({"X-CSRF-Token": "guessed"}, "csrf"),
        ({"Origin": "https://evil.example"}, "foreign_origin"),
        ({"Origin": "null"}, "foreign_origin"),
        ({"Sec-Fetch-Site": "cross-site"}, "foreign_origin"),
        ({"Sec-Fetch-Site": "same-site"}, "foreign_origin"),
        ({"Host": "evil.example", "Origin": "http://evil.example"}, "foreign_host"),
    ],
)
async def test_requests_of_other_sites_are_refused(tmp_path: Path, headers: dict[str, str], code: str) -> None:
    """A request that changes something needs cookie, token, origin and host: the same request with all is served."""
    async with running_hub(tmp_path) as url, browser(url) as user:
        await user.sign_in()
        refused = await user.request("DELETE", "page/session", headers=headers)
        assert (refused.code, refused.status >= 400) == (code, True)
        assert (await user.get("page/session")).status == 200
        assert (await user.request("DELETE", "page/session")).status == 200


async def test_a_guessed_cookie_is_nobodys(tmp_path: Path) -> None:
    """The token alone, with another cookie or none, signs nobody in."""
    async with running_hub(tmp_path) as url, browser(url) as user, browser(url) as thief:
        await user.sign_in()
        thief.csrf = user.csrf
        for cookie in ("", "dxflow-page=guessed"):
            answer = await thief.request("DELETE", "page/session", headers={"Cookie": cookie})
            assert (answer.status, answer.code) == (401, "signed_out")
        assert (await user.get("page/session")).status == 200


async def test_signing_in_needs_json_of_the_same_origin(tmp_path: Path) -> None:
    """Forms of other pages can send neither."""
    async with running_hub(tmp_path) as url, browser(url) as user:
        plain = {"Content-Type": "text/plain"}
        assert (await user.request("POST", "page/session", data=b"{}", headers=plain)).code == "not_json"
        foreign = {"Origin": "https://evil.example"}
        assert (await user.request("POST", "page/session", data=dict(ME), headers=foreign)).code == "foreign_origin"
        large = b'{"a": "' + b"x" * (2 << 20) + b'"}'
        json = {"Content-Type": "application/json"}
        assert (
            await user.request("POST", "page/session", data=io.BytesIO(large), headers=json)
        ).code == "body_too_large"


async def test_every_answer_of_the_page_has_its_policy(tmp_path: Path) -> None:
    """Refusals as well as files: no inline script, no frame, no referrer."""
    async with running_hub(tmp_path) as url, browser(url) as user:
        for path in ("", "static/nothing.js", "page/session", "page/list"):
            headers = (await user.get(path)).headers
            assert "script-src 'self'" in headers["Content-Security-Policy"]
            assert "unsafe" not in headers["Content-Security-Policy"]
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Referrer-Policy"] == "no-referrer"
        assert "Content-Security-Policy" not in (await user.get("healthz")).headers
        page = await user.get("")
        assert page.headers["Content-Type"].startswith("text/html")
        again = await user.request("GET", "", headers={"If-None-Match": page.headers["ETag"]})
        assert (again.status, again.content) == (304, b"")
        for odd in ("static/../page.py", "static/%2e%2e/page.py", "static//etc/passwd"):
            async with user.http.get(f"{url}/{odd}") as response:
                assert response.status == 404


async def test_the_ticket_works_once(tmp_path: Path) -> None:
    """It becomes a cookie of the page's path, and leaves the address; a guess, and a second use, do nothing."""
    async with own_page(Settings(home=tmp_path)) as (url, door), browser(url) as user, browser(url) as thief:
        ticket = door.new_ticket()
        assert "Set-Cookie" not in (await thief.get("", ticket="guessed")).headers
        answer = await user.get("", ticket=ticket)
        assert (answer.status, answer.headers["Location"]) == (303, "./")
        assert "Path=/page" in answer.headers["Set-Cookie"]
        assert (await user.get("page/session")).tree["mode"] == "ui"
        assert "Set-Cookie" not in (await thief.get("", ticket=ticket)).headers
        assert (await thief.get("page/session")).status == 401
        assert (await thief.request("GET", "page/session", headers={"Host": "evil.example"})).code == "foreign_host"
        assert (await thief.sign_in()).status == 404


async def test_a_sign_in_that_ends_elsewhere_ends_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within seconds after the account's password was changed, the cookie is void."""
    monkeypatch.setattr(visitors, "_CHECK_SECONDS", 0.0)
    async with running_hub(tmp_path) as url, browser(url) as user:
        await user.sign_in()
        assert (await user.get("page/session")).status == 200
        from dxflow_async.server.hub.accounts import Accounts, Credentials
        from dxflow_async.server.hub.database import Store

        store = await Store.open(tmp_path)
        await Accounts(store).change_password(Credentials(ME["email"], "another one", "diphyx"))
        await store.aclose()
        assert (await user.get("page/session")).status == 401


async def test_idle_visitors_end_and_their_number_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the idle time a cookie is void; one more sign-in of an account than it may have ends its oldest one."""
    monkeypatch.setattr(visitors, "MAX_OF_ACCOUNT", 2)
    async with running_hub(tmp_path) as url, browser(url) as first, browser(url) as second, browser(url) as third:
        for each in (first, second, third):
            assert (await each.sign_in()).status == 200
        assert [(await each.get("page/session")).status for each in (first, second, third)] == [401, 200, 200]
        assert (await first.sign_in(YOU)).status == 200
        assert (await second.get("page/session")).status == 200
    async with running_hub(tmp_path / "other", idle=0.0) as url, browser(url) as user:
        await user.sign_in()
        assert (await user.get("page/session")).status == 401


async def test_the_cookie_is_secure_behind_a_trusted_proxy_only(tmp_path: Path) -> None:
    """`X-Forwarded-Proto` counts if the proxy was named; from anybody else it changes nothing."""
    forwarded = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "hub.example"}
    trusting = Listening(trusted_proxies=("127.0.0.1",), allow_hosts=("hub.example",))
    for listening, secure in ((trusting, True), (Listening(), False)):
        async with running_hub(tmp_path / str(secure), listening=listening) as url, browser(url) as user:
            answer = await user.request("POST", "page/session", data=dict(ME), headers=forwarded)
            assert ("Secure" in answer.headers["Set-Cookie"]) is secure
            foreign = {**forwarded, "Origin": "https://hub.example"}
            answer = await user.request("POST", "page/session", data=dict(ME), headers=foreign)
            assert answer.status == (200 if secure else 403)


async def test_places_of_this_machine(tmp_path: Path) -> None:
    """Its disks, the remotes, and the units of the account are there."""
    settings = Settings(home=tmp_path, sdk_configuration=False)
    async with running_page(settings, email="me@example.org", password="correct horse") as user:
        places = (await user.get("page/places")).tree["places"]
        found = {each["name"]: (each["location"], each["kind"], each["state"]) for each in places}
        assert found["This computer"] == ("local:/", "local", "ok")
        assert found["Demo"] == ("unit:/Demo/", "unit", "ok")
        assert found["aws"] == ("aws:/", "remote", "ok")


async def test_the_routes_are_described(tmp_path: Path) -> None:
    """`/openapi.json` of a hub with its page has the page's calls too, each with what it does."""
    async with running_hub(tmp_path) as url, browser(url) as user:
        paths = (await user.get("openapi.json")).tree["paths"]
        assert paths["/page/list"]["get"]["summary"] == "returns the next items of a directory."
        assert {"post", "get", "options"} <= paths["/page/uploads/"].keys()
        assert "/auth/login/" in paths
        page = [each for path, methods in paths.items() if path.startswith("/page/") for each in methods.values()]
        assert all(each["summary"] for each in page)
        assert len({each["operationId"] for each in page}) == len(page) > 20

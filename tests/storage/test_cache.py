from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dxflow_async.models import Item
from dxflow_async.paths import parent_of
from dxflow_async.storage.listing import ListingCache
from tests.storage.tested_accounts import Account

AREA = ("AWS", "private")


def cached(account: Account, below: str) -> list[tuple[str, bool]] | None:
    content = account.storage._get_content_from_path("AWS", account / below)
    return None if content is None else sorted((each["name"], each["directory"]) for each in content)


async def upload(account: Account, tmp_path: Path, *names: str) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    await account.storage.upload_many([(str(tmp_path / "file"), account / name) for name in names])


async def test_never_listed_is_none(account: Account, tmp_path: Path) -> None:
    """None until it was listed; then dicts with the documented keys."""
    await upload(account, tmp_path, "d/a", "d/sub/b")
    assert cached(account, "d/") is None
    await account.storage.update_path_items(account / "d")
    assert cached(account, "d") == cached(account, "d/") == [("a", False), ("sub", True)]
    assert cached(account, "d/sub/") is None
    content: list[dict[str, Any]] = account.storage._get_content_from_path("AWS", account / "d/") or []
    assert {"name", "directory", "size", "modification"} <= content[0].keys()
    assert content[0]["size"] == 5


async def test_update_all_lists_every_directory_below(account: Account, tmp_path: Path) -> None:
    """Each directory has its own listing."""
    await upload(account, tmp_path, "d/a", "d/1/b", "d/1/2/c")
    await account.storage.update_all("AWS", account / "d/")
    assert cached(account, "d/") == [("1", True), ("a", False)]
    assert cached(account, "d/1/") == [("2", True), ("b", False)]
    assert cached(account, "d/1/2/") == [("c", False)]


async def test_what_the_session_does_shows(account: Account, tmp_path: Path) -> None:
    """Uploads, deletes, copies and moves keep listings true."""
    storage = account.storage
    await upload(account, tmp_path, "d/a", "d/sub/b")
    await storage.update_all("AWS", account / "d/")

    async def check(*expected: tuple[str, bool], fresh: bool = True) -> None:
        shown = cached(account, "d/")
        assert shown == sorted(expected)
        if not fresh:
            return
        await storage.update_path_items(account / "d/")
        assert cached(account, "d/") == shown

    await upload(account, tmp_path, "d/new", "d/deep/er/x")
    await check(("a", False), ("sub", True), ("new", False), ("deep", True))
    await storage.delete([account / "d/a", account / "d/deep/"])
    # SeaweedFS goes on listing directories that have become empty, for a while; S3 does not.
    gone = not account.is_cloud
    await check(("sub", True), ("new", False), fresh=gone)
    await storage.copy(account / "d/new", account / "d/copied")
    await check(("sub", True), ("new", False), ("copied", False), fresh=gone)
    await storage.move(account / "d/new", account / "d/sub/")
    await check(("sub", True), ("copied", False), fresh=gone)
    assert cached(account, "d/sub/") == [("b", False), ("new", False)]
    await storage.move(account / "d/sub", account / "d/renamed")
    await check(("renamed", True), ("copied", False), fresh=gone)
    assert cached(account, "d/sub/") is None
    await storage.move(account / "d/renamed", account / "elsewhere/")
    await check(("copied", False), fresh=gone)


paths = st.lists(st.sampled_from("ab"), min_size=1, max_size=3).map(lambda names: "/" + "/".join(names))
actions = st.lists(st.tuples(st.sampled_from(["list", "add", "remove", "remove below"]), paths), max_size=30)


@given(actions=actions)
def test_cache_is_what_a_listing_would_be(actions: list[tuple[str, str]]) -> None:
    """Whatever is stored and deleted, a cached listing has what a fresh one has (directories stay until listed)."""
    cache, objects, listed = ListingCache(1000), set[str](), dict[str, set[str]]()

    def listing(directory: str) -> set[str]:
        found = set()
        for each in objects:
            if each.startswith(directory):
                name, slash, _ = each[len(directory) :].partition("/")
                found.add(directory + name + slash)
        return found

    for action, path in actions:
        directory = f"{path}/"
        if action == "list":
            fresh = listing(directory)
            cache.put(AREA, directory, [_item(each) for each in fresh])
            listed[directory] = fresh
        elif action == "add":
            objects.add(path)
            cache.added(AREA, _item(path))
        elif action == "remove":
            objects.discard(path)
            cache.removed(AREA, path)
        else:
            objects = {each for each in objects if not each.startswith(directory)}
            cache.removed(AREA, directory)
            for each in [each for each in listed if each.startswith(directory)]:
                del listed[each]
        for each in listed:
            got = {item.path for item in cache.get(AREA, each) or ()}
            assert {path for path in got if path[-1] != "/"} == {path for path in listing(each) if path[-1] != "/"}
            assert {path for path in listing(each) if path[-1] == "/"} <= got
    assert cache._count == sum(map(len, cache._listings.values()))


@given(
    sizes=st.lists(st.integers(0, 12), max_size=10),
    added=st.integers(0, 40),
    most=st.integers(0, 20),
)
def test_cache_is_bounded(sizes: list[int], added: int, most: int) -> None:
    """Neither listings nor what is stored later make it hold more than allowed; the oldest go first."""
    cache = ListingCache(most)
    for number, size in enumerate(sizes):
        cache.put(AREA, f"/{number}/", [_item(f"/{number}/{name}") for name in range(size)])
        for name in range(added):
            cache.added(AREA, _item(f"/{number}/more-{name}"))
        assert cache._count == sum(map(len, cache._listings.values())) <= most
    if sizes and sizes[-1] + added <= most:
        assert len(cache.get(AREA, f"/{len(sizes) - 1}/") or ()) == sizes[-1] + added


def test_object_and_directory_of_one_name_are_two() -> None:
    """S3 may have both."""
    cache = ListingCache(10)
    cache.put(AREA, "/b/", [_item("/b/x"), _item("/b/x/")])
    cache.removed(AREA, "/b/x")
    assert [item.path for item in cache.get(AREA, "/b/") or ()] == ["/b/x/"]


def _item(path: str) -> Item:
    return Item(path.removesuffix("/")[len(parent_of(path)) :], path, directory=path.endswith("/"))

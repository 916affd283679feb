"""Tells whether two remotes lead to one place, before anything is moved onto itself.

Remotes with buckets may be one service under two names. Remotes without them may be directories of one server, under
two addresses: their keys are relative to a directory, so that absolute paths are compared.
"""

from __future__ import annotations

from functools import partial
from urllib.parse import urlsplit

from dxflow_async.exceptions import AccessDeniedError, NotFoundError
from dxflow_async.providers.contract import Entry, Provider
from dxflow_async.transfer.context import Place
from dxflow_async.transfer.retry import RetryPolicy, retry

__all__ = ["is_inside"]

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


async def is_inside(outer: Place, inner: Place) -> bool:
    """Whether places of two providers are the same, or `outer` is a directory with `inner` in it.

    It costs a few requests, and only for two providers of one kind.
    """
    first, second = outer.provider, inner.provider
    if type(first) is not type(second):
        return False
    if first.features.buckets and second.features.buckets:
        return await _is_one_service(outer, inner) and is_below(outer.key, inner.key)
    paths = [await retry(partial(each.provider.absolute_path, each.key), RetryPolicy()) for each in (outer, inner)]
    if None not in paths:
        (one, top), (other, path) = (each or ("", "") for each in paths)
        slash = "/" if is_directory(outer.key) else ""
        if one != other or not is_below(f"{top.rstrip('/')}{slash}", path):
            return False
        # Users of one server may see different files under one path.
        return top != path or await _have_same_object(outer, inner) or await _are_empty(outer, inner)
    if _address(first) != _address(second) or outer.key.rstrip("/") != inner.key.rstrip("/"):
        return False
    return await _have_same_object(outer, inner)


def is_directory(key: str) -> bool:
    """Whether a key is written as that of a directory."""
    return not key or key.endswith("/")


def is_below(outer: str, inner: str) -> bool:
    """Whether a key is another one, or that one is a directory with the key in it."""
    if not is_directory(outer):
        return inner == outer
    return (inner if is_directory(inner) else f"{inner}/").startswith(outer)


async def _is_one_service(one: Place, other: Place) -> bool:
    """Whether the providers of two places are the same service, with one name for each of its buckets.

    Endpoints are compared first. A service may have several addresses; so where both places have the same key, the
    first object there is looked up by both providers: one object has one size, one version and one time at both.
    """
    if _address(one.provider) == _address(other.provider):
        return True
    return one.key.rstrip("/") == other.key.rstrip("/") and await _have_same_object(one, other)


async def _have_same_object(one: Place, other: Place) -> bool:
    """Whether two places are the same object, or have the same first object below them."""
    try:
        key = await retry(partial(_first_key, other.provider, other.key), RetryPolicy())
        if key is None:
            return False
        name = key.removeprefix(other.key)
        seen = [await _stat(place, name) for place in (other, one)]
        # An object that changes just now may be one, although it was seen twice.
        return _is_same(*seen) or not _is_same(seen[0], await _stat(other, name))
    except (NotFoundError, AccessDeniedError):
        return False  # nothing is there under that key, so that nothing can be replaced by itself


async def _are_empty(one: Place, other: Place) -> bool:
    """Whether two places are directories without any file."""
    try:
        for each in (other, one):
            look = partial(_first_key, each.provider, each.key)
            if not is_directory(each.key) or await retry(look, RetryPolicy()) is not None:
                return False
    except (NotFoundError, AccessDeniedError):
        return False
    return True


async def _stat(place: Place, name: str) -> Entry:
    return await retry(partial(place.provider.stat, place.key + name), RetryPolicy())


async def _first_key(provider: Provider, key: str) -> str | None:
    """The key itself, or the first object below it if it is a directory."""
    if key and not key.endswith("/"):
        return key
    page = await provider.list_page(key, recursive=True)
    return next((entry.key for entry in page.entries if not entry.directory), None)


def _is_same(one: Entry, other: Entry) -> bool:
    return (one.size, one.etag, one.modified) == (other.size, other.etag, other.modified)


def _address(provider: Provider) -> tuple[str, int | None, str]:
    """Host, port and path of an endpoint, which a URL can write in several ways."""
    endpoint = provider.features.endpoint or ""
    parts = urlsplit(endpoint if "://" in endpoint else f"https://{endpoint}")
    host = (parts.hostname or "").rstrip(".")
    host = "loopback" if host in _LOOPBACK else host
    return host, parts.port or _DEFAULT_PORTS.get(parts.scheme), parts.path.rstrip("/")

"""Tells whether two remotes are one service under two names, before anything is moved onto itself."""

from __future__ import annotations

from functools import partial
from urllib.parse import urlsplit

from dxflow_async.exceptions import AccessDeniedError, NotFoundError
from dxflow_async.providers.contract import Entry, Provider
from dxflow_async.transfer.context import Place
from dxflow_async.transfer.retry import RetryPolicy, retry

__all__ = ["is_one_service"]

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


async def is_one_service(one: Place, other: Place) -> bool:
    """Whether the providers of two places are the same service, with one name for each of its buckets.

    Endpoints are compared first. A service may have several addresses; so where both places have the same key, the
    first object there is looked up by both providers: one object has one size, one version and one time at both. That
    costs up to three requests, and only for two remotes of one kind and equal keys.

    Providers without buckets are not compared: their keys are relative to a directory, and copies keep times.
    """
    first, second = one.provider, other.provider
    if type(first) is not type(second) or not (first.features.buckets and second.features.buckets):
        return False
    if _address(first) == _address(second):
        return True
    if one.key.rstrip("/") != other.key.rstrip("/"):
        return False
    try:
        key = await retry(partial(_first_key, second, other.key), RetryPolicy())
        if key is None:
            return False
        seen = [await retry(partial(provider.stat, key), RetryPolicy()) for provider in (second, first)]
    except (NotFoundError, AccessDeniedError):
        return False  # nothing is there under that key, so that nothing can be replaced by itself
    return _is_same(*seen)


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

"""Which settings and units of an account may be used on the hub's machine.

Settings that leave something open would be completed with the environment, profiles and files of this machine, so only
those that stand for themselves are usable. An endpoint or a unit at a loopback or link-local address would be a service
of this machine, such as its metadata service; those are refused unless the hub allows them. A name may get such an
address later, so each connection is checked, too (`may_connect_to`).
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from dxflow_async.concurrency.threads import Threads
from dxflow_async.config.account_settings import from_account
from dxflow_async.config.clouds import AzureSettings, CloudSettings, GCSSettings, S3Settings
from dxflow_async.exceptions import AccessDeniedError, ConfigurationError
from dxflow_async.hub_page.places import BUILT_IN_TYPES
from dxflow_async.models import Unit

__all__ = ["is_of_this_machine", "may_connect_to", "unit_check", "usable_settings"]

_GOOGLE = "https://storage.googleapis.com"


def usable_settings(
    kept: Mapping[str, Mapping[str, Any]], *, local_services: bool
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Returns the settings that may be used, and of each remote why it may not be; an empty text if it may. Blocks.

    Args:
        kept: the account's settings, by provider.
        local_services: whether endpoints on this machine itself are allowed.
    """
    usable: dict[str, dict[str, Any]] = {}
    remotes = {}
    for name in BUILT_IN_TYPES:
        given = dict(kept.get(name.upper(), {}))
        if not given:
            continue
        remotes[name] = reason = _objection(name.upper(), given, local_services=local_services)
        if not reason:
            usable[name.upper()] = given
    return usable, remotes


def is_of_this_machine(host: str) -> bool:
    """Returns whether a host is a service of this machine or of its link, as far as its name tells now. Blocks."""
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        return False  # it cannot be reached either
    return not all(may_connect_to(str(each)) for each in found)


def may_connect_to(address: str) -> bool:
    """Returns whether the session of an account may connect to an IP address: it is not this machine's or its link's.

    Example:
        >>> [may_connect_to(each) for each in ("192.0.2.7", "127.0.0.1", "169.254.169.254", "::ffff:127.0.0.1")]
        [True, False, False, False]
    """
    found = ip_address(address.partition("%")[0])
    found = getattr(found, "ipv4_mapped", None) or found
    return not (found.is_loopback or found.is_link_local or found.is_unspecified or found.is_multicast)


def unit_check(threads: Threads, *, local_services: bool) -> Callable[[Unit], Awaitable[None]]:
    """Returns a function that raises `AccessDeniedError` for units that must not be reached from here."""

    async def check(unit: Unit) -> None:
        host = urlsplit(unit.url).hostname
        if local_services or host is None or not await threads.run(is_of_this_machine, host):
            return
        raise AccessDeniedError(
            f"unit:/{unit.name}/ is refused: it is at {host}, which is the hub's own machine; register it with an "
            "address that other machines reach",
            provider="UNIT",
            operation="connect",
        )

    return check


def _objection(provider: str, given: dict[str, Any], *, local_services: bool) -> str:
    """Says why settings may not be used; empty if they may.

    A remote of S3 or Google without an endpoint gets that of Amazon or Google, so that the environment of this machine
    cannot name another one.
    """
    if "service_file" in given or "profile" in given:
        return "its settings name a file or a profile of another machine; only credentials in the settings work here"
    try:
        made = from_account(provider, given)
    except ConfigurationError as error:
        return str(error)
    host = None if made.endpoint is None else urlsplit(made.endpoint).hostname
    if host is not None and not local_services and is_of_this_machine(host):
        return f"its endpoint is at {host}, which is the hub's own machine"
    if not _has_credentials(made):
        return "its settings have no credentials; keep an access key or the like at the hub"
    if isinstance(made, S3Settings) and made.endpoint is None:
        given["endpoint"] = f"https://s3.{made.region or 'us-east-1'}.amazonaws.com"
    if isinstance(made, GCSSettings) and made.endpoint is None:
        given["endpoint"] = _GOOGLE
    return ""


def _has_credentials(settings: CloudSettings) -> bool:
    """Returns whether settings say who makes the requests, without a look at anything else."""
    match settings:
        case S3Settings():
            return settings.access_key is not None
        case AzureSettings():
            own = settings.account_key is not None or settings.sas_token is not None
            return own or (settings.anonymous and settings.account is not None)
    return settings.anonymous

"""Which addresses a client may connect to.

A name is looked up for each connection, and whoever controls it may give another address each time. So the rule is
asked about the addresses that were found for this very connection, which is then made to one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from dxflow_async.net.errors import AddressRefusedError

__all__ = ["AddressRule", "check_addresses"]

AddressRule = Callable[[str], bool]
"""Returns whether an IP address, as text, may be connected to."""


def check_addresses(host: str, addresses: Iterable[str], rule: AddressRule | None) -> None:
    """Refuses a host if a rule does not allow all of its addresses.

    Args:
        host: as the URL names it.
        addresses: what it was resolved to.
        rule: None allows all.

    Raises:
        AddressRefusedError: one of them is not allowed.
    """
    refused = None if rule is None else next((each for each in addresses if not rule(each)), None)
    if refused is not None:
        raise AddressRefusedError(f"{host} is at the address {refused}, which must not be reached from here")

"""The command `providers`: the settings that an account's hub keeps for all machines that sign in to it."""

from __future__ import annotations

from cyclopts import App

from dxflow_async.blocking.tables import write_line
from dxflow_async.cli.json_lines import print_json, say
from dxflow_async.cli.run import Account, Flag, with_session
from dxflow_async.cli.status import FAILED, complain
from dxflow_async.paths import provider_name
from dxflow_async.security.redaction import printable

__all__ = ["providers"]

_DIRECT = Account()

providers = App(
    name="providers", help="The settings of providers that the account's hub keeps.", result_action="return_value"
)


@providers.command(name="list")
def list_providers(*, json: Flag = False, account: Account = _DIRECT) -> int:
    """List the providers that the hub keeps settings of, and the settings' names; no values.

    Args:
        json: Print a JSON object on each line.
    """
    for name, kept in sorted(with_session(account, lambda session: session.provider_settings()).items()):
        if json:
            print_json("providers", {"provider": name, "settings": kept})
        else:
            write_line(f"{printable(name):6} {printable(', '.join(kept))}")
    return 0


@providers.command
def keep(provider: str, *, json: Flag = False, account: Account = _DIRECT) -> int:
    """Store this machine's settings of a provider, credentials included, with the account at its hub.

    The account's sessions use them on every machine that has no settings of that provider.

    Args:
        provider: AWS, AZURE or GCP.
        json: Print a JSON object.
    """
    kept = with_session(account, lambda session: session.keep_provider_settings(provider))
    say(f"kept for {provider_name(provider)}: {', '.join(kept)}", json=json)
    return 0


@providers.command
def forget(provider: str, *, json: Flag = False, account: Account = _DIRECT) -> int:
    """Delete the settings of a provider at the account's hub.

    Args:
        provider: AWS, AZURE or GCP.
        json: Print a JSON object.
    """
    name = provider_name(provider)
    if not with_session(account, lambda session: session.forget_provider_settings(name)):
        complain(f"the account has nothing for {name}")
        return FAILED
    say(f"deleted the settings of {name}", json=json)
    return 0

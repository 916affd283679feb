"""The command `wait`."""

from __future__ import annotations

from dxflow_async.blocking.tables import format_item, write_line
from dxflow_async.cli.json_lines import item_fields, print_json
from dxflow_async.cli.places import area_name
from dxflow_async.cli.run import Account, Flag, with_session
from dxflow_async.cli.status import FAILED, Failures
from dxflow_async.config.quantities import to_seconds
from dxflow_async.exceptions import StallTimeoutError
from dxflow_async.session import AsyncSession

__all__ = ["wait"]

_DIRECT = Account()


def wait(
    location: str,
    *,
    stable: str = "30s",
    timeout: str | None = None,
    json: Flag = False,
    public: Flag = False,
    account: Account = _DIRECT,
) -> int:
    """Wait until an object, or all of a directory, has not changed for a time, and print it.

    It is looked at again and again. What does not exist yet is waited for.

    Args:
        location: An object or a directory, written aws:/bucket/key, unit:/NAME/path or ./path.
        stable: For how long nothing may change.
        timeout: The longest time to wait, such as 1h; after it the status is 1. By default there is no limit.
        json: Print a JSON object.
        public: The location is in the account's public storage.
    """
    unchanged = to_seconds("--stable", stable)
    longest = None if timeout is None else to_seconds("--timeout", timeout)

    async def show(session: AsyncSession) -> int:
        try:
            item = await session.wait(
                location, stable=unchanged, timeout=longest, storage_type=area_name(public=public)
            )
        except StallTimeoutError as error:
            if error.operation != "wait":
                raise
            Failures(json=json).add(error)
            return FAILED
        if json:
            print_json("item", item_fields(location, item))
        else:
            write_line(format_item(item, below=None, size=None))
        return 0

    return with_session(account, show, places=(location,))

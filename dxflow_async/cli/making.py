"""The commands `mkdir` and `presign`."""

from __future__ import annotations

from contextlib import suppress

from dxflow_async.blocking.tables import write_line
from dxflow_async.cli.json_lines import print_json
from dxflow_async.cli.places import area_name, check_locations
from dxflow_async.cli.run import Account, Flag, with_session
from dxflow_async.cli.status import PLACE_ERRORS, Failures
from dxflow_async.compute.storage import AsyncUnitStorage
from dxflow_async.config.quantities import to_seconds
from dxflow_async.exceptions import AccessDeniedError, ConfigurationError
from dxflow_async.session import AsyncSession

__all__ = ["mkdir", "presign"]

_DIRECT = Account()


def mkdir(*locations: str, json: Flag = False, public: Flag = False, account: Account = _DIRECT) -> int:
    """Make directories, and those above them, where directories are real. One that exists is no error.

    Args:
        locations: The directories, written unit:/NAME/path, sftp://host/path or ./path.
        json: Print a JSON object for each directory.
        public: The locations are in the account's public storage.
    """
    if not locations:
        raise ConfigurationError("no directory was given; write ./path or unit:/NAME/path")

    async def make(session: AsyncSession) -> int:
        failures = Failures(json=json)
        await check_locations(session, locations, public=public)
        for location in locations:
            storage, path = await session.storage_at(location, storage_type=area_name(public=public))
            try:
                await storage.mkdir(path)
            except PLACE_ERRORS as error:
                failures.add(error)
                continue
            failures.note_success()
            if json:
                print_json("message", {"message": f"made {location}"})
        return failures.status

    return with_session(account, make, places=locations)


def presign(
    location: str,
    *,
    expires: str = "1h",
    method: str = "GET",
    json: Flag = False,
    public: Flag = False,
    account: Account = _DIRECT,
) -> int:
    """Print a URL that works without an account, for a limited time.

    Args:
        location: The object, written aws:/bucket/key.
        expires: How long the URL works, in seconds, or with a unit: 90s, 2h, 7d.
        method: GET to download the object, PUT to upload it.
        json: Print a JSON object.
        public: The location is in the account's public storage.
    """
    seconds = to_seconds("--expires", expires)
    if method not in ("GET", "PUT"):
        raise ConfigurationError(f"--method = {method!r} is not allowed; it must be GET or PUT")

    async def make(session: AsyncSession) -> int:
        storage, path = await session.storage_at(location, storage_type=area_name(public=public))
        if isinstance(storage, AsyncUnitStorage):
            raise ConfigurationError(f"{location} has no URL; only objects in clouds do, such as aws:/bucket/key")
        if method == "GET":
            with suppress(AccessDeniedError):  # signing needs no permission to look
                if (await storage.stat(path)).directory:
                    raise ConfigurationError(f"{location} is a directory; only objects have URLs")
        url = await storage.presign(path, seconds, method=method)
        if json:
            print_json("url", {"location": location, "url": url, "method": method, "seconds": seconds})
        else:
            write_line(url)
        return 0

    return with_session(account, make, places=(location,))

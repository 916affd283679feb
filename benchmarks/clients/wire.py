"""A unit's storage routes, for the contestants that are no clients of units themselves."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin

if TYPE_CHECKING:
    import requests

    from benchmarks.clients.job import Place

__all__ = ["connect", "create", "download_url", "metadata", "names", "upload_url"]


def connect(place: Place) -> requests.Session:
    """An HTTP session that is signed in to the unit."""
    import requests

    session = requests.Session()
    session.headers["X-SECRET-KEY"] = place.secret_key
    return session


def upload_url(place: Place) -> str:
    """Where uploads are made."""
    return f"{place.endpoint}/storage/upload/"


def download_url(place: Place, key: str) -> str:
    """Where a file's bytes are."""
    return f"{place.endpoint}/storage/download/?path={quote(f'/{key}')}"


def metadata(key: str) -> dict[str, str]:
    """What an upload says of the file it becomes."""
    directory, _, name = key.rpartition("/")
    return {"path": f"/{directory}", "name": name}


def create(session: requests.Session, place: Place, key: str, size: int) -> str:
    """A new upload's URL."""
    pairs = [f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in metadata(key).items()]
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": str(size), "Upload-Metadata": ",".join(pairs)}
    response = session.post(upload_url(place), headers=headers)
    response.raise_for_status()
    return urljoin(upload_url(place), response.headers["Location"])


def names(session: requests.Session, place: Place) -> dict[str, int]:
    """Bytes of every file of the place, by its path below the prefix."""
    response = session.get(f"{place.endpoint}/storage/items/?path=/{quote(place.prefix)}&recursive=true")
    response.raise_for_status()
    return {item["name"]: item["size"] for item in response.json() if not item["directory"]}

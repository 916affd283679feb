"""GET and HEAD requests that follow redirects without giving credentials away."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from urllib.parse import quote, unquote, urljoin, urlsplit

from dxflow_async.providers import (
    HTTP,
    Call,
    ConfigurationError,
    Response,
    Secret,
    UnsupportedError,
    expect_status,
    not_the_service,
    read_error_body,
)
from dxflow_async.providers.http_source.answers import STATUSES, is_page
from dxflow_async.providers.http_source.settings import HTTPSourceSettings, URLSettings, is_loopback, origin_of

__all__ = ["MAX_REDIRECTS", "Requests"]

MAX_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_SAFE = "/:@!$&'()*+,;=~-._"


class Requests:
    """Sends the requests of one remote.

    Args:
        settings: endpoint and credentials.
        http: the session's data plane.
    """

    def __init__(self, settings: HTTPSourceSettings, http: HTTP) -> None:
        if settings.endpoint is None:
            raise ConfigurationError("endpoint is missing; set it to https://host, or write the whole URL as location")
        self._settings = settings
        self._http = http
        self._endpoint = settings.endpoint.rstrip("/")
        self._origin = origin_of(settings.endpoint)
        self._credentials = _credentials(settings)

    @property
    def host(self) -> str:
        """The server's name, as limits and messages use it."""
        return self._origin[1]

    async def send(self, call: Call, method: str, key: str, headers: Mapping[str, str]) -> Response:
        """Sends a request for a file and returns the successful answer.

        Raises:
            StorageError: the server refused it, or redirected it too often or to where it must not go.
            ServiceError: a sign-in page came in the place of the file.
            UnsupportedError: it is a directory.
        """
        if not key or key.endswith("/"):
            raise call.error(UnsupportedError, "a web server lists no directories; name one file")
        first = url = Secret(self._url(key))
        for _ in range(MAX_REDIRECTS + 1):
            response = await self._http.send(call, method, url, self._headers(url, headers))
            if response.status not in _REDIRECTS:
                return await self._accepted(call, key, response, _path_of(first), _path_of(url))
            location = response.headers.get("location", "")
            await read_error_body(response)
            url = self._redirected(call, url, location)
        raise not_the_service(call, f"more than {MAX_REDIRECTS} redirects")

    def _url(self, key: str) -> str:
        target = self._settings.target if isinstance(self._settings, URLSettings) else ""
        if target and unquote(target.partition("?")[0], errors="surrogateescape").lstrip("/") == key:
            return self._endpoint + target
        return f"{self._endpoint}/{quote(key, safe=_SAFE, errors='surrogateescape')}"

    def _headers(self, url: str, headers: Mapping[str, str]) -> dict[str, str]:
        sent = {"accept": "*/*", "accept-encoding": "identity", "user-agent": "dxflow-async"}
        if origin_of(url) == self._origin:
            sent |= self._credentials
        return {**sent, **headers}

    def _redirected(self, call: Call, url: str, location: str) -> Secret:
        """Returns where a redirect leads.

        Raises:
            ServiceError: nowhere, from https to http, or to a URL with a user: RFC 9110, 4.2.4 calls that an error,
                because it hides the host.
        """
        try:
            target = Secret(urljoin(url, quote(location, safe=_SAFE + "?%#[]")).partition("#")[0])
            scheme, host, _ = origin_of(target)
        except (ConfigurationError, ValueError):
            # Not from the error, which may hold a signed URL.
            raise not_the_service(call, "a redirect to no valid URL") from None
        if not location:
            raise not_the_service(call, "a redirect that does not say where to")
        if "@" in urlsplit(target).netloc:
            raise not_the_service(call, f"a redirect to {host} with a user in its URL, which is not followed")
        downgraded = origin_of(url)[0] == "https"
        if scheme == "http" and (downgraded or not (self._settings.allow_http or is_loopback(host))):
            raise not_the_service(call, f"a redirect to plain http at {host}, which is not followed")
        return target

    async def _accepted(self, call: Call, key: str, response: Response, first: str, last: str) -> Response:
        """Returns the successful answer to a request for the path `first` that was redirected to the path `last`."""
        await expect_status(call, response, 200, 206, errors=STATUSES)
        if not self._settings.allow_html and is_page(key, response.headers, moved=first != last):
            response.close()
            if last == f"{first}/":
                text = "it is a directory, which a web server does not list; name one file, or set allow_html = true"
                raise call.error(UnsupportedError, f"{text} to get the page of the directory")
            seen = "an HTML page; set allow_html = true for a remote of this server if that is the file"
            raise not_the_service(call, seen, response.status)
        return response


def _path_of(url: str) -> str:
    return unquote(urlsplit(url).path, errors="surrogateescape")


def _credentials(settings: HTTPSourceSettings) -> dict[str, str]:
    headers: dict[str, str] = {}
    if settings.header is not None:
        name, _, value = settings.header.partition(":")
        headers[name.lower()] = Secret(value.strip())
    if settings.token is not None:
        headers["authorization"] = Secret(f"Bearer {settings.token}")
    if settings.username is not None:
        pair = f"{settings.username}:{settings.password or ''}"
        headers["authorization"] = Secret(f"Basic {base64.b64encode(pair.encode()).decode()}")
    return headers

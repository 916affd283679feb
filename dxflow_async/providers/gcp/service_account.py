"""Tokens of service accounts: an assertion that their key signs is exchanged for a token.

The assertion has a time. A token server refuses one that is too far from its own. Its `Date` tells the difference, and
the assertion is signed once more, so that a machine whose clock is wrong can sign in.

Universes other than Google's public one have no such token server. There the account signs its access tokens itself.

Sources: https://developers.google.com/identity/protocols/oauth2/service-account#authorizingrequests
https://developers.google.com/identity/protocols/oauth2/service-account#jwt-auth
https://google.aip.dev/auth/4111
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from dxflow_async.concurrency.threads import Threads
from dxflow_async.providers.common.server_clock import ServerClock
from dxflow_async.providers.gcp.credentials_file import UNIVERSE
from dxflow_async.providers.gcp.google_auth_token import FetchedToken
from dxflow_async.providers.gcp.signing import sign_access_token, sign_assertion
from dxflow_async.providers.gcp.token_transport import TOKEN_SECONDS, Answer, TokenTransport, is_time_refused

__all__ = ["ServiceAccountToken"]

_DEFAULT_SERVER = "https://oauth2.googleapis.com/token"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class ServiceAccountToken:
    """Has the methods of the token object of gcloud-aio-auth that are used. The constructor blocks: it reads the key.

    Args:
        info: the service account's file.
        scope: what the token is for.
        clock: Google's time.
        threads: sign.

    Attributes:
        service_data: the file, without its key.
        session: sends the requests.
        private_key: the account's key.

    Raises:
        ValueError, KeyError, TypeError: the file lacks a field, or one has a wrong value.
    """

    def __init__(self, info: dict[str, Any], scope: str, clock: ServerClock, threads: Threads) -> None:
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        self.session: TokenTransport
        # Read once, since reading a key takes longer than using it.
        self.private_key: Any = load_pem_private_key(info["private_key"].encode(), None)
        self.service_data = {name: value for name, value in info.items() if name != "private_key"}
        if not isinstance(self.service_data["client_email"], str):
            raise TypeError("client_email is no text")
        self._scope = scope
        self._clock = clock
        self._threads = threads

    async def refresh(self, **_: object) -> FetchedToken:
        """Fetches a new token. Each request has `TOKEN_SECONDS`.

        Raises:
            StorageError: the token server refuses, fails or cannot be reached.
        """
        if (self.service_data.get("universe_domain") or UNIVERSE) != UNIVERSE:
            signing = (self.private_key, self.service_data, self._scope, self._clock.now())
            return FetchedToken(*await self._threads.run(sign_access_token, *signing))
        offset = self._clock.offset
        answer = await self._request()
        if answer.status >= 300 and is_time_refused(self._clock, answer, offset):
            answer = await self._request()
            if answer.status >= 300:
                raise answer.error(self._clock.explained(answer.refusal()[1]))
        if answer.status >= 300:
            raise answer.error()
        document = await answer.json()
        return FetchedToken(document["access_token"], document["expires_in"])

    async def _request(self) -> Answer:
        uri = self.service_data.get("token_uri") or _DEFAULT_SERVER
        signed = await self._threads.run(
            sign_assertion, self.private_key, self.service_data, uri, self._scope, self._clock.now()
        )
        form = urlencode({"assertion": signed, "grant_type": _GRANT}).encode()
        headers = {"content-type": "application/x-www-form-urlencoded"}
        return await self.session.exchange("POST", uri, headers, form, TOKEN_SECONDS)

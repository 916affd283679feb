"""Credentials, regions and endpoints of S3, from the settings or from the AWS SDK."""

from __future__ import annotations

import asyncio
import os
import re
from typing import Any
from urllib.parse import quote, urlsplit

from dxflow_async.concurrency.threads import Threads
from dxflow_async.config.credentials import AccessKeys
from dxflow_async.config.settings import AWSSettings
from dxflow_async.config.validation import not_allowed
from dxflow_async.exceptions import AccessDeniedError, ConfigurationError, UnsafePathError
from dxflow_async.providers.aws.errors import is_key_refusal, is_token_refusal
from dxflow_async.providers.aws.sdk_transport import SDKTransport, use_transport
from dxflow_async.providers.common.remote_names import for_remote
from dxflow_async.providers.common.renewed_credentials import RenewedCredentials
from dxflow_async.providers.common.server_clock import ServerClock
from dxflow_async.providers.common.sigv4 import Credentials, Signer
from dxflow_async.providers.http import HTTP
from dxflow_async.security.redaction import holds_key

__all__ = ["AMAZON", "CloudCredentials", "bucket_path", "virtual_host"]

AMAZON = re.compile(r"\.(amazonaws\.com(\.[a-z]+)?|api\.aws)(:[0-9]+)?$")
"""Hosts that have a name below them for each bucket."""

_LABELS = re.compile(r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*")


class CloudCredentials:
    """Finds credentials, region and endpoint. The SDK is loaded only if the settings leave something open.

    Args:
        settings: the user's settings.
        http: sends the SDK's requests.
        threads: load the SDK.
        name: the remote's name, as messages show it.

    Attributes:
        clock: the service's time, which signatures have.
    """

    def __init__(self, settings: AWSSettings, http: HTTP, threads: Threads, *, name: str = "AWS") -> None:
        self._transport = SDKTransport(http, name)
        self.clock = ServerClock(urlsplit(settings.endpoint).netloc if settings.endpoint else "Amazon S3")
        self._name = name
        self._settings = settings
        self._threads = threads
        self._sdk: Any = None
        # The first requests of a session arrive together; they share one lookup.
        self._loading = asyncio.Lock()
        self._chain: Any = None
        self._region = settings.region
        self._endpoints: dict[str, str] = {}
        self._fixed: Credentials | None = None
        self._given: Credentials | None = None
        self._renewed: RenewedCredentials[AccessKeys] | None = None
        self._keys: AccessKeys | None = None
        if settings.credentials is not None:
            self._renewed = RenewedCredentials(name, "AWS", settings.credentials, AccessKeys)
        if settings.access_key and settings.secret_key:
            self._fixed = Credentials(settings.access_key, settings.secret_key, settings.session_token)
        known = self._fixed is not None or self._renewed is not None
        if known and settings.endpoint and not settings.profile:
            fallback = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
            self._region = settings.region or fallback or "us-east-1"

    async def credentials(self) -> Credentials:
        """Returns the keys for the next request. Call it for each request, so that expiring keys are refreshed.

        Raises:
            ConfigurationError: the credential chain found none.
            AccessDeniedError: the keys could not be refreshed.
            StorageError: the function of the settings failed.
        """
        if self._fixed is not None:
            return self._fixed
        if self._renewed is not None:
            keys = await self._renewed.get()
            if self._given is None or keys is not self._keys:
                self._given = Credentials(keys.access_key, keys.secret_key, keys.session_token)
                self._keys = keys
            return self._given
        try:
            frozen = await (self._chain or await self._find_chain()).get_frozen_credentials()
        except _sdk_errors() as error:
            advice = for_remote("sign in to AWS again, or set AWS.profile", self._name, "AWS")
            raise AccessDeniedError(
                f"{self._name} credentials could not be had: {error}; {advice}",
                provider=self._name,
                operation="sign in",
            ) from error
        self._given = Credentials(frozen.access_key, frozen.secret_key, frozen.token)
        return self._given

    def forget(self, refused: Credentials, status: int, code: str) -> bool:
        """Drops keys that the service refuses, so that the credential chain or the user's function is asked again.

        Both renew keys before their announced end; this is for keys that are revoked earlier.

        Args:
            refused: the keys.
            status: the status of the refusal.
            code: its code.

        Returns:
            Whether there is anything else to try.
        """
        if self._renewed is not None:
            if not is_key_refusal(status, code):
                return False
            return refused is not self._given or self._keys is None or self._renewed.forget(self._keys, sure=bool(code))
        if refused.token is None or self._fixed is not None or not is_token_refusal(status, code):
            return False
        if refused == self._given:
            self._sdk = self._chain = self._given = None
        return True

    async def region(self) -> str:
        """Returns the region for buckets whose own region is not known yet."""
        if self._region is None:
            self._region = (await self._session()).region_name or "us-east-1"
        return self._region

    async def endpoint(self, region: str) -> str:
        """Returns the service's URL in a region, without a trailing slash."""
        if self._settings.endpoint is not None:
            return self._settings.endpoint.rstrip("/")
        sdk = await self._session()
        async with self._loading:
            if region not in self._endpoints:
                async with sdk.client("s3", region_name=region) as client:
                    # With FIPS the SDK names a region that has no host, and corrects that for each request.
                    self._endpoints[region] = client.meta.endpoint_url.rstrip("/").replace(
                        ".aws-global.", f".{region}."
                    )
        return self._endpoints[region]

    async def addressing(self, host: str) -> str:
        """Where a bucket's name goes in URLs of a host: `"path"` or `"virtual"`.

        Unless the settings or the SDK's configuration say so, it is the path for every host but Amazon's, as botocore
        does it.
        """
        if self._settings.addressing != "auto":
            return self._settings.addressing
        if self._settings.endpoint is not None:
            return "path"
        style = await self._threads.run(_addressing_style, await self._session())
        if style in ("path", "virtual"):
            return style
        return "virtual" if AMAZON.search(host) else "path"

    async def presign(self, method: str, url: str, region: str, expires: int) -> str:
        """Returns the URL with a SigV4 signature in its query.

        Raises:
            ConfigurationError: `expires` is outside the 1 second to 7 days that S3 allows.
        """
        if not 1 <= expires <= 604_800:
            raise ConfigurationError(f"expires = {expires} is not allowed; it must be 1 to 604800 seconds (7 days)")
        return Signer(clock=self.clock).presigned(await self.credentials(), region, method, url, expires)

    async def _session(self) -> Any:
        async with self._loading:
            if self._sdk is None:
                self._sdk = await self._threads.run(self._load)
        return self._sdk

    async def _find_chain(self) -> Any:
        sdk = await self._session()
        async with self._loading:
            self._chain = self._chain or await sdk.get_credentials()
        if self._chain is None:
            advice = (
                "set AWS.access_key and AWS.secret_key, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS.profile"
            )
            raise ConfigurationError(
                f"no {self._name} credentials were found: {for_remote(advice, self._name, 'AWS')}, or run where the "
                "machine has a role"
            )
        return self._chain

    def _load(self) -> Any:
        import aioboto3
        from botocore.exceptions import BotoCoreError

        try:
            sdk = aioboto3.Session(profile_name=self._settings.profile, region_name=self._settings.region)
            use_transport(sdk, self._transport)
        except BotoCoreError as error:
            profile = self._settings.profile or os.environ.get("AWS_PROFILE")
            setting = for_remote("AWS.profile", self._name, "AWS")
            if profile is not None and holds_key(profile):
                raise ConfigurationError(not_allowed(setting, profile, "the name of a profile")) from None
            raise ConfigurationError(f"{setting} = {profile!r}: {error}") from error
        else:
            return sdk


def _addressing_style(sdk: Any) -> str:
    """The addressing style of the profile, `auto` by default; blocks."""
    section = sdk._session.get_scoped_config().get("s3", {})
    style = section.get("addressing_style") if isinstance(section, dict) else None
    return str(style or "auto")


def virtual_host(bucket: str, host: str) -> str:
    """Returns the host name of a bucket below the endpoint's.

    Raises:
        UnsafePathError: the bucket's name would change the host to another one.
    """
    if not _LABELS.fullmatch(bucket) or len(bucket) > 63:
        raise _unsafe(bucket, 'its name would become a part of the host; set AWS.addressing to "path"')
    return f"{bucket}.{host}"


def bucket_path(bucket: str) -> str:
    """Returns the start of the URL path of a bucket's objects.

    Raises:
        UnsafePathError: the bucket's name would change the path to another one.
    """
    if bucket in (".", ".."):
        raise _unsafe(bucket, "no bucket has that name")
    return f"/{quote(bucket, safe='-_.~')}/"


def _unsafe(bucket: str, reason: str) -> UnsafePathError:
    text = f'AWS request to the bucket "{bucket}" refused: {reason}'
    return UnsafePathError(text, provider="AWS", operation="request", path=f"/{bucket}")


def _sdk_errors() -> tuple[type[Exception], ...]:
    from botocore.exceptions import BotoCoreError, ClientError

    # The last one: the credentials were refreshed, and had expired by then.
    return BotoCoreError, ClientError, RuntimeError

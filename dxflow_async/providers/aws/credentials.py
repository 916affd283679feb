"""Credentials, regions and endpoints of S3, from the settings or from the AWS SDK."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from dxflow_async.concurrency.imports import importing
from dxflow_async.concurrency.threads import Threads
from dxflow_async.config.credentials import AccessKeys
from dxflow_async.config.settings import AWSSettings
from dxflow_async.config.texts import check_secret, trim
from dxflow_async.config.validation import not_allowed
from dxflow_async.exceptions import AccessDeniedError, ConfigurationError
from dxflow_async.providers.aws.endpoints import Base, RuleSet, base_at, check_bucket, no_endpoint
from dxflow_async.providers.aws.environment_keys import keys_of_environment, token_of_environment
from dxflow_async.providers.aws.errors import is_key_refusal, is_token_refusal
from dxflow_async.providers.aws.sdk_transport import SDKTransport, reach_metadata_directly, use_transport
from dxflow_async.providers.common.remote_names import for_remote
from dxflow_async.providers.common.renewed_credentials import RenewedCredentials
from dxflow_async.providers.common.server_clock import ServerClock
from dxflow_async.providers.common.sigv4 import Credentials, Signer
from dxflow_async.providers.http import HTTP
from dxflow_async.security.redaction import Secret, holds_key

__all__ = ["CloudCredentials"]


class CloudCredentials:
    """Finds credentials, region and endpoint. The SDK is loaded only if the settings leave something open.

    Args:
        settings: the user's settings.
        http: sends the SDK's requests.
        threads: load the SDK.
        name: the remote's name, as messages show it.

    Attributes:
        clock: the service's time, which signatures have.
        fixed: the keys, where the settings have them.
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
        self._rules: dict[str, RuleSet] = {}
        self.fixed: Credentials | None = None
        self._given: Credentials | None = None
        self._renewed: RenewedCredentials[AccessKeys] | None = None
        self._keys: AccessKeys | None = None
        if settings.credentials is not None:
            self._renewed = RenewedCredentials(name, "AWS", settings.credentials, AccessKeys)
        if settings.access_key and settings.secret_key:
            self.fixed = _given_keys(settings, name)
        known = self.fixed is not None or self._renewed is not None
        self._complete = bool(known and settings.endpoint and not settings.profile)
        if self._complete:
            self._region = settings.region or _region_of_environment() or "us-east-1"
        self._plain: Credentials | None = None  # the environment's keys, where nothing else needs the SDK
        region = settings.region or _region_of_environment()
        self._looked = bool(known or not settings.endpoint or settings.profile or region is None)

    async def credentials(self) -> Credentials:
        """Returns the keys for the next request. Call it for each request, so that expiring keys are refreshed.

        Raises:
            ConfigurationError: the credential chain found none.
            AccessDeniedError: the keys could not be refreshed.
            StorageError: the function of the settings failed.
        """
        if self.fixed is not None:
            return self.fixed
        if self._renewed is not None:
            keys = await self._renewed.get()
            if self._given is None or keys is not self._keys:
                self._given = Credentials(keys.access_key, keys.secret_key, keys.session_token)
                self._keys = keys
            return self._given
        if (plain := await self._plain_keys()) is not None:
            self._given = plain
            return plain
        try:
            frozen = await (self._chain or await self._find_chain()).get_frozen_credentials()
        except _sdk_errors() as error:
            advice = "set AWS.region" if _lacks_region(error) else "sign in to AWS again, or set AWS.profile"
            raise AccessDeniedError(
                f"{self._name} credentials could not be obtained: {str(error).rstrip('.')}; "
                f"{for_remote(advice, self._name, 'AWS')}",
                provider=self._name,
                operation="sign in",
            ) from error
        self._given = self._checked(frozen)
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
        if refused.token is None or self.fixed is not None or not is_token_refusal(status, code):
            return False
        if refused == self._given:
            self._sdk = self._chain = self._given = self._plain = None
        return True

    async def region(self) -> str:
        """Returns the region for buckets whose own region is not known yet."""
        if self._region is None and await self._plain_keys() is not None:
            self._region = _region_of_environment()
        if self._region is None:
            self._region = trim((await self._session()).region_name or "") or "us-east-1"
        return "us-east-1" if self._region == "aws-global" else self._region

    async def sdk_setting(self, name: str) -> str | None:
        """Returns a setting of the SDK's configuration; None if there is none, or our settings leave nothing open."""
        if self._complete:
            return None
        if await self._plain_keys() is not None:  # there is no configuration file
            return os.environ.get(f"AWS_{name.upper()}")
        found = (await self._session())._session.get_config_variable(name)
        return None if found is None else str(found)

    async def base(self, bucket: str, region: str) -> Base:
        """Returns where the requests of a bucket go; of the service where the name is empty.

        Raises:
            ConfigurationError: the SDK's configuration names no endpoint, or one that is not valid.
            UnsafePathError: the bucket's name would change the host or the path to another one.
            UnsupportedError: it names no bucket, but an access point or a directory bucket.
        """
        check_bucket(self._settings, bucket, self._name)
        if self._settings.endpoint is not None:
            return base_at(self._settings, bucket)
        rules = self._rules.get(region) or await self._load_rules(region)
        return await rules.base(bucket)

    async def presign(
        self, method: str, url: str, region: str, expires: int, query: Mapping[str, str] | None = None
    ) -> str:
        """Returns the URL with further parameters and a SigV4 signature in its query.

        Raises:
            ConfigurationError: `expires` is outside the 1 second to 7 days that S3 allows.
        """
        if not 1 <= expires <= 604_800:
            raise ConfigurationError(f"expires = {expires} is not allowed; it must be 1 to 604800 seconds (7 days)")
        signer = Signer(clock=self.clock)
        return signer.presigned(await self.credentials(), region, method, url, expires, query)

    def _checked(self, frozen: Any) -> Credentials:
        """Returns keys of the SDK, which takes a variable with its line break as a key."""
        keys = {name: getattr(frozen, name) for name in ("access_key", "secret_key", "token")}
        for name, key in keys.items():
            keys[name] = key and trim(Secret(key))
            check_secret(f"{name.replace('_', ' ')} of the AWS SDK ({self._name})", keys[name] or "")
        return Credentials(keys["access_key"], keys["secret_key"], keys["token"])

    async def _load_rules(self, region: str) -> RuleSet:
        from aiobotocore.config import AioConfig
        from botocore.exceptions import BotoCoreError

        sdk = await self._session()
        style = self._settings.addressing
        config = None if style == "auto" else AioConfig(s3={"addressing_style": style})
        async with self._loading:
            if region not in self._rules:
                try:
                    async with sdk.client("s3", region_name=region, config=config) as client:
                        self._rules[region] = RuleSet(client, self._name)
                except (BotoCoreError, ValueError) as error:  # a ValueError: an endpoint that is no URL
                    raise no_endpoint(error, self._name) from error
        return self._rules[region]

    async def _plain_keys(self) -> Credentials | None:
        if not self._looked:
            async with self._loading:
                if not self._looked:
                    self._plain = await self._threads.run(keys_of_environment, self._name)
                    self._looked = True
        return self._plain

    async def _session(self) -> Any:
        async with self._loading:
            if self._sdk is None:
                self._sdk = await self._threads.run(importing, self._load)
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
            region = self._settings.region or _region_of_environment()
            sdk = aioboto3.Session(profile_name=self._settings.profile, region_name=region)
            use_transport(sdk, self._transport)
            reach_metadata_directly(sdk)
        except BotoCoreError as error:
            profile = self._settings.profile or os.environ.get("AWS_PROFILE")
            setting = for_remote("AWS.profile", self._name, "AWS") if self._settings.profile else "AWS_PROFILE"
            if profile is not None and holds_key(profile):
                raise ConfigurationError(not_allowed(setting, profile, "the name of a profile")) from None
            advice = "check the name, and the files ~/.aws/config and ~/.aws/credentials"
            raise ConfigurationError(f"{setting} = {profile!r}: {error}; {advice}") from error
        else:
            return sdk


_TEMPORARY = "ASIA"
"""How the id of a key begins that is valid with a session token only.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
"""


def _given_keys(settings: AWSSettings, name: str) -> Credentials:
    """Returns the keys of the settings, with the token of the environment if it belongs to these keys.

    Raises:
        ConfigurationError: they are temporary keys of Amazon's without their token.
    """
    access, secret = settings.access_key or "", settings.secret_key or ""
    token = settings.session_token or token_of_environment(access, secret)
    if token is None and settings.endpoint is None and access.startswith(_TEMPORARY):
        told = "AWS.access_key is one of temporary credentials, which need AWS.session_token: set it"
        other = " (AWS_SESSION_TOKEN belongs to other keys)" if os.environ.get("AWS_SESSION_TOKEN") else ""
        raise ConfigurationError(for_remote(told, name, "AWS") + other)
    return Credentials(access, secret, token)


def _region_of_environment() -> str | None:
    """The region of the variables. botocore reads only the first; other SDKs, and containers, set the second."""
    variables = "AWS_DEFAULT_REGION", "AWS_REGION"
    return next((region for each in variables if (region := trim(os.environ.get(each, "")))), None)


def _lacks_region(error: Exception) -> bool:
    from botocore.exceptions import NoRegionError

    return isinstance(error, NoRegionError)


def _sdk_errors() -> tuple[type[Exception], ...]:
    from botocore.exceptions import BotoCoreError, ClientError

    # The last one: the credentials were refreshed, and had expired by then.
    return BotoCoreError, ClientError, RuntimeError

"""Where the requests of a bucket go: the host, and whether the bucket's name stands in it or in the path.

Amazon's own hosts come from botocore's rule set: partitions such as China and GovCloud, FIPS, dual-stack, transfer
acceleration, and which bucket names may stand in a host. An endpoint of the user's has its buckets in the path, unless
the settings or the SDK's configuration say otherwise.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from dxflow_async.config.settings import AWSSettings
from dxflow_async.exceptions import ConfigurationError, StorageError, UnsafePathError, UnsupportedError
from dxflow_async.net import without_zone
from dxflow_async.providers.common.remote_names import for_remote

__all__ = ["Base", "RuleSet", "base_at", "check_bucket", "no_endpoint"]

_LABEL = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
_LABELS = {"https": re.compile(_LABEL), "http": re.compile(rf"{_LABEL}(\.{_LABEL})*")}
"""Names that may stand in a host. The wildcard of a certificate does not match a name with a dot."""

_EXPRESS = re.compile(r"--xa?-s3")


class Base(NamedTuple):
    """What precedes the names of a bucket's objects.

    Attributes:
        host: host and port, as the header `Host` has them.
        url: the start of URLs.
        path: the start of their paths.
    """

    host: str
    url: str
    path: str

    @classmethod
    def of(cls, url: str) -> Base:
        """Returns the base that a URL without a slash at its end names."""
        scheme, _, rest = url.partition("://")
        host, _, path = rest.partition("/")
        path = f"/{path}/" if path else "/"
        return cls(without_zone(host), f"{scheme}://{host}{path}", path)


class RuleSet:
    """Botocore's rules for the endpoints of one region, as the SDK's configuration has them.

    Args:
        client: an S3 client of aiobotocore for that region; it may be closed.
        name: the remote's name, as messages show it.
    """

    def __init__(self, client: Any, name: str) -> None:
        model = client.meta.service_model
        self._resolver = client._ruleset_resolver
        self._of_bucket, self._of_service = model.operation_model("HeadObject"), model.operation_model("ListBuckets")
        self._name = name

    async def base(self, bucket: str) -> Base:
        """Returns the base of a bucket, or of the service where the name is empty.

        Raises:
            ConfigurationError: there is no such endpoint, such as one for FIPS in China.
        """
        from botocore.exceptions import BotoCoreError

        operation, given = (self._of_bucket, {"Bucket": bucket, "Key": "name"}) if bucket else (self._of_service, {})
        try:
            found = await self._resolver.construct_endpoint(operation, given, {})
        except BotoCoreError as error:
            raise no_endpoint(error, self._name) from error
        return Base.of(str(found.url).rstrip("/"))


def base_at(settings: AWSSettings, bucket: str) -> Base:
    """Returns the base of a bucket at the endpoint of the settings, or of the service where the name is empty.

    A name that cannot stand in a host stands in the path, whatever the settings say, as botocore does it.
    """
    assert settings.endpoint is not None
    base = Base.of(settings.endpoint.rstrip("/"))
    if not bucket:
        return base
    scheme = settings.endpoint.partition("://")[0]
    fits = 3 <= len(bucket) <= 63 and _LABELS[scheme].fullmatch(bucket) is not None
    if settings.addressing == "virtual" and fits and not _is_address(base.host):
        return Base(f"{bucket}.{base.host}", f"{scheme}://{bucket}.{base.host}{base.path}", base.path)
    escaped = quote(bucket, safe="-_.~")
    return Base(base.host, f"{base.url}{escaped}/", f"{base.path}{escaped}/")


def check_bucket(settings: AWSSettings, bucket: str, name: str) -> None:
    """Refuses names that stand for something else than a bucket.

    Raises:
        UnsafePathError: no bucket has that name.
        UnsupportedError: the ARN of an access point, or a directory bucket.
    """
    if bucket in (".", ".."):
        raise _refused(UnsafePathError, name, bucket, "no bucket has that name")
    if bucket.startswith("arn:"):
        reason = "ARNs are not supported; write the alias of the access point, which ends in -s3alias"
        raise _refused(UnsupportedError, name, bucket, reason)
    if settings.endpoint is None and _EXPRESS.search(bucket[-7:]):
        reason = "it is a directory bucket (S3 Express One Zone), which is not supported; use a general purpose bucket"
        raise _refused(UnsupportedError, name, bucket, reason)


def no_endpoint(error: Exception, name: str) -> ConfigurationError:
    """Returns the error for a configuration of the SDK that names no endpoint."""
    advice = for_remote("check AWS.region, and use_fips_endpoint and use_dualstack_endpoint of the SDK", name, "AWS")
    return ConfigurationError(f"{name} has no such endpoint: {error}; {advice}")


def _is_address(authority: str) -> bool:
    try:
        ipaddress.ip_address(urlsplit(f"//{authority}").hostname or "")
    except ValueError:
        return False
    return True


def _refused(cls: type[StorageError], name: str, bucket: str, reason: str) -> StorageError:
    text = f'{name} request to the bucket "{bucket}" refused: {reason}'
    return cls(text, provider=name, operation="request", path=f"/{bucket}")

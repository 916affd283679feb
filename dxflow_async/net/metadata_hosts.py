"""The metadata services of machines and containers, which are reached directly: they give out credentials.

A proxy cannot reach the metadata service of this machine. It would answer with its own credentials, or see ours.

Sources:
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service#proxies
https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference
https://cloud.google.com/compute/docs/metadata/querying-metadata
"""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["METADATA_SECONDS", "is_metadata_host", "metadata_hosts_of"]

METADATA_SECONDS = 3.0
"""Seconds in which a metadata service must answer, as in Google's libraries. It is on the same machine or its host."""

_HOSTS = frozenset(
    {
        "169.254.169.254",  # AWS EC2, Azure, Google
        "fd00:ec2::254",  # AWS EC2
        "fd20:ce::254",  # Google
        "metadata.google.internal",
        "metadata",
        "169.254.170.2",  # AWS ECS
        "169.254.170.23",  # AWS EKS
        "fd00:ec2::23",  # AWS EKS
    }
)
_VARIABLES = (
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "GCE_METADATA_HOST",
    "GCE_METADATA_IP",
    "GCE_METADATA_ROOT",
    "AZURE_POD_IDENTITY_AUTHORITY_HOST",
    "IDENTITY_ENDPOINT",
    "IMDS_ENDPOINT",
    "MSI_ENDPOINT",
)
"""Variables that name a metadata service elsewhere, as a URL or as `host[:port]`."""

_AUTHORITY = re.compile(
    r"(?:[a-z][a-z0-9+.-]*://)?(\[[^\[\]/?#]*\]|[^\[\]/?#:@]*)(?::([0-9]{1,5}))?(?:[/?#].*)?", re.DOTALL
)


def is_metadata_host(host: str) -> bool:
    """Whether a host is a metadata service's.

    Args:
        host: a name or an address, with or without a port; an IPv6 address with or without brackets.

    Example:
        >>> is_metadata_host("169.254.169.254:80"), is_metadata_host("[fd00:ec2::254]"), is_metadata_host("10.0.0.1")
        (True, True, False)
    """
    name = host.rpartition("%")[0] or host
    if name.startswith("["):
        name = name[1:].partition("]")[0]
    elif name.count(":") == 1:
        name = name.partition(":")[0]
    return name.rstrip(".").lower() in _HOSTS


def metadata_hosts_of(environ: Mapping[str, str]) -> set[tuple[str, int]]:
    """Returns host and port of the metadata services that environment variables name."""
    found = set()
    for variable in _VARIABLES:
        text = environ.get(variable, "").strip().lower()
        match = _AUTHORITY.fullmatch(text)
        if match is not None and match[1]:
            port = int(match[2] or (443 if text.startswith("https://") else 80))
            found.add((match[1].removeprefix("[").removesuffix("]").rstrip("."), port))
    return found

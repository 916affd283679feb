"""Endpoints of Azure Storage as users have them, and the blob service's URL that they stand for.

The portal shows an account's endpoint once a service, tools add a shared access signature to it, and DNS has further
names for the same account. Only the blob service's own name has a certificate, and speaks its protocol.

Sources: https://learn.microsoft.com/azure/storage/common/storage-account-overview#storage-account-endpoints
https://learn.microsoft.com/azure/storage/common/storage-private-endpoints
https://learn.microsoft.com/azure/storage/common/authorization-resource-provider (authorities of other clouds)
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from dxflow_async.exceptions import ConfigurationError
from dxflow_async.security.redaction import Secret

__all__ = ["AzureEndpoint", "authority_of", "read_endpoint"]

_HOST = re.compile(
    r"(?P<account>[a-z0-9]{3,24})(?P<secondary>-secondary)?(?P<zone>\.z[0-9]{1,3})?(?P<private>\.privatelink)?"
    r"\.(?P<service>blob|dfs|file|queue|table|web)\.(?P<suffix>(core|storage)\.[a-z0-9.-]+)"
)
_AUTHORITIES = {
    "chinacloudapi.cn": "login.chinacloudapi.cn",
    "usgovcloudapi.net": "login.microsoftonline.us",
}


class AzureEndpoint(NamedTuple):
    """What an endpoint says.

    Attributes:
        url: the blob service's URL, without a slash at its end.
        account: the account that it names, in its host or at an emulator in its path.
        sas: the shared access signature in it.
    """

    url: str
    account: str | None
    sas: Secret | None


def read_endpoint(endpoint: str) -> AzureEndpoint:
    """Reads an endpoint. A URL that is not valid is returned as it is, for the check that all endpoints share.

    Raises:
        ConfigurationError: it is the endpoint of another service, or has a container in it. The message shows no
            secret.

    Example:
        >>> read_endpoint("https://a23.dfs.core.windows.net/").url, read_endpoint("http://10.0.0.5:10000/a23").account
        ('https://a23.blob.core.windows.net', 'a23')
    """
    plain, question, query = endpoint.partition("?")
    sas = None
    if question and not query.strip("?"):
        endpoint = plain
    elif question:
        if not any(name == "sig" for name, _ in parse_qsl(query)):
            raise _refused("it has a query that is no shared access signature", "leave the query out")
        endpoint, sas = plain, Secret(query)
    try:
        parts = urlsplit(endpoint)
        host = (parts.hostname or "").rstrip(".")
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return AzureEndpoint(endpoint, None, sas)
    path = parts.path.strip("/")
    found = _HOST.fullmatch(host)
    if found is None:
        account = path if re.fullmatch(r"[a-z0-9]{3,24}", path) else None
        return AzureEndpoint(endpoint, account, sas)
    if found["service"] not in ("blob", "dfs"):
        blob = host.replace(f".{found['service']}.", ".blob.")
        raise _refused(f"{host} is the account's {found['service']} service", f"write https://{blob}")
    if path:
        where = "name the container where you name objects, as in azure:/container/name"
        raise _refused(f"{host} has the path /{path:.100}", f"leave it out, and {where}")
    # A private endpoint is reached by the usual name, which the network resolves, and for which certificates are made.
    name = f"{found['account']}{found['secondary'] or ''}{found['zone'] or ''}"
    return AzureEndpoint(f"{parts.scheme}://{name}.blob.{found['suffix']}{port}", found["account"], sas)


def authority_of(endpoint: str) -> str | None:
    """Returns the host that signs users of an endpoint's cloud in; None for the public cloud.

    Example:
        >>> authority_of("https://a23.blob.core.usgovcloudapi.net"), authority_of("https://a23.blob.core.windows.net")
        ('login.microsoftonline.us', None)
    """
    host = (urlsplit(endpoint).hostname or "").rstrip(".")
    return next((authority for suffix, authority in _AUTHORITIES.items() if host.endswith(f".{suffix}")), None)


def _refused(reason: str, advice: str) -> ConfigurationError:
    return ConfigurationError(f"AZURE.endpoint is not allowed: {reason}; {advice}")

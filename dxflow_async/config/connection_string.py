"""Connection strings of Azure Storage, taken apart without the SDK.

Source: https://learn.microsoft.com/azure/storage/common/storage-configure-connection-string
"""

from __future__ import annotations

import re

from dxflow_async.exceptions import ConfigurationError
from dxflow_async.security.redaction import Secret

__all__ = ["parse_connection_string"]

# The account of the storage emulator, which everybody knows.
# https://learn.microsoft.com/azure/storage/common/storage-connect-azurite
_EMULATOR = {
    "endpoint": "http://127.0.0.1:10000/devstoreaccount1",
    "account": "devstoreaccount1",
    "account_key": "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
}
_SUFFIX = "core.windows.net"


def parse_connection_string(text: str) -> dict[str, str]:
    """The settings that a connection string stands for: `endpoint`, and `account`, `account_key` or `sas_token`.

    Of a key and a shared access signature the key counts. Without both, the endpoint is used with tokens.

    Raises:
        ConfigurationError: naming the part that is missing or wrong, never a value.

    Example:
        >>> parse_connection_string("AccountName=a23;AccountKey=abc=")
        {'endpoint': 'https://a23.blob.core.windows.net', 'account': 'a23', 'account_key': '***'}
    """
    parts = _pairs(text)
    if parts.get("usedevelopmentstorage", "").lower() == "true":
        return _emulator(parts.get("developmentstorageproxyuri"))
    account, key = parts.get("accountname"), parts.get("accountkey")
    endpoint, _, signature = _endpoint(parts).partition("?")
    scheme, separator, rest = endpoint.partition("://")
    endpoint = f"{scheme.lower()}{separator}{rest}"
    if not re.fullmatch(r"https?://[^/?#@\s]+(/[^/?#\s]+)*/?", endpoint):
        raise _invalid("BlobEndpoint must be http(s)://host[:port][/path]")
    found = {"endpoint": endpoint.rstrip("/")}
    if key is not None:
        if account is None:
            raise _invalid("AccountKey needs AccountName")
        return {**found, "account": account, "account_key": Secret(key)}
    token = parts.get("sharedaccesssignature", signature).removeprefix("?")
    return {**found, "sas_token": Secret(token)} if token else found


def _emulator(proxy: str | None) -> dict[str, str]:
    """The emulator on this machine, or on the host of `DevelopmentStorageProxyUri`, as the SDKs read it."""
    found = {**_EMULATOR, "account_key": Secret(_EMULATOR["account_key"])}
    if proxy is not None:
        match = re.fullmatch(r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]+)?/?", proxy.lower())
        if match is None:
            raise _invalid("DevelopmentStorageProxyUri must be http(s)://host")
        found["endpoint"] = f"{match[1]}://{match[2]}:10000/devstoreaccount1"
    return found


def _pairs(text: str) -> dict[str, str]:
    """The pairs by their names in small letters."""
    parts: dict[str, str] = {}
    for pair in filter(None, (each.strip() for each in text.split(";"))):
        name, equals, value = (each.strip() for each in pair.partition("="))
        if not (equals and re.fullmatch(r"[A-Za-z]{1,64}", name)):
            raise _invalid("a part has no name")
        if not value.strip("? "):
            raise _invalid(f"{name} is empty")
        if parts.setdefault(name.lower(), Secret(value)) != value:
            raise _invalid(f"{name} is given twice")
    return parts


def _endpoint(parts: dict[str, str]) -> str:
    if "blobendpoint" in parts:
        return parts["blobendpoint"]
    if "accountname" not in parts:
        raise _invalid("AccountName or BlobEndpoint is missing")
    if not re.fullmatch(r"[a-z0-9-]{3,63}", parts["accountname"]):
        raise _invalid("AccountName must be small letters and digits")
    scheme = parts.get("defaultendpointsprotocol", "https").lower()
    if scheme not in ("http", "https"):
        raise _invalid("DefaultEndpointsProtocol must be http or https")
    suffix = parts.get("endpointsuffix", _SUFFIX).lstrip(".")
    if not re.fullmatch(r"[A-Za-z0-9.-]+(:[0-9]+)?", suffix):
        raise _invalid("EndpointSuffix must be a domain such as core.windows.net")
    return f"{scheme}://{parts['accountname']}.blob.{suffix}"


def _invalid(reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"AZURE.connection_string is not allowed: {reason}; it must be Name=value pairs joined with semicolons, "
        "AccountName among them, as the portal shows it"
    )

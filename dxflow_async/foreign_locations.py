"""Translates locations as other programs write them, and hides the secrets in them."""

from __future__ import annotations

import re

__all__ = ["is_azure_url", "without_secrets", "written_here"]

_SCHEMES = {
    **dict.fromkeys(("s3", "s3a", "s3n"), "aws"),
    **dict.fromkeys(("gs", "gcs"), "gcp"),
    **dict.fromkeys(("az", "abfs", "abfss", "wasb", "wasbs"), "azure"),
}
"""The schemes of other programs, and the remote that each one means."""

_AZURE_HOST = re.compile(r"[^.]+\.(z[0-9]+\.)?(blob|dfs)\.(core|storage)\.[a-z.]+(:[0-9]+)?")

_HOSTS = (
    (_AZURE_HOST, "azure"),
    (re.compile(r"(?P<bucket>.+)\.s3[.-]([a-z0-9-]+\.)*amazonaws\.com(\.cn)?"), "aws"),
    (re.compile(r"s3[.-]([a-z0-9-]+\.)*amazonaws\.com(\.cn)?"), "aws"),
    (re.compile(r"(?P<bucket>.+)\.storage\.googleapis\.com"), "gcp"),
    (re.compile(r"storage\.(googleapis|cloud\.google)\.com"), "gcp"),
)
"""The host names in URLs of objects, with the bucket if it is a part of the name."""

_SECRET = re.compile(r"[?;&]|(?:sig|signature|key|token|secret|password)=", re.IGNORECASE)
_USER = re.compile(r"(^|:)(/{0,2})[^/:]*(:[^/]*)?@")


def written_here(scheme: str, rest: str) -> str | None:
    """The location that another program writes as `scheme:rest`; None if that is not known. It has no secret in it.

    Example:
        >>> written_here("s3", "//bucket/key"), written_here("abfss", "//box@account.dfs.core.windows.net/blob")
        ('aws:/bucket/key', 'azure:/box/blob')
        >>> written_here("https", "//account.blob.core.windows.net/box/blob?sig=abc")
        'azure:/box/blob'
    """
    scheme = scheme.lower()
    authority, slash, path = _SECRET.split(rest, maxsplit=1)[0].removeprefix("//").partition("/")
    if scheme == "file":
        return f"{'' if rest.startswith('//') else authority}{slash}{path}" or None
    user, _, host = authority.rpartition("@")
    if scheme in ("http", "https"):
        provider, bucket = _at_host(host)
        return f"{provider}:/{bucket}{path}" if provider is not None else None
    # What stands before an @ is Azure's container.
    bucket, path = (user or host, path) if authority else (path.partition("/")[0], path.partition("/")[2])
    provider = _SCHEMES.get(scheme)
    return f"{provider}:/{bucket}/{path}" if provider is not None and bucket else None


def is_azure_url(location: str) -> bool:
    """Whether a location is the URL of a blob, by the host that Azure gives to accounts.

    Example:
        >>> is_azure_url("https://account.blob.core.windows.net/box/blob"), is_azure_url("https://example.org/box")
        (True, False)
    """
    match = re.match(r"https?://([^/?#@\s]+)", location, re.IGNORECASE)
    return match is not None and _AZURE_HOST.fullmatch(match[1].lower()) is not None


def without_secrets(location: str) -> str:
    """A location without its query, which may be a signature, and without keys, users and passwords.

    Example:
        >>> without_secrets("https://me:pw@host/a?sig=abc")
        'https://***@host/a'
    """
    return _USER.sub(r"\1\2***@", _SECRET.split(location, maxsplit=1)[0])


def _at_host(host: str) -> tuple[str | None, str]:
    """The remote that a host belongs to, and the bucket in its name, with a slash at the end."""
    for pattern, provider in _HOSTS:
        found = pattern.fullmatch(host)
        if found is not None:
            bucket = found.groupdict().get("bucket")
            return provider, f"{bucket}/" if bucket else ""
    return None, ""

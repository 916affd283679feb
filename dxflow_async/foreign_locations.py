"""How other programs write places, and how the same place is written here."""

from __future__ import annotations

import re

__all__ = ["without_secrets", "written_here"]

_SCHEMES = {
    **dict.fromkeys(("s3", "s3a", "s3n"), "aws"),
    **dict.fromkeys(("gs", "gcs"), "gcp"),
    **dict.fromkeys(("az", "abfs", "abfss", "wasb", "wasbs"), "azure"),
}
"""The schemes of other programs, and the provider that each one is of."""

_HOSTS = (
    (re.compile(r"[^.]+\.(blob|dfs)\.core\.[a-z.]+"), "azure"),
    (re.compile(r"(?P<bucket>.+)\.s3[.-]([a-z0-9-]+\.)*amazonaws\.com(\.cn)?"), "aws"),
    (re.compile(r"s3[.-]([a-z0-9-]+\.)*amazonaws\.com(\.cn)?"), "aws"),
    (re.compile(r"(?P<bucket>.+)\.storage\.googleapis\.com"), "gcp"),
    (re.compile(r"storage\.(googleapis|cloud\.google)\.com"), "gcp"),
)
"""The host names in URLs of objects, with the bucket where it is a part of the name."""

_SECRET = re.compile(r"[?;&]|(?:sig|signature|key|token|secret|password)=", re.IGNORECASE)
_USER = re.compile(r"(^|:)(/{0,2})[^/:]*(:[^/]*)?@")


def written_here(scheme: str, rest: str) -> str | None:
    """The location that another program writes `scheme:rest`; None where that is not known. No secret is in it.

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


def without_secrets(location: str) -> str:
    """What of a location may be repeated: no query, which may be a signature, no key, and not who asks.

    Example:
        >>> without_secrets("https://me:pw@host/a?sig=abc")
        'https://***@host/a'
    """
    return _USER.sub(r"\1\2***@", _SECRET.split(location, maxsplit=1)[0])


def _at_host(host: str) -> tuple[str | None, str]:
    """Whose storage a host name is of, and the bucket in it, with a slash at its end."""
    for pattern, provider in _HOSTS:
        found = pattern.fullmatch(host)
        if found is not None:
            bucket = found.groupdict().get("bucket")
            return provider, f"{bucket}/" if bucket else ""
    return None, ""

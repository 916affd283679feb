"""Names the settings of a remote in messages."""

from __future__ import annotations

__all__ = ["for_remote"]


def for_remote(text: str, remote: str, kind: str) -> str:
    """Rewrites a message about the built-in remote of a kind for another remote of that kind.

    Args:
        text: the message, which names settings as `AWS.region`.
        remote: the remote's name in capitals.
        kind: the name of the built-in remote, such as `"AWS"`.

    Example:
        >>> for_remote("check AWS.access_key", "MINIO", "AWS"), for_remote("check AWS.access_key", "AWS", "AWS")
        ('check remotes.minio.access_key', 'check AWS.access_key')
    """
    return text if remote == kind else text.replace(f"{kind}.", f"remotes.{remote.lower()}.")

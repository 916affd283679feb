"""Paths as users write them."""

from __future__ import annotations

__all__ = ["location_of"]


def location_of(location: str, path: str, other: str) -> str:
    """Returns another path of the same storage as a location.

    Args:
        location: a location.
        path: its path.
        other: the other path.

    Example:
        >>> location_of("aws:/bucket/a", "/bucket/a", "/bucket/b/c"), location_of("s3://bucket/a", "/bucket/a", "/x/y")
        ('aws:/bucket/b/c', 's3://x/y')
    """
    base = path.rstrip("/")
    if other.startswith(f"{base}/"):
        return location.rstrip("/") + other[len(base) :]
    for ours in (path, path.removeprefix("/")):
        if location.endswith(ours) and ours:
            start = location[: len(location) - len(ours)]
            return start + (other if ours.startswith("/") else other.removeprefix("/"))
    return other

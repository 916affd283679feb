"""What is stored with a copy: its media type, times, permission bits, and what the source has."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dxflow_async.exceptions import UnsupportedError
from dxflow_async.providers.common.mtime import NAME, changed_at
from dxflow_async.providers.contract import Entry, Features, ObjectOptions

__all__ = ["complete_options", "content_type_of"]


def complete_options(
    options: ObjectOptions,
    key: str,
    source: Features,
    destination: Features,
    listed: Entry | None,
    seen: Entry | None,
) -> ObjectOptions:
    """Returns `options` completed by what is known of the source. What the user gave wins.

    Args:
        options: what the user asked for.
        key: the destination's key; its ending gives the media type that nothing else tells.
        source, destination: the features of both providers.
        listed: the source as a listing described it.
        seen: the source as the latest answer described it.

    Raises:
        UnsupportedError: two names of the source's metadata are one name at the destination.
    """
    content_type = options.content_type
    if content_type is None:
        told = (seen and seen.content_type) or (listed and listed.content_type)
        content_type = told or content_type_of(key)
    modified = options.modified
    if modified is None and not (options.metadata and NAME in map(str.lower, options.metadata)):
        modified = changed_at(source, listed, seen)
    mode = options.mode
    latest = listed if seen is None else seen
    if mode is None and destination.modes and latest is not None:
        mode = latest.mode
    metadata = options.metadata
    if not metadata and source.metadata and destination.metadata:
        metadata = (listed and listed.metadata) or (seen and seen.metadata) or metadata
        if metadata and destination.metadata_identifiers:
            metadata = _with_identifiers(metadata, key)
    source_class = None
    if source.storage_classes is not None and source.storage_classes == destination.storage_classes:
        known = (each.storage_class for each in (listed, seen) if each is not None)
        source_class = next((each for each in known if each is not None), None)
    completed = ObjectOptions(
        content_type,
        metadata,
        options.public,
        modified,
        mode,
        source_class=source_class,
        storage_class=options.storage_class,
        cache_control=options.cache_control,
        content_disposition=options.content_disposition,
        content_encoding=options.content_encoding,
        content_language=options.content_language,
        tags=options.tags,
        encryption=options.encryption,
        if_absent=options.if_absent,
        if_match=options.if_match,
    )
    if seen is not None and seen.system and destination.options:
        kept: dict[str, Any] = {name: getattr(options, name) or value for name, value in seen.system.items()}
        return replace(completed, **kept)
    return completed


def _with_identifiers(metadata: Mapping[str, str], key: str) -> Mapping[str, str]:
    """Returns metadata with names that are identifiers: `_` stands for each other character, and before a digit.

    Raises:
        UnsupportedError: two names become one.
    """
    renamed: dict[str, str] = {}
    for name, value in metadata.items():
        identifier = _NO_IDENTIFIER.sub("_", name)
        if identifier.lower() in map(str.lower, renamed):
            raise UnsupportedError(
                f"copy to /{key} refused: metadata {name!r:.100} cannot be kept: names there have only letters, digits "
                f"and underscores, and another one becomes {identifier!r:.100}, too; rename it",
                operation="write",
                path=f"/{key}",
            )
        renamed[identifier] = value
    return renamed


_NO_IDENTIFIER = re.compile(r"[^A-Za-z0-9_]|^(?=[0-9])")


def content_type_of(name: str) -> str:
    """Returns the media type for a name's ending, or `application/octet-stream`.

    Example:
        >>> content_type_of("a/table.CSV"), content_type_of("a.tar.gz")
        ('text/csv', 'application/gzip')
    """
    stem, _, ending = name.rpartition(".")
    kind = _TYPES.get(ending) or _TYPES.get(ending.lower())
    unnamed = stem[-1:] in ("", "/", ".") and not stem.rpartition("/")[2].strip(".")  # as .txt is
    return "application/octet-stream" if kind is None or unnamed else kind


# Only Python's own table is read, not the system's, so that every machine gives the same answer.
_TYPES = {ending.removeprefix("."): kind for ending, kind in mimetypes.MimeTypes(filenames=()).types_map[True].items()}
_TYPES |= {"gz": "application/gzip", "bz2": "application/x-bzip2", "xz": "application/x-xz", "zst": "application/zstd"}

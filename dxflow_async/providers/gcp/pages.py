"""What a page of a listing says beside its objects.

Source: https://cloud.google.com/storage/docs/json_api/v1/objects/list
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dxflow_async.providers.common.page_tokens import PageToken
from dxflow_async.providers.contract import Entry
from dxflow_async.providers.gcp.objects import text_of
from dxflow_async.providers.gcp.requests import parsed
from dxflow_async.providers.http import Call

__all__ = ["bucket_names", "next_token"]


def next_token(
    call: Call, document: Mapping[str, Any], before: str | None, entries: Sequence[Entry], directory: str = ""
) -> str | None:
    """Returns the token that requests the next page; None on the last one, where some servers send an empty text.

    Args:
        call: the listing, for errors.
        document: the page.
        before: the token that requested the page; None for the first page.
        entries: of the page.
        directory: the directory that the page ended with, where the service did not group names.

    Raises:
        ServiceError: the listing runs in a circle.
    """
    if document.get("nextPageToken") in (None, ""):
        return None
    token = parsed(call, text_of, document, "nextPageToken")
    return PageToken.after(call, token, before, entries, directory=directory)


def bucket_names(document: Mapping[str, Any]) -> list[str]:
    """Returns the bucket names of a page, in order."""
    return sorted(text_of(bucket, "name") for bucket in document.get("items") or ())

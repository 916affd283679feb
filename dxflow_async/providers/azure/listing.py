"""Lists containers and blobs page by page, also from a key on.

Names are in the order of UTF-16, and those of a hierarchical namespace in the order of the tree: what is in a directory
follows it at once. Both differ from the order of the keys' bytes, which a listing in several places needs, so such
listings begin at no key.
Source: https://learn.microsoft.com/rest/api/storageservices/list-blobs
"""

from __future__ import annotations

from dxflow_async.exceptions import ServiceError, UnsupportedError
from dxflow_async.providers.azure.directories import Cursor, Directory, Namespace, sort_out
from dxflow_async.providers.azure.names import check_container
from dxflow_async.providers.azure.requests import Requests
from dxflow_async.providers.azure.xml import BlobListParser, ContainerListParser
from dxflow_async.providers.common.confirm import contradiction
from dxflow_async.providers.common.page_tokens import first_name, grouped
from dxflow_async.providers.contract import Entry, Page, page_size
from dxflow_async.providers.http import Call

__all__ = ["Listings"]


class Listings:
    """Requests pages.

    Args:
        requests: sends the requests.
        namespace: what is known of the account's directories; pages add to it.

    Attributes:
        ordered: whether all names so far were in the order of their bytes.
    """

    def __init__(self, requests: Requests, namespace: Namespace) -> None:
        self.ordered = True
        self._requests = requests
        self._namespace = namespace

    def order(self, key: str) -> bytes:
        """Returns a value that orders keys as the service does."""
        return (key.replace("/", "\0") if self._namespace.typed else key).encode("utf-16-be", "surrogatepass")

    async def page(
        self, call: Call, prefix: str, cursor: Cursor | None, *, recursive: bool, after: str | None = None
    ) -> Page:
        """Implements `Provider.list_page`.

        Args:
            call: the listing, for errors.
            prefix, cursor, recursive: as for `Provider.list_page`.
            after: a key to begin at, which the page includes; None: `cursor` says where the page begins.

        Raises:
            ServiceError: the answer is not the page that was requested.
        """
        container, slash, rest = prefix.partition("/")
        query = {"comp": "list", "maxresults": str(page_size(recursive=recursive, first=cursor is None))}
        if after is not None:
            query["startFrom"] = after.partition("/")[2]
        elif cursor is not None:
            query["marker"] = cursor.marker
        if not slash:
            query["prefix"] = container
            containers = await self._requests.listing(call, "", query, ContainerListParser(container))
            return Page(
                containers.entries, _next(call, cursor, containers.marker, first=first_name(containers.entries))
            )
        check_container(call, container)
        query |= {"restype": "container", "include": "metadata", "prefix": rest}
        if not recursive:
            query["delimiter"] = "/"
        blobs = await self._requests.listing(call, container, query, BlobListParser(container, rest))
        if (differs := blobs.contradiction(recursive=recursive)) is not None:
            raise contradiction(call, differs)
        self._learn(call, blobs, cursor)
        if not recursive:
            entries = blobs.entries
            shown, directory = grouped(entries, prefix, "" if cursor is None else cursor.directory)
            return Page(shown, _next(call, cursor, blobs.marker, first=first_name(entries), directory=directory))
        return self._sorted(call, prefix, blobs, cursor)

    async def versions(self, call: Call, prefix: str, cursor: Cursor | None, *, recursive: bool) -> Page:
        """Implements `Provider.list_versions`."""
        container, _, rest = prefix.partition("/")
        check_container(call, container)
        size = str(page_size(recursive=recursive, first=cursor is None))
        query = {"comp": "list", "restype": "container", "include": "versions", "prefix": rest, "maxresults": size}
        if not recursive:
            query["delimiter"] = "/"
        if cursor is not None:
            query["marker"] = cursor.marker
        blobs = await self._requests.listing(call, container, query, BlobListParser(container, rest, versions=True))
        entries = blobs.entries
        return Page(entries, _next(call, cursor, blobs.marker, first=first_name(entries)))

    def _sorted(self, call: Call, prefix: str, blobs: BlobListParser, cursor: Cursor | None) -> Page:
        """Returns a page of a recursive listing, its directories sorted out."""
        entries = blobs.entries
        first = first_name(entries)
        if cursor is not None and cursor.partial:
            # Where the listing ends is not known here: no directory waits for the next page.
            page = sort_out(entries, blobs.directories, (), last=True)
            return Page(page.entries, _next(call, cursor, blobs.marker, first=first), page.directories)
        pending, last = () if cursor is None else cursor.pending, blobs.marker is None
        page = sort_out(entries, blobs.directories, pending, last=last)
        directories = list(page.directories)
        listed = cursor is not None or entries  # otherwise the directory may not exist
        if last and listed and self._namespace.has_directories and prefix.endswith("/") and prefix.count("/") > 1:
            directories.append(Entry(prefix, directory=True))
        return Page(page.entries, _next(call, cursor, blobs.marker, page.pending, first), directories)

    def _learn(self, call: Call, blobs: BlobListParser, cursor: Cursor | None) -> None:
        """Notes what a page shows of the account.

        Raises:
            UnsupportedError: a page that begins at a key has names in another order, so some may be missing.
            ServiceError: so has a later page.
        """
        namespace = self._namespace
        if blobs.directories or blobs.typed:
            namespace.note(typed=blobs.typed)
        elif any(not entry.directory for entry in blobs.entries):
            namespace.flat = True
        if namespace.has_directories or blobs.beyond_bmp:
            self.ordered = False
            if cursor is not None and cursor.partial and (namespace.typed or blobs.beyond_bmp):
                told = "names in another order than that of their bytes"
                if not cursor.marker:
                    raise call.error(UnsupportedError, f"no listing begins at a key: the service has {told}")
                raise contradiction(call, told)


def _next(
    call: Call,
    cursor: Cursor | None,
    marker: str | None,
    pending: tuple[Directory, ...] = (),
    first: str = "",
    directory: str = "",
) -> Cursor | None:
    """Returns where a listing continues.

    Args:
        call: the listing, for errors.
        cursor: what requested the page.
        marker: what the page names as the next one; None on the last page.
        pending: directories of which more may be listed.
        first: identifies the first entry of the page.
        directory: the directory that it ended with, where the service did not group names.

    Raises:
        ServiceError: it would continue where it was before.
    """
    if marker is None:
        return None
    if cursor is None:
        return Cursor(marker, pending=pending, first=first, directory=directory)
    if cursor.repeats(marker) or (first and first == cursor.first):
        raise call.error(ServiceError, "the server's listing is not valid (it goes in a circle); try again")
    return cursor.next(marker, pending, first, directory)

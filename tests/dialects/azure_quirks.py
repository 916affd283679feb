"""The ways in which the Azure server of these tests differs from an account that permits everything."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["AzureQuirks"]


@dataclass(kw_only=True)
class AzureQuirks:
    """Switches, each off by default. They may be changed while the server runs.

    Attributes:
        newest_version: the newest version of the protocol; a newer one is refused.
        version_words: how that refusal is worded: as by `azurite`, by the `service`, or `none` without a body.
        batch_refusal: status and code with which batches are refused.
        no_container_rights: the properties of the container are refused, as to a signature of a container.
        no_list: listings are refused, too.
        no_checksums: responses repeat no checksum.
        snapshots: listings have a deleted blob, an earlier version and a snapshot before each blob.
        empty_pages: every other page of a listing is empty and has a marker.
        mark: listings begin with a byte order mark and white space.
        html_errors: errors are pages, and have no header with a code.
        page_size: entries in a page of a listing, at most.
        ignores_start: listings begin at the first blob, whatever `startFrom` says.
        odd_markers: markers have characters that XML and URLs escape, and must come back as they were.
        untyped: neither listings nor headers tell the type of what is in the hierarchical namespace.
        soft_delete: deleted blobs stay, and are listed as such, unasked.
        no_tags: the account keeps no index tags.
        denied: the rights that the credentials lack: `read`, `list`, `write`, `delete`,
            `tags`.
        no_etags: responses to writes have no ETag.
        no_copies: status and code of the service for reading the source with which copies are refused.
        failing_copies: why each copy fails after it began.
        refusals: status, code and headers of the refusals of requests, by their method with its `comp`.
        next_refusals: the same for the next requests, one after the other; an empty code stands for the page of a load
            balancer.
        foreign: methods with their `comp` that are answered by the sign-in page of a network, with status 200.
    """

    newest_version: str = "9999"
    version_words: str = "service"
    batch_refusal: tuple[int, str] | None = None
    no_container_rights: bool = False
    no_list: bool = False
    no_checksums: bool = False
    snapshots: bool = False
    empty_pages: bool = False
    mark: bool = False
    html_errors: bool = False
    page_size: int = 5000
    ignores_start: bool = False
    odd_markers: bool = False
    untyped: bool = False
    soft_delete: bool = False
    no_tags: bool = False
    denied: frozenset[str] = frozenset()
    no_etags: bool = False
    no_copies: tuple[int, str] | None = None
    failing_copies: str = ""
    refusals: dict[str, tuple[int, str, dict[str, str]]] = field(default_factory=dict)
    next_refusals: dict[str, list[tuple[int, str, dict[str, str]]]] = field(default_factory=dict)
    foreign: frozenset[str] = frozenset()

"""The ways in which the Google server of these tests differs from a bucket that permits everything."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["ALL_RIGHTS", "CREATOR", "VIEWER", "GoogleQuirks"]

ALL_RIGHTS = frozenset(
    f"storage.{name}"
    for name in (
        "buckets.get",
        "buckets.list",
        "objects.create",
        "objects.delete",
        "objects.get",
        "objects.list",
        "objects.update",
    )
)

# https://cloud.google.com/storage/docs/access-control/iam-roles
CREATOR = frozenset({"storage.objects.create"})
VIEWER = frozenset({"storage.objects.get", "storage.objects.list"})


@dataclass(kw_only=True)
class GoogleQuirks:
    """Switches, each off by default. They may be changed while the server runs.

    Attributes:
        rights: the permissions of whoever asks.
        user_project: the bucket makes the requester pay; requests have to name this project.
        no_batch: there is no batch endpoint.
        no_multipart: uploads of the type `multipart` are refused.
        no_compose: objects cannot be composed; the status of the refusal.
        no_permission_test: there is no `testIamPermissions`, as at emulators.
        no_kinds: responses do not say their kind.
        numbers: generations and sizes are numbers, not texts.
        odd_tokens: tokens have characters that URLs escape, and must come back as they were.
        page_size: entries in a page of a listing, at most.
        empty_pages: every other page of a listing is empty and has a token.
        no_checksums: no CRC32C is reported.
        no_rewrites: status and reason with which the service's own copies are refused.
        rewrite_size: bytes that one call of a rewrite copies.
        decompresses: compressed objects are read decompressed, whatever is accepted and whole, whichever range.
        sends_whole: bytes of objects are sent whole, whichever range, and without a length.
        retained: the bucket has a retention policy: nothing is replaced or deleted.
        held: the names of objects under a hold.
        busy: statuses of the next requests, in the order in which they come.
        busy_writes: as many writes of objects are refused because of their rate.
        foreign: a method and a part of the path and query; such requests are answered by a network's sign-in page, with
            status 200.
        sessions_elsewhere: a session's URL names another host.
    """

    rights: frozenset[str] = ALL_RIGHTS
    user_project: str | None = None
    no_batch: bool = False
    no_multipart: bool = False
    no_compose: int = 0
    no_permission_test: bool = False
    no_kinds: bool = False
    numbers: bool = False
    odd_tokens: bool = False
    page_size: int = 1000
    empty_pages: bool = False
    no_checksums: bool = False
    no_rewrites: tuple[int, str] | None = None
    rewrite_size: int = 1 << 60
    decompresses: bool = False
    sends_whole: bool = False
    retained: bool = False
    held: frozenset[str] = frozenset()
    busy: list[int] = field(default_factory=list)
    busy_writes: int = 0
    foreign: tuple[str, str] | None = None
    sessions_elsewhere: bool = False

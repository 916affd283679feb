"""The capabilities and limits that a provider declares."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Features"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What a provider can do beyond the core, and its limits. Callers ask before they try.

    Every capability defaults to "no", so a provider that does not know a newer one keeps working. Sizes are bytes.
    A provider that learns a limit from an answer replaces its `features`; callers read them whenever they need them.

    Attributes:
        checksum: the provider stores a CRC32C with each object and reports it.
        verifies_writes: writes return the CRC32C of what was stored, compared with the bytes in storage before the
            object appears. Later it is not reported, unless `checksum` is set, too.
        checksum_first: `write` and `write_part` need the CRC32C of a body before they send it.
        streams_parts: parts may be sent before their CRC32C is known; `Upload.digest` or the receipts verify them
            afterwards. A source that is cheap to read again is then read only once.
        streams_whole: `write` takes a body of any size as it arrives, so objects up to `max_size` are written with it
            and never cut into parts. A transfer that is interrupted starts such an object anew. Streams of unknown
            length still use `start_upload`. Without effect where `checksum_first` is set, too.
        parts_are_objects: each part costs requests and storage of its own, so parts are made larger, and only larger
            objects are cut into parts.
        buffered_size: bytes of each streamed body that the provider holds in memory while it sends them.
        cheap_reread: reading an object again costs next to nothing, and `Reader.buffer_or_reopen` keeps little in
            memory. Checksums that are missing are computed from the bytes.
        directories: directories are real: `make_directory` and `remove_directory` work, and an object and a directory
            cannot have the same name.
        directories_vary: directories are real in some accounts, which is known once one was seen; see
            `Provider.real_directories`. Listings have them, `write` of an empty object whose key ends in a slash makes
            one, and `remove_directory` works.
        copy: `copy` works within the provider for objects of up to `max_copy_size`, and `Upload.copy_part` above.
        rename: `rename` works, atomically.
        stages: `stage` works: a written object waits for its name while nothing of the network is held.
        modes: `ObjectOptions.mode` is kept; listings, `stat` and `read` report it as `Entry.mode`.
        directory_mode: the permission bits of directories that are made implicitly, where these are known. A directory
            of that mode is not made before its content.
        ranges: a range is read without transferring the bytes before it.
        resumable: `resume_upload` works.
        unfinished_uploads: `unfinished_uploads` works, and uploads that nobody finishes stay until they are aborted.
        presign: `presign` works.
        public: `ObjectOptions.public` is supported.
        min_part_size: the smallest part of an upload; the last part may be smaller.
        max_part_size: the largest part of an upload.
        max_parts: the most parts of an upload.
        max_size: the largest object.
        max_copy_size: the largest object that `copy` copies.
        max_write_size: the largest body of one `write`; larger objects are uploaded in parts. None: as `max_size`
            where `streams_whole` is set, else as `max_part_size`.
        uniform_parts: all parts of an upload but the last must have the same size.
        varied_parts_doubtful: the service may require parts of one size, which only the end of an upload tells. The
            parts of a stream of unknown length vary only where it would not fit otherwise.
        metadata: `ObjectOptions.content_type` and `ObjectOptions.metadata` are kept, also by `copy`.
        metadata_identifiers: the names of metadata are identifiers: ASCII letters, digits and underscores, without a
            digit at the beginning. Copies from other providers get an underscore in the place of other characters.
        mtime: `ObjectOptions.modified` is kept; `stat` and `read` report it as `Entry.mtime`.
        mtime_listed: listings report it too.
        mtime_resolution: kept times are cut to a multiple of so many seconds, or are earlier where the source may
            change again within that time; 0.0: they are exact to the microsecond.
        options: the names of `ObjectOptions`, from `storage_class` on, that are kept with an object, also by `copy`.
        copies_with_options: `copy` stores the options of a call with the copy, in place of those of the source.
        copies_with_class: `copy` stores the storage class of a call with the copy.
        storage_classes: names the set of storage classes that the provider has. Copies between two providers of the
            same set take over the class of their source. None: copies from other providers never do.
        encryptions: the kinds of `Encryption` that the provider knows; with `"customer"`, `with_customer_key` works.
        conditions: `ObjectOptions.if_absent` and `if_match` are obeyed by `write`, by uploads in parts and by `copy`,
            at least by a look right before; `delete_matching` works. Elsewhere callers look themselves.
        atomic_create: the service itself obeys `if_absent`: of two writers at the same time, one fails.
        atomic_replace: the service itself obeys `if_match`.
        object_versions: `list_versions` and `at_version` work; whether a bucket keeps versions is up to its owner.
        ordered: listings are in the order of the keys' bytes, also where a name and a directory begin alike.
        list_after: `list_after` works, so a long listing is requested in several places at once. Recursive
            listings are in the order of the keys' bytes, or of directories.
        key_order: the service documents that order, and is known to be the one that does. Only there are long listings
            shared out whose objects are deleted: what came late in another order would stay.
        directory_order: listings go into a directory where its name stands, so `a/b` comes before `a-b`. None: that is
            not known, and long listings find it out, unless `key_order` is set.
        list_directories: a long listing may be requested directory by directory, several at once, where `list_after`
            does not work. All listings are in the order of `Provider.listing_order`.
        buckets: the first segment of a key is a bucket, which only its owner creates and removes.
        versions: every answer about an object reports its etag.
        checksum_told: `tell_checksum` computes the CRC32C of objects that are stored without one.
        any_names: keys with empty, `.` and `..` segments are kept as they are.
        byte_names: names are bytes that need not be UTF-8, as those of files are. Keys hold other bytes as surrogates.
        read_only: objects can only be read: all methods that change something raise `UnsupportedError`.
        unlisted: there are no listings: `list_page` raises `UnsupportedError`.
        endpoint: names the service whose rate limits the provider shares, such as `"s3.amazonaws.com"`: all providers
            with the same endpoint share one limit of concurrent requests. None: no network is involved, and nothing
            limits requests.
        first_requests: how many small requests, and how many large ones, are in flight at the start; more follow only
            as long as they bring more. None: as many as cloud services take.
    """

    checksum: bool = False
    verifies_writes: bool = False
    checksum_first: bool = False
    streams_parts: bool = False
    streams_whole: bool = False
    parts_are_objects: bool = False
    buffered_size: int = 0
    cheap_reread: bool = False
    directories: bool = False
    directories_vary: bool = False
    copy: bool = False
    rename: bool = False
    stages: bool = False
    modes: bool = False
    directory_mode: int | None = None
    ranges: bool = True
    resumable: bool = False
    unfinished_uploads: bool = False
    presign: bool = False
    public: bool = False
    min_part_size: int = 1
    max_part_size: int = 5 << 30
    max_parts: int = 10_000
    max_size: int = 5 << 40
    max_copy_size: int = 5 << 30
    max_write_size: int | None = None
    uniform_parts: bool = False
    varied_parts_doubtful: bool = False
    metadata: bool = False
    metadata_identifiers: bool = False
    mtime: bool = False
    mtime_listed: bool = False
    mtime_resolution: float = 0.0
    options: frozenset[str] = frozenset()
    copies_with_options: bool = False
    copies_with_class: bool = False
    storage_classes: str | None = None
    encryptions: frozenset[str] = frozenset()
    conditions: bool = False
    atomic_create: bool = False
    atomic_replace: bool = False
    object_versions: bool = False
    ordered: bool = False
    list_after: bool = False
    key_order: bool = False
    directory_order: bool | None = None
    list_directories: bool = False
    buckets: bool = False
    versions: bool = False
    checksum_told: bool = False
    any_names: bool = False
    byte_names: bool = False
    read_only: bool = False
    unlisted: bool = False
    endpoint: str | None = None
    first_requests: int | None = None

"""The public door for packages that add a provider: everything that one needs is here.

A provider is a subclass of `Provider`; a `ProviderKind` under the entry-point group `dxflow_async.providers` registers
it. `docs/providers.md` shows a whole one, and `dxflow_async.testing` has the tests that each of them passes. What is
not in `__all__` may change in any release.

- the contract: Provider, Features, Entry, Page, ObjectOptions, Encryption, Reader, Upload, Part, PartReceipt, Staged,
  LocalDisk, TemporaryFiles
- registration: ProviderKind, ProviderResources, provider_kinds, create_provider, CONTRACT_VERSION
- bytes: Body, Buffer, Buffered, StreamedBody, is_streamed, crc32c
- HTTP: HTTP, Call, Response, HTTPReader, url_path, status_error, expect_status, send_and_discard, and the checks of
  answers
- building blocks: SpooledUpload, VerifiedBody, VerifiedReader, WholeObjects, delete_each, delete_batches, for_each,
  finish_or_undo, clean_up, XMLParser
- errors: those of `dxflow_async` that a provider raises; CopyRefusedError, PartLimitError and RangeIgnoredError, by
  which the engine begins an object anew

Nothing is imported before it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__all__ = [
    "CONTRACT_VERSION",
    "EXISTS",
    "HTTP",
    "REPLACED",
    "STATUS_ERRORS",
    "AccessDeniedError",
    "AlreadyExistsError",
    "Body",
    "Buffer",
    "Buffered",
    "Call",
    "ChecksumMismatchError",
    "ChecksummedReader",
    "ConfigurationError",
    "ConnectionBrokenError",
    "CopyRefusedError",
    "DxflowError",
    "Encryption",
    "Entry",
    "ExpectedDigest",
    "Features",
    "HTTPReader",
    "LocalDisk",
    "MalformedXMLError",
    "NetError",
    "NetworkError",
    "NotFoundError",
    "ObjectOptions",
    "Page",
    "Part",
    "PartLimitError",
    "PartReceipt",
    "PreconditionFailedError",
    "Provider",
    "ProviderKind",
    "ProviderResources",
    "ProxyRules",
    "RangeIgnoredError",
    "Reader",
    "Response",
    "Run",
    "RunningDigest",
    "Secret",
    "ServiceError",
    "SessionClosedError",
    "SourceChangedError",
    "SpooledUpload",
    "Staged",
    "StallTimeoutError",
    "StalledError",
    "StorageError",
    "StreamedBody",
    "TLSOptions",
    "TemporaryFiles",
    "Threads",
    "Throttle",
    "ThrottledError",
    "UnsafePathError",
    "UnsupportedError",
    "Upload",
    "VerifiedBody",
    "VerifiedReader",
    "WholeObjects",
    "Write",
    "XMLDocument",
    "XMLParser",
    "body_reader",
    "check_absent",
    "check_condition",
    "check_endpoint",
    "check_matching",
    "check_names",
    "check_status",
    "check_unchanged",
    "check_version",
    "clean_up",
    "content_length",
    "contradiction",
    "crc32c",
    "create_provider",
    "delete_batches",
    "delete_each",
    "disagreement",
    "expect_status",
    "extent",
    "extent_of",
    "finish_or_undo",
    "for_each",
    "format_mtime",
    "has_body",
    "if_match",
    "is_streamed",
    "look_up_size",
    "not_the_service",
    "page_size",
    "parse_etag",
    "parse_mtime",
    "parse_xml",
    "printable",
    "provider_kinds",
    "range_ignored",
    "read_body",
    "read_error_body",
    "redacted",
    "retry_after_of",
    "same_etag",
    "send_and_discard",
    "size_of_version",
    "spool_body",
    "status_error",
    "timestamp_of",
    "total_of",
    "trim_texts",
    "url_path",
]

if TYPE_CHECKING:
    from dxflow_async.checksum import crc32c
    from dxflow_async.concurrency.pool import for_each
    from dxflow_async.concurrency.shielded import clean_up, finish_or_undo
    from dxflow_async.concurrency.threads import Threads
    from dxflow_async.config.texts import trim_texts
    from dxflow_async.config.validation import check_endpoint
    from dxflow_async.digests import ExpectedDigest, RunningDigest
    from dxflow_async.exceptions import (
        AccessDeniedError,
        AlreadyExistsError,
        ChecksumMismatchError,
        ConfigurationError,
        DxflowError,
        NetworkError,
        NotFoundError,
        PreconditionFailedError,
        ServiceError,
        SessionClosedError,
        SourceChangedError,
        StallTimeoutError,
        StorageError,
        ThrottledError,
        UnsafePathError,
        UnsupportedError,
    )
    from dxflow_async.net import ConnectionBrokenError, NetError, ProxyRules, StalledError, TLSOptions
    from dxflow_async.providers.common.conditions import (
        EXISTS,
        REPLACED,
        check_absent,
        check_condition,
        check_matching,
    )
    from dxflow_async.providers.common.confirm import (
        check_names,
        check_status,
        check_unchanged,
        check_version,
        contradiction,
        disagreement,
        extent,
        has_body,
        not_the_service,
        range_ignored,
        read_body,
        size_of_version,
    )
    from dxflow_async.providers.common.deletion import delete_batches, delete_each
    from dxflow_async.providers.common.etags import if_match, parse_etag, same_etag
    from dxflow_async.providers.common.fields import content_length, extent_of, timestamp_of, total_of
    from dxflow_async.providers.common.key_path import url_path
    from dxflow_async.providers.common.mtime import format_mtime, parse_mtime
    from dxflow_async.providers.common.spooled_upload import SpooledUpload
    from dxflow_async.providers.common.status_errors import (
        STATUS_ERRORS,
        expect_status,
        retry_after_of,
        send_and_discard,
        status_error,
    )
    from dxflow_async.providers.common.untold_size import look_up_size, spool_body
    from dxflow_async.providers.common.verified_body import VerifiedBody
    from dxflow_async.providers.common.verified_reader import ChecksummedReader, VerifiedReader, body_reader
    from dxflow_async.providers.common.whole_objects import WholeObjects
    from dxflow_async.providers.common.xml_reader import Document as XMLDocument
    from dxflow_async.providers.common.xml_reader import MalformedXMLError
    from dxflow_async.providers.common.xml_reader import Parser as XMLParser
    from dxflow_async.providers.common.xml_reader import parse as parse_xml
    from dxflow_async.providers.contract import (
        Body,
        Buffer,
        Buffered,
        CopyRefusedError,
        Encryption,
        Entry,
        Features,
        LocalDisk,
        ObjectOptions,
        Page,
        Part,
        PartLimitError,
        PartReceipt,
        Provider,
        RangeIgnoredError,
        Reader,
        Run,
        Staged,
        StreamedBody,
        TemporaryFiles,
        Upload,
        Write,
        is_streamed,
        page_size,
    )
    from dxflow_async.providers.http import HTTP, Call, HTTPReader, Response, Throttle, read_error_body
    from dxflow_async.providers.registry import (
        CONTRACT_VERSION,
        ProviderKind,
        ProviderResources,
        create_provider,
        provider_kinds,
    )
    from dxflow_async.security.redaction import Secret, printable, redacted

_HOMES = {
    "dxflow_async.checksum": ("crc32c",),
    "dxflow_async.concurrency.pool": ("for_each",),
    "dxflow_async.concurrency.shielded": ("clean_up", "finish_or_undo"),
    "dxflow_async.concurrency.threads": ("Threads",),
    "dxflow_async.config.texts": ("trim_texts",),
    "dxflow_async.config.validation": ("check_endpoint",),
    "dxflow_async.digests": ("ExpectedDigest", "RunningDigest"),
    "dxflow_async.exceptions": (
        "AccessDeniedError",
        "AlreadyExistsError",
        "ChecksumMismatchError",
        "ConfigurationError",
        "DxflowError",
        "NetworkError",
        "NotFoundError",
        "PreconditionFailedError",
        "ServiceError",
        "SessionClosedError",
        "SourceChangedError",
        "StallTimeoutError",
        "StorageError",
        "ThrottledError",
        "UnsafePathError",
        "UnsupportedError",
    ),
    "dxflow_async.net": ("ConnectionBrokenError", "NetError", "ProxyRules", "StalledError", "TLSOptions"),
    "dxflow_async.providers.common.conditions": (
        "EXISTS",
        "REPLACED",
        "check_absent",
        "check_condition",
        "check_matching",
    ),
    "dxflow_async.providers.common.confirm": (
        "check_names",
        "check_status",
        "check_unchanged",
        "check_version",
        "contradiction",
        "disagreement",
        "extent",
        "has_body",
        "not_the_service",
        "range_ignored",
        "read_body",
        "size_of_version",
    ),
    "dxflow_async.providers.common.deletion": ("delete_batches", "delete_each"),
    "dxflow_async.providers.common.etags": ("if_match", "parse_etag", "same_etag"),
    "dxflow_async.providers.common.fields": ("content_length", "extent_of", "timestamp_of", "total_of"),
    "dxflow_async.providers.common.key_path": ("url_path",),
    "dxflow_async.providers.common.mtime": ("format_mtime", "parse_mtime"),
    "dxflow_async.providers.common.spooled_upload": ("SpooledUpload",),
    "dxflow_async.providers.common.status_errors": (
        "STATUS_ERRORS",
        "expect_status",
        "retry_after_of",
        "send_and_discard",
        "status_error",
    ),
    "dxflow_async.providers.common.untold_size": ("look_up_size", "spool_body"),
    "dxflow_async.providers.common.verified_body": ("VerifiedBody",),
    "dxflow_async.providers.common.verified_reader": ("ChecksummedReader", "VerifiedReader", "body_reader"),
    "dxflow_async.providers.common.whole_objects": ("WholeObjects",),
    "dxflow_async.providers.common.xml_reader": ("MalformedXMLError", "XMLDocument", "XMLParser", "parse_xml"),
    "dxflow_async.providers.contract": (
        "Body",
        "Buffer",
        "Buffered",
        "Encryption",
        "Entry",
        "Features",
        "LocalDisk",
        "ObjectOptions",
        "Page",
        "Part",
        "CopyRefusedError",
        "PartLimitError",
        "PartReceipt",
        "Provider",
        "RangeIgnoredError",
        "Reader",
        "Run",
        "Staged",
        "StreamedBody",
        "TemporaryFiles",
        "Upload",
        "Write",
        "is_streamed",
        "page_size",
    ),
    "dxflow_async.providers.http": ("HTTP", "Call", "HTTPReader", "Response", "Throttle", "read_error_body"),
    "dxflow_async.providers.registry": (
        "CONTRACT_VERSION",
        "ProviderKind",
        "ProviderResources",
        "create_provider",
        "provider_kinds",
    ),
    "dxflow_async.security.redaction": ("Secret", "printable", "redacted"),
}
"""The module that each name stands in."""

_OTHER_NAMES = {"XMLDocument": "Document", "XMLParser": "Parser", "parse_xml": "parse"}
"""Names that are shorter in their modules."""


def __getattr__(name: str) -> object:
    home = next((module for module, names in _HOMES.items() if name in names), None)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home), _OTHER_NAMES.get(name, name))
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__

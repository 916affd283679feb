"""Fast, safe, asynchronous data transfer between local disks, cloud storage, SFTP servers and compute units.

`AsyncSession` moves data between this machine, Amazon S3 and compatible services, Azure Blob Storage, Google Cloud
Storage, SFTP servers, web servers (as sources) and the storage of dxflow compute units. `Session` has the same calls
without `await`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

if sys.platform == "win32":
    raise ImportError("dxflow-async runs on Linux and macOS; on Windows, install and run it in WSL")

if TYPE_CHECKING:
    __version__: str
    from dxflow_async.blocking.handles import TransferJob
    from dxflow_async.blocking.item_stream import ItemStream
    from dxflow_async.blocking.path import StoragePath
    from dxflow_async.blocking.session import Session
    from dxflow_async.compute.manager import AsyncComputeManager
    from dxflow_async.compute.storage import AsyncUnitStorage
    from dxflow_async.compute.unit import AsyncComputeUnit
    from dxflow_async.concurrency.item_stream import AsyncItemStream
    from dxflow_async.config.credentials import AccessKeys, BearerToken, SASToken
    from dxflow_async.config.settings import AWSSettings, AzureSettings, GCPSettings, GCSSettings, S3Settings, Settings
    from dxflow_async.exceptions import (
        AccessDeniedError,
        AlreadyExistsError,
        AuthenticationError,
        ChecksumMismatchError,
        ComputeUnitError,
        ConfigurationError,
        DxflowError,
        ExecutorError,
        JobBusyError,
        JobNotFoundError,
        NetworkError,
        NotFoundError,
        PreconditionFailedError,
        ServiceError,
        SessionClosedError,
        SessionLoopError,
        SourceChangedError,
        StallTimeoutError,
        StorageError,
        ThrottledError,
        TransferError,
        TransferTimeoutError,
        UnitNotFoundError,
        UnsafePathError,
        UnsupportedError,
    )
    from dxflow_async.handles import AsyncTransferJob
    from dxflow_async.models import (
        DeleteResult,
        Item,
        ItemList,
        JobInfo,
        JobList,
        Leftover,
        Progress,
        Rate,
        SyncAction,
        SyncPlan,
        TransferReport,
        TransferResult,
        Unit,
    )
    from dxflow_async.providers.encryption import Encryption
    from dxflow_async.providers.entries import ObjectOptions
    from dxflow_async.session import AsyncSession
    from dxflow_async.storage.area_storage import AsyncAreaStorage
    from dxflow_async.storage.files.reader import AsyncFileReader
    from dxflow_async.storage.files.writer import AsyncFileWriter
    from dxflow_async.storage.manager import AsyncStorageManager
    from dxflow_async.storage.path import AsyncStoragePath
    from dxflow_async.transfer.sync.check_report import CheckReport, Difference

__all__ = [
    "AWSSettings",
    "AccessDeniedError",
    "AccessKeys",
    "AlreadyExistsError",
    "AsyncAreaStorage",
    "AsyncComputeManager",
    "AsyncComputeUnit",
    "AsyncFileReader",
    "AsyncFileWriter",
    "AsyncItemStream",
    "AsyncSession",
    "AsyncStorageManager",
    "AsyncStoragePath",
    "AsyncTransferJob",
    "AsyncUnitStorage",
    "AuthenticationError",
    "AzureSettings",
    "BearerToken",
    "CheckReport",
    "ChecksumMismatchError",
    "ComputeUnitError",
    "ConfigurationError",
    "DeleteResult",
    "Difference",
    "DxflowError",
    "Encryption",
    "ExecutorError",
    "GCPSettings",
    "GCSSettings",
    "Item",
    "ItemList",
    "ItemStream",
    "JobBusyError",
    "JobInfo",
    "JobList",
    "JobNotFoundError",
    "Leftover",
    "NetworkError",
    "NotFoundError",
    "ObjectOptions",
    "PreconditionFailedError",
    "Progress",
    "Rate",
    "S3Settings",
    "SASToken",
    "ServiceError",
    "Session",
    "SessionClosedError",
    "SessionLoopError",
    "Settings",
    "SourceChangedError",
    "StallTimeoutError",
    "StorageError",
    "StoragePath",
    "SyncAction",
    "SyncPlan",
    "ThrottledError",
    "TransferError",
    "TransferJob",
    "TransferReport",
    "TransferResult",
    "TransferTimeoutError",
    "Unit",
    "UnitNotFoundError",
    "UnsafePathError",
    "UnsupportedError",
]

_HOMES = {
    "AWSSettings": "config.settings",
    "AzureSettings": "config.settings",
    "AccessKeys": "config.credentials",
    "BearerToken": "config.credentials",
    "SASToken": "config.credentials",
    "GCPSettings": "config.settings",
    "GCSSettings": "config.settings",
    "S3Settings": "config.settings",
    "Settings": "config.settings",
    "AsyncAreaStorage": "storage.area_storage",
    "AsyncComputeManager": "compute.manager",
    "AsyncComputeUnit": "compute.unit",
    "AsyncUnitStorage": "compute.storage",
    "AsyncItemStream": "concurrency.item_stream",
    "AsyncFileReader": "storage.files.reader",
    "AsyncFileWriter": "storage.files.writer",
    "AsyncSession": "session",
    "AsyncStorageManager": "storage.manager",
    "AsyncStoragePath": "storage.path",
    "StoragePath": "blocking.path",
    "ItemStream": "blocking.item_stream",
    "Session": "blocking.session",
    "Encryption": "providers.encryption",
    "ObjectOptions": "providers.entries",
    "CheckReport": "transfer.sync.check_report",
    "Difference": "transfer.sync.check_report",
    "DeleteResult": "models",
    "Item": "models",
    "ItemList": "models",
    "JobInfo": "models",
    "JobList": "models",
    "Leftover": "models",
    "Progress": "models",
    "Rate": "models",
    "AsyncTransferJob": "handles",
    "TransferJob": "blocking.handles",
    "SyncAction": "models",
    "SyncPlan": "models",
    "TransferReport": "models",
    "TransferResult": "models",
    "Unit": "models",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        return import_module("importlib.metadata").version("dxflow-async")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'exceptions')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__

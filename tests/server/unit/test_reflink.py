"""Copies within a volume: shared where the file system can, else made by the kernel, else through memory."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dxflow_async.exceptions import StorageError
from dxflow_async.server.unit import reflink

DATA = os.urandom(3 << 20) + b"the end"
FICLONERANGE = 0x4020940D
"""Source: https://man7.org/linux/man-pages/man2/ioctl_ficlonerange.2.html, as <linux/fs.h> computes it."""


@pytest.fixture
def files(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """Descriptors of a file with bytes, and of one with ten others."""
    (tmp_path / "source").write_bytes(DATA)
    (tmp_path / "target").write_bytes(b"0123456789")
    source, target = os.open(tmp_path / "source", os.O_RDONLY), os.open(tmp_path / "target", os.O_RDWR)
    yield source, target
    os.close(source)
    os.close(target)


def content(descriptor: int) -> bytes:
    return os.pread(descriptor, len(DATA) + 100, 0)


def not_shared(*_: object) -> bool:
    return False


def test_the_kernel_copies(files: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it can, not a byte passes through this process, also when it copies less at a time than it is asked to."""

    def carry(*_: object) -> int:
        raise AssertionError("the bytes came into memory")

    def little(source: int, target: int, size: int, start: int, offset: int) -> int:
        return os.copy_file_range(source, target, min(size, 1 << 20), start, offset)

    monkeypatch.setattr(reflink, "_share", not_shared)
    monkeypatch.setattr(reflink, "_carry", carry)
    monkeypatch.setattr(reflink, "_copy", little)
    reflink.copy_bytes(*files, len(DATA), 10, threading.Event())
    assert content(files[1]) == b"0123456789" + DATA


@pytest.mark.parametrize("code", [errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP])
def test_what_the_kernel_cannot_copy(files: tuple[int, int], monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """Between file systems, or on an older kernel, the bytes go through memory."""

    def cannot(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(reflink, "_share", not_shared)
    monkeypatch.setattr(reflink, "_copy", cannot)
    reflink.copy_bytes(*files, len(DATA), 10, threading.Event())
    assert content(files[1]) == b"0123456789" + DATA


def test_other_errors_are_told(files: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is not tried again through memory."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(reflink, "_share", not_shared)
    monkeypatch.setattr(reflink, "_copy", full)
    with pytest.raises(OSError, match="full"):
        reflink.copy_bytes(*files, len(DATA), 0, threading.Event())


def test_bytes_are_shared_where_they_can_be(files: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """The file system is asked first to share all of the source's bytes; when it has, none is copied."""
    asked = []

    def ioctl(target: int, request: int, argument: bytes) -> int:
        asked.append((target, request, struct.unpack("qQQQ", argument)))
        return 0

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    reflink.copy_bytes(*files, len(DATA), 4096, threading.Event())
    assert asked == [(files[1], FICLONERANGE, (files[0], 0, 0, 4096))]
    assert content(files[1]) == b"0123456789"
    reflink.copy_bytes(*files, 5, 0, threading.Event())
    assert len(asked) == 1  # a part of the source is not all of it
    assert content(files[1]) == DATA[:5] + b"56789"


def test_copies_that_end_early(files: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """A source that has fewer bytes by now, and a server that ends, fail the copy, each with its own code."""
    monkeypatch.setattr(reflink, "_share", not_shared)
    with pytest.raises(StorageError) as raised:
        reflink.copy_bytes(*files, len(DATA) + 1, 0, threading.Event())
    assert (raised.value.status, raised.value.code) == (409, "changed")
    stopping = threading.Event()
    stopping.set()
    with pytest.raises(StorageError) as raised:
        reflink.copy_bytes(*files, len(DATA), 0, stopping)
    assert (raised.value.status, raised.value.code) == (503, "shutting_down")

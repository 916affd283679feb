"""What `Upload-Metadata` says of a file."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Self

from dxflow_async.exceptions import StorageError
from dxflow_async.modes import parse_mode
from dxflow_async.server.common.names import volume_path
from dxflow_async.server.unit.checksums import parse_expected
from dxflow_async.server.unit.upload_state import Upload

__all__ = ["UploadMetadata"]

_MAX_SECONDS = 1 << 33


@dataclass(frozen=True, slots=True)
class UploadMetadata:
    """The pairs of the header, with each key's bytes decoded. `text` is the header as it was sent.

    Names of files are bytes on the wire, and need not be UTF-8.
    """

    pairs: dict[str, str]
    text: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parses the header `key base64,key base64,...`.

        Raises:
            StorageError: 400, the header has another form.
        """
        pairs: dict[str, str] = {}
        for pair in filter(None, (each.strip() for each in text.split(","))):
            key, _, encoded = pair.partition(" ")
            try:
                value = base64.b64decode(encoded.strip(), validate=True).decode("utf-8", "surrogateescape")
            except ValueError as error:
                raise _invalid(f"the value of {key!r:.50} is not base64") from error
            if key in pairs:
                raise _invalid(f"the key {key!r:.50} is there twice")
            pairs[key] = value
        return cls(pairs, text)

    @property
    def group(self) -> str:
        """The group of a partial upload, or `""`."""
        group = self.pairs.get("group", "")
        if group and not re.fullmatch(r"[A-Za-z0-9]{16,64}", group):
            raise _invalid("a group is 16 to 64 letters or digits")
        return group

    def upload(self, upload_id: str, length: int, concat: str) -> Upload:
        """Returns the upload that the metadata describe.

        Raises:
            StorageError: 400, something is missing or invalid.
            UnsafePathError: the file's path is refused.
        """
        partial = concat == "partial"
        return Upload(
            id=upload_id,
            length=length,
            path="" if partial else self._path(),
            metadata=self.text,
            concat=concat,
            group=self.group if partial else "",
            start=self._start() if partial and self.group else 0,
            modified_ns=self._modified_ns(),
            checksum=self._checksum(),
            mode=self._mode(),
            absent=not partial and self._absent(),
        )

    def _path(self) -> str:
        name = self.pairs.get("name") or self.pairs.get("filename", "")
        if not name or "/" in name:
            raise _invalid("name must be the file's name, without a slash; its directory is path")
        return volume_path(f"{self.pairs.get('path', '/')}/{name}")

    def _start(self) -> int:
        text = self.pairs.get("start", "")
        if not re.fullmatch(r"[0-9]{1,18}", text):
            raise _invalid("start must be a number of bytes, where a group is named")
        return int(text)

    def _modified_ns(self) -> int | None:
        text = self.pairs.get("mtime")
        if text is None:
            return None
        try:
            seconds = Decimal(text)
            if not abs(seconds) < _MAX_SECONDS:
                raise InvalidOperation
            return int(seconds.scaleb(9))
        except InvalidOperation as error:
            raise _invalid("mtime must be decimal seconds since the epoch") from error

    def _checksum(self) -> str:
        text = self.pairs.get("checksum", "")
        expected = parse_expected(text)
        if text and (expected is None or expected.algorithm != "crc32c"):
            raise _invalid("checksum must be crc32c and its base64")
        return text

    def _absent(self) -> bool:
        text = self.pairs.get("absent", "false")
        if text not in ("true", "false"):
            raise _invalid("absent must be true or false")
        return text == "true"

    def _mode(self) -> int | None:
        text = self.pairs.get("mode")
        mode = parse_mode(text)
        if mode is None and text is not None:
            raise _invalid("mode must be permission bits as octal text, 0000 to 0777")
        return mode


def _invalid(reason: str) -> StorageError:
    return StorageError(f"Upload-Metadata is not valid: {reason}", status=400, code="invalid_metadata")

"""Text files over binary ones."""

from __future__ import annotations

import codecs
import io
import re
from types import TracebackType
from typing import Self

from dxflow_async.storage.files.reader import AsyncFileReader
from dxflow_async.storage.files.writer import AsyncFileWriter

__all__ = ["AsyncTextReader", "AsyncTextWriter"]

_CHUNK = 64 << 10
_ANY_END = re.compile(r"\r\n|\n|\r")


class AsyncTextReader:
    """A text file open for reading; `AsyncAreaStorage.open` returns it for the mode `"r"`.

    Attributes:
        buffer: the binary file below.
    """

    mode = "r"

    def __init__(self, buffer: AsyncFileReader, encoding: str, errors: str, newline: str | None) -> None:
        self.buffer = buffer
        self.encoding = encoding
        self._newline = newline
        decoder = codecs.getincrementaldecoder(encoding)(errors)
        self._decoder = io.IncrementalNewlineDecoder(decoder, translate=newline is None)
        self._text = ""
        self._start = 0  # how much of the text was given out
        self._ended = False

    @property
    def name(self) -> str:
        """The path, as it was given."""
        return self.buffer.name

    @property
    def closed(self) -> bool:
        """Whether the file is closed."""
        return self.buffer.closed

    async def read(self, size: int | None = -1) -> str:
        """Returns the next `size` characters, fewer only at the end; with -1 or None all that follow.

        Raises:
            UnicodeDecodeError: the bytes are not in the file's encoding.
            StorageError: it could not be read.
        """
        if size is None or size < 0:
            text = self._take(len(self._text)) + self._decoder.decode(await self.buffer.read(), final=True)
            self._ended = True
            return text
        while len(self._text) - self._start < size and await self._more():
            pass
        return self._take(self._start + size)

    async def readline(self) -> str:
        """Returns the next line with its end, `""` at the end of the file. Raises as `read`."""
        searched = self._start
        while (stop := self._line_end(searched)) is None:
            # Everything before the start is dropped with the next bytes, and the last character is looked at again.
            searched = max(len(self._text) - self._start - 1, 0)
            if not await self._more():
                return self._take(len(self._text))
        return self._take(stop)

    async def aclose(self) -> None:
        """Closes the file."""
        await self.buffer.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        line = await self.readline()
        if not line:
            raise StopAsyncIteration
        return line

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def _take(self, stop: int) -> str:
        taken = self._text[self._start : stop]
        self._start += len(taken)
        return taken

    async def _more(self) -> bool:
        """Decodes more bytes; returns whether there were any."""
        if self._ended:
            return False
        chunk = await self.buffer.read(_CHUNK)
        self._ended = not chunk
        self._text = self._text[self._start :] + self._decoder.decode(chunk, final=not chunk)
        self._start = 0
        return True

    def _line_end(self, searched: int) -> int | None:
        if self._newline == "":
            found = _ANY_END.search(self._text, searched)
            return None if found is None else found.end()
        end = self._newline or "\n"
        position = self._text.find(end, searched)
        return None if position < 0 else position + len(end)


class AsyncTextWriter:
    """A text file open for writing; `AsyncAreaStorage.open` returns it for the modes `"w"` and `"x"`.

    Attributes:
        buffer: the binary file below.
    """

    def __init__(self, buffer: AsyncFileWriter, encoding: str, errors: str, newline: str | None) -> None:
        self.buffer = buffer
        self.encoding = encoding
        self.mode = buffer.mode.removesuffix("b")
        self._encoder = codecs.getincrementalencoder(encoding)(errors)
        self._newline = newline or "\n"

    @property
    def name(self) -> str:
        """The path, as it was given."""
        return self.buffer.name

    @property
    def closed(self) -> bool:
        """Whether the file is closed."""
        return self.buffer.closed

    async def write(self, text: str) -> int:
        """Writes a text, and returns its length. Line feeds become `newline`, if that is another one.

        Raises:
            UnicodeEncodeError: the file's encoding lacks a character.
            StorageError: the upload has failed; nothing is stored.
        """
        ended = text if self._newline == "\n" else text.replace("\n", self._newline)
        await self.buffer.write(self._encoder.encode(ended))
        return len(text)

    async def flush(self) -> None:
        """Waits until the upload has taken everything, as `AsyncFileWriter.flush` does."""
        await self.buffer.flush()

    async def aclose(self) -> None:
        """Stores the object. A second call does nothing."""
        await self.buffer.aclose()

    async def discard(self) -> None:
        """Closes the file, and stores nothing."""
        await self.buffer.discard()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.buffer.__aexit__(kind, error, traceback)

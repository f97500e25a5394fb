"""Gzip and zstd, told by their first bytes and unpacked as they are read."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
BUFFER_BYTES = 1 << 17
ZSTD_SLICE_BYTES = 1 << 10  # zstd packs up to 128 KiB into 4 bytes: more at once could unpack to gigabytes


class CutOff(Exception):
    """A packed file that ends too early; `kind` is how it is packed."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class Damaged(Exception):
    """A zstd file that can't be unpacked."""


def unpacked(stream: io.BufferedReader) -> BinaryIO:
    """The stream's bytes, unpacked where they start as gzip or zstd does.

    Reading raises EOFError, BadGzipFile or zlib.error for a bad gzip, CutOff or Damaged for a bad zstd.
    """
    magic = stream.peek(4)[:4]
    if magic[:2] == GZIP_MAGIC:
        # GzipFile hands out lines slowly unless it is buffered
        return cast(BinaryIO, io.BufferedReader(gzip.GzipFile(fileobj=stream), BUFFER_BYTES))
    if magic == ZSTD_MAGIC:
        return cast(BinaryIO, io.BufferedReader(ZstdBytes(stream), BUFFER_BYTES))
    return cast(BinaryIO, stream)


class ZstdBytes(io.RawIOBase):
    """What a zstd stream of one or more frames unpacks to.

    zstandard's own stream reader takes a frame that is cut off for the end, so frames are followed here.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._pieces = unpack_zstd(stream)
        self._pending = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._pending:
            self._pending = memoryview(next(self._pieces, b""))
        size = min(len(buffer), len(self._pending))
        buffer[:size] = self._pending[:size]
        self._pending = self._pending[size:]
        return size


def unpack_zstd(stream: BinaryIO) -> Iterator[bytes]:
    import zstandard

    decompressor = zstandard.ZstdDecompressor()
    frame = decompressor.decompressobj()
    begun = False
    try:
        while packed := stream.read(ZSTD_SLICE_BYTES):
            while packed:
                piece = frame.decompress(packed)
                begun = True
                if piece:
                    yield piece
                packed = b""
                if frame.eof:
                    packed = frame.unused_data
                    frame = decompressor.decompressobj()
                    begun = False
    except zstandard.ZstdError as error:
        raise Damaged(str(error).partition(": ")[2] or str(error)) from None
    if begun:
        raise CutOff("zstd")

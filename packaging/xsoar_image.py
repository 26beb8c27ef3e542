"""The pack's image: 120 x 50, drawn from rectangles, as PNG bytes that are the same on every machine."""

from __future__ import annotations

import struct
import zlib

WIDTH, HEIGHT = 120, 50
LARGEST_BYTES = 10_000
_WHITE, _DARK, _GREEN = (255, 255, 255), (24, 50, 66), (50, 178, 120)
# Left, top, right, bottom, colour: three layers (snapshots), held together by a clasp (the hold).
_SHAPES = (
    (34, 9, 86, 17, _DARK),
    (34, 21, 86, 29, _DARK),
    (34, 33, 86, 41, _DARK),
    (54, 5, 66, 45, _GREEN),
    (57, 8, 63, 42, _WHITE),
    (57, 21, 63, 29, _GREEN),
)


def image() -> bytes:
    """Return the PNG. Nothing is compressed, so that no version of zlib can change a byte."""
    rows = b"".join(b"\0" + bytes(_colour(x, y) for x in range(WIDTH)) for y in range(HEIGHT))
    palette = b"".join(bytes(colour) for colour in (_WHITE, _DARK, _GREEN))
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 3, 0, 0, 0)
    parts = ((b"IHDR", header), (b"PLTE", palette), (b"IDAT", _stored(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts)


def _colour(x: int, y: int) -> int:
    found = _WHITE
    for left, top, right, bottom, colour in _SHAPES:
        if left <= x < right and top <= y < bottom:
            found = colour
    return (_WHITE, _DARK, _GREEN).index(found)


def _stored(data: bytes) -> bytes:
    """Return a zlib stream of one stored block."""
    block = b"\x01" + struct.pack("<HH", len(data), len(data) ^ 0xFFFF) + data
    return b"\x78\x01" + block + struct.pack(">I", zlib.adler32(data))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

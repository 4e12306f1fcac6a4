"""What a PNG file says of itself, chunk by chunk."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

START = b"\x89PNG\r\n\x1a\n"
EXIF, XMP = b"Raw profile type exif", b"XML:com.adobe.xmp\0"  # texts that may tell how the picture was held, as the chunk eXIf may
END = b"IEND"  # the last chunk
GREY, RGB = 0, 2  # kinds of colour
CHANNELS = {GREY: 1, RGB: 3, 3: 1, 4: 2, 6: 4}  # 3: a palette; 4, 6: with alpha


class Header(NamedTuple):
    """Of a plain picture, of 8 bits: its size in pixels, and whether it is RGB, else grey."""

    high: int
    wide: int
    rgb: bool


def plain(data: bytes) -> Header | None:
    """What is stated of a PNG of 8 bits, grey or RGB, not animated, transparent, interlaced or turned; None of any other."""
    if not data.startswith(START) or data[12:16] != b"IHDR" or len(data) < 29:
        return None
    wide, high, depth, colour, *_, interlaced = struct.unpack_from(">IIBBBBB", data, 16)
    if (depth, interlaced) != (8, 0) or colour not in (GREY, RGB):
        return None
    if any(kind in (b"acTL", b"tRNS") or _may_tell_turn(kind, content) for kind, content in _chunks(data)):
        return None
    return Header(high, wide, colour == RGB)


def damage(data: bytes) -> str | None:
    """What is wrong with a PNG's chunks, judged by their checksums and its end; None of an intact one or another format.

    What follows the end, as some cameras append it, does not matter.
    """
    if not data.startswith(START):
        return None
    kind = b""
    for kind, at, end in _spans(data):
        if end + 4 > len(data):
            return f"its {_word(kind)} chunk is cut short"
        if zlib.crc32(memoryview(data)[at - 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            return f"its {_word(kind)} chunk does not match its checksum"
    return None if kind == END else "its end is missing"


def may_be_turned(data: bytes) -> bool:
    """False of a PNG in which no orientation is stated."""
    return any(_may_tell_turn(kind, content) for kind, content in _chunks(data))


def lacks_rows(data: bytes) -> bool:
    """Whether the pixels of a PNG end before the last row of which its header tells, as when the writer was cut short.

    Interlaced ones, whose rows come in seven passes, are not looked into. Raises zlib.error where the pixels are damaged.
    """
    wide, high, depth, colour, *_, interlaced = struct.unpack_from(">IIBBBBB", data, 16)
    if interlaced:
        return False
    missing: int = high * (1 + (wide * depth * CHANNELS[colour] + 7) // 8)
    inflate = zlib.decompressobj()
    for kind, at, end in _spans(data):
        if kind == b"IDAT" and missing:
            missing -= len(inflate.decompress(data[at:end], missing))
    return missing > 0


def _word(kind: bytes) -> str:
    """The name of a chunk, which damage may have made into anything."""
    return kind.decode() if kind.isalpha() else "unknown"


def _may_tell_turn(kind: bytes, content: bytes) -> bool:
    """The byte after the name of XMP is 0 where it is not compressed."""
    xmp = content.startswith(XMP) and (content[len(XMP) :][:1] != b"\0" or b"Orientation" in content)
    return kind == b"eXIf" or content.startswith(EXIF) or xmp


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of each chunk but the compressed pixels'."""
    return ((kind, data[at:end]) for kind, at, end in _spans(data) if kind != b"IDAT")


def _spans(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind of each chunk to the last and where its content lies, of a damaged file as far as its lengths lead."""
    at, kind = len(START), b""
    while kind != END and at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        yield kind, at + 8, at + 8 + length
        at += 12 + length

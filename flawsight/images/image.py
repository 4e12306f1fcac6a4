"""Bytes or path ↔ uint8 [H,W,3] RGB. The only file that decodes or encodes pictures.

One rule for every picture that can be read:
  turned upright by its EXIF orientation (EXIF that cannot be read counts as none); palette, 1-bit, grey and CMYK converted to RGB;
  16-bit reduced to its high byte, or, from a camera that fills fewer bits, to the highest eight of those; never stretched to the
  picture's own range; alpha laid over black. Of a phone's multi-picture JPEG (MPO) the main picture counts.
Refused, with the reason: damaged or empty files, files in none of `formats.readable`, animations and multi-page files, float
pictures, pictures of more than `decoding.MAX_PIXELS`.
"""

from __future__ import annotations

import contextlib
import io
import os
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from flawsight.errors import PictureError, UsageError
from flawsight.images import decoding, deep, formats, png, traits
from flawsight.images.traits import Traits
from flawsight.types import Float, Pixels, name_of

if TYPE_CHECKING:
    from PIL import Image

EXTENSIONS = formats.EXTENSIONS
Source: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | Pixels | Image.Image"


def read(source: Source, name: str | None = None, bits: int = traits.ALL_BITS) -> Pixels:
    """uint8 [H,W,3] RGB from a path, the bytes of a picture file, a Pillow picture or a uint8 array [H,W], [H,W,1] or [H,W,3].

    `name` is used in errors where the source has none. The result is read-only and shares no memory with the source; of a grey
    picture the three channels are one in memory, so that nobody need compute thrice what is the same (`is_grey`). bits:
    how many of a 16-bit file's are in use, 8 to 16. Raises PictureError, also where a file uses more.
    """
    return examine(source, name, bits)[0]


def examine(source: Source, name: str | None = None, bits: int = traits.ALL_BITS) -> tuple[Pixels, Traits]:
    """What `read` gives, and what the picture is like apart from what it shows."""
    from PIL import Image

    if isinstance(source, np.ndarray):
        pixels = _from_array(source, name or "array")
        return pixels, traits.of(pixels, is_grey(pixels))
    if isinstance(source, Image.Image):
        return _to_rgb(source, name or name_of(getattr(source, "filename", "") or "picture"), bits)
    if isinstance(source, bytes | bytearray | memoryview):
        data, name = bytes(source), name or "bytes"
    elif isinstance(source, str | os.PathLike):
        name = name or name_of(Path(source))
        data = decoding.file_bytes(Path(source), name)
    else:
        came = type(source).__name__
        raise UsageError(f"image.read: needs a path, bytes, a Pillow picture or a uint8 array; got {came}. Convert it first.")
    if (plain := _plain_png(data)) is not None:
        return plain, traits.of(plain, is_grey(plain), "PNG")
    with decoding.opened(data, name) as picture:
        found = _to_rgb(picture, name, bits, data)
        if picture.format == "PNG" and _lacks_rows(data):  # Pillow leaves them black
            raise PictureError(name, "is cut short: its pixels end before its last row. Copy or save it again.")
        return found


def is_grey(pixels: Pixels) -> bool:
    """Whether the three channels of what `read` gave are one in memory; False says nothing."""
    return pixels.strides[2] == 0


def size_hw(path: Path) -> tuple[int, int]:
    """The upright picture's (high, wide), as `read` gives it, without decoding it where its format allows. Raises PictureError."""
    name = name_of(path)
    data = decoding.file_bytes(path, name)
    with decoding.opened(data, name) as picture, decoding.explained(name):
        turned = _may_be_turned(picture, data) and decoding.orientation(picture) >= 5
        return (picture.width, picture.height) if turned else (picture.height, picture.width)


def write(path: Path, pixels: Pixels) -> None:
    """Write uint8 [H,W,3] or [H,W] in the format that the path's ending names."""
    from flawsight.system.files import atomic_write

    formats: dict[str, Literal["png", "jpeg", "webp"]] = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}
    if path.suffix.lower() not in formats:
        raise UsageError(f"{path}: pictures are written as {', '.join(formats)}. Choose one of these endings.")
    atomic_write(path, encode(pixels, formats[path.suffix.lower()]))


def encode(
    pixels: Pixels,
    format: Literal["png", "jpeg", "webp"] = "png",  # noqa: A002
    quality: int = 85,
    full_colour: bool = False,
) -> bytes:
    """The bytes of a picture file holding uint8 [H,W,3] or [H,W]; of PNG and WebP also [H,W,4] with opacity.

    full_colour: whether a JPEG has the colour of every pixel, not of every second one each way, which blurs it over edges.
    """
    from PIL import Image

    out = io.BytesIO()
    options = {"compress_level": 3} if format == "png" else {"quality": quality}
    if full_colour:
        options["subsampling"] = 0
    Image.fromarray(np.ascontiguousarray(pixels)).save(out, format, **options)
    return out.getvalue()


def encode_map(values: Float, format: str) -> bytes:  # noqa: A002
    """The bytes of a file that holds float32 [H,W] as they are: "tiff", of one channel without compression, or "npy"."""
    from PIL import Image

    out = io.BytesIO()
    if format == "npy":
        np.save(out, values, allow_pickle=False)
    else:
        Image.fromarray(np.ascontiguousarray(values)).save(out, "tiff")
    return out.getvalue()


def _from_array(array: Pixels, name: str) -> Pixels:
    if array.dtype != np.uint8:
        raise PictureError(name, f"needs uint8 values 0–255; got {array.dtype}. Convert with its true range, not its own maximum.")
    came = list(array.shape)
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3) or not array.size:
        raise PictureError(name, f"needs shape [H,W], [H,W,1] or [H,W,3]; got {came}. Convert it to RGB or grey first.")
    decoding.check_size(array.shape[1], array.shape[0], name)
    pixels = np.array(array, order="C")
    pixels.flags.writeable = False
    return np.broadcast_to(pixels, (*array.shape[:2], 3))


def _to_rgb(picture: Image.Image, name: str, bits: int, data: bytes = b"") -> tuple[Pixels, Traits]:
    """data: of the file that the picture comes from, if it does."""
    with decoding.explained(name):
        tables = getattr(picture, "quantization", None)  # of a JPEG
        quality = traits.jpeg_quality(tables[0]) if tables else 0
        kind = "JPEG" if picture.format == "MPO" else picture.format or ""
        coloured = bool(data) and deep.has_deep_colours(picture)  # asked first: Pillow decodes the high bytes alone, and forgets
        upright = decoding.upright(picture, name)
        values = _deep_colours(upright, data, name, bits) if coloured else deep.values_of(upright, name)
        used = None if values is None else traits.bits_for(int(values.max()))
        if values is not None and not (coloured and bits == traits.ALL_BITS):
            upright = deep.eight_bits(upright, values, name, bits)
        pixels = decoding.flat(upright)
        return pixels, traits.of(pixels, is_grey(pixels), kind, used, quality)


def _may_be_turned(picture: Image.Image, data: bytes) -> bool:
    """False of a PNG whose bytes state no orientation: Pillow decodes the whole of it to look for one, which may come last."""
    return picture.format != "PNG" or png.may_be_turned(data)


def _lacks_rows(data: bytes) -> bool:
    """False of pixels that cannot be unpacked to their end: what Pillow then makes of them counts."""
    with contextlib.suppress(zlib.error):
        return png.lacks_rows(data)
    return False


def _plain_png(data: bytes) -> Pixels | None:
    """The pixels of a PNG that is plain, see `png.plain`, and intact; None of any other file.

    Such pictures are what a camera at a line writes, and Pillow takes over twice as long for them. The decoder says no to every
    damage, in which case Pillow has the last word.
    """
    header = png.plain(data)
    if header is None or header.high * header.wide > decoding.MAX_PIXELS or png.damage(data):
        return None
    from kornia_rs.io import decode_image_png_u8

    size = header.high, header.wide
    try:
        decoded: Pixels = decode_image_png_u8(data, size, "rgb" if header.rgb else "mono")
    except Exception:  # its only kind
        return None
    decoded.flags.writeable = False
    return np.broadcast_to(decoded, (*size, 3))


def _deep_colours(high: Image.Image, data: bytes, name: str, bits: int) -> deep.Values:
    """[H,W,3] of 0 to 65535, of which Pillow gave the high bytes; the low ones are 255 where they cannot matter."""
    values = np.asarray(high)[:, :, :3].astype(np.int64) << 8 | 255
    if bits < traits.ALL_BITS and not int(values.max()) >> bits:
        with decoding.opened(data, name) as picture:
            deep.swap_bytes(picture, name)
            values += np.asarray(decoding.upright(picture, name))[:, :, :3].astype(np.int64) - 255
    return values

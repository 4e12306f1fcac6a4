"""Bytes or path ↔ uint8 [H,W,3] RGB. The only file that decodes or encodes pictures.

One rule for every picture that can be read:
  turned upright by its EXIF orientation (EXIF that cannot be read counts as none); palette, 1-bit, grey and CMYK converted to RGB;
  16-bit reduced to its high byte, or, from a camera that fills fewer bits, to the highest eight of those; never stretched to the
  picture's own range; alpha laid over black. Of a phone's multi-picture JPEG (MPO) the main picture counts.
Refused, with the reason: damaged or empty files, files in none of `formats.readable`, animations and multi-page files, float
pictures, pictures of more than MAX_PIXELS.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from flawsight import classes, deep, formats, outlines, png, traits
from flawsight.errors import FlawsightError, PictureError, UsageError
from flawsight.traits import Traits
from flawsight.types import Float, Mask, MaskFiles, Outlines, Pixels, mask_files, name_of

if TYPE_CHECKING:
    from PIL import Image

MAX_PIXELS = 89_478_485  # Pillow's own bound: 256 MiB of RGB
ORIENTATION = 0x0112  # the EXIF tag
TURNS = {  # its values and Pillow's names for what makes the picture upright; from 5 on it lies on its side
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
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
        data = _bytes(Path(source), name)
    else:
        came = type(source).__name__
        raise UsageError(f"image.read: needs a path, bytes, a Pillow picture or a uint8 array; got {came}. Convert it first.")
    if (plain := _plain_png(data)) is not None:
        return plain, traits.of(plain, is_grey(plain), "PNG")
    with _open(data, name) as picture:
        found = _to_rgb(picture, name, bits, data)
        if picture.format == "PNG" and _lacks_rows(data):  # Pillow leaves them black
            raise PictureError(name, "is cut short: its pixels end before its last row. Copy or save it again.")
        return found


def is_grey(pixels: Pixels) -> bool:
    """Whether the three channels of what `read` gave are one in memory; False says nothing."""
    return pixels.strides[2] == 0


def read_mask(files: MaskFiles) -> Mask:
    """Bool [H,W], True where any of the files shows a defect, turned upright as its picture would be. Raises PictureError.

    Every class but the background is one, see `classes.marked`. In palette pictures, any colour but black; any index but 0 where
    none or all is black.
    """
    if isinstance(files, Outlines):
        return outlines.draw(files)
    first, *more = mask_files(files)
    mask = _read_mask(first)
    for path in more:
        other = _read_mask(path)
        if other.shape != mask.shape:
            raise PictureError(name_of(path), f"differs in size from {first.name}, a mask of the same picture. Mend the wrong one.")
        mask = mask | other
    return mask


def mask_sizes_hw(mask: MaskFiles | None) -> dict[Path, tuple[int, int]]:
    """File → (high, wide) of each that a picture's mask is in. Raises PictureError."""
    if isinstance(mask, Outlines):
        return {mask.file: mask.size_hw}
    return {file: size_hw(file) for file in mask_files(mask)}


def is_drawn_in_alpha(path: Path) -> bool:
    """Whether all colours of a picture are black and only its transparency differs. Raises PictureError."""
    name = name_of(path)
    with _open(_bytes(path, name), name) as opened, _explained(name):
        picture = _upright(opened, name)
        if picture.mode not in ("RGBA", "LA", "PA") and "transparency" not in picture.info:
            return False
        values = np.asarray(picture.convert("RGBA"))
        return bool(not values[:, :, :3].any() and np.ptp(values[:, :, 3]))


def mask_value(path: Path) -> int:
    """The largest value in a mask file, which may tell what kind of defect it shows. Raises PictureError."""
    name = name_of(path)
    with _open(_bytes(path, name), name) as opened, _explained(name):
        picture = _upright(opened, name)
        values = deep.values_of(picture, name)
        return int((np.asarray(picture) if picture.mode == "P" else _flat(picture) if values is None else values).max())


def _read_mask(path: Path) -> Mask:
    name = name_of(path)
    with _open(_bytes(path, name), name) as opened, _explained(name):
        picture = _upright(opened, name)
        if picture.mode == "P":
            lit: Mask = _flat(picture).max(axis=2) > 0
            index: Mask = np.asarray(picture) > 0
            return lit if lit.any() and not lit.all() else index
        values = deep.values_of(picture, name)
        return classes.marked(_flat(picture) if values is None else values, opened.format in formats.LOSSY)


def size_hw(path: Path) -> tuple[int, int]:
    """The upright picture's (high, wide), as `read` gives it, without decoding it where its format allows. Raises PictureError."""
    name = name_of(path)
    data = _bytes(path, name)
    with _open(data, name) as picture, _explained(name):
        turned = _may_be_turned(picture, data) and _orientation(picture) >= 5
        return (picture.width, picture.height) if turned else (picture.height, picture.width)


def write(path: Path, pixels: Pixels) -> None:
    """Write uint8 [H,W,3] or [H,W] in the format that the path's ending names."""
    from flawsight.files import atomic_write

    formats: dict[str, Literal["png", "jpeg", "webp"]] = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}
    if path.suffix.lower() not in formats:
        raise UsageError(f"{path}: pictures are written as {', '.join(formats)}. Choose one of these endings.")
    atomic_write(path, encode(pixels, formats[path.suffix.lower()]))


def encode(pixels: Pixels, format: Literal["png", "jpeg", "webp"] = "png", quality: int = 85) -> bytes:  # noqa: A002
    """The bytes of a picture file holding uint8 [H,W,3] or [H,W]; of PNG and WebP also [H,W,4] with opacity."""
    from PIL import Image

    out = io.BytesIO()
    options = {"compress_level": 3} if format == "png" else {"quality": quality}
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


def _bytes(path: Path, name: str) -> bytes:
    try:
        if not stat.S_ISREG(mode := path.stat().st_mode) and not stat.S_ISDIR(mode):
            raise PictureError(name, "is a pipe or a device, which might never end. Name an ordinary file.")
        return path.read_bytes()
    except FileNotFoundError:
        raise PictureError(name, "there is no such file. Check the path.") from None
    except IsADirectoryError:
        raise PictureError(name, "is a folder. Name a picture in it.") from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        why = getattr(error, "strerror", None) or error
        raise PictureError(name, f"cannot be opened ({why}). Check the path and its permissions.") from None


def _from_array(array: Pixels, name: str) -> Pixels:
    if array.dtype != np.uint8:
        raise PictureError(name, f"needs uint8 values 0–255; got {array.dtype}. Convert with its true range, not its own maximum.")
    came = list(array.shape)
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3) or not array.size:
        raise PictureError(name, f"needs shape [H,W], [H,W,1] or [H,W,3]; got {came}. Convert it to RGB or grey first.")
    _check_size(array.shape[1], array.shape[0], name)
    pixels = np.array(array, order="C")
    pixels.flags.writeable = False
    return np.broadcast_to(pixels, (*array.shape[:2], 3))


@contextlib.contextmanager
def _explained(name: str) -> Iterator[None]:
    """Whatever a decoder stumbles over, as a PictureError: on damaged files Pillow raises KeyError, struct.error and many more."""
    from PIL import Image

    try:
        yield
    except (FlawsightError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large(name) from None
    except Exception as error:
        raise _damaged(name, str(error) or type(error).__name__) from None


def _damaged(name: str, why: str) -> PictureError:
    return PictureError(name, f"is damaged or cut short ({why}). Copy or save it again.")


def _too_large(name: str) -> PictureError:
    limit = f"{MAX_PIXELS / 1e6:.0f} million pixels" if MAX_PIXELS >= 1e6 else f"{MAX_PIXELS} pixels"
    return PictureError(name, f"has more than {limit}, as a decompression bomb would. Crop or reduce it first.")


def _check_size(wide: int, high: int, name: str) -> None:
    if wide * high > MAX_PIXELS:
        raise _too_large(name)


def _open(data: bytes, name: str) -> Image.Image:
    from PIL import Image, UnidentifiedImageError

    if not data:
        raise PictureError(name, "the file is empty (0 bytes). Copy it again or delete it.")
    if damage := png.damage(data):  # Pillow overlooks most of it
        raise _damaged(name, damage)
    with _explained(name):
        try:
            picture = Image.open(io.BytesIO(data), formats=formats.readable())
        except UnidentifiedImageError:
            other = formats.kind(data[:16])
            if other and other not in formats.readable():
                raise PictureError(name, f"cannot be read here: {formats.how_to_read(other)}") from None
            kind = "text" if _looks_like_text(data) else "of no known format, or damaged at its beginning"
            known = f"{', '.join(formats.PLAIN[:-1])} or {formats.PLAIN[-1]}"
            reason = f"is not a picture (its content is {kind}). Remove it or save the picture again, as {known}."
            raise PictureError(name, reason) from None
    _check_size(*picture.size, name)
    return picture


def _to_rgb(picture: Image.Image, name: str, bits: int, data: bytes = b"") -> tuple[Pixels, Traits]:
    """data: of the file that the picture comes from, if it does."""
    with _explained(name):
        tables = getattr(picture, "quantization", None)  # of a JPEG
        quality = traits.jpeg_quality(tables[0]) if tables else 0
        kind = "JPEG" if picture.format == "MPO" else picture.format or ""
        coloured = bool(data) and deep.has_deep_colours(picture)  # asked first: Pillow decodes the high bytes alone, and forgets
        upright = _upright(picture, name)
        values = _deep_colours(upright, data, name, bits) if coloured else deep.values_of(upright, name)
        used = None if values is None else traits.bits_for(int(values.max()))
        if values is not None and not (coloured and bits == traits.ALL_BITS):
            upright = deep.eight_bits(upright, values, name, bits)
        pixels = _flat(upright)
        return pixels, traits.of(pixels, is_grey(pixels), kind, used, quality)


def _upright(picture: Image.Image, name: str) -> Image.Image:
    """The decoded picture turned by its EXIF orientation, of its own mode."""
    from PIL import Image

    _check_size(*picture.size, name)
    if (n := getattr(picture, "n_frames", 1)) > 1 and picture.format != "MPO":
        raise PictureError(name, f"holds {n} frames or pages. Export the one to inspect as a picture of its own.")
    picture.load()
    turn = TURNS.get(_orientation(picture))
    return picture.transpose(Image.Transpose[turn]) if turn else picture


def _may_be_turned(picture: Image.Image, data: bytes) -> bool:
    """False of a PNG in whose bytes no orientation is told: Pillow decodes the whole of it to look for one, which may come last."""
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
    if header is None or header.high * header.wide > MAX_PIXELS or png.damage(data):
        return None
    from kornia_rs.io import decode_image_png_u8

    size = header.high, header.wide
    try:
        decoded: Pixels = decode_image_png_u8(data, size, "rgb" if header.rgb else "mono")
    except Exception:  # its only kind
        return None
    decoded.flags.writeable = False
    return np.broadcast_to(decoded, (*size, 3))


def _orientation(picture: Image.Image) -> int:
    """1 to 8; 1 where none is told or it cannot be read."""
    if picture.format == "TIFF":
        return 1  # Pillow turns these itself, and tells their size turned
    try:
        value = picture.getexif().get(ORIENTATION)
    except Exception:  # of every kind, as in `_explained`
        return 1
    return value if isinstance(value, int) and value in TURNS else 1


def _flat(picture: Image.Image) -> Pixels:
    """RGB of a picture of 8 bits a channel, alpha over black."""
    from PIL import Image

    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, (0, 0, 0, 255)), picture)
    if picture.mode == "L":
        grey = np.asarray(picture)
        return np.broadcast_to(grey[:, :, None], (*grey.shape, 3))
    return np.asarray(picture.convert("RGB"))


def _deep_colours(high: Image.Image, data: bytes, name: str, bits: int) -> deep.Values:
    """[H,W,3] of 0 to 65535, of which Pillow gave the high bytes; the low ones are 255 where they cannot matter."""
    values = np.asarray(high)[:, :, :3].astype(np.int64) << 8 | 255
    if bits < traits.ALL_BITS and not int(values.max()) >> bits:
        with _open(data, name) as picture:
            deep.swap_bytes(picture, name)
            values += np.asarray(_upright(picture, name))[:, :, :3].astype(np.int64) - 255
    return values


def _looks_like_text(data: bytes) -> bool:
    with contextlib.suppress(UnicodeDecodeError):
        head = codecs.getincrementaldecoder("utf-8")().decode(data[:512])  # incremental: the last letter may be cut in two
        return all(char.isprintable() or char.isspace() for char in head)
    return False

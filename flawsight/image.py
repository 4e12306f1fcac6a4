"""Bytes or path ↔ uint8 [H,W,3] RGB. The only file that decodes or encodes pictures.

One rule for every picture that can be read:
  turned upright by its EXIF orientation; palette, 1-bit, grey and CMYK converted to RGB; 16-bit reduced to its high byte, never
  stretched to the picture's own range; alpha laid over black. Of a phone's multi-picture JPEG (MPO) the main picture counts.
Refused, with the reason: damaged or empty files, files that are no picture, animations and multi-page files, float pictures,
pictures of more than MAX_PIXELS.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from flawsight.errors import PictureError, UsageError
from flawsight.types import Mask, Pixels

if TYPE_CHECKING:
    from PIL import Image

MAX_PIXELS = 89_478_485  # Pillow's own bound: 256 MiB of RGB
ORIENTATION = 0x0112  # the EXIF tag; from 5 on the picture lies on its side
EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm", ".gif")


def read(source: str | Path | bytes | Pixels | Image.Image, name: str | None = None) -> Pixels:
    """uint8 [H,W,3] RGB from a path, the bytes of a picture file, a Pillow picture or a uint8 array [H,W], [H,W,1] or [H,W,3].

    `name` is used in errors where the source has none. Raises PictureError.
    """
    from PIL import Image

    if isinstance(source, np.ndarray):
        return _from_array(source, name or "array")
    if isinstance(source, Image.Image):
        return _to_rgb(source, name or getattr(source, "filename", "") or "picture")
    if isinstance(source, bytes):
        return _decode(io.BytesIO(source), name or "bytes", len(source))
    if not isinstance(source, str | Path):
        came = type(source).__name__
        raise UsageError(f"image.read: needs a path, bytes, a Pillow picture or a uint8 array; got {came}. Convert it first.")
    name = name or str(source)
    data = _bytes(Path(source), name)
    return _decode(io.BytesIO(data), name, len(data))


def read_mask(path: Path) -> Mask:
    """Bool [H,W], True where defective: above half of full scale; in palette pictures any index but 0. Raises PictureError."""
    with _open(io.BytesIO(_bytes(path, str(path))), str(path)) as picture:
        _load(picture, str(path))
        if picture.mode == "P":
            palette: Mask = np.asarray(picture, np.uint8).astype(np.bool_)
            return palette
        grey: Pixels = np.asarray(_eight_bits(picture, str(path)).convert("L"))
        above: Mask = grey > 127
        return above


def size_hw(path: Path) -> tuple[int, int]:
    """The upright picture's (high, wide) from the file's header alone. Raises PictureError."""
    with _open(io.BytesIO(_bytes(path, str(path))), str(path)) as picture:
        turned = picture.getexif().get(ORIENTATION, 1) >= 5
        return (picture.width, picture.height) if turned else (picture.height, picture.width)


def write(path: Path, pixels: Pixels) -> None:
    """Write uint8 [H,W,3] or [H,W] in the format that the path's ending names."""
    from flawsight.files import atomic_write

    formats: dict[str, Literal["png", "jpeg", "webp"]] = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}
    if path.suffix.lower() not in formats:
        raise UsageError(f"{path}: pictures are written as {', '.join(formats)}. Choose one of these endings.")
    atomic_write(path, encode(pixels, formats[path.suffix.lower()]))


def encode(pixels: Pixels, format: Literal["png", "jpeg", "webp"] = "png", quality: int = 85) -> bytes:  # noqa: A002
    """The bytes of a picture file holding uint8 [H,W,3] or [H,W]."""
    from PIL import Image

    out = io.BytesIO()
    options = {"compress_level": 3} if format == "png" else {"quality": quality}
    Image.fromarray(np.ascontiguousarray(pixels)).save(out, format, **options)
    return out.getvalue()


def _bytes(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise PictureError(name, "there is no such file. Check the path.") from None
    except OSError as error:
        raise PictureError(name, f"cannot be opened ({error.strerror}). Check the path and its permissions.") from None


def _from_array(array: Pixels, name: str) -> Pixels:
    if array.dtype != np.uint8:
        raise PictureError(name, f"needs uint8 values 0–255; got {array.dtype}. Convert with its true range, not its own maximum.")
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3) or not array.size:
        raise PictureError(name, f"needs shape [H,W], [H,W,1] or [H,W,3]; got {list(array.shape)}.")
    return np.ascontiguousarray(np.broadcast_to(array, (*array.shape[:2], 3)))


def _decode(stream: io.BytesIO, name: str, n_bytes: int) -> Pixels:
    if not n_bytes:
        raise PictureError(name, "the file is empty (0 bytes). Copy it again or delete it.")
    with _open(stream, name) as picture:
        return _to_rgb(picture, name)


def _open(stream: io.BytesIO, name: str) -> Image.Image:
    from PIL import Image, UnidentifiedImageError

    too_large = PictureError(
        name, f"has more than {MAX_PIXELS / 1e6:.0f} million pixels, as a decompression bomb would. Crop or reduce it first."
    )
    try:
        picture = Image.open(stream)
    except UnidentifiedImageError:
        kind = "text" if _looks_like_text(stream) else "no known picture format"
        raise PictureError(name, f"is not a picture (its content is {kind}). Remove it or save the picture again.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise too_large from None
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise PictureError(name, f"is damaged ({error}). Copy or save it again.") from None
    if picture.width * picture.height > MAX_PIXELS:
        picture.close()
        raise too_large
    return picture


def _to_rgb(picture: Image.Image, name: str) -> Pixels:
    from PIL import Image, ImageOps

    if getattr(picture, "n_frames", 1) > 1 and picture.format != "MPO":
        raise PictureError(
            name, f"holds {getattr(picture, 'n_frames', 0)} frames or pages. Export the one to inspect as a picture of its own."
        )
    _load(picture, name)
    picture = ImageOps.exif_transpose(_eight_bits(picture, name))
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, (0, 0, 0, 255)), picture)
    return np.asarray(picture.convert("RGB"))


def _load(picture: Image.Image, name: str) -> None:
    try:
        picture.load()
    except (OSError, ValueError, SyntaxError, EOFError, IndexError) as error:
        raise PictureError(name, f"is damaged or cut short ({error}). Copy or save it again.") from None


def _eight_bits(picture: Image.Image, name: str) -> Image.Image:
    """The picture with 8 bits a channel: of 16 bits the high byte."""
    from PIL import Image

    if picture.mode == "F":
        raise PictureError(name, "holds floating-point values, which have no fixed range. Save it with 8 or 16 bits.")
    if not picture.mode.startswith("I"):
        return picture
    values = np.asarray(picture).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise PictureError(name, "holds 32-bit values, which have no fixed range. Save it with 8 or 16 bits.")
    reduced = Image.fromarray((values >> 8).astype(np.uint8))
    reduced.info, reduced.format = dict(picture.info), picture.format
    if exif := picture.getexif():
        reduced.info["exif"] = exif.tobytes()
    return reduced


def _looks_like_text(stream: io.BytesIO) -> bool:
    head = stream.getvalue()[:512]
    return bool(head) and all(byte in (9, 10, 13) or 32 <= byte < 127 or byte >= 128 for byte in head)

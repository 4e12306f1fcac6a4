"""Picture files through Pillow: opened, turned upright, flattened to RGB, with every fault explained."""

from __future__ import annotations

import codecs
import contextlib
import io
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flawsight.errors import FlawsightError, PictureError
from flawsight.images import formats, png
from flawsight.types import Pixels

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


def file_bytes(path: Path, name: str) -> bytes:
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


def opened(data: bytes, name: str) -> Image.Image:
    from PIL import Image, UnidentifiedImageError

    if not data:
        raise PictureError(name, "the file is empty (0 bytes). Copy it again or delete it.")
    if damage := png.damage(data):  # Pillow overlooks most of it
        raise damaged(name, damage)
    with explained(name):
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
    check_size(*picture.size, name)
    return picture


@contextlib.contextmanager
def explained(name: str) -> Iterator[None]:
    """Whatever a decoder stumbles over, as a PictureError: on damaged files Pillow raises KeyError, struct.error and many more."""
    from PIL import Image

    try:
        yield
    except (FlawsightError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large(name) from None
    except Exception as error:
        raise damaged(name, str(error) or type(error).__name__) from None


def upright(picture: Image.Image, name: str) -> Image.Image:
    """The decoded picture turned by its EXIF orientation, of its own mode."""
    from PIL import Image

    check_size(*picture.size, name)
    if (n := getattr(picture, "n_frames", 1)) > 1 and picture.format != "MPO":
        raise PictureError(name, f"holds {n} frames or pages. Export the one to inspect as a picture of its own.")
    picture.load()
    turn = TURNS.get(orientation(picture))
    return picture.transpose(Image.Transpose[turn]) if turn else picture


def flat(picture: Image.Image) -> Pixels:
    """RGB of a picture of 8 bits a channel, alpha over black."""
    from PIL import Image

    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, (0, 0, 0, 255)), picture)
    if picture.mode == "L":
        grey = np.asarray(picture)
        return np.broadcast_to(grey[:, :, None], (*grey.shape, 3))
    return np.asarray(picture.convert("RGB"))


def damaged(name: str, why: str) -> PictureError:
    return PictureError(name, f"is damaged or cut short ({why}). Copy or save it again.")


def check_size(wide: int, high: int, name: str) -> None:
    if wide * high > MAX_PIXELS:
        raise _too_large(name)


def orientation(picture: Image.Image) -> int:
    """1 to 8; 1 where none is stated or it cannot be read."""
    if picture.format == "TIFF":
        return 1  # Pillow turns these itself, and tells their size turned
    try:
        value = picture.getexif().get(ORIENTATION)
    except Exception:  # of every kind, as in `explained`
        return 1
    return value if isinstance(value, int) and value in TURNS else 1


def _too_large(name: str) -> PictureError:
    limit = f"{MAX_PIXELS / 1e6:.0f} million pixels" if MAX_PIXELS >= 1e6 else f"{MAX_PIXELS} pixels"
    return PictureError(name, f"has more than {limit}, as a decompression bomb would. Crop or reduce it first.")


def _looks_like_text(data: bytes) -> bool:
    with contextlib.suppress(UnicodeDecodeError):
        head = codecs.getincrementaldecoder("utf-8")().decode(data[:512])  # incremental: the last letter may be cut in two
        return all(char.isprintable() or char.isspace() for char in head)
    return False

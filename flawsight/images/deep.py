"""Pictures of more than 8 bits a channel: their values, and the highest eight of the bits in use.

Pillow reads all 16 bits of grey pictures, but only the high byte of colours. It reads the low byte if the byte order of the file is
declared the other way round.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from flawsight.errors import PictureError
from flawsight.images.traits import FEWEST_BITS

if TYPE_CHECKING:
    from PIL import Image

Values = NDArray[np.int64]


def values_of(picture: Image.Image, name: str) -> Values | None:
    """[H,W] of 0 to 65535, if the picture is one of integers of more than 8 bits; what is transparent is 0."""
    if picture.mode == "F":
        raise PictureError(name, "holds floating-point values, which have no fixed range. Save it with 8 or 16 bits.")
    if not picture.mode.startswith("I"):
        return None
    found = np.asarray(picture).astype(np.int64)
    if found.min() < 0 or found.max() > 65535:
        raise PictureError(name, "holds 32-bit values, which have no fixed range. Save it with 8 or 16 bits.")
    found[found == picture.info.get("transparency")] = 0
    return found


def has_deep_colours(picture: Image.Image) -> bool:
    """Whether a picture that is not decoded yet has 16 bits a channel and several channels."""
    return picture.mode in ("RGB", "RGBA") and any(";16" in mode for mode in _read_as(picture))


def swap_bytes(picture: Image.Image, name: str) -> None:
    """Let Pillow give the low bytes of 16-bit colours rather than the high ones: it is told that they come in the other order."""
    from PIL import ImageFile

    assert isinstance(picture, ImageFile.ImageFile)  # it comes from a file
    swapped = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
    tiles = []
    for tile, mode in zip(picture.tile, _read_as(picture), strict=True):
        if not mode.startswith(("RGB;16", "RGBA;16", "RGBX;16")):
            raise PictureError(name, f"holds 16 bits in a way of which fewer cannot be read ({mode}). Save it as grey or RGB.")
        low = mode[:-1] + swapped[mode[-1]]
        tiles.append(tile._replace(args=(low, *tile.args[1:]) if isinstance(tile.args, tuple) else low))
    picture.tile = tiles


def eight_bits(picture: Image.Image, values: Values, name: str, bits: int) -> Image.Image:
    """The picture with 8 bits a channel, the highest of those in use, of its values [H,W] or [H,W,3]; alpha stays."""
    from PIL import Image

    if int(values.max()) >> bits:
        beyond = f"holds values above {(1 << bits) - 1}, the highest of the {bits} bits that its 16-bit file is read as"
        raise PictureError(name, f"{beyond}. Save it as the good pictures were, or fit again with bits=16.")
    levels = (values >> (bits - FEWEST_BITS)).astype(np.uint8)
    if picture.mode == "RGBA":
        levels = np.dstack([levels, np.asarray(picture)[:, :, 3]])
    return Image.fromarray(levels)


def _read_as(picture: Image.Image) -> list[str]:
    """How Pillow will read the bytes of each part of a file's pixels."""
    arguments = [tile.args for tile in getattr(picture, "tile", [])]
    return [str(one[0] if isinstance(one, tuple) else one) for one in arguments]

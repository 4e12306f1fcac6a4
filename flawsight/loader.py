"""Pictures in: what they are called, their pixels, and what is known of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from flawsight import image
from flawsight.errors import PictureError
from flawsight.traits import ALL_BITS, UNKNOWN, Traits
from flawsight.types import Pixels, Sample, name_of

if TYPE_CHECKING:
    from PIL import Image


class Inspection(NamedTuple):
    """What is known of a picture that can be read: size (high, wide) and a sha256 of its pixels; what `keep` and `look` made of it;
    and what it is like apart from what it shows.
    """

    size_hw: tuple[int, int]
    fingerprint: str
    kept: Pixels | None = None
    look: Pixels | None = None
    traits: Traits = UNKNOWN


def named(picture: str | Path | bytes | Pixels | Image.Image | Sample, position: int) -> str:
    """What to call a picture in results and errors: its name or path, or else its position."""
    if isinstance(picture, Sample):
        return picture.name
    if isinstance(picture, str | Path):
        return name_of(picture)
    return name_of(getattr(picture, "filename", "") or f"picture {position}")


def read(picture: str | Path | bytes | Pixels | Image.Image | Sample, position: int, bits: int = ALL_BITS) -> Pixels:
    """Its pixels, uint8 [H,W,3]. bits: see image.read. Raises PictureError with the picture's name."""
    return examine(picture, position, bits)[0]


def examine(
    picture: str | Path | bytes | Pixels | Image.Image | Sample, position: int, bits: int = ALL_BITS
) -> tuple[Pixels, Traits]:
    """The same, and what the picture is like apart from what it shows."""
    source = picture.path if isinstance(picture, Sample) else picture
    return image.examine(source, named(picture, position), bits)


def inspect(
    picture: str | Path | bytes | Pixels | Image.Image | Sample,
    position: int,
    keep: Callable[[Pixels], Pixels | None] | None = None,
    look: Callable[[Pixels], Pixels] | None = None,
    bits: int = ALL_BITS,
) -> Inspection | PictureError:
    """Decode the whole picture to see whether it can be; an error is returned, not raised, so that all can be listed.

    keep: what to keep of its pixels, so that it need not be decoded again. look: a small copy, to find what is alike by. bits: see
    image.read.
    """
    try:
        pixels, traits = examine(picture, position, bits)
    except PictureError as error:
        return error
    kept = keep(pixels) if keep else None
    return Inspection((pixels.shape[0], pixels.shape[1]), fingerprint(pixels), kept, look and look(pixels), traits)


def fingerprint(pixels: Pixels) -> str:
    """sha256 of a picture's size and pixels: equal for two files that show the same."""
    digest = hashlib.sha256(f"{pixels.shape}".encode())
    if image.is_grey(pixels):  # a channel at a time takes a fifth of what numpy's own copy does
        whole = np.empty(pixels.shape, np.uint8)
        for channel in range(3):
            whole[:, :, channel] = pixels[:, :, 0]
        pixels = whole
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()

"""Pictures in: what they are called, their pixels, and what is known of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from flawsight import image
from flawsight.errors import PictureError
from flawsight.types import Pixels, Sample, name_of

if TYPE_CHECKING:
    from PIL import Image


class Inspection(NamedTuple):
    """What is known of a picture that can be read: size (high, wide) and a sha256 of its pixels; and what `keep` and `look` made of
    it.
    """

    size_hw: tuple[int, int]
    fingerprint: str
    kept: Pixels | None = None
    look: Pixels | None = None


def named(picture: str | Path | bytes | Pixels | Image.Image | Sample, position: int) -> str:
    """What to call a picture in results and errors: its name or path, or else its position."""
    if isinstance(picture, Sample):
        return picture.name
    if isinstance(picture, str | Path):
        return name_of(picture)
    return name_of(getattr(picture, "filename", "") or f"picture {position}")


def read(picture: str | Path | bytes | Pixels | Image.Image | Sample, position: int) -> Pixels:
    """Its pixels, uint8 [H,W,3]. Raises PictureError with the picture's name."""
    source = picture.path if isinstance(picture, Sample) else picture
    return image.read(source, named(picture, position))


def inspect(
    picture: str | Path | bytes | Pixels | Image.Image | Sample,
    position: int,
    keep: Callable[[Pixels], Pixels | None] | None = None,
    look: Callable[[Pixels], Pixels] | None = None,
) -> Inspection | PictureError:
    """Decode the whole picture to see whether it can be; an error is returned, not raised, so that all can be listed.

    keep: what to keep of its pixels, so that it need not be decoded again. look: a small copy, to find what is alike by.
    """
    try:
        pixels = read(picture, position)
    except PictureError as error:
        return error
    return Inspection(
        (pixels.shape[0], pixels.shape[1]), fingerprint(pixels), keep(pixels) if keep else None, look and look(pixels)
    )


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

"""Masks of true defects, from the files that hold them to bool [H,W]."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from flawsight.errors import PictureError
from flawsight.images import classes, decoding, deep, formats, image, outlines
from flawsight.types import Mask, MaskFiles, Outlines, mask_files, name_of


def read(files: MaskFiles) -> Mask:
    """Bool [H,W], True where any of the files shows a defect, turned upright as its picture would be. Raises PictureError.

    Every class but the background is one, see `classes.marked`. In palette pictures, any colour but black; any index but 0 where
    none or all is black.
    """
    if isinstance(files, Outlines):
        return outlines.draw(files)
    first, *more = mask_files(files)
    mask = _read(first)
    for path in more:
        other = _read(path)
        if other.shape != mask.shape:
            raise PictureError(name_of(path), f"differs in size from {first.name}, a mask of the same picture. Mend the wrong one.")
        mask = mask | other
    return mask


def sizes_hw(mask: MaskFiles | None) -> dict[Path, tuple[int, int]]:
    """File → (high, wide) of each that a picture's mask is in. Raises PictureError."""
    if isinstance(mask, Outlines):
        return {mask.file: mask.size_hw}
    return {file: image.size_hw(file) for file in mask_files(mask)}


def is_drawn_in_alpha(path: Path) -> bool:
    """Whether all colours of a picture are black and only its transparency differs. Raises PictureError."""
    name = name_of(path)
    with decoding.opened(decoding.file_bytes(path, name), name) as opened, decoding.explained(name):
        picture = decoding.upright(opened, name)
        if picture.mode not in ("RGBA", "LA", "PA") and "transparency" not in picture.info:
            return False
        values = np.asarray(picture.convert("RGBA"))
        return bool(not values[:, :, :3].any() and np.ptp(values[:, :, 3]))


def largest_value(path: Path) -> int:
    """The largest value in a mask file, which may tell what kind of defect it shows. Raises PictureError."""
    name = name_of(path)
    with decoding.opened(decoding.file_bytes(path, name), name) as opened, decoding.explained(name):
        picture = decoding.upright(opened, name)
        values = deep.values_of(picture, name)
        return int((np.asarray(picture) if picture.mode == "P" else decoding.flat(picture) if values is None else values).max())


def _read(path: Path) -> Mask:
    name = name_of(path)
    with decoding.opened(decoding.file_bytes(path, name), name) as opened, decoding.explained(name):
        picture = decoding.upright(opened, name)
        if picture.mode == "P":
            lit: Mask = decoding.flat(picture).max(axis=2) > 0
            index: Mask = np.asarray(picture) > 0
            return lit if lit.any() and not lit.all() else index
        values = deep.values_of(picture, name)
        return classes.marked(decoding.flat(picture) if values is None else values, opened.format in formats.LOSSY)

"""Small squares cut out of pictures at random and brought to one size, as pictures of their own for a network to learn from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flawsight.errors import DataError
from flawsight.images import image
from flawsight.parts import resample
from flawsight.types import Float, Pixels

GREY = 0.1  # share of crops that lose their colour
LUMA = np.array([0.299, 0.587, 0.114], np.float32)

Crops = NDArray[np.uint8]  # [n,3,side,side]


def from_pictures(
    pictures: Sequence[Float], n: int, side: int, shares: tuple[float, float], rng: np.random.Generator
) -> Iterator[Crops]:
    """n crops, some from each picture float32 [3,h,w], values 0 to 1, or one each from so many drawn at random.

    shares: of a picture's shorter side that a crop shows, at least and at most.
    """
    for number, n_here in _dealt(len(pictures), n, rng):
        yield _of(pictures[number], n_here, side, shares, rng)


def from_folder(folder: Path, n: int, side: int, shares: tuple[float, float], rng: np.random.Generator) -> Iterator[Crops]:
    """The same from the pictures in a folder, see pictures_in. Raises DataError where there are none, PictureError."""
    files = pictures_in(folder)
    for number, n_here in _dealt(len(files), n, rng):
        yield _of(_as_float(image.read(files[number])), n_here, side, shares, rng)


def pictures_in(folder: Path) -> list[Path]:
    """The pictures in a folder and all folders in it, in order. Raises DataError where there are none."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in image.EXTENSIONS)
    if not files:
        message = "there are no pictures in it" if folder.is_dir() else "it is a file" if folder.exists() else "there is none"
        raise DataError(f"{folder}: a folder of pictures was needed to cut crops from; {message}. Name another as teacher_data.")
    return files


def _dealt(n_pictures: int, n: int, rng: np.random.Generator) -> Iterator[tuple[int, int]]:
    """Numbers of pictures in an order drawn at random, and how many crops each gives: n in all, as evenly as can be."""
    order = rng.permutation(n_pictures)[:n]
    for place, number in enumerate(order.tolist()):
        yield number, n * (place + 1) // len(order) - n * place // len(order)


def _as_float(pixels: Pixels) -> Float:
    return np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32) / np.float32(255)


def _of(picture: Float, n: int, side: int, shares: tuple[float, float], rng: np.random.Generator) -> Crops:
    high, wide = picture.shape[1:]
    crops = np.empty((n, 3, side, side), np.uint8)
    for crop in crops:
        seen = max(2, round(rng.uniform(*shares) * min(high, wide)))
        top, left = (int(rng.integers(length - seen + 1)) for length in (high, wide))
        cut = resample.to_square(np.ascontiguousarray(picture[:, top : top + seen, left : left + seen]), side)
        if rng.random() < GREY:
            cut = np.broadcast_to(np.tensordot(LUMA, cut, 1), cut.shape)
        crop[:] = np.rint(cut.clip(0, 1) * 255)
    return crops

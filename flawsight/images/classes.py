"""Which values of a mask mark a defect: every class but the background; values between only where they are not an edge's.

Masks come as 0 and 255, as 0 and 1, as numbers or colours of several classes, and with edges softened by a drawing program or by
JPEG, where half of what lies beside is the boundary. Which of these one is shows in the values and where they lie.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flawsight.types import Mask, Pixels

NUMBERS = 31  # a mask without higher values holds numbers of classes, never softened edges
FEW, APART = 24, 8  # values of a mask, and what lies between each and the next, where each may be a class; JPEG's lie closer
FAINT = 32  # of 255: what JPEG may leave beside a defect
NEARLY = 0.75  # of the highest value: what is brighter belongs to it, were it an edge or not
EVEN = 2  # what the values of one class differ by in JPEG
PLATEAU = 9, 0.05  # pixels, and share of all that are not faint, that make a class where there are many values
BINARY = 12, 0.98  # of 255: how far from black or white; share of a picture's pixels that are no farther


def marked(values: NDArray[np.int64] | Pixels, lossy: bool = False) -> Mask:
    """Bool [H,W], True where a mask of 8 or 16 bits, [H,W] or RGB [H,W,3], marks a defect. lossy: values are not as drawn.

    The background is black; in a mask without any black, the most common value. Where the values between background and highest
    are only found on the way from one to the other, they are an edge, and half is the boundary. Every other value is a class.
    """
    height = _above_background(values)
    levels, place = np.unique(height, return_inverse=True)
    top = int(levels[-1])
    if top == 0:  # one colour all over
        return np.full(height.shape, bool(values.any()))
    if len(levels) == 2 or top <= NUMBERS:
        return height > 0
    low, high = _around(height)
    on_the_way, middle = (low < height) & (height < high), (height > 0) & (height < NEARLY * top)
    if len(levels) <= FEW and np.diff(levels).min() >= APART:
        share = np.bincount(place.ravel(), on_the_way.ravel()) / np.bincount(place.ravel())
        lowest = int(levels[1:][share[1:] < 0.5].min(initial=top))
    elif not lossy and (high - low).max() > top / 4 and np.count_nonzero(on_the_way & middle) < np.count_nonzero(middle) / 2:
        lowest = int(height[(height > 0) & (low == high)].min(initial=top))
    else:
        lowest = _lowest_plateau(height, high - low, top)
    return height > lowest / 2


def hardly_any_levels(pixels: Pixels) -> bool:
    """Whether a picture [H,W,3] has so few colours, or so little between black and white, as a mask has and no photograph."""
    step = max(1, min(pixels.shape[:2]) // 512)
    some = pixels[::step, ::step].astype(np.int64)
    if len(np.unique(some @ [1 << 16, 1 << 8, 1])) <= FEW:
        return True
    margin, share = BINARY
    black, white = some.max(axis=2) <= margin, some.min(axis=2) >= 255 - margin
    return bool((black | white).mean() >= share)


def _above_background(values: NDArray[np.int64] | Pixels) -> NDArray[np.int64]:
    """How far each pixel is from the background, [H,W]."""
    colours = values.astype(np.int64).reshape(*values.shape[:2], -1)
    brightest: NDArray[np.int64] = colours.max(axis=2)
    if not brightest.all():
        return brightest
    different, counts = np.unique(colours.reshape(-1, colours.shape[2]), axis=0, return_counts=True)
    distance: NDArray[np.int64] = np.abs(colours - different[counts.argmax()]).max(axis=2)
    return distance


def _around(height: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The lowest and the highest value among each pixel and its eight neighbours."""
    from scipy.ndimage import maximum_filter, minimum_filter

    return minimum_filter(height, 3, mode="nearest"), maximum_filter(height, 3, mode="nearest")


def _lowest_plateau(height: NDArray[np.int64], spread: NDArray[np.int64], top: int) -> int:
    """The lowest value that is nearly the same over an area, or else the highest of all."""
    scale = 1 if top < 256 else 257  # of what 255 is the highest
    visible = height > FAINT * scale
    even = np.bincount(height[visible & (spread <= EVEN * scale)] // scale, minlength=top // scale + 1)
    together = np.convolve(even, np.ones(2 * EVEN + 1, np.int64), "same")
    least, share = PLATEAU
    found = np.flatnonzero(together >= max(least, share * np.count_nonzero(visible)))
    return int(found[0] + EVEN) * scale if len(found) else top

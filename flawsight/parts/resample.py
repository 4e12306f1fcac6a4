"""Pooling, resizing and blurring of grids as matrices.

Each of these is linear and acts on rows and columns alike, so on a map X it is A X Bᵀ with one small matrix for each side, and
doing one after another is multiplying the matrices first. All are built once per size and kept.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from flawsight.parts import graphs
from flawsight.types import Float

TRUNCATE = 4.0  # standard deviations at which the Gaussian is cut, as scipy.ndimage does


def apply(maps: Float, high: Float, wide: Float) -> Float:
    """Maps [...,h,w] under the matrices high [H,h] and wide [W,w]: float32 [...,H,W]."""
    flat = np.ascontiguousarray(maps.reshape(-1, *maps.shape[-2:]), np.float32)
    resampled: Float = graphs.run("both_sides", {"maps": flat, "left": high, "right": np.ascontiguousarray(wide.T)})
    return resampled.reshape(*maps.shape[:-2], *resampled.shape[1:])


@lru_cache(maxsize=64)
def box(n: int, kernel: int) -> Float:
    """Mean over `kernel` neighbours (odd), float32 [n,n]; neighbours beyond the border count as zero, as in the paper's code."""
    offsets = np.abs(np.arange(n)[:, None] - np.arange(n))
    return _frozen((offsets <= kernel // 2) / kernel)


@lru_cache(maxsize=64)
def bilinear(n: int, size: int) -> Float:
    """Linear interpolation from n to `size` cells, float32 [size,n]; cell centres are aligned (align_corners=False)."""
    at = np.clip((np.arange(size) + 0.5) * n / size - 0.5, 0, n - 1)
    left = np.minimum(at.astype(int), max(n - 2, 0))
    matrix = np.zeros((size, n))
    matrix[np.arange(size), left] = 1 - (at - left)
    if n > 1:
        matrix[np.arange(size), left + 1] += at - left
    return _frozen(matrix)


@lru_cache(maxsize=64)
def antialiased(n: int, size: int) -> Float:
    """Resizing from n to `size` pixels as Pillow's "bilinear" does: where it shrinks, each is a weighted mean of all under it.

    float32 [size,n].
    """
    reach = max(1.0, n / size)
    at = (np.arange(size)[:, None] + 0.5) * n / size - 0.5
    weights = np.clip(1 - np.abs(np.arange(n) - at) / reach, 0, None)
    return _frozen(weights / weights.sum(1, keepdims=True))


def to_square(image: Float, side: int) -> Float:
    """A picture [C,h,w] brought to [C,side,side], its aspect ratio given up; as it is where it has that size."""
    high, wide = image.shape[1:]
    return image if high == wide == side else apply(image, antialiased(high, side), antialiased(wide, side))


@lru_cache(maxsize=64)
def gaussian(n: int, sigma: float, truncate: float = TRUNCATE) -> Float:
    """Gaussian blur, float32 [n,n], mirrored at the borders (the border cell twice); equals scipy.ndimage.gaussian_filter1d."""
    if sigma <= 0:
        return _frozen(np.eye(n))
    reach = int(truncate * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights /= weights.sum()
    at = (np.arange(n)[:, None] + np.arange(-reach, reach + 1)) % (2 * n)
    matrix = np.zeros((n, n))
    np.add.at(matrix, (np.arange(n)[:, None], np.where(at < n, at, 2 * n - 1 - at)), weights)
    return _frozen(matrix)


@lru_cache(maxsize=64)
def spread(n: int, side: int, step: int, size: int) -> Float:
    """From n windows of this side, one in `step` cells, to the mean over the windows that cover a cell: float32 [size,n].

    Cells beyond the last window count as its own.
    """
    first = np.arange(n) * step
    at = np.minimum(np.arange(size), first[-1] + side - 1)[:, None]
    covers = (first <= at) & (at < first + side)
    return _frozen(covers / covers.sum(1, keepdims=True))


@lru_cache(maxsize=64)
def enlarge_and_blur(n: int, size: int, sigma: float) -> Float:
    """Linear interpolation from n to `size` cells, then a Gaussian blur of `sigma` cells: float32 [size,n]."""
    return _frozen(gaussian(size, sigma).astype(np.float64) @ bilinear(n, size))


@lru_cache(maxsize=64)
def pool_and_align(n: int, kernel: int, size: int) -> Float:
    """Mean over `kernel` neighbours, then linear interpolation to `size` cells: float32 [size,n]."""
    return _frozen(bilinear(n, size).astype(np.float64) @ box(n, kernel))


def _frozen(matrix: NDArray[np.floating]) -> Float:
    frozen = matrix.astype(np.float32)
    frozen.flags.writeable = False  # it is shared by all callers
    return frozen

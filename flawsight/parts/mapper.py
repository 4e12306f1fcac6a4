"""Descriptors of patches from a network's levels: these one after another, or all averaged as in the paper's code.

The code unfolds the p × p patch around each cell of a level into C·p² numbers (by channel, row and column; zeros beyond the
border), enlarges the map of each of them to the first level's grid, averages what a cell has of a level in `level_dims` windows,
and what it then has of all levels in `target_dims` windows. All this is linear. Enlarging acts on rows and columns, averaging on
channels and taps (places in the patch), so averaging may come first; and the two averages are one sparse matrix. What all taps
of a channel weigh alike is a box mean, `resample`'s; only what single taps weigh beyond that is left to be summed tap by tap.

With 512 and 1024 channels, p = 3 and 1024 windows each time, the first level's channels become half of the dimensions, 0.1 of each
tap and 0.2 of the middle one; pairs of the second level's channels the other half, and no tap differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from flawsight.parts import graphs, resample
from flawsight.types import Float

if TYPE_CHECKING:
    from scipy.sparse import csr_array

ROUNDING = 1e-12  # weights below it are none


@dataclass(frozen=True)
class _LevelMap:
    """What a level adds to which dimensions.

    dims: first and one past the last. even: sparse float32 [dims,C], on the means of patches. taps: rows and columns by which a
    tap lies off the middle, and sparse float32 [dims,C], what it weighs beyond that.
    """

    dims: slice
    even: csr_array
    taps: list[tuple[int, int, csr_array]]


def concatenated(maps: Sequence[Float], kernel: int) -> Float:
    """Each level pooled over kernel² cells, enlarged to the first one's grid and appended: float32 [B,D,h,w]. maps: see apply."""
    return np.concatenate([_aligned(level, kernel, maps[0].shape[2:]) for level in maps], 1)


def projected(maps: Sequence[Float], kernel: int, axes: Float) -> Float:
    """What `concatenated` gives, along axes [D,K]: float32 [B,K,h,w]. All this is linear, so each level is projected as it is,
    which is the less work the coarser it is, and then enlarged.
    """
    found, start = np.zeros(1, np.float32), 0
    for level in maps:
        batch, channels, high, wide = level.shape
        weights = np.ascontiguousarray(axes[start : start + channels].T)
        along = graphs.run("mixed", {"weights": weights, "maps": level.reshape(batch, channels, -1)})
        found = found + _aligned(along.reshape(batch, -1, high, wide), kernel, maps[0].shape[2:])
        start += channels
    return found


def _aligned(level: Float, kernel: int, grid: tuple[int, ...]) -> Float:
    """A level's maps [B,C,h,w], pooled over kernel² cells and brought to the grid: float32 [B,C,*grid]."""
    sides = (resample.pool_and_align(n, kernel, size) for n, size in zip(level.shape[2:], grid, strict=True))
    return resample.apply(level, *sides)


def apply(maps: Sequence[Float], kernel: int, level_dims: int, target_dims: int) -> Float:
    """Descriptors on the first level's grid, float32 [B,target_dims,h,w], of the levels' maps float32 [B,C,h,w] of each.

    kernel: p, odd.
    """
    batch, _, high, wide = maps[0].shape
    channels = tuple(level.shape[1] for level in maps)
    descriptors: Float = np.zeros((batch, target_dims, high, wide), np.float32)
    for level, level_map in zip(maps, level_maps(channels, kernel, level_dims, target_dims), strict=True):
        for one, of_one in zip(level, descriptors, strict=True):
            of_one[level_map.dims] += _apply_one(one, level_map, kernel, (high, wide))
    return descriptors


def _apply_one(level: Float, level_map: _LevelMap, kernel: int, grid: tuple[int, int]) -> Float:
    """What one picture's level [C,h,w] adds to its dimensions, on that grid: float32 [dims,*grid]."""
    high, wide = level.shape[1:]
    flat = level.reshape(len(level), -1)
    mixed: Float = (level_map.even @ flat).reshape(-1, high, wide)
    if not level_map.taps:
        return resample.apply(mixed, resample.pool_and_align(high, kernel, grid[0]), resample.pool_and_align(wide, kernel, grid[1]))
    if level_map.even.nnz:
        mixed = resample.apply(mixed, resample.box(high, kernel), resample.box(wide, kernel))
    for down, right, weights in level_map.taps:
        _add_shifted(mixed, (weights @ flat).reshape(-1, high, wide), down, right)
    if grid == (high, wide):
        return mixed
    return resample.apply(mixed, resample.bilinear(high, grid[0]), resample.bilinear(wide, grid[1]))


def _add_shifted(total: Float, maps: Float, down: int, right: int) -> None:
    """Add to each cell of total [K,h,w] that cell of maps [K,h,w] which lies so far down and right of it, where there is one."""
    high, wide = total.shape[1:]
    (top, bottom), (left, end) = ((max(0, -by), n - max(0, by)) for by, n in ((down, high), (right, wide)))
    if top < bottom and left < end:
        total[:, top:bottom, left:end] += maps[:, top + down : bottom + down, left + right : end + right]


@lru_cache(maxsize=16)
def level_maps(channels: tuple[int, ...], kernel: int, level_dims: int, target_dims: int) -> tuple[_LevelMap, ...]:
    """How each level, of so many channels, becomes part of the descriptor."""
    joined = _windows(len(channels) * level_dims, target_dims).tocsc()
    return tuple(
        _split((joined[:, i * level_dims : (i + 1) * level_dims] @ _windows(c * kernel**2, level_dims)).tocsr(), c, kernel)
        for i, c in enumerate(channels)
    )


def _windows(n: int, out: int) -> csr_array:
    """One-dimensional adaptive average pooling, sparse float64 [out,n]: window i is from ⌊i·n/out⌋ to ⌈(i+1)·n/out⌉."""
    from scipy.sparse import csr_array  # slow to import, and few presets need it

    i = np.arange(out)
    starts, ends = i * n // out, -(-(i + 1) * n // out)
    lengths = ends - starts
    first = np.cumsum(lengths) - lengths
    columns = np.arange(lengths.sum()) + np.repeat(starts - first, lengths)
    return csr_array((np.repeat(1 / lengths, lengths), columns, np.append(first, lengths.sum())), shape=(out, n))


def _split(weights: csr_array, channels: int, kernel: int) -> _LevelMap:
    """A level's weights [target_dims,C·p²], as what all taps of a channel share and what is left of each tap."""
    found = weights.tocoo()
    row, (channel, tap) = found.row.astype(np.int64), np.divmod(found.col.astype(np.int64), kernel**2)
    dims = slice(int(row.min()), int(row.max()) + 1)
    n = dims.stop - dims.start
    pair, at, count = np.unique((row - dims.start) * channels + channel, return_inverse=True, return_counts=True)
    shared = np.full(len(pair), np.inf)
    np.minimum.at(shared, at, found.data)
    shared[count < kernel**2] = 0  # a tap that is not there weighs nothing
    beyond = found.data - shared[at]
    taps = []
    for t in np.unique(tap[beyond > ROUNDING]):
        own = (tap == t) & (beyond > ROUNDING)
        down, right = divmod(int(t), kernel)
        taps.append((down - kernel // 2, right - kernel // 2, _sparse(beyond[own], pair[at[own]], n, channels)))
    # times p²: that many taps are in a mean
    return _LevelMap(dims, _sparse(shared * kernel**2, pair, n, channels), taps)


def _sparse(values: NDArray[np.float64], places: NDArray[np.int64], rows: int, columns: int) -> csr_array:
    """Sparse float32 [rows,columns], holding the values that are not 0 at places counted along its rows."""
    from scipy.sparse import csr_array

    kept = values > 0
    row, column = np.divmod(places[kept], columns)
    return csr_array((values[kept].astype(np.float32), (row, column)), shape=(rows, columns))

"""Exact nearest neighbours in a bank of vectors.

The nearest row b of a query q maximises the closeness q·b − ‖b‖²/2, a matrix product and a maximum. For more than one neighbour
that is all, by numpy, a block at a time. For one neighbour, the common case, most of the product is left out:

- Rows that lie together are kept together, in groups, by halving the bank along its widest axis again and again.
- Sketches, coarse copies of all rows, bound the closeness of a query to the rows of each group at a fraction of the cost
  (`parts/sketches.py`).
- The group with the highest bound is looked through, which gives each query a good candidate; then those groups whose bound
  exceeds it. On patches of real pictures these are a few in a hundred. Where the bounds say little all groups are looked through,
  and the sketches were in vain: a third more work at most.

The expanded form loses digits where vectors are long and differ little, so rows and queries count from the bank's mean; and
where a query nearly equals a row, so the distances returned are computed once more from the differences: only the choice of the
row uses the product.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flawsight.errors import DataError
from flawsight.parts import graphs
from flawsight.parts.sketches import BLOCK_ROWS, GROUP, Sketches
from flawsight.types import Float

FEW_GROUPS = 4  # so few are all looked through
SKETCH_SHARE, SKETCH_DIMS = 2 / 3, (15, 255)  # of the dimensions, but at least and at most so many
SAMPLE_ROWS = 4096  # from which the axes are found
SLACK = np.float32(1e-5)  # of the lengths' product: far above what rounding adds to a closeness

Index = NDArray[np.int64]


@dataclass(frozen=True)
class _Rows:
    """The bank as one neighbour is looked for in it, padded to whole groups and counted from its mean.

    rows: float32 [N,D]. bias: −‖b‖²/2, float32 [N]; −inf for padding. index: of each among the bank's own, int64 [N], rising within
    a group. sketches: None where they would not pay.
    """

    rows: Float
    bias: Float
    index: Index
    sketches: Sketches | None


class Bank:
    """Vectors that answer `nearest`. Takes nearly three times their memory.

    rows: float32 [M,D], M ≥ 1. Two banks merge by asking both, offsetting the second's indices and keeping the smaller distances.
    """

    def __init__(self, rows: Float) -> None:
        if rows.ndim != 2 or not len(rows):
            raise DataError(f"neighbours: a bank needs rows [M,D] with M ≥ 1; got {list(rows.shape)}.")
        self.rows = np.ascontiguousarray(rows, np.float32)
        self._mean: Float = self.rows.mean(0, dtype=np.float64).astype(np.float32)
        self._grouped = _grouped(self.rows - self._mean)
        self._longest = np.sqrt(-2 * self._grouped.bias[np.isfinite(self._grouped.bias)].min())

    def __len__(self) -> int:
        return len(self.rows)

    def nearest(self, queries: Float, k: int = 1, exclude: NDArray[np.bool_] | None = None) -> tuple[Float, Index]:
        """Squared distances float32 [Q,k] in rising order and row indices int64 [Q,k].

        exclude: bool [M], rows that may not be found. Equal distances: the lower index first, so far as float32 holds them.
        Raises DataError if fewer than k rows remain.
        """
        bias, available = self._grouped.bias, len(self)
        if exclude is not None:
            available = int(np.count_nonzero(~exclude))
            bias = np.where(exclude[self._grouped.index], np.float32(-np.inf), bias)
        if k > available:
            raise DataError(f"neighbours: {k} neighbours asked of {available} rows. Ask for fewer or keep a larger bank.")
        queries = np.ascontiguousarray(queries, np.float32)
        if not len(queries):
            return np.empty((0, k), np.float32), np.empty((0, k), np.int64)
        centred = queries - self._mean
        index = self._closest(centred, bias) if k == 1 else self._k_closest(centred, bias, k)
        distance = _squared_distances(queries, self.rows, index)
        rising = np.lexsort((index, distance), axis=1)
        return np.take_along_axis(distance, rising, 1), np.take_along_axis(index, rising, 1)

    def _closest(self, queries: Float, bias: Float) -> Index:
        """The closest row of each centred query: [Q,1]."""
        bounds = self._bounds(queries, bias)
        best, index = np.full(len(queries), -np.inf, np.float32), np.zeros(len(queries), np.int64)
        first = bounds.argmax(1)
        self._look_through(first[:, None] == np.arange(bounds.shape[1]), queries, bias, best, index)
        slack = SLACK * self._longest * (np.sqrt(np.einsum("qd,qd->q", queries, queries)) + self._longest)
        promising = bounds >= (best - slack)[:, None]
        promising[np.arange(len(queries)), first] = False
        self._look_through(promising, queries, bias, best, index)
        return index[:, None]

    def _bounds(self, queries: Float, bias: Float) -> Float:
        """The highest closeness that each group may hold: [Q,N/GROUP]."""
        if self._grouped.sketches:
            return self._grouped.sketches.bounds(queries, bias)
        shut = np.isneginf(bias.reshape(-1, GROUP).max(1))
        return np.repeat(np.where(shut, np.float32(-np.inf), np.float32(np.inf))[None], len(queries), 0)

    def _look_through(self, wanted: NDArray[np.bool_], queries: Float, bias: Float, best: Float, index: Index) -> None:
        """Take over closer rows from the groups wanted of each query, bool [Q,N/GROUP]; best, index: [Q], changed in place."""
        groups, members = np.nonzero(wanted.T)
        chosen, closeness, at = queries[members], np.empty(len(members), np.float32), np.empty(len(members), np.int64)
        first, starts = np.unique(groups, return_index=True)
        for group, start, end in zip(first, starts, np.append(starts, len(groups))[1:], strict=True):
            part, rows = slice(start, end), slice(group * GROUP, (group + 1) * GROUP)
            inputs = {"queries": chosen[part], "rows": self._grouped.rows[rows], "bias": bias[rows]}
            at[part], closeness[part] = graphs.run_all("closest", inputs)
        at = self._grouped.index[groups * GROUP + at]
        order = np.lexsort((at, -closeness, members))
        found, places = np.unique(members[order], return_index=True)
        at, closeness = at[order][places], closeness[order][places]
        closer = (closeness > best[found]) | ((closeness == best[found]) & (at < index[found]))
        best[found[closer]], index[found[closer]] = closeness[closer], at[closer]

    def _k_closest(self, queries: Float, bias: Float, k: int) -> Index:
        """The k closest rows of each centred query, not in order: [Q,k]."""
        every, grouped = np.arange(len(queries)), self._grouped
        best, index = np.full((len(queries), k), -np.inf, np.float32), np.full((len(queries), k), len(bias))
        for block in _blocks(len(bias)):
            closeness = queries @ grouped.rows[block].T
            closeness += bias[block]
            for _ in range(min(k, closeness.shape[1])):
                at = closeness.argmax(1)
                best = np.append(best, closeness[every, at][:, None], 1)
                index = np.append(index, grouped.index[block][at][:, None], 1)
                closeness[every, at] = -np.inf
            keep = np.lexsort((index, -best), axis=1)[:, :k]
            best, index = np.take_along_axis(best, keep, 1), np.take_along_axis(index, keep, 1)
        return index


def _grouped(centred: Float) -> _Rows:
    n, dims = centred.shape
    n_groups = -(-n // GROUP)
    axes, index = None, np.arange(n)
    if n_groups > FEW_GROUPS and dims > SKETCH_DIMS[0]:
        axes = _principal_axes(centred, int(np.clip(SKETCH_SHARE * dims, *SKETCH_DIMS)))
        index = np.concatenate([np.sort(part) for part in _halved(centred @ axes, index)])
    index = np.append(index, np.zeros(n_groups * GROUP - n, np.int64))
    rows = centred[index]
    bias: Float = -0.5 * np.einsum("nd,nd->n", rows, rows)
    bias[n:] = -np.inf
    return _Rows(rows, bias, index, None if axes is None else Sketches(rows, axes))


def _principal_axes(centred: Float, n: int) -> Float:
    """The n directions in which the rows differ most, found on a sample of them: orthonormal columns, float32 [D,n]."""
    from scipy.linalg import eigh

    sample = centred[:: -(-len(centred) // SAMPLE_ROWS)]
    dims = centred.shape[1]
    _, axes = eigh(sample.T @ sample, subset_by_index=(dims - n, dims - 1))
    return np.ascontiguousarray(axes[:, ::-1], np.float32)


def _halved(points: Float, index: Index) -> list[Index]:
    """Groups of points that lie together, each of GROUP but the last: halves along the widest coordinate, again and again."""
    if len(index) <= GROUP:
        return [index]
    here = points[index]
    order = np.argsort(here[:, here.var(0).argmax()], kind="stable")
    middle = -(-len(index) // GROUP) // 2 * GROUP
    return [*_halved(points, index[order[:middle]]), *_halved(points, index[order[middle:]])]


def _blocks(n: int) -> Iterator[slice]:
    for start in range(0, n, BLOCK_ROWS):
        yield slice(start, start + BLOCK_ROWS)


def _squared_distances(queries: Float, rows: Float, index: Index) -> Float:
    """‖q − b‖² of each query to its chosen rows, from the differences: float32 [Q,k]."""
    out = np.empty(index.shape, np.float32)
    for column in range(index.shape[1]):
        difference = queries - rows[index[:, column]]
        out[:, column] = np.einsum("qd,qd->q", difference, difference)
    return out

"""Exact nearest neighbours in a bank of vectors, by blocked matrix products.

The nearest row b of a query q maximises q·b − ‖b‖²/2, a matrix product and a running maximum. One block of the product exists
at a time, so memory stays flat however large the bank. For one neighbour, the common case, product and maximum are one small
graph: the product is reduced to the maximum of each group of rows while it is in the cache, and only the group that holds a
query's best row is looked through. For more neighbours numpy does it; tests hold both to the full matrix.

The expanded form loses digits where vectors are long and differ little, so rows and queries count from the bank's mean; and
where a query nearly equals a row, so the distances returned are computed once more from the differences: only the choice of the
row uses the product.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flawsight.errors import DataError
from flawsight.parts import graphs
from flawsight.types import Float

GROUP = 256  # rows, as built into the graph of maxima
BLOCK_ROWS = 8 * GROUP  # of the bank: with one picture's queries a block of the product stays near the outer cache

Index = NDArray[np.int64]


class Bank:
    """Vectors that answer `nearest`. Takes twice their memory.

    rows: float32 [M,D], M ≥ 1. Two banks merge by asking both, offsetting the second's indices and keeping the smaller distances.
    """

    def __init__(self, rows: Float) -> None:
        if rows.ndim != 2 or not len(rows):
            raise DataError(f"neighbours: a bank needs rows [M,D] with M ≥ 1; got {list(rows.shape)}.")
        self.rows = np.ascontiguousarray(rows, np.float32)
        self._mean: Float = self.rows.mean(0, dtype=np.float64).astype(np.float32)
        n_padded = -(-len(rows) // GROUP) * GROUP
        self._centred = np.zeros((n_padded, rows.shape[1]), np.float32)
        np.subtract(self.rows, self._mean, out=self._centred[: len(rows)])
        self._bias = np.full(n_padded, -np.inf, np.float32)  # −‖b‖²/2; no padding is ever nearest
        self._bias[: len(rows)] = -0.5 * np.einsum("md,md->m", self._centred, self._centred)[: len(rows)]

    def __len__(self) -> int:
        return len(self.rows)

    def nearest(self, queries: Float, k: int = 1, exclude: NDArray[np.bool_] | None = None) -> tuple[Float, Index]:
        """Squared distances float32 [Q,k] in rising order and row indices int64 [Q,k].

        exclude: bool [M], rows that may not be found. Equal distances: the lower index first, so far as float32 holds them.
        Raises DataError if fewer than k rows remain.
        """
        bias, available = self._bias, len(self)
        if exclude is not None:
            bias, available = bias.copy(), int(np.count_nonzero(~exclude))
            bias[: len(self)][exclude] = -np.inf
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

        def ask(graph: str, members: Float, rows: slice) -> NDArray[Any]:
            return graphs.run(graph, {"queries": members, "rows": self._centred[rows], "bias": bias[rows]})

        maxima = [ask("block_maxima", queries, block) for block in self._blocks()]
        group = np.concatenate(maxima, 1).argmax(1)
        order = np.argsort(group, kind="stable")
        groups, starts = np.unique(group[order], return_index=True)
        index = np.empty((len(queries), 1), np.int64)
        for number, members in zip(groups, np.split(order, starts[1:]), strict=True):
            rows = slice(number * GROUP, (number + 1) * GROUP)
            index[members, 0] = ask("closest", queries[members], rows) + rows.start
        return index

    def _k_closest(self, queries: Float, bias: Float, k: int) -> Index:
        """The k closest rows of each centred query, not in order: [Q,k]."""
        every = np.arange(len(queries))
        best, index = np.full((len(queries), k), -np.inf, np.float32), np.zeros((len(queries), k), np.int64)
        for block in self._blocks():
            closeness = queries @ self._centred[block].T
            closeness += bias[block]
            for _ in range(min(k, closeness.shape[1])):
                at = closeness.argmax(1)
                best = np.append(best, closeness[every, at][:, None], 1)
                index = np.append(index, at[:, None] + block.start, 1)
                closeness[every, at] = -np.inf
            keep = np.argsort(-best, axis=1, kind="stable")[:, :k]
            best, index = np.take_along_axis(best, keep, 1), np.take_along_axis(index, keep, 1)
        return index

    def _blocks(self) -> Iterator[slice]:
        for start in range(0, len(self._centred), BLOCK_ROWS):
            yield slice(start, start + BLOCK_ROWS)


def _squared_distances(queries: Float, rows: Float, index: Index) -> Float:
    """‖q − b‖² of each query to its chosen rows, from the differences: float32 [Q,k]."""
    out = np.empty(index.shape, np.float32)
    for column in range(index.shape[1]):
        difference = queries - rows[index[:, column]]
        out[:, column] = np.einsum("qd,qd->q", difference, difference)
    return out

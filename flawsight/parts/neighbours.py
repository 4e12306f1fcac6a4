"""Exact nearest neighbours in a bank of vectors, by blocked matrix products.

The nearest row b of a query q maximises q·b − ‖b‖²/2, a matrix product and a running maximum. One block of the product exists
at a time, so memory stays flat however large the bank. The expanded form loses digits where a query nearly equals a row, so the
distances returned are computed once more from the differences; only the choice of the row uses the product.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from flawsight.errors import DataError
from flawsight.types import Float

BLOCK_ROWS = 2048  # of the bank: with one picture's queries a block of the product stays near the outer cache

Index = NDArray[np.int64]


class Bank:
    """Vectors that answer `nearest`.

    rows: float32 [M,D], M ≥ 1. Two banks merge by asking both, offsetting the second's indices and keeping the smaller distances.
    """

    def __init__(self, rows: Float) -> None:
        if rows.ndim != 2 or not len(rows):
            raise DataError(f"neighbours: a bank needs rows [M,D] with M ≥ 1; got {list(rows.shape)}.")
        self.rows = np.ascontiguousarray(rows, np.float32)
        self._half_norms = 0.5 * np.einsum("md,md->m", self.rows, self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def nearest(self, queries: Float, k: int = 1, exclude: NDArray[np.bool_] | None = None) -> tuple[Float, Index]:
        """Squared distances float32 [Q,k] in rising order and row indices int64 [Q,k].

        exclude: bool [M], rows that may not be found. Equal distances: the lower index first. Raises DataError if fewer than k
        rows remain.
        """
        penalty, available = self._half_norms, len(self)
        if exclude is not None:
            penalty, available = np.where(exclude, np.float32(np.inf), penalty), int(np.count_nonzero(~exclude))
        if k > available:
            raise DataError(f"neighbours: {k} neighbours asked of {available} rows. Ask for fewer or keep a larger bank.")
        queries = np.ascontiguousarray(queries, np.float32)
        index = self._nearest_one(queries, penalty)[:, None] if k == 1 else self._nearest_many(queries, penalty, k)
        return _squared_distances(queries, self.rows, index), index

    def _closeness(self, queries: Float, penalty: Float) -> Iterator[tuple[int, Float]]:
        """Blocks of q·b − ‖b‖²/2, float32 [Q,≤BLOCK_ROWS], with the index of their first row. Each overwrites the one before."""
        buffer = np.empty((len(queries), min(BLOCK_ROWS, len(self))), np.float32)
        for start in range(0, len(self), BLOCK_ROWS):
            rows = self.rows[start : start + BLOCK_ROWS]
            if len(rows) < buffer.shape[1]:
                buffer = np.empty((len(queries), len(rows)), np.float32)
            np.matmul(queries, rows.T, out=buffer)
            buffer -= penalty[start : start + BLOCK_ROWS]
            yield start, buffer

    def _nearest_one(self, queries: Float, penalty: Float) -> Index:
        best = np.full(len(queries), -np.inf, np.float32)
        index = np.zeros(len(queries), np.int64)
        every = np.arange(len(queries))
        for start, block in self._closeness(queries, penalty):
            at = block.argmax(1)
            value = block[every, at]
            better = value > best
            best[better], index[better] = value[better], at[better] + start
        return index

    def _nearest_many(self, queries: Float, penalty: Float, k: int) -> Index:
        best = np.full((len(queries), 0), -np.inf, np.float32)
        index = np.zeros((len(queries), 0), np.int64)
        for start, block in self._closeness(queries, penalty):
            values = np.concatenate([best, block], 1)
            offsets = np.broadcast_to(np.arange(start, start + block.shape[1]), block.shape)
            rows = np.concatenate([index, offsets], 1)
            if values.shape[1] > k:
                keep = np.argpartition(values, -k, axis=1)[:, -k:]
                values, rows = np.take_along_axis(values, keep, 1), np.take_along_axis(rows, keep, 1)
            best, index = values, rows
        return np.take_along_axis(index, np.lexsort((index, -best), axis=1), 1)


def _squared_distances(queries: Float, rows: Float, index: Index) -> Float:
    """‖q − b‖² of each query to its chosen rows, from the differences: float32 [Q,k]."""
    out = np.empty(index.shape, np.float32)
    for column in range(index.shape[1]):
        difference = queries - rows[index[:, column]]
        out[:, column] = np.einsum("qd,qd->q", difference, difference)
    return out

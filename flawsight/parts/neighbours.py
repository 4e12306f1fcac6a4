"""Exact nearest neighbours in a bank of vectors, by blocked matrix products.

The nearest row b of a query q maximises q·b − ‖b‖²/2, a matrix product and a running maximum. One block of the product exists
at a time, so memory stays flat however large the bank. The expanded form loses digits where vectors are long and differ little,
so rows and queries count from the bank's mean; and where a query nearly equals a row, so the distances returned are computed
once more from the differences: only the choice of the row uses the product.
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
        self._mean: Float = self.rows.mean(0, dtype=np.float64).astype(np.float32)
        self._half_norms = np.concatenate([0.5 * np.einsum("md,md->m", block, block) for _, block in self._centred()])

    def __len__(self) -> int:
        return len(self.rows)

    def nearest(self, queries: Float, k: int = 1, exclude: NDArray[np.bool_] | None = None) -> tuple[Float, Index]:
        """Squared distances float32 [Q,k] in rising order and row indices int64 [Q,k].

        exclude: bool [M], rows that may not be found. Equal distances: the lower index first, so far as float32 holds them.
        Raises DataError if fewer than k rows remain.
        """
        penalty, available = self._half_norms, len(self)
        if exclude is not None:
            penalty, available = np.where(exclude, np.float32(np.inf), penalty), int(np.count_nonzero(~exclude))
        if k > available:
            raise DataError(f"neighbours: {k} neighbours asked of {available} rows. Ask for fewer or keep a larger bank.")
        queries = np.ascontiguousarray(queries, np.float32)
        every = np.arange(len(queries))
        best, index = np.full((len(queries), k), -np.inf, np.float32), np.zeros((len(queries), k), np.int64)
        for start, block in self._closeness(queries - self._mean, penalty):
            for _ in range(min(k, block.shape[1])):
                at = block.argmax(1)
                best = np.append(best, block[every, at][:, None], 1)
                index = np.append(index, at[:, None] + start, 1)
                block[every, at] = -np.inf
            keep = np.argsort(-best, axis=1, kind="stable")[:, :k]
            best, index = np.take_along_axis(best, keep, 1), np.take_along_axis(index, keep, 1)
        distance = _squared_distances(queries, self.rows, index)
        rising = np.lexsort((index, distance), axis=1)
        return np.take_along_axis(distance, rising, 1), np.take_along_axis(index, rising, 1)

    def _centred(self) -> Iterator[tuple[int, Float]]:
        """Blocks of the rows less their mean, float32 [≤BLOCK_ROWS,D], with the index of their first row."""
        for start in range(0, len(self), BLOCK_ROWS):
            yield start, self.rows[start : start + BLOCK_ROWS] - self._mean

    def _closeness(self, queries: Float, penalty: Float) -> Iterator[tuple[int, Float]]:
        """Blocks of q·b − ‖b‖²/2, float32 [Q,≤BLOCK_ROWS], with the index of their first row. Each overwrites the one before."""
        buffer = np.empty((len(queries), min(BLOCK_ROWS, len(self))), np.float32)
        for start, rows in self._centred():
            if len(rows) < buffer.shape[1]:
                buffer = np.empty((len(queries), len(rows)), np.float32)
            np.matmul(queries, rows.T, out=buffer)
            buffer -= penalty[start : start + BLOCK_ROWS]
            yield start, buffer


def _squared_distances(queries: Float, rows: Float, index: Index) -> Float:
    """‖q − b‖² of each query to its chosen rows, from the differences: float32 [Q,k]."""
    out = np.empty(index.shape, np.float32)
    for column in range(index.shape[1]):
        difference = queries - rows[index[:, column]]
        out[:, column] = np.einsum("qd,qd->q", difference, difference)
    return out

"""Exact nearest neighbours in a bank of vectors.

One neighbour, the common case, is found through few groups of rows (`search/groups.py`), more than one by products of all rows, a
block at a time.

The expanded form of a squared distance loses digits where vectors are long and differ little, so rows and queries count from the
bank's mean; and where a query nearly equals a row, so the distances returned are computed once more from the differences: only the
choice of the row uses the product.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from flawsight.errors import DataError
from flawsight.search.groups import Groups
from flawsight.search.sketches import blocks
from flawsight.types import Float, Index


class Bank:
    """Vectors that answer `nearest`. Takes a little over twice their memory, about four times while it is built.

    rows: float32 [M,D], M ≥ 1. Two banks merge by asking both, offsetting the second's indices and keeping the smaller distances.
    device: "cpu", or "cuda" through torch.
    """

    def __init__(self, rows: Float, device: str = "cpu") -> None:
        if rows.ndim != 2 or not len(rows):
            raise DataError(f"neighbours: a bank needs rows [M,D] with M ≥ 1; got {list(rows.shape)}.")
        self.rows = np.ascontiguousarray(rows, np.float32)
        self._mean: Float = self.rows.mean(0, dtype=np.float64).astype(np.float32)
        self._search: _Search = (_Grouped if device == "cpu" else _on_gpu(device))(self.rows - self._mean)

    def __len__(self) -> int:
        return len(self.rows)

    def nearest(self, queries: Float, k: int = 1, exclude: NDArray[np.bool_] | None = None) -> tuple[Float, Index]:
        """Squared distances float32 [Q,k] in rising order and row indices int64 [Q,k].

        exclude: bool [M], rows that may not be found. Equal distances: the lower index first, so far as float32 holds them.
        Raises DataError if fewer than k rows remain.
        """
        available = len(self) if exclude is None else int(np.count_nonzero(~exclude))
        if k > available:
            raise DataError(f"neighbours: {k} neighbours asked of {available} rows. Ask for fewer or keep a larger bank.")
        queries = np.ascontiguousarray(queries, np.float32)
        if not len(queries):
            return np.empty((0, k), np.float32), np.empty((0, k), np.int64)
        index = self._search.closest(queries - self._mean, k, exclude)
        distance = _squared_distances(queries, self.rows, index)
        rising = np.lexsort((index, distance), axis=1)
        return np.take_along_axis(distance, rising, 1), np.take_along_axis(index, rising, 1)


class _Search(Protocol):
    """Made of centred rows, float32 [M,D]."""

    def closest(self, queries: Float, k: int, exclude: NDArray[np.bool_] | None) -> Index:
        """The k closest rows of each centred query, not in order: [Q,k]. exclude: bool [M], rows that may not be found."""
        ...


class _Grouped:
    """The search on a CPU."""

    def __init__(self, centred: Float) -> None:
        self._groups = Groups(centred)

    def closest(self, queries: Float, k: int, exclude: NDArray[np.bool_] | None) -> Index:
        """See _Search."""
        bias = self._groups.bias
        if exclude is not None:
            bias = np.where(exclude[self._groups.index], np.float32(-np.inf), bias)
        return self._groups.closest(queries, bias)[1][:, None] if k == 1 else self._by_products(queries, bias, k)

    def _by_products(self, queries: Float, bias: Float, k: int) -> Index:
        every, grouped = np.arange(len(queries)), self._groups
        best, index = np.full((len(queries), k), -np.inf, np.float32), np.full((len(queries), k), len(bias))
        for block in blocks(len(bias)):
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


def _on_gpu(device: str) -> Callable[[Float], _Search]:
    from flawsight.search.gpu import Rows

    return lambda centred: Rows(centred, device)


def _squared_distances(queries: Float, rows: Float, index: Index) -> Float:
    """‖q − b‖² of each query to its chosen rows, from the differences: float32 [Q,k]."""
    out = np.empty(index.shape, np.float32)
    for column in range(index.shape[1]):
        difference = queries - rows[index[:, column]]
        out[:, column] = np.einsum("qd,qd->q", difference, difference)
    return out

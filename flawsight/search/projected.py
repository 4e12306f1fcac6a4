"""Rows of more pictures than memory holds, chosen as from all at once: greedy selection measures projections, and these are held.

Of 1,024 dimensions it measures 128, so an eighth of the memory does. The rows themselves are made again, and those that were chosen
are kept.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from flawsight.search import coreset
from flawsight.search.spread import BLOCK_ROWS
from flawsight.types import Float, Index


def projections(rows: Float, dims: int, seed: int, scales: Float | None = None) -> Float:
    """New rows under the random map that a seed gives, float32 [N,d]: to so many dimensions, or to all if that is 0.

    scales: of the columns, float32 [D], of rows that are not scaled yet.
    """
    dims = min(rows.shape[1], dims or rows.shape[1])
    measured = np.empty((len(rows), dims), np.float32)
    for start in range(0, len(rows), BLOCK_ROWS):
        block = rows[start : start + BLOCK_ROWS] * (1 if scales is None else scales)
        measured[start : start + BLOCK_ROWS] = coreset.project(block, dims, np.random.default_rng(seed))
    return measured


class Projected:
    """Gathers projected rows picture by picture. n_pictures: how many will come. dims: of a projection."""

    def __init__(self, n_pictures: int, dims: int) -> None:
        self._n_pictures = n_pictures
        self._held = np.empty((0, dims), np.float32)
        self._starts = [0]  # of each picture's rows, and where the last ones end
        self.grids: list[tuple[int, int]] = []

    @property
    def n(self) -> int:
        """Rows so far."""
        return self._starts[-1]

    @property
    def rows(self) -> Float:
        """All that came, float32 [N,d], in its order."""
        return self._held[: self.n]

    def add(self, rows: Float, grid: tuple[int, int]) -> None:
        """The projections of the next picture's rows, float32 [P,d], P = rows · columns of its grid."""
        start, end = self.n, self.n + len(rows)
        if end > len(self._held):
            # What is not yet written takes no memory.
            larger = np.empty((max(end + end // 8, len(rows) * self._n_pictures), rows.shape[1]), np.float32)
            larger[:start] = self._held[:start]
            self._held = larger
        self._held[start:end] = rows
        self._starts.append(end)
        self.grids.append(grid)

    def forget(self) -> None:
        """Let go of the projections; where they came from is still known."""
        self._held = self._held[:0].copy()

    def source(self, kept: Index) -> NDArray[np.int32]:
        """Picture, grid row and grid column of each of these rows: int32 [M,3]."""
        starts = np.array(self._starts)
        picture = np.searchsorted(starts, kept, side="right") - 1
        row, column = np.divmod(kept - starts[picture], np.array(self.grids)[picture, 1])
        return np.stack([picture, row, column], 1).astype(np.int32)

    def fetch(self, kept: Index, pictures: Iterable[Float]) -> Float:
        """These rows themselves, float32 [M,D], of all pictures' rows float32 [P,D]."""
        found = np.empty((0, 0), np.float32)
        for start, end, rows in zip(self._starts, self._starts[1:], pictures, strict=False):
            if not len(found):
                found = np.empty((len(kept), rows.shape[1]), np.float32)
            own = np.flatnonzero((kept >= start) & (kept < end))
            found[own] = rows[kept[own] - start]
        return found

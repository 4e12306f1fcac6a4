"""How far rows spread along each column, and the scales that make levels of columns alike; block by block, in little memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flawsight.types import Float

BLOCK_ROWS = 8192  # where a pass over all rows would double them in memory


class Spread:
    """Mean and squared deviations of each column, of rows that come a few at a time (Chan, Golub and LeVeque 1979)."""

    def __init__(self, dims: int) -> None:
        self.n = 0
        self._mean = np.zeros(dims)
        self._squares = np.zeros(dims)

    def add(self, rows: Float) -> None:
        for start in range(0, len(rows), BLOCK_ROWS):
            block = rows[start : start + BLOCK_ROWS]
            mean = block.mean(0, dtype=np.float64)
            centred = block - mean.astype(np.float32)
            apart, total = mean - self._mean, self.n + len(block)
            self._squares += np.einsum("nd,nd->d", centred, centred) + apart**2 * (self.n * len(block) / total)
            self._mean += apart * len(block) / total
            self.n = total

    @property
    def variance(self) -> NDArray[np.float64]:
        return self._squares / max(self.n, 1)


def variance(rows: Float) -> NDArray[np.float64]:
    """The variance of each column: float64 [D]."""
    mean = rows.mean(0, dtype=np.float64).astype(np.float32)
    squares = np.zeros(rows.shape[1], np.float64)
    for start in range(0, len(rows), BLOCK_ROWS):
        centred = rows[start : start + BLOCK_ROWS] - mean
        squares += np.einsum("nd,nd->d", centred, centred)
    return squares / len(rows)


def level_scales(variances: NDArray[np.float64], channels: list[int] | None) -> Float:
    """One over each level's spread, the root of its total variance, repeated for its channels: float32 [D].

    channels: of each level; None for scales of 1.
    """
    if channels is None:
        return np.ones(len(variances), np.float32)
    scales = []
    for part in np.split(variances, np.cumsum(channels)[:-1]):
        spread = np.sqrt(part.sum())
        scales.append(np.full(len(part), 1 / spread if spread > 0 else 1.0, np.float32))
    return np.concatenate(scales)

"""Which rows to keep of all patches seen: greedy k-center (Roth et al. 2022, §3.2), random, or all.

Greedy k-center picks, again and again, the row farthest from all rows picked so far. Done naively, each pick passes over every
row. Here the picks are the same, for far less work:

- Only the K rows that are farthest (the active set) are kept up to date; τ is the largest distance outside of it. Distances only
  shrink, so while the active set's farthest row exceeds τ it is the farthest of all.
- The distances between all active rows come from one matrix product, so a pick is one look-up and one minimum over K numbers.
- When the active set is used up, all other rows are brought up to date with the new picks by blocked matrix products, leaving
  out those that no new pick can be nearer to: a pick made at radius r is at least r from every older pick, so by the triangle
  inequality a row within r/2 of its nearest pick keeps it (Elkan, ICML 2003, prunes k-means so).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from flawsight.types import Float

ACTIVE_ROWS = 2048  # K: the table of distances between them is 16 MiB
BLOCK_ROWS = 4096  # of the rows brought up to date at once
PICKED = np.float32(-1)  # stands for the distance of a row that is picked: below that of any other row
SLACK = np.float32(1 - 1e-3)  # on the squared radius, so that rounding never leaves out a row that could change

Index = NDArray[np.int64]
Progress = Callable[[int, int], None]


def greedy(rows: Float, n: int, initial: Float | None = None, progress: Progress | None = None) -> tuple[Index, float]:
    """Indices of n rows in the order of their picking, int64 [n], and the covering radius they reach.

    rows: float32 [N,D], 1 ≤ n ≤ N. initial: squared distances, float32 [N], that the rows start from, as though to a centre that
    is not itself picked; without it the first pick is the row farthest from the mean of all. Of equally far rows the lowest
    index is picked; no row is picked twice. The radius is the largest distance (not squared) of any row to its nearest pick.
    """
    cover = _Cover(rows, n, initial)
    while cover.n_picked < n:
        if cover.distance.max() <= 0:
            cover.pick_duplicates()
        else:
            cover.pick_farthest()
        if progress:
            progress(cover.n_picked, n)
    return cover.picks, float(np.sqrt(max(cover.distance.max(), 0.0)))


class _Cover:
    """Rows, the squared distance of each to its nearest pick, and the picks so far."""

    def __init__(self, rows: Float, n: int, initial: Float | None) -> None:
        # Distances do not depend on the origin, their rounding does. The column of ones takes −‖pick‖²/2 into the product.
        self.rows = np.ones((len(rows), rows.shape[1] + 1), np.float32)
        np.subtract(rows, rows.mean(0, dtype=np.float64).astype(np.float32), out=self.rows[:, :-1])
        self.norms = np.einsum("nd,nd->n", self.rows[:, :-1], self.rows[:, :-1])
        self.picks = np.empty(n, np.int64)
        self.n_picked = 0
        # Whether a row's distance is that to a pick: only then does the triangle inequality say anything of it.
        self.covered = np.zeros(len(rows), np.bool_)
        if initial is None:
            self.distance = np.full(len(rows), np.inf, np.float32)
            self.picks[0], self.n_picked = self.norms.argmax(), 1
            self._bring_up_to_date(self.picks[:1], radius=np.float32(np.inf))
        else:
            self.distance = initial.astype(np.float32)

    def pick_farthest(self) -> None:
        """Pick for as long as the farthest active row is surely the farthest of all: at least once."""
        active, outside = _farthest(self.distance, ACTIVE_ROWS)
        between = self._distances_between(active)
        start = self.distance[active]
        distance, before, radius = start.copy(), self.n_picked, start.max()
        while self.n_picked < len(self.picks):
            at = int(distance.argmax())
            # A row as far as one outside is the next pick only if it was chosen over that one for its lower index.
            if distance[at] <= 0 or distance[at] < outside or (distance[at] == outside and start[at] > outside):
                break
            radius = distance[at]
            self.picks[self.n_picked] = active[at]
            self.n_picked += 1
            np.minimum(distance, between[at], out=distance)
        self._bring_up_to_date(self.picks[before : self.n_picked], radius)

    def pick_duplicates(self) -> None:
        """Pick the rest in order of index, when every row left equals a pick."""
        rest = np.flatnonzero(self.distance == 0)[: len(self.picks) - self.n_picked]
        self.picks[self.n_picked : self.n_picked + len(rest)] = rest
        self.distance[rest] = PICKED
        self.n_picked += len(rest)

    def _distances_between(self, active: Index) -> Float:
        """Squared distances float32 [K,K]; PICKED on the diagonal, so that a pick's own row of it marks the pick."""
        rows, norms = self.rows[active, :-1], self.norms[active]
        table = rows @ rows.T
        table *= -2
        table += norms
        table += norms[:, None]
        np.maximum(table, 0, out=table)
        np.fill_diagonal(table, PICKED)
        return table

    def _bring_up_to_date(self, new: Index, radius: np.float32) -> None:
        """Lower each row's distance to that of the nearest of the new picks, all made at this squared radius or a larger one."""
        centres = self.rows[new]
        centres[:, -1] = -0.5 * self.norms[new]
        stale = np.flatnonzero(~self.covered | (self.distance > radius * SLACK / 4))
        for start in range(0, len(stale), BLOCK_ROWS):
            block = stale[start : start + BLOCK_ROWS]
            closeness = (self.rows[block] @ centres.T).max(1)
            distance = np.maximum(self.norms[block] - 2 * closeness, 0)
            nearer = distance < self.distance[block]
            self.distance[block[nearer]] = distance[nearer]
            self.covered[block[nearer]] = True
        self.distance[new] = PICKED
        self.covered[new] = True


def _farthest(distance: Float, k: int) -> tuple[Index, np.float32]:
    """Indices of the k farthest rows in rising order, of equals those of lowest index, and the largest distance not among them."""
    if len(distance) <= k:
        return np.arange(len(distance)), np.float32(-np.inf)
    bound = np.partition(distance, len(distance) - k)[len(distance) - k]
    inside = distance > bound
    inside[np.flatnonzero(distance == bound)[: k - np.count_nonzero(inside)]] = True
    return np.flatnonzero(inside), distance[~inside].max()


def mean_distance_to_starts(rows: Float, rng: np.random.Generator, n_starts: int = 10) -> Float:
    """Squared mean distance of each row to `n_starts` rows drawn at random: float32 [N].

    The initial distances of the paper's own code, which picks none of the starts themselves.
    """
    starts = rng.choice(len(rows), min(n_starts, len(rows)), replace=False)
    total = np.zeros(len(rows), np.float64)
    for start in starts:
        difference = rows - rows[start]
        total += np.sqrt(np.einsum("nd,nd->n", difference, difference))
    return ((total / len(starts)) ** 2).astype(np.float32)


def project(rows: Float, dims: int, rng: np.random.Generator) -> Float:
    """Rows under a random linear map to `dims` dimensions, float32 [N,dims]; as they are where they have no more than that."""
    if rows.shape[1] <= dims:
        return rows
    bound = 1 / np.sqrt(rows.shape[1])
    return rows @ rng.uniform(-bound, bound, (rows.shape[1], dims)).astype(np.float32)

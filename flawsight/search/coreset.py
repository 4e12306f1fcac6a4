"""Which rows to keep of all patches seen: greedy k-center (Roth et al. 2022, §3.2), random, or all.

Greedy k-center picks, again and again, the row farthest from all rows picked so far. Done naively, each pick passes over every
row. Here the picks are the same, for far less work:

- Only the rows that are farthest (the active set) are kept up to date; τ is the largest distance outside of it. Distances only
  shrink, so while the active set's farthest row exceeds τ it is the farthest of all.
- The active set has an active set of its own, and so on, down to one small enough for a table of all distances between its rows,
  which one matrix product makes; there a pick is one look-up and one minimum.
- When an active set is used up, the rows outside are brought up to date with the new picks by blocked matrix products, leaving
  out those that no new pick can be nearer to: a pick made at radius r is at least r from every older pick, so by the triangle
  inequality a row within r/2 of its nearest pick keeps it (Elkan, ICML 2003, prunes k-means so). Many new picks are searched as a
  bank is: in groups, of which a row is compared only with those that may hold a nearer one (`search/groups.py`).
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flawsight.parts import graphs
from flawsight.search.groups import Groups
from flawsight.search.sketches import BLOCK_ROWS, Sketched, principal_axes, sketched
from flawsight.system.threads import each
from flawsight.types import Float, Index

TABLE_ROWS = 2048  # of the innermost active set: its table of distances is 16 MiB
SHRINK = 8  # how many times fewer rows an active set has than the set it is taken from
MIN_BLOCK_ROWS = 256
MAX_BLOCK_ROWS = 1 << 15  # of which a copy is made at once
BLOCK_CELLS = 1 << 20  # of the product of rows and new picks that is made at once: 4 MiB, which an outer cache holds
GROUPED_PICKS = 1024  # new picks from which on they are searched in groups
GROUPED_BLOCK_ROWS = 1024  # compared with them at once by each thread
PICKED = np.float32(-1)  # stands for the distance of a row that is picked: below that of any other row
SLACK = np.float32(1 - 1e-3)  # on the squared radius, so that rounding never leaves out a row that could change

Progress = Callable[[int, int], None]


def n_kept(n_rows: int, ratio: float, limit: int = 0) -> int:
    """How many of `n_rows` are kept: the share, rounded down as in the paper's code, at least one; at most the limit, if any."""
    n = max(1, int(n_rows * ratio))
    return min(n, limit) if limit else n


def working_bytes(n: int, picks: int, dims: int) -> int:
    """Bytes that `greedy` takes at most to pick from n rows of so many dimensions, a copy of the rows included.

    What the runtime keeps of a first call with TABLE_ROWS rows, the table above all, is not counted.
    """
    row = 5 * dims + 57  # with its sketch, norms, distances, places, and what is made on the way of the last two
    active = (n // (SHRINK - 1)) * row  # all of them, each taken from the one before
    cells = max(BLOCK_CELLS, MIN_BLOCK_ROWS * picks)
    if picks >= GROUPED_PICKS:
        cells = max(BLOCK_CELLS, (os.cpu_count() or 1) * GROUPED_BLOCK_ROWS * min(picks, BLOCK_ROWS))
    products = 8 * cells  # the runtime's regions grow by doubling
    return n * row + active + (min(n, MAX_BLOCK_ROWS) + 4 * picks) * 4 * dims + products  # new picks are copied into groups


def greedy(
    rows: Float,
    n: int,
    initial: Float | None = None,
    progress: Progress | None = None,
    overwrite: bool = False,
    device: str = "cpu",
) -> tuple[Index, float]:
    """Indices of n rows in the order of their picking, int64 [n], and the covering radius they reach.

    rows: float32 [N,D], 1 ≤ n ≤ N. initial: squared distances, float32 [N], that the rows start from, as though to a centre that
    is not itself picked; without it the first pick is the row farthest from the mean of all. Of equally far rows the lowest
    index is picked; no row is picked twice. The radius is the largest distance (not squared) of any row to its nearest pick, or
    to that centre. overwrite: `rows` may be changed, which saves a copy of them. device: "cpu", or "cuda" through torch, where of
    equally far rows any may be picked.
    """
    mean = rows.mean(0, dtype=np.float64).astype(np.float32)
    centred = np.subtract(rows, mean, out=rows if overwrite else None)  # distances do not depend on the origin, rounding does
    if device != "cpu":
        from flawsight.search import gpu

        found: tuple[Index, float] = gpu.greedy(centred, n, initial, progress, device)
        return found
    norms = np.einsum("nd,nd->n", centred, centred)
    distance = np.full(len(rows), np.inf, np.float32) if initial is None else initial.astype(np.float32)
    axes = principal_axes(centred) if n >= GROUPED_PICKS else None
    sketches = None if axes is None else sketched(centred, axes)
    every = _Active(np.arange(len(rows)), centred, norms, distance, np.zeros(len(rows), np.bool_), sketches)
    picking = _Picking(every, n, progress)
    if initial is None:
        picking.pick(int(norms.argmax()), np.float32(np.inf))
        every.bring_up_to_date(every, picking.since(0), np.float32(np.inf), every.covered.copy())
    picking.pick_above(every, np.float32(0))
    picking.pick_duplicates()
    if progress:
        progress(n, n)
    return picking.picks, float(np.sqrt(max(every.distance.max(), 0.0)))


@dataclass
class _Active:
    """Rows that are kept up to date.

    index: int64 [K], their places among all rows, rising. rows: float32 [K,D]. norms, distance: float32 [K], squared, the latter
    to the nearest pick. covered: bool [K], whether that is a pick: else no triangle inequality holds. sketches: of the rows.
    """

    index: Index
    rows: Float
    norms: Float
    distance: Float
    covered: NDArray[np.bool_]
    sketches: Sketched | None = None

    def farthest(self, k: int) -> tuple[_Active, NDArray[np.bool_], np.float32]:
        """The k farthest rows, of equals those of lowest index; where they are, bool [K]; the largest distance of the others."""
        bound = np.partition(self.distance, len(self.distance) - k)[len(self.distance) - k]
        inside = self.distance > bound
        inside[np.flatnonzero(self.distance == bound)[: k - np.count_nonzero(inside)]] = True
        sketches = None if self.sketches is None else self.sketches[inside]
        part = _Active(
            self.index[inside], self.rows[inside], self.norms[inside], self.distance[inside], self.covered[inside], sketches
        )
        return part, inside, self.distance[~inside].max()

    def distances_between(self) -> Float:
        """Squared distances float32 [K,K]; PICKED on the diagonal, so that a pick's own row of it marks the pick."""
        table: Float = graphs.run("distances", {"rows": self.rows, "norms": self.norms[:, None]})
        np.fill_diagonal(table, PICKED)
        return table

    def bring_up_to_date(self, every: _Active, new: Index, radius: np.float32, inside: NDArray[np.bool_]) -> None:
        """Lower each row's distance to that of the nearest of the new picks, all made at this squared radius or a larger one.

        every: all rows, in which `new` counts. inside: rows that are up to date already.
        """
        where = np.flatnonzero(~inside & (~self.covered | (self.distance > radius * SLACK / 4)))
        picks = _NewPicks(every, new)

        def lower(start: int) -> None:
            block = where[start : start + picks.block_rows]
            closeness = picks.closeness(self, block)
            distance = np.maximum(self.norms[block] - 2 * closeness, 0)
            nearer = distance < self.distance[block]
            self.distance[block[nearer]] = distance[nearer]
            self.covered[block[nearer]] = True

        starts = range(0, len(where) if len(new) else 0, picks.block_rows)
        deque(each(lower, starts, picks.threads), maxlen=0)
        picked = np.searchsorted(self.index, new)
        picked = picked[picked < len(self.index)]
        mine = picked[np.isin(self.index[picked], new)]
        self.distance[mine], self.covered[mine] = PICKED, True


class _NewPicks:
    """Rows that were picked since the others were last brought up to date.

    block_rows: how many others to compare at once; threads: in how many threads.
    """

    def __init__(self, every: _Active, new: Index) -> None:
        self._rows, self._bias = every.rows[new], -0.5 * every.norms[new]
        self._groups, self.threads = None, 1  # a product with all picks is large enough to be shared by threads itself
        self.block_rows = min(MAX_BLOCK_ROWS, max(MIN_BLOCK_ROWS, BLOCK_CELLS // max(len(new), 1)))
        if every.sketches and len(new) >= GROUPED_PICKS:
            self._groups, self.block_rows = Groups(self._rows, every.sketches.axes), GROUPED_BLOCK_ROWS
            self.threads = os.cpu_count() or 1

    def closeness(self, active: _Active, block: Index) -> Float:
        """Of these rows of the active set to the nearest new pick; −inf, where that is told at no cost, to one not nearer."""
        if self._groups is None or active.sketches is None:
            found: Float = graphs.run("maximum", {"queries": active.rows[block], "rows": self._rows, "bias": self._bias})
            return found
        above = np.float32(0.5) * (active.norms[block] - active.distance[block])
        closeness, index = self._groups.closest(active.rows[block], None, above, active.sketches[block])
        return np.where(index < 0, np.float32(-np.inf), closeness)


class _Picking:
    """The picks so far, and the picking of more."""

    def __init__(self, every: _Active, n: int, progress: Progress | None) -> None:
        self.every = every
        self.picks = np.empty(n, np.int64)
        self.n_picked = 0
        self.radius = np.float32(np.inf)  # squared, at which the last pick was made
        self.progress = progress

    def pick(self, index: int, radius: np.float32) -> None:
        self.picks[self.n_picked] = index
        self.n_picked += 1
        self.radius = radius

    def since(self, before: int) -> Index:
        return self.picks[before : self.n_picked]

    def pick_above(self, active: _Active, bound: np.float32) -> None:
        """Pick from these rows while the farthest of them is farther than `bound`, that of the farthest row outside.

        On a tie with a row outside the lower index decides, and that is not known here: the set it came from decides.
        """
        if len(active.index) <= TABLE_ROWS:
            self._pick_by_table(active, bound)
            return
        while self.n_picked < len(self.picks) and active.distance.max() > bound:
            before = self.n_picked
            part, inside, outside = active.farthest(max(TABLE_ROWS, len(active.index) // SHRINK))
            self.pick_above(part, max(outside, bound))
            active.distance[inside], active.covered[inside] = part.distance, part.covered
            if self.n_picked == before:  # equals inside and outside: the first of all of them
                at = int(active.distance.argmax())
                self.pick(int(active.index[at]), active.distance[at])
                inside[:] = False
            active.bring_up_to_date(self.every, self.since(before), self.radius, inside)

    def _pick_by_table(self, active: _Active, bound: np.float32) -> None:
        distance, before = active.distance, self.n_picked
        start = distance.copy()
        table = active.distances_between()
        while self.n_picked < len(self.picks):
            at = int(distance.argmax())
            if distance[at] <= bound:
                break
            self.pick(int(active.index[at]), distance[at])
            np.minimum(distance, table[at], out=distance)
        active.covered |= distance < start
        if self.progress and self.n_picked > before:
            self.progress(self.n_picked, len(self.picks))

    def pick_duplicates(self) -> None:
        """Pick the rest in order of index, when every row left equals a pick."""
        rest = np.flatnonzero(self.every.distance == 0)[: len(self.picks) - self.n_picked]
        self.picks[self.n_picked : self.n_picked + len(rest)] = rest
        self.every.distance[rest] = PICKED
        self.n_picked += len(rest)


def mean_distance_to_starts(rows: Float, rng: np.random.Generator, n_starts: int = 10) -> Float:
    """Squared mean distance of each row to `n_starts` rows drawn at random: float32 [N].

    The initial distances of the paper's own code, which picks none of the starts themselves.
    """
    starts = rng.choice(len(rows), min(n_starts, len(rows)), replace=False)
    total = np.zeros(len(rows), np.float64)
    for start in starts:
        for first in range(0, len(rows), MAX_BLOCK_ROWS):
            block = slice(first, first + MAX_BLOCK_ROWS)
            difference = rows[block] - rows[start]
            total[block] += np.sqrt(np.einsum("nd,nd->n", difference, difference))
    return ((total / len(starts)) ** 2).astype(np.float32)


def project(rows: Float, dims: int, rng: np.random.Generator) -> Float:
    """Rows under a random linear map to `dims` dimensions, float32 [N,dims]; as they are where they have no more than that."""
    if rows.shape[1] <= dims:
        return rows
    bound = 1 / np.sqrt(rows.shape[1])
    return rows @ rng.uniform(-bound, bound, (rows.shape[1], dims)).astype(np.float32)

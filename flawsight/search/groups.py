"""Rows in groups that lie together, and the search for the closest row to a query through few of them.

The nearest row b of a query q maximises the closeness q·b − ‖b‖²/2, a matrix product and a maximum. Most of the product is left
out:

- Rows that lie together are kept together, in groups, by halving all rows along their widest axis again and again.
- Sketches, coarse copies of all rows, bound the closeness of a query to the rows of each group at a fraction of the cost
  (`search/sketches.py`).
- The group with the highest bound is looked through, which gives each query a good candidate; then those groups whose bound
  exceeds it. On patches of real pictures these are a few in a hundred. Where the bounds say little, as
  for rows that point everywhere alike, a plain product with all rows follows, and the bounds were in vain.
- Of few rows there are no sketches: the plain product is all there is.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flawsight.parts import graphs
from flawsight.search.sketches import GROUP, Sketched, Sketches, blocks, n_axes, principal_axes, sketched
from flawsight.system import threads
from flawsight.types import Float, Index

FEW_ROWS = 4  # times a group and the axes together: the product with so few rows costs no more than what would save some of it
MOST = 0.3  # of all pairs of a query and a group, from which one product with all rows is cheaper than those with groups
OPENING = 25  # pairs of a query and a group that take as long as to begin with a group
SLACK = np.float32(1e-5)  # of the lengths' product: far above what rounding adds to a closeness


class Groups:
    """Rows [N,D] that answer `closest`. Rows and queries count from the same place, near which rounding is small.

    rows: float32 [M,D], padded to whole groups. bias: −‖b‖²/2, float32 [M]; −inf for padding. index: of each among the rows given,
    int64 [M], rising within a group. axes: as `principal_axes` gives them, of these rows or others like them; found here if None.
    """

    def __init__(self, rows: Float, axes: Float | None = None) -> None:
        n = len(rows)
        n_groups = -(-n // GROUP)
        index = np.arange(n)
        if axes is None and n > FEW_ROWS * (GROUP + n_axes(rows.shape[1])):
            axes = principal_axes(rows)
        if axes is not None:
            index = np.concatenate([np.sort(part) for part in _halved(rows @ axes, index)])
        self.index = np.append(index, np.zeros(n_groups * GROUP - n, np.int64))
        self.rows: Float = rows[self.index]
        self.bias: Float = -0.5 * np.einsum("nd,nd->n", self.rows, self.rows)
        self.bias[n:] = -np.inf
        self._longest = np.sqrt(-2 * self.bias[:n].min())
        self._axes = axes
        self._sketches = None if axes is None else Sketches(self.rows, axes)

    def closest(
        self, queries: Float, bias: Float | None = None, above: Float | None = None, sketches: Sketched | None = None
    ) -> tuple[Float, Index]:
        """The highest closeness of each query, float32 [Q], and the row's index, int64 [Q]; of equals the lowest.

        bias: in place of this one's, −inf for rows that do not count. above: float32 [Q], what the closeness must exceed; where
        none does, that and −1 come back. sketches: of the queries, if they are there already, along the same axes.
        """
        bias = self.bias if bias is None else bias
        best = np.full(len(queries), -np.inf, np.float32) if above is None else above.copy()
        index = np.full(len(queries), -1)
        if self._sketches is None or self._axes is None:
            self._look_through_all(queries, bias, best, index)
            return best, index
        bounds = self._sketches.bounds(sketches or sketched(queries, self._axes), bias)
        bounds += (SLACK * self._longest * (np.sqrt(np.einsum("qd,qd->q", queries, queries)) + self._longest))[:, None]
        every, first = np.arange(len(queries)), bounds.argmax(1)
        members = np.flatnonzero(bounds[every, first] >= best)
        members = members[np.argsort(first[members], kind="stable")]
        self._look_through(first[members], members, queries, bias, best, index)
        promising = bounds >= best[:, None]
        promising[every, first] = False
        if promising.mean() < MOST:
            groups, members = np.nonzero(np.ascontiguousarray(promising.T))
            self._look_through(groups, members, queries, bias, best, index)
        else:
            self._look_through_all(queries, bias, best, index)
        return best, index

    def _look_through(self, groups: Index, members: Index, queries: Float, bias: Float, best: Float, index: Index) -> None:
        """Take over closer rows from groups for these members of the queries. best, index: [Q], changed in place.

        groups, members: pairs, int64 [n] each, those of a group one after another.
        """
        grouped, biases = self.rows.reshape(-1, GROUP, self.rows.shape[1]), bias.reshape(-1, GROUP)
        ends = np.searchsorted(groups, np.arange(len(grouped)), "right")
        starts = np.append(0, ends[:-1])

        def look(some: slice) -> list[NDArray[Any]]:
            pairs = slice(starts[some][0], ends[some][-1])
            here = {"members": members[pairs], "starts": starts[some, None] - pairs.start, "ends": ends[some, None] - pairs.start}
            return graphs.run_all("closest_in_groups", {"queries": queries, "rows": grouped[some], "bias": biases[some], **here})

        at, closeness = map(np.concatenate, zip(*threads.shared(look, _parts(starts, ends, threads.free_cores())), strict=True))
        _take_over(closeness, self.index[groups * GROUP + at], members, best, index)

    def _look_through_all(self, queries: Float, bias: Float, best: Float, index: Index) -> None:
        """Take over closer rows from all groups. best, index: [Q], changed in place."""
        every = np.arange(len(queries))
        for block in blocks(len(self.rows)):
            at, closeness = graphs.run_all("closest_each", {"queries": queries, "rows": self.rows[block], "bias": bias[block]})
            highest = closeness.max(1)
            at += block.start + GROUP * np.arange(at.shape[1])
            _take_over(highest, np.where(closeness == highest[:, None], self.index[at], len(self.index)).min(1), every, best, index)


def _parts(starts: Index, ends: Index, n: int) -> list[slice]:
    """At most n slices of groups that take about as long as each other. starts, ends: of the groups' pairs, int64 [G]."""
    done = np.cumsum(ends - starts + OPENING * (ends > starts))
    cuts = np.searchsorted(done, done[-1] / n * np.arange(1, n), "right")
    return [slice(first, end) for first, end in itertools.pairwise([0, *cuts.tolist(), len(ends)]) if end > first]


def _take_over(closeness: Float, at: Index, members: Index, best: Float, index: Index) -> None:
    """Take over the closest, of equals the lowest, of rows found for these members of the queries, [n] each.

    best, index: [Q], changed in place.
    """
    before = best.copy()
    np.maximum.at(best, members, closeness)
    index[best > before] = np.iinfo(index.dtype).max
    closest = closeness == best[members]
    np.minimum.at(index, members[closest], at[closest])


def _halved(points: Float, index: Index) -> list[Index]:
    """Groups of points that lie together, each of GROUP but the last: halves along the widest coordinate, again and again."""
    if len(index) <= GROUP:
        return [index]
    here = points[index]
    order = np.argsort(here[:, here.var(0).argmax()], kind="stable")
    middle = -(-len(index) // GROUP) // 2 * GROUP
    return [*_halved(points, index[order[:middle]]), *_halved(points, index[order[middle:]])]

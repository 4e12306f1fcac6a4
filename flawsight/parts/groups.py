"""Rows in groups that lie together, and the search for the closest row to a query through few of them.

The nearest row b of a query q maximises the closeness q·b − ‖b‖²/2, a matrix product and a maximum. Most of the product is left
out:

- Rows that lie together are kept together, in groups, by halving all rows along their widest axis again and again.
- Sketches, coarse copies of all rows, bound the closeness of a query to the rows of each group at a fraction of the cost
  (`parts/sketches.py`).
- The group with the highest bound is looked through, which gives each query a good candidate; then those groups whose bound
  exceeds it. On patches of real pictures these are a few in a hundred. Where the bounds say little, as
  for rows that point everywhere alike, a plain product with all rows follows, and the bounds were in vain.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flawsight.parts import graphs
from flawsight.parts.sketches import GROUP, Sketched, Sketches, blocks, principal_axes, sketched
from flawsight.types import Float

FEW_GROUPS = 4  # so few are all looked through
MOST = 0.3  # of all pairs of a query and a group, from which one product with all rows is cheaper than those with groups
SLACK = np.float32(1e-5)  # of the lengths' product: far above what rounding adds to a closeness

Index = NDArray[np.int64]


class Groups:
    """Rows [N,D] that answer `closest`. Rows and queries count from the same place, near which rounding is small.

    rows: float32 [M,D], padded to whole groups. bias: −‖b‖²/2, float32 [M]; −inf for padding. index: of each among the rows given,
    int64 [M], rising within a group. axes: as `principal_axes` gives them, of these rows or others like them; found here if None.
    """

    def __init__(self, rows: Float, axes: Float | None = None) -> None:
        n = len(rows)
        n_groups = -(-n // GROUP)
        index = np.arange(n)
        if axes is None and n_groups > FEW_GROUPS:
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
        bounds = self._bounds(queries, bias, sketches)
        bounds += (SLACK * self._longest * (np.sqrt(np.einsum("qd,qd->q", queries, queries)) + self._longest))[:, None]
        every, first = np.arange(len(queries)), bounds.argmax(1)
        promising = np.zeros(bounds.shape, np.bool_)
        promising[every, first] = bounds[every, first] >= best
        self._look_through(promising, queries, bias, best, index)
        promising = bounds >= best[:, None]
        promising[every, first] = False
        look = self._look_through if promising.mean() < MOST else self._look_through_all
        look(promising, queries, bias, best, index)
        return best, index

    def _bounds(self, queries: Float, bias: Float, sketches: Sketched | None) -> Float:
        """The highest closeness that each group may hold: [Q,M/GROUP]."""
        if self._sketches is not None and self._axes is not None:
            return self._sketches.bounds(sketches or sketched(queries, self._axes), bias)
        shut = np.isneginf(bias.reshape(-1, GROUP).max(1))
        return np.repeat(np.where(shut, np.float32(-np.inf), np.float32(np.inf))[None], len(queries), 0)

    def _look_through(self, wanted: NDArray[np.bool_], queries: Float, bias: Float, best: Float, index: Index) -> None:
        """Take over closer rows from the groups wanted of each query, bool [Q,M/GROUP]; best, index: [Q], changed in place."""
        groups, members = np.nonzero(wanted.T)
        closeness, at = np.empty(len(members), np.float32), np.empty(len(members), np.int64)

        first, starts = np.unique(groups, return_index=True)
        for group, start, end in zip(first, starts, np.append(starts, len(groups))[1:], strict=True):
            part, rows = slice(start, end), slice(group * GROUP, (group + 1) * GROUP)
            at[part], closeness[part] = graphs.run_all(
                "closest", {"queries": queries[members[part]], "rows": self.rows[rows], "bias": bias[rows]}
            )
        at = self.index[groups * GROUP + at]
        order = np.lexsort((at, -closeness, members))
        found, places = np.unique(members[order], return_index=True)
        _take_over(closeness[order][places], at[order][places], best, index, found)

    def _look_through_all(self, _: NDArray[np.bool_], queries: Float, bias: Float, best: Float, index: Index) -> None:
        """As `_look_through`, of all groups."""
        every = np.arange(len(queries))
        for block in blocks(len(self.rows)):
            at, closeness = graphs.run_all("closest_each", {"queries": queries, "rows": self.rows[block], "bias": bias[block]})
            highest = closeness.max(1)
            at += block.start + GROUP * np.arange(at.shape[1])
            at = np.where(closeness == highest[:, None], self.index[at], len(self.index)).min(1)
            _take_over(highest, at, best, index, every)


def _take_over(closeness: Float, at: Index, best: Float, index: Index, members: Index) -> None:
    """Of these members of the queries, what is closer than the best so far, or as close and earlier. best, index: changed."""
    closer = (closeness > best[members]) | ((closeness == best[members]) & (at < index[members]))
    best[members[closer]], index[members[closer]] = closeness[closer], at[closer]


def _halved(points: Float, index: Index) -> list[Index]:
    """Groups of points that lie together, each of GROUP but the last: halves along the widest coordinate, again and again."""
    if len(index) <= GROUP:
        return [index]
    here = points[index]
    order = np.argsort(here[:, here.var(0).argmax()], kind="stable")
    middle = -(-len(index) // GROUP) // 2 * GROUP
    return [*_halved(points, index[order[:middle]]), *_halved(points, index[order[middle:]])]

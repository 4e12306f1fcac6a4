"""Held-out scores of good pictures that stand far from the rest."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from flawsight.types import Float

ODD_ONE_IN = 20  # that stand far from the rest may be rejected instead, one at least
FEWEST = 10  # series among which one can stand far from the rest
ODD_FROM = 0.25  # quantile of the scores from which it is measured how far the highest of the rest reaches
ODD, ODD_OF_FEW = 0.75, 10.0  # far from the rest is what stands higher by more than ODD + ODD_OF_FEW / series times that reach
ODD_PLAIN = 1.4  # times as far where ratios of scores mean nothing
SUSPECT_ONE_IN = 10  # pictures can be suspect
SUSPECT, SUSPECT_FROM = 1.0, 0.25  # times the reach of the rest from this quantile that it must lie higher
FEW = 5  # pictures among which one can be suspect
FEW_SUSPECT = 2.0  # times the spread of the others that it must lie above them, where there are fewer than FEWEST


def odd(held_out: Float, series: Sequence[int] | NDArray[np.int64] | None = None) -> NDArray[np.bool_]:
    """Which held-out pictures are of series that stand far from the rest, bool [n]: at most one series in ODD_ONE_IN, or one.

    The highest scores of some series do where log(the lowest of them / the highest of all others) is more than ODD + ODD_OF_FEW /
    series of log(the latter / the quantile ODD_FROM of all). Ratios, so that skewed scores have odd ones no oftener than others:
    in simulations (benchmarks/odd.py) about one clean draw in twenty at most. Where that quantile is not positive, differences
    take the place of logarithms, ODD_PLAIN times as far. Fewer than FEWEST series have none.
    """
    groups = np.arange(len(held_out)) if series is None else np.asarray(series)
    known = held_out[np.isfinite(held_out)]
    n = len(np.unique(groups[np.isfinite(held_out)]))
    if n < FEWEST:
        return np.zeros(len(held_out), bool)
    far, most, base = ODD + ODD_OF_FEW / n, max(1, n // ODD_ONE_IN), float(np.quantile(known, ODD_FROM))
    if base <= 0:
        return _far_above(held_out, groups, most, ODD_PLAIN * far, base)
    return _far_above(np.log(np.maximum(held_out, base)), groups, most, far, math.log(base))


def suspects(held_out: Float, copies: Sequence[int], series: Sequence[int] | NDArray[np.int64] | None = None) -> NDArray[np.bool_]:
    """Which held-out pictures a person should look at, bool [n]: those that `odd` finds, and single ones, whatever the threshold.

    copies: a number for each picture, the same for those that show the same. Of different pictures one in SUSPECT_ONE_IN, rounded
    up, can be found: where they exceed all others by more than these exceed the lowest quarter by. Of FEW to FEWEST one can, where
    it exceeds the others by FEW_SUSPECT times their range.
    """
    found, groups, known = odd(held_out, series), np.asarray(copies), held_out[np.isfinite(held_out)]
    n = len(np.unique(groups[np.isfinite(held_out)]))
    if n >= FEWEST:
        most = math.ceil(n / SUSPECT_ONE_IN)
        return found | _far_above(held_out, groups, most, SUSPECT, float(np.quantile(known, SUSPECT_FROM)))
    if n >= FEW:
        return found | _far_above(held_out, groups, 1, FEW_SUSPECT, float(known.min()))
    return found


def _far_above(held_out: Float, groups: NDArray[np.int64], most: int, far: float, base: float) -> NDArray[np.bool_]:
    """Which pictures are of groups that stand far above all others: by more than `far` of what these exceed `base` by.

    most: how many groups can.
    """
    usable = np.isfinite(held_out)
    names, which = np.unique(groups[usable], return_inverse=True)
    tops = np.full(len(names), -np.inf)
    np.maximum.at(tops, which, held_out[usable])
    ranked = np.argsort(-tops, kind="stable")
    for j in range(most, 0, -1):
        rest = tops[ranked[j]]
        if tops[ranked[j - 1]] - rest > far * (rest - base):
            above: NDArray[np.bool_] = usable & np.isin(groups, names[ranked[:j]]) & (held_out > rest)
            return above
    return np.zeros(len(held_out), bool)

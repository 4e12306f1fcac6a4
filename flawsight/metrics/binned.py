"""The metrics of maps from counts in bins, for more pixels than memory holds, each with a proven bound on its error.

A bin holds the scores that share the 20 highest bits of their order-preserving code: sign, exponent and 11 bits of mantissa, so
that its scores differ by less than one part in 2048. The bounds come from the counts, not from a model of the data: within a
bin, pixels may be in any order, and each metric is bounded over all of them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flawsight.metrics.ranking import Counts

CODE_BITS, BIN_BITS = 32, 20

Codes = NDArray[np.uint32]
Reals = NDArray[np.float64]


class Ends(NamedTuple):
    """Where the non-empty bins end, highest score first. codes: the lowest scores of each, uint32 [n].

    tp, fp: pixels so far, int64 [n+1], from 0; overlap: sum of the shares of regions so far, [n+1].
    """

    codes: Codes
    tp: Counts
    fp: Counts
    overlap: Reals


class Bins:
    """Counts good pixels, defective pixels and shares of regions a bin: 24 MiB, however many pixels come."""

    def __init__(self) -> None:
        n = 1 << BIN_BITS
        self._good: Counts = np.zeros(n, np.int64)
        self._defective: Counts = np.zeros(n, np.int64)
        self._overlap: Reals = np.zeros(n)

    def add(self, codes: Codes, shares: Reals) -> None:
        """codes: of each pixel's score, uint32 [m], low for high scores. shares: of its region, [m]; 0 for good pixels."""
        bins = (codes >> np.uint32(CODE_BITS - BIN_BITS)).astype(np.intp)
        bad = shares > 0
        self._good += np.bincount(bins[~bad], minlength=len(self._good))
        if bad.any():
            self._defective += np.bincount(bins[bad], minlength=len(self._good))
            self._overlap += np.bincount(bins[bad], shares[bad], len(self._good))

    @property
    def good(self) -> Counts:
        """Good pixels a bin."""
        return self._good

    def ends(self, good: Counts | None = None) -> Ends:
        """The cumulated counts; of good pixels those given, where another has counted them."""
        good = self._good if good is None else good
        filled = np.flatnonzero(good + self._defective)
        codes = ((filled + 1 << (CODE_BITS - BIN_BITS)) - 1).astype(np.uint32)
        tp, fp = (np.append(0, np.cumsum(counts[filled])) for counts in (self._defective, good))
        return Ends(codes, tp, fp, np.append(0, np.cumsum(self._overlap[filled])))


def largest_error(ends: Ends, max_fpr: float) -> float:
    """How far AUROC, AP, F1max and PRO can be from those of the single pixels when worked out from the bins' ends, at most."""
    tp, fp = ends.tp.astype(np.float64), ends.fp.astype(np.float64)
    more_tp, more_fp = np.diff(tp), np.diff(fp)
    auroc = 0.5 * (more_tp @ more_fp) / (tp[-1] * fp[-1])
    return float(max(auroc, _ap_error(tp, fp), _f1_error(tp, fp), pro_error(fp, ends.overlap, max_fpr)))


def _ap_error(tp: Reals, fp: Reals) -> float:
    """Precision in a bin lies between that of all its good pixels coming first and that of none having come."""
    more, value = np.diff(tp), tp[1:] / (tp[1:] + fp[1:])
    high = tp[1:] / np.maximum(tp[1:] + fp[:-1], 1)
    low = (tp[:-1] + 1) / (tp[:-1] + 1 + fp[1:])  # of the first of them
    return float(max(more @ (high - value), more @ (value - low)) / tp[-1])


def _f1_error(tp: Reals, fp: Reals) -> float:
    """The best F1 inside a bin is at most that of all its defective pixels coming first."""
    best = (2 * tp[1:] / (tp[1:] + fp[1:] + tp[-1])).max()
    return float((2 * tp[1:] / (tp[1:] + fp[:-1] + tp[-1])).max() - best)


def pro_error(fp: Reals, overlap: Reals, max_fpr: float) -> float:
    """The curve rises from a bin's lower to its upper end anyhow: the straight line is off by half the rectangle between them.

    Of the bin in which the false-positive rate reaches its limit, by the whole of what lies before it.
    """
    limit = max_fpr * fp[-1]
    wide, high = np.minimum(fp[1:], limit) - np.minimum(fp[:-1], limit), np.diff(overlap) / overlap[-1]
    part = np.where(fp[1:] <= limit, 0.5, 1.0)
    return float((part * wide) @ high / limit)

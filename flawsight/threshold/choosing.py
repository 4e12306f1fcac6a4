"""From the held-out scores of good pictures to a threshold, and what that threshold promises, in counts.

Of n good pictures that the model did not learn from, let k score above the threshold. If later good pictures are like these, then
with confidence c at most a share p of them will, where p solves P(Binomial(n, p) ≤ k) = 1 − c: Clopper and Pearson's bound
(Biometrika 1934). It holds even though the threshold is chosen from the same scores, as their (k+1)-th largest: the share above
that order statistic follows Beta(k+1, n−k), whose c-quantile is the same p (Wilks, Ann. Math. Stat. 1941).

Pictures of one series are no evidence of their own. Where there are series, n counts those, and k is the sum of the share of each
that scores above: a picture weighs one over the size of its series. The bound takes such a k too, since Beta(k+1, n−k) asks for no
whole number. With every picture a series of its own all is as above.

By default a few scores that stand far from the rest do not set the threshold but count as rejected. Then the scores themselves say
how many are rejected, which Wilks' law is not of; so that bound is worked out for a fiftieth of the risk, and both together fail no
more often than is said, but for that fiftieth. Simulations with normal, log-normal and Student's t scores, 10 to 300, agree.

A threshold that known defects set misses some of them, j of m. The same bound holds for the share of such defects that will be
missed, but j was chosen with the threshold. So the bound is worked out for a risk of its own, (1 − c) / ((j+1)(j+2)); over all j
that might have come these sum to 1 − c. Held-out scores that helped to choose are treated likewise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Context

import numpy as np
from numpy.typing import NDArray

from flawsight.errors import DataError, UsageError
from flawsight.threshold.outlying import odd
from flawsight.types import Float

CONFIDENCE = 0.95
SMALLEST = 1e-6  # a finer promise needs more than three million good pictures
LADDER = (0.01, 0.02, 0.05, 0.1)
WITHOUT = "default, without"  # the rule where some scores, so many, did not set the threshold
ONE_SERIES_IN = 20  # likewise of series, where they have two pictures or more each: one unlike all others would set it
ONE_IN = 50  # by default the threshold lets one in fifty of the held-out pictures be rejected: none of fewer than fifty
ODD_RISK = 0.02  # of 1 − confidence that is left where such scores were set aside
ROUNDING = 1e-7  # of sums of shares


@dataclass(frozen=True)
class Threshold:
    """A picture is rejected when its score is above `value`.

    n_held_out good pictures were scored unseen, n_rejected of them above the value; with `confidence` at most the share
    `max_false_rejects` of such pictures will be. rule: how the value was chosen. n_series: that the pictures came in, 0 where each
    counts by itself; rejected_series: the sum of the shares of each that were rejected. One series supports no promise.
    n_defects: known defects that it was chosen with, n_missed of them not above the value; at most the share max_misses of such
    defects will be missed.
    """

    value: float
    n_held_out: int
    n_rejected: int
    max_false_rejects: float
    confidence: float
    rule: str
    n_series: int = 0
    rejected_series: float = 0.0
    n_defects: int = 0
    n_missed: int = 0
    max_misses: float = 1.0

    def __post_init__(self) -> None:
        if math.isnan(self.value):
            raise UsageError("threshold: the value must be a number; got nan.")
        check_confidence(self.confidence)
        known = 0 <= self.n_rejected <= self.n_held_out and 0 <= self.max_false_rejects <= 1
        if not known or not 0 <= self.rejected_series <= max(self.n_series, 0):
            raise UsageError(
                f"threshold: n_rejected, max_false_rejects and rejected_series must be shares of what was held out; got {self}."
            )

    @property
    def promise(self) -> str:
        """What the threshold promises, as a sentence."""
        if not self.n_defects:
            return self._of_good
        return (
            f"{self._of_good}; {self.n_missed} of {self.n_defects} known defects would be missed; with "
            f"{_percent(self.confidence)} confidence at most {100 * self.max_misses:.3g} % of such defects will be"
        )

    @property
    def _of_good(self) -> str:
        if self.n_series == 1:
            return (
                f"all {self.n_held_out} held-out good pictures are of one series, so no promise is possible; at this threshold "
                f"{self.n_rejected} of them would be rejected"
            )
        if self.n_series:
            return (
                f"at this threshold {self.rejected_series:.3g} of {self.n_series} series ({self.n_rejected} of {self.n_held_out} "
                f"held-out good pictures) would be rejected; with {_percent(self.confidence)} confidence at most "
                f"{100 * self.max_false_rejects:.3g} % of pictures of new series will be"
            )
        return (
            f"at this threshold {self.n_rejected} of {self.n_held_out} held-out good pictures would be rejected; with "
            f"{_percent(self.confidence)} confidence at most {100 * self.max_false_rejects:.3g} % of such pictures will be"
        )


def choose(
    held_out: Float,
    max_false_rejects: float | None = None,
    confidence: float = CONFIDENCE,
    series: Sequence[int] | NDArray[np.int64] | None = None,
) -> Threshold:
    """The lowest threshold that keeps the promise asked for, or the default one.

    held_out: scores of good pictures unseen, float32 [n], n ≥ 2. max_false_rejects: share in (0,1). series: a number for each
    picture, the same for those of one series; each is its own if None. By default one in ONE_IN pictures may be rejected, one in
    ONE_SERIES_IN series where pictures come in them, or what stands far from the rest, see `odd`. Raises UsageError for a promise
    that so few cannot support, with how many it needs.
    """
    scores = _Scores(held_out, series)
    k = float(most_rejected(scores.n, max_false_rejects, confidence, scores.n_series == 1))
    if max_false_rejects is None and scores.n_series > 1:  # as many pictures as if there were no series, weighted
        k = len(scores.values) // ONE_IN * scores.n / len(scores.values)
        if len(scores.values) >= 2 * scores.n:
            k = max(k, scores.n // ONE_SERIES_IN)
    if max_false_rejects is not None:
        return scores.threshold(scores.lowest(k), confidence, f"max_false_rejects {_percent(max_false_rejects)}")
    far = odd(held_out, series)
    if scores.n_series == 1 or not far.any() or (more := scores.rejected(float(held_out[np.isfinite(held_out) & ~far].max()))) <= k:
        return scores.threshold(scores.lowest(k), confidence, "default")
    rule = f"{WITHOUT} {np.count_nonzero(far)} far from the rest"
    return scores.threshold(scores.lowest(more), confidence, rule, 1 - ODD_RISK * (1 - confidence))


def most_rejected(n: int, max_false_rejects: float | None = None, confidence: float = CONFIDENCE, one_series: bool = False) -> int:
    """How many of n held-out good pictures or series a threshold may reject: by default, or to keep the promise asked for.

    one_series: whether all pictures are of one. Raises UsageError for a promise that so few cannot support.
    """
    check_confidence(confidence)
    if max_false_rejects is None:
        return n // ONE_IN
    check_share(max_false_rejects)
    if one_series:
        raise UsageError(
            f"threshold: to promise at most {_percent(max_false_rejects)} false rejects needs good pictures of several series; all "
            "are of one, so no promise is possible. Add pictures of other series, or leave out max_false_rejects."
        )
    if upper_bound(0, n, confidence) > max_false_rejects:
        raise UsageError(
            f"threshold: to promise at most {_percent(max_false_rejects)} false rejects with {_percent(confidence)} confidence "
            f"needs {_needed(max_false_rejects, confidence)} different good pictures; there are {n}, which support "
            f"{_rounded_up(upper_bound(0, n, confidence))}. Add good pictures or ask for less."
        )
    return max(k for k in range(n) if upper_bound(k, n, confidence) <= max_false_rejects)


def fixed(
    held_out: Float,
    value: float,
    confidence: float = CONFIDENCE,
    series: Sequence[int] | NDArray[np.int64] | None = None,
) -> Threshold:
    """A threshold set by hand, with what it promises."""
    if not math.isfinite(value):
        raise UsageError(f"threshold: the value must be a finite number; got {value}.")
    check_confidence(confidence)
    return _Scores(held_out, series).threshold(value, confidence, "set by hand")


def from_defects(
    held_out: Float,
    defective: Sequence[float],
    good: Sequence[float] = (),
    confidence: float = CONFIDENCE,
    series: Sequence[int] | NDArray[np.int64] | None = None,
) -> Threshold:
    """The threshold that tells known defects from good pictures best, see `fits_best`, with what it promises of both.

    held_out, series: see `choose`. defective, good: scores of labelled pictures; without good ones the held-out scores stand in.
    Raises DataError without defects, or where none of them scores above good pictures more often than chance.
    """
    check_confidence(confidence)
    scores = _Scores(held_out, series)
    value = fits_best(good if len(good) else scores.values.tolist(), defective)
    if value is None:
        raise DataError(
            "threshold: needs known defects that score above good pictures; no threshold tells those that came "
            f"({len(defective)}) from good ones better than chance. Fit with a larger size, or look whether they can be seen."
        )
    missed = sum(score <= value for score in defective)
    rule = f"set by {len(defective)} known defects"
    chosen = scores.threshold(value, confidence, f"{rule} and {len(good)} good pictures" if len(good) else rule)
    if not len(good):
        chosen = scores.threshold(value, confidence, rule, _for_one_of(chosen.n_rejected, confidence))
    bound = upper_bound(missed, len(defective), _for_one_of(missed, confidence))
    return replace(chosen, n_defects=len(defective), n_missed=missed, max_misses=bound)


def fits_best(good: Sequence[float], defective: Sequence[float]) -> float | None:
    """The threshold with the smallest sum of two shares: of good pictures rejected and of defective ones missed.

    It lies half-way between two scores; of several as good it is the lowest. None where no threshold does better than chance, or
    either kind is missing.
    """
    if not len(good) or not len(defective):
        return None
    known = np.unique(np.array([*good, *defective], np.float64))
    rejected = 1 - np.searchsorted(np.sort(good), known, "right") / len(good)
    missed = np.searchsorted(np.sort(defective), known, "right") / len(defective)
    wrong = np.round(rejected + missed, 9)  # so that equal sums are equal
    best = int(np.argmin(wrong))
    return half_way(known, float(known[best])) if wrong[best] < 1 else None


def half_way(scores: Sequence[float] | NDArray[np.float64], value: float) -> float:
    """Half-way from the value to the next higher score; the value where there is none."""
    higher = [float(score) for score in scores if score > value]
    return (value + min(higher, default=value)) / 2


def _for_one_of(k: int, confidence: float) -> float:
    """The confidence of a bound for k where k was chosen too: the risks of all k together are 1 − confidence."""
    return 1 - (1 - confidence) / ((k + 1) * (k + 2))


def none(confidence: float = CONFIDENCE) -> Threshold:
    """A threshold that rejects nothing and promises nothing, where no picture is to be judged good or defective."""
    return Threshold(math.inf, 0, 0, 1.0, confidence, "none: only scores are wanted")


def ladder(
    held_out: Float, confidence: float = CONFIDENCE, series: Sequence[int] | NDArray[np.int64] | None = None
) -> list[Threshold]:
    """Thresholds from strict to lenient in what they let be rejected: none, 1, 2, 5 and 10 % of the held-out pictures.

    The last is the lowest. Of few pictures several of these are the same, and stand there once.
    """
    scores = _Scores(held_out, series)
    ranked = np.sort(scores.values)[::-1]
    allowed = sorted({0, *(math.floor(len(ranked) * share) for share in LADDER)})
    return [scores.threshold(float(ranked[k]), confidence, "ladder") for k in allowed]


def upper_bound(k: float, n: int, confidence: float = CONFIDENCE) -> float:
    """Clopper and Pearson's one-sided upper bound on a share of which k in n were seen; k may be a sum of shares."""
    from scipy.special import betaincinv

    return 1.0 if k >= n else float(betaincinv(k + 1, n - k, confidence))


def parse_share(text: str) -> float:
    """A share from "1%", "1 %" or "0.01"."""
    number = text.strip().removesuffix("%").strip()
    try:
        value = float(number)
    except ValueError:
        raise UsageError(f"threshold: a share such as 1% or 0.01 was needed; got '{text}'.") from None
    return value / 100 if text.strip().endswith("%") else value


def _needed(max_false_rejects: float, confidence: float) -> int:
    """The fewest good pictures that support the promise: the formula's number, set right where rounding moved it by one."""
    n = math.ceil(math.log(1 - confidence) / math.log1p(-max_false_rejects))
    near = range(max(1, n - 1), n + 2)
    return next(m for m in near if m == near[-1] or upper_bound(0, m, confidence) <= max_false_rejects)


def check_share(max_false_rejects: float) -> None:
    """Raise UsageError for a share of false rejects that no number of pictures could promise."""
    if not SMALLEST <= max_false_rejects < 1:
        raise UsageError(
            f"threshold: max_false_rejects must be a share between {SMALLEST:f} and 1, or a percentage, such as 5%; "
            f"got {max_false_rejects}."
        )


def check_confidence(confidence: float) -> None:
    """Raise UsageError for a confidence that is no share."""
    if not 0 < confidence < 1:
        raise UsageError(f"threshold: confidence must be between 0 and 1; got {confidence}.")


class _Scores:
    """Held-out scores that are known, the weight of each, and how many units of evidence they are."""

    def __init__(self, held_out: Float, series: Sequence[int] | NDArray[np.int64] | None) -> None:
        usable = np.isfinite(held_out)
        self.values = held_out[usable]
        if len(self.values) < 2:
            raise DataError(
                f"threshold: needs held-out scores of at least 2 good pictures; got {len(self.values)}. Add good pictures."
            )
        groups = np.arange(len(self.values)) if series is None else np.asarray(series)[usable]
        _, which, sizes = np.unique(groups, return_inverse=True, return_counts=True)
        self.weights = 1 / sizes[which]
        self.n = len(sizes)
        self.n_series = 0 if self.n == len(self.values) else self.n

    def rejected(self, value: float) -> float:
        """The sum over series of the share that scores above the value."""
        k = float(self.weights[self._above(value)].sum())
        return round(k) if abs(k - round(k)) < ROUNDING else k

    def lowest(self, k: float) -> float:
        """The lowest score above which no more than k of the series are."""
        rising = np.unique(self.values)
        at = np.searchsorted(rising, self.values)
        above = self.weights.sum() - np.cumsum(np.bincount(at, self.weights))
        return float(rising[np.flatnonzero(above <= k + ROUNDING)[0]])

    def threshold(self, value: float, confidence: float, rule: str, bound_at: float | None = None) -> Threshold:
        """The threshold at that value. bound_at: the confidence to work the bound out with, if another than is said."""
        pictures, k = int(np.count_nonzero(self._above(value))), self.rejected(value)
        bound = 1.0 if self.n_series == 1 else upper_bound(k, self.n, bound_at or confidence)
        return Threshold(
            value, len(self.values), pictures, bound, confidence, rule, self.n_series, float(k if self.n_series else 0)
        )

    def _above(self, value: float) -> NDArray[np.bool_]:
        return self.values.astype(np.float64) > value  # as Prediction compares


def _percent(share: float) -> str:
    return f"{100 * share:.6g} %"


def _rounded_up(share: float) -> str:
    """As percent, never smaller than it is: else 298 pictures would seem to support the 1 % that they are refused for."""
    return f"{Context(prec=3, rounding=ROUND_CEILING).create_decimal_from_float(100 * share):f} %"

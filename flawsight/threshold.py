"""From the held-out scores of good pictures to a threshold, and what that threshold promises, in counts.

Of n good pictures that the model did not learn from, let k score above the threshold. If later good pictures are like these, then
with confidence c at most a share p of them will, where p solves P(Binomial(n, p) ≤ k) = 1 − c: Clopper and Pearson's bound
(Biometrika 1934). It holds even though the threshold is chosen from the same scores, as their (k+1)-th largest: the share above
that order statistic follows Beta(k+1, n−k), whose c-quantile is the same p (Wilks, Ann. Math. Stat. 1941).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context

import numpy as np

from flawsight.errors import DataError, UsageError
from flawsight.types import Float

CONFIDENCE = 0.95
SMALLEST = 1e-6  # a finer promise needs more than three million good pictures
LADDER = (0.01, 0.02, 0.05, 0.1)
ONE_IN = 50  # by default the threshold lets one in fifty of the held-out pictures be rejected: none of fewer than fifty


@dataclass(frozen=True)
class Threshold:
    """A picture is rejected when its score is above `value`.

    n_held_out good pictures were scored unseen, n_rejected of them above the value; with `confidence` at most the share
    `max_false_rejects` of such pictures will be. rule: how the value was chosen.
    """

    value: float
    n_held_out: int
    n_rejected: int
    max_false_rejects: float
    confidence: float
    rule: str

    @property
    def promise(self) -> str:
        """What the threshold promises, as a sentence."""
        return (
            f"at this threshold {self.n_rejected} of {self.n_held_out} held-out good pictures would be rejected; with "
            f"{_percent(self.confidence)} confidence at most {100 * self.max_false_rejects:.3g} % of such pictures will be"
        )


def choose(held_out: Float, max_false_rejects: float | None = None, confidence: float = CONFIDENCE) -> Threshold:
    """The lowest threshold that keeps the promise asked for, or the default one.

    held_out: scores of good pictures unseen, float32 [n], n ≥ 2. max_false_rejects: share in (0,1). Raises UsageError for a
    promise that so few pictures cannot support, with how many it needs.
    """
    scores = np.sort(_usable(held_out))[::-1]
    k = most_rejected(len(scores), max_false_rejects, confidence)
    rule = "default" if max_false_rejects is None else f"max_false_rejects {_percent(max_false_rejects)}"
    return _above(scores, float(scores[k]), confidence, rule)


def most_rejected(n: int, max_false_rejects: float | None = None, confidence: float = CONFIDENCE) -> int:
    """How many of n held-out good pictures a threshold may reject: by default, or to keep the promise asked for.

    Raises UsageError for a promise that so few pictures cannot support.
    """
    _check_confidence(confidence)
    if max_false_rejects is None:
        return n // ONE_IN
    if not SMALLEST <= max_false_rejects < 1:
        raise UsageError(
            f"threshold: max_false_rejects must be a share between {SMALLEST:f} and 1, or a percentage, such as 5%; "
            f"got {max_false_rejects}."
        )
    if upper_bound(0, n, confidence) > max_false_rejects:
        raise UsageError(
            f"threshold: to promise at most {_percent(max_false_rejects)} false rejects with {_percent(confidence)} confidence "
            f"needs {_needed(max_false_rejects, confidence)} different good pictures; there are {n}, which support "
            f"{_rounded_up(upper_bound(0, n, confidence))}. Add good pictures or ask for less."
        )
    return max(k for k in range(n) if upper_bound(k, n, confidence) <= max_false_rejects)


def fixed(held_out: Float, value: float, confidence: float = CONFIDENCE) -> Threshold:
    """A threshold set by hand, with what it promises."""
    if not math.isfinite(value):
        raise UsageError(f"threshold: the value must be a finite number; got {value}.")
    _check_confidence(confidence)
    return _above(_usable(held_out), value, confidence, "set by hand")


def none(confidence: float = CONFIDENCE) -> Threshold:
    """A threshold that rejects nothing and promises nothing, where no picture is to be judged good or defective."""
    return Threshold(math.inf, 0, 0, 1.0, confidence, "none: only scores are wanted")


def ladder(held_out: Float, confidence: float = CONFIDENCE) -> list[Threshold]:
    """Thresholds from strict to lenient in what they let be rejected: none, 1, 2, 5 and 10 % of the held-out pictures.

    The last is the lowest. Of few pictures several of these are the same, and stand there once.
    """
    scores = np.sort(_usable(held_out))[::-1]
    allowed = sorted({0, *(math.floor(len(scores) * share) for share in LADDER)})
    return [_above(scores, float(scores[k]), confidence, "ladder") for k in allowed]


def upper_bound(k: int, n: int, confidence: float = CONFIDENCE) -> float:
    """Clopper and Pearson's one-sided upper bound on a share of which k in n were seen."""
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


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise UsageError(f"threshold: confidence must be between 0 and 1; got {confidence}.")


def _above(scores: Float, value: float, confidence: float, rule: str) -> Threshold:
    k, n = int(np.count_nonzero(scores.astype(np.float64) > value)), len(scores)  # as Prediction compares
    return Threshold(value, n, k, upper_bound(k, n, confidence), confidence, rule)


def _usable(held_out: Float) -> Float:
    scores = held_out[np.isfinite(held_out)]
    if len(scores) < 2:
        raise DataError(f"threshold: needs held-out scores of at least 2 good pictures; got {len(scores)}. Add good pictures.")
    return scores


def _percent(share: float) -> str:
    return f"{100 * share:.6g} %"


def _rounded_up(share: float) -> str:
    """As percent, never smaller than it is: else 298 pictures would seem to support the 1 % that they are refused for."""
    return f"{Context(prec=3, rounding=ROUND_CEILING).create_decimal_from_float(100 * share):f} %"

"""Exact metrics of a ranking: how well scores put defective pictures above good ones.

A *cut* calls positive whatever scores at least t. Sweeping t down over the distinct scores gives one cut per group of tied
scores, counted in whole numbers: tp and fp, the positives and negatives at or above t. Everything here is a sum over the cuts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flawsight.errors import UsageError
from flawsight.types import Float, Mask

Counts = NDArray[np.int64]
NAN = float("nan")


def auroc(scores: ArrayLike, labels: ArrayLike) -> float:
    """Area under the ROC curve in [0,1]: the chance that a defective picture outscores a good one, ties counted ½.

    scores: [n], higher is worse. labels: [n] of 0 good, 1 defective. NaN if either class is missing.
    """
    _, tp, fp = _cuts(*_checked(scores, labels))
    return twice_area(tp, fp) / (2 * int(tp[-1]) * int(fp[-1])) if tp[-1] and fp[-1] else NAN


def object_auroc(scores: ArrayLike, labels: ArrayLike, objects: Sequence[str]) -> float:
    """AUROC over objects, each of which scores the highest of its pictures and is defective where any of them is.

    scores, labels: [n] as `auroc` takes them. objects: [n], what each picture shows.
    """
    values, truth = _checked(scores, labels)
    if len(objects) != values.size:
        raise UsageError(
            f"metrics.ranking: one object a picture was needed; came {len(objects)} for {values.size} scores. "
            "Name what each of them shows."
        )
    _, number = np.unique(np.asarray(objects), return_inverse=True)
    highest, defective = np.full(number.max(initial=-1) + 1, -np.inf), np.zeros(number.max(initial=-1) + 1, np.int64)
    np.maximum.at(highest, number, values)
    np.maximum.at(defective, number, truth)
    return auroc(highest, defective)


def average_precision(scores: ArrayLike, labels: ArrayLike) -> float:
    """Average precision in [0,1]: precision at each cut, weighted by the recall it gains (steps, as scikit-learn).

    scores: [n], higher is worse. labels: [n] of 0 good, 1 defective. NaN if either class is missing.
    """
    _, tp, fp = _cuts(*_checked(scores, labels))
    return precision_sum(tp, fp) / int(tp[-1]) if tp[-1] and fp[-1] else NAN


def f1max(scores: ArrayLike, labels: ArrayLike) -> tuple[float, float]:
    """The best F1 of any cut, in [0,1], and its threshold t: score >= t is called defective.

    The threshold is an oracle's, chosen on the labels themselves; of several equally good ones, the highest.
    scores: [n], higher is worse. labels: [n] of 0 good, 1 defective. Both NaN if either class is missing.
    """
    thresholds, tp, fp = _cuts(*_checked(scores, labels))
    if not (tp[-1] and fp[-1]):
        return NAN, NAN
    value, at = best_f1(tp[1:], fp[1:], int(tp[-1]))
    return value, float(thresholds[at])


def balanced_accuracy(scores: ArrayLike, labels: ArrayLike, threshold: float) -> float:
    """The mean of the shares of good and of defective pictures that are called so, in [0,1], where score > threshold is defective.

    scores: [n], higher is worse. labels: [n] of 0 good, 1 defective. NaN if either class is missing.
    """
    values, positive = _checked(scores, labels)
    called = values > threshold
    if not positive.any() or positive.all():
        return NAN
    return float((called[positive].mean() + (~called[~positive]).mean()) / 2)


def roc_curve(scores: ArrayLike, labels: ArrayLike, n_points: int = 500) -> tuple[Float, Float]:
    """False-positive and true-positive rate of the cuts, float32 [n] each, n ≤ n_points, from (0,0) to (1,1).

    For drawing: where there are more cuts than points, evenly spaced ones are kept. Empty if either class is missing.
    """
    if n_points < 2:
        raise UsageError(f"metrics.roc_curve: n_points of at least 2 were needed; came {n_points}. Leave it at 500.")
    _, tp, fp = _cuts(*_checked(scores, labels))
    if not (tp[-1] and fp[-1]):
        return np.empty(0, np.float32), np.empty(0, np.float32)
    keep = np.linspace(0, tp.size - 1, min(tp.size, n_points)).round().astype(np.intp)
    return (fp[keep] / fp[-1]).astype(np.float32), (tp[keep] / tp[-1]).astype(np.float32)


def twice_area(tp: Counts, fp: Counts) -> int:
    """Twice the area under tp over fp by the trapezoid rule; whole numbers, so exact."""
    return int(np.dot(np.diff(fp), tp[1:] + tp[:-1]))


def precision_sum(tp: Counts, fp: Counts) -> float:
    """Sum over cuts 1… of (tp gained since the cut before) · precision; tp and fp start with the cut before the first."""
    return float(np.dot(np.diff(tp), tp[1:] / (tp[1:] + fp[1:])))


def best_f1(tp: Counts, fp: Counts, n_positive: int) -> tuple[float, int]:
    """The best F1 of these cuts and the position of the first cut that reaches it."""
    f1 = 2 * tp / (tp + fp + n_positive)
    at = int(np.argmax(f1))
    return float(f1[at]), at


def _cuts(scores: NDArray[np.float64], positive: Mask) -> tuple[NDArray[np.float64], Counts, Counts]:
    """Thresholds [n], falling; tp and fp [n+1], which start with the cut above every score: 0 and 0."""
    order = np.argsort(-scores, kind="stable")
    scores, positive = scores[order], positive[order]
    # Only the last of a group of tied scores is a cut: a threshold takes the whole group or none of it.
    last = np.append(scores[1:] != scores[:-1], True)[: scores.size].nonzero()[0]
    tp = np.cumsum(positive, dtype=np.int64)[last]
    return scores[last], np.concatenate(([0], tp)), np.concatenate(([0], last + 1 - tp))


def _checked(scores: ArrayLike, labels: ArrayLike) -> tuple[NDArray[np.float64], Mask]:
    values, truth = np.asarray(scores, np.float64), np.asarray(labels)
    if values.ndim != 1 or values.shape != truth.shape:
        raise UsageError(
            f"metrics.ranking: one label per score was needed; came scores {values.shape} and labels {truth.shape}. "
            "Pass two flat lists of one length."
        )
    if np.isnan(values).any():
        raise UsageError(
            f"metrics.ranking: scores that can be ranked were needed; came {int(np.isnan(values).sum())} NaN. "
            "Leave out the pictures that were not scored."
        )
    if not ((truth == 0) | (truth == 1)).all():
        raise UsageError(
            "metrics.ranking: labels of 0 (good) and 1 (defective) were needed; came other values. "
            "Leave out the pictures whose label is unknown."
        )
    return values, truth == 1

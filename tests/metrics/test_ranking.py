from __future__ import annotations

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (  # type: ignore[import-untyped]
    average_precision_score,
    balanced_accuracy_score,
    precision_recall_curve,
    roc_auc_score,
)

from flawsight import metrics
from flawsight.errors import UsageError
from flawsight.metrics.ranking import auroc, average_precision, balanced_accuracy, f1max, object_auroc, roc_curve

# Few distinct values, so that most examples have ties, across the classes too. Both classes are always there.
SCORES = st.sampled_from([-math.inf, -2.5, -0.0, 0.0, 1e-30, 1.0, 3.0, math.inf])
FINITE = st.sampled_from([-2.5, -0.0, 0.0, 1e-30, 1.0, 3.0])


def rankings(scores: st.SearchStrategy[float]) -> st.SearchStrategy[tuple[list[float], list[int]]]:
    good, defective = (st.lists(st.tuples(scores, st.just(label)), min_size=1, max_size=20) for label in (0, 1))
    pairs = st.tuples(good, defective).map(lambda both: both[0] + both[1]).flatmap(st.permutations)
    return pairs.map(lambda rows: ([score for score, _ in rows], [label for _, label in rows]))


def slow_auroc(scores: list[float], labels: list[int]) -> float:
    good = [s for s, y in zip(scores, labels, strict=True) if not y]
    bad = [s for s, y in zip(scores, labels, strict=True) if y]
    return sum((b > g) + 0.5 * (b == g) for b, g in itertools.product(bad, good)) / (len(bad) * len(good))


def slow_cuts(scores: list[float], labels: list[int]) -> list[tuple[float, float, float]]:
    """(threshold, precision, recall) at every distinct score, highest first."""
    cuts = []
    for t in sorted(set(scores), reverse=True):
        called = [y for s, y in zip(scores, labels, strict=True) if s >= t]
        cuts.append((t, sum(called) / len(called), sum(called) / sum(labels)))
    return cuts


def slow_ap(scores: list[float], labels: list[int]) -> float:
    cuts = [(0.0, 0.0, 0.0), *slow_cuts(scores, labels)]
    return sum(precision * (recall - before) for (_, _, before), (_, precision, recall) in itertools.pairwise(cuts))


@given(rankings(SCORES))
def test_the_definitions(ranking: tuple[list[float], list[int]]) -> None:
    scores, labels = ranking
    assert auroc(scores, labels) == pytest.approx(slow_auroc(scores, labels), abs=1e-12)
    assert average_precision(scores, labels) == pytest.approx(slow_ap(scores, labels), abs=1e-12)
    best = max(2 * p * r / (p + r) if p + r else 0.0 for _, p, r in slow_cuts(scores, labels))
    assert f1max(scores, labels)[0] == pytest.approx(best, abs=1e-12)


@given(rankings(FINITE))
def test_scikit_learn(ranking: tuple[list[float], list[int]]) -> None:
    scores, labels = ranking
    called = [int(score > 0) for score in scores]
    assert balanced_accuracy(scores, labels, 0.0) == pytest.approx(balanced_accuracy_score(labels, called), abs=1e-12)
    assert auroc(scores, labels) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert average_precision(scores, labels) == pytest.approx(average_precision_score(labels, scores), abs=1e-12)
    precision, recall, _ = precision_recall_curve(labels, scores)
    best = np.max(2 * precision * recall / np.maximum(precision + recall, 1e-300))
    assert f1max(scores, labels)[0] == pytest.approx(best, abs=1e-12)


@given(rankings(SCORES))
def test_the_f1max_threshold_reaches_it_and_no_higher_one_does(ranking: tuple[list[float], list[int]]) -> None:
    scores, labels = np.array(ranking[0]), np.array(ranking[1])
    value, threshold = f1max(scores, labels)
    assert threshold in scores

    def f1(t: float) -> float:
        called = scores >= t
        return float(2 * labels[called].sum() / (called.sum() + labels.sum()))

    assert f1(threshold) == pytest.approx(value, abs=1e-12)
    assert all(f1(t) < value for t in scores[scores > threshold])


def test_by_hand() -> None:
    # Pairs (defective, good): 3>1, 3>2, 2>1, 2=2 → 3.5 of 4.
    assert auroc([1, 2, 2, 3], [0, 0, 1, 1]) == 0.875
    # Cuts at 3: 1 of 1 right, recall ½; at 2: 2 of 3 right, recall 1.
    assert average_precision([1, 2, 2, 3], [0, 0, 1, 1]) == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert f1max([1, 2, 2, 3], [0, 0, 1, 1]) == (0.8, 2.0)


def test_best_worst_and_blind() -> None:
    assert auroc([0, 1], [0, 1]) == 1.0
    assert auroc([1, 0], [0, 1]) == 0.0
    assert auroc([7, 7, 7], [0, 1, 1]) == 0.5
    assert average_precision([7, 7, 7], [0, 1, 1]) == pytest.approx(2 / 3)
    assert f1max([0, 1], [0, 1]) == (1.0, 1.0)


@given(rankings(FINITE))
def test_a_monotone_transform_changes_nothing(ranking: tuple[list[float], list[int]]) -> None:
    scores, labels = np.array(ranking[0]), ranking[1]
    moved = np.unique(scores, return_inverse=True)[1] ** 3 - 5
    assert auroc(moved, labels) == auroc(scores, labels)
    assert average_precision(moved, labels) == average_precision(scores, labels)
    assert f1max(moved, labels)[0] == f1max(scores, labels)[0]


@pytest.mark.parametrize("labels", [[], [0, 0, 0], [1, 1]])
def test_one_class_is_nan_never_a_half(labels: list[int]) -> None:
    scores = list(range(len(labels)))
    assert math.isnan(auroc(scores, labels))
    assert math.isnan(average_precision(scores, labels))
    assert [math.isnan(value) for value in f1max(scores, labels)] == [True, True]
    assert math.isnan(balanced_accuracy(scores, labels, 0.5))
    assert [rates.size for rates in roc_curve(scores, labels)] == [0, 0]


def test_roc_curve_has_every_cut_where_they_fit() -> None:
    fpr, tpr = roc_curve([1, 2, 2, 3], [0, 0, 1, 1])
    assert fpr.dtype == tpr.dtype == np.float32
    assert list(zip(fpr, tpr, strict=True)) == [(0, 0), (0, 0.5), (0.5, 1), (1, 1)]


@pytest.mark.parametrize("n_points", [2, 3, 500])
def test_roc_curve_is_thinned_to_points_of_the_full_one(n_points: int) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 2000)
    scores = rng.normal(labels)
    fpr, tpr = roc_curve(scores, labels, n_points)
    full = set(zip(*roc_curve(scores, labels, 10_000), strict=True))
    assert len(full) == 2001
    assert fpr.size == n_points
    assert (fpr[0], tpr[0], fpr[-1], tpr[-1]) == (0, 0, 1, 1)
    assert set(zip(fpr, tpr, strict=True)) <= full
    assert (np.diff(fpr) >= 0).all()
    assert (np.diff(tpr) >= 0).all()


def test_roc_curve_area_is_auroc() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 300)
    scores = rng.integers(0, 40, 300)
    fpr, tpr = roc_curve(scores, labels)
    assert np.trapezoid(tpr, fpr) == pytest.approx(auroc(scores, labels), abs=1e-6)


@pytest.mark.parametrize(
    ("scores", "labels", "needed"),
    [
        ([1.0, 2.0], [0], "one label per score"),
        ([[1.0], [2.0]], [[0], [1]], "one label per score"),
        ([1.0, math.nan], [0, 1], "1 NaN"),
        ([1.0, 2.0], [0, 255], "0 \\(good\\) and 1 \\(defective\\)"),
        ([1.0, 2.0], [1, None], "0 \\(good\\) and 1 \\(defective\\)"),
    ],
)
def test_what_cannot_be_ranked_is_refused(scores: list[float], labels: list[int], needed: str) -> None:
    for metric in (auroc, average_precision, f1max, roc_curve):
        with pytest.raises(UsageError, match=needed):
            metric(scores, labels)


def test_a_curve_of_one_point_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 2"):
        roc_curve([0, 1], [0, 1], n_points=1)


UNUSUAL = {"object_auroc", "balanced_accuracy", "pro_imagewise", "spro"}  # of what only some data sets or methods give


def test_measure_gives_every_metric_of_the_table_in_its_order() -> None:
    pixels = metrics.PixelTally()
    pixels.add(np.array([[3, 1, 2, 2, 0]], np.float32), np.array([[1, 1, 0, 0, 0]], np.bool_))
    pixels.add(np.array([[3, 1, 2]], np.float32), np.array([[[1, 1, 0]]], np.bool_), [0.5])
    found = pixels.metrics()
    known = metrics.Judged([0.1, 0.9, 0.2], [0, 1, 1], found, [float("nan"), 0.5, 0.25], ["a", "a", "b"], 0.5)
    values = metrics.measure(known)
    assert list(values) == list(metrics.METRICS)
    assert values.pop("pro_imagewise") == 0.375
    assert math.isnan(values.pop("object_auroc"))  # both are defective
    assert values.pop("balanced_accuracy") == 0.75  # the last is missed
    assert values.pop("spro") == found.spro > 0
    assert list(values) == [name for name in metrics.METRICS if name not in UNUSUAL]
    pixels = metrics.PixelTally()
    pixels.add(np.array([[3, 1, 2, 2, 0]], np.float32), np.array([[1, 1, 0, 0, 0]], np.bool_))
    found = pixels.metrics()
    values = metrics.measure(metrics.Judged([0.1, 0.9, 0.2], [0, 1, 1], found))
    assert list(values) == [name for name in metrics.METRICS if name not in UNUSUAL]
    assert [values[name] for name in values if metrics.METRICS[name].level == "pixel"] == [
        found.auroc,
        found.ap,
        found.f1max,
        found.pro,
    ]
    assert values["image_auroc"] == values["image_ap"] == values["image_f1max"] == 1.0
    assert all(name == metric.name for name, metric in metrics.METRICS.items())


def test_measure_without_pixels_gives_the_image_metrics() -> None:
    values = metrics.measure(metrics.Judged([0.1, 0.9], [0, 1]))
    assert list(values) == [name for name, metric in metrics.METRICS.items() if metric.level == "image" and name not in UNUSUAL]


def test_a_metric_is_a_function_and_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    row = metrics.Metric("n", "Pictures", "How many there are.", "image", lambda judged: float(len(np.asarray(judged.scores))))
    monkeypatch.setitem(metrics.METRICS, "n", row)
    assert metrics.measure(metrics.Judged([0.1, 0.9], [0, 1]))["n"] == 2


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.integers(0, 1), st.sampled_from("abcd")), max_size=12))
def test_an_object_scores_as_its_worst_picture(pictures: list[tuple[float, int, str]]) -> None:
    scores, labels, objects = ([one[at] for one in pictures] for at in range(3))
    highest = {name: max(score for score, _, other in pictures if other == name) for name in objects}
    defective = {name: any(label for _, label, other in pictures if other == name) for name in objects}
    pairs = [(highest[a], highest[b]) for a in highest for b in highest if defective[a] and not defective[b]]
    found = object_auroc(scores, labels, objects)
    if not pairs:
        assert math.isnan(found)
        return
    assert found == pytest.approx(np.mean([1.0 if bad > good else 0.5 if bad == good else 0.0 for bad, good in pairs]))


def test_each_picture_must_show_something() -> None:
    with pytest.raises(UsageError, match="one object a picture was needed; came 1 for 2 scores"):
        object_auroc([0.1, 0.2], [0, 1], ["a"])


def test_importing_the_metrics_does_not_import_scipy() -> None:
    code = "import sys, flawsight.metrics; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

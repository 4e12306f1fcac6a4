"""Rows that are the mean over folds: each fold judged by itself, then averaged."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from flawsight.datasets import open_dataset
from flawsight.errors import UsageError
from flawsight.evaluation import evaluate
from flawsight.evaluation.judging import Judging
from flawsight.fitting import Plan, fit
from flawsight.metrics import resampling
from flawsight.model import Model
from flawsight.reproduce.by_fold import averaged, folds
from flawsight.reproduce.planning import make_work
from flawsight.reproduce.rows import ROWS
from flawsight.reproduce.running import run
from flawsight.types import Sample

from .conftest import MakeRequest

FOLDS, RESAMPLES = 3, 50
PLAN = Plan(method="mahalanobis_ad", size=64, options={"folds": FOLDS}, needs_threshold=False)


@pytest.fixture(scope="module")
def pictures(plate: Path) -> list[Sample]:
    return open_dataset(plate).test


@pytest.fixture(scope="module")
def model(plate: Path) -> Model:
    return fit(open_dataset(plate).train, PLAN)


def test_each_fold_is_the_fit_that_scores_by_it_alone(model: Model, plate: Path, pictures: list[Sample]) -> None:
    for number, fold in enumerate(folds(model), 1):
        alone = fit(open_dataset(plate).train, dataclasses.replace(PLAN, options={"folds": FOLDS, "fold": number}))
        for sample in pictures[:3]:
            assert fold.predict(sample).score == alone.predict(sample).score


def test_metrics_and_intervals_are_means_over_the_folds(model: Model, pictures: list[Sample]) -> None:
    judging = Judging(resamples=RESAMPLES)
    report = evaluate(model, pictures, "x", judging)
    each = [evaluate(fold, pictures, "x") for fold in folds(model)]
    found = averaged(report, model, pictures, RESAMPLES)
    assert len(each) == FOLDS
    for name in ("image_auroc", "image_ap", "image_f1max"):
        assert found.metrics[name] == pytest.approx(np.mean([one.metrics[name] for one in each]), rel=1e-12)
    labels = [sample.label for sample in pictures]
    resampled = np.mean([resampling.image_auroc([row.score for row in one.rows], labels, RESAMPLES) for one in each], 0)
    assert found.intervals == {"image_auroc": resampling.interval(resampled)}
    (note,) = [note for note in found.notes if note not in report.notes]
    assert re.findall(r"\d+\.\d", note) == [f"{100 * one.metrics['image_auroc']:.1f}" for one in each]
    assert found.rows == report.rows  # the scores are what a user's would be
    assert averaged(evaluate(model, pictures, "x"), model, pictures, 0).intervals == {}


def test_a_row_of_folds_gives_their_mean(make_request: MakeRequest, tmp_path: Path, pictures: list[Sample]) -> None:
    assert [row.name for row in ROWS.values() if row.by_fold] == ["mahalanobis_ad"]
    request = make_request(methods=("mahalanobis_ad",))
    (result,) = run(request, tmp_path).results
    (cell,) = make_work(request).cells
    fitted = fit(open_dataset(request.data).train, cell.plan)
    each = [evaluate(fold, pictures, "x").metrics["image_auroc"] for fold in folds(fitted)]
    assert len(each) == 5
    assert result.metrics["image_auroc"] == pytest.approx(np.mean(each), rel=1e-12)
    assert result.params["folds"] == 5
    assert any("each judged by itself" in note for note in result.notes)


@pytest.mark.parametrize("options", [{}, {"folds": 3, "fold": 2}])
def test_a_model_without_folds_is_refused(model: Model, options: dict[str, int]) -> None:
    params = dataclasses.replace(model.method.params, **{"folds": 1, "fold": 0, **options})
    other = dataclasses.replace(model, method=type(model.method)(params, model.backbone))
    with pytest.raises(UsageError, match="a model of several folds was needed to judge one by one; got one of mahalanobis_ad"):
        folds(other)


def test_metrics_of_pixels_are_refused(model: Model, pictures: list[Sample]) -> None:
    report = evaluate(model, pictures, "x")
    with pytest.raises(UsageError, match="only metrics of whole pictures can be averaged over folds; got pro"):
        averaged(dataclasses.replace(report, metrics={**report.metrics, "pro": 0.5}), model, pictures, 0)

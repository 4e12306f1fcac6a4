"""Ensembles scaled by the test set, against the scaling written out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flawsight.datasets import DataSet
from flawsight.errors import UnknownName, UsageError
from flawsight.evaluation import evaluate, evaluate_dataset, extremes
from flawsight.evaluation.judging import Judging
from flawsight.fitting import Plan, fit
from flawsight.images.image import read
from flawsight.methods.ensemble import Ensemble
from flawsight.model import Model
from flawsight.types import Sample

PLAN = Plan(method="ensemble", backbone="efficientnet_lite0+efficientnet_lite2", size=128)
TEST = Judging(ensemble_norm="test")


@pytest.fixture(scope="module")
def ensemble(plates: DataSet) -> Model:
    return fit(plates.train, PLAN)


def test_each_member_is_scaled_from_0_to_1_over_the_judged_pictures(ensemble: Model, plates: DataSet) -> None:
    assert isinstance(ensemble.method, Ensemble)
    each = [ensemble.method.each(ensemble.preprocess.apply(read(sample.path, ""))[None]) for sample in plates.test]
    images = np.array([[one.image[0] for one in of_picture] for of_picture in each])  # [N,K]
    maps = np.array([[one.map[0] for one in of_picture] for of_picture in each if of_picture])  # [N,K,h,w]
    expected = ((images - images.min(0)) / np.ptp(images, axis=0)).mean(1)
    low, high = maps.min((0, 2, 3))[:, None, None], maps.max((0, 2, 3))[:, None, None]
    heat = ((maps - low) / (high - low)).mean(1)
    scaled = extremes.rescaled(ensemble, plates.test)
    for i, sample in enumerate(plates.test):
        prediction = scaled.predict(sample)
        assert prediction.score == pytest.approx(expected[i], abs=1e-5)
        np.testing.assert_allclose(prediction.map, ensemble.preprocess.restore(heat[i].astype(np.float32), (192, 192)), atol=1e-5)
    report = evaluate(ensemble, plates.test, "x", TEST)
    np.testing.assert_allclose([row.score for row in report.rows], expected, atol=1e-5)
    assert 0 <= min(expected) < max(expected) <= 1


def test_the_report_says_that_its_scores_depend_on_each_other(ensemble: Model, plates: DataSet) -> None:
    report, fitted = evaluate_dataset(plates, ensemble, judging=TEST)
    assert extremes.NOTE in report.notes
    assert fitted is ensemble  # nothing of it is kept
    usual = evaluate(ensemble, plates.test, "x")
    assert extremes.NOTE not in usual.notes
    assert not np.allclose([row.score for row in usual.rows], [row.score for row in report.rows])
    # the threshold is of the scale of the scores
    assert report.threshold["n_held_out"] == usual.threshold["n_held_out"]
    assert report.threshold["value"] == pytest.approx(report.held_out.max())
    some = evaluate(ensemble, plates.test[:3], "x", TEST)
    assert [row.score for row in some.rows] != [row.score for row in report.rows][:3]


def test_unreadable_pictures_are_passed_over(ensemble: Model, plates: DataSet, tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"")
    samples = [Sample(bad, "bad.png"), *plates.test]
    report = evaluate(ensemble, samples, "x", Judging(skip_bad=True, ensemble_norm="test"))
    expected = evaluate(ensemble, plates.test, "x", TEST)
    assert [row.score for row in report.rows] == [row.score for row in expected.rows]
    assert list(report.unreadable) == ["bad.png"]
    assert extremes.rescaled(ensemble, samples[:1]) is ensemble


def test_progress_is_told(ensemble: Model, plates: DataSet) -> None:
    message: list[tuple[str, int, int]] = []
    extremes.rescaled(ensemble, plates.test, lambda *call: message.append(call))
    assert message == [("looking for extremes", i + 1, len(plates.test)) for i in range(len(plates.test))]


def test_other_methods_have_no_members_to_scale(model: Model, plates: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flawsight.evaluation.recipe.fit", lambda *_: pytest.fail("time was spent"))
    for arguments, name in (((model,), "patchcore"), ((None, Plan()), "two_banks")):
        with pytest.raises(UsageError, match=f"evaluate: ensemble_norm=test is of method ensemble; got {name}"):
            evaluate_dataset(plates, *arguments, judging=TEST)


def test_an_unknown_norm_is_refused() -> None:
    with pytest.raises(UnknownName, match=r"evaluate: ensemble_norm: there is no 'tests'\. Did you mean test"):
        Judging(ensemble_norm="tests")

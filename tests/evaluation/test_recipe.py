"""Reports: every figure as worked out by hand from the rows and maps; what is left out is said."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score  # type: ignore[import-untyped]

from flawsight.datasets import DataSet, open_dataset
from flawsight.errors import DataError
from flawsight.evaluation import evaluate, evaluate_dataset, recipe
from flawsight.evaluation.frames import map_at, mask_at
from flawsight.evaluation.judging import Judging
from flawsight.fitting import Plan, fit
from flawsight.images import image, maskfiles
from flawsight.methods import METHODS
from flawsight.methods.base import Method
from flawsight.metrics import METRICS, PixelTally
from flawsight.model import Model
from flawsight.report import tables
from flawsight.system.record import peak_rss_mb, versions
from flawsight.threshold import fixed
from flawsight.types import Float, Report, Sample, Saturation, Scores, mask_files

USUAL = [name for name in METRICS if name not in ("object_auroc", "balanced_accuracy", "pro_imagewise", "spro")]
IMAGE = [name for name in USUAL if METRICS[name].level == "image"]


@pytest.fixture(scope="module")
def middling(model: Model, plates: DataSet) -> Model:
    """The model with a threshold in the middle of the test scores, so that there are mistakes of both kinds or near it."""
    scores = [model.predict(sample).score for sample in plates.test]
    return model.with_threshold(fixed(model.training.independent, float(np.median(scores))))


@pytest.fixture(scope="module")
def report(middling: Model, plates: DataSet) -> Report:
    return evaluate_dataset(plates, middling)[0]


@pytest.fixture
def copy(plate: Path, tmp_path: Path) -> Path:
    """The inspection set, to be spoilt."""
    return Path(shutil.copytree(plate, tmp_path / "plate"))


def opened(folder: Path, **changes: Any) -> DataSet:
    return dataclasses.replace(open_dataset(folder), **changes)


def no_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("fit", "fit_within"):
        monkeypatch.setattr(METHODS["patchcore"], name, lambda *args, **kwargs: pytest.fail("the method's fit was called"))


def test_a_row_is_a_prediction(report: Report, middling: Model, plates: DataSet) -> None:
    assert [row.sample for row in report.rows] == plates.test
    for row in report.rows:
        found = middling.predict(row.sample)
        assert (row.score, row.is_defective, row.seen_xyxy) == (found.score, found.is_defective, found.seen_xyxy)
        assert (row.evidence, row.size_hw) == (found.evidence, found.size_hw)
        assert found.size_hw == found.map.shape
        assert row.heat.dtype == np.float16
        assert row.heat.size < found.map.size
        assert np.nanmax(row.heat) == pytest.approx(np.nanmax(found.map), rel=0.15)


class WithoutMap:
    """A method that scores pictures as wholes: another one that keeps its map to itself."""

    def __init__(self, method: Method) -> None:
        self.name, self.params, self._method = method.name, method.params, method

    def score(self, images: Float) -> Scores:
        return Scores(self._method.score(images).image)


@pytest.fixture(scope="module")
def mapless(model: Model) -> Model:
    return dataclasses.replace(model, method=WithoutMap(model.method))


@pytest.mark.parametrize("use_masks", [True, False])
def test_without_a_map_pictures_are_scored_and_the_report_says_so(
    use_masks: bool, mapless: Model, model: Model, plates: DataSet
) -> None:
    found = mapless.predict(plates.test[0])
    assert found.map is None
    assert (found.score, found.size_hw) == (model.predict(plates.test[0]).score, (192, 192))
    report, whole = evaluate_dataset(plates, mapless, judging=Judging(use_masks))[0], evaluate_dataset(plates, model)[0]
    assert report.metrics == {name: whole.metrics[name] for name in IMAGE}
    assert [row.heat for row in report.rows] == [None] * 10
    assert [row.size_hw for row in report.rows] == [(192, 192)] * 10
    assert [row.score for row in report.rows] == [row.score for row in whole.rows]
    assert "pro" not in report.curves
    assert "regions" not in report.counts
    (note,) = [note for note in report.notes if "no map" in note]
    assert note.startswith("patchcore gives no map: it scores pictures as wholes")
    assert ("there are no pixel metrics" in note) == use_masks


def test_metrics_are_those_worked_out_by_hand(report: Report, middling: Model, plates: DataSet) -> None:
    labels = np.array([sample.label for sample in plates.test])
    scores = np.array([row.score for row in report.rows])
    assert list(report.metrics) == USUAL
    assert report.metrics["image_auroc"] == pytest.approx(roc_auc_score(labels, scores))
    assert report.metrics["image_ap"] == pytest.approx(average_precision_score(labels, scores))
    best = max(f1_score(labels, scores >= score) for score in scores)
    assert report.metrics["image_f1max"] == pytest.approx(best)
    maps = [middling.predict(sample).map for sample in plates.test]
    masks = [maskfiles.read(s.mask) if s.mask else np.zeros((192, 192), np.bool_) for s in plates.test]
    truth, heat = np.concatenate(masks).ravel(), np.concatenate(maps).ravel()
    assert report.metrics["pixel_auroc"] == pytest.approx(roc_auc_score(truth, heat))
    assert report.metrics["pixel_ap"] == pytest.approx(average_precision_score(truth, heat))
    tally = PixelTally()
    for one, mask in zip(maps, masks, strict=True):
        tally.add(one, mask)
    assert report.metrics["pro"] == tally.metrics().pro
    np.testing.assert_array_equal(report.curves["pro"], tally.metrics().pro_curve)


def test_counts_are_those_of_the_rows(report: Report) -> None:
    good = [row for row in report.rows if row.sample.label == 0]
    bad = [row for row in report.rows if row.sample.label == 1]
    assert (report.counts["good"], report.counts["defective"], report.counts["unlabelled"]) == (len(good), len(bad), 0) == (4, 6, 0)
    assert report.counts["false_rejects"] == sum(row.is_defective for row in good)
    assert report.counts["misses"] == sum(not row.is_defective for row in bad)
    assert report.counts["rejected"] == sum(row.is_defective for row in report.rows) == 5
    assert report.counts["regions"] >= 6
    assert report.counts["regions_unseen"] == 0


def test_the_roc_curve_holds_the_area_reported(report: Report) -> None:
    x, y = report.curves["roc"]
    assert np.trapezoid(y, x) == pytest.approx(report.metrics["image_auroc"])


def test_what_is_reported_of_the_model(report: Report, middling: Model, plates: DataSet) -> None:
    assert report.threshold == {**dataclasses.asdict(middling.threshold), "promise": middling.threshold.promise}
    np.testing.assert_array_equal(report.held_out, middling.training.independent)
    assert report.scale == (float(np.median(middling.training.held_out)), middling.threshold.value)
    assert report.settings["method"] == "patchcore"
    assert report.settings["preprocess.size"] == 128
    assert report.settings["good_pictures"] == 8
    assert report.seed == middling.method.params.seed
    named = {row.evidence.good_name for row in report.rows}
    assert report.train == {sample.name: sample.path for sample in plates.train if sample.name in named}
    assert report.versions == versions(middling.backbone.runtime)
    assert {"flawsight", "python", "numpy", "onnxruntime"} <= report.versions.keys()
    assert report.timings_s.keys() == {"judge", "metrics", "judge_per_picture"}
    assert all(seconds > 0 for seconds in report.timings_s.values())


def test_torch_is_recorded_of_what_it_taught_alone(plates: DataSet, report: Report) -> None:
    pytest.importorskip("torch", reason="needs torch, to train")
    plan = Plan(method="ae_ssim", size=64, options={"crop": 64, "stride": 64, "width": 4, "steps": 2, "batch": 2, "held_out": 0.3})
    taught, _ = evaluate_dataset(plates, plan=plan, judging=Judging(use_masks=False))
    assert "torch" in taught.versions
    assert "torch" not in report.versions


@pytest.mark.skipif(sys.platform == "win32", reason="not told there")
def test_memory_is_told(report: Report) -> None:
    assert 20 < report.peak_rss_mb <= peak_rss_mb() < 100_000


def test_the_report_survives_json(report: Report) -> None:
    content = tables.to_json(report)
    back = json.loads(json.dumps(content, allow_nan=False))
    assert back == content
    assert back["metrics"] == pytest.approx(report.metrics)
    assert [one["score"] for one in back["pictures"]] == [row.score for row in report.rows]
    assert [one["name"] for one in back["pictures"]] == [row.sample.name for row in report.rows]


def test_without_a_model_one_is_fitted(plates: DataSet, model: Model) -> None:
    message: list[str] = []
    report, fitted = evaluate_dataset(
        plates, plan=Plan(method="patchcore", size=128), progress=lambda what, done, total: message.append(what)
    )
    assert fitted.fingerprint == model.fingerprint
    assert [row.score for row in report.rows] == [model.predict(sample).score for sample in plates.test]
    assert report.timings_s["fit"] > 0
    assert set(fitted.training.notes) <= set(report.notes)
    assert message[0] == "checking pictures"
    assert message[-10:] == ["judging pictures"] * 10


def test_a_kind_without_masks_is_left_out_of_pixel_metrics_and_told(copy: Path, middling: Model, report: Report) -> None:
    shutil.rmtree(copy / "ground_truth" / "dent")
    found, _ = evaluate_dataset(open_dataset(copy), middling)
    assert [found.metrics[name] for name in IMAGE] == [report.metrics[name] for name in IMAGE]
    assert any("'dent' has no masks (1 pictures): pixel metrics leave its pictures out" in note for note in found.notes)
    assert any("1 defective pictures have no mask" in note for note in found.notes)
    data = opened(copy)
    others = dataclasses.replace(data, test=[sample for sample in data.test if sample.kind != "dent"])
    without = evaluate_dataset(others, middling)[0]
    for name in set(USUAL) - set(IMAGE):
        assert found.metrics[name] == without.metrics[name] != report.metrics[name]


def test_of_several_masks_each_is_a_region(copy: Path, middling: Model, report: Report) -> None:
    mask = next((copy / "ground_truth" / "chip").iterdir())
    truth = maskfiles.read(mask)
    one, other = np.zeros((2, *truth.shape), np.uint8)
    one[truth], other[truth], other[:20, :20] = 255, 200, 200
    one[-9:, -9:] = 255  # torn in two, and overlapping
    mask.unlink()
    (mask.parent / "000").mkdir()
    for name, values in (("000", one), ("001", other)):
        image.write(mask.parent / "000" / f"{name}.png", values)
    data = open_dataset(copy)
    found, _ = evaluate_dataset(data, middling)
    pixels = PixelTally()
    for sample in data.test:
        heat = middling.predict(sample).map
        if sample.kind == "chip":
            pixels.add(heat, np.stack([one > 0, other > 0]))
        else:
            pixels.add(heat, maskfiles.read(sample.mask) if sample.mask else np.zeros(heat.shape, np.bool_))
    assert found.counts["regions"] == pixels.metrics().n_regions
    assert found.metrics["pro"] == pixels.metrics().pro != report.metrics["pro"]
    (chip,) = (sample for sample in data.test if sample.kind == "chip")
    assert chip.mask == (mask.parent / "000/000.png", mask.parent / "000/001.png")
    np.testing.assert_array_equal(maskfiles.read(chip.mask), (one > 0) | (other > 0))
    image.write(mask.parent / "000/001.png", other[:50])
    with pytest.raises(DataError, match=r"000/001\.png: the mask of test/chip/000\.png must have its picture's size"):
        evaluate_dataset(data, middling)


@pytest.mark.parametrize("how", ["no masks there", "masks not used"])
def test_without_masks_whole_pictures_are_judged(copy: Path, middling: Model, report: Report, how: str) -> None:
    if how == "no masks there":
        shutil.rmtree(copy / "ground_truth")
    found, _ = evaluate_dataset(open_dataset(copy), middling, judging=Judging(use_masks=how == "no masks there"))
    assert found.metrics == {name: report.metrics[name] for name in IMAGE}
    assert list(found.curves) == ["roc"]
    assert "regions" not in found.counts


def test_masks_of_another_size_are_refused_before_anything_is_fitted(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_fit(monkeypatch)
    mask = next((copy / "ground_truth" / "chip").iterdir())
    image.write(mask, np.zeros((96, 200), np.uint8))
    message = (
        r"000_mask\.png: the mask of test/chip/000\.png must have its picture's size, 192×192; it has 200×96\. .*use_masks=False"
    )
    with pytest.raises(DataError, match=message):
        evaluate_dataset(open_dataset(copy))
    with pytest.raises(pytest.fail.Exception, match="fit was called"):
        evaluate_dataset(open_dataset(copy), judging=Judging(use_masks=False))


def test_a_mask_of_another_size_is_refused_by_evaluate_too(copy: Path, model: Model) -> None:
    image.write(next((copy / "ground_truth" / "chip").iterdir()), np.zeros((96, 200), np.uint8))
    with pytest.raises(DataError, match="192×192; it has 200×96"):
        evaluate(model, open_dataset(copy).test, "t")


def test_a_damaged_mask_is_named(copy: Path, model: Model) -> None:
    mask = next((copy / "ground_truth" / "chip").iterdir())
    mask.write_bytes(b"")
    with pytest.raises(DataError, match=r"ground_truth/chip/000_mask\.png.*empty"):
        evaluate_dataset(open_dataset(copy), model)


@pytest.mark.parametrize("given", [True, False])
def test_all_unreadable_test_pictures_are_named(copy: Path, model: Model, given: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    no_fit(monkeypatch)
    (copy / "test/good/001.png").write_bytes(b"")
    (copy / "test/dent/000.png").write_text("no picture")
    with pytest.raises(DataError) as caught:
        evaluate_dataset(open_dataset(copy), model if given else None)
    message = str(caught.value)
    assert message.startswith("evaluate: 2 of 10 pictures cannot be read:\n")
    assert "  test/good/001.png: the file is empty" in message
    assert "  test/dent/000.png: is not a picture" in message
    assert message.endswith("skip_bad.")


def test_unreadable_test_pictures_may_be_left_out(copy: Path, middling: Model, report: Report) -> None:
    (copy / "test/good/001.png").write_bytes(b"")
    (copy / "test/dent/000.png").write_text("no picture")
    found, _ = evaluate_dataset(open_dataset(copy), middling, judging=Judging(skip_bad=True))
    assert list(found.unreadable) == ["test/dent/000.png", "test/good/001.png"]
    assert "empty" in found.unreadable["test/good/001.png"]
    assert [row.score for row in found.rows] == [row.score for row in report.rows if row.sample.name not in found.unreadable]
    assert (found.counts["good"], found.counts["defective"]) == (3, 5)
    assert any(note.startswith("Left out, unreadable: test/good/001.png: the file is empty") for note in found.notes)


def test_only_good_pictures(model: Model, plates: DataSet) -> None:
    found = evaluate(model, [sample for sample in plates.test if sample.label == 0], "good ones")
    assert list(found.metrics) == IMAGE
    assert math.isnan(found.metrics["image_auroc"])
    assert found.curves == {}
    assert (found.counts["good"], found.counts["defective"], found.counts["misses"]) == (4, 0, 0)
    assert json.loads(json.dumps(tables.to_json(found), allow_nan=False))["metrics"]["image_auroc"] is None


def test_unlabelled_pictures_get_no_metrics(middling: Model, plates: DataSet, report: Report) -> None:
    samples = [Sample(sample.path, sample.name) for sample in plates.test]
    found = evaluate(middling, samples, "new ones")
    assert (found.metrics, found.curves) == ({}, {})
    assert [row.score for row in found.rows] == [row.score for row in report.rows]
    assert found.counts == {
        "good": 0,
        "defective": 0,
        "false_rejects": 0,
        "misses": 0,
        "unlabelled": 10,
        "rejected": report.counts["rejected"],
    }


def test_nothing_to_judge(model: Model, plates: DataSet) -> None:
    found = evaluate(model, [], "none")
    assert (found.rows, found.metrics) == ([], {})
    with pytest.raises(DataError, match="no pictures to be judged on; needs defective ones"):
        evaluate_dataset(dataclasses.replace(plates, test=[]), model)


def test_judging_what_was_learned_from_is_told(model: Model, plates: DataSet) -> None:
    found = evaluate(model, [*plates.train[:2], *plates.test], "t")
    names = ", ".join(sample.name for sample in plates.train[:2])
    assert f"The model learned from 2 of the judged pictures, which flatters it: {names}." in found.notes
    assert not any("learned from, which" in note for note in evaluate(model, plates.test, "t").notes)


def test_pictures_of_another_size_than_learned_are_told(model: Model, tmp_path: Path) -> None:
    image.write(tmp_path / "x.png", np.zeros((100, 150, 3), np.uint8))
    notes = evaluate(model, [Sample(tmp_path / "x.png", "x")], "t").notes
    message = "Pictures of 150×100 pixels were judged; the model learned from 192×192. Scores hold only if the parts appear equally"
    assert notes[0] == f"{message} large."


def test_more_pixels_than_are_kept_are_binned_nearly_the_same_and_it_is_told(
    middling: Model, plates: DataSet, report: Report
) -> None:
    found = evaluate_dataset(plates, middling, judging=Judging(exact_px=100_000))[0]
    (message,) = [note for note in found.notes if "counted in bins" in note]
    error = float(message.rpartition(" ")[2].rstrip("."))
    assert 0 < error < 0.01
    assert [row.score for row in found.rows] == [row.score for row in report.rows]
    for name in ("pixel_auroc", "pixel_ap", "pixel_f1max", "pro"):
        assert found.metrics[name] == pytest.approx(report.metrics[name], abs=1.1 * error)
    assert not any("bins" in note for note in report.notes)


def test_what_the_crop_hides_is_counted(plates: DataSet) -> None:
    paper = fit(plates.train, Plan(preset="paper", size=64))
    found = evaluate_dataset(plates, paper)[0]
    assert 0 < found.metrics["pixel_auroc"] <= 1
    assert found.counts["regions"] + found.counts["regions_unseen"] >= 6
    for row in found.rows:
        share = np.isnan(row.heat).mean()
        assert 0.1 < share < 0.4
        assert row.seen_xyxy == (12, 12, 180, 180)


def test_rows_of_large_pictures_stay_small(model: Model, tmp_path: Path) -> None:
    image.write(tmp_path / "x.png", np.zeros((1500, 2000, 3), np.uint8))
    row = evaluate(model, [Sample(tmp_path / "x.png", "x")], "t").rows[0]
    assert row.size_hw == (1500, 2000)
    assert max(row.heat.shape) <= 64
    assert row.heat.shape[1] / row.heat.shape[0] == pytest.approx(2000 / 1500, rel=0.1)


def test_good_pictures_are_found_where_they_were_when_the_model_was_fitted(plates: DataSet) -> None:
    paths = [sample.path for sample in plates.train]
    report = evaluate(fit(paths, Plan(method="patchcore", size=128)), plates.test, "t")
    assert report.train == {row.evidence.good_name: Path(row.evidence.good_name) for row in report.rows}
    assert set(report.train.values()) <= set(paths)


def test_good_pictures_are_found_under_other_names_and_proved_by_their_pixels(plate: Path, plates: DataSet) -> None:
    """A model fitted on the folder of good pictures itself, judged on the data set around it."""
    fitted = fit(plate / "train" / "good", Plan(size=128))
    report, _ = evaluate_dataset(plates, fitted)
    assert {row.evidence.good_name for row in report.rows} == report.train.keys()
    assert all(path == plate / "train" / "good" / name for name, path in report.train.items())
    swapped = dict(zip([one.name for one in plates.train], [one.path for one in plates.train[::-1]], strict=True))
    assert evaluate(fitted, plates.test, "t", train=swapped).train == report.train
    liar = {Path(name).name: plates.test[0].path for name in report.train}
    assert evaluate(fitted, plates.test, "t", train=liar).train == {}


# -- where and how pixels are compared


@pytest.fixture(scope="module")
def cropped(plates: DataSet) -> Model:
    return fit(plates.train, Plan(preset="paper", size=112))


def test_at_the_crop_the_metrics_are_those_of_the_methods_own_maps(cropped: Model, plates: DataSet) -> None:
    judging = Judging(pixels_at="crop", mask_rule="trunc", imagewise=True, resamples=50)
    found = evaluate(cropped, plates.test, "crop", judging)
    tally, each = PixelTally(), []
    for sample in plates.test:
        heat = cropped.method.score(cropped.preprocess.apply(image.read(sample.path))[None]).map[0]
        mask = np.zeros(heat.shape, np.bool_)
        if sample.mask:
            mask = mask_at("crop", maskfiles.read(sample.mask), cropped.preprocess, "trunc")
            alone = PixelTally()
            alone.add(heat, mask)
            each.append(alone.metrics().pro)
        tally.add(heat, mask)
    exact = tally.metrics()
    assert found.metrics["pixel_auroc"] == exact.auroc
    assert found.metrics["pro"] == exact.pro
    assert found.metrics["pro_imagewise"] == pytest.approx(np.nanmean(each))
    assert (found.settings["pixel_metrics_at"], found.settings["mask_rule"]) == ("the network's input", "at full scale")
    for name in ("image_auroc", "pixel_auroc", "pro"):
        low, high = found.intervals[name]
        assert low <= found.metrics[name] + 1e-3
        assert found.metrics[name] <= high + 1e-3


def test_by_default_nothing_is_resampled_and_pictures_are_compared_at_their_own_pixels(report: Report) -> None:
    assert report.intervals == {}
    assert "pro_imagewise" not in report.metrics
    assert report.settings["pixel_metrics_at"] == "each picture's own pixels"


@pytest.mark.parametrize("binned", [False, True])
def test_within_a_given_memory_pixels_are_kept_so_far_as_it_goes(
    plates: DataSet, binned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if binned:
        monkeypatch.setattr(recipe, "MEASURING_BYTES", 1 << 50)
    report, _ = evaluate_dataset(plates, plan=Plan(size=64, memory="20GB"))
    assert any("were counted in bins" in note for note in report.notes) == binned


@pytest.fixture
def saturating(plates: DataSet, tmp_path: Path) -> DataSet:
    """The plates, each defect's mask in halves, one file each of a value of its own, of which a part suffices."""
    samples = []
    for number, sample in enumerate(plates.test):
        if not sample.mask:
            samples.append(sample)
            continue
        mask = maskfiles.read(sample.mask)
        files = []
        for value, rows in ((255, np.arange(len(mask)) < len(mask) // 2), (250, np.arange(len(mask)) >= len(mask) // 2)):
            half = mask & rows[:, None]
            if half.any():
                files.append(tmp_path / f"{number}_{value}.png")
                image.write(files[-1], (half * value).astype(np.uint8))
        rules = (Saturation(255, 40, relative=False), Saturation(250, 0.25, relative=True))
        samples.append(dataclasses.replace(sample, mask=tuple(files), saturations=rules))
    return dataclasses.replace(plates, test=samples)


@pytest.mark.parametrize("pixels_at", ["native", "full256"])
def test_spro_is_there_where_the_data_set_says_what_suffices(pixels_at: str, model: Model, saturating: DataSet) -> None:
    judging = Judging(pixels_at=pixels_at)
    report = evaluate_dataset(saturating, model, judging=judging)[0]
    assert list(report.metrics) == [*USUAL, "spro"]
    pixels = PixelTally()
    for sample in saturating.test:
        found = model.predict(sample)
        heat = map_at(pixels_at, found)
        assert heat is not None
        masks = [maskfiles.read(file) for file in mask_files(sample.mask)]
        shares = []
        for file, mask in zip(mask_files(sample.mask), masks, strict=True):
            n = np.count_nonzero(mask)
            shares.append(min(40, n) / n if file.stem.endswith("255") else max(1, int(0.25 * n)) / n)
        whole = np.stack(masks) if masks else np.zeros((192, 192), np.bool_)
        pixels.add(heat, mask_at(pixels_at, whole, model.preprocess), shares)
    expected = pixels.metrics()
    assert report.metrics["spro"] == expected.spro
    assert expected.n_saturating == expected.n_regions == report.counts["regions"]
    assert 0 < report.metrics["spro"] <= 1


def test_a_mask_of_a_value_nobody_told_of_is_named(model: Model, saturating: DataSet) -> None:
    strange = [dataclasses.replace(one, saturations=one.saturations[:1]) for one in saturating.test]
    with pytest.raises(DataError, match=r"_250\.png: a mask of one of the values 255 was needed, .*; its value is 250"):
        evaluate_dataset(dataclasses.replace(saturating, test=strange), model)


def test_objects_are_ranked_where_several_pictures_show_one(model: Model, plates: DataSet) -> None:
    named = [dataclasses.replace(one, object_name=f"object {i // 3}") for i, one in enumerate(plates.test)]
    report = evaluate_dataset(dataclasses.replace(plates, test=named), model)[0]
    scores = [max(row.score for row in report.rows[at : at + 3]) for at in range(0, len(named), 3)]
    labels = [max(int(one.label or 0) for one in named[at : at + 3]) for at in range(0, len(named), 3)]
    assert report.metrics["object_auroc"] == pytest.approx(roc_auc_score(labels, scores))
    alone = [dataclasses.replace(one, object_name="x" if i == 0 else "") for i, one in enumerate(plates.test)]
    single = evaluate_dataset(dataclasses.replace(plates, test=alone), model)[0].metrics
    assert single["object_auroc"] == single["image_auroc"]  # whoever has no name stands for itself
    assert "object_auroc" not in evaluate_dataset(plates, model)[0].metrics

"""Models: one way to judge, however a picture comes; saved and loaded, the same; files that do not fit are refused by name."""

from __future__ import annotations

import copy
import dataclasses
import importlib.util
import io
import itertools
import json
import multiprocessing
import pickle
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from flawsight.datasets import DataSet
from flawsight.errors import DataError, FlawsightError, MissingExtra, ModelFileError, PictureError, UnknownName, UsageError
from flawsight.fitting import Plan, fit, job
from flawsight.images import image
from flawsight.model import Model, load
from flawsight.modelfile import bundle
from flawsight.prediction import Prediction
from flawsight.report import marks
from flawsight.report import pictures as report_pictures
from flawsight.threshold import fixed
from flawsight.types import Pixels

SIZES_HW = [(192, 192), (40, 300), (500, 120), (64, 64), (5, 7), (1, 1), (3, 200)]


@pytest.fixture(scope="module")
def paper(plates: DataSet) -> Model:
    """Fitted the paper's way, which crops; smaller than published."""
    return fit(plates.train, Plan(preset="paper", size=64))


@pytest.fixture(scope="module")
def model_file(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "part.flaw"
    model.save(path)
    return path


@pytest.fixture(scope="module")
def pictures(plates: DataSet) -> list[Path]:
    return [sample.path for sample in plates.test]


def noise(high: int, wide: int) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (high, wide, 3), dtype=np.uint8)


def assert_same(a: Prediction, b: Prediction, names: bool = True) -> None:
    """Exactly, the whole map included."""
    for field in dataclasses.fields(Prediction):
        if field.name in ("map", "input_map"):
            np.testing.assert_array_equal(getattr(a, field.name), getattr(b, field.name))
        elif field.name != "traits" and (names or field.name not in ("name", "path")):  # an array comes from no file
            assert getattr(a, field.name) == getattr(b, field.name)


@pytest.mark.parametrize("which", ["model", "paper"])
def test_saved_and_loaded_it_judges_the_same(
    which: str, request: pytest.FixtureRequest, pictures: list[Path], tmp_path: Path
) -> None:
    model: Model = request.getfixturevalue(which)
    model.save(tmp_path / "größe.flaw")
    loaded = load(str(tmp_path / "größe.flaw"))
    for path in pictures:
        assert_same(loaded.predict(path), model.predict(path))
    assert loaded.threshold == model.threshold
    assert (loaded.preprocess, loaded.method.params) == (model.preprocess, model.method.params)
    assert loaded.info() == model.info()
    for field in dataclasses.fields(model.training):
        np.testing.assert_array_equal(getattr(loaded.training, field.name), getattr(model.training, field.name))
    loaded.save(tmp_path / "again.flaw")
    assert (tmp_path / "again.flaw").read_bytes() == (tmp_path / "größe.flaw").read_bytes()


def test_a_picture_is_the_same_however_it_comes(model: Model, plates: DataSet) -> None:
    sample = plates.test[-1]
    reference = model.predict(sample.path)
    data = sample.path.read_bytes()
    written = io.BytesIO()
    written.write(data)  # it stands at its end, as a picture just saved into it would leave it
    forms = [str(sample.path), data, bytearray(data), memoryview(data), io.BytesIO(data), written, image.read(sample.path), sample]
    for form in forms:
        assert_same(model.predict(form), reference, names=False)
    for found, _ in zip(model.predict_batch(forms), forms, strict=True):
        assert_same(found, reference, names=False)
    with sample.path.open("rb") as file:
        assert_same(model.predict(file), reference, names=False)
        assert model.predict(file).name == str(sample.path)
    with Image.open(sample.path) as picture:
        assert_same(model.predict(picture), reference, names=False)


def test_open_files_that_cannot_be_read_are_told(model: Model, pictures: list[Path], tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("text", encoding="utf-8")
    with (
        (tmp_path / "x.txt").open(encoding="utf-8") as text,
        pytest.raises(PictureError, match=r"x\.txt: is open as text\. Open it"),
    ):
        model.predict(text)  # type: ignore[arg-type]
    with pictures[0].open("rb") as closed:
        pass
    with pytest.raises(PictureError, match=r"cannot be read \(.*closed file"):
        model.predict(closed)


def test_a_batch_takes_folders(model: Model, plate: Path, pictures: list[Path], tmp_path: Path) -> None:
    inside = sorted((plate / "test").rglob("*.png"))
    expected = [path.as_posix() for path in inside]
    for folder in (plate / "test", str(plate / "test")):
        assert [one.name for one in model.predict_batch(folder)] == expected
    mixed = [noise(64, 64), plate / "test", pictures[0].read_bytes(), pictures[1]]
    names = [one.name for one in model.predict_batch(mixed)]
    assert names == ["picture 1", *expected, f"picture {len(expected) + 2}", pictures[1].as_posix()]
    assert [one.name for one in model.predict_batch(pictures[0])] == [pictures[0].as_posix()]
    with pytest.raises(DataError, match="no pictures in this folder or below it"):
        list(model.predict_batch(tmp_path))


def test_one_picture_is_not_taken_for_several(model: Model, pictures: list[Path]) -> None:
    data = pictures[0].read_bytes()
    for one in (data, bytearray(data), io.BytesIO(data), noise(8, 9), noise(8, 9)[..., 0], noise(8, 9)[..., :1]):
        with pytest.raises(UsageError, match=r"predict_batch: expected several pictures, got one\. Call predict"):
            list(model.predict_batch(one))
    stack = np.stack([noise(70, 80)] * 2)
    assert [one.size_hw for one in model.predict_batch(stack)] == [(70, 80)] * 2
    assert [one.size_hw for one in model.predict_batch(stack[..., 0])] == [(70, 80)] * 2


def test_a_prediction_says_what_counts(model: Model, pictures: list[Path]) -> None:
    found = model.predict(pictures[-1])
    rejected = model.with_threshold(found.score / 2).predict(pictures[-1])
    assert repr(rejected) == f"<Prediction {rejected.name}: rejected, score {found.score:.4g}, threshold {found.score / 2:.4g}>"
    assert len(repr(model)) < 120
    facts = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert facts == found.to_dict()
    assert (facts["name"], facts["score"], facts["is_defective"]) == (found.name, found.score, found.is_defective)
    assert facts["box_xyxy"] == list(found.evidence.box_xyxy)
    assert facts["nearest_good"] == found.evidence.good_name
    assert dataclasses.replace(found, evidence=None).to_dict()["box_xyxy"] is None


def test_a_prediction_draws_itself_in_the_reports_colours(model: Model, tmp_path: Path) -> None:
    odd = tmp_path / "odd.png"
    image.write(odd, noise(192, 192))
    found, pixels = model.predict(odd), image.read(odd)
    expected = report_pictures.overlay(pixels, found.map, report_pictures.Scale(*model.colour_scale))
    assert found.is_defective
    expected = marks.marked(expected, found, found.map)
    for drawn in (found.overlay(), found.overlay(pixels), model.predict(pixels).overlay(odd.read_bytes())):
        np.testing.assert_array_equal(np.asarray(drawn), expected)
    assert (expected != pixels).any()
    found.overlay().save(tmp_path / "x.png")
    with pytest.raises(UsageError, match=r"picture 0: it did not come from a file, .*prediction\.overlay\(picture\)"):
        model.predict(pixels).overlay()
    with pytest.raises(PictureError, match="was 192×192 when judged; got 8×9"):
        found.overlay(noise(9, 8))
    with pytest.raises(UsageError, match="gives no map"):
        dataclasses.replace(found, input_map=None).overlay()


def judged(model: Model, path: Path) -> Prediction | PictureError:
    """What a worker of a pool does."""
    try:
        return model.predict(path)
    except PictureError as error:
        return error


def test_a_model_goes_to_other_processes(model: Model, pictures: list[Path], tmp_path: Path) -> None:
    changed = model.with_threshold(0.5)
    again = pickle.loads(pickle.dumps(changed))
    assert (again.info(), again.history) == (changed.info(), changed.history)
    assert_same(again.predict(pictures[0]), changed.predict(pictures[0]))
    again.save(tmp_path / "again.flaw")
    changed.save(tmp_path / "changed.flaw")
    assert (tmp_path / "again.flaw").read_bytes() == (tmp_path / "changed.flaw").read_bytes()
    assert copy.deepcopy(changed).info() == changed.info()
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        found, lost = pool.map(judged, [changed] * 2, [pictures[-1], tmp_path / "none.png"])
    assert isinstance(found, Prediction)
    assert_same(found, changed.predict(pictures[-1]))
    assert isinstance(lost, PictureError)
    assert (lost.name, lost.reason) == ((tmp_path / "none.png").as_posix(), "there is no such file. Check the path.")


def test_a_model_goes_to_joblibs_processes(model: Model, pictures: list[Path]) -> None:
    joblib = pytest.importorskip("joblib", reason="needs joblib")
    found = joblib.Parallel(n_jobs=2)(joblib.delayed(model.predict)(path) for path in pictures[:2])
    for one, path in zip(found, pictures[:2], strict=True):
        assert_same(one, model.predict(path))


def test_a_model_that_was_changed_on_its_way_is_refused(model: Model) -> None:
    sent = bytearray(pickle.dumps(model))
    sent[len(sent) // 2] ^= 1
    with pytest.raises(ModelFileError, match=r"the model sent to this process: its part '.*' is not what was saved"):
        pickle.loads(bytes(sent))


def test_grey_pictures_are_pictures(model: Model) -> None:
    grey = noise(80, 90)[..., :1]
    reference = model.predict(np.repeat(grey, 3, axis=2))
    for form in (grey, grey[..., 0]):
        assert_same(model.predict(form), reference)


def test_a_picture_is_not_changed_by_being_judged(model: Model) -> None:
    pixels = noise(70, 60)
    model.predict(pixels)
    np.testing.assert_array_equal(pixels, noise(70, 60))


def test_names(model: Model, plates: DataSet) -> None:
    sample = plates.test[0]
    assert model.predict(sample).name == sample.name
    assert model.predict(sample.path).name == sample.path.as_posix()
    assert model.predict(noise(64, 64), name="camera 3").name == "camera 3"
    assert [one.name for one in model.predict_batch([noise(64, 64), str(sample.path)])] == ["picture 1", sample.path.as_posix()]
    with pytest.raises(PictureError, match=r"^camera 3: the file is empty") as caught:
        model.predict(b"", name="camera 3")
    assert caught.value.name == "camera 3"


def test_many_are_judged_as_one_by_one_and_in_order(model: Model, pictures: list[Path]) -> None:
    many = pictures * 2
    batch = list(model.predict_batch(many))
    assert [one.name for one in batch] == [path.as_posix() for path in many]
    for one, path in zip(batch, many, strict=True):
        assert_same(one, model.predict(path))


def test_a_generator_in_gives_results_as_they_come(model: Model, pictures: list[Path]) -> None:
    taken = 0

    def endless() -> Iterator[Path]:
        nonlocal taken
        for path in itertools.cycle(pictures):
            taken += 1
            yield path

    results = model.predict_batch(endless())
    assert iter(results) is results
    assert taken == 0
    first = list(itertools.islice(results, 3))
    assert [one.name for one in first] == [path.as_posix() for path in pictures[:3]]
    assert taken < 200
    results.close()  # type: ignore[attr-defined]


def test_nothing_in_gives_nothing_out(model: Model) -> None:
    assert list(model.predict_batch([])) == list(model.predict_each(iter(()))) == []


def test_an_unreadable_picture_takes_its_place_among_the_others(model: Model, pictures: list[Path]) -> None:
    results = list(model.predict_each([pictures[0], b"text", "nowhere.png", pictures[1]]))
    assert_same(results[0], model.predict(pictures[0]))
    assert_same(results[3], model.predict(pictures[1]))
    assert [isinstance(one, PictureError) for one in results] == [False, True, True, False]
    assert [results[1].name, results[2].name] == ["picture 2", "nowhere.png"]


def test_predict_batch_stops_where_the_unreadable_picture_is(model: Model, pictures: list[Path]) -> None:
    results = model.predict_batch([pictures[0], b"", pictures[1]])
    assert next(results).name == pictures[0].as_posix()
    with pytest.raises(PictureError, match=r"^picture 2: the file is empty"):
        next(results)


@pytest.mark.parametrize("size_hw", SIZES_HW, ids=str)
@pytest.mark.parametrize("which", ["model", "paper"])
def test_a_prediction_is_in_the_pictures_own_pixels(which: str, size_hw: tuple[int, int], request: pytest.FixtureRequest) -> None:
    model: Model = request.getfixturevalue(which)
    high, wide = size_hw
    found = model.predict(noise(high, wide))
    assert (found.map.shape, found.map.dtype) == ((high, wide), np.float32)
    assert np.isfinite(found.score)
    assert found.threshold == model.threshold.value
    x0, y0, x1, y1 = found.seen_xyxy
    assert 0 <= x0 < x1 <= wide
    assert 0 <= y0 < y1 <= high
    seen = np.zeros((high, wide), np.bool_)
    seen[y0:y1, x0:x1] = True
    np.testing.assert_array_equal(np.isfinite(found.map), seen)
    assert found.evidence is not None
    bx0, by0, bx1, by1 = found.evidence.box_xyxy
    assert x0 <= bx0 <= bx1 <= x1
    assert y0 <= by0 <= by1 <= y1
    index = model.training.names.index(found.evidence.good_name)
    good_high, good_wide = model.training.sizes_hw[index]
    gx0, gy0, gx1, gy1 = found.evidence.good_box_xyxy
    assert 0 <= gx0 < gx1 <= good_wide
    assert 0 <= gy0 < gy1 <= good_high


def test_the_whole_picture_is_seen_unless_the_paper_crops(model: Model, paper: Model) -> None:
    assert model.predict(noise(120, 200)).seen_xyxy == (0, 0, 200, 120)
    cropped = paper.predict(noise(120, 200))
    x0, y0, x1, y1 = cropped.seen_xyxy
    assert (x1 - x0, y1 - y0) == pytest.approx((120 * 224 / 256,) * 2, abs=2)
    assert (x0 + x1, y0 + y1) == pytest.approx((200, 120), abs=2)
    assert np.isnan(cropped.map).mean() == pytest.approx(1 - (120 * 224 / 256) ** 2 / (120 * 200), abs=0.03)


def test_where_the_map_decides_the_box_is_on_its_peak(plates: DataSet) -> None:
    by_map = fit(plates.train, Plan(method="patchcore", size=128, options={"image_score": "map"}))
    for sample in plates.test:
        found = by_map.predict(sample)
        peak = np.unravel_index(int(found.map.argmax()), found.map.shape)
        x0, y0, x1, y1 = found.evidence.box_xyxy
        assert x0 - 4 <= peak[1] <= x1 + 4
        assert y0 - 4 <= peak[0] <= y1 + 4


def test_a_score_that_is_no_number_never_passes(model: Model, pictures: list[Path]) -> None:
    found = model.predict(pictures[0])
    assert dataclasses.replace(found, score=float("nan")).is_defective
    assert dataclasses.replace(found, score=float("inf"), threshold=float("nan")).is_defective
    assert not dataclasses.replace(found, score=1.0, threshold=1.0).is_defective


@pytest.mark.parametrize("shift", [-1e-4, 0.0, 1e-4])
def test_a_picture_is_rejected_above_the_threshold_and_only_there(model: Model, pictures: list[Path], shift: float) -> None:
    score = model.predict(pictures[0]).score
    found = model.with_threshold(fixed(model.training.independent, score + shift)).predict(pictures[0])
    assert found.score == score
    assert found.is_defective == (shift < 0)


def test_regions_and_mask_of_a_prediction_agree_and_a_passed_picture_has_none(model: Model, pictures: list[Path]) -> None:
    score = model.predict(pictures[0]).score
    rejected = model.with_threshold(fixed(model.training.independent, score * 0.9)).predict(pictures[0])
    assert rejected.regions
    assert rejected.mask.shape == rejected.size_hw
    assert rejected.mask.sum() == sum(region.area for region in rejected.regions) > 0
    assert rejected.regions[0].peak == rejected.map.max()
    x, y = rejected.regions[0].peak_xy
    assert rejected.map[y, x] == rejected.map.max()
    passed = model.with_threshold(fixed(model.training.independent, score)).predict(pictures[0])
    assert passed.regions == ()
    assert not passed.mask.any()


def test_threads_share_a_model(model: Model, pictures: list[Path]) -> None:
    alone = [model.predict(path) for path in pictures]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(model.predict, pictures * 4))
    for found, path_alone in zip(together, alone * 4, strict=True):
        assert_same(found, path_alone)


def test_a_new_threshold_keeps_the_old_ones(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flawsight.model.now", lambda: "2031-01-01T00:00:00+00:00")
    first, second = fixed(model.training.independent, 0.5), fixed(model.training.independent, 9.0, 0.8)
    changed = model.with_threshold(first).with_threshold(second)
    assert changed.threshold == second
    assert changed.threshold_set == "2031-01-01T00:00:00+00:00"
    assert changed.history == (
        {**dataclasses.asdict(model.threshold), "set": model.threshold_set},
        {**dataclasses.asdict(first), "set": "2031-01-01T00:00:00+00:00"},
    )
    assert model.history == ()
    changed.save(tmp_path / "changed.flaw")
    loaded = load(tmp_path / "changed.flaw")
    assert (loaded.threshold, loaded.history, loaded.threshold_set) == (second, changed.history, changed.threshold_set)
    assert loaded.created == model.created
    assert loaded.info()["earlier_thresholds"] == [model.threshold.value, 0.5]


def test_a_threshold_may_be_a_number(model: Model) -> None:
    scores = model.training.independent
    assert model.with_threshold(1.2).threshold == fixed(scores, 1.2)
    assert model.with_threshold(np.float32(0.5)).threshold == fixed(scores, 0.5)
    for wrong in ("1.2", None, True):
        with pytest.raises(UsageError, match=r"with_threshold: expected a score, or what .* gave; got (str|NoneType|bool)"):
            model.with_threshold(wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="finite number; got nan"):
        model.with_threshold(float("nan"))


def test_a_model_that_rejects_nothing_is_saved_too(plates: DataSet, tmp_path: Path) -> None:
    lenient = fit(plates.train[:2], Plan(method="patchcore", size=64, needs_threshold=False))
    assert lenient.threshold.value == np.inf
    lenient.with_threshold(1.2).with_threshold(lenient.threshold).save(tmp_path / "x.flaw")
    loaded = load(tmp_path / "x.flaw")
    assert loaded.threshold == lenient.threshold
    assert [before["value"] for before in loaded.history] == [None, 1.2]


def test_the_same_pictures_and_seed_give_the_same_file(plates: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    for time in ("2031-01-01T00:00:00+00:00", "2031-01-01T00:00:00+00:00", "2032-02-02T00:00:00+00:00"):
        monkeypatch.setattr(job, "now", lambda time=time: time)
        fit(plates.train, Plan(size=64, options={"seed": 5})).save(tmp_path / "x.flaw")
        written.append((tmp_path / "x.flaw").read_bytes())
    assert written[0] == written[1] != written[2]


def test_the_fingerprint_is_of_the_pictures_in_their_order(model: Model, plates: DataSet) -> None:
    again = fit([sample.path for sample in plates.train], Plan(size=64))
    assert again.fingerprint == model.fingerprint
    assert fit(plates.train[::-1], Plan(size=64)).fingerprint != model.fingerprint


def test_info_is_plain_and_complete(model: Model, paper: Model) -> None:
    for one in (model, paper):
        facts = json.loads(json.dumps(one.info(), allow_nan=False))
        assert facts == {**one.info(), "preprocess": facts["preprocess"]}  # JSON has lists for tuples
    facts = model.info()
    assert facts["good_pictures"] == 8
    assert facts["picture_sizes"] == "192×192"
    assert facts["network_sees"] == "128×128"
    assert facts["threshold"] == model.threshold.value
    assert facts["promise"] == model.threshold.promise
    lowest, middle, highest = facts["held_out_scores"].values()
    assert lowest <= middle <= highest
    assert re.fullmatch("[0-9a-f]{64}", facts["fingerprint"])


def test_copies_are_no_further_evidence(model: Model) -> None:
    training = model.training
    copies = dataclasses.replace(
        training,
        fingerprints=[*training.fingerprints, *training.fingerprints[:2]],
        held_out=np.append(training.held_out, training.held_out[:2]),
    )
    np.testing.assert_array_equal(copies.independent, training.held_out)


Edit = Callable[[dict[str, Any], dict[str, Any]], Any]
MISFITS: dict[str, tuple[Edit, str]] = {
    "method of the future": (lambda m, a: m["method"].update(name="patchcore2"), "method 'patchcore2' is unknown"),
    "param of the future": (lambda m, a: m["method"]["params"].update(glow=1), "there is no 'glow'"),
    "param of another type": (lambda m, a: m["method"]["params"].update(neighbours="one"), "neighbours"),
    "no params": (lambda m, a: m["method"].pop("params"), "field 'method.params' is missing"),
    "no bank": (lambda m, a: a.pop("method.bank"), r"method\.bank: expected float32 \[M,D\], got nothing"),
    "empty bank": (lambda m, a: a.update({"method.bank": a["method.bank"][:0]}), r"method\.source: expected .* with M=0"),
    "bank too narrow": (lambda m, a: a.update({"method.bank": a["method.bank"][:, :-1]}), "method.scale: expected .* with D="),
    "bank flat": (
        lambda m, a: a.update({"method.bank": a["method.bank"].ravel()}),
        r"method\.bank: expected float32 \[M,D\], got float32 \[",
    ),
    "bank of another type": (lambda m, a: a.update({"method.bank": a["method.bank"].astype(float)}), r"method\.bank: .* float64"),
    "bank not finite": (
        lambda m, a: a.update({"method.bank": a["method.bank"] * np.float32(np.nan)}),
        r"method\.bank: expected finite",
    ),
    "source beyond": (
        lambda m, a: a.update({"method.source": a["method.source"] + np.int32(99)}),
        r"method\.source: expected values",
    ),
    "grids empty": (lambda m, a: a.update({"method.grids": a["method.grids"] * 0}), r"method\.grids: expected values from 1"),
    "scale too long": (lambda m, a: a.update({"method.scale": np.ones(3, np.float32)}), r"method\.scale: .* got float32 \[3\]"),
    "sources lost": (
        lambda m, a: a.update({"method.source": a["method.source"][:0]}),
        r"method\.source: .* with M=.* got int32 \[0,3\]",
    ),
    "names lost": (lambda m, a: m["training"]["names"].pop(), r"training\.names': expected one for each of 8 .* got 7"),
    "held-out lost": (
        lambda m, a: a.update({"training.held_out": a["training.held_out"][:5]}),
        r"training\.held_out: .*pictures=8, got float32 \[5\]",
    ),
    "no network": (lambda m, a: a.pop("backbone"), "'backbone'"),
    "network is text": (lambda m, a: a.update(backbone=np.frombuffer(b"text", np.uint8)), "cannot load the network"),
    "unknown level": (lambda m, a: m["backbone"].update(levels=["stage3", "stage9"]), "stage9"),
    "preprocess unknown": (lambda m, a: m["preprocess"].update(sharpen=True), "sharpen"),
    "preprocess wrong": (lambda m, a: m["preprocess"].update(size=1), "size must be 64 to 4096"),
    "no threshold": (lambda m, a: m.pop("threshold"), "'threshold'"),
    "threshold in part": (lambda m, a: m["threshold"].pop("n_rejected"), "n_rejected"),
    "pictures of no bits": (lambda m, a: m["pictures"].update(bits="12"), "'pictures.bits': expected a whole number, got '12'"),
    "pictures miscounted": (lambda m, a: m["pictures"].update(formats={"PNG": 0}), "pictures.formats: expected counts from 1"),
    "pictures too bright": (lambda m, a: m["pictures"].update(brightness=[1, 256]), "pictures.brightness: expected two numbers"),
    "threshold of text": (
        lambda m, a: m["threshold"].update(value="0.9"),
        "'threshold.value': expected a finite number or null, got '0.9'",
    ),
    "confidence too high": (lambda m, a: m["threshold"].update(confidence=2), "confidence must be between 0 and 1; got 2"),
    "rejected by half": (lambda m, a: m["threshold"].update(n_rejected=0.5), "'threshold.n_rejected': expected a whole number"),
    "history of numbers": (lambda m, a: m.update(threshold_history=[1]), "'threshold_history': expected a list"),
    "history without value": (
        lambda m, a: m.update(threshold_history=[{"set": ""}]),
        r"'threshold_history\[0\]\.value' is missing",
    ),
    "names of numbers": (lambda m, a: m["training"].update(names=[1] * 8), "'training.names': expected a list, each of it text"),
    "created in numbers": (lambda m, a: m.update(created=5), "'created': expected text, got 5"),
    "no sizes": (
        lambda m, a: a.update({"training.sizes_hw": a["training.sizes_hw"] * 0}),
        r"training\.sizes_hw: expected values from 1",
    ),
    "mean of text": (
        lambda m, a: m["preprocess"].update(mean=["a", "b", "c"]),
        "'preprocess.mean': expected 3 values, each a finite",
    ),
    "size by half": (lambda m, a: m["preprocess"].update(size=128.5), "'preprocess.size': expected a whole number, got 128.5"),
    "method a list": (lambda m, a: m.update(method=[]), "'method': expected an object"),
    "levels a text": (lambda m, a: m["backbone"].update(levels="stage3"), "'backbone.levels': expected a list"),
    "scores overflow": (lambda m, a: a.update({"method.bank": a["method.bank"] * np.float32(1e37)}), "a blank picture scores"),
    "no training": (lambda m, a: m.pop("training"), "'training'"),
}


def test_a_file_without_the_newer_settings_means_what_it_meant(
    model: Model, model_file: Path, tmp_path: Path, plates: DataSet
) -> None:
    manifest, arrays = bundle.read(model_file)
    assert manifest["preprocess"].pop("multiple") == 16
    assert manifest["method"]["params"].pop("dims") == 0
    assert manifest.pop("pictures")["bits"] == 16
    path = tmp_path / "older.flaw"
    bundle.write(path, {name: value for name, value in manifest.items() if name not in ("schema", "members")}, arrays)
    older = load(path)
    for sample in plates.test[:3]:
        assert older.predict(sample).score == model.predict(sample).score


@pytest.mark.parametrize("case", MISFITS)
def test_a_file_whose_parts_do_not_fit_is_named(model_file: Path, tmp_path: Path, case: str) -> None:
    change, message = MISFITS[case]
    manifest, arrays = bundle.read(model_file)
    change(manifest, arrays)
    path = tmp_path / "odd.flaw"
    bundle.write(path, {name: value for name, value in manifest.items() if name not in ("schema", "members")}, arrays)
    with pytest.raises(ModelFileError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_damaged_file_is_named(model_file: Path, tmp_path: Path) -> None:
    whole = bytearray(model_file.read_bytes())
    whole[len(whole) // 2] ^= 1
    (tmp_path / "bad.flaw").write_bytes(whole)
    with pytest.raises(ModelFileError, match=r"bad\.flaw: its part '.*' is not what was saved"):
        load(tmp_path / "bad.flaw")


def test_an_unknown_runtime_is_refused(model_file: Path) -> None:
    with pytest.raises(UnknownName, match=r"there is no 'onnxrunti'. Did you mean onnxruntime\?"):
        load(model_file, "onnxrunti")


def test_a_runtime_that_is_not_installed_is_told(model_file: Path) -> None:
    if importlib.util.find_spec("openvino"):
        pytest.skip("openvino is installed here")
    with pytest.raises(MissingExtra, match=r"pip install 'flawsight\[openvino\]'"):
        load(model_file, "openvino")


def test_saving_into_a_missing_folder_is_told(model: Model, tmp_path: Path) -> None:
    with pytest.raises(FlawsightError, match="existing folder was needed"):
        model.save(tmp_path / "nowhere" / "x.flaw")

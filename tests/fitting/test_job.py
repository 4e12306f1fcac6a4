"""The recipe: what cannot be fitted is refused before time is spent, and what is odd is said."""

from __future__ import annotations

import dataclasses
import io
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from flawsight.backbones import PIXELS, SMALLEST, WHOLE
from flawsight.datasets import DataSet
from flawsight.errors import DataError, MissingExtra, PictureError, UnknownName, UsageError
from flawsight.evaluation import evaluate
from flawsight.fitting import Plan, fit, good_pictures, inspecting
from flawsight.fitting.presets import PRESETS, Preset
from flawsight.images import image
from flawsight.methods import METHODS
from flawsight.model import Model, load
from flawsight.types import Pixels

TINY = Plan(method="patchcore", size=64)
REFUSED = pytest.mark.usefixtures("no_embedding")


@pytest.fixture
def no_embedding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails the test if a method's fit is called at all."""

    def reached(*args: Any, **kwargs: Any) -> None:
        pytest.fail("the method's fit was called")

    for name in ("fit", "fit_within"):
        monkeypatch.setattr(METHODS["patchcore"], name, reached)


def pixels(seed: int, high: int = 64, wide: int = 64) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (high, wide, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four different pictures."""
    (tmp_path / "good").mkdir()
    for i in range(4):
        image.write(tmp_path / "good" / f"{i}.png", pixels(i))
    return tmp_path / "good"


@REFUSED
def test_every_unreadable_picture_is_named_at_once(folder: Path) -> None:
    (folder / "a.png").write_bytes(b"")
    (folder / "b.jpg").write_text("no picture")
    (folder / "c.png").write_bytes((folder / "0.png").read_bytes()[:300])
    with pytest.raises(DataError) as caught:
        fit(folder, TINY)
    message = str(caught.value).splitlines()
    assert message[0] == "fit: 3 of 7 pictures cannot be read:"
    assert [line.split(":")[0].strip() for line in message[1:4]] == ["a.png", "b.jpg", "c.png"]
    assert [why in line for why, line in zip(("empty", "text", "cut short"), message[1:4], strict=True)] == [True] * 3
    assert message[4:] == ["Mend or remove them, or leave them out with skip_bad."]


def test_unreadable_pictures_may_be_left_out_and_are_listed(folder: Path, tmp_path: Path) -> None:
    whole = fit(folder, TINY)
    (folder / "2a.png").write_bytes(b"")
    (folder / "größe.png").write_text("no picture")
    model = fit(folder, dataclasses.replace(TINY, skip_bad=True))
    assert model.training.names == ["0.png", "1.png", "2.png", "3.png"]
    assert model.fingerprint == whole.fingerprint
    np.testing.assert_array_equal(model.training.held_out, whole.training.held_out)
    model.save(tmp_path / "x.flaw")
    loaded = load(tmp_path / "x.flaw")
    assert loaded.training.skipped == model.training.skipped
    assert list(loaded.training.skipped) == ["2a.png", "größe.png"]
    assert "empty" in loaded.training.skipped["2a.png"]
    assert loaded.info()["left_out"] == 2
    notes = evaluate(loaded, good_pictures(folder)[:1], "t").notes
    assert any(note.startswith("Left out of the fit, unreadable: größe.png: is not a picture") for note in notes)


@REFUSED
@pytest.mark.parametrize("inner", ["train/good", "good", "train"])
def test_a_data_set_given_for_a_folder_of_good_pictures_gets_a_hint(tmp_path: Path, inner: str) -> None:
    (tmp_path / inner).mkdir(parents=True)
    with pytest.raises(DataError, match=rf"no pictures in it\. Did you mean {tmp_path / inner}\?"):
        fit(tmp_path, TINY)


@REFUSED
def test_no_pictures(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError, match=r"no pictures in it\. Check the path"):
        fit(str(tmp_path), TINY)
    with pytest.raises(DataError, match="there is none"):
        fit(tmp_path / "nowhere", TINY)
    with pytest.raises(DataError, match="it is a file"):
        fit(tmp_path / "notes.txt", TINY)
    with pytest.raises(DataError, match=r"at least 2 different good pictures.*; got 0"):
        fit([], TINY)


@REFUSED
@pytest.mark.parametrize(
    ("pictures", "message"),
    [
        ([pixels(0)], r"got 1\. Add"),
        ([pixels(0)] * 2, r"got 1 \(2 files that show the same\)"),
        ([np.zeros((64, 64, 3), np.uint8)] * 30, r"got 1 \(30 files that show the same\)"),
    ],
    ids=["one", "one twice", "all black"],
)
def test_fewer_than_two_different_pictures_are_refused(pictures: list[Pixels], message: str) -> None:
    with pytest.raises(DataError, match=f"at least 2 different good pictures.*; {message}"):
        fit(pictures, TINY)


def test_two_pictures_without_any_structure() -> None:
    model = fit([np.full((64, 64, 3), value, np.uint8) for value in (0, 200)], TINY)
    assert np.isfinite(model.threshold.value)
    assert model.threshold.n_held_out == 2
    assert np.isfinite(model.predict(pixels(0)).score)
    assert model.predict(pixels(0)).score > 0


def test_copies_are_held_out_together_told_and_counted_once(folder: Path) -> None:
    for name in ("copy.png", "copy2.png"):
        (folder / name).write_bytes((folder / "1.png").read_bytes())
    model = fit(folder, TINY)
    assert "2 pictures show the same as another: copy.png = 1.png, copy2.png = 1.png." in model.training.notes
    held_out = dict(zip(model.training.names, model.training.held_out, strict=True))
    assert held_out["copy.png"] == held_out["copy2.png"] == held_out["1.png"]
    others = [held_out[name] for name in ("0.png", "2.png", "3.png")]
    assert held_out["1.png"] > 0.3 * min(others)  # not 0, as its copies would make it
    assert model.threshold.n_held_out == 4
    assert len(model.training.independent) == 4


@REFUSED
def test_copies_do_not_support_a_promise() -> None:
    with pytest.raises(UsageError, match="needs 29 different good pictures; there are 5"):
        fit([pixels(i % 5) for i in range(60)], Plan(size=64, max_false_rejects=0.1))


PLAIN = Plan(method="patchcore", size=64)


def deep(values: Pixels, shift: int) -> bytes:
    """A 16-bit PNG of grey levels shifted by so many bits."""
    held = io.BytesIO()
    Image.fromarray(values[:, :, 0].astype(np.uint16) << shift).save(held, "PNG")
    return held.getvalue()


@pytest.mark.parametrize("shift", [0, 2, 4, 6, 8])
def test_16_bit_files_score_as_their_8_bit_twins_whatever_bits_are_in_use(shift: int, tmp_path: Path) -> None:
    greys = [np.repeat(pixels(seed)[:, :, :1], 3, 2) for seed in range(5)]
    twins = fit(greys[:4], PLAIN)
    model = fit([deep(one, shift) for one in greys[:4]], PLAIN)
    assert model.bits == 8 + shift
    message = [
        note for note in model.training.notes if f"exceeds {(1 << 8 + shift) - 1}: they are read as {8 + shift} bits" in note
    ]
    assert len(message) == (shift < 8)
    np.testing.assert_array_equal(model.training.held_out, twins.training.held_out)
    model.save(tmp_path / "m.flaw")
    assert load(tmp_path / "m.flaw").predict(deep(greys[4], shift)).score == twins.predict(greys[4]).score
    if shift < 8:
        with pytest.raises(PictureError, match="holds values above"):
            model.predict(deep(greys[4], 8))


def test_bits_are_those_of_all_pictures_and_can_be_set() -> None:
    pictures = [deep(pixels(0) // 4, 4), deep(np.maximum(pixels(1), 255), 4)]
    assert fit(pictures, PLAIN).bits == 12
    kept = fit(pictures, dataclasses.replace(PLAIN, bits=16))
    assert kept.bits == 16
    with pytest.raises(DataError, match=r"picture 2: holds values above 1023"):
        fit(pictures, dataclasses.replace(PLAIN, bits=10))
    with pytest.raises(UsageError, match="bits must be 8 to 16; got 7"):
        fit(pictures, dataclasses.replace(PLAIN, bits=7))


def test_pictures_of_different_sizes_are_told() -> None:
    shapes = [(64, 64), (64, 64), (80, 64), (70, 90), (72, 90), (74, 90)]
    model = fit([pixels(i, *shape) for i, shape in enumerate(shapes)], TINY)
    assert "Pictures of 5 sizes (64×64, 90×70, 90×72, 90×74 …): parts should appear equally large." in model.training.notes
    assert model.training.sizes_hw.tolist() == [list(shape) for shape in shapes]


@pytest.mark.parametrize(("n", "message"), [(inspecting.FEW - 1, True), (inspecting.FEW, False)])
def test_few_pictures_are_told(n: int, message: bool) -> None:
    notes = fit([pixels(i) for i in range(n)], TINY).training.notes
    notes = [note for note in notes if "did not set the threshold" not in note]  # noise scores as it likes
    assert [note for note in notes if "the threshold can promise little" in note] == notes
    assert len(notes) == message
    assert not message or f"Only {n} different good pictures" in notes[0]


@REFUSED
@pytest.mark.parametrize("unreadable", [False, True])
def test_a_promise_that_so_few_cannot_support_is_refused_early(unreadable: bool) -> None:
    pictures: list[Any] = [pixels(i) for i in range(58)] + [b"" if unreadable else pixels(58)]
    plan = Plan(size=64, max_false_rejects=0.05, skip_bad=True)
    if unreadable:
        with pytest.raises(UsageError, match="needs 59 different good pictures; there are 58"):
            fit(pictures, plan)
    else:
        with pytest.raises(pytest.fail.Exception, match="fit was called"):
            fit(pictures, plan)


@REFUSED
@pytest.mark.parametrize(
    ("plan", "error", "message"),
    [
        ({"max_false_rejects": 0.0}, UsageError, "must be a share"),
        ({"confidence": 1.5}, UsageError, "confidence must be between 0 and 1"),
        ({"confidence": 0.0, "max_false_rejects": 0.5}, UsageError, "confidence must be between 0 and 1"),
        ({"preset": "papr"}, UnknownName, r"presets: there is no 'papr'\. Did you mean paper\?"),
        ({"method": "PatchCor"}, UnknownName, r"methods: there is no 'PatchCor'\. Did you mean patchcore or patch_svdd\?"),
        ({"backbone": "efficientnet-lite0"}, UnknownName, r"Did you mean efficientnet_lite0"),
        ({"levels": ("stage33",)}, UnknownName, r"there is no 'stage33'\. Did you mean stage3"),
        ({"runtime": "onnx"}, UnknownName, "Did you mean onnxruntime"),
        ({"options": {"coresetratio": 1}}, UnknownName, r"there is no 'coresetratio'\. Did you mean coreset_ratio"),
        ({"options": {"neighbours": "three"}}, UsageError, "neighbours"),
        ({"options": {"neighbours": 2.5}}, UsageError, "neighbours"),
        ({"options": {"neighbours": True}}, UsageError, "neighbours"),
        ({"options": {"reweight": "no"}}, UsageError, "reweight"),
        ({"options": {"coreset": ["greedy"]}}, UsageError, "coreset"),
        ({"options": {"seed": None}}, UsageError, "seed"),
        ({"options": {"coreset_ratio": 2.0}}, UsageError, r"coreset_ratio must be above 0 and at most 1; got 2\.0"),
        ({"size": 10}, UsageError, "size must be 64 to 4096"),
    ],
    ids=str,
)
def test_a_plan_that_cannot_be_followed_is_refused(plan: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        fit([pixels(0), pixels(1)], Plan(**{"size": 64, **plan}))


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Plan)])
def test_every_field_of_a_plan_is_checked_when_it_is_made(name: str) -> None:
    with pytest.raises(UsageError, match=f"^Plan: {name}: expected .*, got <object"):
        Plan(**{name: object()})


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"levels": "stage3"}, "Plan: levels: expected the names of levels, such as .*, got 'stage3'"),
        ({"size": True}, "Plan: size: expected a whole number of pixels, got True"),
        ({"size": 128.0}, "Plan: size: expected a whole number of pixels, got 128.0"),
        ({"max_false_rejects": "1%"}, "Plan: max_false_rejects: expected a share such as 0.01, got '1%'"),
        ({"max_false_rejects": float("nan")}, "max_false_rejects must be a share between"),
        ({"confidence": 1}, "confidence must be between 0 and 1"),
        ({"skip_bad": "no"}, "Plan: skip_bad: expected True or False, got 'no'"),
        ({"device": "gpu"}, "Plan: device: there is no 'gpu'"),
        ({"runtime": "onnx"}, "Plan: runtime: there is no 'onnx'. Did you mean onnxruntime"),
        ({"memory": "much"}, "memory: a size such as 1GB"),
        ({"group_by": "("}, "group_by: folder or a regular expression"),
        ({"options": {"blur_sigma": float("nan")}}, "blur_sigma must be a finite number; got nan"),
        ({"options": {1: 2}}, "expected names as text"),
    ],
    ids=str,
)
def test_a_wrong_field_of_a_plan_is_named(plan: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Plan(**plan)


def test_a_plan_takes_lists_and_text_for_paths() -> None:
    plan = Plan(levels=["stage2", "stage3"], checkpoints="kept")  # type: ignore[arg-type]
    assert (plan.levels, plan.checkpoints) == (("stage2", "stage3"), Path("kept"))


def test_a_runtime_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtra, match=r"flawsight\[openvino\]"):
        fit([pixels(0), pixels(1)], Plan(size=64, runtime="openvino"))


@pytest.mark.parametrize("stage", ["checking pictures", "looking at pictures", "scoring good pictures"])
def test_an_interrupt_comes_through(folder: Path, stage: str) -> None:
    def stop(what: str, done: int, total: int) -> None:
        if what == stage and done == 2:
            raise KeyboardInterrupt

    before = sorted(folder.parent.rglob("*"))
    with pytest.raises(KeyboardInterrupt):
        fit(folder, TINY, stop)
    assert sorted(folder.parent.rglob("*")) == before


def test_progress_is_told_stage_by_stage(folder: Path) -> None:
    message: dict[str, list[tuple[int, int]]] = {}
    fit(folder, TINY, lambda what, done, total: message.setdefault(what, []).append((done, total)))
    stages = list(message)
    assert [stages[0], stages[1], stages[-1]] == ["checking pictures", "looking at pictures", "scoring good pictures"]
    for stage, steps in message.items():
        assert [done for done, _ in steps] == sorted(done for done, _ in steps), stage
        assert steps[-1][0] == steps[-1][1], stage
    assert message["looking at pictures"] == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_pictures_may_come_in_any_form(folder: Path) -> None:
    paths = sorted(folder.iterdir())
    reference = fit(folder, TINY)
    with Image.open(paths[2]) as picture:
        model = fit([pixels(0), paths[1].read_bytes(), picture, str(paths[3])], TINY)
    assert model.fingerprint == reference.fingerprint
    assert model.training.names == ["picture 1", "picture 2", str(paths[2]), str(paths[3])]
    np.testing.assert_array_equal(model.training.held_out, reference.training.held_out)
    array = np.stack([pixels(i) for i in range(4)])
    assert fit(array, TINY).fingerprint == reference.fingerprint  # type: ignore[arg-type]


@pytest.mark.parametrize("pictures", [b"bytes of one picture", [3.5, 2.5]], ids=["bytes", "numbers"])
def test_what_is_no_list_of_pictures_is_refused(pictures: Any) -> None:
    with pytest.raises(UsageError, match=r"needs a path, bytes, a Pillow picture or a uint8 array; got (int|float)"):
        fit(pictures, TINY)


def test_names_that_are_no_text_are_kept(folder: Path, tmp_path: Path) -> None:
    odd = Path(os.fsdecode(bytes(folder) + b"/\xff.png"))
    odd.write_bytes((folder / "0.png").read_bytes())
    (folder / "0.png").unlink()
    fit(folder, TINY).save(tmp_path / "x.flaw")
    assert load(tmp_path / "x.flaw").training.names == ["1.png", "2.png", "3.png", r"\udcff.png"]


def test_held_out_scores_are_what_new_good_pictures_score(plates: DataSet, model: Model) -> None:
    """Each within a factor of two of those of good pictures that were never seen."""
    fresh = [model.predict(sample).score for sample in plates.test if sample.label == 0]
    seen = [model.predict(sample).score for sample in plates.train]
    assert np.median(model.training.held_out) == pytest.approx(np.median(fresh), rel=0.5)
    assert np.median(model.training.held_out) > np.median(seen)


def test_the_promise_asked_for_is_the_threshold_set() -> None:
    model = fit([pixels(i) for i in range(12)], Plan(size=64, max_false_rejects=0.5, confidence=0.9))
    assert model.threshold.rule == "max_false_rejects 50 %"
    assert model.threshold.max_false_rejects <= 0.5
    assert model.threshold.n_rejected == np.count_nonzero(model.training.held_out > model.threshold.value) == 3


def test_plans_name_what_differs_from_the_defaults() -> None:
    assert {"default", "paper"} <= PRESETS.keys()
    assert all(preset.description for preset in PRESETS.values())
    paper = Plan(preset="paper").preprocess()
    assert (paper.size, paper.resize) == (224, 256)
    smaller = Plan(preset="paper", size=112).preprocess()
    assert (smaller.size, smaller.resize) == (112, 128)
    own = PRESETS["paper"].options
    assert Plan(preset="paper", options={"seed": 3}).method_options() == {**own, "seed": 3}
    ratio = Plan(preset="paper", options={"coreset_ratio": 0.7}).method_options()["coreset_ratio"]
    assert ratio == 0.7


def test_a_preset_names_method_backbone_and_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Preset("x", backbone="efficientnet_lite2", levels=("stage2", "stage4"), options={"seed": 5})
    monkeypatch.setitem(PRESETS, "own", own)
    plan = Plan(preset="own", size=64)
    assert (plan.method_name, plan.backbone_name, plan.backbone_levels()) == ("patchcore", "efficientnet_lite2", own.levels)
    assert Plan(preset="own", levels=("stage3",)).backbone_levels() == ("stage3",)
    # its levels are those of its own network; of another they may not even exist
    other = Plan(preset="own", backbone="efficientnet_lite0")
    assert (other.backbone_name, other.backbone_levels()) == ("efficientnet_lite0", ("stage3", "stage5"))
    model = fit([pixels(0), pixels(1)], plan)
    assert (model.backbone_name, model.backbone.levels, model.method.params.seed) == ("efficientnet_lite2", own.levels, 5)


def test_the_options_of_a_preset_are_not_given_to_another_method() -> None:
    assert Plan(method="spade", options={"seed": 1}).method_options() == {"seed": 1}
    with pytest.raises(UsageError, match="presets: paper sets options of patchcore; method spade came"):
        Plan(preset="paper", method="spade").method_options()


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_fits(preset: str) -> None:
    keeps_a_bank = "coreset_ratio" in PRESETS[preset].options
    learns = "steps" in PRESETS[preset].options
    more: dict[str, Any] = {"coreset_ratio": 0.5} if keeps_a_bank else {}  # 1 % of so few patches cannot score the others
    if learns:
        more = {"steps": 1, "batch": 2, **({"width": 4} if "width" in PRESETS[preset].options else {})}
    if preset == "geotrans":
        more["depth"] = 10  # of 16 layers, whose kernels for each of 72 transforms take half a minute
    if "distilled_from" in PRESETS[preset].options:
        more |= {"batch": 1, "distilled_from": SMALLEST, "crops": 20, "trunk_size": 64, "teacher_steps": 1, "teacher_batch": 2}
    pictures = [pixels(i) for i in range(5)]  # as many as MahalanobisAD has folds
    backbone = PIXELS if PRESETS[preset].backbone == PIXELS else SMALLEST
    shown = [pixels(9)] if preset == "cavga_rw" else None
    model = fit(pictures, Plan(preset=preset, backbone=backbone, size=64, options=more, defects=shown))
    assert np.isfinite(model.training.held_out).sum() == (2 if learns else 5)
    for name, value in {**PRESETS[preset].options, **more}.items():
        assert getattr(model.method.params, name) == value


@pytest.mark.parametrize(("side", "noted"), [(128 * 4, False), (128 * 5, True)])
def test_pictures_that_are_much_reduced_are_noted(side: int, noted: bool) -> None:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (side, side, 3), dtype=np.uint8) for _ in range(2)]
    notes = fit(pictures, Plan(size=128)).training.notes
    assert any("one pixel for each 5×5" in note for note in notes) == noted


def test_one_good_picture_serves_where_no_threshold_is_needed(plates: DataSet) -> None:
    with pytest.raises(DataError, match="needs at least 2 different good pictures"):
        fit(plates.train[:1], TINY)
    model = fit(plates.train[:1], dataclasses.replace(TINY, needs_threshold=False))
    report = evaluate(model, plates.test, "one shot")
    assert report.metrics["image_auroc"] > 0.5
    assert report.counts["rejected"] == 0
    assert np.isfinite([row.score for row in report.rows]).all()
    assert len({row.score for row in report.rows}) > 1


def test_fits_may_share_a_network(plates: DataSet) -> None:
    network = TINY.network()
    shared = fit(plates.train, TINY, backbone=network)
    assert shared.backbone is network
    assert shared.predict(plates.test[0]).score == fit(plates.train, TINY).predict(plates.test[0]).score


def learning(**changes: Any) -> Plan:
    """A plan of a method that learns by gradient, with hardly a step."""
    options = {"steps": 3, "batch": 2, "width": 4, "crop": 64, **changes.pop("options", {})}
    return Plan(method="ae_ssim", size=64, options=options, **changes)


def test_a_method_has_a_network_of_its_own() -> None:
    assert Plan(method="ae_ssim").backbone_name == PIXELS
    assert Plan(method="padim").backbone_name == Plan(method="patchcore").backbone_name == SMALLEST
    assert Plan().backbone_name == Plan(method="two_banks").backbone_name == WHOLE
    assert (Plan().preprocess().size, Plan(method="padim").preprocess().size) == (512, 320)  # a preset's size is its method's
    with pytest.raises(UsageError, match="ae_ssim: it learns from the picture itself; the network efficientnet_lite0 came"):
        fit([pixels(i) for i in range(4)], Plan(method="ae_ssim", backbone=SMALLEST))


def test_pictures_that_were_learned_from_have_no_held_out_score(tmp_path: Path) -> None:
    pictures = [pixels(i) for i in range(10)]
    model = fit(pictures, learning(options={"held_out": 0.3}))
    unseen = np.isfinite(model.training.held_out)
    assert unseen.sum() == 3
    assert model.threshold.n_held_out == len(model.training.independent) == 3
    assert model.threshold.value == model.training.held_out[unseen].max()
    assert "7 of 10 good pictures were learned from; the others are held out for the threshold." in model.training.notes
    low, _, high = model.info()["held_out_scores"].values()
    assert (low, high) == (model.training.held_out[unseen].min(), model.training.held_out[unseen].max())
    model.save(tmp_path / "part.flaw")
    loaded = load(tmp_path / "part.flaw")
    np.testing.assert_array_equal(loaded.training.held_out, model.training.held_out)
    for picture in pictures:
        assert loaded.predict(picture).score == model.predict(picture).score


def test_where_all_are_learned_from_it_says_so() -> None:
    model = fit([pixels(i) for i in range(4)], learning(options={"held_out": 0.0}, needs_threshold=False))
    assert "All 4 good pictures were learned from; none is held out for a threshold." in model.training.notes


def test_a_threshold_needs_pictures_that_were_not_learned_from() -> None:
    pictures = [pixels(i) for i in range(10)]
    with pytest.raises(UsageError, match=r"ae_ssim would hold 0 of 10 different good pictures out .* set held_out higher"):
        fit(pictures, learning(options={"held_out": 0.0}))
    with pytest.raises(UsageError, match="needs 29 different good pictures; there are 2"):
        fit(pictures, learning(max_false_rejects=0.1))
    model = fit(pictures, learning(options={"held_out": 0.0}, needs_threshold=False))
    assert np.isnan(model.training.held_out).all()
    assert len(model.training.independent) == 0
    assert model.info()["held_out_scores"] == {}


def test_checkpoints_need_a_folder_before_time_is_spent(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_bytes(b"")
    with pytest.raises(UsageError, match=r"taken: a folder for checkpoints was needed; it is a file"):
        fit([], learning(checkpoints=taken))


def test_checkpoints_are_for_methods_that_learn_by_gradient(tmp_path: Path) -> None:
    pictures = [pixels(i) for i in range(6)]
    with pytest.raises(UsageError, match="two_banks does not learn by gradient and needs no checkpoints"):
        fit(pictures, Plan(checkpoints=tmp_path))
    model = fit(pictures, learning(checkpoints=tmp_path / "kept"))
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["ae_ssim-training.safetensors"]
    again = fit(pictures, learning(checkpoints=tmp_path / "kept"))
    assert again.predict(pictures[0]).score == model.predict(pictures[0]).score
    with pytest.raises(UsageError, match="it is of other pictures, settings or versions"):
        fit(pictures[::-1], learning(checkpoints=tmp_path / "kept"))

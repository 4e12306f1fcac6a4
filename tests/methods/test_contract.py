"""What every method promises: a new line in METHODS is held to all of it."""

from __future__ import annotations

import dataclasses
import inspect
import json
import pickle
import random
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from flawsight.backbones import BACKBONES, PIXELS, Backbone, get_card
from flawsight.backbones.onnx import OnnxBackbone
from flawsight.datasets import DataSet
from flawsight.errors import DataError, NotFitted, UnknownName, UsageError
from flawsight.evaluation import evaluate_dataset
from flawsight.fitting import Plan, fit
from flawsight.methods import METHODS, make
from flawsight.methods.base import LearnedMethod, Method, ShownMethod, make_params
from flawsight.methods.learned import Learned
from flawsight.metrics import METRICS, auroc
from flawsight.types import DETAIL, Arrays, Float, Scores

EXPECTED = json.loads((Path(__file__).parents[1] / "expected.json").read_text(encoding="utf-8"))
N_GOOD, FITTED_HW = 6, (96, 128)
HASTY = 3  # steps
SQUARE = slice(40, 72), slice(32, 64)  # rows, columns
SHARE = 0.5  # of a map's highest places that are to lie in the square; chance would put a twelfth there

# What a method has learned serves many of its tests, so one process runs them all.
pytestmark = pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in METHODS])


class Drawn:
    """Pictures as the method's own network takes them: values up to 1, from −1, or from 0 where the method learns from pixels."""

    def __init__(self, name: str) -> None:
        card = get_card(METHODS[name].default_backbone)
        self.half = 127.5 / card.std[0]  # of the range from the lowest value to 1

    def __call__(self, seed: int, n: int = N_GOOD, high: int = 96, wide: int = 128) -> list[Float]:
        """Good ones: see `textures`."""
        return [picture * np.float32(self.half) + np.float32(1 - self.half) for picture in textures(seed, n, high, wide)]


def textures(seed: int, n: int, high: int, wide: int) -> list[Float]:
    """Pictures of one texture, each lit a little differently and with noise of its own: float32 [3,h,w] each, values −1 to 1."""
    texture = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(3, high, wide)), (0, 2, 2)) * 4
    rng = np.random.default_rng(seed)
    pictures = texture * rng.uniform(0.9, 1.1, (n, 1, 1, 1)) + rng.normal(0, 0.05, (n, 3, high, wide))
    return list(pictures.clip(-1, 1).astype(np.float32))


def pasted(picture: Float) -> Float:
    """The picture with a bright square in it."""
    changed = picture.copy()
    changed[:, *SQUARE] = 1
    return changed


def peaks_in_square(heat: Float) -> bool:
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    return SQUARE[0].start <= row < SQUARE[0].stop and SQUARE[1].start <= column < SQUARE[1].stop


@cache
def network(name: str) -> OnnxBackbone:
    """The method's own network with the levels that it wants of it."""
    card = get_card(METHODS[name].default_backbone)
    return OnnxBackbone(card.onnx(), METHODS[name].default_levels(card))


@pytest.fixture
def backbone(name: str) -> Backbone:
    return network(name)


@pytest.fixture
def good(name: str) -> Drawn:
    return Drawn(name)


def options(name: str, **changed: Any) -> dict[str, Any]:
    """What methods that learn by gradient are made with here: the few steps, on small cuts, that this texture takes."""
    return {**EXPECTED[name].get("options", {}), **changed}


def unfitted(name: str, **changed: Any) -> Method:
    method = make(name, options(name, **changed), network(name))
    return method.with_defects([pasted(one) for one in Drawn(name)(4, 2)]) if isinstance(method, ShownMethod) else method


def hasty(name: str, **changed: Any) -> Method:
    """The method; one that learns by gradient with a few steps, for what does not depend on how well it has learned."""
    steps = {"steps": HASTY} if issubclass(METHODS[name], Learned) else {}
    return unfitted(name, **steps, **changed)


@cache
def fit_once(name: str) -> tuple[Method, Float]:
    """The method, and the held-out scores of the pictures that it was fitted on."""
    method = unfitted(name)
    return method, method.fit(Drawn(name)(1), list(range(N_GOOD)))


@pytest.fixture
def fitted(name: str) -> Method:
    """The method, fitted on the good pictures; tests only score with it."""
    return fit_once(name)[0]


def random_states() -> bytes:
    torch = sys.modules.get("torch")
    return pickle.dumps((np.random.get_state(), random.getstate(), torch and torch.get_rng_state().numpy()))  # noqa: NPY002


def assert_same(one: Scores, other: Scores) -> None:
    for field in dataclasses.fields(Scores):
        first, second = getattr(one, field.name), getattr(other, field.name)
        assert (first is None) == (second is None)
        if first is not None:
            np.testing.assert_array_equal(first, second, err_msg=field.name)


def assert_same_state(one: Arrays, other: Arrays) -> None:
    assert one.keys() == other.keys()
    for key, array in one.items():
        assert array.dtype == other[key].dtype
        np.testing.assert_array_equal(array, other[key], err_msg=key)


def test_identity(name: str) -> None:
    method = METHODS[name]
    assert method.name == name
    assert method.title
    assert isinstance(method.any_size, bool)
    assert get_card(method.default_backbone).embedded
    for card in BACKBONES.values():
        if method.default_backbone == PIXELS and card.name != PIXELS:
            with pytest.raises(UsageError, match=f"{name}: .* the network {card.name} came"):
                method.default_levels(card)
        else:
            card.check_levels(method.default_levels(card))
    assert list(inspect.signature(method.fit).parameters) == ["self", "images", "groups", "progress"]  # no labels, no masks


def test_labelled_defects_reach_only_the_method_that_says_it_learns_from_them(name: str, plates: DataSet) -> None:
    defects = [one for one in plates.test if one.label == 1][:2]
    plan = Plan(method=name, size=64, options=options(name), defects=defects)
    if name != "cavga_rw":
        assert not isinstance(unfitted(name), ShownMethod)
        with pytest.raises(UsageError, match=f"fit: {name} learns from good pictures alone; defective ones came too"):
            fit(plates.train, plan)
        return
    assert isinstance(unfitted(name), ShownMethod)
    with pytest.raises(UsageError, match=r"fit: cavga_rw needs labelled defective pictures .*; none came\. Name a folder"):
        fit(plates.train, dataclasses.replace(plan, defects=None))
    with pytest.raises(UsageError, match="cavga_rw: needs labelled defective pictures beside good ones; none came"):
        make(name, options(name), network(name)).fit(Drawn(name)(1), list(range(N_GOOD)))


def test_not_fitted(name: str, good: Drawn) -> None:
    method = hasty(name)
    with pytest.raises(NotFitted, match=f"{name}: it has not been fitted"):
        method.score(np.stack(good(2, 1)))
    with pytest.raises(NotFitted, match=f"{name}: it has not been fitted"):
        method.state()


@pytest.mark.parametrize("hw", [FITTED_HW, (128, 96), (64, 64), (64, 208)])
def test_what_comes_back(name: str, hw: tuple[int, int], fitted: Method, good: Drawn) -> None:
    if hw != FITTED_HW and not METHODS[name].any_size:
        pytest.skip("it judges pictures of the size that it learned from")
    images = np.stack(good(2, 3, *hw))
    scores = fitted.score(images)
    assert (scores.image.shape, scores.image.dtype) == ((3,), np.float32)
    assert np.isfinite(scores.image).all()
    if scores.map is not None:
        assert (scores.map.shape, scores.map.dtype) == ((3, *hw), np.float32)
        assert np.isfinite(scores.map).all()
    if scores.peak is None or scores.source is None or scores.source_peak is None:
        assert scores.peak is scores.source is scores.source_peak is None
        return
    assert (scores.source.shape, scores.source.dtype) == ((3,), np.int32)
    assert ((scores.source >= 0) & (scores.source < N_GOOD)).all()
    for boxes in (scores.peak, scores.source_peak):
        assert (boxes.shape, boxes.dtype) == ((3, 4), np.float32)
        assert (boxes >= 0).all()
        assert (boxes <= 1).all()
        assert (boxes[:, :2] < boxes[:, 2:]).all()


def test_a_picture_scores_the_same_alone_in_any_batch_and_in_any_order(name: str, fitted: Method, good: Drawn) -> None:
    method = fitted
    images = np.stack([*good(2, 3), pasted(good(2, 1)[0])])
    together = method.score(images)
    for batch in ([0], [1], [2], [3], [3, 1], [2, 3, 0, 1], [0, 0, 0]):
        scores = method.score(images[batch])
        for field in dataclasses.fields(Scores):
            whole, part = getattr(together, field.name), getattr(scores, field.name)
            assert (part is None) == (whole is None)
            if whole is not None:
                np.testing.assert_array_equal(part, whole[batch], err_msg=f"{field.name} {batch}")


def test_scoring_leaves_the_pictures_as_they_were(name: str, fitted: Method, good: Drawn) -> None:
    images = np.stack(good(2, 2))
    before = images.copy()
    fitted.score(images)
    np.testing.assert_array_equal(images, before)


def test_threads_give_the_same(name: str, fitted: Method, good: Drawn) -> None:
    batches = [np.stack(good(seed, 1 + seed % 2)) for seed in range(8)]
    expected = [fitted.score(batch) for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        for found, one in zip(pool.map(fitted.score, batches), expected, strict=True):
            assert_same(found, one)


@pytest.mark.kernels
def test_a_pasted_square_raises_the_score_and_the_map_shows_it(
    name: str, fitted: Method, good: Drawn, share_within: Callable[[Float, slice, slice], float]
) -> None:
    """A map that was trained may peak beside the square; most of what is highest in it would not be there by chance."""
    if not EXPECTED[name].get("square", True):
        pytest.skip("its map says where the network looks, which need not be where a picture is odd")
    clean = good(2, 3)
    before, after = fitted.score(np.stack(clean)), fitted.score(np.stack([pasted(picture) for picture in clean]))
    assert after.image.min() > before.image.max()
    if before.map is None or after.map is None:
        return
    if not EXPECTED[name].get("place", True):  # its page says so
        assert (after.map.max((1, 2)) > before.map.max((1, 2))).all()
        return
    assert min(share_within(heat, *SQUARE) for heat in after.map) >= SHARE
    assert issubclass(METHODS[name], Learned) or all(map(peaks_in_square, after.map))


def test_a_second_fit_forgets_the_first(name: str, good: Drawn) -> None:
    fresh, used = hasty(name), hasty(name)
    used.fit(good(3, 4, 64, 96), [0, 1, 2, 3])  # of another size too
    held_out = used.fit(good(1), list(range(N_GOOD)))
    np.testing.assert_array_equal(held_out, fresh.fit(good(1), list(range(N_GOOD))))
    assert_same_state(used.state(), fresh.state())


@pytest.mark.parametrize("seed", [0, 7])
def test_the_same_seed_gives_the_same_result(name: str, seed: int, good: Drawn) -> None:
    one, other = (hasty(name, seed=seed) for _ in range(2))
    np.testing.assert_array_equal(one.fit(good(1), list(range(N_GOOD))), other.fit(good(1), list(range(N_GOOD))))
    assert_same_state(one.state(), other.state())
    assert_same(one.score(np.stack(good(2, 2))), other.score(np.stack(good(2, 2))))


def test_random_numbers_of_others_are_left_alone(name: str, good: Drawn) -> None:
    before = random_states()
    method = hasty(name)
    method.fit(good(1), list(range(N_GOOD)))
    method.score(np.stack(good(2, 1)))
    assert random_states() == before


def test_what_was_learned_can_be_taken_over(name: str, fitted: Method, backbone: Backbone, good: Drawn) -> None:
    state = {key: array.copy() for key, array in fitted.state().items()}
    assert all(array.dtype.kind in "fiub" for array in state.values())
    other = make(name, dataclasses.asdict(fitted.params), backbone)
    assert other.with_state(state) is other
    assert_same_state(other.state(), fitted.state())
    images = np.stack([*good(2, 2), pasted(good(2, 1)[0])])
    assert_same(other.score(images), fitted.score(images))


@pytest.mark.kernels
def test_held_out_scores(name: str, good: Drawn) -> None:
    method, held_out = fit_once(name)
    assert (held_out.shape, held_out.dtype) == ((N_GOOD,), np.float32)
    known = held_out[np.isfinite(held_out)]
    assert len(known) == (method.n_held_out(N_GOOD) if isinstance(method, LearnedMethod) else N_GOOD) >= 2
    unseen = method.score(np.stack(good(2))).image
    assert 0.5 < np.median(known) / np.median(unseen) < 2  # like pictures that were really never seen


@pytest.mark.kernels
def test_held_out_scores_leave_out_the_whole_group(name: str, good: Drawn) -> None:
    if issubclass(METHODS[name], Learned):
        pytest.skip("it is not fitted again for a held-out score")
    pictures = good(1)
    pictures.append(pictures[-1])

    def held_out(groups: list[int]) -> Float:
        """[K,N]; of a method that joins members by the spread of all these scores, each member's in units of its own."""
        method = unfitted(name)
        scores = method.fit(pictures, groups)
        return method.state()["held_out"] if "held_out" in method.state() else scores[None]

    apart, together = held_out([0, 1, 2, 3, 4, 5, 6]), held_out([0, 1, 2, 3, 4, 5, 5])
    np.testing.assert_array_equal(apart[:, :5], together[:, :5])
    # a method that averages over many pictures, or counts few of them, has bounds of its own
    assert apart[:, 5:].min() < EXPECTED[name].get("twin_below", 0.8) * together[:, 5:].min()  # its twin was learned from
    assert together[:, 5:].min() > EXPECTED[name].get("alone_above", 0.6) * np.median(together[:, :5])


def test_what_is_held_out_is_not_learned_from(name: str, good: Drawn) -> None:
    if not issubclass(METHODS[name], Learned):
        pytest.skip("it is fitted again for a held-out score")
    method = hasty(name, held_out=0.5)
    assert isinstance(method, LearnedMethod)
    groups = [0, 0, 0, 1, 2, 3]
    held_out = method.fit(good(1), groups)
    unseen = np.isfinite(held_out)
    assert len(set(unseen[:3])) == 1  # a group is learned from as a whole, or not at all
    assert len({group for group, left_out in zip(groups, unseen, strict=True) if left_out}) == method.n_held_out(4) == 2
    scores = method.score(np.stack(good(1))).image
    np.testing.assert_array_equal(scores[unseen], held_out[unseen])
    learned = [picture for picture, left_out in zip(good(1), unseen, strict=True) if not left_out]
    other = hasty(name, held_out=0.0)
    assert np.isnan(other.fit(learned, list(range(len(learned))))).all()
    np.testing.assert_array_equal(other.score(np.stack(good(1))).image, scores)


def test_a_rehearsal_tells_seconds_and_leaves_no_trace(name: str, good: Drawn) -> None:
    method, other, before = hasty(name), hasty(name), random_states()
    if not isinstance(method, LearnedMethod):
        pytest.skip("its fit is no training")
    seconds, judging_s = method.rehearse(good(1, 3), 30)
    assert random_states() == before
    assert seconds
    assert min(*seconds.values(), judging_s) > 0
    method.fit(good(1), list(range(N_GOOD)))
    other.fit(good(1), list(range(N_GOOD)))
    assert_same_state(method.state(), other.state())


WITHOUT_TORCH = """
import json, sys
sys.modules["torch"] = None
import numpy as np
from flawsight.backbones import get_card
from flawsight.backbones.onnx import OnnxBackbone
from flawsight.methods import METHODS, make
name, options, folder = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
card = get_card(METHODS[name].default_backbone)
method = make(name, options, OnnxBackbone(card.onnx(), METHODS[name].default_levels(card)))
with np.load(folder + "/state.npz") as state:
    method = method.with_state(dict(state))
np.save(folder + "/scores.npy", method.score(np.load(folder + "/images.npy")).image)
"""


def test_what_was_learned_scores_the_same_without_torch(name: str, good: Drawn, tmp_path: Path) -> None:
    """In a process of its own, where torch cannot be imported."""
    if "needs torch" in METHODS[name].title:
        pytest.skip("its score follows gradients")
    method, images = hasty(name), np.stack(good(2, 2))
    method.fit(good(1), list(range(N_GOOD)))
    np.savez(tmp_path / "state.npz", **method.state())
    np.save(tmp_path / "images.npy", images)
    message = json.dumps(dataclasses.asdict(method.params))
    command = [sys.executable, "-c", WITHOUT_TORCH, name, message, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "scores.npy"), method.score(images).image)


def test_without_a_second_group_there_is_no_held_out_score(name: str, good: Drawn) -> None:
    assert np.isnan(hasty(name).fit(good(1, 3), [4, 4, 4])).all()


def test_any_iterable_of_pictures_is_taken_and_gone_through_once(name: str, good: Drawn) -> None:
    one, other = hasty(name), hasty(name)
    pictures = iter(good(1))
    one.fit(pictures, list(range(N_GOOD)))
    assert next(pictures, None) is None
    other.fit(good(1), list(range(N_GOOD)))
    assert_same_state(one.state(), other.state())


def test_pictures_of_different_sizes(name: str, good: Drawn) -> None:
    pictures = [*good(1, 2), *good(1, 2, 128, 96), *good(1, 1, 64, 208)]
    method = hasty(name)
    if not method.any_size:
        with pytest.raises(DataError, match=rf"{name}: .*128×96.*96×128"):
            method.fit(pictures, list(range(5)))
        method.fit(good(1, 2), [0, 1])
        with pytest.raises(DataError, match=rf"{name}: .*128×96.*208×64"):
            method.score(np.stack(good(1, 1, 64, 208)))
        return
    expected = method.n_held_out(5) if isinstance(method, LearnedMethod) else 5
    assert np.isfinite(method.fit(pictures, list(range(5)))).sum() == expected
    assert_same_state(hasty(name).with_state(method.state()).state(), method.state())
    for hw in ((96, 128), (128, 96)):
        clean = good(2, 1, *hw)[0]
        before, after = method.score(np.stack([clean, pasted(clean)])).image
        assert after > before or issubclass(METHODS[name], Learned)  # so soon it tells nothing apart


def test_progress_is_told(name: str, good: Drawn) -> None:
    calls: list[tuple[str, int, int]] = []
    hasty(name).fit(good(1), list(range(N_GOOD)), lambda *call: calls.append(call))
    last = {what.partition(DETAIL)[0]: (done, total) for what, done, total in calls}
    assert last
    assert all(done == total for done, total in last.values())
    assert all(0 < done <= total for _, done, total in calls)


def test_params_make_the_round_trip(name: str) -> None:
    params = METHODS[name].Params()
    assert dataclasses.is_dataclass(params)
    assert make_params(METHODS[name].Params, json.loads(json.dumps(dataclasses.asdict(params))), name) == params
    field = dataclasses.fields(params)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(params, field, None)


def test_an_unknown_option_is_answered_with_the_nearest(name: str, backbone: Backbone) -> None:
    for field in dataclasses.fields(METHODS[name].Params):
        with pytest.raises(UnknownName, match=rf"{name}: options: there is no '{field.name}_'\. Did you mean .*{field.name}"):
            make(name, {f"{field.name}_": field.default}, backbone)


@pytest.mark.parametrize("wrong", [None, [1], "none", 1.5, True, 3], ids=repr)
def test_options_of_a_wrong_type_are_refused(name: str, wrong: Any, backbone: Backbone) -> None:
    takes = {"bool": (bool,), "int": (int,), "float": (int, float), "str": (str,)}
    for field in dataclasses.fields(METHODS[name].Params):
        kind = type(field.default).__name__
        if isinstance(wrong, takes[kind]) and isinstance(wrong, bool) == (kind == "bool"):
            continue
        with pytest.raises(UsageError, match=f"{name}: {field.name} must be of type {kind}; got "):
            make(name, {field.name: wrong}, backbone)


@pytest.mark.parametrize("wrong", [-1, -0.5, float("nan"), float("inf"), -float("inf")], ids=repr)
def test_numbers_out_of_range_are_refused(name: str, wrong: float, backbone: Backbone) -> None:
    for field in dataclasses.fields(METHODS[name].Params):
        if type(field.default) is type(wrong):
            with pytest.raises(UsageError, match=f"{name}: {field.name} must be .*; got "):
                make(name, {field.name: wrong}, backbone)


def test_an_unknown_method_is_answered_with_the_nearest(name: str, backbone: Backbone) -> None:
    with pytest.raises(UnknownName, match=rf"methods: there is no '{name}s'\. Did you mean {name}"):
        make(f"{name}s", {}, backbone)


@pytest.mark.kernels
def test_faint_squares_are_found(name: str, good: Drawn) -> None:
    if "faint_auroc" not in EXPECTED[name]:
        pytest.skip("in the few steps that it gets here it learns no texture so exactly")
    method = unfitted(name)
    method.fit(good(1, 20), list(range(20)))
    clean = good(2, 20)
    faint = [0.85 * picture + 0.15 * pasted(picture) for picture in good(3, 20)]
    scores = np.append(method.score(np.stack(clean)).image, method.score(np.stack(faint)).image)
    assert auroc(scores, [0] * 20 + [1] * 20) >= EXPECTED[name]["faint_auroc"]


@pytest.mark.kernels
def test_defects_of_the_drawn_plates_are_found(name: str, plates: DataSet) -> None:
    expected = {metric: least for metric, least in EXPECTED[name].items() if metric in METRICS}
    if not expected:
        pytest.skip("it judges pictures as wholes, which defects as small as these hardly change")
    report, _ = evaluate_dataset(plates, plan=Plan(method=name, size=EXPECTED[name].get("size", 256), options=options(name)))
    for metric, least in expected.items():
        assert report.metrics[metric] >= least

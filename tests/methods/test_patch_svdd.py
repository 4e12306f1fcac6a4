"""PatchSVDD: its descriptors against those of patches one by one, its maps against sums by hand, and what it finds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

torch = pytest.importorskip("torch")

from flawsight.backbones import PIXELS, open_backbone  # noqa: E402
from flawsight.backbones.onnx import Graph  # noqa: E402
from flawsight.errors import DataError, UsageError  # noqa: E402
from flawsight.methods import make  # noqa: E402
from flawsight.methods.patch_svdd import WINDOWS, PatchSVDD  # noqa: E402
from flawsight.networks.descend import Run  # noqa: E402
from flawsight.types import (  # noqa: E402
    Arrays,
    Float,
    Progress,
)

SMALL = {"width": 4, "batch": 8, "steps": 3, "kept": 0, "held_out": 0.0}


def method(**options: Any) -> PatchSVDD:
    made = make("patch_svdd", {**SMALL, **options}, open_backbone(PIXELS))
    assert isinstance(made, PatchSVDD)
    return made


def waves(n: int, seed: int = 0, high: int = 96, wide: int = 96) -> list[Float]:
    """Stripes down the picture, elsewhere in each."""
    rng = np.random.default_rng(seed)
    stripes = np.sin(0.5 * np.arange(wide) + rng.uniform(0, 6, (n, 1)))
    pictures = 0.5 + 0.3 * stripes[:, None, None] + rng.normal(0, 0.02, (n, 3, high, wide))
    return list(pictures.clip(0, 1).astype(np.float32))


def test_what_is_kept_are_the_descriptors_of_all_patches_of_good_pictures() -> None:
    fitted, pictures = method(), waves(3, high=70)
    fitted.fit(pictures, [0, 1, 2])
    state = fitted.state()
    np.testing.assert_allclose(state["mean"], np.mean(pictures, 0), atol=1e-6)
    network = Graph(state["network"].tobytes())
    for number, (name, (side, step)) in enumerate(WINDOWS.items()):
        expected = [
            network({"pictures": np.pad(patch, ((0, 0), (0, 64 - side), (0, 64 - side)))[None]})[number][0, :, 0, 0]
            for picture in pictures
            for top in range(0, 70 - side + 1, step)
            for left in range(0, 96 - side + 1, step)
            for patch in [(picture - state["mean"])[:, top : top + side, left : left + side]]
        ]
        np.testing.assert_allclose(state[name], expected, atol=1e-5)


@pytest.mark.parametrize("combine", ["product", "sum"])
def test_the_map_is_what_the_distances_of_patches_come_to(combine: str) -> None:
    """At a size at which the last patches do not reach the rim."""
    fitted = method(combine=combine)
    fitted.fit(waves(3, high=70), [0, 1, 2])
    picture, state = waves(1, 5, high=70)[0], fitted.state()
    heats = []
    described = Graph(state["network"].tobytes())({"pictures": (picture - state["mean"])[None]})
    for (name, (side, step)), found in zip(WINDOWS.items(), described, strict=True):
        total, covered = np.zeros((2, *picture.shape[1:]))
        for row, column in np.ndindex(found.shape[2:]):
            nearest = np.linalg.norm(state[name].astype(np.float64) - found[0, :, row, column], axis=1).min()
            area = slice(row * step, row * step + side), slice(column * step, column * step + side)
            total[area] += nearest
            covered[area] += 1
        seen = (covered > 0).any(1).sum(), (covered > 0).any(0).sum()
        heat = (total / np.maximum(covered, 1))[: seen[0], : seen[1]]
        heats.append(np.pad(heat, [(0, length - n) for length, n in zip(picture.shape[1:], seen, strict=True)], "edge"))
    expected = heats[0] * heats[1] if combine == "product" else heats[0] + heats[1]
    scores = fitted.score(picture[None])
    assert scores.map is not None
    np.testing.assert_allclose(scores.map[0], expected, rtol=1e-3, atol=1e-5)
    assert scores.image[0] == scores.map[0].max()


@pytest.mark.kernels
def test_stripes_that_lie_across_are_found_where_they_are(share_within: Callable[[Float, slice, slice], float]) -> None:
    fitted = method(steps=150, lr=1e-3)
    fitted.fit(waves(10, 0, 128, 128), list(range(10)))
    good, bad = waves(4, 1, 128, 128), waves(4, 2, 128, 128)
    for picture in bad:
        picture[:, 40:88, 40:88] = picture[:, 40:88, 40:88].swapaxes(1, 2)
    fine, odd = fitted.score(np.stack(good)), fitted.score(np.stack(bad))
    assert odd.image.min() > 1.5 * fine.image.max()
    for heat in [] if odd.map is None else odd.map:
        assert share_within(heat, slice(40, 88), slice(40, 88)) > 0.4  # 0.14 by chance


@pytest.mark.kernels
def test_it_learns_to_tell_directions() -> None:
    """From slopes, which look the same in no two directions: far better than guessing, which costs 2 log 8."""
    slope = ndimage.zoom(np.array([[0.0, 0.4], [0.3, 1.0]]), 48, order=1)
    pictures = [np.stack([slope, slope.T, slope[::-1]]).astype(np.float32), np.zeros((3, 96, 96), np.float32)]
    guessing = 2 * np.log(8)
    fitted = method(steps=250, lr=3e-3)
    fitted.fit(pictures, [0, 1])
    assert float(fitted.state()["loss"][0]) < 0.8 * guessing


def test_no_more_descriptors_are_kept_than_asked_for() -> None:
    every, some = method(), method(kept=50)
    every.fit(waves(3), [0, 1, 2])
    some.fit(waves(3), [0, 1, 2])
    assert (every.state()["small"].shape, every.state()["large"].shape) == ((3 * 17 * 17, 64), (3 * 3 * 3, 64))
    assert (some.state()["small"].shape, some.state()["large"].shape) == ((50, 64), (27, 64))
    rows = {row.tobytes() for row in every.state()["small"]}
    assert all(row.tobytes() in rows for row in some.state()["small"])
    assert len({row.tobytes() for row in some.state()["small"]}) == 50


@pytest.mark.kernels
def test_a_stronger_pull_brings_descriptors_together() -> None:
    loose, tight = method(steps=60, pull=0.0), method(steps=60, pull=1.0)
    for one in (loose, tight):
        one.fit(waves(6), list(range(6)))
    spread = [float(np.linalg.norm(one.state()["small"].std(0))) for one in (loose, tight)]
    assert spread[1] < 0.7 * spread[0]


def test_a_training_that_was_stopped_goes_on_to_the_same_end(tmp_path: Path) -> None:
    """Also though the optimiser keeps nothing of a weight that is not learned."""

    def stop(what: str, done: int, total: int) -> None:
        if what.startswith("training") and done == 4:
            raise InterruptedError

    pictures, straight, again = waves(4), method(steps=8), method(steps=8)
    straight.fit(pictures, list(range(4)))

    def learn(tell: Progress) -> Arrays:
        run = Run("patch_svdd", 0, folder=tmp_path, key="k", tell=tell, keep_every_s=0)
        with run.seeded():
            return again._learn(pictures, [], run)

    with pytest.raises(InterruptedError):
        learn(stop)
    message: list[int] = []
    state = learn(lambda what, done, _: message.append(done) if what.startswith("training") else None)
    assert message == [4, 5, 6, 7, 8]
    for name, array in straight.state().items():
        np.testing.assert_array_equal(state[name], array, err_msg=name)


def test_pictures_that_differ_in_size_or_are_too_small_are_refused() -> None:
    with pytest.raises(DataError, match=r"patch_svdd: pictures of one size .* 96×96 pixels, and this one 128×96"):
        method().fit([*waves(2), *waves(1, 0, 96, 128)], [0, 1, 2])
    with pytest.raises(DataError, match=r"patch_svdd: pictures of 64 pixels on each side were needed; it gets 96×48"):
        method().fit(waves(2, 0, 48, 96), [0, 1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "width must be ≥ 1; got 0"),
        ({"pull": -0.1}, "pull must be ≥ 0 and finite"),
        ({"kept": -1}, "kept must be ≥ 0"),
        ({"combine": "mean"}, "combine must be product or sum; got 'mean'"),
    ],
)
def test_params_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"patch_svdd: {message}"):
        method(**options)


@pytest.mark.parametrize(("kept", "small", "large"), [(0, 30 * 17 * 17, 30 * 9), (500, 500, 30 * 9)])
def test_a_rehearsal_keeps_as_many_descriptors_as_all_pictures_will_have(kept: int, small: int, large: int) -> None:
    """So that judging a picture, and the memory it takes, are told of the bank that there will be."""
    rehearsed = method(kept=kept)
    seconds, _ = rehearsed.rehearse(waves(3), 30)
    assert [len(rehearsed.state()[name]) for name in WINDOWS] == [small, large]
    assert set(seconds) == {"training", "describing good pictures"}

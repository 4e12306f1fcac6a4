"""SPADE, against the paper's formulas written out: both forms of its pyramid, and the pictures that a picture is compared with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from flawsight.errors import UsageError
from flawsight.methods import make
from flawsight.methods.spade import SPADE, _concat
from flawsight.parts import resample
from flawsight.types import Float


class Cells:
    """A backbone of three levels: the pixels' colours, those of squares of two by two, and their squares for the average."""

    def features(self, images: Float) -> list[Float]:
        n, channels, high, wide = images.shape
        coarse = images.reshape(n, channels, high // 2, 2, wide // 2, 2).mean((3, 5), dtype=np.float64).astype(np.float32)
        return [images, 2 * coarse, np.concatenate([coarse, coarse**2], 1)]


def method(**options: Any) -> SPADE:
    made = make("spade", {"pyramid_levels": 2, "blur_sigma": 0.0, **options}, Cells())
    assert isinstance(made, SPADE)
    return made


def draw(seed: int, n: int, rows: int = 4, columns: int = 6) -> list[Float]:
    rng = np.random.default_rng(seed)
    return list((rng.normal(size=(n, 3, rows, columns)) + rng.normal(size=(n, 3, 1, 1))).astype(np.float32))


def averages(pictures: list[Float]) -> NDArray[np.float64]:
    return np.stack([Cells().features(one[None])[-1][0].mean((1, 2), np.float64) for one in pictures])


def squared(queries: Float, rows: Float) -> NDArray[np.float64]:
    """Between the places of two lists of vectors: [Q,N]."""
    return np.square(queries[:, None].astype(np.float64) - rows[None]).sum(2)


def places(one: Float) -> Float:
    return one.reshape(len(one), -1).T


def galleries(good: list[Float], new: list[Float], k: int) -> list[list[Float]]:
    nearest = squared(averages(new).astype(np.float32), averages(good).astype(np.float32)).argsort(1)[:, :k]
    return [[good[one] for one in row] for row in nearest]


@pytest.mark.parametrize(("distance", "power"), [("sqeuclidean", 1.0), ("euclidean", 0.5)])
@pytest.mark.parametrize("k", [1, 3, 50])
def test_the_picture_scores_the_mean_distance_to_its_k_nearest(distance: str, power: float, k: int) -> None:
    good, new = draw(0, 8), draw(1, 5)
    fitted = method(neighbours=k, distance=distance)
    fitted.fit(good, list(range(8)))
    expected = (np.sort(squared(averages(new), averages(good)), 1)[:, :k] ** power).mean(1)
    np.testing.assert_allclose(fitted.score(np.stack(new)).image, expected, rtol=1e-4)


@pytest.mark.parametrize(("distance", "power"), [("sqeuclidean", 1.0), ("euclidean", 0.5)])
@pytest.mark.parametrize("patch_neighbours", [1, 4])
def test_per_level_each_level_is_searched_on_its_own_grid(distance: str, power: float, patch_neighbours: int) -> None:
    good, new = draw(0, 8), draw(1, 3)
    fitted = method(neighbours=3, distance=distance, patch_neighbours=patch_neighbours)
    fitted.fit(good, list(range(8)))
    found = fitted.score(np.stack(new)).map
    assert found is not None
    for picture, gallery, heat in zip(new, galleries(good, new, 3), found, strict=True):
        fine, coarse = (
            np.sort(squared(places(one[0]), np.concatenate([places(other) for other in others])), 1)[:, :patch_neighbours] ** power
            for one, others in zip(Cells().features(picture[None])[:2], Cells().features(np.stack(gallery))[:2], strict=True)
        )
        enlarged = resample.bilinear(2, 4) @ coarse.mean(1).reshape(2, 3) @ resample.bilinear(3, 6).T
        expected = (fine.mean(1).reshape(4, 6) + enlarged) / 2
        np.testing.assert_allclose(heat / fitted.state()["factor"], expected, rtol=1e-4)


@pytest.mark.parametrize("patch_neighbours", [1, 2])
def test_concat_a_place_is_all_levels_at_that_place(patch_neighbours: int) -> None:
    good, new = draw(0, 8), draw(1, 3)
    fitted = method(neighbours=3, pyramid="concat", patch_neighbours=patch_neighbours)
    fitted.fit(good, list(range(8)))
    found = fitted.score(np.stack(new)).map
    assert found is not None

    def whole(picture: Float) -> Float:
        fine, coarse, _ = (level[0] for level in Cells().features(picture[None]))
        return places(np.concatenate([fine, resample.bilinear(2, 4) @ coarse @ resample.bilinear(3, 6).T]))

    for picture, gallery, heat in zip(new, galleries(good, new, 3), found, strict=True):
        nearest = np.sort(squared(whole(picture), np.concatenate([whole(other) for other in gallery])), 1)[:, :patch_neighbours]
        np.testing.assert_allclose(heat / fitted.state()["factor"], nearest.mean(1).reshape(4, 6), rtol=1e-4)


def test_both_forms_are_the_same_of_one_level() -> None:
    maps = []
    for pyramid in ("concat", "per_level"):
        fitted = method(pyramid=pyramid, pyramid_levels=1)
        fitted.fit(draw(0, 6), list(range(6)))
        maps.append(fitted.score(np.stack(draw(1, 2))).map)
    np.testing.assert_array_equal(maps[0], maps[1])


def test_large_grids_are_searched_in_blocks() -> None:
    good, new = draw(0, 3, 40, 42), draw(1, 1, 40, 42)
    fitted = method(pyramid_levels=1)
    fitted.fit(good, [0, 1, 2])
    expected = np.min([squared(places(new[0]), places(one)).min(1) for one in good], 0).reshape(40, 42)
    found = fitted.score(np.stack(new)).map
    assert found is not None
    np.testing.assert_allclose(found[0] / fitted.state()["factor"], expected, rtol=1e-4)


@pytest.mark.parametrize("pyramid", ["concat", "per_level"])
def test_evidence_points_at_the_place_and_at_the_nearest_in_the_gallery(pyramid: str) -> None:
    good = [*draw(0, 2), *draw(2, 2, 8, 6)]
    fitted = method(pyramid=pyramid, neighbours=4)
    fitted.fit(good, [0, 1, 2, 3])
    new = good[0].copy()
    new[:, 2:4, 4:6] = good[3][:, 6:8, 0:2] + np.float32(0.05)
    scores = fitted.score(new[None])
    assert scores.peak is not None
    assert scores.source is not None
    top, left, bottom, right = scores.peak[0] * np.array([4, 6, 4, 6])
    assert 2 <= top < bottom <= 4
    assert 4 <= left < right <= 6
    assert scores.source_peak is not None
    np.testing.assert_array_equal(scores.source, [3])
    top, left, bottom, right = scores.source_peak[0] * np.array([8, 6, 8, 6])
    if pyramid == "per_level":  # put together, a place holds something of its neighbours, which are others here
        assert 6 <= top < bottom < 8.001
        assert 0 <= left < right < 2.001


def test_a_picture_in_the_gallery_is_its_own_nearest() -> None:
    good = draw(0, 5)
    fitted = method(neighbours=1)
    fitted.fit(good, list(range(5)))
    scores = fitted.score(np.stack(good))
    assert (scores.image == 0).all()
    assert scores.map is not None
    assert np.abs(scores.map).max() < 1e-9
    np.testing.assert_array_equal(scores.source, np.arange(5))


@pytest.mark.parametrize("k", [2, 50])
def test_a_held_out_score_is_that_of_a_fit_without_the_picture(k: int) -> None:
    good, groups = draw(0, 7), [0, 1, 1, 2, 3, 4, 5]
    held_out = method(neighbours=k).fit(good, groups)
    for one in range(7):
        rest = [picture for picture, group in zip(good, groups, strict=True) if group != groups[one]]
        refit = method(neighbours=k)
        refit.fit(rest, list(range(len(rest))))
        assert held_out[one] == pytest.approx(refit.score(good[one][None]).image.item(), rel=1e-5)


def test_maps_of_unseen_good_pictures_peak_near_their_scores() -> None:
    fitted = method()
    held_out = fitted.fit(draw(0, 30), list(range(30)))
    scores = fitted.score(np.stack(draw(1, 30)))
    assert scores.map is not None
    assert 0.5 < np.median(scores.map.max((1, 2))) / np.median(held_out) < 2


def test_pictures_are_left_as_they_were() -> None:
    good = draw(0, 3)
    before = [one.copy() for one in good]
    method().fit(good, [0, 1, 2])
    np.testing.assert_array_equal(good, before)


def test_levels_are_put_together_at_the_finest_grid() -> None:
    fine, coarse, _ = (level[0] for level in Cells().features(np.stack(draw(0, 1))))
    whole = _concat([fine, coarse])
    assert whole.shape == (6, 4, 6)
    np.testing.assert_array_equal(whole[:3], fine)
    np.testing.assert_allclose(whole[3:, 0, 0], coarse[:, 0, 0], rtol=1e-6)


@pytest.mark.parametrize(
    ("option", "value", "needed"),
    [
        ("neighbours", 0, "≥ 1"),
        ("patch_neighbours", 0, "≥ 1"),
        ("pyramid", "both", "per_level or concat"),
        ("pyramid_levels", 0, "≥ 1"),
        ("distance", "cosine", "sqeuclidean or euclidean"),
        ("blur_sigma", -1.0, "≥ 0 and finite"),
    ],
)
def test_values_out_of_range_are_refused(option: str, value: Any, needed: str) -> None:
    with pytest.raises(UsageError, match=f"spade: {option} must be {needed}; got {value!r}"):
        method(**{option: value})

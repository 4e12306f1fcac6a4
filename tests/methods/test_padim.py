"""PaDiM, against the paper's formulas written out place by place and against fits without the pictures left out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from flawsight.errors import DataError, UsageError
from flawsight.methods import make
from flawsight.methods.padim import PaDiM
from flawsight.types import Float

ROWS, COLUMNS = 4, 6


class Cells:
    """A backbone of two levels: the pixels' colours, and those of squares of two by two with products of them."""

    def features(self, images: Float) -> list[Float]:
        n, channels, high, wide = images.shape
        coarse = images.reshape(n, channels, high // 2, 2, wide // 2, 2).mean((3, 5), dtype=np.float64).astype(np.float32)
        return [images, np.concatenate([coarse, coarse * np.roll(coarse, 1, 1), np.abs(coarse)], 1)]


def method(**options: Any) -> PaDiM:
    made = make("padim", {"dims": 0, "blur_sigma": 0.0, **options}, Cells())
    assert isinstance(made, PaDiM)
    return made


def draw(seed: int, n: int, rows: int = ROWS, columns: int = COLUMNS) -> list[Float]:
    place = np.random.default_rng(9).normal(size=(3, rows, columns))
    return list((place + 0.3 * np.random.default_rng(seed).normal(size=(n, 3, rows, columns))).astype(np.float32))


def vectors(pictures: list[Float]) -> NDArray[np.float64]:
    """All twelve dimensions at each place, the coarser level's repeated: [N,P,12]."""
    fine, coarse = Cells().features(np.stack(pictures))
    whole = np.concatenate([fine, coarse.repeat(2, 2).repeat(2, 3)], 1)
    return whole.reshape(len(pictures), 12, -1).transpose(0, 2, 1).astype(np.float64)


def equation_2(good: NDArray[np.float64], new: NDArray[np.float64], epsilon: float) -> NDArray[np.float64]:
    """The paper's distances, literally: [N,P]."""
    found = np.empty(new.shape[:2])
    for place in range(good.shape[1]):
        inverse = np.linalg.inv(np.cov(good[:, place].T) + epsilon * np.eye(good.shape[2]))
        centred = new[:, place] - good[:, place].mean(0)
        found[:, place] = np.sqrt(np.einsum("nd,de,ne->n", centred, inverse, centred))
    return found


@pytest.mark.parametrize("n", [5, 12, 60])  # fewer pictures than dimensions, as many, more
@pytest.mark.parametrize("epsilon", [0.01, 1.0])
def test_a_place_scores_its_mahalanobis_distance(n: int, epsilon: float) -> None:
    good, new = draw(0, n), draw(1, 4)
    fitted = method(epsilon=epsilon)
    fitted.fit(good, list(range(n)))
    scores, expected = fitted.score(np.stack(new)), equation_2(vectors(good), vectors(new), epsilon)
    assert scores.map is not None
    np.testing.assert_allclose(scores.map.reshape(4, -1), expected, rtol=1e-4)
    np.testing.assert_allclose(scores.image, expected.max(1), rtol=1e-4)


@pytest.mark.parametrize("n", [5, 40])
def test_what_was_learned_is_kept_in_the_smaller_of_two_forms(n: int) -> None:
    fitted, new = method(), np.stack(draw(1, 3))
    fitted.fit(draw(0, n), list(range(n)))
    state = fitted.state()
    assert state["factors"].shape == ((ROWS * COLUMNS, 5, 12) if n < 12 else (ROWS * COLUMNS, 12 * 13 // 2))
    np.testing.assert_array_equal(method().with_state(state).score(new).image, fitted.score(new).image)


@pytest.mark.parametrize("n", [6, 40])
def test_a_held_out_score_is_that_of_a_fit_without_the_picture(n: int) -> None:
    good, groups = draw(0, n), [0, 1, 1, *range(2, n - 1)]
    held_out = method(blur_sigma=1.5).fit(good, groups)
    for one in range(n):
        rest = [picture for picture, group in zip(good, groups, strict=True) if group != groups[one]]
        refit = method(blur_sigma=1.5)
        refit.fit(rest, list(range(len(rest))))
        assert held_out[one] == pytest.approx(refit.score(good[one][None]).image.item(), rel=1e-3)


def test_without_a_second_picture_the_covariance_is_epsilon() -> None:
    good, other = draw(0, 2)
    held_out = method(epsilon=4.0).fit([good, other], [0, 1])
    expected = np.linalg.norm(vectors([good])[0] - vectors([other])[0], axis=1).max() / 2
    np.testing.assert_allclose(held_out, expected, rtol=1e-4)


def test_the_score_is_the_maximum_of_the_blurred_map() -> None:
    sharp, blurred = method(), method(blur_sigma=2.0)
    for one in (sharp, blurred):
        one.fit(draw(0, 20), list(range(20)))
    new = np.stack(draw(1, 3))
    before, after = sharp.score(new), blurred.score(new)
    assert before.map is not None
    assert after.map is not None
    for sharp_map, blurred_map in zip(before.map, after.map, strict=True):
        np.testing.assert_allclose(blurred_map, ndimage.gaussian_filter(sharp_map.astype(np.float64), 2.0), rtol=1e-4)
    np.testing.assert_array_equal(after.image, after.map.max((1, 2)))


def test_dimensions_are_drawn_once_by_the_seed() -> None:
    kept = []
    for seed in (0, 0, 1):
        fitted = method(dims=5, seed=seed)
        fitted.fit(draw(0, 8), list(range(8)))
        kept.append(fitted.state()["kept"])
        expected = equation_2(vectors(draw(0, 8))[:, :, kept[-1]], vectors(draw(1, 2))[:, :, kept[-1]], 0.01)
        np.testing.assert_allclose(fitted.score(np.stack(draw(1, 2))).image, expected.max(1), rtol=1e-4)
    assert len(set(kept[0])) == 5
    np.testing.assert_array_equal(kept[0], kept[1])
    assert not np.array_equal(kept[0], kept[2])


def test_of_fewer_dimensions_all_are_kept() -> None:
    fitted = method(dims=100)
    fitted.fit(draw(0, 3), [0, 1, 2])
    np.testing.assert_array_equal(fitted.state()["kept"], np.arange(12))


def test_each_place_has_its_own_idea_of_good() -> None:
    good = draw(0, 30)
    fitted = method()
    fitted.fit(good, list(range(30)))
    turned = good[0][:, ::-1, ::-1].copy()  # every colour is good, but somewhere else
    assert fitted.score(turned[None]).image.item() > 3 * fitted.score(good[0][None]).image.item()


def test_pictures_of_another_size_are_refused_with_both_sizes() -> None:
    with pytest.raises(DataError, match=r"padim: .*\n?.*6×4 pixels of the first good picture, and 4×6 of this one"):
        method().fit([*draw(0, 2), *draw(0, 1, COLUMNS, ROWS)], [0, 1, 2])


@pytest.mark.parametrize(
    ("option", "value", "needed"),
    [("dims", -1, "≥ 0"), ("epsilon", 0.0, "above 0 and finite"), ("blur_sigma", -1.0, "≥ 0 and finite"), ("seed", -1, "≥ 0")],
)
def test_values_out_of_range_are_refused(option: str, value: Any, needed: str) -> None:
    with pytest.raises(UsageError, match=f"padim: {option} must be {needed}; got {value!r}"):
        method(**{option: value})

"""MahalanobisAD, against scikit-learn's Ledoit and Wolf level by level and against fits without the pictures left out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf  # type: ignore[import-untyped]

from flawsight.errors import DataError, UsageError
from flawsight.methods import make
from flawsight.methods.mahalanobis_ad import MahalanobisAD
from flawsight.types import Float


class Cells:
    """A backbone of two levels: the colours of the pixels, and products of neighbouring ones."""

    device = "cpu"

    def features(self, images: Float) -> list[Float]:
        products = [images * np.roll(images, shift, 3) for shift in (0, 1, 2)]
        return [images, np.concatenate(products, 1)]


def method(**options: Any) -> MahalanobisAD:
    made = make("mahalanobis_ad", options, Cells())
    assert isinstance(made, MahalanobisAD)
    return made


def draw(seed: int, n: int) -> list[Float]:
    rng = np.random.default_rng(seed)
    return list((rng.normal(size=(n, 3, 8, 8)) + rng.normal(size=(n, 3, 1, 1))).astype(np.float32))


def vectors(pictures: list[Float]) -> list[Float]:
    return [level.mean((2, 3)) for level in Cells().features(np.stack(pictures))]


@pytest.mark.parametrize("n", [6, 40])  # fewer pictures than the dimensions of the second level, and more
def test_the_score_is_the_sum_over_levels_of_distances_from_shrunk_gaussians(n: int) -> None:
    good, new = draw(0, n), draw(1, 10)
    fitted = method()
    fitted.fit(good, list(range(n)))
    expected = [np.sqrt(LedoitWolf().fit(a).mahalanobis(b)) for a, b in zip(vectors(good), vectors(new), strict=True)]
    np.testing.assert_allclose(fitted.score(np.stack(new)).image, np.sum(expected, 0), rtol=1e-5)


def test_each_of_five_folds_learns_from_the_others_and_a_score_is_their_mean() -> None:
    good, new = draw(0, 23), np.stack(draw(1, 4))
    whole = method(folds=5)
    whole.fit(good, list(range(23)))
    single = [method(folds=5, fold=fold).with_state(whole.state()).score(new).image for fold in range(1, 6)]
    np.testing.assert_allclose(whole.score(new).image, np.mean(single, 0), rtol=1e-6)
    assert len({float(scores[0]) for scores in single}) == 5
    means = whole.state()["mean.0"]
    sums = np.sum(vectors(good)[0], 0)
    left = [sums - (23 - size) * mean for mean, size in zip(means, (5, 5, 5, 4, 4), strict=True)]
    np.testing.assert_allclose(np.sum(left, 0), sums, rtol=1e-3, atol=1e-4)  # each picture is left out of one fold


@pytest.mark.parametrize("n", [8, 30])
def test_a_held_out_score_is_that_of_a_fit_without_the_picture(n: int) -> None:
    good, groups = draw(0, n), [0, 1, 1, *range(2, n - 1)]
    held_out = method().fit(good, groups)
    for one in range(n):
        rest = [picture for picture, group in zip(good, groups, strict=True) if group != groups[one]]
        refit = method()
        refit.fit(rest, list(range(len(rest))))
        assert held_out[one] == pytest.approx(refit.score(good[one][None]).image.item(), rel=1e-4)


@pytest.mark.parametrize("fold", [0, 2])
def test_with_folds_a_held_out_score_is_that_of_the_same_folds_without_the_picture(fold: int) -> None:
    good = draw(0, 12)
    fitted = method(folds=3, fold=fold)
    held_out = fitted.fit(good, list(range(12)))
    means, every = fitted.state()["mean.0"], vectors(good)[0]
    for one in range(12):
        scores = []
        for number in [fold - 1] if fold else range(3):
            # Whoever a fold left out is found by its mean: no two choices of four from twelve have the same.
            learned = _members(every, means[number], 8)
            rest = [good[i] for i in learned if i != one]
            refit = method()
            refit.fit(rest, list(range(len(rest))))
            scores.append(refit.score(good[one][None]).image.item())
        assert held_out[one] == pytest.approx(np.mean(scores), rel=1e-4)


def _members(rows: Float, mean: Float, n: int) -> tuple[int, ...]:
    import itertools

    return min(itertools.combinations(range(len(rows)), n), key=lambda some: float(np.abs(rows[list(some)].mean(0) - mean).sum()))


def test_more_folds_than_pictures_are_refused() -> None:
    with pytest.raises(DataError, match=r"mahalanobis_ad: folds=5 needs as many different good pictures; got 3"):
        method(folds=5).fit(draw(0, 4), [0, 1, 2, 2])


@pytest.mark.parametrize(
    ("options", "needed"), [({"folds": 0}, "folds must be ≥ 1"), ({"folds": 5, "fold": 6}, "fold must be 0 to")]
)
def test_values_out_of_range_are_refused(options: dict[str, int], needed: str) -> None:
    with pytest.raises(UsageError, match=needed):
        method(**options)

"""Shrunk Gaussians, against scikit-learn's and against refits without the vectors left out."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf, ledoit_wolf_shrinkage  # type: ignore[import-untyped]

from flawsight.parts import gaussian
from flawsight.parts.gaussian import Spread, shrinkage

SIZES = [(12, 5), (30, 8), (12, 40), (40, 40), (300, 6), (4, 9), (3, 2)]  # vectors, dimensions

each_size = pytest.mark.parametrize(("n", "d"), SIZES)


def draw(n: int, d: int, seed: int = 0) -> NDArray[np.float64]:
    """Vectors whose dimensions differ in spread and go together."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) * 0.3 + rng.normal(size=d) * 5


@each_size
def test_shrinkage_is_that_of_scikit_learn(n: int, d: int) -> None:
    centred = draw(n, d) - draw(n, d).mean(0)
    norms, gram = np.square(centred).sum(1), centred @ centred.T
    found = shrinkage(norms, float(np.trace(gram)), float(np.square(gram).sum()), n, d)
    assert found == pytest.approx(ledoit_wolf_shrinkage(draw(n, d)), rel=1e-6)


@each_size
def test_distances_are_those_of_scikit_learn(n: int, d: int) -> None:
    learned, new = draw(n, d), draw(20, d, 1)
    learnt = Spread(learned).gaussian()
    found = [learnt.distance(vector.astype(np.float32)) for vector in new]
    np.testing.assert_allclose(found, np.sqrt(LedoitWolf().fit(learned).mahalanobis(new.astype(np.float32))), rtol=1e-5)


@each_size
@pytest.mark.parametrize("left_out", [[0], [1, 2]])
def test_left_out_distances_are_those_of_a_refit(n: int, d: int, left_out: list[int]) -> None:
    vectors = draw(n, d).astype(np.float32)
    refit = Spread(np.delete(vectors, left_out, 0)).gaussian()
    expected = [refit.distance(vectors[one]) for one in left_out]
    np.testing.assert_allclose(Spread(vectors).left_out(np.array(left_out)), expected, rtol=1e-4)


def test_nothing_is_said_of_all_vectors_left_out() -> None:
    assert np.isnan(Spread(draw(3, 4)).left_out(np.arange(3))).all()


@pytest.mark.parametrize("n", [1, 2, 5])
def test_vectors_that_are_the_same_have_a_spread_of_one(n: int) -> None:
    same = Spread(np.repeat(draw(1, 3), n, 0))
    vector = draw(1, 3)[0].astype(np.float32) + np.float32([3, 0, 4])
    assert same.gaussian().distance(vector) == pytest.approx(5, rel=1e-5)
    if n > 1:
        np.testing.assert_allclose(same.left_out(np.array([0])), 0, atol=1e-6)


def test_a_dimension_that_never_changes_does_no_harm() -> None:
    vectors = np.append(draw(40, 3), np.ones((40, 1)), 1)
    learnt, vector = Spread(vectors).gaussian(), vectors[0].astype(np.float32)
    assert np.isfinite(learnt.distance(vector))
    assert learnt.distance(vector + np.float32([0, 0, 0, 1])) > learnt.distance(vector)


@pytest.mark.parametrize(("n", "d"), [(20, 60), (60, 20), (391, 550)])
def test_woodbury_and_cholesky_agree_with_the_inverse(n: int, d: int) -> None:
    centred = draw(n, d) - draw(n, d).mean(0)
    new = draw(5, d, 1).astype(np.float32)
    wide, tall = (
        gaussian.squared_distances(new, np.repeat(one(centred, 1 / (n - 1), 0.01)[None], 5, 0).astype(np.float32), 0.01)
        for one in (gaussian._wide, gaussian._tall)
    )
    inverse = np.linalg.inv(centred.T @ centred / (n - 1) + 0.01 * np.eye(d))
    naive = np.einsum("nd,de,ne->n", new.astype(np.float64), inverse, new.astype(np.float64))
    np.testing.assert_allclose(wide, tall, rtol=1e-4)
    np.testing.assert_allclose(wide, naive, rtol=1e-4)


@pytest.mark.parametrize(("n", "d"), [(9, 30), (30, 9)])
@pytest.mark.parametrize("k", [1, 3])
def test_left_out_distances_are_those_of_the_others(n: int, d: int, k: int) -> None:
    vectors = draw(n, d)
    members = np.arange(n).reshape(-1, k)
    found = gaussian.left_out_distances(vectors - vectors.mean(0), members, 0.5)
    for row, some in zip(found, members, strict=True):
        rest = np.delete(vectors, some, 0)
        inverse = np.linalg.inv(np.cov(rest.T) + 0.5 * np.eye(d))
        centred = vectors[some] - rest.mean(0)
        np.testing.assert_allclose(row, np.einsum("nd,de,ne->n", centred, inverse, centred), rtol=1e-6)

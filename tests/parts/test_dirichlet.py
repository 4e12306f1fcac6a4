"""The Dirichlet's parameters, found again from what was drawn from it; its density beside scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, special, stats

from flawsight.parts import dirichlet


def logs(alpha: list[float], n: int, seed: int = 0) -> dirichlet.Exact:
    shares = np.random.default_rng(seed).dirichlet(alpha, n)
    return np.log(np.maximum(shares, 1e-12))


@pytest.mark.parametrize("alpha", [[1.0, 2.0, 3.0], [20.0, 1.0, 5.0, 0.5], [0.7, 0.7], [300.0, 3.0, 3.0], [2.0] * 8])
def test_known_parameters_are_recovered(alpha: list[float]) -> None:
    found = dirichlet.fit(logs(alpha, 20_000))
    np.testing.assert_allclose(found, alpha, rtol=0.05)


@pytest.mark.parametrize("alpha", [[1.0, 2.0, 3.0], [20.0, 1.0, 5.0, 0.5]])
def test_no_other_parameters_are_more_likely(alpha: list[float]) -> None:
    drawn = logs(alpha, 50)

    def cost(of_log: dirichlet.Exact) -> float:
        a = np.exp(of_log)
        return float(special.gammaln(a).sum() - special.gammaln(a.sum()) - ((a - 1) * drawn.mean(0)).sum())

    best = optimize.minimize(cost, np.zeros(len(alpha)), method="BFGS", options={"gtol": 1e-8})
    np.testing.assert_allclose(dirichlet.fit(drawn), np.exp(best.x), rtol=1e-3)


def test_the_density_is_scipy_s_but_for_a_constant() -> None:
    alpha, drawn = np.array([3.0, 1.5, 0.8]), logs([1.0, 1.0, 1.0], 20)
    expected = [stats.dirichlet.logpdf(one / one.sum(), alpha) for one in np.exp(drawn)]
    difference = dirichlet.log_density(alpha, drawn) - expected
    np.testing.assert_allclose(difference, difference[0], atol=1e-6)


def test_digamma_is_inverted() -> None:
    x = np.geomspace(1e-4, 1e5, 200)
    np.testing.assert_allclose(dirichlet.inverse_digamma(special.digamma(x)), x, rtol=1e-6)


def test_one_that_is_sure_of_all_has_finite_parameters() -> None:
    sure = np.full((10, 4), np.log(1e-12))
    sure[:, 0] = 0.0
    assert np.isfinite(dirichlet.fit(sure)).all()


@pytest.mark.parametrize("classes", [8, 72])
@pytest.mark.parametrize("apart", [0.0, 1e-17, 1e-10])
def test_shares_that_are_all_the_same_have_finite_parameters(classes: int, apart: float) -> None:
    same = np.tile(np.log(np.random.default_rng(0).dirichlet(np.ones(classes))), (3, 1))
    alpha = dirichlet.fit(same + apart * np.arange(3)[:, None])
    assert np.isfinite(alpha).all()
    np.testing.assert_allclose(alpha / alpha.sum(), np.exp(same[0]), rtol=1e-3)

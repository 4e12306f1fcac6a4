"""The Dirichlet distribution that shares of a whole come from, by maximum likelihood: Minka, "Estimating a Dirichlet", 2000."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Exact = NDArray[np.float64]
ROUNDS, TOLERANCE = 1000, 1e-9
NEWTON = 5  # steps of it, that ψ takes to be inverted
LEAST = 1e-9  # spread of the shares, in nats: of those that are all the same α would know no bound
TURN = -2.22  # of ψ's values, where its two approximations meet


def fit(log_shares: Exact) -> Exact:
    """α of the most likely Dirichlet, [C]. log_shares: logarithms of shares that sum to 1, [N,C]."""
    from scipy import special

    mean_log = log_shares.mean(0)
    alpha = _start(log_shares, mean_log)
    for _ in range(ROUNDS):
        before, alpha = alpha, inverse_digamma(special.digamma(alpha.sum()) + mean_log)
        if np.abs(alpha - before).max() < TOLERANCE:
            break
    return alpha


def log_density(alpha: Exact, log_shares: Exact) -> Exact:
    """The part of the logarithm of the density that depends on the shares: Σ (α − 1) log p over the last axis."""
    total: Exact = ((alpha - 1) * log_shares).sum(-1)
    return total


def inverse_digamma(values: Exact) -> Exact:
    """x > 0 with ψ(x) = the value, by Newton's method."""
    from scipy import special

    values = np.asarray(values, np.float64)
    below = np.minimum(values, TURN)  # where the other branch holds, any that divides by no zero
    x = np.where(values >= TURN, np.exp(values) + 0.5, -1 / (below - special.digamma(1.0)))
    for _ in range(NEWTON):
        x = x - (special.digamma(x) - values) / special.polygamma(1, x)
    inverse: Exact = x
    return inverse


def _start(log_shares: Exact, mean_log: Exact) -> Exact:
    """The mean shares times what their sum would be if ψ(x) were log x − γ / x, with γ Euler's constant: near, and easy to tell."""
    mean = np.exp(log_shares).mean(0)
    spread = (mean * (np.log(mean) - mean_log)).sum()
    start: Exact = mean * ((len(mean) - 1) * np.euler_gamma / max(spread, LEAST))
    return start

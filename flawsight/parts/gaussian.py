"""Gaussians of few vectors in many dimensions, and what each vector's distance would be had some not been learned from.

A covariance is a·AᵀA + b·I everywhere here: A [n,d] the vectors less their mean, b above 0, so that it has an inverse though n < d.
With A = U √e V (singular values √e, axes V) its inverse weighs the axis v by 1 / (a·e + b) and what all axes leave by 1/b.

Without k of the n vectors, A_g their rows and T = I + 11ᵀ/(n − k), the mean moves by −1ᵀA_g/(n − k) and AᵀA falls by A_gᵀ T A_g, so
that by Woodbury's formula the squared distances of those left out are the diagonal of T (I − H T)⁻¹ H T / a, where
H = A_g (AᵀA + (b/a)·I)⁻¹ A_gᵀ. This is exact, and takes no second fit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flawsight.types import Float

Double = NDArray[np.float64]
LEAST_SHRINKAGE = 1e-6  # so that dimensions in which nothing differs can be inverted
ROUNDING = 1e-12  # of the vectors' squares: what is left of them when they are all the same


class Gaussian(NamedTuple):
    """mean [d]; axes [r,d] orthonormal, or rows of zeros; weights [r]: one over the variance along each; rest: off all of them."""

    mean: Float
    axes: Float
    weights: Float
    rest: float

    def distance(self, vector: Float) -> float:
        """Mahalanobis distance of one vector [d]."""
        centred = vector - self.mean
        along = self.axes @ centred
        left = centred - along @ self.axes
        return float(np.sqrt(np.dot(self.weights, along * along) + self.rest * np.dot(left, left)))


class Spread:
    """Vectors [n,d], taken apart once: gives their Gaussian under Ledoit and Wolf's shrinkage, and distances of left-out ones."""

    def __init__(self, vectors: NDArray[np.floating]) -> None:
        self._n, self._d = vectors.shape
        self._mean: Double = vectors.mean(0, dtype=np.float64)
        left, singular, self._axes = np.linalg.svd(vectors - self._mean, full_matrices=False)
        self._left: Double = left
        self._e: Double = singular**2
        self._norms: Double = (left**2) @ self._e  # squared, of each centred vector
        self._nothing = ROUNDING * float(np.sum(np.square(vectors, dtype=np.float64)))

    def gaussian(self) -> Gaussian:
        """The Gaussian of all vectors."""
        a, b = self._shrunk(self._norms, float(self._e.sum()), float((self._e**2).sum()), self._n)
        weights = 1 / (a * self._e + b)
        return Gaussian(self._mean.astype(np.float32), self._axes.astype(np.float32), weights.astype(np.float32), 1 / b)

    def left_out(self, members: NDArray[np.integer]) -> Double:
        """Distances [k] of these vectors, by index, from the Gaussian of all others; NaN if there are none."""
        k, rest = len(members), self._n - len(members)
        if not rest:
            return np.full(k, np.nan)
        part = self._left[members]
        t = np.eye(k) + 1 / rest
        gram = part * self._e @ part.T
        moved = part.sum(0) / rest  # what is added to every centred vector, in the coordinates of U
        norms = np.delete(self._norms + 2 * self._left @ (self._e * moved) + moved**2 @ self._e, members)
        scatter = float(self._e.sum() - np.trace(t @ gram))
        squared = float((self._e**2).sum() - 2 * np.trace(t @ (part * self._e**2 @ part.T)) + np.trace(t @ gram @ t @ gram))
        a, b = self._shrunk(norms.clip(0), scatter, max(squared, 0.0), rest)
        if a == 0:
            return np.sqrt(np.diag(t @ gram @ t) / b)
        h = part * (self._e / (self._e + b / a)) @ part.T
        return np.sqrt(np.diag(left_out(h, t)).clip(0) / a)

    def _shrunk(self, norms: Double, trace: float, squared: float, n: int) -> tuple[float, float]:
        """a and b of the module. Vectors that are all the same say nothing of the spread, and two of it only how much it is."""
        if trace <= self._nothing:
            return 0.0, 1.0
        share = shrinkage(norms, trace, squared, n, self._d) if n > 2 else 1.0
        return (1 - share) / n, max(share, LEAST_SHRINKAGE) * trace / (n * self._d)


def whitener(centred: Double, a: float, b: float) -> Double:
    """F of the covariances a·AᵀA + b·I of centred vectors A [...,n,d]: what `squared_distances` takes, by the cheaper of two ways.

    n < d: float64 [...,n,d], by Woodbury's formula; else [...,d,d], by Cholesky's factors.
    """
    n, d = centred.shape[-2:]
    return _wide(centred, a, b) if n < d else _tall(centred, a, b)


def _wide(centred: Double, a: float, b: float) -> Double:
    """The squared distance of u is (‖u‖² − ‖F u‖²) / b."""
    gram = a * centred @ centred.swapaxes(-1, -2) + b * np.eye(centred.shape[-2])
    found: Double = np.sqrt(a) * np.linalg.inv(np.linalg.cholesky(gram)) @ centred
    return found


def _tall(centred: Double, a: float, b: float) -> Double:
    """The squared distance of u is ‖F u‖²."""
    covariance = a * centred.swapaxes(-1, -2) @ centred + b * np.eye(centred.shape[-1])
    found: Double = np.linalg.inv(np.linalg.cholesky(covariance))
    return found


def squared_distances(centred: Float, factors: Float, b: float) -> Float:
    """Of vectors less their mean [P,d], each under its own F [P,n,d] or [P,d,d]: float32 [P]."""
    seen = np.matmul(factors, centred[:, :, None])[:, :, 0]
    squared: Float = np.einsum("pn,pn->p", seen, seen)
    if factors.shape[1] == factors.shape[2]:
        return squared
    left: Float = (np.einsum("pd,pd->p", centred, centred) - squared).clip(0) / np.float32(b)
    return left


def left_out_distances(centred: Double, members: NDArray[np.integer], b: float) -> Double:
    """Squared distances [...,m,k] of vectors from the Gaussian of all others, m times k of them left out together.

    centred: [...,n,d]. members: [m,k], by index. The covariance is AᵀA / (n − 1) + b·I of those that remain; NaN if none do.
    """
    n, d = centred.shape[-2:]
    k, rest = members.shape[1], n - members.shape[1]
    if not rest:
        return np.full((*centred.shape[:-2], *members.shape), np.nan)
    freedom = max(rest - 1, 1)
    ridge = b * freedom
    if n < d:
        inverse = np.linalg.inv(centred @ centred.swapaxes(-1, -2) + ridge * np.eye(n))
        h = np.eye(k) - ridge * inverse[..., members[:, :, None], members[:, None, :]]
    else:
        inverse = np.linalg.inv(centred.swapaxes(-1, -2) @ centred + ridge * np.eye(d))
        h = (centred @ inverse)[..., members, :] @ centred[..., members, :].swapaxes(-1, -2)
    found: Double = np.diagonal(left_out(h, np.eye(k) + 1 / rest), axis1=-2, axis2=-1).clip(0) * freedom
    return found


def left_out(h: Double, t: Double) -> Double:
    """T (I − H T)⁻¹ H T, see the module: [...,k,k]."""
    eye = np.eye(h.shape[-1])
    return t @ np.linalg.solve(eye - h @ t, h @ t)


def shrinkage(norms: Double, trace: float, squared: float, n: int, d: int) -> float:
    """Ledoit and Wolf's share of the mean variance in the covariance (J. Multivariate Analysis 2004, lemma 3.2 f.).

    norms: squared, of the n centred vectors [n]. trace, squared: the trace and the squared Frobenius norm of AᵀA.
    """
    mean = trace / (n * d)
    spread = squared / n**2 / d - mean**2
    error = (float(np.sum(norms**2)) / n - squared / n**2) / (n * d)
    return min(max(error, 0.0) / spread, 1.0) if spread > 0 and d > 1 else 0.0

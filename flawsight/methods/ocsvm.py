"""OCSVM: a one-class support vector machine (Schölkopf, Platt, Shawe-Taylor, Smola, Williamson, Neural Computation 13, 2001) on the
features of a pre-trained network, as Andrews, Tanay, Morton, Griffin, "Transfer Representation-Learning for Anomaly Detection",
ICML Anomaly Detection Workshop 2016, propose.

fit:   average the levels of each good picture, at one or more sizes of it; standardise each dimension; if asked for, keep the
       principal components that hold a share of the variance; fit the machine with the kernel exp(−γ‖x − y‖²).
score: ρ − Σ αᵢ exp(−γ‖x − xᵢ‖²) over the support vectors xᵢ, which is scikit-learn's decision function with the sign turned. There
       is no map: a picture is judged whole.

Symbols: D averages of a picture, r dimensions that the machine sees, S support vectors, α their weights, ρ the threshold, ν the
share of good pictures that may lie outside.

Where this differs: the published row was not run by its authors but by those of DifferNet (Rudolph et al., WACV 2021), who do not
say on which features. It is taken to be on their own: AlexNet's last ones at 448, 224 and 112 pixels (`scales=3`).

scikit-learn fits the machine (the extra `ocsvm`). What it finds is kept as plain numbers: loading and scoring do without it.
Held-out scores come from refits that each leave some pictures out, one group of pictures each up to FOLDS groups.

Expected: 71.9 mean image AUROC on MVTec AD with AlexNet. A score is bounded: far from all good pictures it is ρ, however far.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from flawsight.backbones import SMALLEST, Backbone, BackboneCard
from flawsight.errors import MissingExtra, NotFitted
from flawsight.methods.base import check, check_types, scaled_averages
from flawsight.methods.stored import Stored
from flawsight.parts.folds import dealt
from flawsight.types import Arrays, Float, Progress, Scores

TOLERANCE = 1e-6  # of the machine's optimum; with scikit-learn's own of 1e-3 rounding shows in the third digit of a score
FOLDS = 50  # a refit takes milliseconds, but there are as many as pictures

Double = NDArray[np.float64]


@dataclass(frozen=True)
class OCSVMParams:
    """nu: ν, above 0 and at most 1. gamma: γ; 0 for one over the dimensions and their variance, scikit-learn's "scale". scales:
    sizes at which a picture is looked at, each half the one before. pca: share of the variance that the components kept hold; 0 for
    all dimensions as they are. seed: of how pictures are dealt out for the held-out scores.
    """

    nu: float = 0.1
    gamma: float = 0.0
    scales: int = 1
    pca: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        p = "ocsvm: "
        check_types(self, p)
        check(0 < self.nu <= 1, p + "nu", "above 0 and at most 1", self.nu)
        check(0 <= self.gamma < np.inf, p + "gamma", "≥ 0 and finite", self.gamma)
        check(1 <= self.scales <= 4, p + "scales", "1 to 4", self.scales)
        check(0 <= self.pca <= 1, p + "pca", "0 to 1", self.pca)
        check(self.seed >= 0, p + "seed", "≥ 0", self.seed)


class _Machine(NamedTuple):
    """mean, scale: [D] of the averages. axes [r,D], none for all dimensions. support [S,r], weights [S], rho [1], gamma [1]."""

    mean: Double
    scale: Double
    axes: Double
    support: Double
    weights: Double
    rho: Double
    gamma: Double

    def score(self, vector: Float) -> float:
        """Higher is worse, of averages [D]."""
        seen = (vector - self.mean) / self.scale
        if len(self.axes):
            seen = self.axes @ seen
        squared = np.square(self.support - seen).sum(1)
        return float(self.rho[0] - np.dot(self.weights, np.exp(-self.gamma[0] * squared)))


class OCSVM:
    """See the module. `backbone` gives the levels, the deepest unless others are named."""

    name: ClassVar[str] = "ocsvm"
    title: ClassVar[str] = (
        "OCSVM (Andrews et al., 2016): a one-class support vector machine on a picture's average features; no map"
    )
    Params: ClassVar[type[OCSVMParams]] = OCSVMParams
    any_size: ClassVar[bool] = True
    default_backbone: ClassVar[str] = SMALLEST

    @classmethod
    def default_levels(cls, card: BackboneCard) -> tuple[str, ...]:
        """The deepest."""
        return (list(card.levels)[-1],)

    def __init__(self, params: OCSVMParams, backbone: Backbone) -> None:
        self.params = params
        self.backbone = backbone
        self._machine: _Machine | None = None

    def fit(self, images: Iterable[Float], groups: list[int], progress: Progress | None = None) -> Float:
        """See Method.fit. Raises MissingExtra without scikit-learn."""
        _ = _one_class_svm()  # before the network runs
        vectors = np.stack([scaled_averages(self.backbone, image, self.params.scales, self.name) for image in images])
        self._machine = self._fit(vectors)
        return self._held_out(vectors, groups, progress)

    def score(self, images: Float) -> Scores:
        """See Scorer.score. Raises NotFitted."""
        machine = self._fitted
        return Scores(
            np.array(
                [machine.score(scaled_averages(self.backbone, image, self.params.scales, self.name)) for image in images],
                np.float32,
            )
        )

    def state(self) -> Arrays:
        """_Machine's fields, float64."""
        return self._fitted._asdict()

    def with_state(self, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """See Method.with_state."""
        stored = Stored(arrays)
        support = stored.take("support", np.float64, "S", "r")
        axes = stored.take("axes", np.float64, "n", "D")
        mean, scale = stored.take("mean", np.float64, "D"), stored.take("scale", np.float64, "D")
        weights = stored.take("weights", np.float64, "S")
        rho, gamma = stored.take("rho", np.float64, 1), stored.take("gamma", np.float64, 1)
        self._machine = _Machine(mean, scale, axes, support, weights, rho, gamma)
        return self

    @property
    def _fitted(self) -> _Machine:
        if self._machine is None:
            raise NotFitted("ocsvm: it has not been fitted. Call fit on good pictures first.")
        return self._machine

    def _fit(self, vectors: Float) -> _Machine:
        mean, scale = vectors.mean(0, dtype=np.float64), vectors.std(0, dtype=np.float64)
        scale = np.where(scale > 1e-6 * np.abs(mean), scale, 1.0)  # what never changes is not standardised
        seen, axes = (vectors - mean) / scale, np.empty((0, vectors.shape[1]))
        if self.params.pca:
            axes = _components(seen, self.params.pca)
            seen = seen @ axes.T
        gamma = self.params.gamma or 1 / (seen.shape[1] * seen.var() or 1.0)
        machine = _one_class_svm()(kernel="rbf", nu=self.params.nu, gamma=gamma, tol=TOLERANCE)
        machine.random_state = 0  # it draws a number that it does not use, from numpy's global ones unless it has its own
        machine.fit(seen)
        weights, rho = machine.dual_coef_[0], -machine.intercept_
        return _Machine(mean, scale, axes, machine.support_vectors_, weights, rho, np.array([gamma]))

    def _held_out(self, vectors: Float, groups: list[int], progress: Progress | None) -> Float:
        n_folds = min(FOLDS, len(set(groups)))
        if n_folds < 2:
            return np.full(len(groups), np.nan, np.float32)
        fold = dealt(groups, n_folds, np.random.default_rng(self.params.seed))
        scores = np.empty(len(groups), np.float32)
        for number in range(n_folds):
            machine = self._fit(vectors[fold != number])
            for one in np.flatnonzero(fold == number):
                scores[one] = machine.score(vectors[one])
            if progress:
                progress("scoring good pictures", number + 1, n_folds)
        return scores


def _one_class_svm() -> Any:
    try:
        from sklearn.svm import OneClassSVM
    except ImportError:
        raise MissingExtra("methods: ocsvm, to be fitted,", "scikit-learn", "ocsvm") from None
    return OneClassSVM


def _components(vectors: Double, share: float) -> Double:
    """The fewest principal axes that hold that share of the variance of vectors [N,D] of mean 0: [r,D]."""
    _, singular, axes = np.linalg.svd(vectors, full_matrices=False)
    held = np.cumsum(singular**2) / max(float((singular**2).sum()), np.finfo(np.float64).tiny)
    found: Double = axes[: min(int(np.searchsorted(held, share - 1e-12)) + 1, len(axes))]
    return found

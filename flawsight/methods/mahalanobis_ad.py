"""MahalanobisAD: Rippel, Mertens, Merhof, "Modeling the Distribution of Normal Data in Pre-Trained Deep Features for Anomaly
Detection", ICPR 2020.

fit:   average each level of each good picture over the picture; the averages of a level are one Gaussian, its covariance shrunk
       as Ledoit and Wolf propose (§III).
score: the sum over the levels of the Mahalanobis distances of a picture's averages. There is no map: a picture is judged whole.

Symbols: N good pictures, L levels, d channels of a level, r ≤ min(N, d) axes in which the averages differ.

The published row is the mean of what five models reach: each learns from four fifths of the good pictures and judges the whole test
set. `folds=5` fits and keeps the five; `flawsight tables` judges with each of them alone (`fold` 1 to 5) and averages the five
results. Elsewhere a picture's score is the mean of its five. For use `folds=1` learns from all pictures.

A held-out score is exact: what the same fit without the picture's group would give, by a formula in `parts/gaussian.py`.

Where this differs from the paper: it takes EfficientNet-B4 with nine levels, stem and head included; an embedded network has the
levels that it has. It sees 380 × 380 pixels, the preset 384 × 384, a size that the network halves five times without a remainder.
Its code resizes by OpenCV's bilinear interpolation between the four nearest pixels; here all pixels count (antialiasing). On
EfficientNet-Lite0, resizing as its code does changes the scores of four sets by 1.1, 1.7, 2.3 and 10.7 % in the median and their
image AUROC by 0.0, −0.8, +0.2 and −2.8 points (`benchmarks/resizing.py`).

Expected: 95.8 mean image AUROC on MVTec AD with EfficientNet-B4, screw alone 85.2. What changes the whole picture a little, such as
its light, weighs as much as a defect: see docs/accuracy.md for what that does to screw on an embedded network.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from flawsight.backbones import SMALLEST, Backbone, BackboneCard
from flawsight.errors import DataError, NotFitted
from flawsight.methods.base import averages, check, check_types
from flawsight.methods.stored import Stored
from flawsight.parts.folds import dealt
from flawsight.parts.gaussian import Gaussian, Spread
from flawsight.types import Arrays, Float, Progress, Scores


@dataclass(frozen=True)
class MahalanobisADParams:
    """folds: models fitted, each on all pictures but one part in so many; 1: a single one on all. fold: the one that scores, from
    1; 0: the mean of all. seed: of how the pictures are dealt into folds.
    """

    folds: int = 1
    fold: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        p = "mahalanobis_ad: "
        check_types(self, p)
        check(self.folds >= 1, p + "folds", "≥ 1", self.folds)
        check(0 <= self.fold <= self.folds, p + "fold", f"0 to folds, {self.folds}", self.fold)
        check(self.seed >= 0, p + "seed", "≥ 0", self.seed)


class MahalanobisAD:
    """See the module. `backbone` gives the levels, all there are unless others are named."""

    name: ClassVar[str] = "mahalanobis_ad"
    title: ClassVar[str] = (
        "MahalanobisAD (Rippel et al., ICPR 2020): how far a picture's average features lie from good ones'; no map"
    )
    Params: ClassVar[type[MahalanobisADParams]] = MahalanobisADParams
    any_size: ClassVar[bool] = True
    default_backbone: ClassVar[str] = SMALLEST

    @classmethod
    def default_levels(cls, card: BackboneCard) -> tuple[str, ...]:
        """All of them."""
        return tuple(card.levels)

    def __init__(self, params: MahalanobisADParams, backbone: Backbone) -> None:
        self.params = params
        self.backbone = backbone
        self._models: list[list[Gaussian]] = []  # [folds][L]

    def fit(self, images: Iterable[Float], groups: list[int], progress: Progress | None = None) -> Float:
        """See Method.fit. Raises DataError if there are fewer groups than folds."""
        levels = [np.stack(level) for level in zip(*(averages(self.backbone, image) for image in images), strict=True)]
        group, n_folds = np.array(groups), self.params.folds
        if n_folds > len(np.unique(group)):
            raise DataError(
                f"mahalanobis_ad: folds={n_folds} needs as many different good pictures; got {len(np.unique(group))}. "
                "Add pictures or ask for fewer folds."
            )
        fold = dealt(groups, n_folds, np.random.default_rng(self.params.seed)) if n_folds > 1 else np.full(len(group), -1)
        spreads = [[Spread(level[fold != number]) for level in levels] for number in range(n_folds)]
        self._models = [[spread.gaussian() for spread in model] for model in spreads]
        return self._held_out(levels, spreads, fold, group, progress)

    def score(self, images: Float) -> Scores:
        """See Scorer.score. Raises NotFitted."""
        models = self._fitted
        chosen = models[self.params.fold - 1 : self.params.fold] if self.params.fold else models
        scores = [float(np.mean([_distance(one, vectors) for one in chosen])) for vectors in self._averages(images)]
        return Scores(np.array(scores, np.float32))

    def state(self) -> Arrays:
        """Of each level l: mean.l float32 [folds,d], axes.l [folds,r,d], weights.l [folds,r], rest.l [folds]."""
        levels = list(zip(*self._fitted, strict=True))
        arrays: Arrays = {}
        for number, level in enumerate(levels):
            r = max(len(one.weights) for one in level)  # a fold may have one picture less, and so one axis
            arrays[f"mean.{number}"] = np.stack([one.mean for one in level])
            arrays[f"axes.{number}"] = np.stack([np.pad(one.axes, ((0, r - len(one.axes)), (0, 0))) for one in level])
            arrays[f"weights.{number}"] = np.stack([np.pad(one.weights, (0, r - len(one.weights))) for one in level])
            arrays[f"rest.{number}"] = np.array([one.rest for one in level], np.float32)
        return arrays

    def with_state(self, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """See Method.with_state."""
        stored, levels = Stored(arrays), []
        for i in range(sum(name.startswith("mean.") for name in arrays)):
            sides = {"mean": (f"d{i}",), "axes": (f"r{i}", f"d{i}"), "weights": (f"r{i}",), "rest": ()}
            folds = self.params.folds
            levels.append([stored.take(f"{part}.{i}", np.float32, folds, *shape) for part, shape in sides.items()])
        self._models = [
            [Gaussian(mean[fold], axes[fold], weights[fold], float(rest[fold])) for mean, axes, weights, rest in levels]
            for fold in range(len(levels[0][0]))
        ]
        return self

    @property
    def _fitted(self) -> list[list[Gaussian]]:
        if not self._models:
            raise NotFitted("mahalanobis_ad: it has not been fitted. Call fit on good pictures first.")
        return self._models

    def _averages(self, images: Float) -> list[list[Float]]:
        return [averages(self.backbone, image) for image in images]

    def _held_out(
        self,
        levels: list[Float],
        spreads: list[list[Spread]],
        fold: NDArray[np.int64],
        group: NDArray[np.int64],
        progress: Progress | None,
    ) -> Float:
        """float32 [N]; a model that did not learn from a picture scores it as it would any other."""
        scores = np.empty((self.params.folds, len(group)))
        wanted = [self.params.fold - 1] if self.params.fold else list(range(self.params.folds))
        different = np.unique(group)
        for done, one in enumerate(different, 1):
            members = np.flatnonzero(group == one)
            for number in wanted:
                learned = np.flatnonzero(fold != number)
                if fold[members[0]] == number:
                    scores[number, members] = [_distance(self._models[number], [level[m] for level in levels]) for m in members]
                else:
                    at = np.searchsorted(learned, members)
                    scores[number, members] = sum(spread.left_out(at) for spread in spreads[number])
            if progress:
                progress("scoring good pictures", done, len(different))
        held_out: Float = scores[wanted].mean(0).astype(np.float32)
        return held_out


def _distance(model: list[Gaussian], vectors: list[Float]) -> float:
    return sum(gaussian.distance(vector) for gaussian, vector in zip(model, vectors, strict=True))

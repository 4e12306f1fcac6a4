"""What a PatchCore can be asked for; methods/patchcore.py says what each choice means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from flawsight.methods.base import check, check_types


@dataclass(frozen=True)
class PatchCoreParams:
    """neighbourhood: side p of the square of patches averaged into one (odd). balance_levels: make all levels weigh alike.
    dims: of a descriptor, along the principal axes of all levels together, learned from some of the good pictures; 0 for all that
    the levels have. level_dims, target_dims: dimensions to which each level, then all together are averaged as in the paper's
    code, see parts.mapper; 0 to concatenate the levels instead.

    coreset: "greedy", "random" or "identity". coreset_ratio: share of all patches kept. bank_limit: most rows kept, 0 for any
    number. projection_dims: dimensions in which the greedy selection measures, 0 for all. random_starts: start that as the paper's
    code does. neighbours: k, the distances averaged into a patch's score. distance: "euclidean" or "sqeuclidean". image_score:
    "top" (mean of the highest patches, blurred by half of `blur_sigma`), "map" (maximum of the blurred map) or "patch" (of the raw
    patches). top_share: share of all patches that "top" takes. reweight: weight the picture's score by eq. 7.
    reweight_neighbours: b in that. blur_sigma: of the map, in pixels of the network's input. seed: of all that is drawn at random.
    """

    where: ClassVar[str] = "patchcore"  # whose params they are, for errors

    neighbourhood: int = 1
    balance_levels: bool = True
    dims: int = 0
    level_dims: int = 0
    target_dims: int = 0
    coreset: str = "greedy"
    coreset_ratio: float = 0.1
    bank_limit: int = 10_000
    projection_dims: int = 128
    random_starts: bool = False
    neighbours: int = 1
    distance: str = "euclidean"
    image_score: str = "top"
    top_share: float = 0.005
    reweight: bool = False
    reweight_neighbours: int = 9
    blur_sigma: float = 8.0
    seed: int = 0

    def __post_init__(self) -> None:
        p = f"{self.where}: "
        check_types(self, p)
        check(self.neighbourhood >= 1 and self.neighbourhood % 2 == 1, p + "neighbourhood", "odd and ≥ 1", self.neighbourhood)
        check(self.dims >= 0, p + "dims", "≥ 0", self.dims)
        check(self.level_dims >= 0, p + "level_dims", "≥ 0", self.level_dims)
        check(self.target_dims >= 0, p + "target_dims", "≥ 0", self.target_dims)
        both = (self.level_dims > 0) == (self.target_dims > 0)
        check(both, p + "level_dims and target_dims", "both 0 or both above", f"{self.level_dims} and {self.target_dims}")
        unmixed = not (self.level_dims and self.balance_levels)
        check(unmixed, p + "balance_levels", "false where level_dims mixes the levels", self.balance_levels)
        check(not (self.level_dims and self.dims), p + "dims", "0 where level_dims mixes the levels", self.dims)
        check(self.coreset in ("greedy", "random", "identity"), p + "coreset", "greedy, random or identity", self.coreset)
        check(0 < self.coreset_ratio <= 1, p + "coreset_ratio", "above 0 and at most 1", self.coreset_ratio)
        check(self.bank_limit >= 0, p + "bank_limit", "≥ 0", self.bank_limit)
        check(self.projection_dims >= 0, p + "projection_dims", "≥ 0", self.projection_dims)
        check(self.neighbours >= 1, p + "neighbours", "≥ 1", self.neighbours)
        check(self.distance in ("euclidean", "sqeuclidean"), p + "distance", "euclidean or sqeuclidean", self.distance)
        check(self.image_score in ("top", "map", "patch"), p + "image_score", "top, map or patch", self.image_score)
        check(0 < self.top_share <= 1, p + "top_share", "above 0 and at most 1", self.top_share)
        check(self.reweight_neighbours >= 2, p + "reweight_neighbours", "≥ 2", self.reweight_neighbours)
        check(0 <= self.blur_sigma < np.inf, p + "blur_sigma", "≥ 0 and finite", self.blur_sigma)
        check(self.seed >= 0, p + "seed", "≥ 0", self.seed)

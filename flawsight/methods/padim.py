"""PaDiM: Defard, Setkov, Loesch, Audigier, "PaDiM: a Patch Distribution Modeling Framework for Anomaly Detection and Localization",
ICPR workshops 2021.

fit:   repeat the cells of the coarser levels until all have the finest one's grid and put the levels together (§III-A); keep some
       dimensions drawn at random, the same everywhere (§III-C); at each place of the grid learn the mean and the covariance of the
       good pictures there, plus ε on its diagonal (§III-B, eq. 1).
score: a place scores its Mahalanobis distance (eq. 2); the map is enlarged and blurred; the picture scores the map's maximum.

Symbols: N good pictures, P places of the grid, d dimensions kept.

Each place has a Gaussian of its own, so all pictures must be of one size and show the part in the same position: one that lies at
any angle has wide Gaussians, in which a defect hides.

The inverse covariance of a place is kept as a factor F, found by the cheaper of two ways (`parts/gaussian.py`): with N < d by
Woodbury's formula, N × d numbers a place; else by Cholesky's, d (d + 1) / 2. So the published configurations take, in memory while
fitting and about as much in the model file: R18-Rd100 at 56 × 56 places 63 MB in the file, and up to 0.5 GB for a fit on 391
pictures; WR50-Rd550 N × 6.9 MB in both, 2.7 GB for 391.

A held-out score is exact: what a fit without the picture's group would give at every place, by a formula in `parts/gaussian.py`.

Where this differs from the paper: nothing known; the authors published no code. The maximum is taken after the blur, and the map
is enlarged bilinearly, not bicubically (the map is smooth: it makes no difference to speak of). The widely used code of others
(xiahaifeng1995) gives the same scores and maps of the same dimensions, but draws others, reduces pictures with Lanczos' filter
where the preset does so bicubically, and masks by nearest neighbour; `flawsight tables` reduces all rows' masks by one rule.

Expected: on MVTec AD 95.3 mean image AUROC, 97.5 pixel AUROC and 92.1 PRO with Wide ResNet-50 and 550 dimensions; pixel AUROC 96.7
and PRO 90.1 with ResNet-18 and 100. PaDiM*, with EfficientNet-B5 and its blocks 7, 20 and 26 whole, 97.9 image AUROC, which the
authors of PatchCore could not reproduce. Dimensions of another seed move results by 0.3.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from flawsight.backbones import SMALLEST, Backbone, BackboneCard
from flawsight.errors import DataError, NotFitted
from flawsight.methods.base import check, check_types, last_at_strides
from flawsight.methods.stored import LONGEST_SIDE, Stored, check_within
from flawsight.parts import gaussian, resample
from flawsight.system.threads import each
from flawsight.types import Arrays, Float, Progress, Scores

STRIDES = (4, 8, 16)  # of the levels taken of any network: those of the paper's three
BLOCK = 1 << 20  # numbers of float64 in each thread's work, of which there are a few copies


@dataclass(frozen=True)
class PaDiMParams:
    """dims: dimensions kept of all levels together, drawn at random; 0 for all. seed: of that draw. epsilon: ε. blur_sigma: of the
    map, in pixels of the network's input.
    """

    dims: int = 100
    epsilon: float = 0.01
    blur_sigma: float = 4.0
    seed: int = 0

    def __post_init__(self) -> None:
        p = "padim: "
        check_types(self, p)
        check(self.dims >= 0, p + "dims", "≥ 0", self.dims)
        check(0 < self.epsilon < np.inf, p + "epsilon", "above 0 and finite", self.epsilon)
        check(0 <= self.blur_sigma < np.inf, p + "blur_sigma", "≥ 0 and finite", self.blur_sigma)
        check(self.seed >= 0, p + "seed", "≥ 0", self.seed)


class PaDiM:
    """See the module. `backbone` gives the levels, finest first."""

    name: ClassVar[str] = "padim"
    title: ClassVar[str] = (
        "PaDiM (Defard et al., 2021): distance of each place to the Gaussian of good pictures there; aligned parts"
    )
    Params: ClassVar[type[PaDiMParams]] = PaDiMParams
    any_size: ClassVar[bool] = False
    default_backbone: ClassVar[str] = SMALLEST

    @classmethod
    def default_levels(cls, card: BackboneCard) -> tuple[str, ...]:
        """The last of the strides 4, 8 and 16."""
        return last_at_strides(card, STRIDES)

    def __init__(self, params: PaDiMParams, backbone: Backbone) -> None:
        self.params = params
        self.backbone = backbone
        self._kept: NDArray[np.int32] = np.zeros(0, np.int32)  # [d]
        self._grid = (0, 0)
        self._input_hw = (0, 0)
        self._mean: Float = np.zeros((0, 0), np.float32)  # [P,d]
        self._factors: Float | None = None  # [P,N,d] or [P,d,d]

    def fit(self, images: Iterable[Float], groups: list[int], progress: Progress | None = None) -> Float:
        """See Method.fit. Raises DataError where pictures differ in size."""
        self._factors, self._kept = None, np.zeros(0, np.int32)
        vectors = np.empty((0, 0, 0), np.float32)  # [P,N,d]; a place's become its factor where N < d
        for number, image in enumerate(images):
            if number == 0:
                self._input_hw = (image.shape[1], image.shape[2])
            found = self._embed(image)
            if number == 0:
                vectors = np.empty((found.shape[0], len(groups), found.shape[1]), np.float32)
            vectors[:, number] = found
        n_places, n, d = vectors.shape
        self._mean = np.empty((n_places, d), np.float32)
        factors = vectors if n < d else np.empty((n_places, d, d), np.float32)
        squared = np.empty((n, n_places), np.float32)
        left_out = _by_size(np.array(groups))

        def learn(block: slice) -> int:
            places = vectors[block].astype(np.float64)
            mean = places.mean(1, keepdims=True)
            places -= mean
            self._mean[block] = mean[:, 0]
            for members in left_out:
                without = gaussian.left_out_distances(places, members, self.params.epsilon)
                squared[members.ravel(), block] = without.reshape(len(places), -1).T
            factors[block] = gaussian.whitener(places, 1 / max(n - 1, 1), self.params.epsilon)
            return int(block.stop)

        for done in each(learn, _blocks(n_places, BLOCK // (n * d))):
            if progress:
                progress("learning places", done, n_places)
        self._factors = factors
        return np.array([self._map(np.sqrt(one)).max() for one in squared], np.float32)

    def score(self, images: Float) -> Scores:
        """See Scorer.score. Raises NotFitted, and DataError for pictures of another size than those of the fit."""
        _ = self._fitted  # before the network runs
        maps = np.stack([self._map(self._distances(image)) for image in images])
        return Scores(maps.max((1, 2)), maps)

    def state(self) -> Arrays:
        """kept int32 [d], grid, input int32 [2], mean float32 [P,d], factors float32 [P,N,d], or [P,d(d+1)/2] of triangles."""
        factors = self._fitted
        if factors.shape[1] == factors.shape[2]:
            rows, columns = np.tril_indices(factors.shape[1])
            factors = factors[:, rows, columns]
        grid, size = np.array(self._grid, np.int32), np.array(self._input_hw, np.int32)
        return {"kept": self._kept, "grid": grid, "input": size, "mean": self._mean, "factors": factors}

    def with_state(self, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """See Method.with_state."""
        stored = Stored(arrays)
        self._kept, self._mean = stored.take("kept", np.int32, "d"), stored.take("mean", np.float32, "P", "d")
        grid, size = stored.take("grid", np.int32, 2), stored.take("input", np.int32, 2)
        check_within(grid, "grid", 1, LONGEST_SIDE)
        check_within(size, "input", 1, LONGEST_SIDE)
        self._grid, self._input_hw = (int(grid[0]), int(grid[1])), (int(size[0]), int(size[1]))
        (n_places, d), packed = self._mean.shape, arrays.get("factors", np.zeros(0)).ndim == 2
        sides = (d * (d + 1) // 2,) if packed else ("N", "d")
        factors = stored.take("factors", np.float32, "P", *sides)
        if packed:
            triangles, factors = factors, np.zeros((n_places, d, d), np.float32)
            rows, columns = np.tril_indices(d)
            factors[:, rows, columns] = triangles
        self._factors = factors
        return self

    @property
    def _fitted(self) -> Float:
        if self._factors is None:
            raise NotFitted("padim: it has not been fitted. Call fit on good pictures first.")
        return self._factors

    def _embed(self, image: Float) -> Float:
        """The vectors of one picture [3,h,w]: float32 [P,d]. Draws the dimensions to keep if that was not done yet."""
        if image.shape[1:] != self._input_hw:
            (high, wide), (came_high, came_wide) = self._input_hw, image.shape[1:]
            raise DataError(
                "padim: pictures of one size were needed, as each place has its own Gaussian; the network saw "
                f"{wide}×{high} pixels of the first good picture, and {came_wide}×{came_high} of this one. "
                "Bring all pictures to one size, or choose another method."
            )
        maps = [level[0] for level in self.backbone.features(image[None])]
        channels = sum(len(level) for level in maps)
        if not len(self._kept):
            drawn = np.random.default_rng(self.params.seed).permutation(channels)[: self.params.dims or channels]
            self._kept = np.sort(drawn).astype(np.int32)
        high, wide = self._grid = (maps[0].shape[1], maps[0].shape[2])
        vectors, first = [], 0
        for level in maps:
            wanted = self._kept[(self._kept >= first) & (self._kept < first + len(level))] - first
            first += len(level)
            rows, columns = np.arange(high) * level.shape[1] // high, np.arange(wide) * level.shape[2] // wide
            vectors.append(level[wanted][:, rows[:, None], columns].reshape(len(wanted), high * wide))
        return np.ascontiguousarray(np.concatenate(vectors).T)

    def _distances(self, image: Float) -> Float:
        """Of each place of one picture: float32 [P]."""
        return np.sqrt(gaussian.squared_distances(self._embed(image) - self._mean, self._fitted, self.params.epsilon))

    def _map(self, distances: Float) -> Float:
        """Enlarged to the network's input and blurred: float32 [h,w]."""
        sigma = float(self.params.blur_sigma)
        sides = (resample.enlarge_and_blur(n, size, sigma) for n, size in zip(self._grid, self._input_hw, strict=True))
        return resample.apply(distances.reshape(self._grid), *sides)


def _by_size(groups: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Indices of the groups' members, groups of one size together: int64 [m,k] for each size k."""
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    return [np.stack([one for one in members if len(one) == size]) for size in sorted({len(one) for one in members})]


def _blocks(n: int, size: int) -> Iterator[slice]:
    for start in range(0, n, max(size, 1)):
        yield slice(start, min(start + max(size, 1), n))

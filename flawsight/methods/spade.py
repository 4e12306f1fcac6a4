"""SPADE: Cohen, Hoshen, "Sub-Image Anomaly Detection with Deep Pyramid Correspondences", 2020 (arXiv 2005.02357).

fit:   keep the feature maps of every good picture, and its deepest one averaged over the picture.
score: the picture scores the mean distance of its average to its K nearest good pictures' (§3.2, eq. 1: what the authors call DN2);
       a place of the map scores the mean distance of its vector to the κ nearest vectors anywhere in those K pictures (§3.3,
       eq. 3), and the map is enlarged and blurred.

Symbols: N good pictures, K of them a picture's gallery, P places of a level's grid, C channels of a level, L levels in the pyramid.

A place's vector is all levels at that place (`pyramid="concat"`, §3.4: the coarser ones enlarged to the finest grid), or each level
is searched on its own grid and the L maps are averaged (`pyramid="per_level"`, as widely used code does): a fraction of the work,
as the finest grid is searched with its own few channels alone. The latter is the default here; the published row has the former.

Nothing is reduced: memory and model file hold N × ΣPC numbers, 1 MB a picture with an embedded network at 320 pixels, 5.6 MB with
Wide ResNet-50 at 224, and a picture takes K × P² products of vectors, whatever N is.

A held-out score is exact: the picture's own group takes no part in its gallery.

Where this differs from the widely used code (byungjae89): that has K = 5 by default, leaves out the last vectors of
a gallery whose number is no multiple of 100, takes distances unsquared (`distance="euclidean"`), reduces pictures with Lanczos'
filter where the preset does so bilinearly, and masks by nearest neighbour; `flawsight tables` reduces all rows' masks by one rule.

Where this differs from the paper: the map is multiplied by one number, found when fitting so that the maps of good pictures that
were left out peak at their scores; it has no unit otherwise in common with the score. It changes no metric.

Expected: on MVTec AD 85.5 mean image AUROC, 96.0 pixel AUROC and 91.7 PRO with Wide ResNet-50. The image score is weak wherever
parts lie at any angle or are lit unlike the good ones; the map is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from flawsight.backbones import SMALLEST, Backbone, BackboneCard
from flawsight.errors import NotFitted
from flawsight.methods.base import Judged, cell_box, check, check_types, last_at_strides, stack
from flawsight.methods.stored import LONGEST_SIDE, Stored, check_within
from flawsight.parts import resample
from flawsight.search import galleries
from flawsight.search.galleries import MapOf, vectors
from flawsight.types import Arrays, Float, Index, Progress, Scores

STRIDES = (4, 8, 16)  # of the pyramid's levels: those of the paper's three
CALIBRATED = 8  # good pictures from which the map's factor is found
SAMPLED = 16, 4096  # good pictures, and vectors of them together, from which it is found along what axes vectors are longest


@dataclass(frozen=True)
class SPADEParams:
    """neighbours: K, of all good pictures at most. patch_neighbours: κ. pyramid: "per_level" or "concat". pyramid_levels: L, the
    first of those that the network gives; the last one it gives is averaged. distance: "sqeuclidean" as in the paper, or
    "euclidean". blur_sigma: of the map, in pixels of the network's input. seed: taken as by any method; nothing is drawn at random.
    """

    neighbours: int = 50
    patch_neighbours: int = 1
    pyramid: str = "per_level"
    pyramid_levels: int = 3
    distance: str = "sqeuclidean"
    blur_sigma: float = 4.0
    seed: int = 0

    def __post_init__(self) -> None:
        p = "spade: "
        check_types(self, p)
        check(self.neighbours >= 1, p + "neighbours", "≥ 1", self.neighbours)
        check(self.patch_neighbours >= 1, p + "patch_neighbours", "≥ 1", self.patch_neighbours)
        check(self.pyramid in ("per_level", "concat"), p + "pyramid", "per_level or concat", self.pyramid)
        check(self.pyramid_levels >= 1, p + "pyramid_levels", "≥ 1", self.pyramid_levels)
        check(self.distance in ("sqeuclidean", "euclidean"), p + "distance", "sqeuclidean or euclidean", self.distance)
        check(0 <= self.blur_sigma < np.inf, p + "blur_sigma", "≥ 0 and finite", self.blur_sigma)
        check(self.seed >= 0, p + "seed", "≥ 0", self.seed)


class _Seen(NamedTuple):
    """A picture as it is compared: its average float32 [D], the pyramid's maps float32 [C,h,w]; the input (high, wide)."""

    average: Float
    maps: list[Float]
    input_hw: tuple[int, int]


class _Nearest(NamedTuple):
    """Of each place [P]: the score, and the picture and place of the nearest vector."""

    score: Float
    picture: Index
    place: Index


class SPADE:
    """See the module. `backbone` gives the pyramid's levels, finest first, and the one to average last."""

    name: ClassVar[str] = "spade"
    title: ClassVar[str] = "SPADE (Cohen and Hoshen, 2020): distance to the nearest good pictures, and of each place to any in them"
    Params: ClassVar[type[SPADEParams]] = SPADEParams
    any_size: ClassVar[bool] = True
    default_backbone: ClassVar[str] = SMALLEST

    @classmethod
    def default_levels(cls, card: BackboneCard) -> tuple[str, ...]:
        """The last of the strides 4, 8 and 16, and the deepest."""
        return tuple(dict.fromkeys((*last_at_strides(card, STRIDES), list(card.levels)[-1])))

    def __init__(self, params: SPADEParams, backbone: Backbone) -> None:
        self.params = params
        self.backbone = backbone
        self._averages: Float | None = None  # [N,D]
        self._means: list[Float] = []  # [C] of each level, from which its vectors count
        self._levels: list[list[Float]] = []  # of each level the maps [C,h,w] of all pictures
        self._axes: list[Float | None] = []  # of each level, or of all put together, see galleries
        self._factor = 1.0

    def fit(self, images: Iterable[Float], groups: list[int], progress: Progress | None = None) -> Float:
        """See Method.fit."""
        self._averages, self._means = None, []
        seen = [self._see(image) for image in images]
        self._levels = [list(level) for level in zip(*(one.maps for one in seen), strict=True)]
        averages, sizes = np.stack([one.average for one in seen]), [one.input_hw for one in seen]
        del seen
        self._means = [_mean(level) for level in self._levels]
        for level, mean in zip(self._levels, self._means, strict=True):
            for one in level:
                one -= mean[:, None, None]
        self._averages, self._factor, self._axes = averages, 1.0, self._main_axes()
        group = np.array(groups)
        galleries = [self._gallery(average, group == own) for average, own in zip(averages, group, strict=True)]
        held_out = np.array([self._image_score(distances) for _, distances in galleries], np.float32)
        chosen = np.unique(np.linspace(0, len(group) - 1, CALIBRATED).round().astype(int))
        peaks = np.full(len(chosen), np.nan)
        for done, number in enumerate(chosen, 1):
            if len(galleries[number][0]):
                maps = [level[number] for level in self._levels]
                peaks[done - 1] = self._judge(_Seen(averages[number], maps, sizes[number]), *galleries[number]).map.max()
            if progress:
                progress("comparing good pictures", done, len(chosen))
        self._factor = _ratio(held_out[chosen], peaks)
        return held_out

    def score(self, images: Float) -> Scores:
        """See Scorer.score. Raises NotFitted."""
        _ = self._fitted  # before the network runs
        judged = []
        for image in images:
            seen = self._see(image)
            judged.append(self._judge(seen, *self._gallery(seen.average)))
        return stack(judged)

    def state(self) -> Arrays:
        """averages float32 [N,D], factor float64 [1]; of each level l: mean.l float32 [C], grids.l int32 [N,2], maps.l, flat."""
        arrays: Arrays = {"averages": self._fitted, "factor": np.array([self._factor])}
        for number, (mean, level) in enumerate(zip(self._means, self._levels, strict=True)):
            arrays[f"mean.{number}"] = mean
            arrays[f"grids.{number}"] = np.array([one.shape[1:] for one in level], np.int32)
            arrays[f"maps.{number}"] = np.concatenate([one.ravel() for one in level])
        return arrays

    def with_state(self, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """See Method.with_state."""
        stored = Stored(arrays)
        averages, self._factor = stored.take("averages", np.float32, "N", "D"), float(stored.take("factor", np.float64, 1)[0])
        self._means, self._levels = [], []
        for number in range(sum(name.startswith("mean.") for name in arrays)):
            mean = stored.take(f"mean.{number}", np.float32, f"C{number}")
            grids = stored.take(f"grids.{number}", np.int32, "N", 2)
            check_within(grids, f"grids.{number}", 1, LONGEST_SIDE)
            ends = np.cumsum(len(mean) * grids.prod(1, dtype=np.int64))
            flat = np.split(stored.take(f"maps.{number}", np.float32, int(ends[-1])), ends[:-1])
            self._means.append(mean)
            self._levels.append([one.reshape(len(mean), *grid) for one, grid in zip(flat, grids, strict=True)])
        self._averages, self._axes = averages, self._main_axes()
        return self

    @property
    def _fitted(self) -> Float:
        if self._averages is None:
            raise NotFitted("spade: it has not been fitted. Call fit on good pictures first.")
        return self._averages

    def _see(self, image: Float) -> _Seen:
        """One picture [3,h,w], its maps counted from the good pictures' means once these are known."""
        levels = [level[0] for level in self.backbone.features(image[None])]
        average = levels[-1].mean((1, 2), dtype=np.float64).astype(np.float32)
        maps = levels[: self.params.pyramid_levels]
        if self._means:
            maps = [one - mean[:, None, None] for one, mean in zip(maps, self._means, strict=True)]
        else:
            maps = [one.copy() for one in maps]  # they are kept
        return _Seen(average, maps, (image.shape[1], image.shape[2]))

    def _gallery(self, average: Float, exclude: NDArray[np.bool_] | None = None) -> tuple[Index, Float]:
        """The K nearest good pictures by their averages, nearest first, and their distances [≤K]."""
        difference = self._fitted - average
        distances = np.einsum("nd,nd->n", difference, difference)
        order = np.argsort(distances, kind="stable")
        if exclude is not None:
            order = order[~exclude[order]]
        order = order[: self.params.neighbours]
        return order, self._measured(distances[order])

    def _measured(self, squared: Float) -> Float:
        return np.sqrt(squared) if self.params.distance == "euclidean" else squared

    def _image_score(self, distances: Float) -> float:
        return float(distances.mean()) if len(distances) else np.nan

    def _judge(self, seen: _Seen, gallery: Index, distances: Float) -> Judged:
        queries = [_concat(seen.maps)] if self._whole else seen.maps
        found = [self._nearest(query, gallery, space) for space, query in enumerate(queries)]
        heat = np.zeros(seen.input_hw, np.float32)
        sigma = float(self.params.blur_sigma)
        for query, nearest in zip(queries, found, strict=True):
            sides = (resample.enlarge_and_blur(n, size, sigma) for n, size in zip(query.shape[1:], seen.input_hw, strict=True))
            heat += resample.apply(nearest.score.reshape(query.shape[1:]), *sides)
        heat *= np.float32(self._factor / len(found))
        at, grid = np.array(np.unravel_index(int(heat.argmax()), heat.shape)), np.array(queries[0].shape[1:])
        cell = at * grid // heat.shape
        place = int(cell[0] * grid[1] + cell[1])
        picture = int(gallery[found[0].picture[place]])
        source_grid = np.array(self._levels[0][picture].shape[1:])
        source_cell = np.array(np.divmod(int(found[0].place[place]), source_grid[1]))
        return Judged(self._image_score(distances), heat, cell_box(cell, grid), picture, cell_box(source_cell, source_grid))

    @property
    def _whole(self) -> bool:
        return self.params.pyramid == "concat"

    def _map_of(self, pictures: Index, space: int) -> MapOf:
        """The map of each of these good pictures, of one level, or of all put together; made when it is asked for."""
        if self._whole:
            return lambda number: _concat([maps[pictures[number]] for maps in self._levels])
        return lambda number: self._levels[space][pictures[number]]

    def _main_axes(self) -> list[Float | None]:
        """Of each level, or of all put together."""
        pictures = np.unique(np.linspace(0, len(self._levels[0]) - 1, SAMPLED[0]).round().astype(int))
        found = []
        for space in range(1 if self._whole else len(self._levels)):
            map_of = self._map_of(pictures, space)
            each = [vectors(map_of(number)) for number in range(len(pictures))]
            stride = -(-sum(map(len, each)) // SAMPLED[1])
            found.append(galleries.main_axes(np.concatenate([one[::stride] for one in each])))
        return found

    def _nearest(self, query: Float, gallery: Index, space: int) -> _Nearest:
        """Of each place of a map [C,h,w], among those of the gallery's."""
        map_of, n, k = self._map_of(gallery, space), len(gallery), self.params.patch_neighbours
        if k == 1:
            squared, picture, place = galleries.closest(vectors(query), map_of, n, self._axes[space])
            return _Nearest(self._measured(squared), picture, place)
        squared, pictures, places = galleries.k_closest(vectors(query), map_of, n, k)
        return _Nearest(self._measured(squared).mean(1), pictures[:, 0], places[:, 0])


def _concat(maps: list[Float]) -> Float:
    """All levels at the finest one's grid: float32 [ΣC,h,w]."""
    high, wide = maps[0].shape[1:]
    enlarged = [
        resample.apply(one, resample.bilinear(one.shape[1], high), resample.bilinear(one.shape[2], wide)) for one in maps[1:]
    ]
    return np.concatenate([maps[0], *enlarged])


def _mean(level: list[Float]) -> Float:
    """Over all places of all pictures, each picture counting the same: float32 [C]."""
    mean: Float = np.mean([one.mean((1, 2), dtype=np.float64) for one in level], 0).astype(np.float32)
    return mean


def _ratio(scores: Float, peaks: NDArray[np.float64]) -> float:
    """By what to multiply the maps so that they peak at the scores; 1 where there is nothing to go by."""
    known = np.isfinite(peaks) & (peaks > 0) & (scores > 0)
    return float(np.median(scores[known]) / np.median(peaks[known])) if known.any() else 1.0

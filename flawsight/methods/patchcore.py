"""PatchCore: Roth, Pemula, Zepeda, Schölkopf, Brox, Gehler, "Towards Total Recall in Industrial Anomaly Detection", CVPR 2022.

fit:   embed every good picture into patch vectors (§3.1), keep a greedy k-center coreset of them as the memory bank (§3.2).
score: a patch scores its distance to the nearest bank vectors (§3.3, eq. 6); the picture scores its worst patch, optionally
       weighted by eq. 7.

Symbols: P patches a picture on the finest level's grid (h × w), D dimensions, M rows of the bank M, b bank neighbours in eq. 7.

Where this differs from the paper, each a param:
- Levels are balanced: each is divided by its spread over the good pictures, so that all weigh alike, whatever the network
  (`balance_levels`).
- Levels are concatenated as they are, not averaged to 1024 dimensions: the embedded backbones have fewer (`level_dims`,
  `target_dims`). Their principal axes may be kept alone, which costs no accuracy and saves memory and time (`dims`).
- Patches are not averaged with their neighbours before they are compared; the map of distances is blurred instead, by one
  patch: small defects are not diluted (`neighbourhood`, `blur_sigma`; measured in docs/accuracy.md).
- A picture scores the mean of its few highest patches, blurred half as far as the map, not its worst patch alone: single noisy
  patches count for less, larger defects for more (`image_score`, `top_share`).
- The bank has a size limit, so that the time a picture takes does not grow with the training set (`bank_limit`).
- The greedy selection starts from the row farthest from the mean; the paper's code from ten random rows (`random_starts`).

The paper's code also moves the network's normalisation before use, which the paper does not say. The presets of its published
figures do so too (`primed`, an option of the network; docs/tables.md says what it changes).
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from flawsight.backbones import SMALLEST, Backbone, BackboneCard
from flawsight.errors import DataError, NotFitted, UsageError
from flawsight.methods.base import Judged, Kept, cell_box, picked, stack
from flawsight.methods.patchcore_params import PatchCoreParams
from flawsight.methods.stored import LONGEST_SIDE, Stored, check_within
from flawsight.parts import graphs, mapper, resample
from flawsight.search import axes, coreset
from flawsight.search.neighbours import Bank
from flawsight.search.projected import Projected, projections
from flawsight.search.reweighting import weight
from flawsight.search.spread import level_scales, variance
from flawsight.search.streaming import Covering, Gathered, Need, Stream, in_blocks, radius_factor
from flawsight.system import memory
from flawsight.system.threads import ahead
from flawsight.types import Arrays, Float, Progress, Scores

SAMPLED = 32  # pictures that principal axes are learned from


class _Layout(NamedTuple):
    """A picture's patch grid (rows, columns) and the network's input (high, wide)."""

    grid: tuple[int, int]
    input_hw: tuple[int, int]


class PatchCore:
    """See the module. `backbone` gives the levels to embed, finest first."""

    name: ClassVar[str] = "patchcore"
    title: ClassVar[str] = "PatchCore (Roth et al., CVPR 2022): distance of each patch to its nearest in a bank of good ones"
    Params: ClassVar[type[PatchCoreParams]] = PatchCoreParams
    any_size: ClassVar[bool] = True
    banks: ClassVar[int] = 1
    default_backbone: ClassVar[str] = SMALLEST

    @classmethod
    def default_levels(cls, card: BackboneCard) -> tuple[str, ...]:
        """See Method.default_levels."""
        return card.default_levels

    def __init__(self, params: PatchCoreParams, backbone: Backbone) -> None:
        self.params = params
        self.backbone = backbone
        self._bank: Bank | None = None
        self._axes: Float | None = None  # [D of all levels,D], what descriptors are projected on
        self._scale: Float = np.ones(0, np.float32)  # [D]
        self._source: NDArray[np.int32] = np.zeros((0, 3), np.int32)  # [M,3] picture, row, column
        self._grids: NDArray[np.int32] = np.zeros((0, 2), np.int32)  # [N,2] rows, columns of each picture
        self._radius, self._factor = 0.0, 1.0
        self._hidden: NDArray[np.bool_] | None = None  # [M], rows that are not to be found

    def fit(self, images: Iterable[Float], groups: list[int], progress: Progress | None = None) -> Float:
        """See Method.fit."""
        return self.fit_within(images, groups, None, progress)[0]

    def fit_within(
        self, images: Iterable[Float], groups: list[int], room: int | None, progress: Progress | None = None
    ) -> tuple[Float, list[str]]:
        """See BankMethod.fit_within. Where all patches fit they are kept; else their projections (search/projected.py), if the
        choice needs only these; else blocks of them are reduced (search/streaming.py).

        Then held-out scores need another pass, which makes each picture's patches again: these are larger than the picture.
        """
        if room is not None and iter(images) is images:
            raise UsageError("patchcore: within limited memory pictures are looked at twice; an iterator came. Give a list.")
        if self.params.dims:
            images = list(images) if iter(images) is images else images
            few = np.linspace(0, len(groups) - 1, min(len(groups), SAMPLED)).astype(int).tolist()
            seen = (self.backbone.features(image[None]) for image in picked(images, few))
            params = self.params
            self._axes = axes.principal(seen, len(few), params.neighbourhood, params.dims, params.balance_levels)
        draws, layouts, stream = np.random.default_rng([self.params.seed, 1]), [], None
        for image in images:
            patches, grid, channels = self.embed(image[None])
            if stream is None:
                need = self.need(patches.shape[2])
                if room is not None and need.in_passes(patches.shape[1] * len(groups), room):
                    held_out = self._fit_in_passes(images, np.array(groups), need, room, progress)
                    if held_out is not None:
                        return held_out, []
                to_scales = partial(level_scales, channels=self._balanced(channels))
                stream = Stream("patchcore", need, room, len(groups), to_scales, self.reduce)
            stream.add(patches[0], grid, draws.random((patches.shape[1],), dtype=np.float32))
            layouts.append(_Layout(grid, image.shape[1:]))
        if stream is None:
            raise DataError("patchcore: no pictures came to learn from. Give it some.")
        held = stream.finish()
        scales = to_scales(variance(held.rows) if held.blocks == 1 else stream.spread.variance)
        del stream
        held.rows *= scales
        memory.give_back()
        kept, radius = self._select(held, progress)
        grids = np.array([layout.grid for layout in layouts], np.int32)
        self.build(held.rows[kept], held.source[kept], scales, grids, radius)
        if held.blocks == 1:
            starts = np.cumsum([high * wide for high, wide in grids[:-1]])
            return self._held_out(np.split(held.rows, starts), layouts, np.array(groups), progress, None), []
        del held.rows
        memory.give_back()
        again = (self.embed(image[None])[0][0] * scales for image in images)
        covering = Covering(self._measured(self._fitted.rows)) if self.params.coreset == "greedy" else None
        held_out = self._held_out(again, layouts, np.array(groups), progress, 1, covering)
        if covering is not None:
            self._radius, self._factor = covering.radius, radius_factor(covering.radius, radius)
        return held_out, [in_blocks(held, None if covering is None else (self._radius, self._factor))]

    def _fit_in_passes(
        self, images: Iterable[Float], groups: NDArray[np.int64], need: Need, room: int, progress: Progress | None
    ) -> Float | None:
        """Held-out scores of a fit as though all patches were held; None where later pictures have too many for that."""
        held, layouts = Projected(len(groups), need.measured), []
        for image in images:
            patches, grid, _ = self.embed(image[None])
            held.add(self._measured(patches[0]), grid)
            if need.of_projections(held.n) > room:
                return None
            layouts.append(_Layout(grid, image.shape[1:]))
        rng = np.random.default_rng(self.params.seed)
        coreset.project(np.zeros((1, need.dims), np.float32), need.measured, rng)  # what is drawn first is drawn
        memory.give_back()
        kept, radius = self._pick(held.rows, need.n_kept(held.n), rng, progress)
        held.forget()
        rows = held.fetch(kept, (self.embed(image[None])[0][0] for image in images))
        self.build(rows, held.source(kept), np.ones(need.dims, np.float32), np.array(held.grids, np.int32), radius)
        memory.give_back()
        return self._held_out((self.embed(image[None])[0][0] for image in images), layouts, groups, progress, 1)

    def build(self, rows: Float, source: NDArray[np.int32], scales: Float, grids: NDArray[np.int32], radius: float) -> None:
        """See BankMethod.build."""
        self._bank = Bank(rows, self.backbone.device)
        self._source, self._scale, self._grids, self._radius, self._factor = source, scales, grids, radius, 1.0

    def score(self, images: Float) -> Scores:
        """See Scorer.score. Raises NotFitted."""
        _ = self._fitted  # before the network runs
        return self.score_maps(self.backbone.features(images), (images.shape[2], images.shape[3]))

    def score_maps(self, maps: list[Float], input_hw: tuple[int, int]) -> Scores:
        """The Scores of images of that size, from the network's maps of them. Raises NotFitted."""
        patches, grid, _ = self.describe(maps)
        layout, k = _Layout(grid, input_hw), self.params.neighbours
        scaled = [rows * self._scale for rows in patches]
        bank, hidden = self._fitted, self._hidden
        return stack([self._judge(rows, *bank.nearest(rows, k, hidden), layout, hidden) for rows in scaled])

    def without(self, pictures: Sequence[int]) -> Self:
        """See SeparableMethod.without."""
        _ = self._fitted
        other = copy.copy(self)
        other._hidden = np.isin(self._source[:, 0], pictures)
        return other

    def kept(self) -> list[Kept]:
        """See KeepingMethod.kept."""
        pictures = self._source[:, 0]
        return [Kept(self._fitted.rows, pictures, cell_box(self._source[:, 1:], self._grids[pictures]))]

    def state(self) -> Arrays:
        """bank float32 [M,D], scale float32 [D], source int32 [M,3], grids int32 [N,2], radius, radius_factor float64 [1], and
        where descriptors are projected axes float32 [D of all levels,D].

        radius: within which the bank covers all patches, as greedy selection measures them. radius_factor: how many times the
        radius of a selection from all patches at once that can be at most; 1 where it is that.
        """
        return {
            "bank": self._fitted.rows,
            **({} if self._axes is None else {"axes": self._axes}),
            "scale": self._scale,
            "source": self._source,
            "grids": self._grids,
            "radius": np.array([self._radius]),
            "radius_factor": np.array([self._factor]),
        }

    def with_state(self, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """See Method.with_state."""
        stored = Stored(arrays)
        rows = stored.take("bank", np.float32, "M", "D")
        self._scale, self._source = stored.take("scale", np.float32, "D"), stored.take("source", np.int32, "M", 3)
        self._grids = stored.take("grids", np.int32, "N", 2)
        check_within(self._grids, "grids", 1, LONGEST_SIDE)
        check_within(self._source[:, 0], "source", 0, len(self._grids))
        check_within(self._source[:, 1:], "source", 0, self._grids[self._source[:, 0]])
        self._axes = stored.take("axes", np.float32, "all", "D") if "axes" in arrays else None
        self._radius = float(stored.take("radius", np.float64, 1)[0])
        self._factor = float(stored.take("radius_factor", np.float64, 1)[0]) if "radius_factor" in arrays else 1.0
        self._bank = Bank(rows, self.backbone.device)
        return self

    @property
    def _fitted(self) -> Bank:
        if self._bank is None:
            raise NotFitted("patchcore: it has not been fitted. Call fit on good pictures first.")
        return self._bank

    def embed(self, images: Float) -> tuple[Float, tuple[int, int], list[int]]:
        """Patch vectors, float32 [B,P,D], that grid, and the channels of each level, D in all.

        Each level is pooled, brought to the first one's grid and appended (§3.1), or averaged as in the paper's code.
        """
        return self.describe(self.backbone.features(images))

    def describe(self, maps: list[Float]) -> tuple[Float, tuple[int, int], list[int]]:
        """What `embed` gives, of the network's maps."""
        params = self.params
        grid, channels = (maps[0].shape[2], maps[0].shape[3]), [level.shape[1] for level in maps]
        if 0 < params.dims < sum(channels):
            # Before a fit any axes serve: they take the time and memory that those to be learned will.
            along = np.eye(sum(channels), params.dims, dtype=np.float32) if self._axes is None else self._axes
            vectors = mapper.projected(maps, params.neighbourhood, along)
            channels = [params.dims]
        elif params.target_dims:
            vectors = mapper.apply(maps, params.neighbourhood, params.level_dims, params.target_dims)
            channels = [params.target_dims]
        else:
            vectors = mapper.concatenated(maps, params.neighbourhood)
        rows: Float = graphs.run("transposed", {"matrices": vectors.reshape(*vectors.shape[:2], -1)})
        return rows, grid, channels

    def _balanced(self, channels: list[int]) -> list[int] | None:
        """The channels of levels that are yet to be balanced: projected ones are, and those of one level need not be."""
        return channels if self.params.balance_levels and self._axes is None else None

    def need(self, dims: int) -> Need:
        """See BankMethod.need."""
        params = self.params
        measured = min(dims, params.projection_dims or dims) if params.coreset == "greedy" else 0
        projected = 0 < measured < dims and not params.balance_levels
        return Need(dims, measured, params.coreset_ratio, params.bank_limit, params.coreset == "identity", projected)

    def reduce(self, rows: Float, draws: Float, n: int, scales: Float | None = None) -> NDArray[np.int64]:
        """See BankMethod.reduce."""
        if self.params.coreset == "random":
            return np.sort(np.argsort(draws, kind="stable")[:n])
        return np.sort(coreset.greedy(self._measured(rows, scales), n, overwrite=True, device=self.backbone.device)[0])

    def _measured(self, rows: Float, scales: Float | None = None) -> Float:
        """New rows as greedy selection measures them, of unscaled ones with scales."""
        return projections(rows, self.params.projection_dims, self.params.seed, scales)

    def _select(self, held: Gathered, progress: Progress | None) -> tuple[NDArray[np.int64], float]:
        """Indices of the scaled rows that become the bank (§3.2), and the radius in which they cover these rows."""
        params, rng, rows = self.params, np.random.default_rng(self.params.seed), held.rows
        n = min(coreset.n_kept(held.n_seen, params.coreset_ratio, params.bank_limit), len(rows))
        if params.coreset == "identity":
            return np.arange(len(rows)), 0.0
        if params.coreset == "random":
            if held.blocks > 1:
                return self.reduce(rows, held.draws, n), 0.0
            return np.sort(rng.choice(len(rows), n, replace=False)), 0.0
        measured = coreset.project(rows, params.projection_dims, rng) if params.projection_dims else rows
        return self._pick(measured, n, rng, progress, overwrite=measured is not rows)

    def _pick(
        self, measured: Float, n: int, rng: np.random.Generator, progress: Progress | None, overwrite: bool = True
    ) -> tuple[NDArray[np.int64], float]:
        """Indices of n rows that greedy selection picks, in that order, and the radius in which they cover all."""
        initial = coreset.mean_distance_to_starts(measured, rng) if self.params.random_starts else None
        report = None if progress is None else (lambda done, total: progress("choosing patches", done, total))
        return coreset.greedy(measured, n, initial, report, overwrite=overwrite, device=self.backbone.device)

    def _held_out(
        self,
        pictures: Iterable[Float],
        layouts: list[_Layout],
        groups: NDArray[np.int64],
        progress: Progress | None,
        workers: int | None,
        covering: Covering | None = None,
    ) -> Float:
        """Each good picture's score against the bank without its own group's rows: float32 [N], NaN where no rows remain.

        pictures: the scaled patch vectors [P,D] of each. workers: threads that judge; one where memory is too short to hold more.
        """
        bank_groups, k = groups[self._source[:, 0]], self.params.neighbours

        def judge(item: tuple[Float, _Layout, np.int64]) -> tuple[float, Float, NDArray[np.int64]]:
            rows, layout, group = item
            own = bank_groups == group
            if np.count_nonzero(~own) < k:
                return np.nan, rows, np.zeros((len(rows), 1), np.int64)
            distance, index = self._fitted.nearest(rows, k, own)
            return self._judge(rows, distance, index, layout, own).score, rows, index

        scores, items = [], zip(pictures, layouts, groups, strict=True)
        for score, rows, index in ahead(judge, items, workers, waiting=1):
            scores.append(score)
            if covering is not None:
                covering.add(self._measured(rows), index[:, 0])
            if progress:
                progress("scoring good pictures", len(scores), len(layouts))
        return np.array(scores, np.float32)

    def _judge(
        self,
        rows: Float,
        distance: Float,
        index: NDArray[np.int64],
        layout: _Layout,
        exclude: NDArray[np.bool_] | None = None,
    ) -> Judged:
        """One picture, from its scaled patch vectors [P,D] and their nearest in the bank, squared distances and indices [P,k]."""
        params, grid = self.params, np.array(layout.grid)
        if params.distance == "euclidean":
            distance = np.sqrt(distance)
        patch_scores = distance.mean(1).reshape(layout.grid)
        sigma = float(params.blur_sigma)
        heat = resample.apply(
            patch_scores, *(resample.enlarge_and_blur(n, size, sigma) for n, size in zip(layout.grid, layout.input_hw, strict=True))
        )
        judged = heat if params.image_score == "map" else self._softened(patch_scores, layout)
        cell = np.array(np.unravel_index(int(judged.argmax()), judged.shape)) * grid // judged.shape
        patch = int(cell[0] * grid[1] + cell[1])
        n_top = max(1, round(params.top_share * judged.size)) if params.image_score == "top" else 1
        score = float(np.partition(judged, -n_top, axis=None)[-n_top:].mean())
        if params.reweight:
            score *= weight(self._fitted, rows[patch], int(index[patch, 0]), params.reweight_neighbours, exclude)
        source, source_cell = int(self._source[index[patch, 0], 0]), self._source[index[patch, 0], 1:]
        return Judged(score, heat, cell_box(cell, grid), source, cell_box(source_cell, self._grids[source]))

    def _softened(self, patch_scores: Float, layout: _Layout) -> Float:
        """The patches' scores [h,w] as the picture's score counts them."""
        if self.params.image_score == "patch":
            return patch_scores
        sigmas = (self.params.blur_sigma / 2 * n / size for n, size in zip(layout.grid, layout.input_hw, strict=True))
        return resample.apply(patch_scores, *(resample.gaussian(n, sigma) for n, sigma in zip(layout.grid, sigmas, strict=True)))

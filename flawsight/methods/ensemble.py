"""Ensemble: a PatchCore on each of several networks (Roth et al., CVPR 2022, §4.4.1 and the paper's code).

fit:   each member learns from all good pictures with a network of its own.
score: the mean of the members' scores, and of their maps, in the first member's units.

Distances in one network's features are larger than in another's, so each member's scores are divided by how far those of good
pictures spread that were held out. That is learned once, in `fit`; a picture's score depends on no other that is judged.

Where this differs from the paper's code: that scales every member's scores and maps to 0 … 1 by their extremes over the whole
test set. `rescaled` allows it, for reproduction alone (see extremes.py).

A threshold's promise asks that nothing was learned from the held-out scores it is chosen from. Here one number a member was, its
spread, so the promise of an ensemble holds nearly, not exactly.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from flawsight.backbones import SMALLEST, Backbone, BackboneCard
from flawsight.errors import NotFitted
from flawsight.methods.base import Kept
from flawsight.methods.patchcore import PatchCore
from flawsight.methods.patchcore_params import PatchCoreParams
from flawsight.methods.stored import Stored, restore
from flawsight.types import Arrays, Float, Progress, Scores

Scale = NDArray[np.float64]  # [K,2], of each member the value that becomes 0 and the one more that becomes 1


@dataclass(frozen=True)
class EnsembleParams(PatchCoreParams):
    """Those of PatchCore, for every member alike."""

    where: ClassVar[str] = "ensemble"


class Ensemble:
    """See the module. `backbone` is several networks joined; of one alone it is that network's PatchCore."""

    name: ClassVar[str] = "ensemble"
    title: ClassVar[str] = "Several PatchCores, one on each network of a backbone a+b: the mean of their scores and maps"
    Params: ClassVar[type[EnsembleParams]] = EnsembleParams
    any_size: ClassVar[bool] = True
    default_backbone: ClassVar[str] = SMALLEST
    part: ClassVar[str] = "network"  # what each member has of its own

    def __init__(self, params: EnsembleParams, backbone: Backbone) -> None:
        self.params = params
        self._start([PatchCore(params, network) for network in backbone.members])

    def _start(self, members: list[PatchCore]) -> None:
        """Take these members, none of them fitted."""
        self.members = members
        self._held_out: Float | None = None  # [K,N]
        self._image_scale = self._map_scale = _units(np.ones(len(members)))

    @classmethod
    def default_levels(cls, card: BackboneCard) -> tuple[str, ...]:
        """See Method.default_levels."""
        return card.default_levels

    def fit(self, images: Iterable[Float], groups: list[int], progress: Progress | None = None) -> Float:
        """See Method.fit. An iterator's pictures are kept until the last member has seen them."""
        return self._fit_each(images, lambda member, pictures, report: member.fit(pictures, groups, report), progress)

    def _fit_each(
        self,
        images: Iterable[Float],
        fit: Callable[[PatchCore, Iterable[Float], Progress | None], Float],
        progress: Progress | None,
    ) -> Float:
        """Fit one member after the other by what gives its held-out scores; theirs together, float32 [N]."""
        pictures = list(images) if len(self.members) > 1 and iter(images) is images else images
        n, what = len(self.members), self.part
        self._set([fit(member, pictures, _of_member(progress, what, i, n)) for i, member in enumerate(self.members)])
        return self.held_out

    def _set(self, held_out: Sequence[Float]) -> None:
        """Scale members by these held-out scores of each."""
        self._held_out = np.stack(held_out)
        self._image_scale = self._map_scale = _units(_spreads(held_out))

    @property
    def held_out(self) -> Float:
        """The held-out score of each good picture, float32 [N], as `fit` returned it or as it is since `rescaled`."""
        return _mean(self._fitted, self._image_scale)

    def score(self, images: Float) -> Scores:
        """See Scorer.score. Raises NotFitted."""
        return self.together(self.each(images))

    def without(self, pictures: Sequence[int]) -> Self:
        """See SeparableMethod.without."""
        other = copy.copy(self)
        other.members = [member.without(pictures) for member in self.members]
        return other

    def kept(self) -> list[Kept]:
        """See KeepingMethod.kept."""
        return [bank for member in self.members for bank in member.kept()]

    def each(self, images: Float) -> list[Scores]:
        """What each member says, in units of its own. Raises NotFitted."""
        _ = self._fitted
        return [member.score(images) for member in self.members]

    def together(self, each: Sequence[Scores]) -> Scores:
        """The Scores of the ensemble from those of its members; evidence is that of the member to which a picture is worst."""
        scaled = _scaled(np.stack([one.image for one in each]), self._image_scale)
        joined = _mean(np.stack([one.map for one in each if one.map is not None]), self._map_scale)
        peaks, sources, source_peaks = (
            np.stack(arrays) for arrays in zip(*[(one.peak, one.source, one.source_peak) for one in each], strict=True)
        )
        shown, pictures = self._shown(scaled, joined, peaks), np.arange(scaled.shape[1])
        return Scores(
            image=scaled.mean(0),
            map=joined,
            peak=peaks[shown, pictures],
            source=sources[shown, pictures],
            source_peak=source_peaks[shown, pictures],
        )

    def _shown(self, scaled: Float, joined: Float, peaks: Float) -> NDArray[np.intp]:
        """Of each picture, the member whose evidence is shown: that to which it is worst. See together."""
        worst: NDArray[np.intp] = scaled.argmax(0)
        return worst

    def rescaled(self, image_scale: Scale, map_scale: Scale) -> Self:
        """The same members with their scores and maps scaled so. Raises NotFitted."""
        _ = self._fitted
        other = copy.copy(self)
        other._image_scale, other._map_scale = image_scale, map_scale
        return other

    def state(self) -> Arrays:
        """held_out float32 [K,N], image_scale and map_scale float64 [K,2], and as 0.bank, 1.bank … what each member learned."""
        learned: Arrays = {"held_out": self._fitted, "image_scale": self._image_scale, "map_scale": self._map_scale}
        for i, member in enumerate(self.members):
            learned |= {f"{i}.{name}": array for name, array in member.state().items()}
        return learned

    def with_state(self, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """See Method.with_state."""
        for i, member in enumerate(self.members):
            restore(member, arrays, f"{i}.")
        stored, n = Stored(arrays), len(self.members)
        self._image_scale, self._map_scale = (stored.take(f"{of}_scale", np.float64, n, 2) for of in ("image", "map"))
        self._held_out = stored.take("held_out", np.float32, n, "N", unknown=True)
        return self

    @property
    def _fitted(self) -> Float:
        if self._held_out is None:
            raise NotFitted(f"{self.name}: it has not been fitted. Call fit on good pictures first.")
        return self._held_out


def _spreads(held_out: Sequence[Float]) -> NDArray[np.float64]:
    """The standard deviation of each member's held-out scores, in units of the first's: float64 [K]; 1 where there is none."""
    known = [scores[np.isfinite(scores)].astype(np.float64) for scores in held_out]
    spreads = np.array([scores.std() if len(scores) else 0.0 for scores in known])
    spreads[spreads == 0] = 1
    units: NDArray[np.float64] = spreads / spreads[0]
    return units


def _units(units: NDArray[np.float64]) -> Scale:
    """The scale that divides by these [K] and moves nothing."""
    return np.stack([np.zeros(len(units)), units], 1)


def _scaled(values: Float, scale: Scale) -> Float:
    """Values [K,...] of each member under its scale: float32 [K,...]."""
    zero, unit = (column.reshape(-1, *[1] * (values.ndim - 1)) for column in scale.T)
    scaled: Float = ((values - zero) / unit).astype(np.float32)
    return scaled


def _mean(values: Float, scale: Scale) -> Float:
    """The mean over members of values [K,...] under their scales: float32 [...]."""
    mean: Float = _scaled(values, scale).mean(0)
    return mean


def _of_member(progress: Progress | None, part: str, i: int, n: int) -> Progress | None:
    """Progress that says which of n members is at work."""
    if progress is None or n == 1:
        return progress
    return lambda what, done, total: progress(f"{what}, {part} {i + 1} of {n}", done, total)

"""Two banks: a PatchCore of pooled shallow patches and one of deep patches, over one network (Roth et al., CVPR 2022, each bank).

fit:   two PatchCores learn from one network's levels, finest first, both on the grid of the second level. The shallow one takes the
       first two levels, averaged over squares of `neighbourhood` patches as in the paper; the deep one takes the second level and
       all below it, not averaged.
score: the mean of both scores, and of both maps, in units of the shallow one's.

Symbols: those of PatchCore.

What a defect changes differs from part to part: a texture, a shape, an arrangement. Pooled shallow patches describe textures well
and vary little between good parts; deep patches see farther and find what is large or misplaced. Each bank's scores are divided
by the spread of the held-out scores of good pictures (methods/ensemble.py), so neither rules the other. One call of the network
network serves both, and together they have as many patches as one bank on the finest grid of a picture with half the pixels.

Where this differs from the paper: that has one bank, of both levels on the finest grid. Measured in docs/accuracy.md.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flawsight.backbones import WHOLE, Backbone
from flawsight.errors import UsageError
from flawsight.methods.base import check, picked
from flawsight.methods.ensemble import Ensemble, EnsembleParams
from flawsight.methods.patchcore import PatchCore
from flawsight.methods.patchcore_params import PatchCoreParams
from flawsight.search.streaming import Need
from flawsight.types import Float, Progress, Scores

PROBED = 64  # pixels on a side of the picture that the network's maps are measured on


@dataclass(frozen=True)
class TwoBanksParams(EnsembleParams):
    """neighbourhood, deep_neighbourhood: side of the square of patches averaged into one, in the shallow and the deep bank (odd).
    The others: those of PatchCore, for both banks alike.
    """

    where: ClassVar[str] = "two_banks"

    neighbourhood: int = 3
    dims: int = 128
    blur_sigma: float = 4.0
    deep_neighbourhood: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        odd = self.deep_neighbourhood >= 1 and self.deep_neighbourhood % 2 == 1
        check(odd, f"{self.where}: deep_neighbourhood", "odd and ≥ 1", self.deep_neighbourhood)
        check(not self.level_dims, f"{self.where}: level_dims", "0: banks of their own levels mix none", self.level_dims)

    def of_bank(self, deep: bool) -> PatchCoreParams:
        """The params of one of the two PatchCores."""
        own = {field.name: getattr(self, field.name) for field in fields(PatchCoreParams)}
        return PatchCoreParams(**own | ({"neighbourhood": self.deep_neighbourhood} if deep else {}))


def shallow(maps: list[Float]) -> list[Float]:
    """The levels of the shallow bank, of all. The first sets the grid. Raises UsageError where there is one level alone."""
    return [_second_on(maps)[0], maps[0]]


def deep(maps: list[Float]) -> list[Float]:
    """The levels of the deep bank, of all. Raises UsageError where there is one level alone."""
    return _second_on(maps)


def _second_on(maps: list[Float]) -> list[Float]:
    if len(maps) < 2:
        raise UsageError("two_banks: expected two levels of the network or more, got one. Name more levels.")
    return maps[1:]


NAMES, LEVELS_OF = ("Shallow", "Deep"), (shallow, deep)


class _Maps(NamedTuple):
    """What the network gives of a picture: patches of a bank for each pixel, bytes of all maps and dimensions for each patch."""

    patches: float
    bytes: int
    dims: int


class _Shared:
    """The network while both banks are fitted: maps of a picture are kept, up to so many bytes, until the second bank asks."""

    def __init__(self, backbone: Backbone, n_bytes: int) -> None:
        self.backbone = backbone
        self._left = n_bytes
        self._maps: dict[bytes, list[Float]] = {}

    def features(self, images: Float) -> list[Float]:
        """As the network's own."""
        each = [self._of(image[None]) for image in images]
        return [np.concatenate(level) if len(level) > 1 else level[0] for level in zip(*each, strict=True)]

    def _of(self, image: Float) -> list[Float]:
        key = hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest() + repr(image.shape).encode()
        maps = self._maps.get(key)
        if maps is None:
            maps = self.backbone.features(image)
            self._left -= sum(level.nbytes for level in maps)
            if self._left >= 0:
                self._maps[key] = maps
        return maps


class _Part:
    """The network as one bank sees it."""

    def __init__(self, network: Backbone | _Shared, bank: int) -> None:
        backbone = network.backbone if isinstance(network, _Shared) else network
        self.device, self.members = backbone.device, (self,)
        self._network, self._bank = network, bank

    def features(self, images: Float) -> list[Float]:
        """The levels of this bank."""
        return LEVELS_OF[self._bank](self._network.features(images))


class TwoBanks(Ensemble):
    """See the module. `backbone` gives two levels or more, finest first."""

    name: ClassVar[str] = "two_banks"
    title: ClassVar[str] = "PatchCore with two banks, of pooled shallow patches and of deep ones: the mean of their scores and maps"
    Params: ClassVar[type[TwoBanksParams]] = TwoBanksParams
    default_backbone: ClassVar[str] = WHOLE
    part: ClassVar[str] = "bank"
    banks: ClassVar[int] = 2

    def __init__(self, params: TwoBanksParams, backbone: Backbone) -> None:
        self.params: TwoBanksParams = params
        self.backbone = backbone
        self._start([PatchCore(params.of_bank(bool(i)), _Part(backbone, i)) for i in range(len(LEVELS_OF))])

    def fit(self, images: Iterable[Float], groups: list[int], progress: Progress | None = None) -> Float:
        """See Method.fit."""
        return self.fit_within(images, groups, None, progress)[0]

    def fit_within(
        self, images: Iterable[Float], groups: list[int], room: int | None, progress: Progress | None = None
    ) -> tuple[Float, list[str]]:
        """See BankMethod.fit_within. The deep bank is chosen when the shallow one's patches are gone."""
        images = list(images) if iter(images) is images else images
        maps = self._maps
        patches = sum(round(maps.patches * one.shape[1] * one.shape[2]) for one in picked(images, [0])) * len(groups)
        kept = self.need(maps.dims).beside(patches, sys.maxsize if room is None else room)
        left = None if room is None else room - kept
        notes: list[str] = []

        def of_bank(bank: PatchCore, pictures: Iterable[Float], report: Progress | None) -> Float:
            held_out, said = bank.fit_within(pictures, groups, left, report)
            notes.extend(f"{NAMES[self.members.index(bank)]} bank: {note}" for note in said)
            return held_out

        self._look_through(_Shared(self.backbone, kept))
        try:
            return self._fit_each(images, of_bank, progress), notes
        finally:
            self._look_through(self.backbone)

    def each(self, images: Float) -> list[Scores]:
        """What each bank says, in units of its own; the network runs once. Raises NotFitted."""
        _ = self._fitted
        maps, hw = self.backbone.features(images), (images.shape[2], images.shape[3])
        return [bank.score_maps(levels(maps), hw) for bank, levels in zip(self.members, LEVELS_OF, strict=True)]

    def _shown(self, scaled: Float, joined: Float, peaks: Float) -> NDArray[np.intp]:
        """Of each picture, the bank whose worst patch lies where the joined map is higher, so that evidence and map agree.

        joined: [B,h,w]. peaks: [K,B,4], top, left, bottom, right of each bank's worst patch, shares of the input's sides.
        """
        rows, columns = (
            ((peaks[..., first] + peaks[..., first + 2]) / 2 * side).astype(int) for first, side in enumerate(joined.shape[1:])
        )
        higher: NDArray[np.intp] = joined[np.arange(len(joined)), rows, columns].argmax(0)
        return higher

    @cached_property
    def _maps(self) -> _Maps:
        maps = self.backbone.features(np.zeros((1, 3, PROBED, PROBED), np.float32))
        cells, channels = deep(maps)[0][0, 0].size, sum(level.shape[1] for level in deep(maps))
        return _Maps(cells / PROBED**2, sum(level.nbytes for level in maps) // cells, min(self.params.dims or channels, channels))

    def _look_through(self, network: Backbone | _Shared) -> None:
        """Give both banks this network."""
        for i, bank in enumerate(self.members):
            bank.backbone = _Part(network, i)

    # A fit takes the memory of one bank after the other, which have equally many patches; so that of the deep one stands for both.

    def embed(self, images: Float) -> tuple[Float, tuple[int, int], list[int]]:
        """Of the deep bank; see BankMethod.embed."""
        return self.members[-1].embed(images)

    def need(self, dims: int) -> Need:
        """Of the deep bank; see BankMethod.need."""
        return replace(self.members[-1].need(dims), spare=self._maps.bytes)

    def reduce(self, rows: Float, draws: Float, n: int, scales: Float | None = None) -> NDArray[np.int64]:
        """Of the deep bank; see BankMethod.reduce."""
        return self.members[-1].reduce(rows, draws, n, scales)

    def build(self, rows: Float, source: NDArray[np.int32], scales: Float, grids: NDArray[np.int32], radius: float) -> None:
        """Give both banks the same rows, as good as any to see what a fitted model takes; see BankMethod.build."""
        for bank in self.members:
            bank.build(rows, source, scales, grids, radius)
        self._set([np.ones(len(grids), np.float32)] * len(self.members))

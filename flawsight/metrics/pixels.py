"""Metrics of maps: AUROC, AP and F1max over all pixels of all pictures, and PRO, all from one sort a class.

PRO, the per-region overlap (Bergmann et al., IJCV 2021, "The MVTec Anomaly Detection Dataset"): a region is an 8-connected
component of one picture's mask; of a picture with several masks each is one region, connected or not, and they may overlap. At
threshold t its overlap is the share of its pixels that score at least t; PRO(t) is the mean over all regions of all pictures, each
counting the same whatever its size. AUPRO is the area under PRO over the false-positive rate of all good pixels of all pictures, up
to a rate of 0.3, divided by 0.3. Every distinct score is a threshold; nothing is binned, unless there are more pixels than memory
should hold: see `binned.py`.

A good pixel is one uint32, a code of its score; a defective one a uint64, the same code above its patch's number, so that sorting
plain numbers sorts pixels by falling score. Nothing but the count of good pixels changes between one defective pixel's score and
the next, so the defective ones alone are walked, in blocks, and at each of their scores the good ones above it are counted by
bisection. The good ones are sorted in parts, which are counted one by one: that is faster than sorting them together, goes on in
several threads, and nothing of the size of all pixels is ever made besides them. A patch is what of a picture belongs to the same
regions: a region, where none overlap.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flawsight.errors import UsageError
from flawsight.metrics.binned import Bins, Codes, largest_error
from flawsight.metrics.cuts import Cuts, Keys, area_to, split, walk_cuts
from flawsight.metrics.ranking import NAN, Counts, best_f1, precision_sum, twice_area
from flawsight.metrics.saturated import SPRO_FPR, Saturated
from flawsight.system.threads import each
from flawsight.types import Float, Mask

EXACT_PX = 400_000_000  # Pixels up to which every one is kept: 1.6 GB, where few are defective.
PART_PX = 1 << 24  # Good pixels that are sorted together.
BLOCK_PX = 1 << 18  # Pixels walked at a time. Larger ones are no faster and cost memory, some 70 bytes a pixel.
CURVE_POINTS = 500


@dataclass(frozen=True)
class PixelMetrics:
    """What the maps of labelled pictures are worth.

    auroc, ap, f1max, pro: in [0,1]; all NaN without a defective or without a good pixel. f1max_threshold: score >= it is called
    defective; an oracle's, chosen on the masks. n_pixels: pixels compared; n_unseen: pixels left out, their map being NaN.
    n_regions: regions that PRO averages over; n_regions_unseen: regions left out, none of their pixels having been seen.
    pro_curve: false-positive rate, mean overlap; float32 [n] each, n ≤ 500, from (0,0) to max_fpr, thinned out for drawing.
    error: how far auroc, ap, f1max, pro and spro can be off: 0 where every pixel was kept, a proven bound where they were binned.
    spro: see saturated; NaN unless it was given of some regions how much of them suffices. n_saturating: regions it averages over.
    """

    auroc: float
    ap: float
    f1max: float
    f1max_threshold: float
    pro: float
    n_regions: int
    n_regions_unseen: int
    n_unseen: int
    n_pixels: int
    pro_curve: tuple[Float, Float]
    error: float = 0.0
    spro: float = NAN
    n_saturating: int = 0


class PixelTally:
    """Gathers pictures' pixels one picture at a time, then measures them all at once.

    Takes 4 bytes of memory per good pixel seen, 8 per defective one and some 100 MB more while measuring; neither maps nor masks
    are kept. Pictures may be added after measuring. From the picture on that would bring more than `exact_px` pixels together all
    are binned, which takes 24 MiB however many more come.
    """

    def __init__(self, block_px: int = BLOCK_PX, exact_px: int = EXACT_PX) -> None:
        self._block_px = block_px
        self._exact_px = exact_px
        self._good: list[Codes] = []
        self._defective: list[Keys] = []
        self._shares: list[float] = []  # At k - 1, what a pixel of patch k is of its regions, added up.
        self._n_regions = 0
        self._n_regions_unseen = 0
        self._n_defective = 0
        self._n_unseen = 0
        self._n_seen = 0
        self._bins: Bins | None = None
        self._saturated = Saturated()
        self._apart = True  # Pictures' pixels are still kept one picture after another.

    def add(self, score_map: Float, mask: Mask, saturations: ArrayLike = ()) -> None:
        """Count one picture in. score_map: float32 [H,W], higher is worse, NaN where nobody looked.

        mask: bool [H,W], or [n,H,W] where the regions are given, one in each. Regions are of the whole mask, so an unseen strip
        cuts none in two; only seen pixels count to its size. saturations: of regions given, [n] in (0,1], the share of each
        that suffices for sPRO.
        """
        _check(score_map, mask)
        shares_enough = _checked_saturations(saturations, mask)
        seen = ~np.isnan(score_map)
        numbers, shares, sizes_px = _patches(mask, seen)
        codes, bad = _codes(score_map[seen]), numbers > 0
        ids = (numbers[bad] + len(self._shares)).astype(np.uint64)
        self._shares += shares.tolist()
        self._n_regions += int(np.count_nonzero(sizes_px))
        self._n_regions_unseen += int(np.count_nonzero(sizes_px == 0))
        self._n_defective += ids.size
        self._good.append(codes[~bad])
        self._defective.append(codes[bad].astype(np.uint64) << np.uint64(32) | ids)
        self._n_seen += codes.size
        self._n_unseen += seen.size - codes.size
        if shares_enough.size:
            self._saturated.add(codes, mask[:, seen], shares_enough)
        if self._n_seen > self._exact_px:
            self._bin()

    @property
    def n_pixels(self) -> int:
        """Pixels counted so far."""
        return self._n_seen

    def pictures(self) -> list[tuple[Codes, Codes, NDArray[np.float64]]]:
        """Of each picture: codes of its good pixels, and of its defective ones with what each is of its regions' seen pixels.

        Nothing once the pixels were measured or binned, which mixes the pictures.
        """
        if self._bins is not None or len(self._good) != len(self._defective) or not self._apart:
            return []
        shares = np.append(0, self._shares)
        parts = [split(keys) for keys in self._defective]
        return [(good, codes, shares[ids]) for good, (codes, ids) in zip(self._good, parts, strict=True)]

    def _bin(self) -> None:
        """Move what was gathered into bins."""
        self._bins = self._bins or Bins()
        shares = np.append(0, self._shares)
        while self._good:
            good = self._good.pop()
            self._bins.add(good, np.zeros(good.size))
        while self._defective:
            codes, ids = split(self._defective.pop())
            self._bins.add(codes, shares[ids])
        self._saturated.bin()

    def metrics(self, max_fpr: float = 0.3, spro_fpr: float = SPRO_FPR) -> PixelMetrics:
        """Every pixel metric of the pictures added so far. max_fpr, spro_fpr: where PRO and sPRO stop, in (0,1]."""
        for name, limit, usual in (("max_fpr", max_fpr, 0.3), ("spro_fpr", spro_fpr, SPRO_FPR)):
            if not 0 < limit <= 1:
                raise UsageError(f"metrics.pixels: {name} in (0,1] was needed; came {limit}. Leave it at {usual}.")
        undefined = PixelMetrics(
            auroc=NAN,
            ap=NAN,
            f1max=NAN,
            f1max_threshold=NAN,
            pro=NAN,
            n_regions=self._n_regions,
            n_regions_unseen=self._n_regions_unseen,
            n_unseen=self._n_unseen,
            n_pixels=self._n_seen,
            pro_curve=(np.empty(0, np.float32), np.empty(0, np.float32)),
            n_saturating=self._saturated.n_regions,
        )
        n_defective, n_good = self._n_defective, self._n_seen - self._n_defective
        if not (n_defective and n_good):
            return undefined
        if self._bins is None:
            keys, good = self._sorted()
            cuts = walk_cuts(keys, good, np.append(0, self._shares) / self._n_regions, self._block_px)
            spro = self._saturated.measure(good, spro_fpr, self._block_px)
            return replace(undefined, **_walk(cuts, n_defective, n_good, max_fpr)._asdict(), spro=spro)
        ends = self._bins.ends()
        cut = Cuts(ends.codes, ends.tp, ends.fp, ends.overlap / self._n_regions)
        found = _walk([cut], n_defective, n_good, max_fpr)
        spro, error = self._saturated.measure_binned(self._bins.good, spro_fpr)
        return replace(undefined, **found._asdict(), error=max(error, largest_error(ends, max_fpr)), spro=spro)

    def _sorted(self) -> tuple[Keys, list[Codes]]:
        """The defective pixels, highest score first, and the good ones likewise, in parts that replace what was gathered."""
        self._apart = False
        self._defective = [np.sort(np.concatenate(self._defective))]
        ends = np.cumsum([chunk.size for chunk in self._good])
        parts: list[Codes] = []
        for _, chunks in itertools.groupby(zip(ends // PART_PX, self._take_good(), strict=True), lambda one: one[0]):
            parts.append(np.concatenate([chunk for _, chunk in chunks]))
        self._good = parts
        list(each(lambda part: part.sort(), parts))
        return self._defective[0], parts

    def _take_good(self) -> Iterator[Codes]:
        """The good pixels gathered, each chunk let go as it is taken."""
        self._good.reverse()
        while self._good:
            yield self._good.pop()


class _Sums(NamedTuple):
    auroc: float
    ap: float
    f1max: float
    f1max_threshold: float
    pro: float
    pro_curve: tuple[Float, Float]


def _walk(cuts: Iterable[Cuts], n_defective: int, n_good: int, max_fpr: float) -> _Sums:
    limit = max_fpr * n_good  # The x axis of PRO stays in pixels until the end.
    grid = np.linspace(0, limit, CURVE_POINTS - 1)
    height = np.zeros(grid.size)
    roc, precision, pro, best, best_code = 0, 0.0, 0.0, -1.0, np.zeros(1, np.uint32)
    for codes, tp, fp, overlap in cuts:
        roc += twice_area(tp, fp)
        precision += precision_sum(tp, fp)
        pro += area_to(limit, fp, overlap)
        f1, at = best_f1(tp[1:], fp[1:], n_defective)
        if f1 > best:
            best, best_code = f1, codes[at : at + 1]
        here = (grid >= fp[0]) & (grid <= fp[-1])  # Blocks share their border; the later one stands higher there.
        height[here] = np.interp(grid[here], fp, overlap)
    return _Sums(
        auroc=roc / (2 * n_defective * n_good),
        ap=precision / n_defective,
        f1max=best,
        f1max_threshold=float(_scores(best_code)[0]),
        pro=pro / limit,
        pro_curve=(np.append(0, grid / n_good).astype(np.float32), np.append(0, height).astype(np.float32)),
    )


def _patches(mask: Mask, seen: Mask) -> tuple[NDArray[np.int64], NDArray[np.float64], Counts]:
    """Patch of each seen pixel, int64 [n], 1… and 0 for good; a pixel's shares of each patch's regions, added up; the sizes.

    Sizes of regions, in seen pixels.
    """
    if not mask.any():
        return np.zeros(np.count_nonzero(seen), np.int64), np.empty(0), np.empty(0, np.int64)
    if mask.ndim == 3:
        regions = mask[mask.any(axis=(1, 2))][:, seen]
        bad, sizes_px = np.flatnonzero(regions.any(axis=0)), np.count_nonzero(regions, axis=1)
        packed = np.packbits(regions[:, bad], axis=0)  # Ten times faster to tell apart.
        _, first, numbers = np.unique(packed, axis=1, return_index=True, return_inverse=True)
        ids = np.zeros(regions.shape[1], np.int64)
        ids[bad] = numbers.ravel() + 1
        return ids, (1 / np.maximum(sizes_px, 1)) @ regions[:, bad[first]], sizes_px
    from scipy import ndimage  # Slow to import, and good pictures do without.

    numbers, n_regions = ndimage.label(mask, structure=np.ones((3, 3)))
    ids = numbers[seen].astype(np.int64)
    sizes_px = np.bincount(ids, minlength=n_regions + 1)[1:]
    return ids, 1 / np.maximum(sizes_px, 1), sizes_px


def _codes(scores: Float) -> Codes:
    """uint32 that order the other way round: the highest score gets the lowest. Equal scores get equal ones, -0 and 0 too.

    A float's bits order like a number where its sign bit is clear, and backwards where it is set; so flip the clear ones.
    """
    return _flip((scores + np.float32(0)).view(np.uint32))  # Adding 0 turns -0 into 0.


def _scores(codes: Codes) -> Float:
    """The scores that have these codes."""
    return _flip(codes).view(np.float32)


def _flip(bits: Codes) -> Codes:
    """Its own inverse: the sign bit, which decides, stays."""
    return np.where(bits >> np.uint32(31), bits, bits ^ np.uint32(0x7FFFFFFF))


def pro_of_picture(score_map: Float, mask: Mask) -> float:
    """PRO of one picture by itself, its regions against its own good pixels; NaN without a region or a good pixel."""
    tally = PixelTally()
    tally.add(score_map, mask)
    return tally.metrics().pro


def _check(score_map: Float, mask: Mask) -> None:
    if (
        score_map.ndim != 2
        or score_map.shape != mask.shape[-2:]
        or mask.ndim not in (2, 3)
        or score_map.dtype != np.float32
        or mask.dtype != np.bool_
    ):
        raise UsageError(
            "metrics.pixels: a map float32 [H,W] and a mask bool [H,W] or [n,H,W] of the same size were needed; "
            f"came {score_map.dtype} {score_map.shape} and {mask.dtype} {mask.shape}. "
            "Bring both to one frame; compare a picture of a mask with a grey level to make it bool."
        )


def _checked_saturations(saturations: ArrayLike, mask: Mask) -> NDArray[np.float64]:
    shares = np.asarray(saturations, np.float64)
    given = shares.shape == (len(mask),) if mask.ndim == 3 else False
    if shares.size and not (given and ((shares > 0) & (shares <= 1)).all()):
        raise UsageError(
            f"metrics.pixels: saturations in (0,1], one for each region of a mask bool [n,H,W], were needed; came "
            f"{shares.tolist()} and a mask {mask.shape}. Tell one of each region, or none."
        )
    return shares

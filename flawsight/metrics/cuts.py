"""The walk down the scores of some defective pixels, and the good pixels that each step lets in: what PRO and sPRO are made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flawsight.metrics.binned import Codes
from flawsight.metrics.ranking import Counts

Keys = NDArray[np.uint64]


class Cuts(NamedTuple):
    """The cuts that end in one block of pixels. codes: scores [n]. tp, fp, overlap: [n+1], first those of the cut before."""

    codes: Codes
    tp: Counts
    fp: Counts
    overlap: NDArray[np.float64]


def walk_cuts(keys: Keys, good: list[Codes], weights: NDArray[np.float64], block_px: int) -> Iterator[Cuts]:
    """The cuts at the scores of the sorted defective pixels, block by block, each block with the last cut before it.

    Just before each of these scores comes the last of the cuts between it and the one before, where there are any: between the two
    only good pixels pass. The last block holds the cut below all pixels. Blocks where no cut ends give none.
    """
    tp, overlap = 0, 0.0  # Of all pixels before the block.
    before = (0, 0, 0.0)  # tp, fp and overlap of the last cut: less, where tied scores run across the border.
    for start in range(0, keys.size, block_px):
        codes, ids = split(keys[start : start + block_px])
        # Only the last of a group of tied scores is a cut, so the block's last pixel is compared with the next block's first.
        after = keys[start + block_px : start + block_px + 1] >> np.uint64(32)
        ends_here = not after.size or codes[-1] != after[0]
        last = np.flatnonzero(np.append(codes[1:] != codes[:-1], ends_here))
        all_overlap = overlap + np.cumsum(weights[ids])
        if last.size:
            cuts = _with_good(before, codes[last], tp + last + 1, all_overlap[last], good)
            before = int(cuts.tp[-1]), int(cuts.fp[-1]), float(cuts.overlap[-1])
            yield cuts
        tp, overlap = tp + codes.size, float(all_overlap[-1])
    n_good = sum(part.size for part in good)
    if before[1] < n_good:
        ends = np.array([before, (before[0], n_good, before[2])])
        yield Cuts(codes[-1:], ends[:, 0].astype(np.int64), ends[:, 1].astype(np.int64), ends[:, 2])


def _with_good(before: tuple[int, int, float], codes: Codes, tp: Counts, overlap: NDArray[np.float64], good: list[Codes]) -> Cuts:
    """These cuts at distinct scores, each after that which the good pixels above its score make."""
    fp = np.zeros((len(codes), 2), np.int64)
    for part in good:
        fp[:, 0] += np.searchsorted(part, codes, "left")
        fp[:, 1] += np.searchsorted(part, codes, "right")
    fps = np.append(before[1], fp)
    tps, overlaps = _before_and_after(before[0], tp), _before_and_after(before[2], overlap)
    keep = np.ones(len(fps), np.bool_)
    keep[1::2] = fps[1::2] > fps[:-1:2]  # Else no good pixel lies between.
    return Cuts(np.repeat(codes, 2)[keep[1:]], tps[keep], fps[keep], overlaps[keep])


def _before_and_after(first: float, values: NDArray[Any]) -> NDArray[Any]:
    """The first, then for each value the one before it and itself: [2n+1]."""
    steps = np.append(values.dtype.type(first), values)
    return np.append(steps[0], np.stack([steps[:-1], steps[1:]], 1))


def split(keys: Keys) -> tuple[Codes, NDArray[np.intp]]:
    """Codes of scores and numbers of patches, each [n]."""
    return (keys >> np.uint64(32)).astype(np.uint32), (keys & np.uint64(0xFFFFFFFF)).astype(np.intp)


def area_to(limit: float, x: Counts, y: NDArray[np.float64]) -> float:
    """Area under y over x, rising, from x[0] to the limit if that comes before x[-1]; y is linear between its points."""
    if x[-1] <= limit:
        return float(np.trapezoid(y, x))
    within = x <= limit
    return float(np.trapezoid(np.append(y[within], np.interp(limit, x, y)), np.append(x[within], limit)))

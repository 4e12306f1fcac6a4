"""How much a metric would differ had other pictures been judged: the bootstrap over pictures, good and defective ones apart.

Pictures, not pixels, are drawn anew: the pixels of one picture are no independent evidence. Pixel metrics are worked out from
counts in bins, one row of them a picture, so that a resample is a weighted sum of rows and no pixel is looked at twice.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flawsight.metrics.pixels import PixelTally

SHARE = 0.95  # of the resampled values that an interval holds
MOST_PX = 64_000_000  # pixels above which the pixel metrics are not resampled: sorting them into bins would take minutes
BINS = 2048
SAMPLED = 512  # scores of each picture that the bins' edges are chosen from

Reals = NDArray[np.float64]


def interval(values: ArrayLike) -> tuple[float, float]:
    """The middle SHARE of resampled values, from where to where; NaN where there are none."""
    finite = np.asarray(values, np.float64)
    finite = finite[np.isfinite(finite)]
    if not finite.size:
        return float("nan"), float("nan")
    low, high = np.quantile(finite, ((1 - SHARE) / 2, (1 + SHARE) / 2))
    return float(low), float(high)


def image_auroc(scores: ArrayLike, labels: ArrayLike, n: int, seed: int = 0) -> Reals:
    """The image AUROC of n resamples, [n]; none where a class is missing. scores, labels: [m] as `auroc` takes them."""
    values, bad = np.asarray(scores, np.float64), np.asarray(labels) == 1
    if bad.all() or not bad.any():
        return np.empty(0)
    order = np.argsort(-values, kind="stable")
    weights = _weights(bad.astype(np.int64), n, seed)[:, order]
    last = np.append(np.diff(values[order]) != 0, True)  # of each group of ties, which counts as one
    tp, fp = (np.cumsum(weights * side[order], axis=1)[:, last] for side in (bad, ~bad))
    found: Reals = _area(tp, fp) / (tp[:, -1] * fp[:, -1])
    return found


def pixel_metrics(tally: PixelTally, labels: Sequence[int], n: int, seed: int = 0, max_fpr: float = 0.3) -> dict[str, Reals]:
    """Pixel AUROC and PRO of n resamples, [n] each, by their names in METRICS; empty where that is not affordable.

    labels: of the pictures in the tally, in their order. To be asked for before the tally measures, which mixes the pictures.
    """
    pictures = tally.pictures()
    if not pictures or tally.n_pixels > MOST_PX:
        return {}
    edges = _edges([codes for good, bad, _ in pictures for codes in (good, bad)])
    good, bad, overlap, regions = (np.zeros((len(pictures), width)) for width in (len(edges) + 1,) * 3 + (1,))
    for i, (good_codes, bad_codes, shares) in enumerate(pictures):
        good[i] = np.bincount(np.searchsorted(edges, good_codes), minlength=len(edges) + 1)
        at = np.searchsorted(edges, bad_codes)
        bad[i] = np.bincount(at, minlength=len(edges) + 1)
        overlap[i] = np.bincount(at, shares, len(edges) + 1)
        regions[i] = round(float(shares.sum()))
    weights = _weights(np.asarray(labels), n, seed)
    fp, tp, found = (np.cumsum(weights @ counts, axis=1) for counts in (good, bad, overlap))
    if not tp[:, -1].all() or not fp[:, -1].all():
        return {}
    rates, heights = fp / fp[:, -1:], found / (weights @ regions)
    pro = [_area_to(max_fpr, x, y) / max_fpr for x, y in zip(rates, heights, strict=True)]
    return {"pixel_auroc": _area(tp, fp) / (tp[:, -1] * fp[:, -1]), "pro": np.array(pro)}


def _weights(strata: NDArray[np.int64], n: int, seed: int) -> Reals:
    """How often each picture is drawn in each of n resamples: [n,m], each stratum as often as it has pictures."""
    rng = np.random.default_rng(seed)
    weights = np.zeros((n, len(strata)))
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        weights[:, members] = rng.multinomial(len(members), np.full(len(members), 1 / len(members)), n)
    return weights


def _area(tp: Reals, fp: Reals) -> Reals:
    """Area under each row's tp over fp, both of which start from 0: [n]."""
    before = np.pad(tp, ((0, 0), (1, 0)))[:, :-1]
    steps = np.diff(fp, axis=1, prepend=0)
    area: Reals = (steps * (tp + before) / 2).sum(axis=1)
    return area


def _area_to(limit: float, x: Reals, y: Reals) -> float:
    """Area under y over x from 0 to the limit, straight between the points."""
    x, y = np.append(0, x), np.append(0, y)
    within = x <= limit
    return float(np.trapezoid(np.append(y[within], np.interp(limit, x, y)), np.append(x[within], limit)))


def _edges(chunks: Sequence[NDArray[np.uint32]]) -> NDArray[np.uint32]:
    """Codes that part the pixels into bins of about as many good and, apart from them, defective ones."""
    halves = []
    for side in (chunks[::2], chunks[1::2]):
        some = np.concatenate([codes[:: max(1, codes.size // SAMPLED)] for codes in side])
        some.sort()
        halves.append(some[:: max(1, some.size // (BINS // 2))])
    return np.unique(np.concatenate(halves))

"""sPRO against its definition, threshold by threshold and region by region."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from flawsight.errors import UsageError
from flawsight.metrics.pixels import PixelTally
from flawsight.types import Float, Mask

Picture = tuple[Float, Mask, list[float]]
VALUES = [-np.inf, -1.0, -0.0, 0.0, 1.0, 1.00002, 1.00004, 2.0, np.nan]


def tally(pictures: list[Picture], block_px: int = 1 << 18, exact_px: int = 10**9) -> PixelTally:
    pixels = PixelTally(block_px, exact_px)
    for picture in pictures:
        pixels.add(*picture)
    return pixels


def area(needed: float, size: int) -> int:
    return max(1, round(needed * size))


def slow_spro(pictures: list[Picture], max_fpr: float) -> float:
    """The area under the mean of min(found, S) / S over the false-positive rate, from the definition."""
    good = np.concatenate([heat[~masks.any(0) & ~np.isnan(heat)] for heat, masks, _ in pictures])
    regions = [
        (heat[mask & ~np.isnan(heat)], share)
        for heat, masks, shares in pictures
        for mask, share in zip(masks, shares, strict=True)
        if (mask & ~np.isnan(heat)).any()
    ]
    if not regions or not good.size:
        return math.nan
    thresholds = np.unique(np.concatenate([good, *(region for region, _ in regions)]))[::-1]
    x = [0.0, *(float(np.mean(good >= t)) for t in thresholds)]
    y = [0.0]
    for t in thresholds:
        overlaps = []
        for region, share in regions:
            enough = area(share, region.size)
            overlaps.append(min(np.count_nonzero(region >= t), enough) / enough)
        y.append(float(np.mean(overlaps)))
    total = 0.0
    for x0, y0, x1, y1 in zip(x, y, x[1:], y[1:], strict=False):
        if x1 <= max_fpr:
            total += (x1 - x0) * (y0 + y1) / 2
        elif x0 < max_fpr:
            total += (max_fpr - x0) * (y0 + y0 + (y1 - y0) * (max_fpr - x0) / (x1 - x0)) / 2
    return total / max_fpr


@st.composite
def message(draw: st.DrawFn) -> Picture:
    """A small picture; its regions may overlap, be torn, empty or not seen at all, and some suffice at a part of them."""
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, max_side=5))
    heat = draw(hnp.arrays(np.float32, shape, elements=st.sampled_from([float(np.float32(v)) for v in VALUES])))
    n = draw(st.integers(1, 4))
    shares = draw(st.lists(st.sampled_from([0.001, 0.25, 0.5, 0.9, 1.0]), min_size=n, max_size=n))
    return heat, draw(hnp.arrays(np.bool_, (n, *shape))), shares


@settings(deadline=None, max_examples=300)
@given(st.lists(message(), min_size=1, max_size=3), st.sampled_from([0.05, 0.3, 1.0]), st.sampled_from([1, 3, 1000]))
def test_the_definition(pictures: list[Picture], max_fpr: float, block_px: int) -> None:
    found = tally(pictures, block_px).metrics(spro_fpr=max_fpr)
    expected = slow_spro(pictures, max_fpr)
    assert math.isnan(found.spro) == math.isnan(expected)
    assert math.isnan(expected) or found.spro == pytest.approx(expected, abs=1e-12)
    assert found.n_saturating == found.n_regions
    binned = tally(pictures, exact_px=0).metrics(spro_fpr=max_fpr)
    assert math.isnan(binned.spro) == math.isnan(expected)
    assert math.isnan(expected) or abs(binned.spro - expected) <= binned.error + 1e-9


def blobs(seed: int, n: int = 5, side: int = 50) -> list[Picture]:
    rng = np.random.default_rng(seed)
    pictures: list[Picture] = []
    for _ in range(n):
        masks = np.zeros((2, side, side), np.bool_)
        masks[0, 5:25, 5:25] = masks[1, 20:30, 20:45] = True
        heat = (rng.normal(size=(side, side)) + masks.any(0)).astype(np.float32)
        pictures.append((heat, masks, [0.1, 0.6]))
    return pictures


@pytest.mark.parametrize("block_px", [7, 1 << 18])
def test_larger_pictures_in_blocks_and_in_bins(block_px: int) -> None:
    pictures = blobs(0)
    expected = slow_spro(pictures, 0.05)
    assert 0.1 < expected < 0.9
    assert tally(pictures, block_px).metrics().spro == pytest.approx(expected, abs=1e-12)
    binned = tally(pictures, exact_px=6000).metrics()
    assert 0 < abs(binned.spro - expected) <= binned.error < 0.01


def test_where_all_of_a_region_is_needed_it_is_pro() -> None:
    pictures = [(heat, masks, [1.0, 1.0]) for heat, masks, _ in blobs(1)]
    found = tally(pictures).metrics(max_fpr=0.3, spro_fpr=0.3)
    assert found.spro == pytest.approx(found.pro, abs=1e-12)
    less = tally([(heat, masks, [0.5, 0.5]) for heat, masks, _ in pictures]).metrics(spro_fpr=0.3)
    assert less.spro > found.spro
    assert less.pro == found.pro


def test_by_hand() -> None:
    # Region of four pixels, two suffice: the highest two come before any good pixel, the others after all of them.
    heat = np.array([[9, 8, 0, 0, 5, 4, 3, 2]], np.float32)
    mask = np.array([[[1, 1, 1, 1, 0, 0, 0, 0]]], np.bool_)
    found = tally([(heat, mask, [0.5])]).metrics()
    assert (found.spro, found.n_saturating) == (1.0, 1)
    assert found.pro == pytest.approx(0.5)  # ½ up to the last good pixel
    # One of the two comes first, the other after one good pixel of four: ½ up to a quarter.
    heat = np.array([[9, 4.5, 0, 0, 5, 4, 3, 2]], np.float32)
    assert tally([(heat, mask, [0.5])]).metrics().spro == pytest.approx(0.5)
    assert tally([(heat, mask, [0.5])]).metrics(spro_fpr=0.5).spro == pytest.approx((0.25 * 0.5 + 0.25 * 1) / 0.5)
    # Of a region so small that its share is no whole pixel, one suffices.
    assert tally([(heat, mask, [0.01])]).metrics(spro_fpr=0.5).spro == 1.0


def test_without_a_word_of_saturation_there_is_none() -> None:
    pixels = PixelTally()
    for heat, masks, _ in blobs(2):
        pixels.add(heat, masks)
    found = pixels.metrics()
    assert math.isnan(found.spro)
    assert found.n_saturating == 0
    assert found.pro > 0


def test_pictures_may_come_after_measuring_and_good_ones_take_part() -> None:
    pictures = blobs(3)
    good = (np.linspace(-3, 3, 2500, dtype=np.float32).reshape(50, 50), np.zeros((50, 50), np.bool_))
    pixels = tally(pictures[:2])
    before = pixels.metrics()
    assert pixels.metrics().spro == before.spro
    for picture in pictures[2:]:
        pixels.add(*picture)
    pixels.add(*good)
    expected = slow_spro([*pictures, (good[0], good[1][None][:0], [])], 0.05)
    assert pixels.metrics().spro == pytest.approx(expected, abs=1e-12)
    assert before.spro != pixels.metrics().spro


@pytest.mark.parametrize("shares", [[0.5], [0.5, 0.0], [0.5, 1.1], [[0.5, 0.5]]])
def test_saturations_that_do_not_fit_are_refused(shares: list[float]) -> None:
    heat, masks, _ = blobs(0)[0]
    with pytest.raises(UsageError, match=r"saturations in \(0,1\], one for each region .* were needed; came"):
        PixelTally().add(heat, masks, shares)
    with pytest.raises(UsageError, match="saturations"):
        PixelTally().add(heat, masks[0], [0.5])


@pytest.mark.parametrize("limit", [0.0, 1.01, math.nan])
def test_a_limit_outside_the_rates_is_refused(limit: float) -> None:
    with pytest.raises(UsageError, match=r"spro_fpr in \(0,1\] was needed"):
        PixelTally().metrics(spro_fpr=limit)

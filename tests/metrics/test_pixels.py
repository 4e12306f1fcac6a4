from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import ArrayLike
from scipy import ndimage
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score  # type: ignore[import-untyped]

from flawsight import metrics
from flawsight.errors import UsageError
from flawsight.metrics.pixels import PixelMetrics, PixelTally
from flawsight.types import Float, Mask

Picture = tuple[Float, Mask]
VALUES = [-np.inf, -1.5, -0.0, 0.0, 1e-40, 0.25, 0.5, 2.0, 3e38, np.inf, np.nan]


def tally(*pictures: tuple[ArrayLike, ArrayLike], block_px: int = 1 << 18) -> PixelTally:
    pixels = PixelTally(block_px)
    for score_map, mask in pictures:
        pixels.add(np.asarray(score_map, np.float32), np.asarray(mask, np.bool_))
    return pixels


@st.composite
def sets(draw: st.DrawFn, values: list[float] = VALUES, n_max: int = 4) -> list[Picture]:
    """A few small pictures of mixed sizes; few distinct scores, so mostly ties."""
    pictures = []
    for _ in range(draw(st.integers(1, n_max))):
        shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, max_side=6))
        score_map = draw(hnp.arrays(np.float32, shape, elements=st.sampled_from([float(np.float32(v)) for v in values])))
        mask = draw(st.one_of(st.just(np.zeros(shape, np.bool_)), hnp.arrays(np.bool_, shape)))
        pictures.append((score_map, mask))
    return pictures


def random_set(seed: int, n: int = 6, side: int = 40) -> list[Picture]:
    """Pictures with blobs, which score higher on the whole; scores are on a grid of 1/64, so many tie."""
    rng = np.random.default_rng(seed)
    pictures = []
    for i in range(n):
        mask = ndimage.gaussian_filter(rng.normal(size=(side, side)), 2) > (0.15 if i % 2 else 9)
        score_map = np.round(64 * (rng.random((side, side)) + 0.4 * mask)) / 64
        pictures.append((score_map.astype(np.float32), mask))
    return pictures


def pool(pictures: list[Picture]) -> tuple[Float, Mask]:
    """Scores and truth of all seen pixels."""
    scores = np.concatenate([score_map.ravel() for score_map, _ in pictures])
    truth = np.concatenate([mask.ravel() for _, mask in pictures])
    return scores[~np.isnan(scores)], truth[~np.isnan(scores)]


def slow_pro_curve(pictures: list[Picture]) -> tuple[list[float], list[float]]:
    """False-positive rate and mean overlap at every distinct score, from the definition."""
    scores, truth = pool(pictures)
    regions = []
    for score_map, mask in pictures:
        numbers, n = ndimage.label(mask, np.ones((3, 3)))
        regions += [score_map[(numbers == k + 1) & ~np.isnan(score_map)] for k in range(n)]
    regions = [region for region in regions if region.size]
    thresholds = np.unique(scores)[::-1]
    x = [float(np.mean(scores[~truth] >= t)) for t in thresholds]
    y = [float(np.mean([np.mean(region >= t) for region in regions])) for t in thresholds]
    return [0.0, *x, 1.0], [0.0, *y, 1.0]


def slow_pro(pictures: list[Picture], max_fpr: float) -> float:
    x, y = slow_pro_curve(pictures)
    area = 0.0
    for x0, y0, x1, y1 in zip(x, y, x[1:], y[1:], strict=False):
        if x1 <= max_fpr:
            area += (x1 - x0) * (y0 + y1) / 2
        elif x0 < max_fpr:
            area += (max_fpr - x0) * (y0 + y0 + (y1 - y0) * (max_fpr - x0) / (x1 - x0)) / 2
    return area / max_fpr


def assert_same(a: PixelMetrics, b: PixelMetrics) -> None:
    for field in dataclasses.fields(PixelMetrics):
        np.testing.assert_allclose(getattr(a, field.name), getattr(b, field.name), rtol=1e-6, atol=1e-12, err_msg=field.name)


@given(sets(), st.sampled_from([0.05, 0.3, 1.0]))
def test_the_definitions(pictures: list[Picture], max_fpr: float) -> None:
    found = tally(*pictures, block_px=3).metrics(max_fpr)
    scores, truth = pool(pictures)
    assert found.n_pixels == scores.size
    assert found.n_unseen == sum(int(np.isnan(score_map).sum()) for score_map, _ in pictures)
    if truth.all() or not truth.any():
        assert all(math.isnan(v) for v in (found.auroc, found.ap, found.f1max, found.f1max_threshold, found.pro))
        return
    assert found.pro == pytest.approx(slow_pro(pictures, max_fpr), abs=1e-12)
    assert found.auroc == pytest.approx(metrics.auroc(scores, truth), abs=1e-12)
    assert found.ap == pytest.approx(metrics.average_precision(scores, truth), abs=1e-12)
    assert (found.f1max, found.f1max_threshold) == metrics.f1max(scores, truth)


@pytest.mark.parametrize("seed", [0, 1])
def test_scikit_learn_and_the_definition_of_pro(seed: int) -> None:
    pictures = random_set(seed)
    found = tally(*pictures).metrics()
    scores, truth = pool(pictures)
    assert found.auroc == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
    assert found.ap == pytest.approx(average_precision_score(truth, scores), abs=1e-12)
    precision, recall, _ = precision_recall_curve(truth, scores)
    assert found.f1max == pytest.approx(np.max(2 * precision * recall / (precision + recall)), abs=1e-12)
    assert found.pro == pytest.approx(slow_pro(pictures, 0.3), abs=1e-12)
    assert found.n_regions > 10


@given(sets(), st.integers(1, 40))
def test_blocks_change_nothing(pictures: list[Picture], block_px: int) -> None:
    assert_same(tally(*pictures, block_px=block_px).metrics(), tally(*pictures).metrics())


@pytest.mark.parametrize("block_px", [1, 7, 1000])
def test_blocks_change_nothing_on_larger_pictures(block_px: int) -> None:
    pictures = random_set(2)
    assert_same(tally(*pictures, block_px=block_px).metrics(), tally(*pictures).metrics())


def test_the_order_of_the_pictures_changes_nothing() -> None:
    pictures = random_set(3)
    assert_same(tally(*pictures[::-1]).metrics(), tally(*pictures).metrics())


def test_measuring_twice_and_adding_in_between() -> None:
    pictures = random_set(4)
    pixels = tally(*pictures[:2])
    assert_same(pixels.metrics(), pixels.metrics())
    for score_map, mask in pictures[2:]:
        pixels.add(score_map, mask)
    assert_same(pixels.metrics(), tally(*pictures).metrics())


def test_a_perfect_map() -> None:
    pictures = [(mask.astype(np.float32), mask) for _, mask in random_set(5)]
    found = tally(*pictures, block_px=100).metrics()
    assert (found.auroc, found.f1max, found.f1max_threshold) == (1.0, 1.0, 1.0)
    assert (found.ap, found.pro) == pytest.approx((1.0, 1.0), abs=1e-12)


@pytest.mark.parametrize("block_px", [1, 100, 1 << 18])
def test_a_constant_map(block_px: int) -> None:
    pictures = [(np.full(mask.shape, 0.7, np.float32), mask) for _, mask in random_set(5)]
    found = tally(*pictures, block_px=block_px).metrics()
    assert found.auroc == 0.5
    assert found.pro == pytest.approx(0.15, abs=1e-12)
    assert found.ap == pytest.approx(pool(pictures)[1].mean())


@pytest.mark.parametrize("found_region", ["small", "large"])
def test_regions_weigh_the_same_whatever_their_size(found_region: str) -> None:
    mask = np.zeros((130, 130), np.bool_)
    mask[:100, :100] = mask[120, 120] = True
    large, small = np.zeros_like(mask), np.zeros_like(mask)
    large[:100, :100] = small[120, 120] = True
    score_map = (small if found_region == "small" else large).astype(np.float32)
    # The one found at once gives ½ at rate 0; from there PRO runs straight to (1,1), so 0.65 at 0.3.
    assert tally((score_map, mask)).metrics().pro == pytest.approx((0.5 + 0.65) / 2, abs=1e-12)


def test_the_curve_is_interpolated_at_the_limit() -> None:
    # Good pixels 3 and 0, defective 2 and 1 in one region: PRO (0,0) (½,0) (½,½) (½,1) (1,1) where the defect ties nothing,
    assert tally(([[3, 2, 1, 0]], [[0, 1, 1, 0]])).metrics(max_fpr=0.75).pro == pytest.approx(0.25 / 0.75)
    # and (0,0) (½,½) (1,1) where one of it ties each good pixel: ∫ to 0.3 of the diagonal.
    assert tally(([[3, 3, 0, 0]], [[0, 1, 1, 0]])).metrics().pro == pytest.approx(0.15)
    # The last whole cut before the limit is (0,½); without the piece after it the area would be 0.
    assert tally(([[3, 2, 2, 2]], [[1, 1, 0, 0]])).metrics(max_fpr=0.5).pro == pytest.approx((0.5 + 0.75) / 2)


def test_pixels_that_touch_at_a_corner_are_one_region() -> None:
    assert tally(([[0, 0], [0, 0]], [[1, 0], [0, 1]])).metrics().n_regions == 1
    assert tally(([[0, 0, 0], [0, 0, 0]], [[0, 0, 1], [1, 0, 0]])).metrics().n_regions == 2


@st.composite
def message(draw: st.DrawFn) -> tuple[Float, Mask]:
    """A small picture with regions that are told and may overlap, be torn or empty."""
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, max_side=5))
    score_map = draw(hnp.arrays(np.float32, shape, elements=st.sampled_from([-1.0, 0.0, 0.5, np.nan])))
    return score_map, draw(hnp.arrays(np.bool_, (draw(st.integers(1, 10)), *shape)))


@settings(deadline=None)
@given(st.lists(message(), min_size=1, max_size=3), st.booleans())
def test_regions_that_are_told_count_one_each_even_where_they_overlap(pictures: list[Picture], binned: bool) -> None:
    pixels = PixelTally(exact_px=0 if binned else 10**9)
    for score_map, masks in pictures:
        pixels.add(score_map, masks)
    found = pixels.metrics(1.0)
    scores, truth = pool([(score_map, masks.any(axis=0)) for score_map, masks in pictures])
    regions = [score_map[mask & ~np.isnan(score_map)] for score_map, masks in pictures for mask in masks if mask.any()]
    seen = [region for region in regions if region.size]
    assert (found.n_regions, found.n_regions_unseen) == (len(seen), len(regions) - len(seen))
    if truth.all() or not truth.any():
        assert math.isnan(found.pro)
        return
    x, y = [0.0], [0.0]
    for threshold in np.unique(scores)[::-1]:
        x.append(float(np.mean(scores[~truth] >= threshold)))
        y.append(float(np.mean([np.mean(region >= threshold) for region in seen])))
    assert found.pro == pytest.approx(np.trapezoid(y, x), abs=found.error + 1e-12)
    assert found.auroc == pytest.approx(metrics.auroc(scores, truth), abs=found.error + 1e-12)


def test_regions_of_different_pictures_are_different_regions() -> None:
    picture = ([[1.0, 0.0]], [[1, 0]])
    assert tally(picture, picture, picture).metrics().n_regions == 3


@given(sets(values=[-2.0, -1.0, 0.0, 1.0, 3.0, np.nan]))
def test_a_monotone_transform_changes_nothing(pictures: list[Picture]) -> None:
    moved = [((score_map**3 + 5) / 64, mask) for score_map, mask in pictures]
    a, b = tally(*pictures).metrics(), tally(*moved).metrics()
    assert_same(dataclasses.replace(a, f1max_threshold=0.0), dataclasses.replace(b, f1max_threshold=0.0))


def test_minus_zero_ties_zero() -> None:
    assert tally(([[-0.0, 0.0]], [[0, 1]])).metrics().auroc == 0.5


@pytest.mark.parametrize("threshold", [-np.inf, -3.25, -1e-40, 0.0, 1e-40, 0.1, 3e38, np.inf])
def test_the_f1max_threshold_is_the_score_itself(threshold: float) -> None:
    t = np.float32(threshold)
    score_map = np.array([[t, t, np.nextafter(t, np.float32(-np.inf))]], np.float32)
    if t == -np.inf:
        score_map[0, 2] = np.nan  # Nothing lies below, so the good pixel goes elsewhere.
    found = tally((score_map, [[1, 1, 0]]), ([[t]], [[0]])).metrics()
    assert found.f1max_threshold == t
    assert found.f1max == pytest.approx(0.8)


@pytest.mark.parametrize("mask", [np.zeros((4, 5), np.bool_), np.ones((4, 5), np.bool_)])
def test_one_class_is_nan(mask: Mask) -> None:
    found = tally((np.arange(20).reshape(4, 5), mask)).metrics()
    assert all(math.isnan(v) for v in (found.auroc, found.ap, found.f1max, found.f1max_threshold, found.pro))
    assert (found.n_regions, found.n_pixels) == (int(mask.all()), 20)
    assert [axis.size for axis in found.pro_curve] == [0, 0]


def test_nothing_added() -> None:
    found = tally().metrics()
    assert (math.isnan(found.auroc), math.isnan(found.pro)) == (True, True)
    assert (found.n_pixels, found.n_unseen, found.n_regions, found.n_regions_unseen) == (0, 0, 0, 0)


def test_pictures_of_one_class_take_part_in_a_set_of_both() -> None:
    found = tally(([[1, 2]], [[1, 1]]), ([[0, 1.5]], [[0, 0]])).metrics()
    assert (found.auroc, found.pro) == (0.75, 0.5)


def test_unseen_pixels_are_left_out() -> None:
    score_map, mask = random_set(6)[1]
    crop = slice(5, 35)
    unseen = np.full_like(score_map, np.nan)
    unseen[crop, crop] = score_map[crop, crop]
    a, b = tally((unseen, mask)).metrics(), tally((score_map[crop, crop], mask[crop, crop])).metrics()
    assert (a.auroc, a.ap, a.f1max, a.n_pixels, a.n_unseen) == (b.auroc, b.ap, b.f1max, 900, 700)


def test_unseen_regions() -> None:
    nan = math.nan
    # One region not seen at all, one cut by an unseen strip, still one and two pixels large, one of them found.
    found = tally(([[nan, nan, 0, 9, nan, 0, 0, 1]], [[1, 1, 0, 1, 1, 1, 0, 0]])).metrics()
    assert (found.n_regions, found.n_regions_unseen, found.n_unseen, found.n_pixels) == (1, 1, 3, 5)
    # Overlap is ½ at rate 0 and stays so up to a rate of ⅓, where the good pixel of score 1 comes in.
    assert found.pro == pytest.approx(0.5)


@pytest.mark.parametrize("max_fpr", [0.05, 0.3, 1.0])
def test_the_drawn_curve_lies_on_the_exact_one(max_fpr: float) -> None:
    pictures = random_set(7)
    x, y = tally(*pictures, block_px=50).metrics(max_fpr).pro_curve
    assert x.dtype == y.dtype == np.float32
    assert x.size == y.size == 500
    assert (x[0], y[0], x[-1]) == (0, 0, np.float32(max_fpr))
    np.testing.assert_allclose(y[1:], np.interp(np.linspace(0, max_fpr, 499), *slow_pro_curve(pictures)), atol=1e-6)


def test_the_drawn_curve_of_a_perfect_map_goes_up_at_once() -> None:
    x, y = tally(([[1, 0, 0, 0]], [[1, 0, 0, 0]]), block_px=1).metrics().pro_curve
    assert (x[0], y[0], x[1]) == (0, 0, 0)
    assert (y[1:] == 1).all()


def test_a_long_run_of_regions_keeps_its_precision() -> None:
    rng = np.random.default_rng(8)
    mask = np.zeros((300, 300), np.bool_)
    mask[::2, ::2] = True  # 22 500 regions of one pixel: PRO is pixel ROC.
    score_map = rng.random((300, 300), dtype=np.float32)
    found = tally((score_map, mask), block_px=1000).metrics(max_fpr=1.0)
    assert found.n_regions == 22_500
    assert found.pro == pytest.approx(found.auroc, abs=1e-12)


@pytest.mark.parametrize(
    ("score_map", "mask"),
    [
        (np.zeros((4, 5), np.float32), np.zeros((5, 4), np.bool_)),
        (np.zeros(20, np.float32), np.zeros(20, np.bool_)),
        (np.zeros((4, 5), np.float64), np.zeros((4, 5), np.bool_)),
        (np.zeros((4, 5), np.float32), np.full((4, 5), 255, np.uint8)),
    ],
)
def test_what_does_not_fit_is_refused(score_map: Float, mask: Mask) -> None:
    with pytest.raises(UsageError, match=r"a map float32 .* and a mask bool .* were needed; came"):
        PixelTally().add(score_map, mask)


@pytest.mark.parametrize("max_fpr", [0.0, -0.1, 1.01, math.nan])
def test_a_limit_outside_the_rates_is_refused(max_fpr: float) -> None:
    with pytest.raises(UsageError, match="max_fpr"):
        PixelTally().metrics(max_fpr)


def test_adding_leaves_the_picture_as_it_was() -> None:
    score_map, mask = random_set(9)[1]
    before = score_map.copy(), mask.copy()
    tally((score_map, mask)).metrics()
    np.testing.assert_array_equal(score_map, before[0])
    np.testing.assert_array_equal(mask, before[1])

"""Metrics from bins are never farther from the exact ones than they say, whatever the pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from flawsight.metrics import PixelMetrics, PixelTally
from flawsight.types import Float, Mask

Picture = tuple[Float, Mask]
METRICS = ("auroc", "ap", "f1max", "pro")
CLOSE = [float(np.float32(1 + k * 2e-5)) for k in range(8)]  # all in one bin, of 2^-11
FAR = [-np.inf, -2.0, -0.0, 0.0, 1e-40, 0.5, 2.0, 3e38, np.inf, np.nan]
ROUNDING = 1e-9


def measured(pictures: list[Picture], exact_px: int, max_fpr: float = 0.3) -> PixelMetrics:
    tally = PixelTally(exact_px=exact_px)
    for score_map, mask in pictures:
        tally.add(score_map, mask)
    return tally.metrics(max_fpr)


@st.composite
def sets(draw: st.DrawFn) -> list[Picture]:
    pictures = []
    for _ in range(draw(st.integers(1, 4))):
        shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, max_side=6))
        score_map = draw(hnp.arrays(np.float32, shape, elements=st.sampled_from([*CLOSE, *FAR]).map(np.float32)))
        pictures.append((score_map, draw(hnp.arrays(np.bool_, shape))))
    return pictures


def noise(seed: int, spread: float, n: int = 5) -> list[Picture]:
    rng = np.random.default_rng(seed)
    pictures = []
    for _ in range(n):
        mask = np.zeros((60, 50), np.bool_)
        mask[10:20, 5:25] = True
        pictures.append(((3 + spread * (rng.normal(size=mask.shape) + mask)).astype(np.float32), mask))
    return pictures


@settings(deadline=None, max_examples=300)
@given(sets(), st.sampled_from([0.05, 0.3, 1.0]))
def test_the_error_is_never_more_than_is_said(pictures: list[Picture], max_fpr: float) -> None:
    exact, binned = measured(pictures, 10**9, max_fpr), measured(pictures, 0, max_fpr)
    assert exact.error == 0
    for name in METRICS:
        one, other = getattr(exact, name), getattr(binned, name)
        assert np.isnan(one) == np.isnan(other)
        assert np.isnan(one) or abs(one - other) <= binned.error + ROUNDING
    for name in ("n_pixels", "n_unseen", "n_regions", "n_regions_unseen"):
        assert getattr(exact, name) == getattr(binned, name)


@pytest.mark.parametrize("spread", [1.0, 0.01, 1e-4])
def test_the_bound_is_tight_enough_to_say_something(spread: float) -> None:
    pictures = noise(0, spread)
    exact, binned = measured(pictures, 10**9), measured(pictures, 0)
    off = max(abs(getattr(exact, name) - getattr(binned, name)) for name in METRICS)
    assert off <= binned.error
    assert binned.error < {1.0: 0.01, 0.01: 0.3, 1e-4: 1}[spread] + ROUNDING


@pytest.mark.parametrize("exact_px", [0, 3000, 7000, 14_999])
def test_it_does_not_matter_when_binning_begins(exact_px: int) -> None:
    pictures = noise(1, 0.3)
    first, found = measured(pictures, 0), measured(pictures, exact_px)
    assert found.error == first.error > 0
    for name in METRICS:
        assert getattr(found, name) == pytest.approx(getattr(first, name), abs=1e-12)
    np.testing.assert_allclose(found.pro_curve[1], first.pro_curve[1], atol=1e-6)
    assert measured(pictures, 15_000).error == 0


def test_pictures_may_be_added_after_measuring() -> None:
    pictures = noise(2, 0.3)
    tally = PixelTally(exact_px=8000)
    for score_map, mask in pictures[:2]:
        tally.add(score_map, mask)
    assert tally.metrics().error == 0
    for score_map, mask in pictures[2:]:
        tally.add(score_map, mask)
    assert tally.metrics().auroc == measured(pictures, 0).auroc


def test_well_separated_scores_lose_nothing() -> None:
    mask = np.arange(100).reshape(10, 10) % 7 == 0
    scores = np.where(mask, np.float32(4), np.float32(1)) * (1 + np.arange(100, dtype=np.float32).reshape(10, 10) / 100)
    exact, binned = measured([(scores, mask)], 1000), measured([(scores, mask)], 0)
    assert binned.error < ROUNDING
    assert [getattr(binned, name) for name in METRICS] == pytest.approx([getattr(exact, name) for name in METRICS])


@pytest.mark.parametrize("label", [False, True])
def test_one_class_alone_is_undefined(label: bool) -> None:
    found = measured([(np.ones((4, 4), np.float32), np.full((4, 4), label))], 0)
    assert np.isnan(found.auroc)
    assert np.isnan(found.pro)

"""The bootstrap, against one that draws pictures one by one and measures them exactly."""

from __future__ import annotations

import math

import numpy as np
import pytest

from flawsight.metrics import PixelTally, auroc, resampling

N = 200


def drawn(labels: np.ndarray, n: int, seed: int = 1) -> list[np.ndarray]:
    """Positions of the pictures of each resample, good and defective ones apart."""
    rng = np.random.default_rng(seed)
    sides = [np.flatnonzero(labels == label) for label in (0, 1)]
    return [np.concatenate([rng.choice(side, side.size) for side in sides]) for _ in range(n)]


@pytest.fixture(scope="module")
def pictures() -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray]]:
    """labels, maps and masks of 30 pictures of 24 × 24, some of the defects faint."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [12, 18])
    maps, masks = [], []
    for label in labels:
        heat, mask = rng.normal(size=(24, 24)).astype(np.float32), np.zeros((24, 24), np.bool_)
        if label:
            for top in (2, 14)[: rng.integers(1, 3)]:
                mask[top : top + 6, 5 : 5 + rng.integers(3, 9)] = True
            heat[mask] += rng.uniform(0, 3)
        maps.append(heat)
        masks.append(mask)
    return labels, maps, masks


def tally_of(maps: list[np.ndarray], masks: list[np.ndarray]) -> PixelTally:
    tally = PixelTally()
    for heat, mask in zip(maps, masks, strict=True):
        tally.add(heat, mask)
    return tally


def test_the_image_auroc_spreads_as_if_pictures_were_drawn_one_by_one() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [20, 40])
    scores = np.round(rng.normal(size=60) + labels, 1)  # with ties
    found = resampling.image_auroc(scores, labels, 2000)
    slow = [auroc(scores[at], labels[at]) for at in drawn(labels, 2000)]
    assert found.mean() == pytest.approx(np.mean(slow), abs=0.005)
    assert found.std() == pytest.approx(np.std(slow), rel=0.1)
    low, high = resampling.interval(found)
    assert low < auroc(scores, labels) < high


def test_one_resample_of_itself_is_the_metric_itself() -> None:
    """With a single picture of each kind every resample is the set itself."""
    assert resampling.image_auroc([0.3, 0.7], [0, 1], 3).tolist() == [1, 1, 1]
    assert resampling.image_auroc([0.7, 0.7], [0, 1], 2).tolist() == [0.5, 0.5]


def test_the_pixel_metrics_spread_as_if_pictures_were_drawn_one_by_one(
    pictures: tuple[np.ndarray, list[np.ndarray], list[np.ndarray]],
) -> None:
    labels, maps, masks = pictures
    found = resampling.pixel_metrics(tally_of(maps, masks), labels.tolist(), N)
    slow = [tally_of([maps[i] for i in at], [masks[i] for i in at]).metrics() for at in drawn(labels, N)]
    for name, values in (("pixel_auroc", [one.auroc for one in slow]), ("pro", [one.pro for one in slow])):
        assert found[name].mean() == pytest.approx(np.mean(values), abs=0.02), name
        assert found[name].std() == pytest.approx(np.std(values), rel=0.25), name


def test_of_two_pictures_the_binned_metrics_are_nearly_the_exact_ones(
    pictures: tuple[np.ndarray, list[np.ndarray], list[np.ndarray]],
) -> None:
    _, maps, masks = pictures
    tally = tally_of([maps[0], maps[-1]], [masks[0], masks[-1]])
    found = resampling.pixel_metrics(tally, [0, 1], 3)
    exact = tally.metrics()
    np.testing.assert_allclose(found["pixel_auroc"], exact.auroc, atol=2e-3)
    np.testing.assert_allclose(found["pro"], exact.pro, atol=2e-3)


def test_what_cannot_be_resampled_is_left_out(
    pictures: tuple[np.ndarray, list[np.ndarray], list[np.ndarray]], monkeypatch: pytest.MonkeyPatch
) -> None:
    labels, maps, masks = pictures
    assert resampling.image_auroc([1, 2], [1, 1], 5).size == 0
    assert all(math.isnan(end) for end in resampling.interval([]))
    measured = tally_of(maps, masks)
    measured.metrics()
    assert resampling.pixel_metrics(measured, labels.tolist(), 5) == {}
    good = [i for i, label in enumerate(labels) if not label]
    assert resampling.pixel_metrics(tally_of([maps[i] for i in good], [masks[i] for i in good]), [0] * len(good), 5) == {}
    monkeypatch.setattr(resampling, "MOST_PX", 10)
    assert resampling.pixel_metrics(tally_of(maps, masks), labels.tolist(), 5) == {}

"""Regions: what is above the threshold, in one piece or several, and how it is measured."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flawsight import regions
from flawsight.types import Region


def test_each_connected_piece_is_measured_and_the_highest_leads() -> None:
    map_ = np.zeros((8, 10), np.float32)
    map_[1:3, 1:4] = 2.0
    map_[2, 3] = 2.5
    map_[5, 7] = 9.0
    map_[6, 8] = 3.0  # touches it by a corner
    assert regions.find(map_, 1.0) == (
        Region(box_xyxy=(7, 5, 9, 7), area=2, peak=9.0, peak_xy=(7, 5)),
        Region(box_xyxy=(1, 1, 4, 3), area=6, peak=2.5, peak_xy=(3, 2)),
    )
    assert regions.find(map_, 2.5) == (Region((7, 5, 9, 7), 2, 9.0, (7, 5)),)
    assert regions.find(map_, 9.0) == ()
    assert regions.find(map_, math.inf) == ()


def test_where_nobody_looked_is_no_region() -> None:
    map_ = np.full((4, 6), np.nan, np.float32)
    map_[1:3, 2:4] = [[1, 3], [3, 1]]
    assert regions.find(map_, 2.0) == (Region((2, 1, 4, 3), 2, 3.0, (3, 1)),)
    assert regions.find(np.full((4, 6), np.nan, np.float32), 0.0) == ()


@pytest.mark.parametrize(
    ("peak", "score", "threshold", "expected"),
    [
        (3.0, 2.0, 1.5, 1.5),  # the map reaches the score: the threshold itself
        (2.0, 2.0, 1.5, 1.5),
        (1.0, 2.0, 1.5, 0.75),  # it reaches half of it: half the threshold
        (1.0, 2.0, 0.0, -1.0),
        (-5.0, -1.0, -2.0, -6.0),
        (1.0, 1.5, 1.5, math.inf),  # passed
        (9.0, 1.0, 1.5, math.inf),
        (1.0, math.nan, 1.5, math.inf),
        (math.nan, 2.0, 1.5, math.inf),
    ],
)
def test_the_threshold_of_pixels(peak: float, score: float, threshold: float, expected: float) -> None:
    map_ = np.full((3, 3), peak, np.float32)
    map_[0] = peak - 1
    map_[2, 2] = np.nan
    assert regions.pixel_threshold(map_, score, threshold) == pytest.approx(expected)


@given(st.floats(0.0625, 100, width=32), st.floats(0.01, 100), st.floats(-10, 100))
def test_a_rejected_picture_has_a_region_with_the_highest_value_and_a_passed_one_has_none(
    peak: float, score: float, threshold: float
) -> None:
    map_ = np.linspace(0, 1, 30, dtype=np.float32).reshape(5, 6) * np.float32(peak)
    found = regions.find(map_, regions.pixel_threshold(map_, score, threshold))
    if score <= threshold:
        assert found == ()
    elif score - threshold > 1e-4 * max(abs(score), abs(threshold)):
        assert found[0].peak == map_.max()

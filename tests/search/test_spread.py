"""Spread gathered a few rows at a time, against numpy's of all of them; and the scales that come of it."""

from __future__ import annotations

import numpy as np

from flawsight.search.spread import BLOCK_ROWS, Spread, level_scales, variance


def test_spread_is_that_of_all_rows() -> None:
    drawn = np.random.default_rng(0).standard_normal((BLOCK_ROWS + 3000, 5))
    rows = (drawn * [1, 1e-3, 1e3, 1, 1] + [0, 5, 0, 1e3, 0]).astype(np.float32)
    spread = Spread(5)
    for part in np.split(rows, [1, 1, 700, 2000]):
        spread.add(part)
    np.testing.assert_allclose(spread.variance, rows.astype(np.float64).var(0), rtol=1e-4)
    np.testing.assert_allclose(variance(rows), rows.astype(np.float64).var(0), rtol=1e-4)
    assert spread.n == len(rows)


def test_before_the_first_row_nothing_is_spread() -> None:
    assert Spread(3).variance.tolist() == [0, 0, 0]


def test_scaled_levels_weigh_alike() -> None:
    rows = np.random.default_rng(0).standard_normal((500, 5)).astype(np.float32) * np.float32([100, 300, 0.01, 0.02, 0.03])
    scaled = rows * level_scales(variance(rows), [2, 3])
    of_levels = [part.var(0).sum() for part in np.split(scaled, [2], 1)]
    np.testing.assert_allclose(of_levels, 1, rtol=1e-5)
    np.testing.assert_allclose(
        scaled[:, 1] / scaled[:, 0], rows[:, 1] / rows[:, 0], rtol=1e-5
    )  # within a level all keep their share


def test_a_level_that_never_changes_is_left_as_it_is() -> None:
    assert level_scales(np.array([0.0, 0.0, 4.0]), [2, 1]).tolist() == [1, 1, 0.5]


def test_without_levels_every_scale_is_one() -> None:
    assert level_scales(np.array([9.0, 4.0]), None).tolist() == [1, 1]

"""Pictures dealt into folds: whole groups, parts as equal as can be."""

from __future__ import annotations

import numpy as np
import pytest

from flawsight.parts.folds import dealt, held_back, n_held_back


@pytest.mark.parametrize(("n", "n_folds"), [(10, 5), (11, 5), (3, 3), (7, 1)])
def test_parts_are_as_equal_as_can_be(n: int, n_folds: int) -> None:
    sizes = np.bincount(dealt(list(range(n)), n_folds, np.random.default_rng(0)), minlength=n_folds)
    assert sizes.sum() == n
    assert np.ptp(sizes) <= 1


def test_groups_stay_together_and_few_groups_have_a_fold_each() -> None:
    found = dealt([7, 3, 7, 9, 3], 10, np.random.default_rng(0))
    assert found[0] == found[2]
    assert found[1] == found[4]
    assert len(set(found)) == 3


def test_the_seed_deals() -> None:
    one, same, other = (dealt(list(range(40)), 5, np.random.default_rng(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize(
    ("n", "share", "expected"), [(100, 0.2, 20), (6, 0.2, 2), (3, 0.2, 2), (3, 0.9, 2), (2, 0.5, 0), (1, 0.5, 0), (100, 0.0, 0)]
)
def test_a_share_is_held_back_but_some_are_always_left(n: int, share: float, expected: int) -> None:
    assert n_held_back(n, share) == expected
    assert held_back(list(range(n)), share, np.random.default_rng(0)).sum() == expected


def test_whole_groups_are_held_back_and_the_seed_draws_them() -> None:
    groups = [0, 0, 2, 3, 4, 4, 4, 7]
    found = [held_back(groups, 0.4, np.random.default_rng(seed)) for seed in range(20)]
    for one in found:
        assert one[0] == one[1]
        assert one[4] == one[5] == one[6]
        assert len({group for group, left_out in zip(groups, one, strict=True) if left_out}) == 2
    np.testing.assert_array_equal(found[3], held_back(groups, 0.4, np.random.default_rng(3)))
    assert len({one.tobytes() for one in found}) > 3

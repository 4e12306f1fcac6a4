"""Pictures dealt into folds: whole groups, parts as equal as can be."""

from __future__ import annotations

import numpy as np
import pytest

from flawsight.parts.folds import dealt


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

"""Principal axes, against numpy's singular values of all rows."""

from __future__ import annotations

import numpy as np
import pytest

from flawsight.parts import mapper
from flawsight.search import axes
from flawsight.types import Float


def levels(seed: int) -> list[Float]:
    """Two levels of which few directions vary much."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(9).normal(size=(3, 6))
    fine = np.einsum("khw,kc->chw", rng.normal(size=(3, 8, 10)), mixing) + rng.normal(0, 0.01, (6, 8, 10))
    return [fine[None].astype(np.float32), 20 * rng.normal(size=(1, 2, 4, 5)).astype(np.float32)]


@pytest.mark.parametrize("balance", [True, False])
def test_they_hold_the_most_variance_that_so_many_axes_can(balance: bool) -> None:
    pictures = [levels(seed) for seed in range(4)]
    found = axes.principal(iter(pictures), 4, 1, 4, balance)
    assert found is not None
    assert (found.shape, found.dtype) == ((8, 4), np.float32)
    rows = np.concatenate([mapper.concatenated(maps, 1)[0].reshape(8, -1).T for maps in pictures]).astype(np.float64)
    scales = np.repeat([1 / np.sqrt(part.var(0).sum()) if balance else 1.0 for part in (rows[:, :6], rows[:, 6:])], (6, 2))
    scaled = (rows - rows.mean(0)) * scales
    best = np.linalg.svd(scaled, compute_uv=False) ** 2 / (len(rows) - 1)
    np.testing.assert_allclose(np.cov((rows @ found).T).diagonal(), best[:4], rtol=1e-3)
    undone = found / scales[:, None]
    np.testing.assert_allclose(undone.T @ undone, np.eye(4), atol=1e-5)


def test_where_there_are_no_more_dimensions_there_is_nothing_to_project() -> None:
    assert axes.principal([levels(0)], 1, 1, 8, True) is None
    assert axes.principal([], 0, 1, 8, True) is None

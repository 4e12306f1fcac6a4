"""Projected rows and where they came from."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from flawsight.search import coreset, projected
from flawsight.search.projected import Projected
from flawsight.types import Float

GRIDS = [(2, 3), (4, 1), (3, 5), (2, 3)]


def pictures(dims: int) -> list[Float]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=(high * wide, dims)).astype(np.float32) for high, wide in GRIDS]


def gathered(n_pictures: int) -> Projected:
    held = Projected(n_pictures, 2)
    for rows, grid in zip(pictures(2), GRIDS, strict=True):
        held.add(rows, grid)
    return held


@pytest.mark.parametrize("n_pictures", [1, 4, 100])
def test_all_rows_are_held_in_their_order_however_many_were_expected(n_pictures: int) -> None:
    held = gathered(n_pictures)
    np.testing.assert_array_equal(held.rows, np.concatenate(pictures(2)))
    assert (held.n, held.grids) == (31, GRIDS)


def test_rows_are_found_again_where_they_came_from() -> None:
    held, every = gathered(4), pictures(7)
    kept = np.array([30, 0, 5, 6, 9, 10, 24, 25, 12])
    picture, row, column = held.source(kept).T
    expected = [every[p][r * GRIDS[p][1] + c] for p, r, c in zip(picture, row, column, strict=True)]
    np.testing.assert_array_equal(held.fetch(kept, every), expected)
    np.testing.assert_array_equal(held.fetch(kept, every), np.concatenate(every)[kept])
    np.testing.assert_array_equal(picture, [3, 0, 0, 1, 1, 2, 2, 3, 2])
    assert held.source(kept).dtype == np.int32


def test_what_is_forgotten_is_found_again_all_the_same() -> None:
    held, every = gathered(4), pictures(7)
    held.forget()
    assert held.rows.base is None or not held.rows.base.nbytes
    kept = np.array([30, 0])
    np.testing.assert_array_equal(held.fetch(kept, every), np.concatenate(every)[kept])
    np.testing.assert_array_equal(held.source(kept), gathered(4).source(kept))


def test_pictures_are_looked_at_one_after_another() -> None:
    held, seen = gathered(4), []

    def rows() -> Iterator[Float]:
        for i, one in enumerate(pictures(7)):
            seen.append(i)
            yield one

    held.fetch(np.array([0]), rows())
    assert seen == [0, 1, 2, 3]


@pytest.mark.parametrize("dims", [0, 3, 7, 9])
def test_projections_are_those_of_the_seed_block_by_block(dims: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projected, "BLOCK_ROWS", 10)
    rows, scales = np.concatenate(pictures(7)), np.linspace(1, 2, 7, dtype=np.float32)
    found = projected.projections(rows, dims, 5, scales)
    expected = rows * scales if dims in (0, 7, 9) else coreset.project(rows * scales, dims, np.random.default_rng(5))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(projected.projections(rows * scales, dims, 5), found, rtol=1e-5, atol=1e-6)
    assert not np.shares_memory(projected.projections(rows, dims, 5), rows)

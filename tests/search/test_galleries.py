"""The closest vectors in maps that come one after another, against all distances written out; with bounds and without."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from flawsight.search import galleries
from flawsight.search.galleries import BLOCK, GROUP, LEAST_DIMS, closest, k_closest, main_axes, vectors
from flawsight.types import Float


def maps(seed: int, n: int, dims: int, high: int, wide: int, rank: int = 12) -> list[Float]:
    """Smooth maps [C,h,w] whose vectors differ along few directions far more than along the others, as feature maps do."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(dims, rank))
    coarse = rng.normal(size=(n, rank, high // 4 + 2, wide // 4 + 2)).repeat(4, 2).repeat(4, 3)[..., :high, :wide]
    made = np.einsum("dr,nrhw->ndhw", mixing, coarse) + 0.4 * rng.normal(size=(n, dims, high, wide))
    return list(made.astype(np.float32))


def every_distance(query: Float, others: list[Float]) -> NDArray[np.float64]:
    """Squared, from each place of a map to each of all others: [P,N·P]."""
    rows = np.concatenate([vectors(one) for one in others]).astype(np.float64)
    queries = vectors(query).astype(np.float64)
    return (queries**2).sum(1)[:, None] - 2 * queries @ rows.T + (rows**2).sum(1)


def axes_of(others: list[Float]) -> Float:
    found = main_axes(np.concatenate([vectors(one) for one in others]))
    assert found is not None
    return found


@pytest.mark.parametrize("bounded", [False, True])
@pytest.mark.parametrize(("high", "wide"), [(8, 8), (7, 13), (20, 30), (41, 27)])
def test_the_closest_is_the_least_of_all_distances(high: int, wide: int, bounded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(galleries, "LEAST_SIZE", 0)
    query, *others = maps(0, 6, LEAST_DIMS, high, wide)
    others[3] = others[3][:, : high - 2, : wide - 1]  # not all are of one size
    expected = every_distance(query, others)
    squared, picture, place = closest(vectors(query), lambda at: others[at], 5, axes_of(others) if bounded else None)
    starts = np.cumsum([0, *(one[0].size for one in others)])
    np.testing.assert_array_equal(starts[picture] + place, expected.argmin(1))
    np.testing.assert_allclose(squared, expected.min(1), rtol=1e-4)
    assert squared.dtype == np.float32


def test_bounds_change_nothing_where_they_say_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors that point everywhere alike: all groups are looked through."""
    monkeypatch.setattr(galleries, "LEAST_SIZE", 0)
    rng = np.random.default_rng(0)
    query, *others = rng.normal(size=(4, 100, 24, 24)).astype(np.float32)
    expected = every_distance(query, others)
    squared, _, _ = closest(vectors(query), lambda at: others[at], 3, axes_of(others))
    np.testing.assert_allclose(squared, expected.min(1), rtol=1e-4)


def test_most_groups_are_left_out_where_vectors_differ_along_few_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    run_all = galleries.graphs.run_all

    def counting(name: str, inputs: dict[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        looked.append(len(inputs["queries"]) * len(inputs["rows"]))
        return run_all(name, inputs)

    monkeypatch.setattr(galleries.graphs, "run_all", counting)
    query, *others = maps(1, 6, 128, 48, 48)
    assert vectors(query).size >= galleries.LEAST_SIZE
    squared, _, _ = closest(vectors(query), lambda at: others[at], 5, axes_of(others))
    np.testing.assert_allclose(squared, every_distance(query, others).min(1), rtol=1e-4)
    assert 0 < sum(looked) < 0.35 * 5 * 48**4


def test_a_vector_is_its_own_closest_and_the_first_of_equal_pictures_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(galleries, "LEAST_SIZE", 0)
    query, other = maps(2, 2, LEAST_DIMS, 20, 20)
    gallery = [other, query, query]
    for axes in (None, axes_of(gallery)):
        squared, picture, place = closest(vectors(query), lambda at: gallery[at], 3, axes)
        assert (squared == 0).all()
        assert (picture == 1).all()
        np.testing.assert_array_equal(place, np.arange(400))


@pytest.mark.parametrize("k", [1, 3, 70])
def test_the_k_closest_are_the_least_of_all_distances(k: int) -> None:
    query, *others = maps(3, 4, 10, 5, 4)
    expected = np.sort(every_distance(query, others), 1)[:, :k]
    squared, picture, place = k_closest(vectors(query), lambda at: others[at], 3, k)
    assert squared.shape == picture.shape == place.shape == (20, min(k, 60))
    np.testing.assert_allclose(squared, expected, rtol=1e-3)
    assert len(set(zip(picture[0].tolist(), place[0].tolist(), strict=True))) == min(k, 60)


def test_axes_are_the_directions_in_which_vectors_are_longest() -> None:
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(500, 120)) * np.where(np.arange(120) < 30, 10, 1)).astype(np.float32)
    axes = main_axes(rows)
    assert axes is not None
    assert axes.shape == (120, 30)
    np.testing.assert_allclose(axes.T @ axes, np.eye(30), atol=1e-5)
    assert np.square(axes[:30]).sum() > 29
    assert main_axes(rows[:, : LEAST_DIMS - 1]) is None


def test_places_of_a_square_follow_each_other() -> None:
    order = galleries._together(16, 20)
    assert sorted(order.tolist()) == list(range(320))
    y, x = np.divmod(order[:GROUP], 20)
    assert (y.max(), x.max()) == (7, 7)
    assert BLOCK % GROUP == 0

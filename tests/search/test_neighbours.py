"""Nearest neighbours, against the full matrix of distances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from flawsight.errors import DataError
from flawsight.parts import graphs
from flawsight.search import sketches
from flawsight.search.neighbours import Bank, Index
from flawsight.types import Float


def draw(seed: int, n_rows: int, n_queries: int = 40, dims: int = 12) -> tuple[Float, Float]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_rows, dims)).astype(np.float32), rng.normal(size=(n_queries, dims)).astype(np.float32)


def matrix(rows: Float, queries: Float) -> NDArray[np.float64]:
    return np.square(queries[:, None].astype(np.float64) - rows[None]).sum(2)


def slow(rows: Float, queries: Float, k: int, exclude: NDArray[np.bool_] | None = None) -> tuple[NDArray[np.float64], Index]:
    """From all distances: the k smallest, of equals those of lowest index."""
    distance = matrix(rows, queries)
    if exclude is not None:
        distance[:, exclude] = np.inf
    index = np.argsort(distance, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distance, index, 1), index


def assert_same(found: tuple[Float, Index], expected: tuple[NDArray[np.float64], Index]) -> None:
    assert (found[0].dtype, found[1].dtype) == (np.float32, np.int64)
    np.testing.assert_array_equal(found[1], expected[1])
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5)


@pytest.mark.parametrize("block_rows", [256, 512, 2048])
@pytest.mark.parametrize("k", [1, 2, 9, 100])
def test_the_full_matrix(k: int, block_rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sketches, "BLOCK_ROWS", block_rows)
    rows, queries = draw(0, 700)
    assert_same(Bank(rows).nearest(queries, k), slow(rows, queries, k))


@pytest.mark.parametrize("n_rows", [2047, 2048, 2049, 4100])
@pytest.mark.parametrize("k", [1, 3])
def test_around_the_end_of_a_block(k: int, n_rows: int) -> None:
    rows, queries = draw(1, n_rows, 20, 8)
    assert_same(Bank(rows).nearest(queries, k), slow(rows, queries, k))


@pytest.mark.parametrize("block_rows", [256, 2048])
@pytest.mark.parametrize("k", [1, 4])
def test_excluded_rows_are_not_found(k: int, block_rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sketches, "BLOCK_ROWS", block_rows)
    rows, queries = draw(2, 600)
    queries[:30] = rows[:30]  # whose nearest row is themselves, were it not excluded
    exclude = np.arange(600) < 450
    found = Bank(rows).nearest(queries, k, exclude)
    assert found[1].min() >= 450
    assert_same(found, slow(rows, queries, k, exclude))


def test_only_one_row_is_left() -> None:
    rows, queries = draw(3, 9)
    exclude = np.arange(9) != 6
    assert (Bank(rows).nearest(queries, 1, exclude)[1] == 6).all()


@pytest.mark.parametrize("n_queries", [1, 2, 5, 37])
@pytest.mark.parametrize("k", [1, 3, 50])
def test_equal_rows(k: int, n_queries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sketches, "BLOCK_ROWS", 256)
    rows, queries = draw(4, 3, n_queries, 152)
    nearest = matrix(rows, queries).argmin(1)
    distance, index = Bank(rows[np.arange(400) % 3]).nearest(queries, k)
    np.testing.assert_array_equal(index % 3, np.repeat(nearest[:, None], k, 1))
    assert all(len(set(found)) == k for found in index.tolist())
    assert (distance == distance[:, :1]).all()


@pytest.mark.parametrize("block_rows", [512, 4096])
@pytest.mark.parametrize("exclude_some", [False, True])
def test_rows_that_no_bound_tells_apart(block_rows: int, exclude_some: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole numbers of which float32 holds every distance, all of them twice: the first is found, in whatever group it lies."""
    monkeypatch.setattr(sketches, "BLOCK_ROWS", block_rows)
    rng = np.random.default_rng(8)
    half = rng.integers(-9, 10, (1000, 40)).astype(np.float32)
    rows, queries = np.concatenate([half, -half, half, -half]), rng.integers(-9, 10, (60, 40)).astype(np.float32)
    exclude = np.arange(4000) % 3 == 0 if exclude_some else None
    asked: list[str] = []
    one = graphs.run_all
    monkeypatch.setattr(graphs, "run_all", lambda name, inputs: (asked.append(name), one(name, inputs))[1])
    found = Bank(rows).nearest(queries, 1, exclude)
    assert "closest_each" in asked
    np.testing.assert_array_equal(found[1], slow(rows, queries, 1, exclude)[1])


@st.composite
def cases(draw: st.DrawFn) -> tuple[Float, Float, int]:
    """Small whole numbers whose mean is 0, so that float32 holds every distance: mostly ties."""
    dims = draw(st.integers(1, 3))
    half = draw(hnp.arrays(np.int8, st.tuples(st.integers(1, 12), st.just(dims)), elements=st.integers(-3, 3)))
    queries = draw(hnp.arrays(np.int8, st.tuples(st.integers(1, 4), st.just(dims)), elements=st.integers(-3, 3)))
    return np.concatenate([half, -half]).astype(np.float32), queries.astype(np.float32), draw(st.integers(1, 2 * len(half)))


@settings(deadline=None)
@given(cases(), st.sampled_from([256, 512, 2048]))
def test_of_equally_near_rows_the_first_comes_first(case: tuple[Float, Float, int], block_rows: int) -> None:
    rows, queries, k = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sketches, "BLOCK_ROWS", block_rows)
        found = Bank(rows).nearest(queries, k)
    expected = slow(rows, queries, k)
    np.testing.assert_array_equal(found[1], expected[1])
    np.testing.assert_array_equal(found[0], expected[0])


@pytest.mark.parametrize("offset", [0, 10, 1e3, 1e4])
@pytest.mark.parametrize("k", [1, 5])
def test_a_common_offset_costs_no_precision(k: int, offset: float) -> None:
    rows, queries = draw(5, 3000, 50, 32)
    rows, queries = rows + np.float32(offset), queries + np.float32(offset)
    distance, index = Bank(rows).nearest(queries, k)
    expected = slow(rows, queries, k)[0]
    np.testing.assert_allclose(distance, expected, rtol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(matrix(rows, queries), index, 1), expected, rtol=1e-5)


def test_far_clusters_cost_little_precision() -> None:
    rows, queries = draw(6, 2000, 50, 16)
    far = np.float32(1000) * np.eye(16, dtype=np.float32)[np.arange(2000) % 4]
    distance = Bank(rows + far).nearest(queries + far[:50])[0]
    expected = slow(rows + far, queries + far[:50], 1)[0]
    assert (distance >= expected * (1 - 1e-5)).all()  # whichever row it is, its distance is right
    assert (distance <= expected + 1e-6 * 1000**2).all()


def test_distances_rise() -> None:
    rows, queries = draw(7, 500, 30, 4)
    rows += np.float32(1000) * np.sign(rows[:, :1])  # so far from their mean that the product is imprecise
    assert (np.diff(Bank(rows).nearest(queries, 60)[0], axis=1) >= 0).all()


@pytest.mark.parametrize("offset", [0, 1e3])
@pytest.mark.parametrize("k", [1, 2])
def test_a_row_finds_itself_at_distance_0(k: int, offset: float) -> None:
    rows = draw(8, 3000, dims=20)[0] + np.float32(offset)
    distance, index = Bank(rows).nearest(rows[::-1], k)
    np.testing.assert_array_equal(index[:, 0], np.arange(3000)[::-1])
    assert (distance[:, 0] == 0).all()


@pytest.mark.parametrize("k", [1, 4])
def test_two_halves_merged_are_the_whole(k: int) -> None:
    rows, queries = draw(9, 3000)
    halves = [Bank(rows[:1100]).nearest(queries, k), Bank(rows[1100:]).nearest(queries, k)]
    distance = np.concatenate([halves[0][0], halves[1][0]], 1)
    index = np.concatenate([halves[0][1], halves[1][1] + 1100], 1)
    keep = np.argsort(distance, axis=1, kind="stable")[:, :k]
    whole = Bank(rows).nearest(queries, k)
    np.testing.assert_array_equal(np.take_along_axis(index, keep, 1), whole[1])
    np.testing.assert_array_equal(np.take_along_axis(distance, keep, 1), whole[0])


def test_any_layout_of_memory() -> None:
    rows, queries = draw(10, 50)
    turned = Bank(np.asfortranarray(rows)).nearest(np.asfortranarray(queries.astype(np.float64)))
    np.testing.assert_array_equal(turned[1], Bank(rows).nearest(queries)[1])


def test_queries_and_rows_stay_as_they_were() -> None:
    rows, queries = draw(11, 50)
    before = rows.copy(), queries.copy()
    bank = Bank(rows)
    bank.nearest(queries, 3)
    np.testing.assert_array_equal(rows, before[0])
    np.testing.assert_array_equal(queries, before[1])
    np.testing.assert_array_equal(bank.rows, rows)


@pytest.mark.parametrize(("k", "n_excluded"), [(6, 0), (3, 3), (1, 5)])
def test_more_neighbours_than_rows_are_refused(k: int, n_excluded: int) -> None:
    rows, queries = draw(12, 5)
    exclude = np.arange(5) < n_excluded if n_excluded else None
    with pytest.raises(DataError, match=f"{k} neighbours asked of {5 - n_excluded} rows"):
        Bank(rows).nearest(queries, k, exclude)


@pytest.mark.parametrize("shape", [(0, 3), (3,), (2, 2, 2)])
def test_what_is_no_bank_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"rows \[M,D\]"):
        Bank(np.zeros(shape, np.float32))

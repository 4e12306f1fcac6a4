"""Sketches: their bounds, against the closeness itself."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from flawsight.parts import graphs
from flawsight.search import sketches
from flawsight.search.neighbours import Bank
from flawsight.search.sketches import GROUP, NARROW, WIDE, Sketches, sketched
from flawsight.types import Float

ROUNDING = 1e-5  # of the lengths' product, as the neighbours allow


@pytest.fixture(params=[WIDE, NARROW], ids=["wide", "narrow"])
def steps(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """As on a machine that multiplies bytes exactly, and as on one that needs small ones."""
    if request.param > sketches.query_steps():
        pytest.skip("this machine's products of large bytes overflow")
    monkeypatch.setattr(sketches, "query_steps", lambda: request.param)
    return request.param


def draw(seed: int, n: int, dims: int = 40, fall: float = 0.9) -> Float:
    """Vectors whose spread falls from axis to axis."""
    return (np.random.default_rng(seed).normal(size=(n, dims)) * fall ** np.arange(dims)).astype(np.float32)


def closeness(queries: Float, rows: Float, bias: Float) -> NDArray[np.float64]:
    """The highest of each group."""
    every = queries.astype(np.float64) @ rows.T.astype(np.float64) + bias
    return every.reshape(len(queries), -1, GROUP).max(2)


def biased(rows: Float) -> Float:
    return (-0.5 * np.einsum("nd,nd->n", rows, rows)).astype(np.float32)


def axes_of(dims: int, n: int) -> Float:
    return np.ascontiguousarray(np.linalg.qr(np.random.default_rng(9).normal(size=(dims, n)))[0], np.float32)


def assert_bounds_hold(queries: Float, rows: Float, bias: Float, axes: Float) -> NDArray[np.float64]:
    bounds = Sketches(rows, axes).bounds(sketched(queries, axes), bias)
    true = closeness(queries, rows, bias)
    allowed = ROUNDING * np.linalg.norm(rows, axis=1).max() * np.linalg.norm(queries, axis=1).max()
    assert bounds.shape == true.shape
    assert (bounds >= true - allowed).all()
    return bounds - true


@pytest.mark.parametrize("n_axes", [1, 20, 40])
def test_no_closeness_exceeds_its_bound(n_axes: int, steps: int) -> None:
    rows, queries = draw(0, 6 * GROUP), draw(1, 50)
    assert_bounds_hold(queries, rows, biased(rows), axes_of(40, n_axes))


def test_bounds_are_close_where_the_axes_leave_nothing(steps: int) -> None:
    rows, queries = draw(2, 4 * GROUP), draw(3, 50)
    above = assert_bounds_hold(queries, rows, biased(rows), axes_of(40, 40))
    scale = np.linalg.norm(rows, axis=1).max() * np.linalg.norm(queries, axis=1).max()
    assert above.max() < 4 * scale / steps


def test_one_query_far_from_all_others(steps: int) -> None:
    rows, queries = draw(4, 3 * GROUP), draw(5, 20)
    queries[7] *= 1e4
    assert_bounds_hold(queries, rows, biased(rows), axes_of(40, 16))


def test_rows_and_queries_of_zero(steps: int) -> None:
    rows = np.zeros((2 * GROUP, 24), np.float32)
    assert_bounds_hold(np.zeros((3, 24), np.float32), rows, biased(rows), axes_of(24, 16))
    assert_bounds_hold(draw(6, 3, 24), rows, biased(rows), axes_of(24, 16))


def test_a_group_without_rows_that_count_is_shut() -> None:
    rows, queries = draw(7, 3 * GROUP), draw(8, 10)
    bias = biased(rows)
    bias[GROUP : 2 * GROUP] = -np.inf
    bias[:5] = -np.inf
    axes = axes_of(40, 20)
    bounds = Sketches(rows, axes).bounds(sketched(queries, axes), bias)
    assert np.isneginf(bounds[:, 1]).all()
    assert np.isfinite(bounds[:, [0, 2]]).all()


def test_the_nearest_are_the_same_with_small_bytes(steps: int) -> None:
    rows, queries = draw(10, 5000, 64), draw(11, 100, 64)
    expected = np.square(queries[:, None].astype(np.float64) - rows[None]).sum(2).argmin(1)
    np.testing.assert_array_equal(Bank(rows).nearest(queries)[1][:, 0], expected)


def test_a_machine_whose_bytes_overflow_gets_small_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    true = graphs.run
    monkeypatch.setattr(graphs, "run", lambda name, inputs: np.minimum(true(name, inputs), 2.0**15))
    assert sketches.query_steps.__wrapped__() == NARROW
    monkeypatch.setattr(graphs, "run", true)
    assert sketches.query_steps.__wrapped__() in (WIDE, NARROW)

"""Greedy k-center selection, against the greedy written out pick by pick."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from flawsight.search import coreset
from flawsight.types import Float

Blocks = tuple[int, int, int]  # TABLE_ROWS, SHRINK, BLOCK_CELLS
OWN: Blocks = (coreset.TABLE_ROWS, coreset.SHRINK, coreset.BLOCK_CELLS)
BLOCKS: list[Blocks] = [OWN, (1, 2, 1), (2, 2, 100), (4, 2, 3), (7, 3, 5), (3, 50, 4)]


def greedy(rows: Float, n: int, initial: Float | None = None, blocks: Blocks = OWN) -> tuple[list[int], float]:
    with mock.patch.multiple(coreset, TABLE_ROWS=blocks[0], SHRINK=blocks[1], BLOCK_CELLS=blocks[2], MIN_BLOCK_ROWS=1):
        picks, radius = coreset.greedy(rows, n, initial)
    assert picks.dtype == np.int64
    return picks.tolist(), radius


def naive(rows: Float, n: int, initial: Float | None = None) -> tuple[list[int], float]:
    """The definition: the farthest row, again and again."""
    exact = rows.astype(np.float64)
    distance = np.square(exact - exact.mean(0)).sum(1) if initial is None else initial.astype(np.float64)
    picks: list[int] = []
    for _ in range(n):
        distance[picks] = -1
        picks.append(int(distance.argmax()))
        to_pick = np.square(exact - exact[picks[-1]]).sum(1)
        distance = to_pick if initial is None and len(picks) == 1 else np.minimum(distance, to_pick)
    return picks, float(np.sqrt(max(distance.max(), 0)))


def mirrored(half: NDArray[np.integer], seed: int = 0) -> Float:
    """Rows and their negatives, shuffled: their mean is exactly 0, so float32 holds every distance exactly."""
    return np.random.default_rng(seed).permutation(np.concatenate([half, -half])).astype(np.float32)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Float, int, Float | None]:
    """Few distinct rows, so mostly duplicates and ties."""
    rows = mirrored(draw(hnp.arrays(np.int8, st.tuples(st.integers(1, 20), st.integers(1, 3)), elements=st.integers(-2, 2))))
    initial = st.one_of(st.none(), hnp.arrays(np.float32, len(rows), elements=st.sampled_from([0.0, 1.0, 2.0, 5.0, 40.0])))
    return rows, draw(st.integers(1, len(rows))), draw(initial)


@settings(deadline=None)
@given(cases(), st.sampled_from(BLOCKS))
def test_the_picks_of_naive_greedy(case: tuple[Float, int, Float | None], blocks: Blocks) -> None:
    rows, n, initial = case
    picks, radius = greedy(rows, n, initial, blocks)
    expected, expected_radius = naive(rows, n, initial)
    assert picks == expected
    assert radius == pytest.approx(expected_radius, rel=1e-6)


@pytest.mark.parametrize("blocks", BLOCKS)
@pytest.mark.parametrize("start", ["mean", "initial"])
@pytest.mark.parametrize("n", [1, 2, 150, 600])
def test_the_picks_of_naive_greedy_on_more_rows(n: int, start: str, blocks: Blocks) -> None:
    rng = np.random.default_rng(n)
    rows = mirrored(rng.integers(-9, 10, (300, 4)))
    initial = rng.integers(0, 400, len(rows)).astype(np.float32) if start == "initial" else None
    picks, radius = greedy(rows, n, initial, blocks)
    expected, expected_radius = naive(rows, n, initial)
    assert picks == expected
    assert radius == pytest.approx(expected_radius, rel=1e-6)


@pytest.mark.parametrize("start", ["mean", "initial"])
@pytest.mark.parametrize("high", [1, 9], ids=["ties", "few ties"])
@pytest.mark.parametrize("grouped_picks", [1, 40])
def test_the_picks_of_naive_greedy_where_new_picks_are_searched_in_groups(grouped_picks: int, high: int, start: str) -> None:
    rng = np.random.default_rng(high)
    rows = mirrored(np.rint(rng.integers(-high, high + 1, (1500, 24)) * 0.93 ** np.arange(24)).astype(int))
    initial = rng.integers(0, 400, len(rows)).astype(np.float32) if start == "initial" else None
    grouped = {"GROUPED_PICKS": grouped_picks, "GROUPED_BLOCK_ROWS": 100}
    searched = mock.Mock(side_effect=coreset.Groups)
    with mock.patch.multiple(coreset, **grouped, Groups=searched):
        picks, radius = greedy(rows, 1200, initial, (100, 4, 1000))
    assert searched.call_count > 1
    expected, expected_radius = naive(rows, 1200, initial)
    assert picks == expected
    assert radius == pytest.approx(expected_radius, rel=1e-6)


@pytest.mark.parametrize("blocks", BLOCKS)
def test_equal_rows_are_picked_in_order(blocks: Blocks) -> None:
    assert greedy(np.ones((30, 3), np.float32), 30, blocks=blocks) == (list(range(30)), 0.0)
    assert greedy(np.ones((30, 3), np.float32), 4, np.full(30, 9, np.float32), blocks) == ([0, 1, 2, 3], 0.0)


@pytest.mark.parametrize("blocks", BLOCKS)
def test_all_rows_equally_far(blocks: Blocks) -> None:
    corners = np.concatenate([np.eye(20), -np.eye(20)]).astype(np.float32)
    assert greedy(corners, 40, blocks=blocks)[0] == naive(corners, 40)[0]


def test_duplicates_come_last_and_each_row_once() -> None:
    rows = np.repeat(mirrored(np.arange(1, 11)[:, None] * [1, 3]), 3, axis=0)
    picks, radius = greedy(rows, len(rows), blocks=(4, 2, 3))
    assert sorted(picks) == list(range(60))
    assert len({tuple(row) for row in rows[picks[:20]]}) == 20
    assert picks[20:] == sorted(picks[20:])
    assert radius == 0


def test_one_row() -> None:
    assert greedy(np.array([[3, 4]], np.float32), 1) == ([0], 0.0)


@pytest.mark.parametrize("blocks", [OWN, (32, 4, 50), (5, 2, 7)])
@pytest.mark.parametrize("start", ["mean", "initial"])
def test_each_pick_is_the_farthest(start: str, blocks: Blocks) -> None:
    rng = np.random.default_rng(1)
    rows = (5 + rng.normal(size=(700, 16)) * rng.gamma(1, 1, (700, 1))).astype(np.float32)
    initial = coreset.mean_distance_to_starts(rows, rng) if start == "initial" else None
    picks, radius = greedy(rows, 120, initial, blocks)
    distance = np.full(len(rows), np.inf) if initial is None else initial.astype(np.float64)
    radii = []
    for pick in picks:
        radii.append(distance[pick])
        assert distance[pick] >= distance.max() * (1 - 1e-4)
        distance = np.minimum(distance, np.square(rows.astype(np.float64) - rows[pick]).sum(1))
    assert (np.diff(radii[1:]) <= 1e-4 * np.array(radii[1:-1])).all()
    assert radius == pytest.approx(np.sqrt(distance.max()), rel=1e-4)


def test_the_first_pick_is_the_farthest_from_the_mean() -> None:
    rows = np.random.default_rng(2).normal(size=(50, 3)).astype(np.float32)
    assert greedy(rows, 1)[0] == [int(np.linalg.norm(rows - rows.mean(0), axis=1).argmax())]


def test_a_common_offset_costs_no_precision() -> None:
    rng = np.random.default_rng(3)
    near = (rng.integers(-9, 10, (200, 4)) / 16).astype(np.float32)
    picks, radius = greedy(near + np.float32(1024), 40, blocks=(16, 2, 30))
    assert radius == pytest.approx(greedy(near, 40, blocks=(16, 2, 30))[1], rel=1e-4)
    assert len(set(picks)) == 40


@pytest.mark.parametrize("blocks", [(4, 2, 3), (20, 5, 1000)])
def test_rows_that_cannot_change_are_left_out(blocks: Blocks, monkeypatch: pytest.MonkeyPatch) -> None:
    centres = 32 * np.stack(np.meshgrid(np.arange(-2, 3), np.arange(-2, 3)), -1).reshape(-1, 2)
    rows = mirrored((centres[:, None] + np.array([[0, 0], [1, 0], [0, 1], [-1, 2]])).reshape(-1, 2))
    outside, updated = 0, 0
    original = coreset._Active.bring_up_to_date

    def counted(active: coreset._Active, *args: NDArray[np.bool_]) -> None:
        nonlocal outside, updated
        with mock.patch.object(np, "flatnonzero", side_effect=np.flatnonzero) as found:
            original(active, *args)  # type: ignore[arg-type]
        outside += int(np.count_nonzero(~args[-1]))
        updated += sum(int(np.count_nonzero(call.args[0])) for call in found.call_args_list)

    monkeypatch.setattr(coreset._Active, "bring_up_to_date", counted)
    assert greedy(rows, 60, blocks=blocks)[0] == naive(rows, 60)[0]
    assert 0 < updated < 0.8 * outside


@pytest.mark.parametrize("blocks", [OWN, (8, 2, 9)])
@pytest.mark.parametrize(("n", "rows"), [(1, 40), (7, 40), (40, 40), (40, 2)])
def test_progress_rises_to_the_number_of_picks(n: int, rows: int, blocks: Blocks) -> None:
    calls: list[tuple[int, int]] = []
    data = mirrored(np.random.default_rng(4).integers(-rows, rows, (20, 2)))
    with mock.patch.multiple(coreset, TABLE_ROWS=blocks[0], SHRINK=blocks[1], BLOCK_CELLS=blocks[2], MIN_BLOCK_ROWS=1):
        coreset.greedy(data, n, progress=lambda done, total: calls.append((done, total)))
    assert calls == sorted(calls)
    assert calls[-1] == (n, n)
    assert {total for _, total in calls} == {n}


def test_the_rows_and_the_initial_distances_stay_as_they_were() -> None:
    rows = mirrored(np.random.default_rng(5).integers(-9, 10, (40, 3)))
    initial = np.full(80, 30, np.float32)
    before = rows.copy()
    greedy(rows, 30, initial, (8, 2, 9))
    np.testing.assert_array_equal(rows, before)
    assert (initial == 30).all()


def test_mean_distance_to_starts() -> None:
    rows = np.random.default_rng(6).normal(size=(30, 5)).astype(np.float32)
    between = np.linalg.norm(rows[:, None].astype(np.float64) - rows, axis=2)
    drawn = np.random.default_rng(7).choice(30, 10, replace=False)
    found = coreset.mean_distance_to_starts(rows, np.random.default_rng(7))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, between[:, drawn].mean(1) ** 2, rtol=1e-5)
    for n_starts in (30, 99):  # all rows are starts, however drawn
        every = coreset.mean_distance_to_starts(rows, np.random.default_rng(8), n_starts)
        np.testing.assert_allclose(every, between.mean(1) ** 2, rtol=1e-5)


def test_project() -> None:
    rows = np.random.default_rng(9).normal(size=(40, 300)).astype(np.float32)
    projected = coreset.project(rows, 64, np.random.default_rng(1))
    assert (projected.shape, projected.dtype) == ((40, 64), np.float32)
    np.testing.assert_array_equal(projected, coreset.project(rows, 64, np.random.default_rng(1)))
    assert not np.array_equal(projected, coreset.project(rows, 64, np.random.default_rng(2)))
    np.testing.assert_allclose(coreset.project(2 * rows, 64, np.random.default_rng(1)), 2 * projected, rtol=1e-4, atol=1e-4)
    ratio = np.linalg.norm(projected[1:] - projected[0], axis=1) / np.linalg.norm(rows[1:] - rows[0], axis=1)
    assert ratio.std() < 0.2 * ratio.mean()  # distances are kept up to one factor, more or less


@pytest.mark.parametrize("dims", [300, 301])
def test_project_keeps_rows_of_few_dimensions(dims: int) -> None:
    rows = np.random.default_rng(9).normal(size=(4, 300)).astype(np.float32)
    np.testing.assert_array_equal(coreset.project(rows, dims, np.random.default_rng(1)), rows)


@pytest.mark.parametrize(
    ("pictures", "kept"),
    [
        (209, 16385),
        (224, 17561),
        (219, 17169),
        (280, 21952),
        (264, 20697),
        (391, 30654),
        (245, 19208),
        (220, 17248),
        (267, 20932),
        (320, 25088),
        (230, 18032),
        (60, 4704),
        (213, 16699),
        (247, 19364),
        (240, 18816),
    ],
)
def test_as_many_rows_as_in_the_published_banks(pictures: int, kept: int) -> None:
    """The sizes of the paper's own banks for the 15 categories of MVTec AD at 28 × 28 patches a picture and 10 %."""
    assert coreset.n_kept(pictures * 784, 0.1) == kept


@pytest.mark.parametrize(("n_rows", "ratio", "kept"), [(209 * 1600, 0.01, 3344), (7, 1.0, 7), (7, 0.01, 1), (1, 0.5, 1)])
def test_as_many_rows_as_the_share(n_rows: int, ratio: float, kept: int) -> None:
    assert coreset.n_kept(n_rows, ratio) == kept


@pytest.mark.parametrize(("limit", "kept"), [(0, 250), (1, 1), (249, 249), (250, 250), (251, 250)])
def test_no_more_rows_than_the_limit(limit: int, kept: int) -> None:
    assert coreset.n_kept(1000, 0.25, limit) == kept

"""Merge and reduce: against all rows at once, and its radius and bound against distances worked out one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from flawsight.errors import UsageError
from flawsight.search import coreset
from flawsight.search.streaming import Covering, Gathered, Need, Stream, radius_factor
from flawsight.types import Float

NEED = Need(dims=5, measured=5, ratio=0.05, limit=0)
N, P = 40, 60  # pictures, and rows of each on a grid of 6 × 10


def rows_of(seed: int = 0) -> Float:
    """Clusters of quite different sizes and widths: float32 [N,P,5]."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(12, 5)) * 4
    rows = centres[rng.integers(0, 12, (N, P)) ** 2 // 12] + rng.normal(size=(N, P, 5)) * rng.gamma(1, 0.5, (N, P, 1))
    return rows.astype(np.float32)


def greedy(rows: Float, draws: Float, n: int, scales: Float) -> NDArray[np.int64]:
    return np.sort(coreset.greedy(rows * scales, n)[0])


def gathered(pictures: Float, held: int | None, need: Need = NEED, expected: int = N) -> tuple[Gathered, Stream]:
    """Everything through a stream that can hold and choose from so many rows at once."""
    room = None if held is None else need.at_once(held)
    stream = Stream("test", need, room, expected, lambda spread: np.ones(len(spread), np.float32), greedy)
    for picture in pictures:
        stream.add(picture, (6, 10), np.zeros(len(picture), np.float32))
    return stream.finish(), stream


def covered(rows: Float, centres: Float) -> float:
    """The covering radius, one distance at a time."""
    return float(max(np.linalg.norm(centres.astype(np.float64) - row, axis=1).min() for row in rows))


def test_what_fits_is_kept_as_it_came() -> None:
    pictures = rows_of()
    for held in (None, N * P):
        found, stream = gathered(pictures, held)
        np.testing.assert_array_equal(found.rows, pictures.reshape(-1, 5))
        assert (found.n_seen, found.blocks, found.levels, stream.overflowed) == (N * P, 1, 1, False)


@pytest.mark.parametrize("held", [N * P - 1, 1500, 900, 500])
def test_survivors_stand_where_they_came_from(held: int) -> None:
    pictures = rows_of()
    found, stream = gathered(pictures, held)
    assert stream.overflowed
    assert found.blocks > 1
    assert len(found.rows) <= held
    picture, row, column = found.source.T
    np.testing.assert_array_equal(found.rows, pictures[picture, 10 * row + column])
    assert len(np.unique(found.source, axis=0)) == len(found.rows)
    assert (np.diff(picture) >= 0).all()
    assert found.n_seen == N * P


@pytest.mark.parametrize("held", [1500, 900, 500])
def test_the_radius_keeps_its_bounds(held: int) -> None:
    pictures, n = rows_of(), NEED.n_kept(N * P)
    every = pictures.reshape(-1, 5)
    found, _ = gathered(pictures, held)
    kept, chosen = coreset.greedy(found.rows, n)
    radius, at_once = covered(every, found.rows[kept]), coreset.greedy(every, n)[1]
    assert at_once == pytest.approx(covered(every, every[coreset.greedy(every, n)[0]]), rel=1e-4)
    assert radius <= 2 * found.levels * at_once * (1 + 1e-4)  # beforehand: OPT is at most the one-shot radius
    assert radius <= radius_factor(radius, chosen) * at_once * (1 + 1e-4)  # afterwards
    assert radius_factor(radius, chosen) < 2 * found.levels
    assert chosen <= 2 * at_once * (1 + 1e-4)
    assert radius < 1.5 * at_once  # in truth


def test_little_room_reduces_survivors_again() -> None:
    levels = {held: gathered(rows_of(), held)[0].levels for held in (1500, 500)}
    assert levels[1500] == 2
    assert levels[500] > 2


def test_any_order_of_blocks_covers() -> None:
    pictures, n = rows_of(), NEED.n_kept(N * P)
    every, at_once = pictures.reshape(-1, 5), coreset.greedy(pictures.reshape(-1, 5), n)[1]
    for seed in range(5):
        found, _ = gathered(np.random.default_rng(seed).permutation(pictures), 700)
        kept, chosen = coreset.greedy(found.rows, n)
        radius = covered(every, found.rows[kept])
        assert radius <= radius_factor(radius, chosen) * at_once * (1 + 1e-4)
        assert radius < 1.6 * at_once


def test_a_picture_may_be_larger_than_a_block() -> None:
    whole = rows_of().reshape(1, -1, 5)
    found, _ = gathered(whole, 700, expected=1)
    assert found.blocks > 2
    np.testing.assert_array_equal(found.rows, whole[0, 10 * found.source[:, 1] + found.source[:, 2]])


def test_pictures_may_grow() -> None:
    pictures = [rows_of()[i].repeat(1 + i // 5, 0) for i in range(N)]
    stream = Stream("test", NEED, None, N, lambda spread: np.ones(5, np.float32), greedy)
    for picture in pictures:
        stream.add(picture, (len(picture) // 10, 10), np.zeros(len(picture), np.float32))
    np.testing.assert_array_equal(stream.finish().rows, np.concatenate(pictures))


def test_too_little_room_is_told_with_the_first_picture() -> None:
    pictures = rows_of()
    enough = NEED.smallest(N * P)
    gathered(pictures, NEED.capacity(enough))
    stream = Stream("test", NEED, enough - 1, N, lambda spread: np.ones(5, np.float32), greedy)
    with pytest.raises(UsageError, match=r"test: to choose 120 of 2,400 patches needs \d+ MB .*; there are \d+ MB\. Give"):
        stream.add(pictures[0], (6, 10), np.zeros(P, np.float32))


def test_what_keeps_every_row_needs_room_for_all() -> None:
    need = replace(NEED, all_kept=True, measured=0)
    assert need.smallest(10_000) == need.at_once(10_000) > 5 * need.smallest(1000)


@pytest.mark.parametrize("need", [NEED, Need(1536, 128, 0.1, 10_000), Need(152, 0, 0.1, 0)], ids=["few", "many", "random"])
def test_capacity_is_the_most_that_fits(need: Need) -> None:
    for n in (100, 5000, 300_000):
        room = need.at_once(n)
        assert need.capacity(room) == n
        assert need.capacity(room - 1) == n - 1
        assert need.blocks(n, room) == 1
        assert need.blocks(n + 1, room) == 2
    assert need.capacity(-5) == need.capacity(0) == 0


@pytest.mark.parametrize("held", [1500, 900, 500])
def test_the_blocks_told_beforehand(held: int) -> None:
    assert gathered(rows_of(), held)[0].blocks == NEED.blocks(N * P, NEED.at_once(held))


def test_the_scales_of_a_block_are_those_of_all_rows_so_far() -> None:
    pictures, seen = rows_of(), []

    def message(spread: NDArray[np.float64]) -> Float:
        seen.append(spread)
        return np.ones(5, np.float32)

    stream = Stream("test", NEED, NEED.at_once(900), N, message, greedy)
    for picture in pictures:
        stream.add(picture, (6, 10), np.zeros(P, np.float32))
    stream.finish()
    every = pictures.reshape(-1, 5).astype(np.float64)
    np.testing.assert_allclose(seen[0], every[:900].var(0), rtol=1e-4)
    np.testing.assert_allclose(stream.spread.variance, every.var(0), rtol=1e-4)


@pytest.mark.parametrize("near", ["nearest", "any"])
def test_covering_is_the_largest_distance_to_the_nearest(near: str) -> None:
    rows = rows_of().reshape(-1, 5)
    centres = rows[::97]
    covering = Covering(centres)
    for part in np.split(rows, 9 * [0] + [5, 600, 601]):
        apart = np.linalg.norm(part[:, None] - centres, axis=2)
        covering.add(part, apart.argmin(1) if near == "nearest" else np.arange(len(part)) % len(centres))
    assert covering.radius == pytest.approx(covered(rows, centres), rel=1e-5)


def test_no_factor_is_below_one() -> None:
    assert radius_factor(1.0, 1.0) == 2
    assert radius_factor(0.4, 1.0) == 1
    assert radius_factor(0.0, 0.0) == 1
    assert radius_factor(1.0, 0.0) == np.inf

"""The coreset's picks and the nearest rows through torch, on its CPU: the same as without it."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from flawsight.errors import DataError  # noqa: E402
from flawsight.search import coreset, gpu  # noqa: E402
from flawsight.search.neighbours import Bank  # noqa: E402
from flawsight.types import Float  # noqa: E402


@pytest.fixture(autouse=True)
def cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU in the GPU's place, and blocks so small that a bank takes several."""
    monkeypatch.setattr(gpu, "place", lambda device: torch.device("cpu"))
    monkeypatch.setattr(gpu, "BLOCK_ROWS", 100)


def draw(n: int, dims: int = 24, seed: int = 0) -> Float:
    return (10 + np.random.default_rng(seed).normal(0, 1, (n, dims))).astype(np.float32)


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("excluding", [False, True])
def test_the_nearest_rows_are_the_same(k: int, excluding: bool) -> None:
    rows, queries = draw(1030), draw(90, seed=1)
    exclude = np.random.default_rng(2).random(1030) < 0.6 if excluding else None
    expected, found = (Bank(rows, device).nearest(queries, k, exclude) for device in ("cpu", "cuda"))
    np.testing.assert_array_equal(found[1], expected[1])
    np.testing.assert_array_equal(found[0], expected[0])


def test_a_whole_block_may_be_excluded() -> None:
    rows = draw(250)
    exclude = np.arange(250) >= 2
    np.testing.assert_array_equal(np.sort(Bank(rows, "cuda").nearest(draw(5, seed=1), 2, exclude)[1]), [[0, 1]] * 5)
    with pytest.raises(DataError, match="3 neighbours asked of 2 rows"):
        Bank(rows, "cuda").nearest(draw(5, seed=1), 3, exclude)


@pytest.mark.parametrize("with_initial", [False, True])
def test_the_picks_are_the_same(with_initial: bool) -> None:
    rows = draw(3000)
    initial = np.random.default_rng(3).uniform(20, 80, 3000).astype(np.float32) if with_initial else None
    expected, radius = coreset.greedy(rows, 300, initial)
    found, found_radius = coreset.greedy(rows, 300, initial, device="cuda")
    np.testing.assert_array_equal(found, expected)
    assert found_radius == pytest.approx(radius, rel=1e-4)
    assert rows.min() > 0  # they were not changed


def test_no_row_is_picked_twice_even_of_copies() -> None:
    rows = np.repeat(draw(3), 20, 0)
    picks, radius = coreset.greedy(rows, 60, device="cuda")
    assert sorted(picks.tolist()) == list(range(60))
    assert radius == 0
    assert {pick // 20 for pick in picks[:3]} == {0, 1, 2}


def test_progress_ends_where_all_are_picked() -> None:
    seen: list[tuple[int, int]] = []
    coreset.greedy(draw(600), 520, progress=lambda done, total: seen.append((done, total)), device="cuda")
    assert seen[-1] == (520, 520)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)

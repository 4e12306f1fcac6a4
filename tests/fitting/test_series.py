"""Near copies and series are found by the pictures, and by names where these tell; parts that always lie alike are neither."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from flawsight.errors import UsageError
from flawsight.fitting import series
from flawsight.types import Pixels

Looks = NDArray[np.uint8]


def looks(pictures: list[Pixels]) -> Looks:
    return np.stack([series.small(one) for one in pictures])


def shuffled(n: int) -> list[str]:
    return [f"{i * 37 % 1009}.png" for i in range(n)]


TWINS = {
    "re-encoded": lambda one: one,
    "brighter": lambda one: np.clip(1.03 * one.astype(float), 0, 255).astype(np.uint8),
    "darker": lambda one: (0.97 * one).astype(np.uint8),
    "shifted": lambda one: np.pad(one, ((1, 0), (1, 0), (0, 0)), "edge")[:-1, :-1],
    "turned by 90": lambda one: np.rot90(one).copy(),
    "turned by 180": lambda one: np.rot90(one, 2).copy(),
    "mirrored": lambda one: one[:, ::-1].copy(),
}


@pytest.mark.parametrize("n", [6, 30, 150])
@pytest.mark.parametrize("common", [0.0, 40.0])
def test_parts_that_lie_alike_are_no_copies(n: int, common: float, drawn: SimpleNamespace) -> None:
    assert series.found(looks(drawn.parts(n, common=common)), shuffled(n)).tolist() == list(range(n))


@pytest.mark.parametrize("kind", TWINS)
@pytest.mark.parametrize("n", [8, 40])
def test_near_copies_are_found_and_no_others(kind: str, n: int, drawn: SimpleNamespace) -> None:
    good = drawn.parts(n)
    pictures = [*good, drawn.jpeg(TWINS[kind](good[2])), drawn.jpeg(TWINS[kind](good[5]))]
    found = series.found(looks(pictures), shuffled(n + 2))
    assert found.tolist() == [*range(n), 2, 5]


def test_where_every_picture_has_a_copy_each_pair_is_one(drawn: SimpleNamespace) -> None:
    good = drawn.parts(20)
    found = series.found(looks([*good, *map(drawn.jpeg, good)]), shuffled(40))
    assert found.tolist() == [*range(20)] * 2


@pytest.mark.parametrize("side", [128, 384])
@pytest.mark.parametrize("n", [12, 24])
def test_parts_that_differ_by_noise_alone_are_no_copies(n: int, side: int) -> None:
    rng, shape = np.random.default_rng(n), np.full((side, side, 1), 30.0)
    shape[side // 8 : -side // 8, side // 8 : -side // 8] = 150
    pictures = [np.repeat(shape + rng.normal(0, 4, shape.shape) + rng.normal(0, 2), 3, 2).astype(np.uint8) for _ in range(n)]
    assert series.found(looks(pictures), shuffled(n)).tolist() == list(range(n))
    assert series.hardly_differ(looks(pictures)) == (n if side == 384 else 0)


def test_copies_of_one_picture_hardly_differ_and_parts_do(drawn: SimpleNamespace) -> None:
    good = drawn.parts(40)
    assert series.hardly_differ(looks([drawn.jpeg(good[0], quality) for quality in range(72, 96, 2)])) == 12
    assert series.hardly_differ(looks(good)) == 0
    assert series.hardly_differ(looks([*good, drawn.jpeg(good[3], 95)])) == 2
    assert series.hardly_differ(looks(good[:1])) == 0


@pytest.mark.parametrize("value", [[7], [7, 7], [0, 255, 90]])
def test_few_and_blank_pictures_do_not_break_it(value: list[int]) -> None:
    found = series.found(np.stack([np.full((series.SIDE, series.SIDE), one, np.uint8) for one in value]), shuffled(len(value)))
    assert len(found) == len(value)
    assert series.found(np.empty((0, series.SIDE, series.SIDE), np.uint8), []).size == 0


def test_series_are_found_in_the_order_of_names_alone(drawn: SimpleNamespace) -> None:
    pictures = looks(drawn.frames(8, 6))
    in_turn = [f"frame{i}.png" for i in range(48)]  # 10 after 9
    found = series.found(pictures, in_turn)
    true = np.repeat(np.arange(8), 6)
    same, linked = (np.equal.outer(one, one)[np.triu_indices(48, 1)] for one in (true, found))
    assert not (linked & ~same).any()
    assert (linked & same).sum() > 0.9 * same.sum()
    assert len(set(series.found(pictures, shuffled(48)))) > 40


def test_where_there_is_no_order_luck_links_none(drawn: SimpleNamespace) -> None:
    names = [f"{i:03}.png" for i in range(60)]
    linked = [len(set(series.found(looks(drawn.parts(60, seed)), names))) < 60 for seed in range(20)]
    assert sum(linked) <= 1


def test_numbers_in_names_count_by_their_value() -> None:
    assert series.in_order(["b2", "a10", "a9", "7", "10"]) == [3, 4, 2, 1, 0]


@pytest.mark.parametrize(
    ("pattern", "numbers"),
    [
        ("folder", [0, 0, 2, 2]),
        (r"lot\d", [0, 0, 2, 2]),
        (r"_(\d)", [0, 1, 0, 1]),
        (r".", [0, 0, 0, 0]),
        (r".*", [0, 1, 2, 3]),
    ],
)
def test_names_tell_series(pattern: str, numbers: list[int]) -> None:
    names = ["lot1/a_1.png", "lot1/b_2.png", "lot2/c_1.png", "lot2/d_2.png"]
    assert series.by_name(names, pattern).tolist() == numbers


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", r"folder or a regular expression was needed; got '\('.*Put a backslash"),
        ("x", r"got 'x', which no picture's name matches: a1\.png, a2\.png, b3\.png …\. Write one"),
        ("a", r"got 'a', which 2 of 4 names do not match: b3\.png, b4\.png\. Write one"),
        ("a(1)?", r"3 of 4 names do not match: a2\.png, b3\.png, b4\.png\."),
        ("", r"got '', which no picture's name matches: a1\.png"),
        ("a*", r"got 'a\*', which 2 of 4 names do not match: b3\.png, b4\.png\."),  # it matches them with nothing
    ],
)
def test_patterns_that_do_not_say_every_series_are_refused(pattern: str, message: str) -> None:
    with pytest.raises(UsageError, match=f"fit: group_by: .*{message}"):
        series.by_name(["a1.png", "a2.png", "b3.png", "b4.png"], pattern)


@pytest.mark.parametrize(("n", "least", "pairs"), [(30, 10, 210), (30, 29, 1), (4000, 1000, series.PAIRS)])
def test_pairs_far_apart_are_all_or_as_many_as_are_looked_at(n: int, least: int, pairs: int) -> None:
    low, high = series._far_apart(n, least)
    assert len(low) == len(high) == pairs
    assert (high - low).min() >= least
    assert low.min() >= 0
    assert high.max() < n
    if pairs < series.PAIRS:
        assert len(set(zip(low.tolist(), high.tolist(), strict=True))) == pairs

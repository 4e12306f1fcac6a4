"""PatchCore within a given memory: what it learns in blocks, against what it learns of all patches at once."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from flawsight.errors import DataError, UsageError
from flawsight.methods import make
from flawsight.methods.base import BankMethod
from flawsight.methods.patchcore import PatchCore
from flawsight.types import Float

N, P = 60, 96  # pictures, and patches of each, on a grid of 8 × 12
GROUPS = [*range(N - 1), N - 2]


class Cells:
    """A backbone with two levels: the mean colours of cells of 4 and of 8 pixels, the latter times ten."""

    device = "cpu"

    def __init__(self) -> None:
        self.n = 0

    def features(self, images: Float) -> list[Float]:
        self.n += 1
        n, channels, high, wide = images.shape
        return [
            (gain * images.reshape(n, channels, high // s, s, wide // s, s).mean((3, 5), np.float64)).astype(np.float32)
            for s, gain in ((4, 1), (8, 10))
        ]


def method(**options: Any) -> PatchCore:
    made = make("patchcore", {"coreset_ratio": 0.04, "image_score": "patch", **options}, Cells())
    assert isinstance(made, PatchCore)
    assert isinstance(made, BankMethod)
    return made


def pictures(seed: int = 0, n: int = N) -> list[Float]:
    rng = np.random.default_rng(seed)
    colours = rng.normal(size=(n, 3, 8, 12)) * rng.gamma(1, 1, (n, 1, 8, 12))
    return list(colours.astype(np.float32).repeat(4, 2).repeat(4, 3))


def patches(fitted: PatchCore, images: list[Float]) -> Float:
    return np.concatenate([fitted.embed(image[None])[0][0] for image in images])


def bounded(
    held: int, images: list[Float] | None = None, groups: list[int] = GROUPS, **options: Any
) -> tuple[PatchCore, Float, str]:
    """Fitted with room for so many patches; the held-out scores; what it notes."""
    made = method(**options)
    held_out, notes = made.fit_within(images or pictures(), groups, made.need(6).at_once(held))
    (note,) = notes
    return made, held_out, note


def measured(rows: Float, fitted: PatchCore) -> NDArray[np.float64]:
    """Rows as the selection measures them, which have too few dimensions to be projected."""
    return (rows * fitted.state()["scale"]).astype(np.float64)


@pytest.mark.parametrize("options", [{}, {"random_starts": True}, {"coreset": "random"}, {"coreset": "identity"}], ids=str)
def test_what_fits_is_learned_as_ever(options: dict[str, Any]) -> None:
    plain, within = method(**options), method(**options)
    expected = plain.fit(iter(pictures()), GROUPS)
    held_out, notes = within.fit_within(pictures(), GROUPS, within.need(6).at_once(N * P))
    np.testing.assert_array_equal(held_out, expected)
    assert notes == []
    for name, array in plain.state().items():
        np.testing.assert_array_equal(within.state()[name], array, err_msg=name)
    assert within.state()["radius_factor"] == 1


@pytest.mark.parametrize("random_starts", [False, True])
@pytest.mark.parametrize("held", [4000, 2500, 1000])
def test_the_radius_is_that_of_all_patches_and_within_its_bound(held: int, random_starts: bool) -> None:
    fitted, _, note = bounded(held, random_starts=random_starts)
    state, every = fitted.state(), measured(patches(fitted, pictures()), fitted)
    apart = np.linalg.norm(every[:, None] - state["bank"], axis=2).min(1)
    assert state["radius"].item() == pytest.approx(apart.max(), rel=1e-4)
    plain = method()
    plain.fit(pictures(), GROUPS)
    at_once = plain.state()["radius"].item()
    assert 1 < state["radius_factor"].item() < 3
    assert state["radius"] <= state["radius_factor"] * at_once * (1 + 1e-4)
    assert state["radius"] < 1.5 * at_once
    assert len(state["bank"]) == len(plain.state()["bank"]) == N * P // 25
    assert re.match(r"5,760 patches did not fit into memory at once: the bank was chosen from them in \d+ blocks\. It covers", note)
    assert f"at most {state['radius_factor'].item():.3g} times the radius" in note


@pytest.mark.parametrize("coreset", ["greedy", "random"])
def test_levels_weigh_as_they_would_at_once(coreset: str) -> None:
    fitted, _, _ = bounded(1500, coreset=coreset)
    plain = method(coreset=coreset)
    plain.fit(pictures(), GROUPS)
    np.testing.assert_allclose(fitted.state()["scale"], plain.state()["scale"], rtol=1e-5)


@pytest.mark.parametrize("coreset", ["greedy", "random"])
def test_every_row_of_the_bank_is_the_patch_it_says(coreset: str) -> None:
    fitted, _, _ = bounded(1500, coreset=coreset)
    state, every = fitted.state(), patches(fitted, pictures()).reshape(N, 8, 12, 6)
    picture, row, column = state["source"].T
    np.testing.assert_array_equal(state["bank"], every[picture, row, column] * state["scale"])
    assert len(np.unique(state["source"], axis=0)) == len(state["bank"])
    assert len(np.unique(picture)) > N / 2
    np.testing.assert_array_equal(state["grids"], [(8, 12)] * N)


@pytest.mark.parametrize("coreset", ["greedy", "random"])
def test_held_out_scores_leave_the_own_group_out(coreset: str) -> None:
    images = pictures()
    images[-1] = images[-2]  # as GROUPS says
    fitted, held_out, _ = bounded(1500, images, coreset=coreset)
    state, picture = fitted.state(), fitted.state()["source"][:, 0]
    groups = np.array(GROUPS)
    for i in (0, 30, N - 2, N - 1):
        others = state["bank"][groups[picture] != groups[i]]
        own = measured(patches(fitted, [images[i]]), fitted)
        expected = np.linalg.norm(own[:, None] - others, axis=2).min(1).max()
        assert held_out[i] == pytest.approx(expected, rel=1e-4)
    assert held_out[-1] == held_out[-2] > 0


def test_random_takes_each_patch_as_often_as_another() -> None:
    counts = np.zeros(N)
    for seed in range(30):
        state = bounded(1500, coreset="random", seed=seed)[0].state()
        counts += np.bincount(state["source"][:, 0], minlength=N)
    expected = 30 * len(state["bank"]) / N
    assert np.square(counts - expected).sum() / expected < 100  # χ² with 59 degrees: above 100 in 1 of 1000


@pytest.mark.parametrize("options", [{}, {"random_starts": True}, {"coreset": "random"}], ids=str)
def test_same_seed_same_result(options: dict[str, Any]) -> None:
    one, held_out, _ = bounded(1500, **options)
    other, again, _ = bounded(1500, **options)
    np.testing.assert_array_equal(held_out, again)
    for name, array in one.state().items():
        np.testing.assert_array_equal(other.state()[name], array, err_msg=name)


def test_a_second_fit_forgets_the_first() -> None:
    made, _, _ = bounded(1500)
    made.fit(pictures(1, 9), list(range(9)))
    fresh = method()
    fresh.fit(pictures(1, 9), list(range(9)))
    for name, array in fresh.state().items():
        np.testing.assert_array_equal(made.state()[name], array, err_msg=name)


def test_what_was_learned_in_blocks_scores_after_saving_and_finds_what_is_new() -> None:
    fitted, held_out, _ = bounded(1500)
    loaded = method().with_state(fitted.state())
    new = np.stack(pictures(5, 4))
    new[3, :, 8:16, 8:16] += 9
    scores = fitted.score(new)
    np.testing.assert_array_equal(loaded.score(new).image, scores.image)
    assert loaded.state()["radius_factor"] == fitted.state()["radius_factor"]
    assert scores.image[3] > max(held_out) > np.median(scores.image[:3])


def test_models_of_before_have_a_factor_of_one() -> None:
    fitted = method()
    fitted.fit(pictures(0, 5), list(range(5)))
    state = fitted.state()
    del state["radius_factor"]
    assert method().with_state(state).state()["radius_factor"] == 1


def test_every_picture_is_embedded_twice_at_most_and_once_where_all_fits() -> None:
    made = method()
    made.fit_within(pictures(), GROUPS, made.need(6).at_once(N * P))
    assert made.backbone.n == N  # type: ignore[attr-defined]
    assert bounded(1500)[0].backbone.n == 2 * N  # type: ignore[attr-defined]


@pytest.mark.parametrize("options", [{"coreset": "identity"}, {"coreset_ratio": 0.9, "bank_limit": 0}], ids=str)
def test_a_bank_that_is_too_large_is_refused_with_what_it_needs(options: dict[str, Any]) -> None:
    made = method(**options)
    with pytest.raises(UsageError, match=r"patchcore: to choose .* of 5,760 patches needs \d+ MB .*; there are 0 MB"):
        made.fit_within(pictures(), GROUPS, made.need(6).at_once(100) // 100)
    assert made.backbone.n == 1  # type: ignore[attr-defined]


def test_an_iterator_cannot_be_gone_through_twice() -> None:
    with pytest.raises(UsageError, match="an iterator came"):
        method().fit_within(iter(pictures()), GROUPS, 10**9)


def test_no_pictures() -> None:
    with pytest.raises(DataError, match="no pictures came"):
        method().fit([], [])


PROJECTED: dict[str, Any] = {"balance_levels": False, "projection_dims": 2}


@pytest.mark.parametrize("random_starts", [False, True])
def test_where_projections_fit_the_picks_are_those_of_all_at_once(random_starts: bool) -> None:
    options = {**PROJECTED, "random_starts": random_starts}
    plain, within = method(**options), method(**options)
    expected = plain.fit(pictures(), GROUPS)
    assert plain.backbone.n == N  # type: ignore[attr-defined]
    need = within.need(6)
    assert not need.in_passes(N * P, need.at_once(N * P))
    assert not need.in_passes(N * P, need.of_projections(N * P) - 1)
    held_out, notes = within.fit_within(pictures(), GROUPS, need.at_once(N * P) - 1)
    assert notes == []
    for name, array in plain.state().items():
        np.testing.assert_allclose(within.state()[name], array, rtol=1e-5, err_msg=name)
    np.testing.assert_array_equal(within.state()["source"], plain.state()["source"])
    np.testing.assert_allclose(held_out, expected, rtol=1e-5)
    assert within.backbone.n == 3 * N + 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("options", [{}, {**PROJECTED, "balance_levels": True}, {**PROJECTED, "projection_dims": 0}], ids=str)
def test_what_other_rows_change_is_not_chosen_by_projections(options: dict[str, Any]) -> None:
    """Levels are balanced by the spread of all; and rows as they are are no smaller."""
    assert not method(**options).need(6).projected


def test_little_room_even_for_projections_is_used_in_blocks() -> None:
    made = method(**PROJECTED)
    need = made.need(6)
    _, notes = made.fit_within(pictures(), GROUPS, need.of_projections(N * P) - 1)
    assert "in 2 blocks" in notes[0]


def test_pictures_that_grow_beyond_the_room_are_gathered_in_blocks() -> None:
    made, grown = method(**PROJECTED), [*pictures(0, 40), *(np.tile(one, (1, 4, 4)) for one in pictures(1, 20))]
    room = made.need(6).at_once(N * P) - 1
    assert made.need(6).in_passes(N * P, room)
    held_out, notes = made.fit_within(grown, GROUPS, room)
    assert notes[0].startswith(f"{(40 + 20 * 16) * P:,} patches did not fit into memory at once")
    assert np.isfinite(held_out).all()


def test_projections_ask_for_little_where_much_is_kept() -> None:
    """A quarter of 1,920,000 patches of 1,024 dimensions: blocks would have to be as large as all."""
    need = make("patchcore", {**PROJECTED, "projection_dims": 128, "coreset_ratio": 0.01, "bank_limit": 0}, Cells()).need(1024)  # type: ignore[attr-defined]
    assert need.of_projections(391 * 4900) < 2.7e9 < 8e9 < need.at_once(391 * 4900)

"""Two banks over one network, against a PatchCore on each one's levels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from flawsight.datasets import DataSet
from flawsight.errors import UsageError
from flawsight.fitting import Plan, fit
from flawsight.fitting.sharing import Room
from flawsight.methods import make
from flawsight.methods.base import BankMethod
from flawsight.methods.patchcore import PatchCore
from flawsight.methods.two_banks import TwoBanks
from flawsight.model import load
from flawsight.types import Float

GROUPS = [0, 1, 2, 3, 4, 5]
OPTIONS = {"coreset_ratio": 0.5, "dims": 5}


class Levels:
    """Three levels, means of cells of 4, 8 and 16 pixels, of which it counts how often they are asked for."""

    device = "cpu"

    def __init__(self, chosen: tuple[int, ...] = (0, 1, 2)) -> None:
        self.chosen, self.asked = chosen, 0

    @property
    def members(self) -> list[Levels]:
        return [self]

    def features(self, images: Float) -> list[Float]:
        self.asked += len(images)
        n, channels, height, width = images.shape
        cells = (images.reshape(n, channels, height // side, side, width // side, side) for side in (4, 8, 16))
        levels = [np.concatenate([one.mean((3, 5)), one.std((3, 5))], 1).astype(np.float32) for one in cells]
        return [levels[i] for i in self.chosen]


def draw(seed: int, n: int) -> list[Float]:
    return list(np.random.default_rng(seed).normal(size=(n, 3, 48, 64)).astype(np.float32))


def two_banks(levels: Levels, **options: Any) -> TwoBanks:
    made = make("two_banks", {**OPTIONS, **options}, levels)
    assert isinstance(made, TwoBanks)
    return made


def patchcore(chosen: tuple[int, ...], **options: Any) -> PatchCore:
    made = make("patchcore", {**OPTIONS, "blur_sigma": 4.0, **options}, Levels(chosen))
    assert isinstance(made, PatchCore)
    return made


def test_it_is_the_mean_of_two_patchcores_in_units_of_their_held_out_spreads() -> None:
    good, new = draw(0, 6), np.stack(draw(1, 4))
    joined = two_banks(Levels())
    held_out = joined.fit(good, GROUPS)
    banks = [patchcore((1, 0), neighbourhood=3), patchcore((1, 2), neighbourhood=1)]
    own = [bank.fit(good, GROUPS) for bank in banks]
    units = [1.0, own[1].std(dtype=np.float64) / own[0].std(dtype=np.float64)]
    np.testing.assert_allclose(held_out, np.mean([one / unit for one, unit in zip(own, units, strict=True)], 0), rtol=1e-6)
    each = [bank.score(new) for bank in banks]
    scores = joined.score(new)
    np.testing.assert_allclose(scores.image, np.mean([s.image / u for s, u in zip(each, units, strict=True)], 0), rtol=1e-6)
    maps = [s.map for s in each]
    np.testing.assert_allclose(scores.map, np.mean([m / u for m, u in zip(maps, units, strict=True)], 0), rtol=1e-5)


def test_the_network_runs_once_for_each_picture_of_a_fit_and_once_for_a_score() -> None:
    levels = Levels()
    method = two_banks(levels)
    method.need(5)  # it looks once at how large the maps are
    measuring = levels.asked
    method.fit(draw(0, 6), GROUPS)
    assert levels.asked == measuring + 6
    method.score(np.stack(draw(1, 2)))
    assert levels.asked == measuring + 8


def test_what_is_not_kept_for_the_second_bank_is_made_again_and_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, again, levels = two_banks(Levels()), Levels(), draw(0, 6)
    expected = kept.fit(levels, GROUPS)
    monkeypatch.setattr("flawsight.search.streaming.MOST_SPARE", 0)
    made = two_banks(again)
    np.testing.assert_array_equal(made.fit(levels, GROUPS), expected)
    assert again.asked > 12
    for name, array in kept.state().items():
        np.testing.assert_array_equal(made.state()[name], array, err_msg=name)


def test_maps_are_kept_in_what_patches_leave_over() -> None:
    method = two_banks(Levels(), dims=0)
    need = method.need(12)
    assert need.spare == 4 * 6 * (4 + 1 + 1 / 4)  # bytes of floats, channels of each level, cells of all levels for each patch
    enough = need.at_once(1000)
    assert need.beside(1000, enough) == need.beside(1000, enough // 2) == 0
    assert need.beside(1000, enough + 5000) == 2500
    assert need.beside(1000, 10**9) == 1000 * need.spare
    assert Room(10**9, 0, 1000, need).peak == enough + 1000 * need.spare
    assert Room(10**9, 0, 1000, replace(need, spare=0)).peak == enough


def test_the_evidence_is_of_the_bank_whose_worst_patch_lies_where_the_map_is_higher() -> None:
    method = two_banks(Levels())
    method.fit(draw(0, 6), GROUPS)
    odd = draw(1, 8)
    for i, picture in enumerate(odd):
        picture[:, 16 : 16 + 4 * (i + 1), 8:40] += 1
    each = method.each(np.stack(odd))
    scores = method.together(each)
    assert scores.map is not None
    assert scores.peak is not None
    height, width = scores.map.shape[1:]
    for i, found in enumerate(scores.peak):
        heights = {}
        for bank, one in enumerate(each):
            assert one.peak is not None
            top, left, bottom, right = one.peak[i]
            heights[bank] = scores.map[i, int((top + bottom) / 2 * height), int((left + right) / 2 * width)]
        best = max(heights, key=lambda bank: heights[bank])
        np.testing.assert_array_equal(found, each[best].peak[i])
        assert scores.source is not None
        assert scores.source[i] == each[best].source[i]


def test_a_network_of_one_level_is_refused() -> None:
    with pytest.raises(UsageError, match=r"two_banks: expected two levels of the network or more, got one\. Name more levels"):
        two_banks(Levels((1,))).fit(draw(0, 6), GROUPS)
    with pytest.raises(UsageError, match="two_banks: expected two levels of the network or more, got one"):
        fit([np.zeros((64, 64, 3), np.uint8), np.ones((64, 64, 3), np.uint8)], Plan(size=64, levels=("stage5",)))


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"deep_neighbourhood": 2}, "two_banks: deep_neighbourhood must be odd and ≥ 1; got 2"),
        ({"dims": 0, "level_dims": 8, "target_dims": 8, "balance_levels": False}, "two_banks: level_dims must be 0"),
    ],
)
def test_wrong_options_are_refused(wrong: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        two_banks(Levels(), **wrong)


def test_it_is_the_default_and_fits_within_given_memory(plates: DataSet, tmp_path: Any) -> None:
    plan = Plan(size=128)
    model = fit(plates.train, plan)
    assert isinstance(model.method, TwoBanks)
    assert isinstance(model.method, BankMethod)
    assert model.backbone_name == "efficientnet_lite0_whole"
    bounded = fit(plates.train, Plan(size=128, memory="4GB"))
    np.testing.assert_array_equal(bounded.training.held_out, model.training.held_out)
    model.save(tmp_path / "m.flaw")
    picture = plates.test[0].path
    assert load(tmp_path / "m.flaw").predict(picture).score == model.predict(picture).score

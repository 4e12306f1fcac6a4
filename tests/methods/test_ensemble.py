"""Ensembles, against their members scored apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flawsight.bench import bench
from flawsight.datasets import DataSet
from flawsight.errors import NotFitted
from flawsight.fitting import Plan, fit
from flawsight.methods import make
from flawsight.methods.ensemble import Ensemble
from flawsight.methods.patchcore import PatchCore
from flawsight.model import load
from flawsight.types import Float

BOTH = "efficientnet_lite0+efficientnet_lite2"


class Cells:
    """A network whose one level is what `sees` makes of the mean colours of cells of 8 × 8 pixels."""

    device = "cpu"

    def __init__(self, gain: float, channel: int) -> None:
        self.gain, self.channel = gain, channel

    @property
    def members(self) -> list[Cells]:
        return [self]

    def features(self, images: Float) -> list[Float]:
        n, _, high, wide = images.shape
        cells = images[:, self.channel :].reshape(n, -1, high // 8, 8, wide // 8, 8).mean((3, 5))
        return [(self.gain * cells).astype(np.float32)]


class Several:
    def __init__(self, *members: Cells) -> None:
        self.members = members


def draw(seed: int, n: int) -> list[Float]:
    colours = np.random.default_rng(seed).normal(size=(n, 3, 4, 6)).astype(np.float32)
    return list(colours.repeat(8, 2).repeat(8, 3))


def ensemble(*members: Cells, **options: Any) -> Ensemble:
    backbone: Any = Several(*members)
    made = make("ensemble", {"coreset": "identity", "bank_limit": 0, "balance_levels": False, **options}, backbone)
    assert isinstance(made, Ensemble)
    return made


def patchcore(member: Cells, **options: Any) -> PatchCore:
    made = make("patchcore", {"coreset": "identity", "bank_limit": 0, "balance_levels": False, **options}, member)
    assert isinstance(made, PatchCore)
    return made


MEMBERS = (Cells(1.0, 0), Cells(50.0, 1), Cells(0.01, 2))
GROUPS = [0, 1, 2, 3, 4, 5]


def test_scores_and_maps_are_means_of_the_members_in_units_of_the_first() -> None:
    good, new = draw(0, 6), np.stack(draw(1, 4))
    joined = ensemble(*MEMBERS)
    held_out = joined.fit(good, GROUPS)
    image, heat, held = np.zeros(4), np.zeros((4, 32, 48)), np.zeros(6)
    spreads = []
    for member in MEMBERS:
        apart = patchcore(member)
        own = apart.fit(good, GROUPS).astype(np.float64)
        spreads.append(own.std())
        scores = apart.score(new)
        assert scores.map is not None
        factor = spreads[0] / spreads[-1]
        image, heat, held = image + factor * scores.image / 3, heat + factor * scores.map / 3, held + factor * own / 3
    found = joined.score(new)
    np.testing.assert_allclose(found.image, image, rtol=1e-5)
    np.testing.assert_allclose(found.map, heat, rtol=1e-4)
    np.testing.assert_allclose(held_out, held, rtol=1e-5)
    np.testing.assert_array_equal(joined.held_out, held_out)


def test_of_one_network_it_is_its_patchcore() -> None:
    good, new = draw(0, 6), np.stack(draw(1, 3))
    alone, plain = ensemble(MEMBERS[1]), patchcore(MEMBERS[1])
    np.testing.assert_array_equal(alone.fit(good, GROUPS), plain.fit(good, GROUPS))
    for name in ("image", "map", "peak", "source", "source_peak"):
        np.testing.assert_array_equal(getattr(alone.score(new), name), getattr(plain.score(new), name))


def test_a_members_units_do_not_matter() -> None:
    good, new = draw(0, 6), np.stack(draw(1, 3))
    scores = []
    for gain in (1.0, 1e4):
        joined = ensemble(MEMBERS[0], Cells(gain, 1))
        joined.fit(good, GROUPS)
        scores.append(joined.score(new).image)
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-4)


def test_the_evidence_is_that_of_the_member_to_which_the_picture_is_worst() -> None:
    good = draw(0, 6)
    joined = ensemble(Cells(1.0, 0), Cells(1.0, 2))  # all channels; blue alone
    joined.fit(good, GROUPS)
    red, blue = good[2].copy(), good[3].copy()
    red[0, :8, 8:16] += 40
    blue[2, 16:24, 40:48] += 40
    each = joined.each(np.stack([red, blue]))
    scores = joined.together(each)
    scaled = np.stack([one.image for one in each]) / joined.state()["image_scale"][:, 1:]
    assert scaled[0, 0] > scaled[1, 0]
    for i, worst in enumerate(scaled.argmax(0)):
        for name in ("peak", "source", "source_peak"):
            np.testing.assert_array_equal(getattr(scores, name)[i], getattr(each[worst], name)[i])
    assert scores.peak is not None
    np.testing.assert_allclose(scores.peak[0], [0, 1 / 6, 1 / 4, 2 / 6], rtol=1e-6)
    np.testing.assert_allclose(scores.peak[1], [2 / 4, 5 / 6, 3 / 4, 1], rtol=1e-6)


def test_members_that_never_differ_are_left_in_their_units() -> None:
    good = [draw(0, 1)[0]] * 3
    joined = ensemble(Cells(1.0, 0), Cells(2.0, 0))
    assert (joined.fit(good, [0, 1, 2]) == 0).all()
    np.testing.assert_array_equal(joined.state()["image_scale"], [[0, 1], [0, 1]])


def test_rescaled_leaves_the_first_as_it_was() -> None:
    joined = ensemble(*MEMBERS[:2])
    new = np.stack(draw(1, 3))
    held_out = joined.fit(draw(0, 6), GROUPS)
    before = joined.score(new)
    image_scale, map_scale = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[0.0, 1.0], [0.0, 5.0]])
    other = joined.rescaled(image_scale, map_scale)
    each = other.each(new)
    np.testing.assert_allclose(other.score(new).image, ((each[0].image - 1) / 2 + (each[1].image - 3) / 4) / 2, rtol=1e-5)
    assert each[0].map is not None
    assert each[1].map is not None
    np.testing.assert_allclose(other.score(new).map, (each[0].map + each[1].map / 5) / 2, rtol=1e-5)
    np.testing.assert_array_equal(joined.score(new).image, before.image)
    np.testing.assert_array_equal(joined.held_out, held_out)
    own = joined.state()["held_out"]
    np.testing.assert_allclose(other.held_out, ((own[0] - 1) / 2 + (own[1] - 3) / 4) / 2, rtol=1e-5)
    with pytest.raises(NotFitted, match="ensemble: it has not been fitted"):
        ensemble(MEMBERS[0]).rescaled(image_scale, map_scale)


def test_progress_says_which_network_is_at_work() -> None:
    message: list[str] = []
    ensemble(*MEMBERS[:2]).fit(draw(0, 6), GROUPS, lambda what, done, total: message.append(what))
    assert list(dict.fromkeys(message)) == ["scoring good pictures, network 1 of 2", "scoring good pictures, network 2 of 2"]


def test_an_ensemble_of_networks_is_fitted_saved_loaded_and_measured(plates: DataSet, tmp_path: Path) -> None:
    path = tmp_path / "both.flaw"
    model = fit(plates.train, Plan(method="ensemble", backbone=BOTH, size=128))
    model.save(path)
    loaded = load(path)
    assert loaded.backbone_name == BOTH
    assert loaded.backbone.levels == model.backbone.levels
    assert loaded.backbone.origin == model.backbone.origin
    for sample in plates.test[:3]:
        one, other = model.predict(sample), loaded.predict(sample)
        assert (one.score, one.evidence) == (other.score, other.evidence)
        np.testing.assert_array_equal(one.map, other.map)
    apart = [fit(plates.train, Plan(method="patchcore", backbone=name, size=128)) for name in BOTH.split("+")]
    units = [1, apart[0].training.held_out.astype(float).std() / apart[1].training.held_out.astype(float).std()]
    mean = np.mean([unit * one.training.held_out for unit, one in zip(units, apart, strict=True)], 0)
    np.testing.assert_allclose(model.training.held_out, mean, rtol=1e-4)
    measured = bench(path, seconds=0.1)
    assert measured.bank_rows == sum(len(one.method.state()["bank"]) for one in apart)
    assert measured.runtimes["onnxruntime"].stages["network"].p50_ms > 0


def test_patchcore_may_take_the_levels_of_several_networks(plates: DataSet) -> None:
    model = fit(plates.train, Plan(method="patchcore", backbone=BOTH, size=128))
    assert model.method.state()["bank"].shape[1] == 40 + 112 + 48 + 120
    assert np.isfinite(model.training.held_out).all()

"""ITAE: what was erased is restored as good pictures have it, so a wrong colour or a part the wrong way round stands out."""

from __future__ import annotations

import itertools
from functools import cache
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from flawsight.backbones import PIXELS, open_backbone  # noqa: E402
from flawsight.backbones.onnx import Graph  # noqa: E402
from flawsight.errors import UsageError  # noqa: E402
from flawsight.methods import make  # noqa: E402
from flawsight.methods.base import Method  # noqa: E402
from flawsight.methods.itae import ITAE, erased  # noqa: E402
from flawsight.types import Float  # noqa: E402

SMALL = {"side": 32, "width": 4, "steps": 150, "batch": 8, "lr": 5e-3, "held_out": 0.0}


def method(**options: Any) -> Method:
    return make("itae", {**SMALL, **options}, open_backbone(PIXELS))


def letters(n: int, seed: int = 0) -> list[Float]:
    """A red F on a dark ground, a little elsewhere each time: it looks another way each time it is turned."""
    rng = np.random.default_rng(seed)
    pictures = rng.normal(0.1, 0.02, (n, 3, 32, 32)).astype(np.float32)
    for picture, (top, left) in zip(pictures, rng.integers(4, 7, (n, 2)), strict=True):
        for high, wide in ((slice(0, 20), slice(0, 5)), (slice(0, 5), slice(0, 15)), (slice(8, 12), slice(0, 11))):
            rows, columns = slice(top + high.start, top + high.stop), slice(left + wide.start, left + wide.stop)
            picture[:, rows, columns] = np.array([0.9, 0.5, 0.1], np.float32)[:, None, None]
    return list(pictures.clip(0, 1))


def in_light(pictures: list[Float], seed: int) -> list[Float]:
    """The same in redder or bluer light; what they are in grey stays."""
    found = []
    for picture, redder in zip(pictures, np.random.default_rng(seed).uniform(-0.8, 0.8, len(pictures)), strict=True):
        lit = picture * np.array([1 + redder, 1, 1 - redder], np.float32)[:, None, None]
        found.append(lit * (picture.mean(0) / lit.mean(0)))
    return found


@cache
def fitted(turned: bool = True, grey: bool = False) -> Method:
    made = method(turned=turned, grey=grey)
    made.fit(letters(30), list(range(30)))
    return made


@pytest.mark.kernels
def test_a_wrong_colour_stands_out_though_its_grey_is_right() -> None:
    clean = np.stack(letters(10, 1))
    wrong = clean[:, ::-1].copy()
    np.testing.assert_allclose(wrong.mean(1), clean.mean(1), rtol=1e-6)  # the network is given the same
    for turned in (True, False):
        good, bad = fitted(turned).score(clean), fitted(turned).score(wrong)
        assert good.map is None
        assert bad.image.min() > 1.5 * good.image.max()


@pytest.mark.kernels
@pytest.mark.parametrize("grey", [False, True])
def test_a_part_the_wrong_way_round_stands_out(grey: bool) -> None:
    clean = np.stack(letters(10, 1))
    good = fitted(grey=grey).score(clean)
    for quarters in (1, 2, 3):
        turned = np.rot90(clean, quarters, (2, 3)).copy()
        assert fitted(grey=grey).score(turned).image.min() > 1.5 * good.image.max()


@pytest.mark.kernels
def test_the_lights_colour_moves_the_score_unless_pictures_are_grey() -> None:
    seen, other = (np.stack(in_light(letters(10, 1), seed)) for seed in (1, 2))
    np.testing.assert_allclose(fitted(grey=True).score(other).image, fitted(grey=True).score(seen).image, rtol=1e-3)
    assert np.abs(fitted().score(other).image / fitted().score(seen).image - 1).mean() > 0.1  # 0.28 or more


def test_the_score_is_of_each_turn_the_error_beside_that_of_good_pictures() -> None:
    state, picture = fitted().state(), letters(1, 3)[0]
    network = Graph(state["network"].tobytes())
    ratios = []
    for quarters in range(4):
        left = np.rot90((2 * picture - 1).mean(0), quarters)
        restored = network({"pictures": np.ascontiguousarray(left)[None, None]})[0][0]
        ratios.append(np.abs(restored - (2 * picture - 1)).mean() / state["usual"][quarters])
    assert state["usual"].shape == (4,)
    np.testing.assert_allclose(fitted().score(picture[None]).image[0], np.mean(ratios), rtol=1e-5)


@pytest.mark.parametrize(("turned", "grey"), [(True, False), (False, False), (True, True)])
def test_good_pictures_score_1_in_the_mean(turned: bool, grey: bool) -> None:
    assert fitted(turned, grey).state()["usual"].shape == (4 if turned else 1,)
    assert fitted(turned, grey).score(np.stack(letters(30))).image.mean() == pytest.approx(1, rel=1e-4)


def test_what_is_left_is_grey_and_turned() -> None:
    picture = np.zeros((3, 2, 2), np.float32)
    picture[0] = [[3, 6], [9, 12]]
    np.testing.assert_array_equal(erased(picture, 0), [[[1, 2], [3, 4]]])
    np.testing.assert_array_equal(erased(picture, 1), [[[2, 4], [1, 3]]])


def test_it_is_shown_each_turn_and_mirrors_left_to_right_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []

    class Recording(torch.nn.Conv2d):  # type: ignore[misc]
        def __init__(self, before: int, after: int, _: int) -> None:
            super().__init__(before, after, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            shown.extend(x.detach().numpy())
            return super().forward(x)

    monkeypatch.setattr("flawsight.networks.unet.UNet", Recording)
    picture = letters(1)[0]
    for flips in (False, True):
        shown.clear()
        method(steps=8, flips=flips).fit([picture], [0])
        upright = (2 * picture - 1).mean(0)
        ways = [np.rot90(one, turn) for one in (upright, upright[:, ::-1])[: 1 + flips] for turn in range(4)]
        drawn = shown[: 8 * 8]
        found = {next(i for i, way in enumerate(ways) if np.allclose(one[0], way, atol=1e-5)) for one in drawn}
        assert found == set(range(len(ways)))


@pytest.mark.parametrize(("optimiser", "last"), [("adam", 0.01), ("sgd", 2.0**-10)])
def test_the_rate_falls_as_its_schedule_says(optimiser: str, last: float) -> None:
    made = method(optimiser=optimiser, steps=20, lr=0.1)
    assert isinstance(made, ITAE)
    follows, schedule = made._descent(torch.nn.Linear(1, 1))
    assert type(follows).__name__.lower() == optimiser
    rates = [follows.param_groups[0]["lr"]]
    for _ in range(20):
        follows.step()
        schedule.step()
        rates.append(follows.param_groups[0]["lr"])
    assert rates[0] == 0.1
    assert rates[-1] == pytest.approx(0.1 * last)
    assert all(after <= before for before, after in itertools.pairwise(rates))


@pytest.mark.kernels
def test_plain_descent_learns_too() -> None:
    losses = []
    for steps in (2, 60):
        made = method(optimiser="sgd", lr=0.1, steps=steps)
        made.fit(letters(20), list(range(20)))
        losses.append(float(made.state()["loss"][0]))
    assert losses[1] < losses[0] / 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"side": 40}, "side must be a multiple of 16; got 40"),
        ({"width": 0}, "width must be ≥ 1; got 0"),
        ({"optimiser": "adamw"}, "optimiser must be adam or sgd; got 'adamw'"),
        ({"grey": True, "turned": False}, "turned must be true where grey is, or nothing would be erased; got False"),
    ],
)
def test_params_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"itae: {message}"):
        method(**options)

"""DSEBM: what it learned has little energy, and training takes noise away."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import ndimage

torch = pytest.importorskip("torch")

from flawsight.backbones import PIXELS, open_backbone  # noqa: E402
from flawsight.errors import UsageError  # noqa: E402
from flawsight.methods import make  # noqa: E402
from flawsight.methods.base import Method  # noqa: E402
from flawsight.types import Float  # noqa: E402

SMALL = {"side": 32, "width": 8, "units": 32, "steps": 100, "batch": 16, "held_out": 0.0}


def method(**options: Any) -> Method:
    return make("dsebm", {**SMALL, **options}, open_backbone(PIXELS))


def discs(n: int, seed: int = 0, ground: float = 0.2) -> list[Float]:
    """A bright disc on a dark ground, a little elsewhere each time."""
    rng = np.random.default_rng(seed)
    down, right = np.mgrid[:32, :32]
    found = []
    for y, x in rng.uniform(15, 17, (n, 2)):
        disc = ndimage.gaussian_filter((np.hypot(down - y, right - x) < 8).astype(np.float32), 1)
        found.append(np.repeat(ground + (0.8 - ground) * disc[None], 3, 0).astype(np.float32))
    return found


@pytest.mark.kernels
@pytest.mark.parametrize("by", ["energy", "gradient"])
def test_a_part_with_a_hole_has_more_energy(by: str) -> None:
    fitted = method(by=by)
    fitted.fit(discs(20), list(range(20)))
    good = np.stack(discs(10, 1))
    pierced = good.copy()
    pierced[:, :, 12:20, 12:20] = 0.2
    found, expected = fitted.score(pierced), fitted.score(good)
    assert found.map is None
    assert found.image.min() > expected.image.max()


@pytest.mark.kernels
@pytest.mark.parametrize("by", ["energy", "gradient"])
def test_soft_plus_units_and_b_at_the_mean_do_it_too(by: str) -> None:
    fitted = method(by=by, ending="soft-plus", start="mean")
    fitted.fit(discs(20), list(range(20)))
    good = np.stack(discs(10, 1))
    pierced = good.copy()
    pierced[:, :, 12:20, 12:20] = 0.2
    assert fitted.score(pierced).image.min() > fitted.score(good).image.max()


def test_b_starts_at_zero_or_at_the_mean() -> None:
    """After one small step of learning the energy of the mean picture is that of b, or far from it."""
    pictures = discs(20)
    mean = np.mean(pictures, 0)[None]
    energies = []
    for start in ("zero", "mean"):
        fitted = method(steps=1, lr=1e-6, by="gradient", start=start)
        fitted.fit(pictures, list(range(20)))
        energies.append(float(fitted.score(mean).image[0]))
    far = float(((2 * mean - 1) ** 2).sum())
    assert energies[0] > far / 2
    assert energies[1] < far / 10


def test_training_lowers_the_loss() -> None:
    short, long = method(steps=2), method(steps=300, lr=3e-3)
    losses = []
    for one in (short, long):
        one.fit(discs(20), list(range(20)))
        losses.append(float(one.state()["loss"][0]))
    assert losses[1] < losses[0] / 2


def test_pictures_of_any_size_are_brought_to_one() -> None:
    fitted = method(steps=5)
    fitted.fit(discs(4), [0, 1, 2, 3])
    picture = discs(1, 2)[0]
    large = np.repeat(np.repeat(picture, 3, 1), 2, 2)
    one, other = (float(fitted.score(x[None]).image[0]) for x in (picture, large))
    assert one == pytest.approx(other, rel=0.1)  # resizing blurs it a little


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"side": 48}, "side must be one of 16, 32, 64, 128; got 48"),
        ({"noise": 0.0}, "noise must be above 0 and at most 2"),
        ({"ending": "softplus"}, "ending must be rectified or soft-plus; got 'softplus'"),
        ({"start": "random"}, "start must be zero or mean; got 'random'"),
        ({"by": "reconstruction"}, "by must be energy or gradient; got 'reconstruction'"),
    ],
)
def test_params_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"dsebm: {message}"):
        method(**options)

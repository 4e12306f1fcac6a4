"""γ-VAE + grad.: a defect is what a picture loses on its way to what can be repeated."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import ndimage

torch = pytest.importorskip("torch")

from flawsight.backbones import PIXELS, open_backbone  # noqa: E402
from flawsight.errors import MissingExtra, UsageError  # noqa: E402
from flawsight.methods import make  # noqa: E402
from flawsight.methods.base import Method  # noqa: E402
from flawsight.networks.projection import Descent, project  # noqa: E402
from flawsight.networks.ssim import similarity  # noqa: E402
from flawsight.networks.variational import GammaVariational, from_arrays  # noqa: E402
from flawsight.types import Float  # noqa: E402

pytestmark = pytest.mark.xdist_group("gamma_vae_grad")  # one training serves most of these tests

SMALL = {
    "crop": 64,
    "stride": 64,
    "width": 8,
    "latent": 16,
    "steps": 600,
    "batch": 4,
    "lr": 2e-3,
    "held_out": 0.0,
    "iterations": 20,
}


def discs(n: int, seed: int = 0) -> list[Float]:
    """A bright disc on a dark ground, a little elsewhere each time."""
    rng = np.random.default_rng(seed)
    down, right = np.mgrid[:64, :64]
    at = rng.uniform(28, 36, (n, 2))
    soft = [ndimage.gaussian_filter((np.hypot(down - y, right - x) < 14).astype(np.float32), 1) for y, x in at]
    return [np.repeat(0.2 + 0.6 * one[None], 3, 0) for one in soft]


@pytest.fixture(scope="module")
def fitted() -> Method:
    method = make("gamma_vae_grad", SMALL, open_backbone(PIXELS))
    method.fit(discs(20), list(range(20)))
    return method


@pytest.mark.kernels
def test_a_spot_is_what_moves(fitted: Method, share_within: Callable[[Float, slice, slice], float]) -> None:
    clean = np.stack(discs(5, 1))
    spotted = clean.copy()
    spotted[:, :, 4:12, 4:12] = 0.9
    good, bad = fitted.score(clean), fitted.score(spotted)
    assert bad.image.min() > 1.3 * good.image.max()  # 1.7 or more in three trainings
    assert bad.map is not None
    for heat in bad.map:
        assert heat[4:12, 4:12].mean() > 10 * np.median(heat)
        assert share_within(heat, slice(4, 12), slice(4, 12)) > 0.5  # 0.02 by chance


@pytest.mark.kernels
def test_the_map_may_be_blurred(fitted: Method) -> None:
    spotted = np.stack(discs(1, 1))
    spotted[:, :, 4:12, 4:12] = 0.9
    blurred = make("gamma_vae_grad", {**SMALL, "blur_sigma": 2.0}, open_backbone(PIXELS)).with_state(fitted.state())
    plain, soft = fitted.score(spotted).map, blurred.score(spotted).map
    assert plain is not None
    assert soft is not None
    np.testing.assert_allclose(soft[0], ndimage.gaussian_filter(plain[0], 2), atol=1e-4)


@pytest.mark.kernels
@pytest.mark.parametrize("difference", ["absolute", "squared", "similarity"])
@pytest.mark.parametrize("normalised", [False, True])
def test_the_map_is_the_difference_that_is_asked_for(fitted: Method, difference: str, normalised: bool) -> None:
    spotted = np.stack(discs(1, 1))
    spotted[:, :, 4:12, 4:12] = 0.9
    state = fitted.state()
    options = {**SMALL, "difference": difference, "normalised": normalised}
    found = make("gamma_vae_grad", options, open_backbone(PIXELS)).with_state(state).score(spotted).map
    network, start = from_arrays(GammaVariational(64, 8, 16), state, "cpu"), torch.from_numpy(spotted)
    end, _ = project(network.repeated, start, Descent(0.5, 0.05, 20, float(state["stop"][0]), normalised))
    away = start - end
    expected = {"absolute": away.abs(), "squared": away**2, "similarity": 1 - similarity(start, end)}[difference].mean(1)
    assert found is not None
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5, atol=1e-7)
    assert found[0, 4:12, 4:12].mean() > 3 * np.median(found)


def test_another_difference_is_refused() -> None:
    with pytest.raises(UsageError, match="gamma_vae_grad: difference must be absolute, squared or similarity; got 'plain'"):
        make("gamma_vae_grad", {"difference": "plain"}, open_backbone(PIXELS))


def test_it_needs_torch_to_score(fitted: Method, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flawsight.methods.learned.find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match="gamma_vae_grad, to score: needs torch"):
        make("gamma_vae_grad", SMALL, open_backbone(PIXELS)).with_state(fitted.state())

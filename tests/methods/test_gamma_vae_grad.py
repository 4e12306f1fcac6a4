"""γ-VAE + grad.: a defect is what a picture loses on its way to what can be repeated."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

pytest.importorskip("torch")

from flawsight.backbones import PIXELS, open_backbone
from flawsight.errors import MissingExtra
from flawsight.methods import make
from flawsight.methods.base import Method
from flawsight.types import Float

SMALL = {"crop": 64, "stride": 64, "width": 8, "latent": 8, "steps": 300, "batch": 4, "lr": 2e-3, "held_out": 0.0, "iterations": 20}


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


def test_a_spot_is_what_moves(fitted: Method) -> None:
    clean = np.stack(discs(5, 1))
    spotted = clean.copy()
    spotted[:, :, 4:10, 4:10] = 0.9
    good, bad = fitted.score(clean), fitted.score(spotted)
    assert bad.image.min() > 1.3 * good.image.max()
    assert bad.map is not None
    for heat in bad.map:
        assert heat[4:10, 4:10].mean() > 10 * np.median(heat)
        row, column = np.unravel_index(int(heat.argmax()), heat.shape)
        assert 4 <= row < 10
        assert 4 <= column < 10


def test_the_map_may_be_blurred(fitted: Method) -> None:
    spotted = np.stack(discs(1, 1))
    spotted[:, :, 4:10, 4:10] = 0.9
    blurred = make("gamma_vae_grad", {**SMALL, "blur_sigma": 2.0}, open_backbone(PIXELS)).with_state(fitted.state())
    plain, soft = fitted.score(spotted).map, blurred.score(spotted).map
    assert plain is not None
    assert soft is not None
    np.testing.assert_allclose(soft[0], ndimage.gaussian_filter(plain[0], 2), atol=1e-4)


def test_it_needs_torch_to_score(fitted: Method, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flawsight.methods.learned.find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match="gamma_vae_grad, to score: needs torch"):
        make("gamma_vae_grad", SMALL, open_backbone(PIXELS)).with_state(fitted.state())

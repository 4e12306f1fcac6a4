"""vis. expl. VAE: its map is what its network's attention is."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from flawsight.backbones import PIXELS, open_backbone  # noqa: E402
from flawsight.errors import UnknownName  # noqa: E402
from flawsight.methods import make  # noqa: E402
from flawsight.networks.attention import Explained, attention  # noqa: E402
from flawsight.networks.variational import from_arrays  # noqa: E402

SMALL = {"crop": 64, "stride": 64, "width": 4, "latent": 3, "steps": 30, "batch": 4, "lr": 2e-3, "held_out": 0.0}


def test_the_map_is_the_attention_of_what_was_learned() -> None:
    pictures = list(np.random.default_rng(0).random((6, 3, 64, 64), np.float32))
    fitted = make("expvae", SMALL, open_backbone(PIXELS))
    fitted.fit(pictures, list(range(6)))
    network = from_arrays(Explained(64, 4, 3), fitted.state(), "cpu")
    for changes in ({}, {"layer": "layer3.0.conv1", "each": False, "rectified": True}):
        method = make("expvae", {**SMALL, **changes}, open_backbone(PIXELS)).with_state(fitted.state())
        scores = method.score(np.stack(pictures[:1]))
        p = method.params
        expected = attention(network, torch.from_numpy(pictures[0])[None], p.layer, p.each, p.rectified)[0].numpy()
        assert scores.map is not None
        np.testing.assert_allclose(scores.map[0], expected, rtol=1e-5)
        assert scores.image[0] == scores.map[0].max()
        assert expected.max() > 0


def test_the_normal_difference_is_from_the_good_pictures_numbers() -> None:
    pictures = list(np.random.default_rng(0).random((6, 3, 64, 64), np.float32))
    method = make("expvae", {**SMALL, "numbers": "difference"}, open_backbone(PIXELS))
    method.fit(pictures, list(range(6)))
    state = method.state()
    network = from_arrays(Explained(64, 4, 3), state, "cpu")
    means, log_variances = network.encoder(torch.from_numpy(np.stack(pictures))).chunk(2, 1)
    literal = means.var(0, correction=0) + log_variances.exp().mean(0)
    np.testing.assert_allclose(state["usual_variance"], literal.numpy(), rtol=0.2)  # of 256 drawn ones, not of each once
    found = method.score(np.stack(pictures[:1])).map
    usual = torch.from_numpy(state["usual_variance"])
    expected = attention(network, torch.from_numpy(pictures[0])[None], "layer2.1.conv1", True, False, usual)
    assert found is not None
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5)
    with pytest.raises(UnknownName, match="expvae: numbers: there is no 'mean'"):
        make("expvae", {"numbers": "mean"}, open_backbone(PIXELS))


@pytest.mark.kernels
def test_it_learns_to_repeat() -> None:
    pictures = list(np.random.default_rng(0).random((6, 3, 8, 8), np.float32).repeat(8, 2).repeat(8, 3))
    losses = []
    for steps in (2, 60):
        method = make("expvae", {**SMALL, "steps": steps}, open_backbone(PIXELS))
        method.fit(pictures, list(range(6)))
        losses.append(float(method.state()["loss"][0]))
    assert losses[1] < losses[0] - 0.02


def test_another_layer_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"expvae: layer: there is no 'layer2.1.conv3'\. Did you mean layer2"):
        make("expvae", {"layer": "layer2.1.conv3"}, open_backbone(PIXELS))

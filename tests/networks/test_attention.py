"""Where the encoder looks, beside the definition taken literally."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from flawsight.methods.expvae import LAYERS  # noqa: E402
from flawsight.networks.attention import Explained, attention  # noqa: E402

GRIDS = [("layer1.0.conv1", 32), ("layer2.1.conv1", 16), ("layer3.0.conv2", 8), ("layer4.1.conv2", 4)]


@pytest.fixture(scope="module")
def network() -> Explained:
    torch.manual_seed(0)
    made = Explained(64, 4, 3)
    made.train()
    made(torch.rand(16, 3, 64, 64))  # normalisation gets statistics of its own
    return made.eval().requires_grad_(False)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize(("each", "rectified"), [(True, False), (True, True), (False, False), (False, True)])
def test_it_is_the_definition(layer: str, each: bool, rectified: bool, network: Explained) -> None:
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    kept = []
    handle = network.encoder.get_submodule(layer).register_forward_hook(lambda _, __, out: kept.append(out))
    means = network.encoder(picture.clone().requires_grad_())[0, :3]
    handle.remove()
    total = 0
    for number in means if each else [means.sum()]:
        gradient = torch.autograd.grad(number, kept[0], retain_graph=True)[0][0]
        one = sum(gradient[k].mean() * kept[0][0, k] for k in range(len(gradient)))
        total = total + (one.clamp(min=0) if rectified else one.abs())
    expected = (total / (3 if each else 1)).detach()
    large = torch.nn.functional.interpolate(expected[None, None], (64, 64), mode="bilinear")[0, 0]
    torch.testing.assert_close(attention(network, picture, layer, each, rectified)[0], large)


@pytest.mark.parametrize(("each", "rectified"), [(True, False), (True, True), (False, False), (False, True)])
def test_of_the_normal_difference_it_is_the_mean_over_draws(each: bool, rectified: bool, network: Explained) -> None:
    layer, generator = "layer2.1.conv1", torch.Generator().manual_seed(1)
    picture, usual = torch.rand(1, 3, 64, 64, generator=generator), torch.tensor([0.5, 0.1, 0.01])
    half = torch.randn(300, 3, generator=generator)
    outputs, layer_found = network.encoder.with_layer(picture.requires_grad_(), layer)
    total = 0
    for draw in torch.cat([half, -half]):
        numbers = 0.3 - outputs[0, :3] + draw * (usual + outputs[0, 3:].exp()).sqrt()  # 0.3: what good pictures have
        for number in numbers if each else [numbers.sum()]:
            gradient = torch.autograd.grad(number, layer_found, retain_graph=True)[0][0]
            one = (gradient.mean((1, 2))[:, None, None] * layer_found[0]).sum(0).detach()
            total = total + (one.clamp(min=0) if rectified else one.abs()) / (3 if each else 1) / (2 * len(half))
    expected = torch.nn.functional.interpolate(total[None, None], (64, 64), mode="bilinear")[0, 0]
    found = attention(network, picture, layer, each, rectified, usual)[0]
    assert float((found - expected).abs().max()) < 0.05 * float(expected.max())
    plain = attention(network, picture, layer, each, rectified)[0]
    assert float((plain - found).abs().max()) > 0.02 * float(found.max())  # so that the draws do count


@pytest.mark.parametrize(("layer", "cells"), GRIDS)
def test_layers_have_their_grids(layer: str, cells: int, network: Explained) -> None:
    outputs, found = network.encoder.with_layer(torch.rand(2, 3, 64, 64), layer)
    assert outputs.shape == (2, 6)
    assert found.shape[2:] == (cells, cells)


@pytest.mark.parametrize("side", [64, 128, 256])
def test_what_comes_out_is_a_picture(side: int) -> None:
    assert Explained(side, 2, 3).eval().repeated(torch.rand(2, 3, side, side)).shape == (2, 3, side, side)

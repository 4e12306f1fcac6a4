"""The networks of GANomaly: their layers for each side, how they start, and what they leave torch as."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from flawsight.backbones.onnx import Graph  # noqa: E402
from flawsight.methods.ganomaly import SIDES  # noqa: E402
from flawsight.networks import export, gan  # noqa: E402

CONVOLUTIONS = torch.nn.Conv2d | torch.nn.ConvTranspose2d


def shapes(network: torch.nn.Module) -> list[tuple[int, ...]]:
    layers = [layer for layer in network.modules() if isinstance(layer, CONVOLUTIONS)]
    assert all(layer.kernel_size == (4, 4) and layer.bias is None for layer in layers)
    return [(layer.in_channels, layer.out_channels, layer.stride[0], layer.padding[0]) for layer in layers]


def test_for_64_pixels_the_layers_are_the_code_s() -> None:
    encoder, decoder = gan.encoder(64, 64, 100), gan.decoder(64, 64, 100)
    assert shapes(encoder) == [(3, 64, 2, 1), (64, 128, 2, 1), (128, 256, 2, 1), (256, 512, 2, 1), (512, 100, 1, 0)]
    assert shapes(decoder) == [(100, 512, 1, 0), (512, 256, 2, 1), (256, 128, 2, 1), (128, 64, 2, 1), (64, 3, 2, 1)]
    names = [[type(layer).__name__ for layer in network] for network in (encoder, decoder)]
    whole = ["Conv2d", "BatchNorm2d", "LeakyReLU"]
    assert names[0] == ["Conv2d", "LeakyReLU", *whole * 3, "Conv2d"]
    assert names[1] == [*["ConvTranspose2d", "BatchNorm2d", "ReLU"] * 4, "ConvTranspose2d", "Tanh"]


@pytest.mark.parametrize("side", SIDES)
def test_any_side_passes_through_4_by_4_places(side: int) -> None:
    pictures = torch.rand(2, 3, side, side)
    made, z, again = gan.Generator(side, 2, 5)(pictures)
    assert made.shape == pictures.shape
    assert z.shape == again.shape == (2, 5)
    features, logits = gan.Discriminator(side, 2)(pictures)
    assert features.shape == (2, side // 4, 4, 4)
    assert logits.shape == (2,)


def test_the_encoders_of_a_generator_have_weights_of_their_own() -> None:
    generator = gan.Generator(32, 2, 5)
    assert shapes(generator.encoder) == shapes(generator.again)
    assert not {id(one) for one in generator.encoder.parameters()} & {id(one) for one in generator.again.parameters()}


def test_features_are_what_the_logit_is_made_of() -> None:
    judge = gan.Discriminator(32, 2)
    features, logits = judge(torch.rand(3, 3, 32, 32))
    torch.testing.assert_close(logits, (features * judge.last.weight).sum((1, 2, 3)))


def test_all_layers_start_as_in_dcgan() -> None:
    torch.manual_seed(0)
    network = gan.Generator(32, 16, 50).apply(gan.begin)
    for layer in network.modules():
        if isinstance(layer, CONVOLUTIONS):
            assert float(layer.weight.detach().std()) == pytest.approx(0.02, rel=0.1)
        elif isinstance(layer, torch.nn.BatchNorm2d):
            assert float(layer.weight.detach().mean()) == pytest.approx(1, abs=0.02)
            assert float(layer.weight.detach().std()) == pytest.approx(0.02, rel=0.5)
            assert not layer.bias.detach().any()


def test_the_discriminator_s_loss_is_half_of_both_cross_entropies() -> None:
    real, made = [0.3, -1.2], [2.0, 0.1]
    share = [1 / (1 + math.exp(-logit)) for logit in (*real, *made)]
    expected = -(math.log(share[0]) + math.log(share[1]) + math.log(1 - share[2]) + math.log(1 - share[3])) / 4
    assert float(gan.told_apart(torch.tensor(real), torch.tensor(made))) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("squared", [True, False])
def test_the_distance_leaves_torch_as_a_graph(squared: bool) -> None:
    torch.manual_seed(0)
    generator = gan.Generator(32, 4, 8)
    with torch.no_grad():
        for _ in range(3):
            generator(torch.randn(4, 3, 32, 32))  # normalisation that is not 0 and 1
    distance, pictures = gan.CodeDistance(generator, squared).eval(), torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        z = generator.encoder(pictures)[..., 0, 0]
        apart = z - generator.again(generator.decoder(z[..., None, None]))[..., 0, 0]
        found = distance(pictures)
    torch.testing.assert_close(found, (apart**2 if squared else apart.abs()).mean(1))
    graph = Graph(export.graph(distance, pictures[:1]).tobytes())
    np.testing.assert_allclose(graph({"pictures": pictures.numpy()})[0], found.numpy(), rtol=1e-4)


def test_beside_others_it_is_normalised_as_in_training() -> None:
    torch.manual_seed(0)
    generator = gan.Generator(32, 4, 8).apply(gan.begin)
    beside, pictures = torch.randn(5, 3, 32, 32), torch.randn(2, 3, 32, 32)
    distance = gan.CodeDistance(generator, True, beside)
    graph = Graph(export.graph(distance, pictures[:1]).tobytes())
    for some in (pictures[:1], pictures):
        with torch.no_grad():
            _, z, again = generator.train()(torch.cat([some, beside]))
        found = graph({"pictures": some.numpy()})[0]
        np.testing.assert_allclose(found, ((z - again) ** 2).mean(1)[: len(some)].numpy(), rtol=1e-3)
    with torch.no_grad():
        assert not torch.allclose(distance(pictures[:1]), gan.CodeDistance(generator.eval(), True)(pictures[:1]), rtol=0.1)

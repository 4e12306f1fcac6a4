"""The encoder and decoder of AE_SSIM: their layers, for each side."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from flawsight.methods.learned import SIDES  # noqa: E402
from flawsight.networks.autoencoder import autoencoder  # noqa: E402


@pytest.mark.parametrize("side", SIDES)
def test_any_side_passes_through_so_many_numbers(side: int) -> None:
    network = autoencoder(side, 4, 7)
    pictures = torch.rand(2, 3, side, side)
    assert network[0](pictures).shape == (2, 7, 1, 1)
    found = network(pictures)
    assert found.shape == pictures.shape
    assert 0 < float(found.detach().min()) <= float(found.detach().max()) < 1


def test_for_128_pixels_the_layers_are_the_paper_s() -> None:
    layers = [layer for layer in autoencoder(128, 32, 100).modules() if hasattr(layer, "kernel_size")]
    found = [(layer.in_channels, layer.out_channels, layer.kernel_size[0], layer.stride[0]) for layer in layers]
    encoder = [(3, 32, 4, 2), (32, 32, 4, 2), (32, 32, 3, 1), (32, 64, 4, 2), (64, 64, 3, 1), (64, 128, 4, 2), (128, 64, 3, 1)]
    encoder += [(64, 32, 3, 1), (32, 100, 8, 1)]
    decoder = [(100, 32, 8, 1), (32, 64, 3, 1), (64, 128, 3, 1), (128, 64, 4, 2), (64, 64, 3, 1), (64, 32, 4, 2), (32, 32, 3, 1)]
    decoder += [(32, 32, 4, 2), (32, 3, 4, 2)]
    assert found == encoder + decoder

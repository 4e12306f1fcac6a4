"""The U-Net: its layers, what passes through it, and that it leaves torch as it is."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from flawsight.backbones.onnx import Graph  # noqa: E402
from flawsight.methods import itae  # noqa: E402
from flawsight.networks import export, unet  # noqa: E402


def test_the_layers_are_the_paper_s() -> None:
    network = unet.UNet(1, 3, 64)
    layers = [layer for layer in network.modules() if isinstance(layer, torch.nn.Conv2d)]
    assert all((layer.kernel_size, layer.stride, layer.padding) == ((3, 3), (1, 1), (1, 1)) for layer in layers)
    down = [(1, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 512), (512, 512), (512, 512), (512, 512)]
    up = [(1024, 256), (256, 256), (512, 128), (128, 128), (256, 64), (64, 64), (128, 64), (64, 64)]
    assert [(layer.in_channels, layer.out_channels) for layer in layers] == [*down, *up, (64, 3)]


@pytest.mark.parametrize("hw", [(16, 16), (32, 48), (80, 64)])
def test_any_multiple_of_16_passes(hw: tuple[int, int]) -> None:
    assert unet.MULTIPLE == itae.MULTIPLE
    torch.manual_seed(0)
    found = unet.UNet(1, 3, 2)(100 * torch.randn(2, 1, *hw)).detach()
    assert found.shape == (2, 3, *hw)
    assert -1 <= float(found.min()) < 0 < float(found.max()) <= 1


def test_what_lies_beside_reaches_the_end() -> None:
    """Without the way through the depths, the first layers alone still tell what comes out."""
    torch.manual_seed(0)
    network = unet.UNet(1, 3, 2).eval()
    network.enlarge = torch.nn.Sequential(network.enlarge, torch.nn.Threshold(torch.inf, 0.0))  # nothing from below
    with torch.no_grad():
        one, other = network(torch.randn(2, 1, 32, 32))
    assert (one - other).abs().max() > 1e-3


def test_it_leaves_torch_as_a_graph() -> None:
    torch.manual_seed(0)
    network = unet.UNet(1, 3, 4)
    with torch.no_grad():
        for _ in range(3):
            network(torch.randn(4, 1, 32, 32))  # normalisation that is not 0 and 1
        pictures = torch.randn(3, 1, 32, 32)
        graph = Graph(export.graph(network, torch.zeros(1, 1, 32, 32)).tobytes())
        np.testing.assert_allclose(graph({"pictures": pictures.numpy()})[0], network(pictures).numpy(), atol=1e-5)

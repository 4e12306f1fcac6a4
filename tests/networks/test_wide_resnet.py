"""The wide residual network: its layers for 64 and 32 pixels as in the paper's code."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from flawsight.networks.wide_resnet import wide_resnet  # noqa: E402


@pytest.mark.parametrize(("side", "depth", "width", "left"), [(64, 16, 8, 4), (32, 10, 4, 1)])
def test_the_layers_are_the_paper_s(side: int, depth: int, width: int, left: int) -> None:
    network = wide_resnet(side, depth, width, 72)
    layers = [layer for layer in network.modules() if isinstance(layer, torch.nn.Conv2d)]
    threes = [layer for layer in layers if layer.kernel_size == (3, 3)]
    assert len(threes) == depth - 3  # with those of the shortcuts and the dense one, depth in all
    assert [layer.stride[0] for layer in layers if layer.kernel_size == (1, 1)] == [1, 2, 2]
    assert sorted({layer.out_channels for layer in layers}) == [16, 16 * width, 32 * width, 64 * width]
    assert network[-1].in_features == left * 64 * width


def test_shapes_and_the_start() -> None:
    torch.manual_seed(0)
    network = wide_resnet(32, 10, 4, 8)
    assert network(torch.randn(2, 3, 32, 32)).shape == (2, 8)
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d) and layer.weight.numel() > 5000:
            expected = (2 / layer.weight[0].numel()) ** 0.5
            assert float(layer.weight.detach().std()) == pytest.approx(expected, rel=0.05)


def test_the_shortcut_takes_what_is_activated() -> None:
    block = wide_resnet(32, 10, 1, 8)[2].eval()
    with torch.no_grad():
        x = torch.randn(1, 16, 8, 8)
        block.layers[1].weight.zero_()
        torch.testing.assert_close(block(x), block.shortcut(block.norms[0](x).relu()))

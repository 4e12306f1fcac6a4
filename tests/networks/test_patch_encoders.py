"""PatchSVDD's networks: their layers, descriptors of a whole picture against those of its patches, and the frozen last weight."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from flawsight.networks.patch_encoders import LARGE, SMALL, STEPS, Encoders, Everywhere, cut  # noqa: E402


def encoders(width: int = 4, learn_last: bool = False) -> Encoders:
    torch.manual_seed(0)
    return Encoders(width, learn_last)


def test_the_layers_are_the_paper_s() -> None:
    network = encoders(32)
    small = [layer for layer in network.small if isinstance(layer, torch.nn.Conv2d)]
    assert [layer.out_channels for layer in small] == [32, 64, 128, 128, 64, 32, 32, 64]
    assert {(layer.kernel_size, layer.padding) for layer in small} == {((3, 3), (0, 0))}
    assert [layer.stride[0] for layer in small] == [2] + [1] * 7
    assert isinstance(network.small[-1], torch.nn.Tanh)
    join = [layer for layer in network.join if isinstance(layer, torch.nn.Conv2d)]
    assert [(layer.in_channels, layer.out_channels, layer.kernel_size[0]) for layer in join] == [(64, 128, 2), (128, 64, 1)]
    for side in (SMALL, LARGE):
        assert network(torch.rand(3, 3, side, side)).shape == (3, 64)
        layers = network.directions[str(side)]
        assert [layer.in_features for layer in (layers.hidden[0], layers.hidden[2], layers.last)] == [64, 128, 128]


@pytest.mark.parametrize("hw", [(64, 64), (96, 128), (97, 131), (66, 79)])
def test_descriptors_of_a_whole_picture_equal_those_of_its_patches(hw: tuple[int, int]) -> None:
    network, picture = encoders(), torch.rand(1, 3, *hw)
    with torch.no_grad():
        for side, described in zip((SMALL, LARGE), Everywhere(network)(picture), strict=True):
            step = STEPS[side]
            patches = picture[0].unfold(1, side, step).unfold(2, side, step).permute(1, 2, 0, 3, 4)
            assert described.shape[2:] == patches.shape[:2] == tuple((length - side) // step + 1 for length in hw)
            one_by_one = torch.stack([network(row) for row in patches])
            torch.testing.assert_close(described[0].permute(1, 2, 0), one_by_one, rtol=1e-5, atol=1e-6)


def test_a_large_patch_is_its_quarters() -> None:
    network, patch = encoders(), torch.rand(1, 3, 64, 64)
    quarters = [[network(patch[..., y : y + 32, x : x + 32])[0] for x in (0, 32)] for y in (0, 32)]
    joined = torch.stack([torch.stack(row, 1) for row in quarters], 1)[None]
    torch.testing.assert_close(network(patch), network.join(joined).flatten(1))


@pytest.mark.parametrize("learn_last", [False, True])
def test_the_last_weight_is_learned_if_asked_for(learn_last: bool) -> None:
    directions = encoders(learn_last=learn_last).directions["32"]
    one, other = torch.randn(2, 5, 64)
    message = directions(one, other)
    assert message.shape == (5, 8)
    weight = directions.last.weight.detach()
    columns = weight / weight.norm(dim=0)
    torch.testing.assert_close(message, directions.hidden(one - other) @ columns.T + directions.last.bias)
    message[:, 0].sum().backward()
    assert (directions.last.weight.grad is not None) == learn_last
    assert directions.last.bias.grad is not None
    assert directions.hidden[0].weight.grad.abs().sum() > 0


def test_patches_are_cut_out() -> None:
    pictures = torch.rand(3, 3, 50, 70)
    which, corners = np.array([2, 0]), np.array([[5, 38], [18, 0]])
    patches = cut(pictures, which, corners, 32)
    assert torch.equal(patches[0], pictures[2, :, 5:37, 38:70])
    assert torch.equal(patches[1], pictures[0, :, 18:50, :32])

"""The energy's gradient beside autograd's, and the loss's own gradient through it beside differences."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from flawsight.backbones.onnx import Graph  # noqa: E402
from flawsight.networks import export  # noqa: E402
from flawsight.networks.energy import Energy, Steepness, restored  # noqa: E402


def energy(side: int, seed: int = 0, soft: bool = False) -> Energy:
    """One with weights, b and normalisation as after a training: nothing is 0 or 1."""
    torch.manual_seed(seed)
    made = Energy(side, 4, 6, soft).double()
    made.b.data.normal_()
    made.dense.weight.data.normal_()
    for norm in made.norms:
        norm.weight.data.uniform_(0.5, 2)
        norm.bias.data.normal_()
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    return made.eval()


@pytest.mark.parametrize(("side", "soft"), [(16, False), (32, True), (64, False)])
def test_the_gradient_is_autograd_s(side: int, soft: bool) -> None:
    made, pictures = energy(side, soft=soft), torch.randn(3, 3, side, side, dtype=torch.double)
    x = pictures.clone().requires_grad_()
    (expected,) = torch.autograd.grad(made(x).sum(), x)
    assert (expected - (pictures - made.b)).abs().max() > 0.01  # the encoder has its part in it
    torch.testing.assert_close(made.gradient(pictures), expected)
    torch.testing.assert_close(Steepness(made)(pictures), (expected**2).sum((1, 2, 3)))
    torch.testing.assert_close(restored(made, pictures), pictures - expected)


def test_what_is_learned_is_the_gradient_of_a_picture_s_own_energy() -> None:
    """In training the normalisation's statistics are the batch's, and other pictures have no part in the gradient but that."""
    made, pictures = energy(32).train(), torch.randn(6, 3, 32, 32, dtype=torch.double)
    for norm in made.norms:
        norm.momentum = 1.0  # what is kept of the statistics are this batch's
    found = restored(made, pictures).detach()
    for norm, side in zip(made.norms, (16, 8, 4), strict=True):
        n = len(pictures) * side**2
        norm.running_var *= (n - 1) / n  # it is kept as an estimate, and used as it is
    torch.testing.assert_close(restored(made.eval(), pictures).detach(), found)


@pytest.mark.parametrize("soft", [False, True])
def test_the_energy_is_its_formula(soft: bool) -> None:
    made, pictures = energy(16, soft=soft), torch.randn(2, 3, 16, 16, dtype=torch.double)
    code = pictures
    for layer, norm in zip(made.layers, made.norms, strict=True):
        code = norm(layer(torch.nn.functional.pad(code, (0, 1, 0, 1)))).clamp(min=0)
    assert code.shape[1:] == (8, 4, 4)
    code = made.dense(code.flatten(1))
    code = (1 + code.exp()).log() if soft else code.clamp(min=0)
    expected = [((x - made.b) ** 2).sum() / 2 - h.sum() for x, h in zip(pictures, code, strict=True)]
    torch.testing.assert_close(made(pictures), torch.stack(expected))


def test_the_loss_reaches_the_weights_through_the_gradient() -> None:
    made, pictures = energy(16), torch.randn(2, 3, 16, 16, dtype=torch.double)

    def loss() -> torch.Tensor:
        return (restored(made, pictures) ** 2).mean()

    loss().backward()
    for weights in (made.dense.weight, made.layers[0].weight, made.norms[1].weight, made.b):
        slope, at = weights.grad.flatten(), int(weights.grad.abs().argmax())
        assert slope[at] != 0
        values, step = weights.data.flatten().clone(), 1e-6
        both = []
        for sign in (1, -1):
            moved = values.clone()
            moved[at] += sign * step
            weights.data = moved.view_as(weights)
            both.append(float(loss().detach()))
        weights.data = values.view_as(weights)
        assert (both[0] - both[1]) / (2 * step) == pytest.approx(float(slope[at]), rel=1e-4)


def test_both_leave_torch_as_graphs() -> None:
    made = energy(32).float()
    pictures = torch.randn(3, 3, 32, 32)
    for network in (made, Steepness(made)):
        with torch.no_grad():
            expected = network(pictures).numpy()
        found = Graph(export.graph(network, pictures[:1]).tobytes())({"pictures": pictures.numpy()})[0]
        np.testing.assert_allclose(found, expected, rtol=1e-5)

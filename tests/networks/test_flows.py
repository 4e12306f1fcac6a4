"""A flow can be gone through backwards, and its determinant is that of its derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from flawsight.networks import flows  # noqa: E402


def flow(dims: int, grown: float = 2.0) -> Any:
    """Of three blocks whose weights are larger than at first, so that factors and shifts are far from none.

    Larger still, the derivatives' own determinant loses its digits: they are then nearly singular.
    """
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(0)
        made = flows.Flow(dims, 3, 32)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter *= grown
    return made


def vectors(n: int, dims: int) -> Any:
    return torch.from_numpy(np.random.default_rng(1).normal(size=(n, dims)).astype(np.float32))


@pytest.mark.parametrize("dims", [2, 9, 24, 768])
def test_it_is_inverted(dims: int) -> None:
    made, x = flow(dims, 1.5), vectors(5, dims)
    with torch.no_grad():
        z = made(x)[0]
        assert (z - x).abs().max() > 0.1
        np.testing.assert_allclose(made.inverse(z).numpy(), x.numpy(), atol=1e-4)


@pytest.mark.parametrize("dims", [2, 9, 24])
def test_the_determinant_is_that_of_its_derivatives(dims: int) -> None:
    made, x = flow(dims).double(), vectors(3, dims).double()
    expected = [
        torch.linalg.slogdet(torch.autograd.functional.jacobian(lambda one: made(one[None])[0][0], one))[1].item() for one in x
    ]
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(made(x)[1].detach().numpy(), expected, atol=1e-8)


def test_one_coupling_written_out() -> None:
    coupling, x = flows.Coupling(4, 8), vectors(6, 4)
    with torch.no_grad():
        y, logarithm = coupling(x)
        said2 = coupling.of_second(x[:, 2:])
        g2 = 0.636 * 3 * torch.atan(said2[:, :2] / 3)
        y1 = torch.exp(g2) * x[:, :2] + said2[:, 2:]
        said1 = coupling.of_first(y1)
        g1 = 0.636 * 3 * torch.atan(said1[:, :2] / 3)
        expected = torch.cat([y1, torch.exp(g1) * x[:, 2:] + said1[:, 2:]], 1)
    np.testing.assert_allclose(y.numpy(), expected.numpy(), rtol=1e-6)
    np.testing.assert_allclose(logarithm.numpy(), (g1 + g2).sum(1).numpy(), rtol=1e-5)


def test_each_block_permutes_in_its_own_fixed_way() -> None:
    one, other = flows.Flow(50, 3, 8), flows.Flow(50, 3, 8)
    assert torch.equal(one.orders, other.orders)
    assert len({tuple(order.tolist()) for order in one.orders}) == 3
    np.testing.assert_array_equal(one.orders[2].numpy(), np.random.default_rng(2).permutation(50))

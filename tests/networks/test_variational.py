"""Variational autoencoders: their divergence, γ, and their weights as plain arrays."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from flawsight.networks.variational import GammaVariational, as_arrays, divergence, from_arrays  # noqa: E402


def test_the_divergence_is_torch_s_own() -> None:
    torch_d = torch.distributions
    mean, log_variance = torch.randn(4, 7, 1, 1), torch.randn(4, 7, 1, 1)
    own = torch_d.kl_divergence(torch_d.Normal(mean, (log_variance / 2).exp()), torch_d.Normal(0.0, 1.0)).flatten(1).sum(1)
    torch.testing.assert_close(divergence(mean, log_variance), own)
    assert float(divergence(torch.zeros(1, 3), torch.zeros(1, 3))) == 0


def test_gamma_follows_the_squared_error_and_the_loss_is_the_papers() -> None:
    network = GammaVariational(64, 4, 5)
    x, repeated = torch.rand(3, 3, 64, 64), torch.rand(3, 3, 64, 64)
    mean, log_variance = torch.randn(3, 5, 1, 1), torch.randn(3, 5, 1, 1)
    squares = (x - repeated).square().mean()
    loss = network.loss(x, repeated, mean, log_variance)
    torch.testing.assert_close(network.gamma, squares)
    n = x[0].numel()
    whole = n / 2 * squares.log() + (x - repeated).square().flatten(1).sum(1) / (2 * squares) + divergence(mean, log_variance)
    torch.testing.assert_close(loss, whole.mean() / n)
    network.loss(x, x, mean, log_variance)
    torch.testing.assert_close(network.gamma, 0.99 * squares)


def test_what_comes_out_is_drawn_but_not_where_it_is_repeated() -> None:
    network = GammaVariational(64, 4, 5).eval()
    x = torch.rand(2, 3, 64, 64)
    assert not torch.equal(network(x)[0], network(x)[0])
    assert torch.equal(network.repeated(x), network.repeated(x))


def test_weights_make_the_round_trip() -> None:
    network = GammaVariational(64, 4, 5).eval()
    network.gamma.fill_(0.25)
    arrays = as_arrays(network)
    assert all(isinstance(array, np.ndarray) for array in arrays.values())
    other = from_arrays(GammaVariational(64, 4, 5), arrays, "cpu")
    x = torch.rand(2, 3, 64, 64)
    assert torch.equal(other.repeated(x), network.repeated(x))
    assert float(other.gamma) == 0.25
    assert not any(weight.requires_grad for weight in other.parameters())

"""Pictures moved down an energy."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from flawsight.networks.projection import Descent, project  # noqa: E402
from flawsight.networks.variational import GammaVariational  # noqa: E402


def grey(x: torch.Tensor) -> torch.Tensor:
    """A network that knows grey pictures alone, of any light."""
    return x.mean((1, 2, 3), keepdim=True).expand_as(x)


@pytest.mark.parametrize("alpha", [0.5, 50.0, 5000.0])
def test_the_energy_falls_at_every_step(alpha: float) -> None:
    torch.manual_seed(0)
    network = GammaVariational(64, 4, 5).eval()
    start = torch.rand(3, 3, 64, 64)
    end, energies = project(network.repeated, start, Descent(alpha, 0.05, 20, 0.0))
    assert energies.shape == (21, 3)
    assert (energies[1:] <= energies[:-1]).all()
    assert (energies[-1] < energies[0]).all()
    assert float(end.min()) >= 0
    assert float(end.max()) <= 1
    error = (end - network.repeated(end)).square().flatten(1).sum(1) + 0.05 * (end - start).abs().flatten(1).sum(1)
    torch.testing.assert_close(error, energies[-1])


def test_the_first_step_is_the_papers() -> None:
    start = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    end, _ = project(grey, start, Descent(0.1, 0.05, 1, 0.0))
    n, away = start[0].numel(), start - grey(start)
    gradient = 2 * away - 2 * away.mean((1, 2, 3), keepdim=True)  # by hand; the distance from the start has none there
    torch.testing.assert_close(end, (start - 0.1 * gradient * away.square()).clamp(0, 1))
    assert n == 192


def test_what_does_not_belong_goes_and_the_rest_stays() -> None:
    start = torch.full((1, 3, 8, 8), 0.4)
    start[:, :, 2:4, 2:4] = 0.9
    end, _ = project(grey, start, Descent(0.5, 0.05, 100, 0.0))
    moved = (start - end).abs().mean((0, 1))
    assert float(moved[2:4, 2:4].min()) > 0.2
    assert float(moved[5:, 5:].max()) < 0.05


def test_each_picture_goes_its_own_way_and_stays_where_it_is_good_enough() -> None:
    good, bad = torch.full((1, 3, 8, 8), 0.4), torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    descent = Descent(0.5, 0.05, 10, 0.5)
    together, _ = project(grey, torch.cat([good, bad]), descent)
    alone, energies = project(grey, good, descent)
    assert torch.equal(together[:1], good)
    assert torch.equal(alone, good)
    assert len(energies) == 1
    torch.testing.assert_close(together[1:], project(grey, bad, descent)[0])
    assert not torch.equal(together[1:], bad)


@pytest.mark.parametrize("light", [1.0, 0.01])
def test_a_normalised_step_moves_a_value_by_alpha_at_most(light: float) -> None:
    start = 0.5 + light * (torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)) - 0.5)
    alpha = 0.1 * light
    end, energies = project(grey, start, Descent(alpha, 0.0, 1, 0.0, normalised=True))
    torch.testing.assert_close((start - end).abs().amax((1, 2, 3)), torch.full((2,), alpha))
    assert (energies[1] < energies[0]).all()


def test_where_nothing_is_to_move_nothing_does() -> None:
    start = torch.full((1, 3, 8, 8), 0.4)
    end, _ = project(grey, start, Descent(0.5, 0.05, 3, -1.0, normalised=True))
    torch.testing.assert_close(end, start)

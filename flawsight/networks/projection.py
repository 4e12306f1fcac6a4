"""Pictures moved by gradient to what an autoencoder can repeat (extra `torch`): Dehaene, Frigo, Combrexelle, Eline, ICLR 2020."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

Repeat = Callable[[torch.Tensor], torch.Tensor]

LEAST = 1e-30  # of what a step is divided by, where nothing is to move


@dataclass(frozen=True)
class Descent:
    """alpha: the step. weight: λ, of the distance from where a picture began. steps: at most. stop: the squared error, a sum over
    all values, at which a picture stays. normalised: whether a picture's step is divided by the largest of its values, so that α is
    the most by which a value moves in it.
    """

    alpha: float
    weight: float
    steps: int
    stop: float
    normalised: bool = False


def project(repeat: Repeat, start: torch.Tensor, descent: Descent) -> tuple[torch.Tensor, torch.Tensor]:
    """Where pictures [B,C,h,w], values 0 to 1, come to, and their energies before each step and after the last: [≤ steps + 1, B].

    E(x) = ‖x − x̂‖² + λ ‖x − x₀‖₁; x ← x − α ∇E ⊙ (x − x̂)² (eq. 5 and 8), within 0 and 1. The gradient goes through the network. A
    step that would raise a picture's energy is not taken: its α is halved. Each picture goes its own way.
    """
    x = start
    error, energy, move = _energy(repeat, x, start, descent)
    alpha = torch.full_like(energy, descent.alpha)
    energies = [energy]
    for _ in range(descent.steps):
        moving = error > descent.stop
        if not bool(moving.any()):
            break
        tried = (x - alpha[:, None, None, None] * move).clamp(0, 1)
        new_error, new_energy, new_move = _energy(repeat, tried, start, descent)
        taken = moving & (new_energy <= energy)
        alpha = torch.where(moving & ~taken, alpha / 2, alpha)
        x = torch.where(taken[:, None, None, None], tried, x)
        move = torch.where(taken[:, None, None, None], new_move, move)
        error, energy = torch.where(taken, new_error, error), torch.where(taken, new_energy, energy)
        energies.append(energy)
    return x, torch.stack(energies)


def _energy(
    repeat: Repeat, x: torch.Tensor, start: torch.Tensor, descent: Descent
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Squared error [B], energy [B], and the direction of the step, ∇E ⊙ (x − x̂)²."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        repeated = repeat(x)
        error = (x - repeated).square().flatten(1).sum(1)
        energy = error + descent.weight * (x - start).abs().flatten(1).sum(1)
        (gradient,) = torch.autograd.grad(energy.sum(), x)
    move = gradient * (x - repeated).detach().square()
    if descent.normalised:
        move = move / move.abs().amax((1, 2, 3), keepdim=True).clamp(min=LEAST)
    return error.detach(), energy.detach(), move

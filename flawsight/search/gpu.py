"""The coreset's picks and the nearest rows on a GPU, through torch (extra `torch`).

Both plainly, as they are defined: there a product of all rows costs less than finding out which are needed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from flawsight.backbones.gpu import place
from flawsight.types import Float, Index

BLOCK_ROWS = 1 << 14  # of a bank, compared with the queries at once
PICKED = -1.0  # stands for the distance of a row that is picked: below that of any other row


def greedy(
    centred: Float, n: int, initial: Float | None, progress: Callable[[int, int], None] | None, device: str
) -> tuple[Index, float]:
    """See coreset.greedy, but that of equally far rows any may be picked."""
    rows = torch.from_numpy(centred).to(place(device))
    norms = rows.square().sum(1)
    distance = (
        torch.full_like(norms, torch.inf) if initial is None else torch.from_numpy(initial.astype(np.float32)).to(rows.device)
    )
    picks = np.empty(n, np.int64)
    for i in range(n):
        pick = int((norms if i == 0 and initial is None else distance).argmax())
        nearer = torch.addmv(norms + norms[pick], rows, rows[pick], alpha=-2).clamp_min_(0)
        torch.minimum(distance, nearer, out=distance)
        distance[pick] = PICKED
        picks[i] = pick
        if progress and i % 256 == 0:
            progress(i, n)
    if progress:
        progress(n, n)
    return picks, max(float(distance.max()), 0.0) ** 0.5


class Rows:
    """A bank's rows, centred: float32 [M,D]."""

    def __init__(self, centred: Float, device: str) -> None:
        self._rows = torch.from_numpy(centred).to(place(device))
        self._bias = -0.5 * self._rows.square().sum(1)

    def closest(self, queries: Float, k: int, exclude: NDArray[np.bool_] | None) -> Index:
        """The k closest rows of each centred query, not in order: int64 [Q,k]. exclude: bool [M], rows that may not be found."""
        asked = torch.from_numpy(queries).to(self._rows.device)
        bias = self._bias
        if exclude is not None:
            bias = bias.masked_fill(torch.from_numpy(exclude).to(bias.device), -torch.inf)
        best = torch.empty((len(queries), 0), device=bias.device)
        index = torch.empty((len(queries), 0), dtype=torch.int64, device=bias.device)
        for start in range(0, len(bias), BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            closeness = torch.addmm(bias[block], asked, self._rows[block].T)
            found, at = closeness.topk(min(k, closeness.shape[1]), 1)
            best, index = torch.cat([best, found], 1), torch.cat([index, at + start], 1)
            best, keep = best.topk(min(k, best.shape[1]), 1)
            index = index.gather(1, keep)
        chosen: Index = index.cpu().numpy()
        return chosen

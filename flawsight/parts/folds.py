"""Good pictures dealt into parts, so that each is scored by a fit that did not see it; or some kept from the one fit there is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def dealt(groups: Sequence[int], n_folds: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The fold of each picture, 0 to n_folds − 1: whole groups, shuffled, dealt into parts as equal as can be. int64 [N].

    Where there are no more groups than folds each has a fold of its own.
    """
    _, group = np.unique(groups, return_inverse=True)
    n = int(group.max()) + 1 if len(group) else 0
    folds = np.concatenate([np.full(len(part), fold) for fold, part in enumerate(np.array_split(np.arange(n), n_folds))])
    dealt_to = np.empty(n, np.int64)
    dealt_to[rng.permutation(n)] = folds
    return dealt_to[group]


def n_held_back(n: int, share: float) -> int:
    """How many of n different pictures `held_back` keeps back: at least two, but none where too few would be left or share is 0."""
    return min(max(2, round(share * n)), n - 1) if share > 0 and n >= 3 else 0


def held_back(groups: Sequence[int], share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which pictures to keep from a fit: whole groups, drawn at random. bool [N]."""
    names, group = np.unique(groups, return_inverse=True)
    return np.isin(group, rng.permutation(len(names))[: n_held_back(len(names), share)])

"""Good pictures dealt into parts, so that each is scored by a fit that did not see it."""

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

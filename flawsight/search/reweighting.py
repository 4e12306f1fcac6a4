"""PatchCore's factor for a picture's worst patch (Roth et al. 2022, eq. 7): near 1 where the bank's rows around the nearest one are
far from the patch as well, lower where the nearest is alone among them in being near.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flawsight.search.neighbours import Bank
from flawsight.types import Float


def weight(bank: Bank, query: Float, nearest: int, neighbours: int, exclude: NDArray[np.bool_] | None = None) -> float:
    """The factor for one patch, float32 [D], and the index of its nearest row, on plain distances.

    neighbours: how many of the bank's rows around the nearest count. exclude: bool [M], rows that do not.
    """
    b = min(neighbours, len(bank) if exclude is None else int(np.count_nonzero(~exclude)))
    _, around = bank.nearest(bank.rows[nearest][None], b, exclude)
    members = np.unique(np.append(around[0], nearest))
    to_query = np.linalg.norm(bank.rows[members] - query, axis=1)
    exponents = np.exp(to_query - to_query.max())  # the maximum is taken out against overflow
    return float(1 - exponents[members == nearest][0] / exponents.sum())

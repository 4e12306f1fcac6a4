"""Methods that learn by gradient do so in one thread; where their maps are high is asked alike of all."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from flawsight.types import Float


@pytest.fixture(autouse=True, scope="session")
def no_threads(one_thread: None) -> None:
    """See one_thread."""


def share_within(heat: Float, rows: slice, columns: slice) -> float:
    """Of the map's highest places, as many as the area has, the share that lies in it; by chance it is the area's of the map.

    Where a trained map peaks changes with the last bits of the training; where its highest places lie hardly does.
    """
    inside = np.zeros(heat.shape, np.bool_)
    inside[rows, columns] = True
    return float(inside.ravel()[np.argsort(-heat, axis=None, kind="stable")[: inside.sum()]].mean())


@pytest.fixture(name="share_within")
def _share_within() -> Callable[[Float, slice, slice], float]:
    return share_within

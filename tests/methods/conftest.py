"""Methods that learn by gradient do so in one thread."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True, scope="session")
def no_threads(one_thread: None) -> None:
    """See one_thread."""

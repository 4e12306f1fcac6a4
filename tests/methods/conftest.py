"""Networks as small as those that are trained here gain nothing by a second thread, which would only wait on others' cores."""

from __future__ import annotations

from importlib.util import find_spec

import pytest


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    if find_spec("torch"):
        import torch

        torch.set_num_threads(1)

"""What many tests share: a small drawn inspection set, a model fitted on it, and real data where they are at hand."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest

from flawsight import demo
from flawsight.datasets import DataSet, open_dataset
from flawsight.fitting import Plan, fit
from flawsight.model import Model

DATA = Path(os.environ.get("FLAWSIGHT_DATA", Path(__file__).parents[2] / "shared" / "data"))
SMALL = Plan(method="patchcore", size=128)  # what tests fit with: one bank, and pictures so small that the input can be


@pytest.fixture(scope="session")
def plate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A category in the MVTec AD layout, read only: 8 good pictures to learn from, 4 good and 6 defective to judge, 192 px."""
    return demo.write(tmp_path_factory.mktemp("demo"), n_good=8, n_test_good=4, n_per_kind=1, size=192)


@pytest.fixture(scope="session")
def plates(plate: Path) -> DataSet:
    """The same as a DataSet."""
    return open_dataset(plate)


@pytest.fixture(scope="session")
def model(plates: DataSet) -> Model:
    """A PatchCore fitted on its good pictures."""
    return fit(plates.train, SMALL)


@pytest.fixture(scope="session")
def screw() -> Path:
    """MVTec AD's screw; the test is skipped where it is not at hand."""
    folder = DATA / "screw"
    if not folder.is_dir():
        pytest.skip(f"needs MVTec AD's screw in {folder}; set FLAWSIGHT_DATA to the folder that holds it")
    return folder


@pytest.fixture(scope="session")
def one_thread() -> None:
    """Networks as small as those that are trained here gain nothing by a second thread, which would only wait on others' cores."""
    if find_spec("torch"):
        import torch

        torch.set_num_threads(1)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What rehearsals of trainings read the time from: it stands at `now`, which work moves on by what it means to take."""
    pytest.importorskip("torch")
    from flawsight.parts import descend

    made = SimpleNamespace(now=0.0)
    monkeypatch.setattr(descend, "time", SimpleNamespace(perf_counter=lambda: made.now))
    return made

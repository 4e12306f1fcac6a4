"""What a fit by gradient will need, before it starts, against what processes of their own then take."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flawsight.errors import LearningFailed, UsageError
from flawsight.fitting import Plan, estimate, fit
from flawsight.fitting.rehearsal import TrainingEstimate
from flawsight.methods.learned import Learned
from flawsight.system import memory

pytest.importorskip("torch")

ROOT = Path(__file__).parents[2]
WITHIN = 1.35  # times: by which the estimate of the peak may be off, either way
TINY: dict[str, Any] = {"side": 32, "width": 4, "units": 8, "steps": 4, "batch": 4}

FIT = """
import json, sys
from flawsight import fitting
from flawsight.system import memory, record
folder, method, size, options = sys.argv[1:]
plan = fitting.Plan(method=method, size=int(size), options=json.loads(options))
estimate = fitting.estimate(folder, plan)
before = memory.resident()
record.forget_peak_rss()
fitting.fit(folder, plan)
taken = memory.peak() / 1e6
print(json.dumps({"estimated": estimate.peak_mb, "taken": taken, "seconds": estimate.seconds, "total": estimate.total_s}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read, and begun anew, where the kernel tells")
@pytest.mark.parametrize(
    ("method", "size", "options"),
    [
        ("ae_ssim", 128, {"crop": 128, "width": 32, "batch": 32, "steps": 4}),
        ("geotrans", 64, {"depth": 10, "width": 2, "batch": 64, "shift": 0, "steps": 4}),
        ("expvae", 64, {"crop": 64, "stride": 64, "width": 32, "batch": 4, "steps": 4}),
    ],
)
def test_the_peak_is_estimated(method: str, size: int, options: dict[str, Any], plate: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", FIT, str(plate / "train/good"), method, str(size), json.dumps(options)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", env=environment, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["taken"] / WITHIN < facts["estimated"] < facts["taken"] * WITHIN
    assert facts["total"] == pytest.approx(sum(facts["seconds"].values()))
    assert all(seconds > 0 for seconds in facts["seconds"].values())


def test_more_pictures_and_larger_ones_take_more(plate: Path) -> None:
    def message(n: int, size: int) -> TrainingEstimate:
        found = estimate(sorted((plate / "train/good").iterdir())[:4] * n, Plan(method="dsebm", size=size, options=TINY))
        assert isinstance(found, TrainingEstimate)
        return found

    few, many = message(1, 256), message(100, 256)
    assert (few.pictures, few.learned_from, many.pictures, many.learned_from) == (4, 2, 400, 320)
    assert 0.9 * 396 * 256**2 * 18 < 1e6 * (many.peak_mb - few.peak_mb) < 1.5 * 396 * 256**2 * 18
    assert many.total_s > few.total_s


def test_too_little_memory_is_refused_and_what_is_named_does(plate: Path) -> None:
    good, plan = plate / "train/good", {"method": "dsebm", "size": 64, "options": TINY}
    for run in (estimate, fit):
        with pytest.raises(UsageError, match=r"dsebm needs about .* of memory to learn from 6 pictures; 20 MB may be used\. Give"):
            run(good, Plan(memory="20MB", **plan))
    message = estimate(good, Plan(**plan))
    assert isinstance(message, TrainingEstimate)
    assert message.smallest_mb > message.peak_mb
    model = fit(good, Plan(memory=round(1.2e6 * message.smallest_mb), **plan))
    assert model.predict(next(good.iterdir())).score == fit(good, Plan(**plan)).predict(next(good.iterdir())).score
    assert message.budget_mb > memory.resident() / 1e6


def test_steps_that_fail_are_left_to_the_fit(plate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: Any) -> Any:
        raise LearningFailed("dsebm: no")

    monkeypatch.setattr(Learned, "rehearse", failing)
    assert estimate(plate / "train/good", Plan(method="dsebm", size=64, options=TINY)) is None


def test_pictures_that_cannot_be_read_are_left_to_the_fit(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    plan = Plan(method="dsebm", size=64, options=TINY, needs_threshold=False)
    assert estimate([tmp_path / "a.png"], plan) is None
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (80, 90, 3), dtype=np.uint8) for _ in range(2)]
    message = estimate([tmp_path / "a.png", *pictures], plan)
    assert isinstance(message, TrainingEstimate)
    assert message.pictures == 3

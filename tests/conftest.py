"""What many tests share: a small drawn inspection set, a model fitted on it, and real data where they are at hand."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from flawsight import demo
from flawsight.datasets import DataSet, open_dataset
from flawsight.fitting import Plan, fit
from flawsight.images import image
from flawsight.model import Model
from flawsight.types import Evidence, Float, Pixels, Report, Row, Sample

MakeReport = Callable[..., Report]
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
    from flawsight.networks import descend

    made = SimpleNamespace(now=0.0)
    monkeypatch.setattr(descend, "time", SimpleNamespace(perf_counter=lambda: made.now))
    return made


def _texture(rng: np.random.Generator, side: int = 128, grain: int = 12) -> Float:
    """Something smooth, drawn at random, float32 [side,side] of unit spread."""
    coarse = rng.normal(size=(grain, grain)).astype(np.float32)
    grown = np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))
    return np.asarray(grown / grown.std(), np.float32)


def _grey(pictures: list[Float]) -> list[Pixels]:
    return [np.repeat(np.clip(one, 0, 255).astype(np.uint8)[:, :, None], 3, 2) for one in pictures]


def _parts(n: int, seed: int = 0, common: float = 30.0, own: float = 12.0) -> list[Pixels]:
    """Pictures of n parts that lie alike: what all have in common, and what each has of its own."""
    rng = np.random.default_rng(seed)
    shape = _texture(rng)
    return _grey([110 + common * shape + own * _texture(rng) + rng.normal(size=shape.shape) for _ in range(n)])


def _frames(n_series: int, each: int, seed: int = 0) -> list[Pixels]:
    """Pictures of series, one after another: those of one have something in common that others do not have."""
    rng = np.random.default_rng(seed)
    states = [_texture(rng) for _ in range(n_series)]
    return _grey([110 + 15 * state + 10 * _texture(rng) for state in states for _ in range(each)])


def _jpeg(picture: Pixels, quality: int = 60) -> Pixels:
    held = io.BytesIO()
    Image.fromarray(picture).save(held, "JPEG", quality=quality)
    return np.asarray(Image.open(held))


@pytest.fixture(scope="session")
def drawn() -> SimpleNamespace:
    """What draws pictures: parts, frames of series, and a picture re-encoded as JPEG."""
    return SimpleNamespace(parts=_parts, frames=_frames, jpeg=_jpeg)


SCORES = {"good": (0.2, 0.5, 0.6, 1.3), "scratch": (0.7, 0.95, 1.8, 2.5), "dent/größe": (1.1, 3.0)}


@pytest.fixture
def make_row(tmp_path: Path) -> Callable[..., Row]:
    """A row with its picture and, if defective, its mask on disk. Fields of the row or of its sample can be replaced."""
    rng = np.random.default_rng(0)

    def make(name: str, label: int | None, score: float, kind: str = "", **changes: Any) -> Row:
        path = tmp_path / f"{len(list(tmp_path.glob('*.png')))}.png"
        image.write(path, rng.integers(0, 255, (48, 64, 3), dtype=np.uint8))
        mask = tmp_path / f"{path.stem}_mask.png" if label == 1 else None
        if mask is not None:
            image.write(mask, np.pad(np.full((8, 8), 255, np.uint8), ((10, 30), (10, 46))))
        heat = np.full((12, 16), 0.1, np.float16)
        heat[4, 5] = score
        evidence = Evidence((16, 16, 24, 24), "train/good/000.png", (8, 8, 16, 16))
        row = Row(
            sample=Sample(path, name, label, kind, mask),
            score=score,
            is_defective=score > 1,
            size_hw=(48, 64),
            seen_xyxy=(0, 0, 64, 48),
            heat=heat,
            evidence=evidence,
            pixel_threshold=1.0 if score > 1 else math.inf,
        )
        return replace(row, **changes)

    return make


@pytest.fixture
def make_report(make_row: Callable[..., Row], tmp_path: Path) -> MakeReport:
    """A report of ten labelled pictures: one false reject, two missed defects. Fields can be replaced."""

    def make(**changes: Any) -> Report:
        rows = [
            make_row(f"test/{kind}/{number:03}.png", int(kind != "good"), score, kind)
            for kind, scores in SCORES.items()
            for number, score in enumerate(scores)
        ]
        good = tmp_path / "train.png"
        image.write(good, np.full((48, 64, 3), 128, np.uint8))
        line = np.linspace(0, 1, 50, dtype=np.float32)
        report = Report(
            title="bottle, patchcore",
            metrics={"image_auroc": 0.91667, "image_ap": 0.9, "pixel_auroc": 0.98765, "pro": 0.9, "own_metric": 0.5},
            rows=rows,
            curves={"roc": (line, np.sqrt(line)), "pro": (line, np.sqrt(line))},
            counts={"good": 4, "defective": 6, "false_rejects": 1, "misses": 2, "regions": 6},
            threshold={"value": 1.0, "promise": "At most 1 of 20 good pictures is rejected.", "rule": "conformal"},
            held_out=np.array([0.2, 0.4, 0.6], np.float32),
            scale=(0.4, 1.0),
            settings={"method": "patchcore", "preprocess": {"size": (224, 224), "crop": None}},
            timings_s={"score_all": 1.5},
            versions={"numpy": "2"},
            peak_rss_mb=123.4,
            seed=7,
            train={"train/good/000.png": good},
            notes=["One note <b>bold</b>."],
        )
        return replace(report, **changes)

    return make

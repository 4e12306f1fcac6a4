"""A small invented report: pictures on disk, heat with one warm spot, a threshold at 1."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flawsight import image
from flawsight.types import Evidence, Report, Row, Sample

MakeReport = Callable[..., Report]
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

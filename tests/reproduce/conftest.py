"""Requests on the small drawn set, and results made up to be laid out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flawsight.methods import METHODS
from flawsight.reproduce.planning import Request
from flawsight.reproduce.rows import ROWS
from flawsight.reproduce.running import METRIC_IDS, Result

MakeRequest = Callable[..., Request]
MakeResult = Callable[..., Result]


@pytest.fixture
def make_request(plate: Path) -> MakeRequest:
    """Two PatchCore rows, tiny. Fields can be replaced."""

    def make(**changes: Any) -> Request:
        return Request(**{"data": plate, "recipe": "smoke", "methods": ("patchcore_10", "patchcore_1"), **changes})

    return make


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch, one_thread: None) -> None:
    """Whatever a smoke recipe does again and again, it does twice: all of it runs, and what it reaches is of no matter."""
    for name, row in ROWS.items():
        if row.method in METHODS and row.smoke is not None:
            repeated = [
                one.name for one in dataclasses.fields(METHODS[row.method].Params) if one.name.endswith(("steps", "iterations"))
            ]
            few = {**row.smoke.options, **dict.fromkeys(repeated, 2)}
            monkeypatch.setitem(ROWS, name, dataclasses.replace(row, smoke=dataclasses.replace(row.smoke, options=few)))


@pytest.fixture
def make_result() -> MakeResult:
    """A finished cell whose three metrics are all `value`, a fraction. Fields can be replaced."""

    def make(row: str, category: str, value: float | None, **changes: Any) -> Result:
        fields: dict[str, Any] = {
            "row": row,
            "category": category,
            "seed": 0,
            "shots": None,
            "key": "0" * 64,
            "metrics": dict.fromkeys(("image_auroc", "pixel_auroc", "pro"), value),
            "metric_ids": METRIC_IDS,
            "intervals": {},
            "pixels_at": "crop",
            "size_hw": [224, 224],
            "mask_rule": "trunc",
            "counts": {"good": 3},
            "network": {
                "name": "wide_resnet50_2",
                "levels": ["layer2", "layer3"],
                "runtime": "onnxruntime",
                "sha256": "ab" * 32,
                "weights": "published",
            },
            "preset": row,
            "method": "patchcore",
            "params": {"seed": 0},
            "preprocess": {"size": 224},
            "no_reproduction": "",
            "protocol_gap": "",
            "seconds": {"fit": 2.0, "judge": 1.0, "metrics": 0.5},
            "peak_rss_mb": 500.0,
            "versions": {"numpy": "2"},
            "created": "2026-01-01T00:00:00+00:00",
            "notes": [],
            "learned_from": [],
        }
        return Result(**{**fields, **changes})

    return make

"""How fast a runtime is, stage by stage, and which one to choose."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flawsight.backbones.onnx import APPROXIMATE

STAGES = {
    "read": "file to pixels",
    "prepare": "pixels to network's input",
    "network": "input to feature maps",
    "compare": "feature maps to score and map",
    "restore": "map to picture's pixels",
}
ON_ALL_CORES = ("network", "compare")  # stages; the others use one
BETTER = 0.95  # of the default runtime's median, below which another is recommended
DEFAULT = "onnxruntime"


@dataclass(frozen=True)
class Spread:
    """Milliseconds a picture: the median, and what 95 of 100 stay below."""

    p50_ms: float
    p95_ms: float


@dataclass(frozen=True)
class Speed:
    """Of one runtime. stages: STAGES' names. total: Model.predict and the map. pictures_per_s: Model.predict_batch and maps."""

    stages: dict[str, Spread]
    total: Spread
    pictures_per_s: float


def spread(seconds: Sequence[float]) -> Spread:
    """What these spread to."""
    p50, p95 = np.quantile(seconds, (0.5, 0.95)) * 1000
    return Spread(float(p50), float(p95))


def cores() -> int:
    """Cores of this machine, 1 where that is not known."""
    return os.cpu_count() or 1


def advice(speeds: dict[str, Speed], differences: dict[str, float]) -> tuple[str, str, list[str]]:
    """A runtime, the stage that takes most of its stream's work, and both in words.

    Of runtimes that move scores none is advised; the note says what each would save and change.
    """
    default = speeds[DEFAULT].total.p50_ms
    exact = [name for name in speeds if name not in APPROXIMATE]
    fastest = min(exact, key=lambda name: speeds[name].total.p50_ms)
    share = speeds[fastest].total.p50_ms / default
    if share < BETTER:
        runtime, why = fastest, f"{fastest}: a picture takes {100 * share:.0f} % of the time that it takes under {DEFAULT}."
    else:
        others = [f"{name} takes {speeds[name].total.p50_ms / default:.2f} times as long" for name in exact if name != DEFAULT]
        runtime, why = DEFAULT, f"{DEFAULT}: nothing to install{''.join(f', and {other}' for other in others)}."
    # In a stream several pictures are judged at once: the network and the comparison use all cores, the rest one each.
    times = {name: spread.p50_ms / (1 if name in ON_ALL_CORES else cores()) for name, spread in speeds[runtime].stages.items()}
    limit = max(times, key=times.__getitem__)
    share = times[limit] / sum(times.values())
    message = f"Of the cores' work in a stream {limit} ({STAGES[limit]}) is {100 * share:.0f} %."
    if limit == "read":
        message += " Files of another format or smaller pictures would speed it up."
    faster = [name for name in speeds if name in APPROXIMATE and speeds[name].total.p50_ms < BETTER * speeds[runtime].total.p50_ms]
    moved = [
        f"{name}: {100 * speeds[name].total.p50_ms / speeds[runtime].total.p50_ms:.0f} % of that time"
        f"{f', and scores moved by up to {100 * differences[name]:.2g} % of the threshold' if name in differences else ''}."
        " If that will do, score under it."
        for name in faster
    ]
    return runtime, limit, [why, *moved, message]

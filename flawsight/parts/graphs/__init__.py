"""Small graphs under the runtime of the networks, by name; `tools/build_graphs.py` makes and describes them.

numpy's own products would do the same, but its threads go on spinning for a while after each of them, on the cores that the
runtime's threads need next: a picture's score took half as long again.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from flawsight.backbones.onnx import Graph

SMALL = (
    "closest",
    "closest_in_groups",
    "both_sides",
)  # of products so small that waking a second thread takes longer than it saves


def run(name: str, inputs: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """The graph's one output, or its first. Safe to call from several threads."""
    return _graph(name)(inputs)[0]


def run_all(name: str, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """All outputs of the graph. Safe to call from several threads."""
    return _graph(name)(inputs)


@cache
def _graph(name: str) -> Graph:
    return Graph((Path(__file__).parent / f"{name}.onnx").read_bytes(), 1 if name in SMALL else 0)

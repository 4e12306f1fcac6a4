"""What all benchmarks share: A against B in turns, medians of ratios, and what they were measured on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

Seconds = dict[str, list[float]]

REST_S = 0.2


def in_turns(works: Mapping[str, Callable[[], object]], rounds: int) -> Seconds:
    """Seconds of each work, a round at a time, so that a busy machine slows all of them alike; each runs once before unmeasured.

    Between two works there is a rest: a library's threads spin for a while after its work, on the cores that the next one needs.
    """
    for work in works.values():
        work()
    seconds: Seconds = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            time.sleep(REST_S)
            started = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def ratio(seconds: Seconds, name: str, to: str) -> float:
    """The median over rounds of one work's time over another's."""
    return statistics.median(a / b for a, b in zip(seconds[name], seconds[to], strict=True))


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def comparison(seconds: Seconds, to: str, scale: float = 1000, unit: str = "ms") -> str:
    """A table of medians, each with how many times those of `to` it is."""
    rows = [
        (name, f"{scale * statistics.median(times):.3g}", "1" if name == to else f"{ratio(seconds, name, to):.3g}")
        for name, times in seconds.items()
    ]
    return table(("way", unit, f"times {to}'s"), rows)


def machine(*packages: str) -> str:
    """The processor, the cores this process may use, the system and the versions of these packages."""
    cpuinfo = Path("/proc/cpuinfo")
    models = (
        [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        if (cpuinfo.exists())
        else []
    )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    processor = models[0] if models else platform.processor() or platform.machine()
    return f"{cores} cores of {processor}, {platform.system()}, Python {platform.python_version()}" + (versions and f", {versions}")

"""What a training will take of memory and time, before it starts: a few of its first steps, on a few of its pictures."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flawsight import loader
from flawsight.errors import LearningFailed, PictureError, UsageError
from flawsight.fitting import forecast, sharing
from flawsight.methods.base import LearnedMethod
from flawsight.preprocess import Preprocess
from flawsight.system import memory
from flawsight.system.record import forget_peak_rss
from flawsight.types import Float

PICTURES = 3  # that are rehearsed with
KEPT = 18  # bytes of each pixel that is learned from: as numbers for the method, as what was inspected, and as what is drawn from


@dataclass(frozen=True, kw_only=True)
class TrainingEstimate(forecast.Needs):
    """What a fit by gradient will need. learned_from: so many of the pictures; the others are held out."""

    learned_from: int

    def check(self, name: str) -> None:
        """Raise UsageError where the budget does not do."""
        if self.peak_mb > self.budget_mb:
            words = [memory.in_words(1e6 * size) for size in (self.smallest_mb, self.budget_mb)]
            raise UsageError(
                f"fit: {name} needs about {words[0]} of memory to learn from {self.learned_from} pictures; {words[1]} may be used. "
                "Give it more memory, or choose a smaller batch, width or size."
            )


def estimate(
    method: LearnedMethod, preprocess: Preprocess, pictures: Sequence[Any], asked: int | str | None
) -> TrainingEstimate | None:
    """The estimate of a fit on these pictures; None if none that is tried can be read, or the few steps fail: the fit says why.

    method: an unfitted one, left fitted on next to nothing. asked: memory, see memory.budget. Raises UsageError if that is too
    little, MissingExtra without torch.
    """
    budget, before = memory.budget(asked), memory.resident()
    read_s, prepare_s, some = _some(preprocess, pictures)
    sizes = forecast.sizes_hw(pictures)
    inputs = [preprocess.input_hw(hw) for hw in sizes]
    if not some or not inputs:
        return None
    n, cores = len(pictures), os.cpu_count() or 1
    n_held_out = method.n_held_out(n)
    forget_peak_rss()
    try:
        seconds, judging_s = method.rehearse(some, n - n_held_out)
    except LearningFailed:
        return None
    held = max(memory.peak(), memory.resident())
    reading = sharing.pace(budget - before, max(sizes, key=math.prod), max(inputs, key=math.prod)).bytes
    kept = KEPT * n * sum(map(math.prod, inputs)) // len(inputs)
    peak = max(held + kept, before + kept + reading)
    found = TrainingEstimate(
        pictures=n,
        learned_from=n - n_held_out,
        peak_mb=peak / 1e6,
        budget_mb=budget / 1e6,
        smallest_mb=sharing.SPARE * peak / 1e6,
        seconds={
            "checking pictures": n * (read_s + prepare_s) / cores,
            **seconds,
            "scoring good pictures": n_held_out * judging_s,
        },
        latency_ms=1000 * (read_s + prepare_s + judging_s),
    )
    found.check(method.name)
    return found


def _some(preprocess: Preprocess, pictures: Sequence[Any]) -> tuple[float, float, list[Float]]:
    """Seconds of reading and preparing a picture, and some of them prepared."""
    times, prepared = [], []
    for at in sorted({round(share * (len(pictures) - 1)) for share in np.linspace(0, 1, PICTURES)}) if pictures else []:
        try:
            reading, pixels = forecast.timed(loader.read, pictures[at], at + 1)
        except PictureError:
            continue  # named with all others when pictures are checked
        hashing, _ = forecast.timed(loader.fingerprint, pixels)
        preparing, image = forecast.timed(preprocess.apply, pixels)
        times.append((reading + hashing, preparing))
        prepared.append(image)
    read_s, prepare_s = np.median(times, 0).tolist() if times else (0.0, 0.0)
    return read_s, prepare_s, prepared

"""How fast a model is on this machine, stage by stage, under each runtime that is installed, and which to choose.

The runtimes take turns picture by picture, so that a busy machine slows all alike; figures are medians, warm-up is left out.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from flawsight import loader
from flawsight.backbones import Backbone
from flawsight.backbones.joined import restored
from flawsight.backbones.onnx import RUNTIMES
from flawsight.bench.speeds import DEFAULT, STAGES, Speed, advice, cores, spread
from flawsight.datasets.base import loose_samples
from flawsight.errors import MissingExtra, ModelFileError, UsageError
from flawsight.images import image
from flawsight.methods import make
from flawsight.model import Model, load
from flawsight.system import threads
from flawsight.system.record import peak_rss_mb, versions
from flawsight.types import Float, Pixels, Progress, Sample

SECONDS = 10.0
STREAM_SHARE = 0.4  # of the time, for streams; the rest is for pictures one at a time
SLICES = 3  # streams of each runtime, in turns
MOST = 64  # pictures taken: an even selection of more

Picture = Sample | bytes


@dataclass(frozen=True)
class BenchResult:
    """What was measured, on what, and what to choose.

    pictures: how many of those named, or what was drawn. sizes: (wide, high) of them. measured: how often one was judged by itself.
    runtimes: name → Speed; missing: name → why it was not measured. score_differences: of each but the default, the largest from
    the default's on the same picture, as a share of the threshold. recommended, limit: a runtime, and the stage that
    takes most of a stream's work; why: both in words. bank_rows: 0 of a method without a bank; bank_bytes: all that was learned.
    """

    model: str
    pictures: str
    sizes: list[tuple[int, int]]
    measured: int
    cores: int
    runtimes: dict[str, Speed]
    missing: dict[str, str]
    bank_rows: int
    bank_bytes: int
    peak_rss_mb: float
    score_differences: dict[str, float]
    recommended: str
    limit: str
    why: list[str]
    notes: list[str]
    versions: dict[str, str]


class _Clock:
    """A network that counts the seconds spent in it and in its members. whole: the clock of what it is a member of."""

    def __init__(self, backbone: Backbone, whole: _Clock | None = None) -> None:
        self._backbone = backbone
        self._whole = whole or self
        self.device = backbone.device
        self.seconds = 0.0

    @property
    def members(self) -> list[_Clock]:
        parts = self._backbone.members
        return [self] if len(parts) == 1 else [_Clock(part, self) for part in parts]

    def features(self, images: Float) -> list[Float]:
        started = time.perf_counter()
        maps = self._backbone.features(images)
        self._whole.seconds += time.perf_counter() - started
        return maps


@dataclass
class _Subject:
    """A model under one runtime, and what was measured of it: seconds and scores by turn, pictures a second by slice."""

    model: Model
    clock: _Clock
    stages: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in STAGES})
    totals: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)

    def one(self, picture: Picture) -> None:
        """One picture, stage by stage, then whole."""
        model = self.model
        first = model.preprocess.apply(loader.read(picture, 0, model.bits))[None]
        model.backbone.features(first)  # the other runtime's turn has cooled it
        marks = [time.perf_counter()]
        pixels = loader.read(picture, 0, model.bits)
        marks.append(time.perf_counter())
        prepared = model.preprocess.apply(pixels)[None]
        marks.append(time.perf_counter())
        self.clock.seconds = 0.0
        scores = model.method.score(prepared)
        network = self.clock.seconds
        marks += [marks[-1] + network, time.perf_counter()]
        if scores.map is not None:
            model.preprocess.restore(scores.map[0], (pixels.shape[0], pixels.shape[1]))
        marks.append(time.perf_counter())
        for name, (start, end) in zip(STAGES, itertools.pairwise(marks), strict=True):
            self.stages[name].append(end - start)
        started = time.perf_counter()
        judged = model.predict(picture, "picture")
        _ = judged.map
        self.scores.append(judged.score)
        self.totals.append(time.perf_counter() - started)

    def stream(self, pictures: Sequence[Picture], seconds: float) -> None:
        """Pictures one after another, as long as that; three at least."""
        started = time.perf_counter()
        results = self.model.predict_batch(itertools.cycle(pictures))
        for done, judged in enumerate(results, 1):
            _ = judged.map
            passed = time.perf_counter() - started
            if passed >= seconds and done >= 3:
                break
        results.close()  # type: ignore[attr-defined]
        self.rates.append(done / passed)

    def speed(self) -> Speed:
        return Speed(
            {name: spread(times) for name, times in self.stages.items()}, spread(self.totals), statistics.median(self.rates)
        )


def bench(
    model_path: str | Path, pictures: Sequence[Path] = (), seconds: float = SECONDS, progress: Progress | None = None
) -> BenchResult:
    """Measure the model in a file on these pictures or folders of them; without any, on a drawn one of the size it learned from.

    seconds: to measure for; loading and warming up come on top. Raises ModelFileError, PictureError, DataError or UsageError.
    """
    if not (seconds > 0 and math.isfinite(seconds)):
        raise UsageError(f"bench: seconds must be above 0; got {seconds:g}.")
    model = load(model_path)
    subjects, missing = _subjects(model)
    found: list[Picture] = [*loose_samples(list(pictures))] if pictures else _drawn(_usual_hw(model))
    chosen = _even(found)
    firsts = _warm_up(list(subjects.values()), chosen)
    for picture in _until(seconds * (1 - STREAM_SHARE), chosen, "one at a time", progress):
        for subject in subjects.values():
            subject.one(picture)
    for part in range(SLICES):
        for subject in subjects.values():
            subject.stream(chosen, seconds * STREAM_SHARE / SLICES / len(subjects))
        if progress:
            progress("as a stream", part + 1, SLICES)
    speeds = {name: subject.speed() for name, subject in subjects.items()}
    differences = _differences(subjects, model.threshold.value)
    recommended, limit, why = advice(speeds, differences)
    state = model.method.state()
    return BenchResult(
        model=Path(model_path).name,
        pictures=f"{len(chosen)} of the {len(found)} named" if pictures else "a drawn one, as PNG and as JPEG",
        sizes=sorted((wide, high) for high, wide in firsts),
        measured=len(subjects[DEFAULT].totals),
        cores=cores(),
        runtimes=speeds,
        missing=missing,
        bank_rows=sum(len(array) for name, array in state.items() if name.endswith("bank")),
        bank_bytes=sum(array.nbytes for array in state.values()),
        peak_rss_mb=peak_rss_mb(),
        score_differences=differences,
        recommended=recommended,
        limit=limit,
        why=why,
        notes=_notes(bool(pictures), {(h, w) for h, w in model.training.sizes_hw.tolist()}, set(firsts)),
        versions={name: version for runtime in speeds for name, version in versions(runtime).items()},
    )


def _subjects(model: Model) -> tuple[dict[str, _Subject], dict[str, str]]:
    """The model under each runtime, with a clock in it; and why others are missing."""
    subjects, missing = {}, {}
    for runtime in RUNTIMES:
        try:
            backbone = restored(model.backbone.graphs, model.backbone.levels, runtime, model.backbone.origin)
        except (MissingExtra, ModelFileError, UsageError) as error:
            missing[runtime] = str(error)
            continue
        clock = _Clock(backbone)
        method = make(model.method.name, dataclasses.asdict(model.method.params), clock).with_state(model.method.state())
        subjects[runtime] = _Subject(dataclasses.replace(model, method=method, backbone=backbone), clock)
    return subjects, missing


def _warm_up(subjects: list[_Subject], pictures: list[Picture]) -> dict[tuple[int, int], Picture]:
    """The first picture of each size (high, wide), which all runtimes have judged twice: what is set up depends on the size."""
    sizes = threads.ahead(lambda picture: loader.read(picture, 0).shape[:2], pictures)
    firsts: dict[tuple[int, int], Picture] = {}
    for (high, wide), picture in zip(sizes, pictures, strict=True):
        firsts.setdefault((high, wide), picture)
    for picture in firsts.values():
        for subject in subjects:
            for _ in range(2):
                subject.model.predict(picture)
    return firsts


def _until(seconds: float, pictures: list[Picture], what: str, progress: Progress | None) -> Iterator[Picture]:
    """Pictures, again and again, until the time is over; two at least."""
    started, message, total = time.perf_counter(), -1, max(1, math.ceil(seconds))
    for done, picture in enumerate(itertools.cycle(pictures)):
        passed = time.perf_counter() - started
        if progress and int(min(passed, total)) > message:
            message = int(min(passed, total))
            progress(what, message, total)
        if passed >= seconds and done >= 2:
            break
        yield picture
    if progress:
        progress(what, total, total)


def _differences(subjects: dict[str, _Subject], threshold: float) -> dict[str, float]:
    scores = {name: np.array(subject.scores) for name, subject in subjects.items()}
    apart = {name: float(np.abs(of_one - scores[DEFAULT]).max()) for name, of_one in scores.items() if name != DEFAULT}
    return {name: most / abs(threshold) for name, most in apart.items()} if threshold else {}


def _notes(named: bool, learned: set[tuple[int, int]], judged: set[tuple[int, int]]) -> list[str]:
    if not named:
        return ["Measured on a drawn picture: name pictures of the part for its own file format and content."]
    other = sorted(judged - learned)
    return [f"Pictures of {other[0][1]}×{other[0][0]} pixels are not of a size that the model learned from."] if other else []


def _usual_hw(model: Model) -> tuple[int, int]:
    """The size of most pictures that it learned from."""
    sizes, counts = np.unique(model.training.sizes_hw, axis=0, return_counts=True)
    high, wide = sizes[counts.argmax()].tolist()
    return high, wide


def _drawn(picture_hw: tuple[int, int]) -> list[Picture]:
    """A shaded surface with a camera's noise, as PNG and as JPEG."""
    high, wide = picture_hw
    rng = np.random.default_rng(0)
    shade = 128 + 60 * np.outer(np.sin(np.linspace(0, 9, high)), np.cos(np.linspace(0, 7, wide)))
    pixels: Pixels = np.clip(shade[..., None] + rng.normal(0, 3, (high, wide, 3)), 0, 255).astype(np.uint8)
    return [image.encode(pixels, "png"), image.encode(pixels, "jpeg", 90)]


def _even(pictures: list[Picture]) -> list[Picture]:
    return [pictures[i * len(pictures) // MOST] for i in range(MOST)] if len(pictures) > MOST else pictures

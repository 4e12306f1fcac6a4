"""Cells run: each is fitted and judged once and kept as a file of its own, so that what is finished is never done again."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import json
import multiprocessing
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flawsight.backbones.joined import JoinedBackbone
from flawsight.backbones.onnx import OnnxBackbone
from flawsight.errors import DataError, FlawsightError, UsageError
from flawsight.evaluation import evaluate
from flawsight.evaluation.frames import FULL
from flawsight.fitting import fit
from flawsight.methods import METHODS
from flawsight.methods.learned import Learned
from flawsight.model import Model, now
from flawsight.reproduce import by_fold, oracle, pictures
from flawsight.reproduce.keeping import keeping
from flawsight.reproduce.planning import Cell, Group, Request, make_work, why_no_reproduction
from flawsight.reproduce.rows import get_row
from flawsight.system.files import atomic_write
from flawsight.system.record import forget_peak_rss
from flawsight.types import Progress, Report

METRIC_IDS = {
    "image_auroc": "auroc_img",
    "balanced_accuracy": "balanced_accuracy_img",
    "pixel_auroc": "auroc_px",
    "pro": "aupro",
    "pro_imagewise": "aupro_imagewise",
    "object_auroc": "auroc_object",
    "spro": "au_spro",
}
POLL_S = 0.5
CELLS = "cells"  # folder of finished cells
CHECKPOINTS = "checkpoints"  # beside it, of trainings that are under way
ENDED = (
    "tables: processes that run to their end were needed; one was ended from outside, as systems do when memory runs out. "
    "What is finished is kept: run again, with fewer jobs."
)

Notify = Callable[["Result", int, int, float], None]  # a finished cell, cells done, in all, seconds left


@dataclass(frozen=True)
class Result:
    """A finished cell, as its file holds it.

    metrics: name in METRICS → fraction, None where undefined; metric_ids: what each is called in publications. intervals: 95 %, of
    resampled pictures. pixels_at, size_hw, mask_rule: where and how pixels were compared. no_reproduction: why it cannot be the
    published figure; empty where it could. protocol_gap: in what the published one was made another way. peak_rss_mb: of this
    cell where the system can tell, else of the process so far. learned_from: names of the good pictures, where they were drawn.
    oracle: what was chosen on the test labels, by which metric and among what; empty where nothing was, as without being asked for.
    """

    row: str
    category: str
    seed: int
    shots: int | None
    key: str
    metrics: dict[str, float | None]
    metric_ids: dict[str, str]
    intervals: dict[str, list[float | None]]
    pixels_at: str
    size_hw: list[int] | None
    mask_rule: str
    counts: dict[str, int]
    network: dict[str, Any]
    preset: str
    method: str
    params: dict[str, Any]
    preprocess: dict[str, Any]
    no_reproduction: str
    protocol_gap: str
    seconds: dict[str, float]
    peak_rss_mb: float
    versions: dict[str, str]
    created: str
    notes: list[str]
    learned_from: list[str]
    oracle: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """What a request came to: results in the order of its cells, and what is not there: (row, category or "", why)."""

    request: Request
    results: list[Result]
    not_run: list[tuple[str, str, str]] = field(default_factory=list)


def run(request: Request, out: Path, progress: Progress | None = None, notify: Notify | None = None) -> Run:
    """Run what is not yet in `out`/cells, each cell written when it is finished. Raises UsageError where nothing may be written."""
    work, folder = make_work(request), make_folder(out)
    clock = _Clock(work.cells, folder, notify)
    todo = [replaced for group in work.groups if (replaced := _open_cells(group, folder)).cells]
    failed = _alone(request, todo, folder, progress, clock) if request.jobs == 1 else _together(request, todo, folder, clock)
    results = [result for cell in work.cells if (result := read(folder, cell)) is not None]
    return Run(request, results, [*work.not_run, *failed])


def make_folder(out: Path, cells: bool = True) -> Path:
    """The folder of the results, or of the cells in it, made if it is not there. Raises UsageError."""
    folder = out / CELLS if cells else out
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise UsageError(f"{out}: a folder that may be written was needed; {why}. Choose another.") from None
    return folder


def read(folder: Path, cell: Cell) -> Result | None:
    """The finished cell; None where it is not finished, or its file is damaged."""
    try:
        content = json.loads((folder / cell.file_name).read_text("utf-8"))
        return Result(**content) if content["key"] == cell.key else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


class _Clock:
    """Counts finished cells by their files, tells of each once, and how long the rest may take."""

    def __init__(self, cells: Sequence[Cell], folder: Path, notify: Notify | None) -> None:
        self._open = {cell.file_name: cell for cell in cells if read(folder, cell) is None}
        self._n_all, self._n_before = len(cells), len(cells) - len(self._open)
        self._folder, self._notify, self._started = folder, notify, time.perf_counter()

    def look(self) -> None:
        """Tell of the cells that were finished since."""
        for name in [name for name in self._open if (self._folder / name).exists()]:
            result = read(self._folder, self._open.pop(name))
            done = self._n_all - len(self._open)
            left_s = (time.perf_counter() - self._started) / max(1, done - self._n_before) * len(self._open)
            if result and self._notify:
                self._notify(result, done, self._n_all, left_s)


def _open_cells(group: Group, folder: Path) -> Group:
    """The group with the cells that are not finished."""
    return dataclasses.replace(group, cells=tuple(cell for cell in group.cells if read(folder, cell) is None))


def _alone(
    request: Request, groups: list[Group], folder: Path, progress: Progress | None, clock: _Clock
) -> list[tuple[str, str, str]]:
    failed = []
    for group in groups:
        failed += run_group(request, group, folder, progress, clock.look)
    return failed


def _together(request: Request, groups: list[Group], folder: Path, clock: _Clock) -> list[tuple[str, str, str]]:
    """Groups side by side in processes of their own; they share nothing but the folder."""
    failed: list[tuple[str, str, str]] = []
    context = multiprocessing.get_context("spawn")  # a fork would inherit the runtime's threads, which do not survive it
    with concurrent.futures.ProcessPoolExecutor(request.jobs, context) as pool:
        waiting = {pool.submit(run_group, request, group, folder) for group in groups}
        try:
            while waiting:
                done, waiting = concurrent.futures.wait(waiting, POLL_S, concurrent.futures.FIRST_COMPLETED)
                clock.look()
                for future in done:
                    failed += future.result()
        except BaseException as error:  # an interrupt too: whoever stops a run does not mean to wait for its cells
            pool.shutdown(wait=False, cancel_futures=True)
            while running := multiprocessing.active_children():  # one may just be starting
                for process in running:
                    process.terminate()
                    process.join()
            if isinstance(error, BrokenProcessPool):
                raise DataError(ENDED) from error
            raise
    return failed


def run_group(
    request: Request,
    group: Group,
    folder: Path,
    progress: Progress | None = None,
    finished: Callable[[], None] | None = None,
) -> list[tuple[str, str, str]]:
    """Run and write the group's cells; those that failed, with why."""
    failed: list[tuple[str, str, str]] = []
    try:
        opened = group.cells[0].plan.network()
    except FlawsightError as error:
        return [(row, group.category, str(error)) for row in dict.fromkeys(cell.row for cell in group.cells)]
    with keeping(opened) as network:
        for cell in group.cells:
            checkpoints = _checkpoints(cell, folder)
            try:
                result = _measure(request, group, cell, network, checkpoints, progress)
            except FlawsightError as error:
                failed.append((cell.row, cell.category, str(error)))
                continue
            content = json.dumps(dataclasses.asdict(result), ensure_ascii=False, indent=1, allow_nan=False)
            atomic_write(folder / cell.file_name, content.encode("utf-8", "backslashreplace"))
            _discard(checkpoints)
            if finished:
                finished()
    return failed


def _checkpoints(cell: Cell, folder: Path) -> Path | None:
    """Where the cell's training keeps what it reached, named as the cell's file is; None where nothing is trained."""
    learns = issubclass(METHODS[cell.plan.method_name], Learned)
    return folder.parent / CHECKPOINTS / Path(cell.file_name).stem if learns else None


def _discard(checkpoints: Path | None) -> None:
    """Remove a finished training's checkpoints, and the folder of all of them with the last."""
    if checkpoints is not None:
        shutil.rmtree(checkpoints, ignore_errors=True)
        with contextlib.suppress(OSError):  # others are under way
            checkpoints.parent.rmdir()


def _measure(
    request: Request,
    group: Group,
    cell: Cell,
    network: OnnxBackbone | JoinedBackbone,
    checkpoints: Path | None,
    progress: Progress | None,
) -> Result:
    """The cell fitted and judged."""
    forget_peak_rss()
    plan, train, test = pictures.of_cell(group, cell)
    tried = []
    for at, (options, one) in enumerate(oracle.plans(plan, cell.alternatives)):
        started = time.perf_counter()
        kept = checkpoints and checkpoints / str(at)
        model = fit(train, dataclasses.replace(one, checkpoints=kept), progress, network)
        fitted = time.perf_counter() - started
        report = evaluate(model, test, f"{cell.name}", cell.judging, progress=progress)
        if get_row(cell.row).by_fold:
            report = by_fold.averaged(report, model, test, cell.judging.resamples, progress)
        tried.append(oracle.Tried(options, model, report, fitted))
    best, choice = oracle.choose(cell.row, tried)
    result = _result(request, cell, best.model, best.report, sum(one.seconds for one in tried))
    return dataclasses.replace(result, learned_from=[sample.name for sample in train] if cell.shots else [], oracle=choice)


def _result(request: Request, cell: Cell, model: Model, report: Report, fitted_s: float) -> Result:
    row, network = get_row(cell.row), model.backbone
    sizes = {"crop": list(model.preprocess.input_hw(report.rows[0].size_hw)), "full256": [FULL, FULL], "native": None}
    return Result(
        row=cell.row,
        category=cell.category,
        seed=cell.seed,
        shots=cell.shots,
        key=cell.key,
        metrics={name: _defined(report.metrics[name]) for name in METRIC_IDS if name in report.metrics},
        metric_ids=METRIC_IDS,
        intervals={name: [_defined(low), _defined(high)] for name, (low, high) in report.intervals.items()},
        pixels_at=cell.judging.pixels_at,
        size_hw=sizes[cell.judging.pixels_at],
        mask_rule=cell.judging.mask_rule,
        counts=report.counts,
        network={
            "name": model.backbone_name,
            "levels": list(network.levels),
            "runtime": network.runtime,
            "sha256": network.origin.sha256,
            "weights": network.origin.weights,
            "source": network.origin.source,
        },
        preset=cell.plan.preset,
        method=model.method.name,
        params=dataclasses.asdict(model.method.params),
        preprocess=dataclasses.asdict(model.preprocess),
        no_reproduction=why_no_reproduction(request, cell.plan),
        protocol_gap=row.gap,
        seconds={"fit": fitted_s, **report.timings_s},
        peak_rss_mb=report.peak_rss_mb,
        versions=report.versions,
        created=now(),
        notes=[*report.notes, *model.training.notes],
        learned_from=[],
    )


def _defined(value: float) -> float | None:
    """The number, None instead of NaN."""
    return None if value != value else value

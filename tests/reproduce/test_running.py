"""Cells are run once: a run that was stopped goes on, and comes to what one in a single go does."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flawsight.datasets import open_dataset
from flawsight.errors import DataError, UsageError
from flawsight.evaluation import evaluate
from flawsight.fitting import fit
from flawsight.methods import METHODS
from flawsight.reproduce import keeping, published, running
from flawsight.reproduce.keeping import KeptBackbone
from flawsight.reproduce.planning import make_work
from flawsight.reproduce.running import Result, Run, make_folder, read, run

from .conftest import MakeRequest

PASSING = ("seconds", "peak_rss_mb", "created")  # what is another each time


class Stopped(Exception):
    """What a kill does in a test."""


def lasting(found: Run) -> list[dict[str, Any]]:
    """All that was measured and recorded but what a clock gave."""
    return [{name: value for name, value in dataclasses.asdict(result).items() if name not in PASSING} for result in found.results]


def counted(monkeypatch: pytest.MonkeyPatch, stop_at: int | None = None) -> list[str]:
    """Names of the cells that are fitted from now on; the fit before which it stops."""
    fitted: list[str] = []

    def counting(*args: Any, **kwargs: Any) -> Any:
        if len(fitted) == stop_at:
            raise Stopped
        fitted.append(args[1].preset)
        return fit(*args, **kwargs)

    monkeypatch.setattr(running, "fit", counting)
    return fitted


def test_a_cell_is_what_fit_and_evaluate_give(make_request: MakeRequest, tmp_path: Path) -> None:
    request = make_request(methods=("patchcore_1",))
    result, cell = run(request, tmp_path).results[0], make_work(request).cells[0]
    data = open_dataset(request.data)
    model = fit(data.train, cell.plan)
    report = evaluate(model, data.test, "plates", cell.judging)
    assert result.metrics == {name: value for name, value in report.metrics.items() if name in running.METRIC_IDS}
    assert list(result.metrics) == ["image_auroc", "pixel_auroc", "pro", "pro_imagewise"]
    assert result.intervals == {name: list(ends) for name, ends in report.intervals.items()}
    assert (result.pixels_at, result.size_hw, result.mask_rule) == ("crop", [64, 64], "trunc")
    assert result.network["name"] == "efficientnet_lite0"
    assert result.network["sha256"] == model.backbone.origin.sha256
    assert result.params == dataclasses.asdict(model.method.params)
    assert result.params["coreset_ratio"] == 0.01
    assert result.no_reproduction == "tiny pictures, network efficientnet_lite0"
    assert result.seconds.keys() >= {"fit", "judge", "metrics"}
    assert 10 < result.peak_rss_mb < 100_000
    assert result.counts["regions"] > 0
    assert (tmp_path / "cells" / cell.file_name).is_file()


def test_a_run_that_was_stopped_goes_on_and_comes_to_the_same(
    make_request: MakeRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = make_request(seeds=(0, 1))
    whole = run(request, tmp_path / "whole")
    assert len(whole.results) == 4
    fitted = counted(monkeypatch, stop_at=2)
    with pytest.raises(Stopped):
        run(request, tmp_path / "stopped")
    assert len(fitted) == 2
    assert len(list((tmp_path / "stopped" / "cells").iterdir())) == 2
    fitted = counted(monkeypatch)
    message: list[tuple[str, int, int]] = []
    resumed = run(request, tmp_path / "stopped", notify=lambda result, done, n, left: message.append((result.row, done, n)))
    assert len(fitted) == 2
    assert message == [("patchcore_1", 3, 4), ("patchcore_1", 4, 4)]
    assert lasting(resumed) == lasting(whole)
    fitted = counted(monkeypatch)
    assert lasting(run(request, tmp_path / "stopped")) == lasting(whole)
    assert fitted == []


def test_side_by_side_they_come_to_the_same(make_request: MakeRequest, tmp_path: Path) -> None:
    request = make_request(tables=("S1", "S4"), methods=("patchcore_1", "patchcore_1_wr101_280_l123"))
    assert len(make_work(request).groups) == 2  # other levels: other feature maps
    alone = run(request, tmp_path / "alone")
    together = run(dataclasses.replace(request, jobs=2), tmp_path / "together")
    assert len(alone.results) == 2
    assert lasting(together) == lasting(alone)


def test_cells_share_what_the_network_made_of_a_picture(
    make_request: MakeRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[KeptBackbone] = []

    class Noted(KeptBackbone):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            made.append(self)

    monkeypatch.setattr(keeping, "KeptBackbone", Noted)
    request = make_request(seeds=(0, 1))
    run(request, tmp_path)
    data = open_dataset(request.data)
    n = len(data.train) + len(data.test)
    assert len(made) == 1
    assert made[0].n_computed in (n, n + 1)  # where the fit first tries out what a picture takes, one more


def test_a_damaged_cell_is_run_again(make_request: MakeRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = make_request(methods=("patchcore_1",))
    first = run(request, tmp_path)
    path, cell = next((tmp_path / "cells").iterdir()), make_work(request).cells[0]
    for spoilt in (path.read_text()[:100], "[]", json.dumps({"key": cell.key}), path.read_text().replace(cell.key, "0" * 64)):
        path.write_text(spoilt)
        assert read(path.parent, cell) is None
    fitted = counted(monkeypatch)
    assert lasting(run(request, tmp_path)) == lasting(first)
    assert len(fitted) == 1


def test_a_cell_that_fails_does_not_stop_the_others(
    make_request: MakeRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*args: Any, **kwargs: Any) -> Any:
        if args[1].options["coreset_ratio"] == 0.1:
            raise DataError("fit: a picture was needed; none came. Add one.")
        return fit(*args, **kwargs)

    monkeypatch.setattr(running, "fit", failing)
    found = run(make_request(), tmp_path)
    assert [result.row for result in found.results] == ["patchcore_1"]
    assert found.not_run == [("patchcore_10", "plate", "fit: a picture was needed; none came. Add one.")]


def test_a_network_that_cannot_be_opened_is_told_for_each_row(make_request: MakeRequest, tmp_path: Path) -> None:
    """The published network's weights are not carried along."""
    found = run(make_request(recipe="row", weights=None), tmp_path)
    assert found.results == []
    assert [(row, category) for row, category, _ in found.not_run] == [("patchcore_10", "plate"), ("patchcore_1", "plate")]
    assert all("wide_resnet50_2" in why for _, _, why in found.not_run)


def test_few_good_pictures_are_drawn_anew_for_each_seed(make_request: MakeRequest, tmp_path: Path) -> None:
    found = run(make_request(methods=("patchcore_10",), shots=(1, 3), seeds=(0, 1, 2)), tmp_path)
    assert found.not_run == []
    assert [(result.shots, result.seed) for result in found.results] == [(n, seed) for n in (1, 3) for seed in (0, 1, 2)]
    by_cell = {(result.shots, result.seed): result for result in found.results}
    assert {len(result.learned_from) for result in found.results} == {1, 3}
    assert len({tuple(by_cell[3, seed].learned_from) for seed in (0, 1, 2)}) > 1
    assert by_cell[3, 0].learned_from[:1] == by_cell[1, 0].learned_from
    assert all(0 <= float(result.metrics["image_auroc"] or 0) <= 1 for result in found.results)


def test_a_folder_that_cannot_be_made_is_refused_at_once(make_request: MakeRequest, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(UsageError, match="a folder that may be written was needed"):
        run(make_request(), tmp_path / "taken")
    assert make_folder(tmp_path / "new", cells=False) == tmp_path / "new"
    assert isinstance(run(make_request(methods=("patchcore_1",)), tmp_path / "new").results[0], Result)


def test_a_process_that_is_ended_from_outside_is_told_and_what_is_finished_is_kept(
    make_request: MakeRequest, tmp_path: Path
) -> None:
    request = make_request(jobs=2, seeds=tuple(range(6)))
    ended: list[int] = []

    def end(result: Result, done: int, n: int, left: float) -> None:
        for process in multiprocessing.active_children():
            ended.append(int(process.pid or 0))
            process.kill()

    with pytest.raises(DataError, match=r"one was ended from outside.*run again, with fewer jobs"):
        run(request, tmp_path, notify=end)
    assert ended
    finished = list((tmp_path / "cells").iterdir())
    assert 0 < len(finished) < 12
    assert multiprocessing.active_children() == []


def test_an_interrupt_does_not_wait_for_other_processes(make_request: MakeRequest, tmp_path: Path) -> None:
    request = make_request(jobs=2, seeds=tuple(range(30)))

    def interrupt(result: Result, done: int, n: int, left: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(request, tmp_path, notify=interrupt)
    assert len(list((tmp_path / "cells").glob("*.json"))) < 60


def test_every_row_whose_method_is_here_runs(make_request: MakeRequest, tmp_path: Path, few_steps: None) -> None:
    """Small and on an embedded network, with a map unless the method's title says otherwise; nothing else hinders it than a
    method that is not here.
    """
    request = make_request(methods=(), tables=tuple(published.tables()))
    found = run(request, tmp_path)
    assert all("there is no method" in why for _, _, why in found.not_run)
    ran = {result.row for result in found.results}
    assert ran == {row.name for row in request.rows if row.method in METHODS}
    with_pixels = {row for table, row, _ in published.figures() if table in ("S2", "S3")}
    for result in found.results:
        assert result.metrics["image_auroc"] is not None
        has_map = "no map" not in METHODS[result.method].title
        assert has_map or result.row not in with_pixels, result.row
        assert ("pro" in result.metrics) == has_map, result.row


KILLED_AT = 30  # steps
KILLED = f"""
import dataclasses, functools, os, sys
from pathlib import Path
from flawsight.networks import descend
from flawsight.reproduce.planning import Request
from flawsight.reproduce.rows import ROWS
from flawsight.reproduce.running import run
row, options = ROWS["dsebm"], {{"side": 16, "width": 4, "units": 8, "steps": 40, "batch": 4}}
ROWS["dsebm"] = dataclasses.replace(row, smoke=dataclasses.replace(row.smoke, options=options))
descend.Run = functools.partial(descend.Run, keep_every_s=0)
def tell(what, done, n):
    if what.startswith("training") and done == {KILLED_AT} and sys.argv[3] == "kill":
        os.kill(os.getpid(), 9)
    if what.startswith("training"):
        print(done, flush=True)
found = run(Request(Path(sys.argv[1]), methods=("dsebm",), recipe="smoke"), Path(sys.argv[2]), tell)
print(found.results[0].metrics["image_auroc"], found.results[0].intervals, found.not_run)
"""


def test_a_training_that_was_killed_goes_on_where_it_was(plate: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")

    def ran(out: Path, how: str) -> tuple[int, list[str]]:
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", KILLED, str(plate), str(out), how]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", env=environment, timeout=300, check=False)
        return done.returncode, done.stdout.splitlines()

    stopped = tmp_path / "stopped"
    code, message = ran(stopped, "kill")
    assert code != 0
    assert message == [str(done) for done in range(1, KILLED_AT)]
    assert list((stopped / "cells").iterdir()) == []
    assert [path.name for path in (stopped / "checkpoints").rglob("*.safetensors")] == ["dsebm-training.safetensors"]
    code, (first, *_, reached) = ran(stopped, "go on")
    assert (code, first) == (0, str(KILLED_AT))  # the step that was lost, and none before it, is done again
    assert [path.name for path in stopped.iterdir()] == ["cells"]
    code, message = ran(tmp_path / "whole", "go on")
    assert (code, message[0], message[-1]) == (0, "1", reached)


def test_a_cell_tells_what_its_teacher_learned_from(
    make_request: MakeRequest, plate: Path, tmp_path: Path, few_steps: None
) -> None:
    pytest.importorskip("torch")
    (result,) = run(make_request(methods=("student",), teacher_data=plate / "train"), tmp_path).results
    assert result.params["teacher_data"] == str(plate / "train")
    assert any(note.startswith(f"student: teacher_data={plate / 'train'}, distilled from ") for note in result.notes)
    assert result.no_reproduction.endswith("the teacher learned from given pictures")


def test_only_a_finished_cells_checkpoints_are_removed(make_request: MakeRequest, tmp_path: Path, few_steps: None) -> None:
    pytest.importorskip("torch")
    other = tmp_path / "checkpoints" / "of-another"
    other.mkdir(parents=True)
    run(make_request(methods=("dsebm", "patchcore_1")), tmp_path)
    assert len(list((tmp_path / "cells").iterdir())) == 2
    assert list((tmp_path / "checkpoints").iterdir()) == [other]

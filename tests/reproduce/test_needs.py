"""What cells will need, told before they run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flawsight import fitting
from flawsight.datasets import open_dataset
from flawsight.errors import UsageError
from flawsight.fitting import Plan
from flawsight.fitting.forecast import Needs as FitNeeds
from flawsight.reproduce import oracle
from flawsight.reproduce.needs import needs
from flawsight.reproduce.running import run
from flawsight.types import Sample

from .conftest import MakeRequest

Tried = list[tuple[list[Sample], Plan]]


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> Tried:
    """What is tried out from now on; each would take 7 s and 100 MB, each more 50 MB more, and half a second a picture."""
    made: Tried = []

    def estimate(train: list[Sample], plan: Plan) -> FitNeeds:
        made.append((train, plan))
        sizes = {"peak_mb": 50.0 + 50 * len(made), "budget_mb": 1000.0, "smallest_mb": 100.0}
        return FitNeeds(pictures=len(train), seconds={"looking": 3.0, "choosing": 4.0}, latency_ms=500.0, **sizes)

    monkeypatch.setattr(fitting, "estimate", estimate)
    return made


def test_one_try_says_all_seeds(make_request: MakeRequest, tried: Tried, plate: Path) -> None:
    request, dataset = make_request(seeds=(0, 1, 2), methods=("patchcore_1",)), open_dataset(plate)
    found = needs(request, None)
    (one,) = found.of_cells
    assert (one.row, one.category, one.shots, one.cells, one.why) == ("patchcore_1", one.category, None, 3, "")
    assert [train for train, _ in tried] == [dataset.train]
    assert (one.fit_s, one.judge_s, one.peak_mb) == (7.0, 0.5 * len(dataset.test), 100.0)
    assert found.total_s == one.total_s == 3 * (one.fit_s + one.judge_s)
    assert (found.finished, found.not_run) == (0, [])


def test_each_number_of_shots_is_tried(make_request: MakeRequest, tried: Tried) -> None:
    found = needs(make_request(seeds=(0, 1), shots=(1, 3), methods=("patchcore_1",)), None)
    assert [(one.shots, one.cells) for one in found.of_cells] == [(1, 2), (3, 2)]
    assert [len(train) for train, _ in tried] == [1, 3]


def test_finished_cells_are_not_counted_and_nothing_is_written(make_request: MakeRequest, tried: Tried, tmp_path: Path) -> None:
    request = make_request(seeds=(0, 1), methods=("patchcore_1",))
    assert not needs(request, tmp_path).finished
    assert not list(tmp_path.iterdir())
    run(make_request(seeds=(1,), methods=("patchcore_1",)), tmp_path)
    found = needs(request, tmp_path)
    assert ([one.cells for one in found.of_cells], found.finished) == ([1], 1)
    run(request, tmp_path)
    n = len(tried)
    found = needs(request, tmp_path)
    assert (found.of_cells, found.finished, found.total_s, len(tried)) == ([], 2, 0.0, n)


def test_alternatives_of_an_oracle_are_added_up(make_request: MakeRequest, tried: Tried, plate: Path) -> None:
    (one,) = needs(make_request(methods=("geotrans",), oracle_select=True), None).of_cells
    n = len(oracle.alternatives("geotrans", 100))
    assert len(tried) == n > 1
    assert one.fit_s == 7.0 * n
    assert one.judge_s == pytest.approx(0.5 * n * len(open_dataset(plate).test))
    assert one.peak_mb == 50.0 + 50 * n
    assert len({plan.options["steps"] for _, plan in tried}) == n


def test_labelled_defects_come_along_and_are_not_judged(make_request: MakeRequest, tried: Tried, plate: Path) -> None:
    (one,) = needs(make_request(methods=("cavga_rw",)), None).of_cells
    assert [len(plan.defects) for _, plan in tried] == [1]
    assert one.judge_s == 0.5 * (len(open_dataset(plate).test) - 1)


def test_what_cannot_be_told_says_why_and_the_rest_is_told(make_request: MakeRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[..., Any] = fitting.estimate

    def estimate(train: list[Sample], plan: Plan) -> Any:
        if plan.method_options().get("coreset_ratio") == 0.25:
            raise UsageError("no memory is left")
        return real(train, plan)

    monkeypatch.setattr(fitting, "estimate", estimate)
    found = needs(make_request(methods=("spade", "patchcore_1", "patchcore_25", "patchcore_10"), tables=("S1",)), None)
    assert {one.row: one.why for one in found.of_cells} == {
        "spade": fitting.UNTOLD,
        "patchcore_25": "no memory is left",
        "patchcore_10": "",
        "patchcore_1": "",
    }
    assert [one.row for one in found.of_cells] == ["spade", "patchcore_25", "patchcore_10", "patchcore_1"]  # as the table has them
    assert all((one.fit_s > 0) == (one.peak_mb > 0) == (not one.why) for one in found.of_cells)
    assert found.total_s == sum(one.fit_s + one.judge_s for one in found.of_cells)

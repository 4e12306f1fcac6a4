"""Choices on test labels: only when asked for, by the best, and marked wherever their numbers stand."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from flawsight import cli
from flawsight.cli import grids
from flawsight.datasets import DataSet, open_dataset
from flawsight.errors import UsageError
from flawsight.fitting import Plan
from flawsight.methods import METHODS
from flawsight.reproduce import low_shot, oracle, page, pictures, published, running, writing
from flawsight.reproduce.planning import Request, make_work
from flawsight.reproduce.rows import ROWS
from flawsight.reproduce.running import Result, Run, run
from flawsight.reproduce.sheets import Sheet, entry_text, measured_sheets
from flawsight.types import Sample

from .conftest import MakeRequest, MakeResult

RECORD = {
    "by": "image_auroc",
    "chosen": {"steps": 75},
    "tried": [{"options": {"steps": 75}, "image_auroc": 0.9}, {"options": {"steps": 300}, "image_auroc": 0.8}],
}


@dataclasses.dataclass
class Seen:
    """What a cell's fits and judgings were handed, in their order."""

    plans: list[Plan]
    learned_from: list[list[Sample]]
    judged: list[list[Sample]]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """Methods of a mean colour are fitted in the place of those that learn by gradient; what is handed over is noted."""
    noted = Seen([], [], [])
    fit, evaluate = running.fit, running.evaluate

    def noting_fit(pictures: Any, plan: Plan, *rest: Any) -> Any:
        noted.plans.append(plan)
        noted.learned_from.append(list(pictures))
        quick = {"steps": 1, "batch": 4, "depth": 10, "width": 1, "shift": 0} if plan.method_name == "geotrans" else {"steps": 1}
        return fit(pictures, dataclasses.replace(plan, options={**plan.options, **quick}), *rest)

    def noting_evaluate(model: Any, samples: Any, *rest: Any, **named: Any) -> Any:
        noted.judged.append(list(samples))
        report = evaluate(model, samples, *rest, **named)
        value = (0.6, 0.9, 0.7, 0.9)[len(noted.judged) - 1]
        return dataclasses.replace(report, metrics={**report.metrics, "image_auroc": value})

    monkeypatch.setattr(running, "fit", noting_fit)
    monkeypatch.setattr(running, "evaluate", noting_evaluate)
    pytest.importorskip("torch")
    return noted


def test_without_being_asked_for_a_cell_is_one_fit_that_sees_no_test_picture(
    make_request: MakeRequest, tmp_path: Path, seen: Seen
) -> None:
    request = make_request(methods=("geotrans",))
    (cell,), (result,) = make_work(request).cells, run(request, tmp_path).results
    assert cell.alternatives == ()
    assert [dataclasses.replace(plan, checkpoints=None) for plan in seen.plans] == [cell.plan]
    assert not {one.name for one in seen.learned_from[0]} & {one.name for one in seen.judged[0]}
    assert all(one.label == 0 for one in seen.learned_from[0])
    assert len(seen.judged) == 1
    assert result.oracle == {}
    assert result.params["steps"] == 1


def test_without_being_asked_for_the_labels_change_no_score(
    make_request: MakeRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same cell with all test labels exchanged: the same scores, so that the AUROC is just turned round."""
    pytest.importorskip("torch")
    for row in ("dsebm", "patchcore_1"):
        if (smoke := ROWS[row].smoke) is not None:
            monkeypatch.setitem(smoke.options, "steps", 2)  # type: ignore[arg-type]

    def turned(*args: Any) -> DataSet:
        dataset = open_dataset(*args)
        return dataclasses.replace(dataset, test=[dataclasses.replace(one, label=1 - int(one.label or 0)) for one in dataset.test])

    request = make_request(methods=("dsebm", "patchcore_1"), tables=("S1",))
    before = {result.row: result.metrics["image_auroc"] for result in run(request, tmp_path / "before").results}
    monkeypatch.setattr(pictures, "open_dataset", turned)
    after = {result.row: result.metrics["image_auroc"] for result in run(request, tmp_path / "after").results}
    assert before.keys() == after.keys() == {"dsebm", "patchcore_1"}
    for row, value in before.items():
        assert value is not None
        assert after[row] == pytest.approx(1 - value, abs=1e-12)


def test_asked_for_the_best_alternative_is_taken_and_recorded(make_request: MakeRequest, tmp_path: Path, seen: Seen) -> None:
    request = make_request(methods=("geotrans",), oracle_select=True)
    (cell,), (result,) = make_work(request).cells, run(request, tmp_path).results
    steps = int(cell.plan.method_options()["steps"])
    assert [plan.options["steps"] for plan in seen.plans] == [one["steps"] for one in cell.alternatives]
    assert cell.alternatives == tuple({"steps": round(share * steps)} for share in (0.25, 0.5, 0.75, 1.0))
    assert result.metrics["image_auroc"] == 0.9
    assert (result.oracle["by"], result.oracle["chosen"]) == ("image_auroc", {"steps": round(0.5 * steps)})  # the first of equals
    assert [one["image_auroc"] for one in result.oracle["tried"]] == [0.6, 0.9, 0.7, 0.9]
    assert "-oracle-" in cell.file_name


def test_honest_cells_and_others_never_mix(make_request: MakeRequest) -> None:
    def keys(**changes: Any) -> dict[str, str]:
        return {cell.row: cell.key for cell in make_work(make_request(methods=("geotrans", "patchcore_1"), **changes)).cells}

    honest, chosen = keys(), keys(oracle_select=True)
    assert honest["geotrans"] != chosen["geotrans"]
    assert honest["patchcore_1"] == chosen["patchcore_1"]  # where nothing is chosen it is the same cell


def test_what_is_tried_are_options_of_rows() -> None:
    assert oracle.CHOICES.keys() <= ROWS.keys()
    for row, choices in oracle.CHOICES.items():
        if ROWS[row].method not in METHODS:
            continue
        params = METHODS[ROWS[row].method].Params
        assert choices.keys() <= {one.name for one in dataclasses.fields(params)}
        for options in oracle.alternatives(row, 100):
            dataclasses.replace(params(), **options)
        assert oracle.chosen_by(row) in published.get_table("S1").metrics + published.get_table("S2").metrics
    assert oracle.alternatives("patchcore_1", 0) == ()
    assert len(oracle.alternatives("patch_svdd", 2)) == 6


def test_checkpoints_of_alternatives_lie_apart() -> None:
    made = oracle.plans(Plan("ae_ssim", checkpoints=Path("kept"), options={"seed": 1}), ({"steps": 1}, {"steps": 2}))
    assert [plan.checkpoints for _, plan in made] == [Path("kept/alternative0"), Path("kept/alternative1")]
    assert [plan.options for _, plan in made] == [{"seed": 1, "steps": 1}, {"seed": 1, "steps": 2}]
    assert oracle.plans(Plan(), ()) == [({}, Plan())]


def test_without_both_kinds_of_pictures_nothing_can_be_chosen() -> None:
    nothing: Any = SimpleNamespace(metrics={"image_auroc": math.nan})
    tried = [oracle.Tried({"steps": i}, nothing, nothing, 0.0) for i in range(2)]
    with pytest.raises(UsageError, match="to choose by image_auroc, good and defective pictures were needed"):
        oracle.choose("geotrans", tried)


@pytest.fixture
def shown(make_result: MakeResult) -> tuple[Run, list[Sheet]]:
    """A row with a choice beside one without."""
    ends = {"image_auroc": [0.85, 0.95]}
    results = [
        make_result("geotrans", "screw", 0.9, oracle=RECORD, intervals=ends),
        make_result("dsebm", "screw", 0.7, intervals=ends),
        make_result("ocsvm", "screw", 0.6),
    ]
    found = Run(Request(Path("data"), ("S1",), ("geotrans", "dsebm", "ocsvm"), oracle_select=True), results)
    return found, measured_sheets(found)


def test_every_number_that_it_touched_is_marked(shown: tuple[Run, list[Sheet]]) -> None:
    (sheet,) = shown[1]
    assert sheet.title == "S1: image AUROC, ‡ chosen on test labels"
    lines = {(line.title, line.kind): line for line in sheet.lines}
    assert ("GeoTrans", "measured") not in lines
    line = lines["GeoTrans", "oracle choice"]
    assert [entry_text(line, column) for column in sheet.columns] == ["90.0‡", "90.0‡", "90.0‡"]
    assert entry_text(lines["GeoTrans", "difference"], "screw").endswith("!‡")
    assert entry_text(lines["GeoTrans", "interval"], "screw") == "85.0–95.0‡"
    assert "‡" not in entry_text(lines["GeoTrans", "published"], "screw")
    assert not any("‡" in entry_text(lines["DSEBM", kind], "screw") for kind in ("measured", "difference", "interval"))
    assert sheet.footnotes[line.note - 1] == (
        "‡ An oracle's choice, made on the labels of the test pictures (--oracle-select): the best Image AUROC of 2 alternatives. "
        "Chosen: screw, seed 0: steps=75."
    )
    assert not line.entries["screw"].best  # an honest number is, though it is smaller
    assert lines["DSEBM", "measured"].entries["screw"].best


def test_every_format_says_so(shown: tuple[Run, list[Sheet]], capsys: pytest.CaptureFixture[str]) -> None:
    found, sheets = shown
    rows = list(csv.reader(io.StringIO(writing.to_csv(sheets))))
    assert [row[4] for row in rows if row[2:4] == ["GeoTrans", "oracle choice"]] == ["90.0000"]
    assert not [row for row in rows if row[2:4] == ["GeoTrans", "measured"]]
    assert any("oracle" in cell for row in rows if row[2].startswith("note") for cell in row)
    assert "| oracle choice [2] | 90.0‡ |" in writing.to_markdown(sheets, found)
    assert r"90.0$\ddagger$" in writing.to_latex(sheets)
    assert "‡" not in writing.to_latex(sheets)
    cells = list(csv.DictReader(io.StringIO(writing.cells_csv(found.results))))
    assert '"chosen": {"steps": 75}' in cells[0]["oracle"]
    assert cells[1]["oracle"] == "{}"
    html = page.render(sheets, found)
    assert html.count("90.0‡") == 3
    assert "auroc_img 90.00‡" in html
    assert "An oracle&#39;s choice" in html
    console = Console(width=160, record=True, file=io.StringIO())
    grids.show_sheets(console, sheets, found)
    text = console.export_text()
    assert "90.0‡" in text
    assert "oracle choice" in text
    grids.tell_cell(found.results[0], 1, 3, 9.0)
    grids.tell_cell(found.results[1], 2, 3, 9.0)
    first, second = capsys.readouterr().err.splitlines()
    assert "‡ chosen on test labels" in first
    assert "‡" not in second


def test_few_pictures_are_marked_too(make_result: MakeResult) -> None:
    results: list[Result] = [make_result("geotrans", "screw", 0.9, oracle=RECORD, shots=2)]
    request = Request(Path("data"), ("S1",), ("geotrans",), shots=(2,), oracle_select=True)
    (sheet,) = low_shot.low_shot_sheets(Run(request, results))
    assert sheet.title.endswith(", ‡ chosen on test labels")
    assert [(line.kind, entry_text(line, "2")) for line in sheet.lines] == [("oracle choice", "90.0‡")]
    assert [one.kind for one in low_shot.series(sheet)] == ["oracle choice"]


def test_the_command_line_passes_it_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[Request] = []

    def noted(request: Request, *args: object) -> None:
        asked.append(request)
        raise KeyboardInterrupt

    monkeypatch.setattr("flawsight.reproduce.running.run", noted)
    for flags in ([], ["--oracle-select"]):
        CliRunner().invoke(cli.app, ["tables", "--data", str(tmp_path), "--out", str(tmp_path), *flags])
    assert [request.oracle_select for request in asked] == [False, True]

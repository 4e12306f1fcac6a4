"""Good pictures drawn; and a row that is shown some labelled defects: which, that they are not judged, and what its record says."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from flawsight.datasets import open_dataset
from flawsight.errors import DataError
from flawsight.reproduce import pictures, sheets, writing
from flawsight.reproduce.planning import Request
from flawsight.reproduce.rows import ROWS
from flawsight.reproduce.running import Run, run
from flawsight.types import Sample

from .conftest import MakeRequest, MakeResult


def test_set(**kinds: int) -> list[Sample]:
    """So many pictures of each kind, good ones first."""
    kinds = {"good": 3, **kinds}
    return [Sample(Path(f"{kind}{i}"), f"{kind}{i}", int(kind != "good"), kind) for kind, n in kinds.items() for i in range(n)]


test_set.__test__ = False  # type: ignore[attr-defined]


def test_more_shots_hold_the_fewer_and_each_seed_draws_anew(plate: Path) -> None:
    train = open_dataset(plate).train
    assert pictures.drawn(train, None, 0) == train
    two, five = pictures.drawn(train, 2, 1), pictures.drawn(train, 5, 1)
    assert five[:2] == two
    assert len({sample.name for sample in five}) == 5
    assert any(pictures.drawn(train, 5, seed) != five for seed in (2, 3))


@pytest.mark.parametrize(("n", "share", "shown"), [(24, 0.02, 1), (50, 0.02, 1), (51, 0.02, 2), (141, 0.02, 3), (24, 0.5, 12)])
def test_a_share_of_the_defective_ones_is_shown_and_the_rest_judged(n: int, share: float, shown: int) -> None:
    test = test_set(cut=n)
    given, left = pictures.shown(test, share)
    assert len(given) == shown
    assert all(one.label == 1 for one in given)
    assert [one for one in test if one not in given] == left
    assert pictures.shown(test, share) == (given, left)  # always the same ones


def test_of_each_kind_one_is_left_so_long_as_that_can_be() -> None:
    test = test_set(cut=2, dent=1, stain=4)
    given, left = pictures.shown(test, 0.55)  # 4, as many as can be spared
    assert sorted(one.kind for one in given) == ["cut", "stain", "stain", "stain"]
    assert {one.kind for one in left} == {"good", "cut", "dent", "stain"}
    given, _ = pictures.shown(test, 0.8)
    assert len(given) == 6


def test_none_are_shown_to_a_row_that_takes_none() -> None:
    test = test_set(cut=2)
    assert pictures.shown(test, 0.0) == ([], test)
    assert [row.name for row in ROWS.values() if row.defects] == ["cavga_rw"]


def test_some_must_be_left_to_judge() -> None:
    with pytest.raises(DataError, match="of 1 defective pictures 1 would be learned from, and some must be left to judge"):
        pictures.shown(test_set(cut=1), 0.02)


def test_the_cell_judges_the_others_and_says_which_it_was_shown(
    make_request: MakeRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    smoke = ROWS["cavga_rw"].smoke
    assert smoke is not None
    monkeypatch.setitem(smoke.options, "steps", 2)  # type: ignore[arg-type]
    request = make_request(methods=("cavga_rw", "patchcore_1"))
    found = run(request, tmp_path)
    cells = {result.row: result for result in found.results}
    (shown,) = pictures.shown(open_dataset(request.data).test, 0.02)[0]
    result = cells["cavga_rw"]
    assert result.counts["defective"] == cells["patchcore_1"].counts["defective"] - 1 == 5
    assert result.counts["good"] == cells["patchcore_1"].counts["good"]
    assert f"Labelled defective pictures were learned from, 1: {shown.name}." in result.notes
    assert not any("among those the model learned from" in note for note in result.notes)
    assert "2 % of the defective pictures" in result.protocol_gap
    assert 0 <= float(result.metrics["balanced_accuracy"] or 0) <= 1
    assert "balanced_accuracy" not in cells["patchcore_1"].metrics


def test_both_figures_stand_in_every_sheet(make_result: MakeResult) -> None:
    metrics = {"image_auroc": 0.8, "balanced_accuracy": 0.75}
    results = [make_result("cavga_rw", "screw", None, metrics=metrics), make_result("patchcore_1", "screw", 0.9)]
    shown = sheets.measured_sheets(Run(Request(Path("data"), ("S1",), ("cavga_rw", "patchcore_1")), results))
    lines = {(line.title, line.kind): line for line in shown[0].lines}
    assert lines["CAVGA-R_w", "measured"].entries["screw"].value == pytest.approx(80)
    assert lines["CAVGA-R_w", "balanced accuracy"].entries["screw"].value == pytest.approx(75)
    assert ("PatchCore-1", "balanced accuracy") not in lines
    assert shown[0].footnotes[lines["CAVGA-R_w", "measured"].note - 1] == sheets.SHOWN
    assert not lines["PatchCore-1", "measured"].note
    rows = list(csv.reader(io.StringIO(writing.to_csv(shown))))
    assert [row[4] for row in rows if row[2:4] == ["CAVGA-R_w", "balanced accuracy"]] == ["75.0000"]
    assert "| balanced accuracy | 75.0 |" in writing.to_markdown(shown)
    assert "balanced_accuracy_img" in writing.cells_csv(results).splitlines()[0]

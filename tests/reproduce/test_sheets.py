"""Measured beside published: every number worked out by hand from made-up cells."""

from __future__ import annotations

import math
import statistics
from pathlib import Path

import pytest

from flawsight.reproduce import published
from flawsight.reproduce.planning import Request
from flawsight.reproduce.published import CATEGORIES
from flawsight.reproduce.running import Result, Run
from flawsight.reproduce.sheets import Line, Sheet, entry_text, measured_sheets

from .conftest import MakeResult

SCREW = {"patchcore_25": 98.1, "patchcore_10": 97.0, "patchcore_1": 96.4}  # as published in S1


def sheet_of(results: list[Result], tables: tuple[str, ...] = ("S1",), methods: tuple[str, ...] = ("patchcore",)) -> Sheet:
    return measured_sheets(Run(Request(Path("data"), tables, methods), results))[0]


def lines_of(sheet: Sheet, title: str) -> dict[str, Line]:
    return {line.kind: line for line in sheet.lines if line.title == title}


def test_one_category_stands_beside_its_published_figure(make_result: MakeResult) -> None:
    sheet = sheet_of([make_result("patchcore_25", "screw", 0.985)])
    assert sheet.columns == ["screw", "mean", "objects"]
    lines = lines_of(sheet, "PatchCore-25")
    assert lines["published"].entries["screw"].printed == "98.1"
    assert lines["measured"].entries["screw"].value == pytest.approx(98.5)
    assert lines["difference"].entries["screw"].value == pytest.approx(0.4)
    # means are over what is there, of what is published too
    assert lines["published"].entries["mean"].value == lines["published"].entries["objects"].value == 98.1
    assert lines["measured"].entries["mean"].value == pytest.approx(98.5)
    assert "interval" not in lines
    assert [entry_text(lines[kind], "screw") for kind in lines] == ["98.1", "98.5", "+0.4"]


def test_differences_larger_than_tolerated_are_flagged(make_result: MakeResult) -> None:
    """A cell of PatchCore's image AUROC may differ by 0.5 points, the mean by 0.2."""
    lines = lines_of(sheet_of([make_result("patchcore_25", "screw", 0.985)]), "PatchCore-25")
    assert not lines["difference"].entries["screw"].beyond
    assert lines["difference"].entries["mean"].beyond
    just = lines_of(sheet_of([make_result("patchcore_25", "screw", 0.976)]), "PatchCore-25")
    assert not just["difference"].entries["screw"].beyond
    far = lines_of(sheet_of([make_result("patchcore_25", "screw", 0.97)]), "PatchCore-25")["difference"]
    assert entry_text(far, "screw") == "−1.1!"
    same = lines_of(sheet_of([make_result("patchcore_25", "screw", 0.9809)]), "PatchCore-25")["difference"]
    assert entry_text(same, "screw") == "0.0"


def test_means_over_textures_and_objects(make_result: MakeResult) -> None:
    values = {"carpet": 0.99, "tile": 0.97, "screw": 0.95}
    sheet = sheet_of([make_result("patchcore_10", name, value) for name, value in values.items()])
    assert sheet.columns == ["carpet", "tile", "screw", "mean", "textures", "objects"]
    lines = lines_of(sheet, "PatchCore-10")
    assert [lines["measured"].entries[name].value for name in ("mean", "textures", "objects")] == pytest.approx([97, 98, 95])
    assert lines["published"].entries["mean"].value == pytest.approx(statistics.fmean([98.7, 98.9, 97.0]))


def test_several_seeds_give_mean_and_standard_deviation(make_result: MakeResult) -> None:
    results = [
        make_result("patchcore_1", name, value, seed=seed)
        for name, by_seed in {"screw": (0.95, 0.97), "tile": (0.99, 0.99)}.items()
        for seed, value in enumerate(by_seed)
    ]
    measured = lines_of(sheet_of(results), "PatchCore-1")["measured"]
    assert measured.entries["screw"].value == pytest.approx(96)
    assert measured.entries["screw"].spread == pytest.approx(math.sqrt(2))
    assert measured.entries["mean"].value == pytest.approx(97.5)
    assert measured.entries["mean"].spread == pytest.approx(math.sqrt(0.5))  # of 97 and 98, each seed's own mean
    assert entry_text(measured, "screw") == "96.0 ± 1.4"


def test_a_category_that_some_seeds_lack_is_in_no_mean(make_result: MakeResult) -> None:
    results = [
        make_result("patchcore_1", "screw", 0.95),
        make_result("patchcore_1", "screw", 0.97, seed=1),
        make_result("patchcore_1", "tile", 0.5),
    ]
    measured = lines_of(sheet_of(results), "PatchCore-1")["measured"]
    assert measured.entries["mean"].value == pytest.approx(96)
    assert measured.entries["tile"].value == pytest.approx(50)


def test_intervals_stand_there_for_one_seed_alone(make_result: MakeResult) -> None:
    ends = {"image_auroc": [0.9, 0.991]}
    one = [make_result("patchcore_1", "screw", 0.95, intervals=ends)]
    assert entry_text(lines_of(sheet_of(one), "PatchCore-1")["interval"], "screw") == "90.0–99.1"
    two = [*one, make_result("patchcore_1", "screw", 0.95, seed=1, intervals=ends)]
    assert "interval" not in lines_of(sheet_of(two), "PatchCore-1")


def test_the_best_measured_one_is_marked_where_there_are_several(make_result: MakeResult) -> None:
    values = {"patchcore_25": 0.95, "patchcore_10": 0.97, "patchcore_1": 0.97}
    sheet = sheet_of([make_result(name, "screw", value) for name, value in values.items()])
    best = {line.title: line.entries["screw"].best for line in sheet.lines if line.kind == "measured"}
    assert best == {"PatchCore-25": False, "PatchCore-10": True, "PatchCore-1": True}
    assert entry_text(lines_of(sheet, "PatchCore-1")["measured"], "screw", lambda text: f"*{text}*") == "*97.0*"
    alone = sheet_of([make_result("patchcore_1", "screw", 0.97)])
    assert not lines_of(alone, "PatchCore-1")["measured"].entries["screw"].best


def test_all_categories_stand_beside_the_printed_average(make_result: MakeResult) -> None:
    """SPADE has no cells in S1, only its average."""
    sheet = sheet_of([make_result("spade", name, 0.865) for name in CATEGORIES], methods=("spade",))
    assert sheet.columns[-1] == "printed average"
    lines = lines_of(sheet, "SPADE")
    assert lines["published"].entries.keys() == {"printed average"}
    assert lines["difference"].entries["printed average"].value == pytest.approx(1.0)
    assert not lines["difference"].entries["printed average"].beyond
    fewer = sheet_of([make_result("spade", name, 0.865) for name in CATEGORIES[1:]], methods=("spade",))
    assert "printed average" not in fewer.columns
    assert set(lines_of(fewer, "SPADE")) == {"measured"}


def test_what_is_no_reproduction_says_so_in_title_and_cell(make_result: MakeResult) -> None:
    sheet = sheet_of([make_result("patchcore_1", "screw", 0.95, no_reproduction="network efficientnet_lite2")])
    assert sheet.title == "S1: image AUROC, not a reproduction: network efficientnet_lite2"
    assert sheet.warning == "network efficientnet_lite2"
    measured = lines_of(sheet, "PatchCore-1")["measured"]
    assert entry_text(measured, "screw") == "95.0†"
    assert sheet.footnotes[measured.note - 1] == "† Not a reproduction: network efficientnet_lite2."
    assert not sheet_of([make_result("patchcore_1", "screw", 0.95)]).warning


def test_rows_that_were_not_run_keep_what_is_published(make_result: MakeResult) -> None:
    sheet = sheet_of([make_result("patchcore_25", "screw", 0.98)])
    assert [line.title for line in sheet.lines if line.kind == "published"] == [
        "PatchCore-25",
        "PatchCore-10 (not run)",
        "PatchCore-1 (not run)",
    ]
    empty = sheet_of([])
    assert len(empty.columns) == 2
    assert not empty.is_measured


def test_undefined_metrics_and_methods_without_a_map_leave_their_places_empty(make_result: MakeResult) -> None:
    results = [make_result("patchcore_1", "screw", None), make_result("patchcore_1", "tile", 0.9)]
    assert sheet_of(results).columns == ["tile", "mean", "textures"]
    no_map = make_result("patchcore_1", "screw", 0.9, metrics={"image_auroc": 0.9})
    sheets = measured_sheets(Run(Request(Path("data"), ("S1", "S2"), ("patchcore",)), [no_map]))
    assert [sheet.metric for sheet in sheets] == ["image_auroc"]


def test_a_category_of_ones_own_has_no_published_figure(make_result: MakeResult) -> None:
    lines = lines_of(sheet_of([make_result("patchcore_1", "plate", 0.9)]), "PatchCore-1")
    assert set(lines) == {"measured"}
    assert lines["measured"].entries["mean"].value == pytest.approx(90)


def test_footnotes_are_only_of_what_is_shown(make_result: MakeResult) -> None:
    own = sheet_of([make_result("spade", "plate", 0.9), make_result("padim", "plate", 0.9)], methods=("spade", "padim"))
    assert own.footnotes == []
    assert [line.title for line in own.lines] == ["SPADE", "PaDiM"]  # PaDiM* was not run, and nothing is published of it here


def test_tables_of_several_metrics_have_a_sheet_for_each(make_result: MakeResult) -> None:
    results = [make_result("patchcore_1_wr101_280_l23", "screw", 0.99)]
    sheets = measured_sheets(Run(Request(Path("data"), ("S4",), ("patchcore",)), results))
    assert [sheet.metric for sheet in sheets] == list(published.get_table("S4").metrics)
    assert sheets[2].title.startswith("S4: PatchCore-1 with WideResNet-101 at 280 px, PRO")


def test_few_shots_are_not_mixed_with_whole_categories(make_result: MakeResult) -> None:
    few = make_result("patchcore_25", "screw", 0.5, shots=1)
    assert measured_sheets(Run(Request(Path("data"), ("S1",), ("patchcore",), shots=(1,)), [few])) == []
    both = sheet_of([few, make_result("patchcore_25", "screw", 0.98)])
    assert lines_of(both, "PatchCore-25")["measured"].entries["screw"].value == pytest.approx(98)

"""Few good pictures: measured over draws, beside what is published, and drawn."""

from __future__ import annotations

from pathlib import Path

import pytest

from flawsight.reproduce.low_shot import low_shot_sheets, series
from flawsight.reproduce.planning import Request
from flawsight.reproduce.published import CATEGORIES
from flawsight.reproduce.running import Result, Run
from flawsight.reproduce.sheets import Line, Sheet, entry_text

from .conftest import MakeResult

SHOTS = (1, 2, 5)


def sheet_of(results: list[Result]) -> Sheet:
    sheets = low_shot_sheets(Run(Request(Path("data"), ("S1",), ("patchcore_25", "patchcore_1", "padim"), shots=SHOTS), results))
    assert [sheet.metric for sheet in sheets] == ["image_auroc"]
    return sheets[0]


def lines_of(sheet: Sheet, title: str) -> dict[str, Line]:
    return {line.kind: line for line in sheet.lines if line.title == title}


@pytest.fixture
def draws(make_result: MakeResult) -> list[Result]:
    """Two draws of each number of pictures, on one category."""
    return [
        make_result("patchcore_25", "screw", value, shots=shots, seed=seed)
        for shots, values in zip(SHOTS, ((0.6, 0.64), (0.7, 0.7), (0.8, 0.82)), strict=True)
        for seed, value in enumerate(values)
    ]


def test_each_number_of_pictures_has_mean_and_spread_over_draws(draws: list[Result]) -> None:
    sheet = sheet_of(draws)
    assert sheet.columns == ["1", "2", "5"]
    lines = lines_of(sheet, "PatchCore-25")
    assert [entry_text(lines["measured"], column) for column in sheet.columns] == ["62.0 ± 2.8", "70.0 ± 0.0", "81.0 ± 1.4"]
    assert [entry_text(lines["published"], column) for column in sheet.columns] == ["84.1", "", "91.0"]
    assert [entry_text(lines["difference"], column) for column in sheet.columns] == ["−22.1", "", "−10.0"]
    assert "mean over screw" in sheet.title


def test_one_category_beside_the_mean_of_fifteen_is_told_and_not_flagged(draws: list[Result]) -> None:
    sheet = sheet_of(draws)
    lines = lines_of(sheet, "PatchCore-25")
    note = sheet.footnotes[lines["published"].note - 1]
    assert "averages over 15 categories, the measured one over: screw" in note
    assert not any(entry.beyond for entry in lines["difference"].entries.values())
    assert "PaDiM" in {line.title for line in sheet.lines}  # published, to be compared with


def test_all_categories_are_flagged_beyond_a_point_and_a_half(make_result: MakeResult) -> None:
    results = [
        make_result("patchcore_25", name, value, shots=shots) for name in CATEGORIES for shots, value in ((1, 0.85), (5, 0.93))
    ]
    sheet = sheet_of(results)
    difference = lines_of(sheet, "PatchCore-25")["difference"]
    assert {name: entry.beyond for name, entry in difference.entries.items()} == {"1": False, "5": True}
    assert "mean over 15 categories" in sheet.title


def test_a_row_without_published_low_shot_figures_stands_alone(make_result: MakeResult) -> None:
    sheet = sheet_of([make_result("patchcore_1", "screw", 0.8, shots=2, no_reproduction="random weights")])
    assert set(lines_of(sheet, "PatchCore-1")) == {"measured"}
    assert entry_text(lines_of(sheet, "PatchCore-1")["measured"], "2") == "80.0†"
    assert sheet.title.endswith("not a reproduction: random weights")


def test_what_is_drawn_is_what_stands_there(draws: list[Result]) -> None:
    drawn = {(one.title, one.kind): one.points for one in series(sheet_of(draws))}
    assert [point[:2] for point in drawn["PatchCore-25", "published"]] == [(1, 84.1), (5, 91.0)]
    assert [n for n, _, _ in drawn["PatchCore-25", "measured"]] == [1, 2, 5]
    assert drawn["PatchCore-25", "measured"][0][2] == pytest.approx(2.828, abs=1e-3)


def test_without_few_shots_there_is_nothing(make_result: MakeResult) -> None:
    run = Run(Request(Path("data"), ("S1",), ("patchcore_25",)), [make_result("patchcore_25", "screw", 0.9)])
    assert low_shot_sheets(run) == []

"""The published figures as printed, and their notes."""

from __future__ import annotations

import math
import statistics

import pytest

from flawsight.backbones import PIXELS
from flawsight.errors import UnknownName
from flawsight.fitting.presets import PRESETS, get_preset
from flawsight.metrics import METRICS
from flawsight.reproduce import published
from flawsight.reproduce.published import AVERAGE, CATEGORIES, OBJECTS, TEXTURES
from flawsight.reproduce.recipes import RECIPES
from flawsight.reproduce.rows import ROWS, get_row
from flawsight.reproduce.sheets import entry_text, published_sheets

OFF = 0.25  # points by which a printed average may differ from the mean of its cells: DifferNet's does by 0.21


def whole() -> list[tuple[str, str, str]]:
    return [key for key, row in published.figures().items() if set(row) >= {*CATEGORIES, AVERAGE}]


@pytest.mark.parametrize("key", whole(), ids="-".join)
def test_the_printed_average_is_the_mean_of_the_cells(key: tuple[str, str, str]) -> None:
    row = published.figures()[key]
    assert published.mean(row) == pytest.approx(row[AVERAGE].percent, abs=OFF)


def test_nothing_is_missing() -> None:
    counts = {
        name: sum(len(row) for (table, _, _), row in published.figures().items() if table == name) for name in published.tables()
    }
    assert counts == {"S1": 195, "S2": 145, "S3": 112, "S4": 96, "R": 198}
    assert [(table.name, len(table.rows)) for table in published.tables().values()] == [
        ("S1", 15),
        ("S2", 10),
        ("S3", 7),
        ("S4", 2),
        ("R", 6),
    ]
    for (_, row, metric), cells in published.figures().items():
        assert metric in METRICS
        assert row in ROWS
        assert AVERAGE in cells
        assert all(0 < cell.percent <= 100 for cell in cells.values())
        assert len(cells) in (1, 16)


@pytest.mark.parametrize(
    ("key", "textures", "objects"),
    [
        (("S1", "geotrans", "image_auroc"), 58.5, 71.6),
        (("S1", "mahalanobis_ad", "image_auroc"), 97.8, 94.8),
        (("S1", "patchcore_25", "image_auroc"), 99.0, 99.2),
        (("S2", "padim", "pixel_auroc"), 96.9, 97.9),
        (("S3", "student", "pro"), 79.4, 88.9),
        (("S3", "patchcore_25", "pro"), 93.6, 93.3),
    ],
)
def test_means_of_textures_and_objects(key: tuple[str, str, str], textures: float, objects: float) -> None:
    row = published.figures()[key]
    assert published.mean(row, TEXTURES) == pytest.approx(textures, abs=0.06)
    assert published.mean(row, OBJECTS) == pytest.approx(objects, abs=0.06)


def test_a_mean_needs_all_of_its_cells() -> None:
    assert math.isnan(published.mean(published.figures()["S1", "spade", "image_auroc"]))
    assert math.isnan(published.mean({}, ()))


def test_the_two_cells_that_differ_from_their_papers_say_so() -> None:
    padim, spade = published.figures()["S2", "padim", "pixel_auroc"], published.figures()["S3", "spade", "pro"]
    assert (padim["transistor"].printed, spade["tile"].printed) == ("98.5", "75.6")
    assert "97.5" in published.note("S2", "padim", "transistor")
    assert "75.9" in published.note("S3", "spade", "tile")
    # with the paper's own cell, the average is the mean to the last digit
    cells = [97.5 if name == "transistor" else padim[name].percent for name in CATEGORIES]
    assert round(statistics.fmean(cells), 1) == padim[AVERAGE].percent
    assert published.note("S2", "padim", "tile") == ""


def test_averages_that_do_not_add_up_say_so() -> None:
    noted = {
        (table, row)
        for table, row, category in published.NOTES
        if category == AVERAGE and "average to" in published.NOTES[table, row, category]
    }
    off = {
        key[:2]
        for key in whole()
        if key[0] != "R"
        and all("." in one.printed for name, one in published.figures()[key].items() if name != AVERAGE and one.percent < 100)
        and round(published.mean(published.figures()[key]), 1) != published.figures()[key][AVERAGE].percent
        and abs(published.mean(published.figures()[key]) - published.figures()[key][AVERAGE].percent) > 0.1
    }
    assert off == {("S1", "differnet")}
    assert noted == {("S1", "differnet"), ("S1", "patchcore_10")}
    for (table, row, category), text in published.NOTES.items():
        if "The 15 cells average to" in text:
            message = float(text.split("average to ")[1].split(";")[0].rstrip("."))
            key = next(key for key in published.figures() if key[:2] == (table, row))
            assert category == AVERAGE
            assert published.mean(published.figures()[key]) == pytest.approx(message, abs=0.006)


def test_every_note_is_of_a_figure_there_is() -> None:
    for table, row, category in published.NOTES:
        assert any(key[:2] == (table, row) and category in cells for key, cells in published.figures().items())


def test_low_shot_figures_rise_with_the_number_of_pictures() -> None:
    assert published.low_shot()["patchcore_25", "image_auroc"] == {1: 84.1, 5: 91.0, 16: 95.5, 50: 97.7}
    for row, metric in published.low_shot():
        values = [value for _, value in sorted(published.low_shot()[row, metric].items())]
        assert values == sorted(values)
        assert row in ROWS


def test_a_table_by_its_name() -> None:
    assert published.get_table("s1").metrics == ("image_auroc",)
    assert published.get_table("S4").metrics == ("image_auroc", "pixel_auroc", "pro")
    with pytest.raises(UnknownName, match="tables: there is no 'S9'"):
        published.get_table("S9")


def test_rows_may_be_run_in_another_way_for_each_category() -> None:
    row = get_row("ae_ssim")
    assert row.run_as("row", "carpet").preset == "ae_ssim_textures"
    assert row.run_as("row", "bottle") is row.recipe
    assert dict(row.run_as("row", "screw").options) == {"angle": 180.0, "latent": 500}
    assert dict(row.run_as("row", "cable").options) == {"flips": False, "latent": 500}
    assert row.run_as("smoke", "screw") is row.smoke
    for one in ROWS.values():
        assert one.categories.keys() <= set(published.CATEGORIES)
        assert {recipe.preset for recipe in one.categories.values()} <= PRESETS.keys()


def test_rows_have_recipes_for_each_preset() -> None:
    for row in ROWS.values():
        assert row.run_as("row") is row.recipe
        if row.recipe.backbone == PIXELS:  # there is no network to exchange
            assert row.run_as("embedded") is row.recipe or row.name == "student"
            assert row.smoke
        else:
            assert str(row.run_as("embedded").backbone).endswith("efficientnet_lite2")
        assert row.run_as("smoke").size == (row.smoke.size if row.smoke else 64) <= 192
        assert row.tolerance("image_auroc", is_mean=False) >= row.tolerance("image_auroc", is_mean=True)
    assert {row.embedded.preset for row in ROWS.values() if row.embedded} <= PRESETS.keys()
    assert RECIPES == ("row", "embedded", "smoke")
    with pytest.raises(UnknownName, match="there is no 'fast'"):
        get_row("spade").run_as("fast")
    with pytest.raises(UnknownName, match="Did you mean"):
        get_row("patchcore_2")


def test_a_teacher_s_network_is_exchanged_where_options_name_it() -> None:
    row = get_row("student")
    assert get_preset("student").options["distilled_from"] == "resnet18"
    assert dict(row.run_as("row", "screw").options) == {"steps": 320 * 90}
    assert dict(row.run_as("embedded", "screw").options) == {"steps": 320 * 90, "distilled_from": "efficientnet_lite2"}
    assert row.run_as("smoke").options["distilled_from"] == "efficientnet_lite0"


def test_published_sheets_show_what_is_printed_with_its_notes() -> None:
    sheets = {sheet.metric: sheet for sheet in published_sheets(["S2", "S1"])}
    lines = {line.title: line for line in sheets["pixel_auroc"].lines}
    padim = lines["PaDiM"].entries["transistor"]
    assert entry_text(lines["PaDiM"], "transistor", lambda text: f"*{text}*") == "*98.5*"
    assert "97.5" in sheets["pixel_auroc"].footnotes[padim.note - 1]
    assert "WideResNet-50" in sheets["pixel_auroc"].footnotes[lines["PaDiM"].note - 1]
    spade = {line.title: line for line in sheets["image_auroc"].lines}["SPADE"]
    assert set(spade.entries) == {AVERAGE}
    assert entry_text(spade, "bottle") == ""
    assert not sheets["image_auroc"].is_measured
    whole_numbers = {line.title: line for line in sheets["image_auroc"].lines}["CAVGA-R_w"]
    assert entry_text(whole_numbers, "bottle") == "96"

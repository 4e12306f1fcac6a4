"""The sheets as files: every format holds every number, says what is no reproduction, and is well formed."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from flawsight.reproduce import low_shot, page, writing
from flawsight.reproduce.planning import Request
from flawsight.reproduce.running import Run
from flawsight.reproduce.sheets import Sheet, measured_sheets, published_sheets

from .conftest import MakeResult

VOID = {"meta", "br", "link", "img"}


class Checked(HTMLParser):
    """Every tag closed in its turn; the text of each cell, row by row."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.rows and {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


@pytest.fixture
def run(make_result: MakeResult) -> Run:
    """Two rows on two categories, one of a name that markup would take for its own; one row that was not run."""
    results = [
        make_result("patchcore_25", "screw", 0.985, intervals={"image_auroc": [0.97, 0.99]}, no_reproduction="network a_b"),
        make_result("patchcore_25", "tile", 0.9912, no_reproduction="network a_b"),
        make_result("patchcore_1", "screw", 0.9),
        make_result("patchcore_1", "a_b&<c>", 0.95),
    ]
    request = Request(Path("data"), ("S1",), ("patchcore", "spade"))
    return Run(request, results, [("spade", "", "there is no method 'spade' & <more>"), ("", "wood", "no masks")])


@pytest.fixture
def sheets(run: Run) -> list[Sheet]:
    return measured_sheets(run)


def test_a_folder_gets_every_format(run: Run, sheets: list[Sheet], tmp_path: Path) -> None:
    wrote = writing.write(tmp_path, sheets, run)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in wrote)
    assert {path.name for path in wrote} == {"tables.csv", "tables.md", "tables.tex", "tables.html", "cells.csv"}
    assert (tmp_path / "tables.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    again = tmp_path / "published"
    again.mkdir()
    assert {path.name for path in writing.write(again, published_sheets(["S1"]))} == {path.name for path in wrote} - {"cells.csv"}


def test_csv_has_a_row_a_line_with_numbers_in_full(sheets: list[Sheet]) -> None:
    rows = list(csv.reader(io.StringIO(writing.to_csv(sheets))))
    assert rows[0] == ["table", "metric", "method", "line", "tile", "screw", "a_b&<c>", "mean", "textures", "objects"]
    named = {(row[2], row[3]): row[4:] for row in rows[1:] if len(row) > 4}
    assert named["PatchCore-25", "published"][:2] == ["98.7", "98.1"]
    assert named["PatchCore-25", "measured"][:2] == ["99.1200", "98.5000"]
    assert named["PatchCore-25", "difference"][1] == "0.4000"
    assert named["PatchCore-25", "beyond tolerance"][3] == "1"
    assert named["PatchCore-25", "interval from"][1] == "97.0000"
    assert named["PatchCore-25", "interval to"][1] == "99.0000"
    assert named["PatchCore-1", "measured"][2] == "95.0000"
    assert ("PatchCore-25", "standard deviation over seeds") not in named
    assert ["S1", "image_auroc", "not a reproduction", "network a_b"] in rows


def test_seeds_have_their_standard_deviation_in_csv(make_result: MakeResult) -> None:
    results = [make_result("patchcore_1", "screw", value, seed=seed) for seed, value in enumerate((0.95, 0.97))]
    sheets = measured_sheets(Run(Request(Path("data"), ("S1",), ("patchcore_1",)), results))
    rows = {row[3]: row for row in csv.reader(io.StringIO(writing.to_csv(sheets))) if len(row) > 4}
    assert rows["standard deviation over seeds"][4] == "1.4142"


def test_markdown_is_the_table_in_its_own_shape(run: Run, sheets: list[Sheet]) -> None:
    text = writing.to_markdown(sheets, run)
    lines = text.splitlines()
    assert lines[0] == "## S1: image AUROC, not a reproduction: network a_b"
    assert lines[2] == "| method |  | tile | screw | a b&<c> | mean | textures | objects |"
    table = [line for line in lines if line.startswith("|")]
    assert len({line.count("|") for line in table}) == 1
    assert "| PatchCore-25 | published | 98.7 | 98.1 |  |" in text
    assert re.search(r"\|  \| measured \[\d\] \| 99\.1† \| \*\*98\.5\*\*† \|", text)
    assert "| PatchCore-10 (not run) | published | 98.9 | 97.0 |" in text
    assert "| SPADE" not in text  # only its average over all categories is published
    assert "- spade: there is no method 'spade' & <more>" in lines
    assert "- every row on wood: no masks" in lines
    assert "† Not a reproduction: network a_b." in text


def test_latex_is_balanced_and_escaped(sheets: list[Sheet]) -> None:
    text = writing.to_latex(sheets)
    assert text.count("{") == text.count("}")
    assert text.count(r"\begin{table*}") == text.count(r"\end{table*}") == 1
    rows = [line for line in text.splitlines() if line.endswith(r"\\") and "&" in line]
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {7}
    assert r"\textbf{98.5}$\dagger$" in text
    assert r"network a\_b" in text
    assert r"a b\&<c>" in text
    assert "$+" not in text
    assert not re.search(r"[±−–†×γ\x00-\x08]", text)


def test_cells_carry_their_whole_record(run: Run) -> None:
    rows = list(csv.DictReader(io.StringIO(writing.cells_csv(run.results))))
    assert [row["row"] for row in rows] == [result.row for result in run.results]
    first = rows[0]
    assert first["auroc_img"] == first["auroc_px"] == first["aupro"] == "0.985"
    assert (first["auroc_img_from"], first["auroc_img_to"]) == ("0.97", "0.99")
    assert (first["pixels_at"], first["size_hw"], first["mask_rule"]) == ("crop", "[224, 224]", "trunc")
    assert json.loads(first["network"])["sha256"] == "ab" * 32
    assert json.loads(first["seconds"])["fit"] == 2.0
    assert first["peak_rss_mb"] == "500.0"
    assert first["no_reproduction"] == "network a_b"
    assert writing.cells_csv([]) != ""


def test_the_page_is_well_formed_and_holds_every_entry(run: Run, sheets: list[Sheet]) -> None:
    text = page.render(sheets, run)
    found = Checked(text)
    assert ["method", "", "tile", "screw", "a b&<c>", "mean", "textures", "objects"] in found.rows
    assert any(row[:4] == ["PatchCore-25", "published", "98.7", "98.1"] for row in found.rows)
    assert any(row[1].startswith("measured") and row[2:4] == ["99.1†", "98.5†"] for row in found.rows)
    assert "Not a reproduction of the published rows: network a_b." in text
    assert "<h1>Measured beside published: screw, tile, a_b&amp;&lt;c&gt;</h1>" in text
    assert "there is no method &#39;spade&#39; &amp; &lt;more&gt;" in text
    assert "every row on wood" in text
    record = [row for row in found.rows if row[0] == "PatchCore-1" and len(row) == 10]
    assert [row[1] for row in record] == ["screw", "a_b&<c>"]
    assert "auroc_img 90.00" in record[0][4]
    assert not re.search(r'(?:src|href)="(?!#)', text)  # nothing is fetched
    assert "<script" not in text


def test_the_best_are_bold_on_the_page(sheets: list[Sheet], run: Run) -> None:
    assert "<strong>98.5</strong>†" in page.render(sheets, run)


def test_the_published_tables_alone_make_a_page(tmp_path: Path) -> None:
    text = page.render(published_sheets(["S2"]))
    Checked(text)
    assert "Published tables" in text
    assert "<strong>98.5</strong><sup>" in text  # PaDiM's transistor, with its note
    assert "measured less published" not in text
    assert "Record of every cell" not in text


def test_few_pictures_are_drawn(make_result: MakeResult) -> None:
    results = [
        make_result("patchcore_25", "screw", value, shots=shots, seed=seed)
        for shots, value in ((1, 0.6), (5, 0.8), (16, 0.9))
        for seed in (0, 1)
    ]
    run = Run(Request(Path("data"), ("S1",), ("patchcore_25",), shots=(1, 5, 16)), results)
    sheets = low_shot.low_shot_sheets(run)
    text = page.render(sheets, run)
    Checked(text)
    assert text.count('<svg class="chart few-pictures"') == 1
    assert "PatchCore-25 measured: 60.0 of 1, 80.0 of 5, 90.0 of 16" in text
    assert "PatchCore-25 published: 84.1 of 1, 91.0 of 5, 95.5 of 16" in text
    assert "mean over screw" in text


def test_what_was_not_run_in_words() -> None:
    assert writing.who("spade", "") == "spade"
    assert writing.who("spade", "tile") == "spade on tile"
    assert writing.who("", "tile") == "every row on tile"


def test_a_method_is_named_once(sheets: list[Sheet]) -> None:
    lines = sheets[0].lines
    assert writing.head(lines[-2], lines[-2].title)[0] == ""
    noted = replace(lines[0], note=3)
    assert writing.head(noted, "") == (f"{noted.title} [3]", "published")
    assert writing.head(replace(noted, kind="measured"), noted.title) == ("", "measured [3]")

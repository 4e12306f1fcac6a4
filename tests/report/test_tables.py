"""A report as JSON and CSV."""

import csv
import io
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flawsight.report import tables
from flawsight.types import Region, Report, Row


def test_json_survives_the_round_trip(make_report: Callable[..., Report]) -> None:
    report = make_report()
    content = tables.to_json(report)
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert content["metrics"]["image_auroc"] == report.metrics["image_auroc"]
    assert content["counts"]["misses"] == 2
    assert content["threshold"]["value"] == 1.0
    assert content["seed"] == 7
    assert set(content) >= {"timings_s", "peak_rss_mb", "versions", "settings", "notes"}
    assert len(content["pictures"]) == len(report.rows)
    assert content["pictures"][0] == {
        "name": "test/good/000.png",
        "label": 0,
        "kind": "good",
        "score": 0.2,
        "is_defective": False,
        "box_xyxy": [16, 16, 24, 24],
        "nearest_good": "train/good/000.png",
        "verdict": "passed",
        "regions": [],
        "overlay": None,
        "map": None,
        "mask": None,
    }


def test_json_tells_each_kind_apart(make_report: Callable[..., Report]) -> None:
    message = [tuple(kind.values()) for kind in tables.to_json(make_report())["kinds"]]
    assert message == [("good", 4, 1, 1, None), ("dent/größe", 2, 2, 0, 7 / 8), ("scratch", 4, 2, 2, 14 / 16)]
    bad = [row for row in make_report().rows if row.sample.label]
    assert {kind["image_auroc"] for kind in tables.to_json(make_report(rows=bad))["kinds"]} == {None}


def test_json_has_null_for_what_is_undefined(make_report: Callable[..., Report]) -> None:
    report = make_report(metrics={"pro": math.nan}, settings={"limit": math.inf, "deep": [{"x": np.float32("nan")}]})
    report = replace(report, rows=[replace(report.rows[0], score=math.nan, evidence=None)])
    content = json.loads(json.dumps(tables.to_json(report), allow_nan=False))
    assert content["metrics"] == {"pro": None}
    assert content["settings"] == {"limit": None, "deep": [{"x": None}]}
    assert content["pictures"][0]["score"] is None
    assert content["pictures"][0]["box_xyxy"] is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.float32(0.5), 0.5),
        (np.arange(3), [0, 1, 2]),
        (Path("a") / "b", str(Path("a") / "b")),
        ({1: (None, "x")}, {"1": [None, "x"]}),
        (True, True),
    ],
)
def test_plain_values(value: object, expected: object) -> None:
    found = tables.plain(value)
    assert found == expected
    assert type(found) is type(expected)


def test_csv_has_a_line_per_picture(make_report: Callable[..., Report]) -> None:
    report = make_report()
    rows = report.rows
    lines = list(csv.DictReader(io.StringIO(tables.to_csv(report), newline="")))
    assert [line["name"] for line in lines] == [row.sample.name for row in rows]
    assert [float(line["score"]) for line in lines] == [row.score for row in rows]
    assert lines[0]["box_x0"] == "16"
    assert lines[-1]["kind"] == "dent/größe"
    assert [line["verdict"] for line in lines] == ["rejected" if row.is_defective else "passed" for row in rows]
    assert {line["threshold"] for line in lines} == {"1.0"}


def test_regions_and_files_are_in_json_and_csv(make_report: Callable[..., Report], make_row: Callable[..., Row]) -> None:
    regions = (Region((1, 2, 5, 4), 7, 3.25, (3, 2)), Region((9, 9, 10, 10), 1, 1.123456789, (9, 9)))
    row = make_row("a.png", None, 3.0, regions=regions, files={"overlay": "overlays/x/a.jpg"})
    report = make_report(rows=[row])
    message = tables.to_json(report)["pictures"][0]
    assert message["regions"][0] == {"box_xyxy": [1, 2, 5, 4], "area": 7, "peak": 3.25, "peak_xy": [3, 2]}
    assert (message["overlay"], message["map"]) == ("overlays/x/a.jpg", None)
    line = next(csv.DictReader(io.StringIO(tables.to_csv(report), newline="")))
    assert (line["n_regions"], line["regions"]) == ("2", "1 2 5 4 7 3.25; 9 9 10 10 1 1.12346")
    assert (line["overlay"], line["mask"]) == ("overlays/x/a.jpg", "")


def test_unreadable_pictures_are_lines_with_the_reason(make_report: Callable[..., Report]) -> None:
    report = make_report(unreadable={"=a.png": "is empty. Copy it."})
    line = list(csv.DictReader(io.StringIO(tables.to_csv(report), newline="")))[-1]
    assert {name: cell for name, cell in line.items() if cell} == {
        "name": "'=a.png",
        "verdict": "unreadable",
        "reason": "is empty. Copy it.",
        "threshold": "1.0",
    }


@pytest.mark.parametrize("lead", ["=", "+", "-", "@", "\t", "\r"])
def test_csv_runs_no_formula(make_report: Callable[..., Report], make_row: Callable[..., Row], lead: str) -> None:
    row = make_row(f'{lead}cmd|"/c calc",x', None, -1.5, kind=f"{lead}1+1")
    line = next(csv.DictReader(io.StringIO(tables.to_csv(make_report(rows=[row])), newline="")))
    assert line["name"] == f'\'{lead}cmd|"/c calc",x'
    assert line["kind"] == f"'{lead}1+1"
    assert line["score"] == "-1.5"
    assert line["label"] == ""


def test_csv_of_a_picture_without_evidence(make_report: Callable[..., Report], make_row: Callable[..., Row]) -> None:
    text = tables.to_csv(make_report(rows=[make_row("a.png", 0, 0.5, "good", evidence=None)]))
    assert text.splitlines()[1] == "a.png,0,good,0.5,False,,,,,,passed,1.0,,,,,0,"

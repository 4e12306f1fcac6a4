"""The folder of results: complete, one file for each picture, and names that every file system takes."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flawsight import files, image
from flawsight.errors import DataError, PictureError, UsageError
from flawsight.report import results, tables
from flawsight.types import Report

MakeReport = Callable[..., Report]
FORBIDDEN = set('<>:"|?*/\\\x7f') | {chr(i) for i in range(32)}


def test_everything_is_written(make_report: MakeReport, tmp_path: Path) -> None:
    report, told = make_report(), []
    results.write(tmp_path / "new" / "out", report, lambda *step: told.append(step))
    out = tmp_path / "new" / "out"
    assert sorted(item.name for item in out.iterdir()) == ["overlays", "report.html", "scores.csv", "scores.json"]
    assert json.loads((out / "scores.json").read_text("utf-8")) == json.loads(json.dumps(tables.to_json(report)))
    data = (out / "scores.csv").read_bytes()
    assert data.startswith(b"\xef\xbb\xbf")  # what spreadsheets need
    lines = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"))))
    assert [line["name"] for line in lines] == [row.sample.name for row in report.rows]
    assert (out / "report.html").read_text("utf-8").lstrip().lower().startswith("<!doctype html>")
    assert told[-1] == ("drawing heat maps", 10, 10)


def test_each_picture_has_its_heat_map(make_report: MakeReport, tmp_path: Path) -> None:
    report = make_report()
    names = [row.sample.name.removeprefix("test/").replace("/", "_") + ".jpg" for row in report.rows]
    for row in report.rows:
        image.write(row.sample.path, np.full((48, 64, 3), 90, np.uint8))
    results.write(tmp_path / "out", report)
    assert sorted(item.name for item in (tmp_path / "out" / "overlays").iterdir()) == sorted(names)
    for row, name in zip(report.rows, names, strict=True):
        drawn = image.read(tmp_path / "out" / "overlays" / name)
        assert drawn.shape == (48, 64, 3)
        change = np.abs(drawn.astype(int) - 90).mean(2)
        if row.is_defective:  # heat [4, 5] of every fourth pixel
            assert change[16:20, 20:24].mean() > 10 * change.mean() > 0


def test_without_maps_there_are_no_heat_maps(make_report: MakeReport, tmp_path: Path) -> None:
    report, told = make_report(), []
    without = replace(report, rows=[replace(row, heat=None, evidence=None) for row in report.rows])
    results.write(tmp_path / "out", without, lambda *step: told.append(step))
    assert sorted(item.name for item in (tmp_path / "out").iterdir()) == ["report.html", "scores.csv", "scores.json"]
    assert told == []


def test_a_second_run_replaces_the_first(make_report: MakeReport, tmp_path: Path) -> None:
    results.write(tmp_path / "out", make_report(seed=1))
    results.write(tmp_path / "out", make_report(seed=2))
    assert json.loads((tmp_path / "out/scores.json").read_text("utf-8"))["seed"] == 2


def test_a_report_of_nothing(make_report: MakeReport, tmp_path: Path) -> None:
    results.write(tmp_path / "out", make_report(rows=[], metrics={}, curves={}, counts={}))
    assert len((tmp_path / "out/scores.csv").read_text("utf-8-sig").splitlines()) == 1
    assert list((tmp_path / "out/overlays").iterdir()) == []


PATHS = st.lists(
    st.lists(st.text(min_size=1, max_size=300).filter(lambda t: t not in (".", "..")), min_size=1, max_size=4).map("/".join),
    min_size=1,
    max_size=8,
)


@given(PATHS)
def test_names_are_unlike_each_other_short_and_free_of_what_systems_forbid(names: list[str]) -> None:
    made = results._file_names(names)
    assert len(made) == len(names)
    assert len({name.casefold() for name in made}) == len(made)
    for name in made:
        assert 0 < len(f"{name}.jpg".encode()) <= 255
        assert not set(name) & FORBIDDEN


@pytest.mark.parametrize(
    ("names", "made"),
    [
        (["a/b/1.png", "a/b/2.png"], ["1.png", "2.png"]),
        (["a/b/1.png", "a/c/1.png"], ["b_1.png", "c_1.png"]),
        (["/x/1.png"], ["1.png"]),
        (["C:\\pictures\\1.png", "C:\\pictures\\2.png"], ["1.png", "2.png"]),
        (["größe/螺丝.png", "=1+1.png"], ["größe_螺丝.png", "=1+1.png"]),
        (['a<b>:"|?*\n.png', "b.png"], ["a_b_______.png", "b.png"]),
        ([], []),
    ],
)
def test_names_stay_close_to_the_pictures(names: list[str], made: list[str]) -> None:
    assert results._file_names(names) == made


@pytest.mark.parametrize(
    "names",
    [
        ["a/1.png", "a_1.png"],
        ["A.png", "a.png"],
        ["STRASSE.png", "straße.png"],
        ["e\u0301.png", "\u00e9.png"],
        ["same.png"] * 4,
        ["x" * 300, "x" * 301],
        ["螺" * 200 + "1", "螺" * 200 + "2"],
        ["a?.png", "a*.png", "a_.png"],
        [os.fsdecode(b"\xff.png"), os.fsdecode(b"\xfe.png")],
    ],
    ids=ascii,
)
def test_names_that_would_meet_are_told_apart(names: list[str]) -> None:
    made = results._file_names(names)
    assert len({name.casefold() for name in made}) == len(names)
    assert all(len(name.encode()) <= results.LONGEST for name in made)


def test_odd_names_reach_the_disk(make_report: MakeReport, make_row: Callable[..., object], tmp_path: Path) -> None:
    names = [os.fsdecode(b"\xff.png"), "x" * 250, "a/=1+1.png", "b/=1+1.png", "[red]x[/].png", "line\nbreak.png"]
    rows = [make_row(name, None, 0.5) for name in names]
    results.write(tmp_path / "out", make_report(rows=rows, metrics={}, curves={}, counts={}))
    assert len(list((tmp_path / "out/overlays").iterdir())) == len(names)
    back = json.loads((tmp_path / "out/scores.json").read_bytes())
    assert [one["name"] for one in back["pictures"]] == names
    lines = list(csv.DictReader(io.StringIO((tmp_path / "out/scores.csv").read_text("utf-8-sig"), newline="")))
    assert [line["name"] for line in lines] == [r"\udcff.png", *names[1:]]


def test_a_file_in_the_way_is_told(make_report: MakeReport, tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    for place in (tmp_path / "plain", tmp_path / "plain" / "out"):
        with pytest.raises(UsageError, match=r"plain.*: a folder that may be written was needed; .*Choose another\."):
            results.write(place, make_report())


def test_a_folder_that_may_not_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files.os, "access", lambda *args: False)
    with pytest.raises(UsageError, match="a folder that may be written was needed"):
        results.make_folder(tmp_path / "out")


def test_a_full_disk_is_told(make_report: MakeReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(number: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(DataError, match="no space left on device"):
        results.write(tmp_path / "out", make_report())
    assert [item for item in (tmp_path / "out").rglob("*") if item.is_file()] == []


def test_a_picture_that_is_gone_is_told(make_report: MakeReport, tmp_path: Path) -> None:
    report = make_report()
    report.rows[3].sample.path.unlink()
    with pytest.raises(PictureError, match="there is no such file"):
        results.write(tmp_path / "out", report)


def test_json_is_utf8_and_refuses_what_json_has_no_word_for() -> None:
    assert results.json_bytes({"größe": [1, None]}) == '{\n "größe": [\n  1,\n  null\n ]\n}'.encode()
    with pytest.raises(ValueError, match="JSON"):
        results.json_bytes({"x": float("nan")})

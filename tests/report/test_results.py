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
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from flawsight.errors import DataError, UnknownName, UsageError
from flawsight.images import image
from flawsight.prediction import Prediction
from flawsight.preprocess import Preprocess
from flawsight.report import marks, results, tables
from flawsight.system import files
from flawsight.types import Progress, Report, Row

MakeReport = Callable[..., Report]


def write(folder: Path, report: Report, progress: Progress | None = None) -> Report:
    """All that one run of scoring writes."""
    return results.ResultsFolder(folder, [row.sample for row in report.rows]).write(report, progress)


def names_of(names: list[str]) -> list[str]:
    return results.file_names([Path(name) for name in names])


def overlays_in(folder: Path) -> list[str]:
    """The overlays that lie there."""
    return sorted(path.relative_to(folder / "overlays").as_posix() for path in (folder / "overlays").rglob("*.jpg"))


FILES = [".flawsight-files.json", "overlays", "report.html", "scores.csv", "scores.json"]
FORBIDDEN = set('<>:"|?*/\\\x7f') | {chr(i) for i in range(32)}


def test_everything_is_written(make_report: MakeReport, tmp_path: Path) -> None:
    report, message = make_report(), []
    written = write(tmp_path / "new" / "out", report, lambda *step: message.append(step))
    out = tmp_path / "new" / "out"
    assert sorted(item.name for item in out.iterdir()) == FILES
    assert json.loads((out / "scores.json").read_text("utf-8")) == json.loads(json.dumps(tables.to_json(written)))
    data = (out / "scores.csv").read_bytes()
    assert data.startswith(b"\xef\xbb\xbf")  # what spreadsheets need
    lines = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"))))
    assert [line["name"] for line in lines] == [row.sample.name for row in report.rows]
    assert (out / "report.html").read_text("utf-8").lstrip().lower().startswith("<!doctype html>")
    assert ("drawing heat maps", 10, 10) in message
    assert message[-1] == ("drawing pictures", 10, 10)


def test_each_picture_has_its_heat_map_over_a_caption(make_report: MakeReport, tmp_path: Path) -> None:
    report = make_report()
    names = [f"{tmp_path.name}/{row.sample.path.stem}.jpg" for row in report.rows]
    for row in report.rows:
        image.write(row.sample.path, np.full((48, 64, 3), 90, np.uint8))
    written = write(tmp_path / "out", report)
    assert overlays_in(tmp_path / "out") == sorted(names)
    assert [row.files for row in written.rows] == [{"overlay": f"overlays/{name}"} for name in names]
    for row, name in zip(report.rows, names, strict=True):
        drawn = image.read(tmp_path / "out" / "overlays" / name)
        assert drawn.shape[0] > 48
        assert drawn.shape[1] == marks.LEAST_WIDTH
        change = np.abs(drawn[:48, :64].astype(int) - 90).mean(2)
        if row.is_defective:  # heat [4, 5] of every fourth pixel
            assert change[16:20, 20:24].mean() > 10 * change[32:, 40:].mean()
        assert drawn[48:].std() > 10, "the caption is written on"


def test_without_maps_there_are_no_heat_maps(make_report: MakeReport, tmp_path: Path) -> None:
    report, message = make_report(), []
    without = replace(report, rows=[replace(row, heat=None, evidence=None) for row in report.rows])
    write(tmp_path / "out", without, lambda *step: message.append(step))
    assert sorted(item.name for item in (tmp_path / "out").iterdir()) == [FILES[0], *FILES[2:]]
    assert not [step for step in message if step[0] == "drawing heat maps"]


def test_a_second_run_replaces_the_first(make_report: MakeReport, tmp_path: Path) -> None:
    write(tmp_path / "out", make_report(seed=1))
    write(tmp_path / "out", make_report(seed=2))
    assert json.loads((tmp_path / "out/scores.json").read_text("utf-8"))["seed"] == 2


def test_a_report_of_nothing(make_report: MakeReport, tmp_path: Path) -> None:
    write(tmp_path / "out", make_report(rows=[], metrics={}, curves={}, counts={}))
    assert len((tmp_path / "out/scores.csv").read_text("utf-8-sig").splitlines()) == 1
    assert not (tmp_path / "out/overlays").exists()


PATHS = st.lists(
    st.lists(st.text(min_size=1, max_size=300).filter(lambda t: t not in (".", "..")), min_size=1, max_size=4).map("/".join),
    min_size=1,
    max_size=8,
)


@given(PATHS)
def test_names_are_unlike_each_other_short_and_free_of_what_systems_forbid(names: list[str]) -> None:
    made = names_of(names)
    paths = {os.path.abspath(name) for name in names}  # noqa: PTH100  as they are told apart
    assert len({name.casefold() for name in made}) == len(paths)
    for name in made:
        parts = name.split("/")
        assert 1 <= len(parts) <= 2
        for part in parts:
            assert 0 < len(f"{part}.jpg".encode()) <= 255
            assert not set(part) & FORBIDDEN


@pytest.mark.parametrize(
    ("names", "made"),
    [
        (["/a/b/1.png", "/a/b/2.png"], ["b/1", "b/2"]),
        (["/a/b/1.png", "/a/c/1.png"], ["b/1", "c/1"]),
        (["/x/1.png"], ["x/1"]),
        (["/1.png"], ["1"]),
        (["/größe/螺丝.tar.png", "/x/=1+1.png"], ["größe/螺丝.tar", "x/=1+1"]),
        (['/x/a<b>:"|?*\n.png', "/x/b.png"], ["x/a_b_______", "x/b"]),
        ([], []),
    ],
)
def test_names_stay_close_to_the_pictures(names: list[str], made: list[str]) -> None:
    assert names_of(names) == made


def test_a_name_says_nothing_of_the_other_pictures() -> None:
    alone = [names_of([name])[0] for name in ("/lot/a/1.png", "/lot/b/1.png", "/lot/b/2.png")]
    assert names_of(["/lot/b/2.png", "/lot/a/1.png", "/lot/b/1.png", "/other/9.png"])[:3] == [alone[2], alone[0], alone[1]]


def test_a_name_says_nothing_of_how_the_picture_was_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert names_of(["1.png"]) == names_of(["./1.png"]) == names_of([str(tmp_path / "1.png")]) == [f"{tmp_path.name}/1"]


@pytest.mark.parametrize(
    "names",
    [
        ["x/1.png", "x/1.jpg"],
        ["a/x/1.png", "b/x/1.png"],
        ["A.png", "a.png"],
        ["STRASSE.png", "straße.png"],
        ["e\u0301.png", "\u00e9.png"],
        ["x" * 300, "x" * 301],
        ["螺" * 200 + "1", "螺" * 200 + "2"],
        ["a?.png", "a*.png", "a_.png"],
        [os.fsdecode(b"\xff.png"), os.fsdecode(b"\xfe.png")],
    ],
    ids=ascii,
)
def test_names_that_would_meet_are_told_apart_in_whatever_order(names: list[str]) -> None:
    made = names_of(names)
    assert len({name.casefold() for name in made}) == len(names)
    assert names_of(names[::-1]) == made[::-1]
    assert all(len(part.encode()) <= results.LONGEST + 1 + results.HASHED for name in made for part in name.split("/"))


def test_odd_names_reach_the_disk(make_report: MakeReport, make_row: Callable[..., Row], tmp_path: Path) -> None:
    names = [os.fsdecode(b"\xff.png"), "x" * 250, "a/=1+1.png", "b/=1+1.png", "[red]x[/].png", "line\nbreak.png"]
    rows = [make_row(name, None, 0.5) for name in names]
    for row in rows:
        path = tmp_path / "in" / row.sample.name
        path.parent.mkdir(parents=True, exist_ok=True)
        row.sample.path.rename(path)
    rows = [replace(row, sample=replace(row.sample, path=tmp_path / "in" / row.sample.name)) for row in rows]
    write(tmp_path / "out", make_report(rows=rows, metrics={}, curves={}, counts={}))
    assert len(overlays_in(tmp_path / "out")) == len(names)
    back = json.loads((tmp_path / "out/scores.json").read_bytes())
    assert [one["name"] for one in back["pictures"]] == names
    lines = list(csv.DictReader(io.StringIO((tmp_path / "out/scores.csv").read_text("utf-8-sig"), newline="")))
    assert [line["name"] for line in lines] == [r"\udcff.png", *names[1:]]


def test_a_file_in_the_way_is_told(make_report: MakeReport, tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    for place in (tmp_path / "plain", tmp_path / "plain" / "out"):
        with pytest.raises(UsageError, match=r"plain.*: a folder that may be written was needed; .*Choose another\."):
            write(place, make_report())


def test_a_folder_that_may_not_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files.os, "access", lambda *args: False)
    with pytest.raises(UsageError, match="a folder that may be written was needed"):
        results.make_folder(tmp_path / "out")


def test_a_full_disk_is_told(make_report: MakeReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(number: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(DataError, match="no space left on device"):
        write(tmp_path / "out", make_report())
    assert [item for item in (tmp_path / "out").rglob("*") if item.is_file()] == []


def test_a_picture_that_cannot_be_drawn_costs_its_overlay_alone(
    make_report: MakeReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = make_report()
    report.rows[3].sample.path.unlink()
    image.write(report.rows[4].sample.path, np.zeros((1, 70, 3), np.uint8))
    monkeypatch.setattr(marks, "LONGEST_SIDE", 64)
    written = write(tmp_path / "out", report)
    assert len(overlays_in(tmp_path / "out")) == 8
    lost = [
        f"No overlay was drawn of {report.rows[i].sample.name}: {why}" for i, why in ((3, "there is no"), (4, "70×1 pixels are"))
    ]
    assert [note[: len(start)] for note, start in zip(written.notes[-2:], lost, strict=True)] == lost
    content = json.loads((tmp_path / "out/scores.json").read_text("utf-8"))
    assert [one["overlay"] is None for one in content["pictures"]] == [i in (3, 4) for i in range(10)]
    assert content["notes"] == written.notes
    lines = list(csv.DictReader(io.StringIO((tmp_path / "out/scores.csv").read_text("utf-8-sig"))))
    assert all((tmp_path / "out" / line["overlay"]).is_file() for line in lines if line["overlay"])
    assert [line["overlay"] == "" for line in lines] == [i in (3, 4) for i in range(10)]


def test_tables_are_there_before_anything_is_drawn(
    make_report: MakeReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(marks, "jpeg", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "out", make_report())
    assert len((tmp_path / "out/scores.csv").read_text("utf-8-sig").splitlines()) == 11
    assert (tmp_path / "out/scores.json").is_file()


def test_a_second_run_leaves_no_stale_drawing_and_nothing_else_is_touched(make_report: MakeReport, tmp_path: Path) -> None:
    report, out = make_report(), tmp_path / "out"
    write(out, report)
    for mine in ("overlays/mine.jpg", f"overlays/{tmp_path.name}/mine.jpg", "notes.txt"):
        (out / mine).write_bytes(b"mine")
    write(out, replace(report, rows=report.rows[2:3]))
    here = tmp_path.name
    assert overlays_in(out) == sorted([f"{here}/{report.rows[2].sample.path.stem}.jpg", f"{here}/mine.jpg", "mine.jpg"])
    assert (out / "notes.txt").read_bytes() == b"mine"


def test_what_an_interrupted_run_drew_is_removed_by_the_next(
    make_report: MakeReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report, out, whole = make_report(), tmp_path / "out", marks.jpeg
    drawn = iter(range(5))
    monkeypatch.setattr(marks, "jpeg", lambda *args: whole(*args) if next(drawn) < 4 else pytest.fail("the power went"))
    with pytest.raises(pytest.fail.Exception):
        write(out, report)
    assert len(overlays_in(out)) == 4
    monkeypatch.setattr(marks, "jpeg", whole)
    write(out, replace(report, rows=report.rows[9:]))
    assert overlays_in(out) == [f"{tmp_path.name}/{report.rows[9].sample.path.stem}.jpg"]


@pytest.mark.parametrize("files", ['["overlays/../../precious.jpg"]', '["../precious.jpg", "precious.jpg"]', "3", "[[]]"])
def test_a_list_of_files_that_was_tampered_with_removes_nothing_outside(
    make_report: MakeReport, tmp_path: Path, files: str
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for path in (tmp_path / "precious.jpg", out / "precious.jpg", out / ".flawsight-files.json"):
        path.write_text(f'{{"files": {files}}}')
    write(out, make_report())
    assert (tmp_path / "precious.jpg").is_file()
    assert (out / "precious.jpg").is_file()


@pytest.mark.parametrize("format_", results.MAP_FORMATS)
def test_maps_and_masks_are_written_at_the_pictures_own_pixels(make_report: MakeReport, tmp_path: Path, format_: str) -> None:
    map_ = np.zeros((48, 64), np.float32)
    map_[10:14, 20:26], map_[30, 40] = 3.25, 1.5
    map_[:, :3] = np.nan
    report = make_report()
    row = report.rows[-1]  # score 3.0, threshold 1
    prediction = Prediction(row.sample.name, 3.0, 1.0, (48, 64), (0, 0, 64, 48), map_, Preprocess(64))
    folder = results.ResultsFolder(tmp_path / "out", [row.sample], format_, masks=True)
    folder.keep(row.sample, prediction)
    written = folder.write(replace(report, rows=[row]))
    place = f"{tmp_path.name}/{row.sample.path.stem}"
    assert dict(written.rows[0].files) == {
        "overlay": f"overlays/{place}.jpg",
        "map": f"maps/{place}.{format_}",
        "mask": f"predicted_masks/{place}.png",
    }
    file = tmp_path / "out" / written.rows[0].files["map"]
    back = np.load(file) if format_ == "npy" else tifffile.imread(file)
    assert back.dtype == np.float32
    assert np.array_equal(back, map_, equal_nan=True)
    mask = image.read(tmp_path / "out" / written.rows[0].files["mask"])
    assert np.array_equal(mask[..., 0], np.where(map_ > 1, 255, 0))


def test_an_unknown_format_of_maps_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="tif"):
        results.ResultsFolder(tmp_path / "out", [], "tif")


def test_json_is_utf8_and_refuses_what_json_has_no_word_for() -> None:
    assert results.json_bytes({"größe": [1, None]}) == '{\n "größe": [\n  1,\n  null\n ]\n}'.encode()
    with pytest.raises(ValueError, match="JSON"):
        results.json_bytes({"x": float("nan")})

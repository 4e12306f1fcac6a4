"""What a terminal shows: complete, in order, and names as they are."""

from __future__ import annotations

import io
import json
import math
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from flawsight.cli import console, reports
from flawsight.cli.arguments import STDOUT
from flawsight.report import tables
from flawsight.types import Report, Row

MakeReport = Callable[..., Report]
MakeRow = Callable[..., Row]
THRESHOLD = {"value": 1.0, "promise": "at this threshold 0 of 20 held-out good pictures would be rejected", "rule": "default"}


def shown(show: Callable[..., None], *args: Any, width: int = 100) -> str:
    out = io.StringIO()
    show(Console(file=out, width=width), *args)
    return out.getvalue()


def test_a_report(make_report: MakeReport) -> None:
    report = make_report(
        title="bottle",
        metrics={"image_auroc": 0.91667, "pro": math.nan},
        threshold=THRESHOLD,
        notes=["One thing to know.", "Another."],
    )
    lines = shown(reports.show_report, report).splitlines()
    text = "\n".join(lines)
    assert lines[0].strip() == "bottle"
    assert "Image AUROC │ 91.67 %" in text
    assert "PRO         │ not measurable" in text
    assert lines[-4:] == [
        "1 of 4 good pictures rejected; 2 of 6 defective pictures missed.",
        "Threshold 1. At this threshold 0 of 20 held-out good pictures would be rejected.",
        "note: One thing to know.",
        "note: Another.",
    ]


def test_a_report_without_labels_has_no_metrics(make_report: MakeReport) -> None:
    text = shown(reports.show_report, make_report(metrics={}, notes=[], threshold=THRESHOLD))
    assert text.startswith("Threshold 1. ")


def test_scores_come_worst_first_and_are_counted(make_row: MakeRow) -> None:
    rows = [make_row(f"{i:02}.png", None, score) for i, score in enumerate((0.2, 3.0, 0.5, 1.5))]
    lines = shown(reports.show_scores, rows).splitlines()
    cells = [[cell.strip() for cell in line.split("│")[1:4]] for line in lines if "png" in line]
    assert cells == [["01.png", "3", "reject"], ["03.png", "1.5", "reject"], ["02.png", "0.5", "pass"], ["00.png", "0.2", "pass"]]


def test_of_many_pictures_the_worst_are_listed_and_all_are_counted(make_row: MakeRow) -> None:
    rows = [make_row(f"{i:02}.png", None, 0.1 * i) for i in range(console.SHOWN + 7)]
    lines = shown(reports.show_scores, rows).splitlines()
    assert sum("png" in line for line in lines) == console.SHOWN
    assert lines[-1] == "… and 7 more that pass, none scoring higher."


def test_every_rejected_picture_is_named(make_row: MakeRow) -> None:
    rows = [make_row(f"{i:03}.png", None, 1.1 + i) for i in range(3 * console.SHOWN)]
    text = shown(reports.show_scores, [*rows, make_row("good.png", None, 0.5)])
    assert all(row.sample.name in text for row in rows)
    assert "1 more that pass" in text


def test_counts_of_scores(make_report: MakeReport) -> None:
    report = make_report(counts={"rejected": 3}, threshold=THRESHOLD)
    assert shown(reports.show_counts, report) == f"3 of {len(report.rows)} pictures rejected (score above 1).\n"
    assert (
        shown(reports.show_counts, make_report(rows=[], counts={"rejected": 0}, threshold=THRESHOLD))
        == "No picture could be judged.\n"
    )


ODD = ["[red]x[/].png", ":cat:.png", "[/].png", "a[b].png", "\\[x].png", "back\\", "größe/螺丝.png", "{x}.png"]


@pytest.mark.parametrize("name", ODD)
def test_names_are_shown_as_they_are(make_report: MakeReport, make_row: MakeRow, name: str) -> None:
    assert f"│ {name} " in shown(reports.show_scores, [make_row(name, None, 0.5)])
    assert shown(console.show_notes, [f"{name} is odd"]) == f"note: {name} is odd\n"
    assert shown(console.show_facts, {name: name}).split() == [name, name]
    assert name in shown(reports.show_report, make_report(title=name, metrics={"pro": 0.5}))


@pytest.mark.parametrize("odd", ["\x1b[31m", "\r", "\n", "\x07", "\x9b", os.fsdecode(b"\xff")], ids=ascii)
def test_names_cannot_command_the_terminal(make_row: MakeRow, odd: str) -> None:
    text = shown(reports.show_scores, [make_row(f"a{odd}b.png", None, 0.5)])
    assert odd.strip("\n") not in text or odd == "\n"
    assert "a\ufffd" in text
    text.encode()


def test_long_names_are_not_cut(make_row: MakeRow) -> None:
    name = "".join(f"{i:03}" for i in range(84))
    text = shown(reports.show_scores, [make_row(name, None, 0.5)], width=60)
    assert "".join(line.split("│")[1].strip() for line in text.splitlines() if line.startswith("│")) == name
    assert "0.5" in text


def test_long_notes_and_the_promise_are_not_wrapped(make_report: MakeReport) -> None:
    note = "word " * 60 + "end"
    text = shown(reports.show_report, make_report(metrics={}, notes=[note], threshold=THRESHOLD), width=40)
    assert text.splitlines() == [
        "Threshold 1. At this threshold 0 of 20 held-out good pictures would be rejected.",
        f"note: {note}",
    ]


def test_facts() -> None:
    facts = {
        "method": "patchcore",
        "value": 0.123456,
        "none": None,
        "earlier": [1.5, 2.25],
        "nothing": [],
        "params": {"k": 1, "switch": False, "size": None, "mean": (127.5, 0.5), "empty": ()},
    }
    lines = [line.split(maxsplit=1) for line in shown(console.show_facts, facts).splitlines()]
    assert dict(map(str.strip, line) for line in lines) == {
        "method": "patchcore",
        "value": "0.1235",
        "none": "none",
        "earlier": "1.5, 2.25",
        "nothing": "none",
        "params": "k 1, switch false, size none, mean (127.5, 0.5), empty none",
    }


def test_telling_facts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    console.tell({"good_pictures": 3}, ["few"], None, tmp_path / "x.flaw")
    out = capsys.readouterr().out.splitlines()
    assert out[0].split() == ["good", "pictures", "3"]
    assert out[1:] == ["note: few", f"Wrote {tmp_path / 'x.flaw'}."]
    console.tell({"good_pictures": 3}, ["few"], tmp_path / "x.json", None)
    assert capsys.readouterr().out.splitlines()[-1] == f"Wrote {tmp_path / 'x.json'}."
    assert json.loads((tmp_path / "x.json").read_text()) == {"good_pictures": 3, "notes": ["few"]}


def test_telling_on_standard_output_is_json_and_nothing_else(
    make_report: MakeReport, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    console.tell({"good_pictures": 3}, [], STDOUT, tmp_path / "x.flaw")
    assert json.loads(capsysbinary.readouterr().out) == {"good_pictures": 3, "notes": []}
    report = make_report(counts={"rejected": 5})
    for tell in (reports.tell_report, partial(reports.tell_scores, quiet=False)):
        tell(report, json=STDOUT)
        message = json.loads(capsysbinary.readouterr().out)
        assert message == json.loads(json.dumps(tables.to_json(report)))


def test_telling_a_report(make_report: MakeReport, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reports.tell_report(make_report(metrics={}), None, tmp_path / "r.html")
    assert capsys.readouterr().out.endswith(f"Wrote {tmp_path / 'r.html'}.\n")


def test_scores_are_a_table_for_a_person_and_lines_for_a_pipe(
    make_report: MakeReport, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    report = make_report(metrics={}, counts={"rejected": 5})
    reports.tell_scores(report, None, quiet=False)
    piped = capsys.readouterr()
    assert [line.split("\t")[0] for line in piped.out.splitlines()].count("rejected") == 5
    assert "Threshold 1." in piped.err
    monkeypatch.setenv("FORCE_COLOR", "1")
    reports.tell_scores(report, None, quiet=False)
    watched = capsys.readouterr()
    assert "verdict" in watched.out
    assert "\t" not in watched.out
    assert watched.err == ""
    reports.tell_scores(report, None, quiet=True)
    assert capsys.readouterr() == (piped.out, "")


def test_in_a_log_long_work_has_a_line_a_minute(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    clock = iter(range(0, 10_000, 20))
    monkeypatch.setattr(console.time, "monotonic", lambda: next(clock))
    with console.meter() as progress:
        for done in range(1, 13):
            progress(f"training · loss 0.{done:02}", 1000 * done, 12_000)
        for done in range(1, 4):
            progress("training · loss 0.9", done, 3)  # another cell's
    out, err = capfd.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "training · loss 0.03: 3,000 of 12,000, about 3 min left",
        "training · loss 0.06: 6,000 of 12,000, about 2 min left",
        "training · loss 0.09: 9,000 of 12,000, about 60 s left",
        "training · loss 0.12: 12,000 of 12,000",
        "training · loss 0.9: 3 of 3",
    ]


def test_short_work_is_silent_where_nobody_watches(capfd: pytest.CaptureFixture[str]) -> None:
    with console.meter() as progress:
        for done in range(5):
            progress("looking", done + 1, 5)
        progress("scoring", 1, 1)
    assert capfd.readouterr() == ("", "")


def test_progress_is_shown_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(Console, "is_terminal", True)
    with console.meter() as progress:
        for done in range(5):
            progress("looking", done + 1, 5)
        progress("scoring", 1, 3)
        for done in range(2):
            progress(f"training · loss 0.{done + 5}", done + 1, 2)
    out, err = capsys.readouterr()
    assert out == ""
    assert "looking" in err
    assert "5/5" in err
    assert "1/3" in err
    last = err[err.rindex("looking") :]
    assert "training · loss 0.6" in last  # one bar, which tells the newest
    assert "loss 0.5" not in last


@pytest.mark.parametrize(("seconds", "message"), [(0.2, "1 s"), (3.2, "3 s"), (99, "99 s"), (600, "10 min"), (9000, "2.5 h")])
def test_times_in_words(seconds: float, message: str) -> None:
    assert console.duration(seconds) == message

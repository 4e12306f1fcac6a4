"""`flawsight tables` as people and scripts meet it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from flawsight import cli
from flawsight.methods import METHODS
from flawsight.metrics import METRICS
from flawsight.reproduce import planning
from flawsight.reproduce.planning import Request

SMOKE = ("--preset", "smoke", "--methods", "patchcore_10,patchcore_1")
ROOT = Path(__file__).parents[2]


def run(*arguments: str | Path) -> Result:
    """In this process. What is no SystemExit is a defect and raised."""
    result = CliRunner(env={"COLUMNS": "150"}).invoke(cli.app, ["tables", *map(str, arguments)], catch_exceptions=False)
    assert "Traceback" not in result.output
    return result


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "either --data ROOT or --published was needed"),
        (("--published", "--data", "x"), "either --data ROOT or --published was needed"),
        (("--data", "x"), "--out DIR was needed with --data"),
        (("--published", "--table", "S5"), "there is no 'S5'"),
        (("--data", "x", "--out", "o", "--seeds", "0", "one"), "--seeds: whole numbers were needed; got 0 one"),
        (("--data", "x", "--out", "o", "--methods", "patchcor"), "Did you mean patchcore"),
        (("--data", "x", "--out", "o", "--eval", "half"), "tables: eval: there is no 'half'"),
        (("--data", "x", "--out", "o", "--preset", "paper"), "tables: presets: there is no 'paper'"),
        (("--published", "--json", "nowhere/x.json"), "an existing folder was needed"),
        (("--published", "--dry-run"), "--published runs none"),
    ],
)
def test_wrong_calls_exit_with_2_and_leave_nothing(
    arguments: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_data_that_is_none_exits_with_1(tmp_path: Path) -> None:
    result = run("--data", tmp_path / "none", "--out", tmp_path / "out", *SMOKE)
    assert result.exit_code == 1
    assert "a data set, or a folder of its categories, was needed" in result.stderr


def test_published_tables_are_shown_and_written(tmp_path: Path) -> None:
    result = run("--published", "--table", "S1", "S2", "--out", tmp_path / "pub")
    assert result.exit_code == 0
    assert "S1: image AUROC" in result.stdout
    assert "S2: pixel AUROC" in result.stdout
    assert "S3" not in result.stdout
    assert "98.5 [" in result.stdout
    assert "The PaDiM paper has 97.5 here" in result.stdout
    assert "The 15 cells average to 94.69." in result.stdout
    assert {path.name for path in (tmp_path / "pub").iterdir()} == {"tables.csv", "tables.md", "tables.tex", "tables.html"}


def test_published_tables_as_json() -> None:
    content = json.loads(run("--published", "--table", "R", "--json", "-").stdout)
    assert [sheet["metric"] for sheet in content["sheets"]] == ["image_auroc", "pixel_auroc", "pro_imagewise"]
    assert content["sheets"][2]["lines"][0]["entries"]["bottle"]["value"] == 97.14


def test_measured_beside_published(plate: Path, tmp_path: Path) -> None:
    arguments = (
        "--data",
        plate,
        "--out",
        tmp_path,
        "--table",
        "S1,S3",
        *SMOKE,
        "--seeds",
        "0",
        "1",
        "--json",
        tmp_path / "all.json",
    )
    result = run(*arguments)
    assert result.exit_code == 0
    for done in range(1, 5):
        assert f"{done}/4 patchcore_1" in result.stderr
    assert "; about " in result.stderr
    assert "S1: image AUROC, not a reproduction: tiny pictures, network efficientnet_lite0 (percent)" in result.stdout
    assert "S2" not in result.stdout
    assert " ± " in result.stdout
    content = json.loads((tmp_path / "all.json").read_text())
    assert len(content["cells"]) == 4
    assert content["cells"][0]["metrics"].keys() <= METRICS.keys()
    assert len(list((tmp_path / "cells").iterdir())) == 4
    assert (tmp_path / "tables.html").read_text().startswith("<!doctype html>")
    again = run(*arguments)
    assert again.exit_code == 0
    assert again.stderr == ""  # nothing was run
    assert again.stdout == result.stdout


def test_rows_that_cannot_run_are_listed_and_nothing_at_all_exits_with_1(
    plate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "METHODS", {"patchcore": METHODS["patchcore"]})
    result = run("--data", plate, "--out", tmp_path, "--methods", "ocsvm", "mahalanobis_ad")
    assert result.exit_code == 1
    assert "not run: ocsvm: there is no method 'ocsvm' in this flawsight" in result.stdout
    assert "MahalanobisAD (not run)" in result.stdout


def test_a_teacher_s_pictures_are_refused_before_anything_runs(plate: Path, tmp_path: Path) -> None:
    arguments = ("--data", plate, "--out", tmp_path / "out", "--preset", "smoke", "--teacher-data", tmp_path / "none")
    for methods, status, message in (
        (("student", "patchcore_1"), 1, "none: a folder of pictures was needed to cut crops from; there is none. Name another as"),
        (
            ("patchcore_1",),
            2,
            "tables: teacher_data: a row whose method has a teacher was needed, such as student; none is asked for",
        ),
    ):
        result = run(*arguments, "--methods", *methods)
        assert result.exit_code == status
        assert message in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_few_good_pictures(plate: Path, tmp_path: Path) -> None:
    result = run("--data", plate, "--out", tmp_path, *SMOKE, "--shots", "1", "2", "99", "--table", "S1")
    assert result.exit_code == 0
    assert "Few good pictures: Image AUROC, mean over plate" in result.stdout
    assert "99 good pictures were asked for; there are 8" in result.stdout
    assert 'class="chart few-pictures"' in (tmp_path / "tables.html").read_text()


def test_values_may_follow_one_another_or_commas(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[Request] = []

    def noted(request: Request, *args: object) -> None:
        seen.append(request)
        raise KeyboardInterrupt

    monkeypatch.setattr("flawsight.reproduce.running.run", noted)
    common = ("--data", tmp_path, "--out", tmp_path)
    for given in (
        ("--seeds", "0", "1", "2", "--table", "S1", "S2", "--jobs", "2"),
        ("--seeds", "0,1,2", "--table", "S1,S2", "--jobs", "2"),
        ("--jobs", "2", "--seeds", "0", "--seeds", "1,2", "--table", "S1", "--table", "S2"),
    ):
        assert run(*common, *given).exit_code == 130
    assert seen[0] == seen[1] == seen[2]
    assert (seen[0].seeds, seen[0].tables, seen[0].jobs) == ((0, 1, 2), ("S1", "S2"), 2)


def test_a_value_too_many_of_another_option_is_refused(tmp_path: Path) -> None:
    assert run("--data", tmp_path, "--out", tmp_path, "--jobs", "2", "3").exit_code == 2


def test_a_killed_process_goes_on_where_it_was(plate: Path, tmp_path: Path) -> None:
    """Killed as hard as can be after its first cell; the second run repeats none that is finished."""
    arguments = ["tables", "--data", plate, *SMOKE, "--seeds", "0", "1", "2", "--table", "S1", "--out", tmp_path / "out"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-m", "flawsight", *arguments], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    cells, deadline = tmp_path / "out" / "cells", time.monotonic() + 120
    while not (cells.is_dir() and list(cells.glob("*.json"))) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = {path: path.stat().st_mtime_ns for path in cells.glob("*.json")}
    assert finished
    result = run(*arguments[1:])
    assert result.exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert len(list(cells.glob("*.json"))) == 6
    assert result.stderr.count("/6 patchcore_1") == 6 - len(finished)


def test_a_dry_run_tells_and_writes_nothing(plate: Path, tmp_path: Path) -> None:
    message = run("--data", plate, *SMOKE, "--table", "S1", "--dry-run", "--seeds", "0", "1", "--out", tmp_path / "out")
    assert message.exit_code == 0
    assert "patchcore_1" in message.stdout
    assert "in all, one cell after another" in message.stdout
    assert not list(tmp_path.iterdir())
    rows = ("--methods", "patchcore_1", "spade")
    result = run("--data", plate, "--preset", "smoke", *rows, "--table", "S1", "--dry-run", "--json", "-")  # no --out is needed
    content = json.loads(result.stdout)
    untold, one = content["of_cells"]
    assert content["total_s"] == pytest.approx(one["fit_s"] + one["judge_s"])
    assert (untold["row"], one["row"], one["cells"]) == ("spade", "patchcore_1", 1)
    assert f"not estimated: spade on {one['category']}: " in run("--data", plate, "--preset", "smoke", *rows, "--dry-run").stdout


def test_a_dry_run_that_can_tell_nothing_exits_with_1(plate: Path) -> None:
    message = run("--data", plate, "--preset", "smoke", "--methods", "spade", "--table", "S1", "--dry-run")
    assert message.exit_code == 1
    assert "not estimated: spade" in message.stdout


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_a_file_cannot_be_the_folder(plate: Path, tmp_path: Path, more: tuple[str, ...]) -> None:
    (tmp_path / "out").write_text("mine")
    message = run("--data", plate, *SMOKE, "--out", tmp_path / "out", *more)
    assert message.exit_code == 2
    assert "a folder was needed for --out; it is a file" in message.stderr
    assert (tmp_path / "out").read_text() == "mine"


def test_a_dry_run_of_what_is_finished(plate: Path, tmp_path: Path) -> None:
    common = ("--data", plate, "--preset", "smoke", "--methods", "patchcore_1", "--table", "S1", "--out", tmp_path)
    run(*common)
    message = run(*common, "--dry-run")
    assert "1 of the cells is finished and not counted." in message.stdout
    assert "in all" not in message.stdout

"""The command line as people and scripts meet it: results, messages, exit status, and nothing left half-done."""

from __future__ import annotations

import csv
import dataclasses
import errno
import functools
import inspect
import io
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

import flawsight
from flawsight import bench, cli, threshold
from flawsight.cli import judge
from flawsight.datasets import open_dataset
from flawsight.evaluation.judging import Judging
from flawsight.fitting import Plan
from flawsight.fitting.presets import PRESETS
from flawsight.images import image
from flawsight.metrics import METRICS
from flawsight.model import Model, load
from flawsight.system import files
from flawsight.threshold import fixed

UNUSUAL = ("object_auroc", "balanced_accuracy", "pro_imagewise", "spro")  # of what only some data sets or methods give
NONASCII = "größe-螺丝.png"


@pytest.fixture(scope="module")
def model_file(model: Model, plate: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose threshold lets every good picture pass and rejects a picture of noise."""
    path = tmp_path_factory.mktemp("cli") / "part.flaw"
    highest = max(model.predict(sample).score for sample in open_dataset(plate).test)
    model.with_threshold(fixed(model.training.independent, 1.05 * highest)).save(path)
    return path


@pytest.fixture
def noise(tmp_path: Path) -> Path:
    path = tmp_path / "noise.png"
    image.write(path, np.random.default_rng(0).integers(0, 256, (192, 192, 3), dtype=np.uint8))
    return path


def run(*arguments: str | Path) -> Result:
    """In this process. What is no SystemExit is a defect and raised."""
    result = CliRunner().invoke(cli.app, [str(one) for one in arguments], catch_exceptions=False)
    assert "Traceback" not in result.output
    return result


def real(*arguments: str | Path | bytes, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """As a process of its own."""
    command = [sys.executable, "-m", "flawsight", *arguments]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60, **options)
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done


def files_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


# -- finding one's way


def test_version_and_help() -> None:
    assert run("--version").stdout == f"flawsight {flawsight.__version__}\n"
    text = run("--help").stdout
    for verb in ("fit", "score", "evaluate", "info", "threshold", "bench", "demo", "list"):
        assert re.search(rf"^\W*{verb}\s+\w", text, re.MULTILINE), verb
        message = run(verb, "--help")
        assert message.exit_code == 0
        assert "Usage: " in message.stdout
    assert "Exit status: 0 done" in text
    assert run().exit_code == 2


def test_help_is_quick_to_import() -> None:
    code = "import sys, flawsight.cli; sys.exit(any(m in sys.modules for m in ('numpy', 'onnxruntime', 'PIL', 'scipy')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_defaults_are_the_librarys() -> None:
    plan = dataclasses.asdict(Plan())
    for verb in (cli.fit, cli.evaluate):
        defaults = {name: one.default for name, one in inspect.signature(verb).parameters.items()}
        shared = plan.keys() & defaults.keys() - {"options", "levels", "leave_out"}  # in another form
        assert shared == plan.keys() - {"options", "levels", "leave_out", "needs_threshold"}  # the last is for fits that only score
        assert {name: defaults[name] for name in shared} == {name: plan[name] for name in shared}
    assert inspect.signature(cli.evaluate).parameters["ensemble_norm"].default == Judging().ensemble_norm
    assert inspect.signature(judge.threshold).parameters["confidence"].default == threshold.CONFIDENCE
    assert inspect.signature(judge.bench).parameters["seconds"].default == bench.SECONDS


@pytest.mark.parametrize("what", ["methods", "backbones", "datasets", "metrics", "presets"])
def test_lists_name_everything(what: str) -> None:
    from flawsight.cli.catalogue import listing

    result = run("list", what)
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines() if line[0] != " "] == list(listing(what))


def test_the_demo_and_what_it_says_to_do_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flawsight import demo

    monkeypatch.setattr("sys.argv", ["flawsight"])
    monkeypatch.setattr(demo, "write", lambda out, seed, progress: (progress(1, 1), out / f"plate{seed}")[1])
    result = run("demo", tmp_path / "new", "--seed", 3)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"Drew {tmp_path}/new/plate3. Next:",
        f"  flawsight fit {tmp_path}/new/plate3/train/good -o plate.flaw",
        f"  flawsight evaluate {tmp_path}/new/plate3 --model plate.flaw --report report.html",
    ]


# -- fit


def test_fit_writes_a_model_and_says_what_it_learned(plate: Path, tmp_path: Path, model: Model) -> None:
    options = ["--method", "patchcore", "--size", 128, "--seed", 0, "--json", tmp_path / "x.json"]
    result = run("fit", plate / "train/good", "-o", tmp_path / "x.flaw", *options)
    assert result.exit_code == 0
    loaded = load(tmp_path / "x.flaw")
    assert loaded.fingerprint == model.fingerprint
    np.testing.assert_array_equal(loaded.training.held_out, model.training.held_out)
    lines = result.stdout.splitlines()
    assert lines[-2:] == [f"Wrote {tmp_path / 'x.flaw'}.", f"Wrote {tmp_path / 'x.json'}."]
    assert lines[-3].startswith("note: Only 8 different good pictures")
    assert "neighbourhood" not in result.stdout
    assert "neighbourhood" in run("info", tmp_path / "x.flaw").stdout
    facts = json.loads((tmp_path / "x.json").read_text("utf-8"))
    assert facts == {**json.loads(json.dumps(loaded.info())), "notes": loaded.training.notes}


def test_fit_keeps_a_model_whose_threshold_was_changed(plate: Path, tmp_path: Path, model: Model) -> None:
    path, good = tmp_path / "x.flaw", plate / "train/good"
    changed = model.with_threshold(0.5).with_threshold(0.7)
    changed.save(path)
    old = path.read_bytes()
    for verb in (("fit", good, "-o", path, "--size", 64), ("evaluate", plate, "--save", path, "--size", 64)):
        refused = run(*verb)
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert f"{path}: holds a model whose threshold was changed, last at {changed.threshold_set}. Name another" in refused.stderr
        assert path.read_bytes() == old
    assert run("fit", good, "-o", path, "--size", 64, "--dry-run").exit_code == 0
    assert run("fit", good, "-o", path, "--size", 64, "--force").exit_code == 0
    new = load(path)
    assert [before["value"] for before in new.history] == [model.threshold.value, 0.5, 0.7]
    of = {"created": model.created, "fingerprint": model.fingerprint}
    assert all(before["replaced"] == of for before in new.history)
    assert new.info()["earlier_thresholds"] == [model.threshold.value, 0.5, 0.7]
    assert new.preprocess.size == 64


def test_fit_replaces_a_model_as_it_was_fitted_and_no_other_file(plate: Path, tmp_path: Path, model: Model) -> None:
    good = plate / "train/good"
    model.save(tmp_path / "x.flaw")
    assert run("fit", good, "-o", tmp_path / "x.flaw", "--size", 64).exit_code == 0
    assert load(tmp_path / "x.flaw").history == ()
    picture = tmp_path / "000.png"
    shutil.copy(next(good.iterdir()), picture)
    refused = run("fit", good, "-o", picture, "--size", 64)
    assert refused.exit_code == 2
    assert f"error: {picture}: expected no file or a model, got a file of another kind" in refused.stderr
    assert run("fit", good, "-o", picture, "--size", 64, "--force").exit_code == 0
    assert load(picture).history == ()


def test_fit_takes_options(plate: Path, tmp_path: Path) -> None:
    options = ["--preset", "paper", "--size", "64", "--set", "coreset=random", "--set", "coreset_ratio=0.5", "--seed", "7"]
    promise = [
        "--max-false-rejects",
        "45 %",
        "--confidence",
        "0.9",
        "--backbone",
        "efficientnet_lite2",
        "--levels",
        "stage2,stage4",
    ]
    result = run("fit", plate / "train/good", "-o", tmp_path / "x.flaw", *options, *promise, "--json", "-")
    assert result.exit_code == 0
    facts = json.loads(result.stdout)
    assert facts["backbone"] == "efficientnet_lite2, stage2 + stage4"
    assert (facts["params"]["coreset"], facts["params"]["coreset_ratio"], facts["params"]["seed"]) == ("random", 0.5, 7)
    assert facts["params"]["distance"] == PRESETS["paper"].options["distance"]
    assert facts["preprocess"]["size"] == 64
    assert facts["rule"] == "max_false_rejects 45 %"
    assert "with 90 % confidence" in facts["promise"]


def test_fit_says_before_what_it_will_need(plate: Path, tmp_path: Path) -> None:
    result = run("fit", plate / "train/good", "-o", tmp_path / "x.flaw", "--size", 64)
    message = r"8 pictures: about \d+ s, [\d.]+ [MG]B of memory \(may take .*\)\nThe bank: 24 × 128, 0\.0 MB; then"
    assert re.match(message, result.stderr)
    assert result.stderr.endswith(" ms a picture\n")


def test_a_dry_run_only_says_it(plate: Path, tmp_path: Path) -> None:
    arguments = ["fit", plate / "train/good", "-o", tmp_path / "no/x.flaw", "--size", 64, "--memory", "20 GB", "--dry-run"]
    result = run(*arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("8 pictures: about ")
    assert "(may take 20 GB)" in result.stdout
    facts = json.loads(run(*arguments, "--json", "-").stdout)
    assert (facts["pictures"], facts["patches"], facts["bank_rows"], facts["bank_dims"]) == (8, 128, 24, 128)
    assert facts["budget_mb"] == 20_000
    assert facts["total_s"] == pytest.approx(sum(facts["seconds"].values()))
    run(*arguments, "--json", tmp_path / "x.json")
    assert files_in(tmp_path) == ["x.json"]


def test_a_dry_run_of_a_training(plate: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    small = [word for text in ("side=32", "width=4", "units=8", "steps=50", "batch=4") for word in ("--set", text)]
    arguments = ["fit", plate / "train/good", "-o", tmp_path / "x.flaw", "--method", "dsebm", "--size", 64, *small, "--dry-run"]
    result = run(*arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    message = (
        r"8 pictures, 6 of them to learn from: about \d+ s, [\d.]+ [MG]B of memory \(may take .*\)\nThen about \d+ ms a picture\n"
    )
    assert re.fullmatch(message, result.stdout)
    facts = json.loads(run(*arguments, "--json", "-").stdout)
    assert facts["seconds"].keys() == {"checking pictures", "training", "scoring good pictures"}
    refused = run(*arguments, "--memory", "20MB")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "dsebm needs about" in refused.stderr
    assert files_in(tmp_path) == []


def test_a_dry_run_of_what_cannot_be_told(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    result = run("fit", tmp_path, "--dry-run")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: fit: the time and memory needed cannot be estimated")


def test_fit_skips_what_it_may(plate: Path, tmp_path: Path) -> None:
    good = Path(shutil.copytree(plate / "train/good", tmp_path / "good"))
    (good / "bad.png").write_bytes(b"")
    refused = run("fit", good, "-o", tmp_path / "x.flaw", "--size", 64)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "\nerror: fit: 1 of 9 pictures cannot be read:\n  bad.png: the file is empty" in refused.stderr
    assert not (tmp_path / "x.flaw").exists()
    assert run("fit", good, "-o", tmp_path / "x.flaw", "--size", 64, "--skip-bad").exit_code == 0
    assert run("info", tmp_path / "x.flaw", "--json", "-").stdout.count('"left_out": 1') == 1


WRONG = {
    "--methd x": "No such option: --methd",
    "--method patchcor": "error: methods: there is no 'patchcor'. Did you mean patchcore",
    "--backbone efficientnet_lite": "Did you mean efficientnet_lite",
    "--preset papr": "error: presets: there is no 'papr'. Did you mean paper?",
    "--runtime openvin": "Did you mean openvino",
    "--set neighbors=3": "error: two_banks: options: there is no 'neighbors'. Did you mean neighbours",
    "--set neighbours=x": "error: two_banks: neighbours must be",
    "--set neighbours": "error: options: name=value was needed; got 'neighbours'.",
    "--levels stage3,stage8": "error: backbone efficientnet_lite0_whole, levels: there is no 'stage8'. Did you mean stage",
    "--levels stage5,stage3": "finest first",
    "--memory much": "error: memory: a size such as 1GB, 512MiB or a number of bytes was needed; got 'much'.",
    "--memory 20MB": "need at least",
    "--checkpoints kept": "two_banks does not learn by gradient and needs no checkpoints",
    "--defects kept": "two_banks learns from good pictures alone; defective ones came too. Leave out defects.",
    "--method cavga_rw": "cavga_rw needs labelled defective pictures beside good ones; none came. Name a folder of them",
    "--method ae_ssim --backbone resnet18": "ae_ssim: it learns from the picture itself; the network resnet18 came",
    "--size 7": "error: preprocess: size must be 64 to 4096 pixels; got 7.",
    "--size 100000": "error: preprocess: size must be 64 to 4096 pixels; got 100000.",
    "--size big": "Invalid value for '--size'",
    "--seed -1": "error: two_banks: seed must be",
    "--max-false-rejects 1%": "needs 299 different good pictures; there are 8",
    "--max-false-rejects abc": "error: threshold: a share such as 1% or 0.01 was needed; got 'abc'.",
    "--max-false-rejects=": "error: threshold: a share such as 1% or 0.01 was needed; got ''.",
    "--max-false-rejects 0": "error: threshold: max_false_rejects must be a share between",
    "--confidence 2": "error: threshold: confidence must be between 0 and 1; got 2.0.",
    "-o nowhere/x.flaw": "error: nowhere/x.flaw: an existing folder was needed",
    "-o .": "error: .: a file name was needed; this is a folder or a device.",
    "--json nowhere/x.json": "error: nowhere/x.json: an existing folder was needed",
}


@pytest.mark.parametrize("options", WRONG)
def test_wrong_calls_exit_with_2_before_anything_is_read(
    plate: Path, tmp_path: Path, options: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flawsight import loader

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(loader, "inspect", lambda *_: pytest.fail("a picture was read"))
    result = run("fit", plate / "train/good", *options.split(" "))
    assert result.exit_code == 2
    assert WRONG[options] in result.stderr
    assert result.stdout == ""
    assert files_in(tmp_path) == []


def test_a_data_set_given_for_good_pictures_gets_a_hint(plate: Path) -> None:
    result = run("fit", plate)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"error: {plate}: no pictures in it. Did you mean {plate}/train/good?\n"


# -- score


def test_score_passes_and_rejects(model_file: Path, plate: Path, noise: Path) -> None:
    passed = run("score", model_file, plate / "test/good")
    assert passed.exit_code == 0
    assert "0 of 4 pictures rejected" in passed.stderr
    rejected = run("score", model_file, plate / "test/good", noise)
    assert rejected.exit_code == 3
    assert "1 of 5 pictures rejected" in rejected.stderr


def test_in_a_pipe_each_picture_is_a_line_and_quiet_leaves_nothing_else(
    model_file: Path, plate: Path, noise: Path, tmp_path: Path, model: Model
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"")
    call = ("score", model_file, plate / "test/good", noise, bad)
    piped, quiet, short = run(*call), run(*call, "--quiet"), run(*call, "-q")
    assert piped.exit_code == quiet.exit_code == 1
    assert piped.stdout == quiet.stdout == short.stdout
    lines = [line.split("\t") for line in piped.stdout.splitlines()]
    assert [line[0] for line in lines] == ["rejected"] + ["passed"] * 4 + ["unreadable"]
    assert [lines[0][2], lines[-1]] == [str(noise), ["unreadable", "", str(bad)]]
    assert float(lines[0][1]) == pytest.approx(model.predict(noise).score, rel=1e-5)
    assert "1 of 5 pictures rejected" in piped.stderr
    assert quiet.stderr == "error: 1 of 6 pictures could not be read.\n"
    both = run(*call, "-q", "--json", "-")
    assert (both.exit_code, both.stdout) == (2, "")


def test_score_writes_a_folder(model_file: Path, plate: Path, noise: Path, tmp_path: Path, model: Model) -> None:
    out = tmp_path / "deep" / "out"
    result = run("score", model_file, plate / "test", noise, "--out", out)
    assert result.exit_code == 3
    assert f"Wrote {out / 'report.html'}." in result.stderr
    assert len(files_in(out)) == 4 + 11
    content = json.loads((out / "scores.json").read_text("utf-8"))
    lines = list(csv.DictReader(io.StringIO((out / "scores.csv").read_text("utf-8-sig"))))
    found = {line["name"]: float(line["score"]) for line in lines}
    assert found == {one["name"]: one["score"] for one in content["pictures"]}
    assert found == {path: model.predict(path).score for path in found}
    assert content["title"] == "11 pictures scored by part.flaw"
    assert content["metrics"] == {}


def test_the_page_of_score_draws_the_nearest_good_patch_from_the_model_alone(plate: Path, tmp_path: Path) -> None:
    good = plate / "train" / "good"
    for kept, options in (True, ""), (False, "--no-crops"):
        made = run("fit", good, "-o", tmp_path / "m.flaw", "--method", "patchcore", "--size", "128", *options.split())
        assert made.exit_code == 0, made.output
        assert bool(re.search(r"good crops +none", made.output)) != kept
        run("score", tmp_path / "m.flaw", plate / "test" / "chip", "--out", tmp_path / "out")
        page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
        assert ("as the network sees it" in page) == kept
        assert ("not at hand" in page) or kept
    run("score", tmp_path / "m.flaw", plate / "test" / "chip", "--out", tmp_path / "out", "--good", good)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "as the network sees it" not in page
    assert "Nearest good patch, in 00" in page


def test_score_as_json_on_standard_output_and_nothing_else(model_file: Path, plate: Path, tmp_path: Path) -> None:
    result = run("score", model_file, plate / "test/good", "--json", "-", "--out", tmp_path / "out")
    content = json.loads(result.stdout)
    assert [one["is_defective"] for one in content["pictures"]] == [False] * 4
    assert content == json.loads((tmp_path / "out/scores.json").read_text("utf-8"))
    written = run("score", model_file, plate / "test/good", "--json", tmp_path / "x.json")
    assert written.stderr.endswith(f"Wrote {tmp_path / 'x.json'}.\n")
    again = json.loads((tmp_path / "x.json").read_text("utf-8"))
    assert again["pictures"] == [{**one, "overlay": None} for one in content["pictures"]]


def test_score_judges_the_others_where_one_cannot_be_read(model_file: Path, plate: Path, noise: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_text("no picture")
    result = run(
        "score", model_file, plate / "test/good", tmp_path / "bad.png", noise, tmp_path / "gone.png", "--out", tmp_path / "o"
    )
    assert result.exit_code == 1
    assert "1 of 5 pictures rejected" in result.stderr
    assert re.search(r"note: Left out, unreadable: .*bad\.png: is not a picture", result.stderr)
    assert re.search(r"note: Left out, unreadable: .*gone\.png: there is no such file", result.stderr)
    assert result.stderr.endswith("error: 2 of 7 pictures could not be read.\n")
    content = json.loads((tmp_path / "o/scores.json").read_text("utf-8"))
    assert list(content["unreadable"]) == [str(tmp_path / "bad.png"), str(tmp_path / "gone.png")]
    assert len(content["pictures"]) == 5
    lines = list(csv.DictReader(io.StringIO((tmp_path / "o/scores.csv").read_text("utf-8-sig"))))
    assert [line["name"] for line in lines if line["verdict"] == "unreadable"] == list(content["unreadable"])


def test_score_leaves_its_own_drawings_out(model_file: Path, plate: Path, tmp_path: Path) -> None:
    """Results among the pictures are never judged, however often they are written there; asked for by themselves they are none."""
    shutil.copytree(plate / "test/good", tmp_path / "new")
    call = ("score", model_file, tmp_path / "new", "--out", tmp_path / "new/results", "--maps", "tiff", "--masks")
    for _ in range(2):
        assert "0 of 4 pictures rejected" in run(*call).stderr
    assert len(files_in(tmp_path / "new/results")) == 4 + 3 * 4
    (tmp_path / "new/results/scores.csv").unlink()
    assert "0 of 4 pictures rejected" in run(*call[:3]).stderr
    each = sorted((tmp_path / "new").iterdir())  # as a shell expands new/*
    assert "0 of 4 pictures rejected" in run("score", model_file, *each).stderr
    assert "no pictures in this folder" in run("score", model_file, tmp_path / "new/results").stderr


def test_score_writes_results_beside_the_pictures(model_file: Path, plate: Path, tmp_path: Path) -> None:
    shutil.copytree(plate / "test/good", tmp_path / "new")
    for _ in range(2):
        assert "0 of 4 pictures rejected" in run("score", model_file, tmp_path / "new", "--out", tmp_path / "new").stderr


def test_maps_and_masks_need_a_place(model_file: Path, plate: Path) -> None:
    for option in (["--maps", "npy"], ["--masks"]):
        result = run("score", model_file, plate / "test", *option)
        assert result.exit_code == 2
        assert "Name one with --out." in result.stderr


def test_score_where_nothing_can_be_read(model_file: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"")
    result = run("score", model_file, tmp_path)
    assert result.exit_code == 1
    assert "No picture could be judged." in result.stderr
    as_json = run("score", model_file, tmp_path, "--json", "-", "--out", tmp_path / "out")
    assert as_json.exit_code == 1
    assert list(json.loads(as_json.stdout)["unreadable"]) == [str(tmp_path / "bad.png")]


def test_score_without_pictures(model_file: Path, tmp_path: Path) -> None:
    result = run("score", model_file, tmp_path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no pictures in this folder or below it" in result.stderr
    assert run("score", model_file).exit_code == 2


def test_the_same_picture_twice_is_judged_once(model_file: Path, plate: Path) -> None:
    folder = plate / "test/good"
    assert "0 of 4 pictures" in run("score", model_file, folder, folder / "000.png", folder).stderr


def test_odd_names(model_file: Path, plate: Path, tmp_path: Path) -> None:
    """Through a real process, with names as bytes: whatever the system allows in a name."""
    good = (plate / "test/good/000.png").read_bytes()
    names = [
        NONASCII.encode(),
        b"x" * 246 + b".png",
        b"=1+1.png",
        b"[red]x[:smile:].png",
        b"\xff\xfe.png",
        b"two\nlines.png",
        b"-o.png",
    ]
    for name in [*names, b"a/same.png", b"b/same.png"]:
        path = Path(os.fsdecode(bytes(tmp_path) + b"/in/" + name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(good)
    wide = {**os.environ, "COLUMNS": "500"}
    done = real("score", model_file, tmp_path / "in", "--out", tmp_path / "out", "--json", tmp_path / "x.json", env=wide)
    assert done.returncode == 0, done.stderr
    assert "[red]x[:smile:].png" in done.stdout.decode()
    lines = list(csv.DictReader(io.StringIO((tmp_path / "out/scores.csv").read_text("utf-8-sig"), newline="")))
    found = sorted(line["name"].removeprefix(f"{tmp_path}/in/") for line in lines)
    expected = [name.decode("utf-8", "backslashreplace").replace(r"\xff\xfe", r"\udcff\udcfe") for name in names]
    assert found == sorted([*expected, "a/same.png", "b/same.png"])
    overlays = [path.removeprefix("overlays/") for path in files_in(tmp_path / "out") if path.startswith("overlays/")]
    assert len(overlays) == 9
    assert {f"in/{NONASCII.removesuffix('.png')}.jpg", "in/=1+1.jpg", "a/same.jpg", "b/same.jpg"} <= set(overlays)
    assert [one["name"] for one in json.loads((tmp_path / "x.json").read_bytes())["pictures"]] == [line["name"] for line in lines]


def test_names_that_start_like_a_formula_are_guarded(
    model_file: Path, plate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(plate / "test/good/000.png", "=1+1.png")
    run("score", model_file, "=1+1.png", "--out", "out")
    assert next(csv.DictReader(io.StringIO(Path("out/scores.csv").read_text("utf-8-sig"))))["name"] == "'=1+1.png"


def test_a_terminal_that_cannot_show_a_name_is_no_reason_to_stop(model_file: Path, plate: Path, tmp_path: Path) -> None:
    shutil.copy(plate / "test/good/000.png", tmp_path / NONASCII)
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = real("score", model_file, tmp_path, "--out", tmp_path / NONASCII.removesuffix(".png"), env=ascii_only)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().rstrip().endswith(NONASCII)  # as the bytes of the name, for the next program in the pipe
    as_json = real("score", model_file, tmp_path / NONASCII, "--json", "-", env=ascii_only)
    assert json.loads(as_json.stdout)["pictures"][0]["name"] == str(tmp_path / NONASCII)
    gone = real("score", tmp_path / "größe.flaw", tmp_path, env=ascii_only)
    assert (gone.returncode, gone.stderr.count(b"e.flaw: a model file was needed")) == (1, 1)


def test_a_name_too_long_for_the_system_is_told(model_file: Path) -> None:
    result = run("score", model_file, "x" * 300)
    assert result.exit_code == 1
    assert "name too long" in result.stderr


@pytest.mark.parametrize("where", ["plain/out", "plain"])
def test_a_folder_that_cannot_be_made_is_told_before_pictures_are_judged(
    model_file: Path, plate: Path, tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plain").write_bytes(b"mine")
    monkeypatch.setattr(Model, "predict_each", lambda *_: pytest.fail("pictures were judged"))
    result = run("score", model_file, plate / "test", "--out", tmp_path / where)
    assert result.exit_code == 2
    assert f"error: {tmp_path / where}: a folder that may be written was needed" in result.stderr
    assert (tmp_path / "plain").read_bytes() == b"mine"


@pytest.mark.parametrize("verb", ["fit", "score", "evaluate", "threshold", "info"])
def test_a_place_that_cannot_be_written_is_told_at_once(model_file: Path, plate: Path, tmp_path: Path, verb: str) -> None:
    (tmp_path / "plain").write_bytes(b"")
    first = {"fit": [plate / "train/good"], "score": [model_file, plate / "test"], "evaluate": [plate]}.get(verb, [model_file])
    more = ["--value", "1"] if verb == "threshold" else []
    result = run(verb, *first, *more, "--json", tmp_path / "plain" / "x.json")
    assert (result.exit_code, result.stdout if verb != "info" else "") == (2, "")
    assert "an existing folder was needed" in result.stderr


def test_a_folder_without_permission_is_told(plate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files.os, "access", lambda _, mode: mode != os.W_OK)
    result = run("fit", plate / "train/good", "-o", tmp_path / "x.flaw")
    assert result.exit_code == 2
    assert "a folder that may be written was needed" in result.stderr


# -- evaluate


def test_evaluate_measures_a_given_model(model_file: Path, plate: Path, tmp_path: Path) -> None:
    result = run("evaluate", plate, "--model", model_file, "--report", tmp_path / "r.html", "--json", tmp_path / "x.json")
    assert result.exit_code == 0
    content = json.loads((tmp_path / "x.json").read_text("utf-8"))
    assert list(content["metrics"]) == [name for name in METRICS if name not in UNUSUAL]
    for name, value in content["metrics"].items():
        assert re.search(rf"{METRICS[name].label}\s+│ {100 * value:.2f} %", result.stdout)
    assert "0 of 4 good pictures rejected; 6 of 6 defective pictures missed." in result.stdout
    assert result.stdout.splitlines()[-2:] == [f"Wrote {tmp_path / 'r.html'}.", f"Wrote {tmp_path / 'x.json'}."]
    assert "<html" in (tmp_path / "r.html").read_text("utf-8")


def test_evaluate_fits_and_saves(plate: Path, tmp_path: Path, model: Model) -> None:
    result = run(
        "evaluate", plate, "--method", "patchcore", "--size", 128, "--save", tmp_path / "x.flaw", "--json", "-", "--no-masks"
    )
    assert result.exit_code == 0
    content = json.loads(result.stdout)
    assert all(name.startswith("image") for name in content["metrics"])
    assert load(tmp_path / "x.flaw").fingerprint == model.fingerprint
    assert [one["score"] for one in content["pictures"]] == [model.predict(s).score for s in open_dataset(plate).test]


def test_evaluate_a_category_and_a_plain_folder(plate: Path, tmp_path: Path) -> None:
    chosen = run("evaluate", plate.parent, "--category", plate.name, "--size", 64, "--no-masks")
    assert chosen.exit_code == 0
    for kind in ("good", "dent", "chip"):
        shutil.copytree(plate / "test" / kind, tmp_path / "set" / kind)
    shutil.copytree(plate / "train/good", tmp_path / "set/good", dirs_exist_ok=True)
    result = run("evaluate", tmp_path / "set", "--size", 64, "--json", "-")
    assert result.exit_code == 0
    content = json.loads(result.stdout)
    assert (content["counts"]["good"], content["counts"]["defective"]) == (2, 2)
    assert list(content["metrics"]) == ["image_auroc", "image_ap", "image_f1max"]
    assert any("4th good picture was kept for the test" in note for note in content["notes"])


def test_evaluate_without_defects_says_what_is_missing(plate: Path) -> None:
    result = run("evaluate", plate / "train/good")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no pictures to be judged on; needs defective ones beside the good" in result.stderr


def test_evaluate_where_some_defects_lack_a_mask(plate: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(plate, tmp_path / "plate"))
    shutil.copy(copy / "test/dent/000.png", copy / "test/dent/001.png")
    refused = run("evaluate", copy, "--size", 64)
    assert refused.exit_code == 1
    assert "--no-masks" in refused.stderr
    assert run("evaluate", copy, "--size", 64, "--no-masks").exit_code == 0


def test_evaluate_scales_an_ensemble_as_it_is_told(plate: Path) -> None:
    fitted = ["--method", "ensemble", "--backbone", "efficientnet_lite0+efficientnet_lite2", "--size", "64", "--no-masks"]
    scaled = run("evaluate", plate, *fitted, "--ensemble-norm", "test")
    assert scaled.exit_code == 0
    assert "were scaled by their extremes over all pictures judged here" in " ".join(scaled.stdout.split())
    refused = run("evaluate", plate, "--ensemble-norm", "test")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "ensemble_norm=test is of method ensemble; got two_banks" in refused.stderr
    assert "Did you mean test" in run("evaluate", plate, "--ensemble-norm", "tests").stderr


@pytest.mark.parametrize("options", ["--size 64", "--set neighbours=2", "--max-false-rejects 10%", "--preset paper", "--seed 1"])
def test_evaluate_refuses_to_ignore_options(model_file: Path, plate: Path, options: str) -> None:
    result = run("evaluate", plate, "--model", model_file, *options.split(" "))
    assert result.exit_code == 2
    assert "--model judges with that model as it is" in result.stderr


def test_evaluate_leaves_out_what_it_may(model_file: Path, plate: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(plate, tmp_path / "plate"))
    (copy / "test/good/000.png").write_bytes(b"")
    refused = run("evaluate", copy, "--model", model_file)
    assert refused.exit_code == 1
    assert "  test/good/000.png: the file is empty" in refused.stderr
    result = run("evaluate", copy, "--model", model_file, "--skip-bad")
    assert result.exit_code == 0
    assert "note: Left out, unreadable: test/good/000.png: the file is empty" in result.stdout


# -- info and threshold


def test_info(model_file: Path) -> None:
    result = run("info", model_file)
    assert result.exit_code == 0
    names = [line[:18].strip() for line in result.stdout.splitlines() if line[0] not in " n"]
    assert names[:5] == ["method", "backbone", "weights", "good pictures", "left out"]
    facts = json.loads(run("info", model_file, "--json", "-").stdout)
    assert facts["rule"] == "set by hand"
    assert not any(" " in name for name in facts)


@pytest.mark.parametrize("verb", ["info", "score", "threshold", "evaluate"])
@pytest.mark.parametrize("damage", ["gone", "cut", "flipped", "text"])
def test_a_damaged_model_file_is_told(model_file: Path, plate: Path, tmp_path: Path, verb: str, damage: str) -> None:
    path, whole = tmp_path / "bad.flaw", bytearray(model_file.read_bytes())
    if damage == "flipped":
        whole[-1000] ^= 1
    if damage != "gone":
        path.write_bytes({"cut": whole[: len(whole) // 2], "flipped": whole, "text": b"text"}[damage])
    more = {"score": [plate / "test"], "threshold": ["--value", "1"]}.get(verb, [])
    result = run("evaluate", plate, "--model", path) if verb == "evaluate" else run(verb, path, *more)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: {path}: ")
    assert files_in(tmp_path) == ([] if damage == "gone" else ["bad.flaw"])


def test_threshold_changes_the_file_and_keeps_its_history(model_file: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(model_file, tmp_path))
    before = load(path).threshold.value
    assert run("threshold", path, "--value", 0.5).exit_code == 0
    result = run("threshold", path, "--max-false-rejects", "40%", "--confidence", 0.8, "--json", "-")
    assert result.exit_code == 0
    facts = json.loads(result.stdout)
    loaded = load(path)
    assert facts["earlier_thresholds"][-2:] == [before, 0.5] == [one["value"] for one in loaded.history][-2:]
    assert facts["threshold"] == loaded.threshold.value
    assert loaded.threshold.max_false_rejects <= 0.4
    assert loaded.threshold.confidence == 0.8


def test_threshold_to_another_file_leaves_the_first(model_file: Path, tmp_path: Path) -> None:
    before = model_file.read_bytes()
    result = run("threshold", model_file, "--value", 2, "-o", tmp_path / "y.flaw")
    assert result.exit_code == 0
    assert result.stdout.endswith(f"Wrote {tmp_path / 'y.flaw'}.\n")
    assert model_file.read_bytes() == before
    assert load(tmp_path / "y.flaw").threshold.value == 2.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("", "expected one of --max-false-rejects, --value and --from; got none"),
        ("--value 1 --max-false-rejects 40%", "expected one of --max-false-rejects, --value and --from; got several"),
        ("--max-false-rejects 5%", "needs 59 different good pictures; there are 8, which support 31.3 %. Add good pictures"),
        ("--max-false-rejects=", "a share such as 1% or 0.01 was needed"),
        ("--value nan", "finite number"),
        ("--value 1 --confidence 1", "confidence must be between 0 and 1"),
        ("--value 1 -o nowhere/x.flaw", "an existing folder was needed"),
    ],
)
def test_threshold_refuses_and_changes_nothing(model_file: Path, options: str, message: str) -> None:
    before = model_file.read_bytes()
    result = run("threshold", model_file, *options.split())
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert model_file.read_bytes() == before


# -- when something goes wrong in the middle


def test_a_full_disk_leaves_the_old_model(model_file: Path, tmp_path: Path, plate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(number: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = Path(shutil.copy(model_file, tmp_path))
    monkeypatch.setattr(files.os, "fsync", full)
    for result in (run("threshold", path, "--value", 1), run("fit", plate / "train/good", "-o", path, "--size", 64, "--force")):
        assert result.exit_code == 1
        message = f"error: {path}: room on a working disk was needed; no space left on device. Free some space or write elsewhere."
        assert result.stderr.splitlines()[-1] == message
    assert path.read_bytes() == model_file.read_bytes()
    assert files_in(tmp_path) == ["part.flaw"]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "/secret"), "error: /secret: permission denied."),
        (OSError("odd"), "error: this system: odd."),
        (MemoryError("Unable to allocate 3 TiB"), "error: not enough memory (Unable to allocate 3 TiB). Ask for a smaller --size"),
    ],
)
def test_what_the_system_refuses_is_told(plate: Path, error: Exception, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr("flawsight.fitting.fit", fail)
    result = run("fit", plate / "train/good", "-o", "never.flaw")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith(message)


@pytest.mark.parametrize("verb", ["fit", "score", "evaluate"])
def test_an_interrupt_is_told(model_file: Path, plate: Path, tmp_path: Path, verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Model, "predict_each", stop)
    monkeypatch.setattr("flawsight.methods.patchcore.PatchCore.fit_within", stop)
    where = {
        "fit": [plate / "train/good", "-o", tmp_path / "x"],
        "score": [model_file, plate / "test", "--out", tmp_path / "out"],
        "evaluate": [plate, "--save", tmp_path / "x"],
    }
    result = run(verb, *where[verb])
    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr.splitlines()[-1] == "interrupted: no file was left half-written"
    assert files_in(tmp_path) == []


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of a terminal: what a process writes at the second can be read at the first."""
    ours, theirs = pty.openpty()
    yield ours, theirs
    os.close(ours)


def test_ctrl_c_during_a_fit(plate: Path, tmp_path: Path, terminal: tuple[int, int]) -> None:
    """A real interrupt at a real process, once its progress bar shows that pictures are being looked at."""
    ours, theirs = terminal
    path = tmp_path / "x.flaw"
    path.write_bytes(b"old")
    command = [sys.executable, "-m", "flawsight", "fit", str(plate / "train/good"), "-o", str(path), "--size", "1500", "--force"]
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    # What a shell starts in the background ignores interrupts, and hands that down to what it starts.
    attend = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=env, preexec_fn=attend) as process:
        os.close(theirs)
        seen, until = b"", time.monotonic() + 30
        while b"looking at pictures" not in seen and time.monotonic() < until:
            seen += os.read(ours, 4096)
        process.send_signal(signal.SIGINT)
        try:
            while piece := os.read(ours, 4096):
                seen += piece
        except OSError:
            pass  # a terminal whose other end is closed
        assert process.wait(30) == 130
        assert process.stdout is not None
        assert process.stdout.read() == b""
    assert b"Traceback" not in seen
    assert b"interrupted: no file was left half-written" in seen
    assert path.read_bytes() == b"old"
    assert files_in(tmp_path) == ["x.flaw"]


def test_exit_status_of_real_processes(model_file: Path, plate: Path, noise: Path, tmp_path: Path) -> None:
    assert real("--version").stdout.decode() == f"flawsight {flawsight.__version__}\n"
    assert real("score", model_file, plate / "test/good/000.png").returncode == 0
    done = real("score", model_file, noise, "--json", "-")
    assert done.returncode == 3
    assert json.loads(done.stdout)["counts"]["rejected"] == 1
    assert done.stderr == b""
    assert real("score", model_file, tmp_path / "none.png").returncode == 1
    assert real("scor").returncode == 2


# -- other methods


def test_a_method_without_a_map_from_fit_to_page(plate: Path, tmp_path: Path) -> None:
    path, out, page = tmp_path / "part.flaw", tmp_path / "out", tmp_path / "page.html"
    assert run("fit", plate / "train" / "good", "-o", path, "--method", "mahalanobis_ad", "--size", "128").exit_code == 0
    message = json.loads(run("evaluate", plate, "--model", path, "--report", page, "--json", "-").stdout)
    assert message["metrics"].keys() == {"image_auroc", "image_ap", "image_f1max"}
    assert (
        "mahalanobis_ad gives no map: it scores pictures as wholes, so there are no pixel metrics, whatever masks there are."
        in (message["notes"])
    )
    assert "This method gives no map" in page.read_text("utf-8")
    assert run("score", path, plate / "train" / "good", "--out", out).exit_code in (0, 3)
    assert files_in(out) == [".flawsight-files.json", "report.html", "scores.csv", "scores.json"]
    measured = json.loads(run("bench", path, "--seconds", "0.2", "--json", "-").stdout)
    assert measured["bank_rows"] == 0
    assert measured["bank_bytes"] > 0


@pytest.mark.parametrize("method", ["spade", "padim", "ocsvm"])
def test_other_methods_are_saved_and_loaded(method: str, plate: Path, tmp_path: Path) -> None:
    path = tmp_path / "part.flaw"
    assert run("fit", plate / "train" / "good", "-o", path, "--method", method, "--size", "96").exit_code == 0
    loaded = load(path)
    assert loaded.method.name == method
    assert np.isfinite(loaded.predict(open_dataset(plate).test[0]).score)


def test_padim_refuses_a_picture_of_another_shape(plate: Path, tmp_path: Path) -> None:
    path, strip = tmp_path / "part.flaw", tmp_path / "strip.png"
    image.write(strip, np.zeros((64, 192, 3), np.uint8))
    assert run("fit", plate / "train" / "good", "-o", path, "--method", "padim", "--size", "96").exit_code == 0
    message = run("score", path, strip)
    assert message.exit_code == 1
    assert "96×96" in message.output
    assert "Bring all pictures to one size" in " ".join(message.output.split())

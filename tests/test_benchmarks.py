"""The benchmarks run, each on next to nothing and in a process of its own; what they measure is not looked at."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flawsight import demo

ROOT = Path(__file__).parents[1]


def run(name: str, *arguments: str | Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
    command = [sys.executable, ROOT / "benchmarks" / f"{name}.py", *arguments]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", env=environment, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows(text: str) -> list[list[str]]:
    """The cells of its Markdown tables, without the rules under their heads."""
    lines = [line.strip("|") for line in text.splitlines() if line.startswith("|") and "---" not in line]
    return [[cell.strip() for cell in line.split("|")] for line in lines]


def test_odd() -> None:
    found = rows(run("odd", "--draws", "2"))
    heads, laws = found[::8][:2], found[1:8]
    assert [heads[0][0], heads[1][0], found[16][0]] == ["odd", "broken", "found"]
    assert all(0 <= float(share) <= 100 for row in laws for share in row[1:])
    assert all(len(cell.split(", ")) == 3 for row in found[17:] for cell in row[1:])


def test_coreset() -> None:
    pytest.importorskip("torch", reason="needs torch, for the way of the paper's code")
    text = run("coreset", "--good", "1", "--rows", "400", "--dims", "8", "--compared", "20", "--rounds", "1")
    ways = ["flawsight", "naive, in place", "one pass and concatenation a pick"]
    assert [row[0] for row in rows(text)] == ["way", *ways] * 2
    assert "784 rows × 8, 78 picks" in text
    assert text.count("Picks equal to the naive ones: 20 of the first 20") == 2


def test_neighbours() -> None:
    pytest.importorskip("faiss", reason="needs faiss, to compare with")
    text = run("neighbours", "--rounds", "1", "--good", "2", "--rows", "300", "--wide-rows", "300")
    ways = ["flawsight", "faiss IndexFlatL2", "blocks of numpy, distances only"]
    assert [row[0] for row in rows(text)] == ["way", *ways] * 3
    assert "7056 of 7056 nearest rows are the same" in text


def test_jpeg() -> None:
    text = run("jpeg", "--good", "4", "--size", "128", "--rounds", "1")
    assert [row[0] for row in rows(text)] == ["way", "whole", "halved"]
    assert "the score by" in text


def test_mutations() -> None:
    table = rows(run("mutations", "--count", "200"))
    read = [sum(int(row[k]) for row in table[1:-1]) for k in range(1, 5)]
    assert [int(count) for count in table[-1][1:]] == read
    assert sum(read) == 200
    assert read[3] == 0


def test_kernels(plate: Path) -> None:
    judged = rows(run("kernels", plate, "--train", "4", "--test", "4", "--size", "64", "--ways", "2"))
    assert judged[1:] == [[way, "0", "0", "0 of 4", "0", "0", "0", "0 of 4"] for way in ("this machine's own", "the same, again")]


def test_the_makefile_runs_tests_under_the_kernels_that_are_compared() -> None:
    spec = importlib.util.spec_from_file_location("kernels", ROOT / "benchmarks" / "kernels.py")
    assert spec
    assert spec.loader
    module: Any = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        patch.setitem(sys.modules, "kernels", module)  # dataclasses look it up
        spec.loader.exec_module(module)
    lines = dict(line.split(" =", 1) for line in (ROOT / "Makefile").read_text("utf-8").splitlines() if " =" in line)
    assert lines["KERNELS"].split() == list(module.KERNELS)
    for name, kernels in module.KERNELS.items():
        assert dict(one.split("=") for one in lines[name].split()) == kernels


def test_pixels() -> None:
    _, sort, bins, *loops = rows(run("pixels", "--pictures", "4", "--size", "64", "--timed", "1"))
    assert len(loops) == 2
    assert float(sort[-1]) == 0
    for one, other in zip(sort[4:6], bins[4:6], strict=True):
        assert abs(float(one) - float(other)) <= float(bins[-1]) + 1e-6


def test_accuracy_of_whole_pictures_alone(plate: Path) -> None:
    _, row = rows(run("accuracy", plate, "--only", "default", "--size", "64", "--no-masks"))
    assert 0 <= float(row[1]) <= 100
    assert row[2:4] == ["–", "–"]


@pytest.mark.parametrize("seeds", [0, 2])
def test_accuracy(plate: Path, seeds: int) -> None:
    heads, row = rows(run("accuracy", plate, "--only", "default", "--size", "64", "--seeds", str(seeds)))
    assert len(heads) == len(row)
    assert row[0] == "default"
    assert all(0 <= float(cell.partition(" ± ")[0]) <= 100 for cell in row[1:4])
    assert all((" ± " in cell) == (seeds > 1) for cell in row[1:4])
    assert row[4].endswith(" of 4")
    assert row[5].endswith(" of 6")


def test_bounded() -> None:
    heads, within, free = rows(run("bounded", "--pictures", "3", "--size", "96", "--memory", "3GB", "--free"))
    assert heads[:5] == ["pictures", "patches", "bank", "allowed", "peak"]
    assert (within[0], within[1], within[3], free[3]) == ("3", "432", "3GB", "free")
    for row in (within, free):
        assert row[8] == "1"
        assert float(row[9]) > 0
        assert float(row[10]) == 1


def test_footprint() -> None:
    text = run("footprint", "--rounds", "1")
    assert "Installed packages: " in text
    assert len(rows(text)) == 5
    assert all(float(seconds) > 0 for _, seconds in rows(text)[1:])


def test_held_out(plate: Path) -> None:
    text = run("held_out", plate / "train/good", "--pictures", "2")
    assert text.startswith("8 good pictures, 2 refitted without")


def test_light(plate: Path) -> None:
    text = run("light", plate, "--methods", "mahalanobis_ad,padim", "--size", "128")
    assert text.startswith("light of good, learned from: ")
    assert "(8 pictures)" in text.splitlines()[0]
    found = rows(text[text.index("|") :])
    assert [row[0] for row in found[1:]] == ["mahalanobis_ad", "padim"]
    assert all(0 <= float(share) <= 100 for row in found[1:] for share in row[1:])


def test_progress(plate: Path) -> None:
    pytest.importorskip("torch", reason="needs torch, to train")
    text = run("progress", plate, "--rows", "dsebm,ganomaly", "--steps", "2")
    _, *found = rows(text)
    assert [row[0] for row in found] == ["dsebm", "ganomaly"]
    for row in found:
        assert len(row) == 7
        assert all(float(cell) >= 0 for cell in row[1:])


def test_budgets(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs torch, to train")
    few = ["--learned", "0,31", "--good", "4", "--side", "96", "--shown", "1", "--steps", "2"]
    few += ["--judged-good", "6", "--judged-of-a-kind", "1"]
    arguments = [tmp_path, "--rows", "dsebm,cavga_rw", "--seeds", "0,1", "--judged", "0,44", *few]
    text = run("budgets", *arguments)
    assert text.count(" good plates; fits ") == 2
    heads, *found = rows(text)
    assert heads == ["plates of seed", "training seed 0", "training seed 1", "mean"]
    assert [row[0] for row in found] == ["0", "44", heads[0], "0", "44"]
    assert [len(row[1].split(", ")) for row in found] == [1, 1, 1, 2, 2]  # CAVGA-R_w says where, too
    again = run("budgets", *arguments, "--twins")
    assert again.count("; fits that were there") == 2
    beside = rows(again)
    assert [row for row in beside if "," not in row[0]] == rows(text)
    assert [row[0] for row in beside[1:4]] == ["0", "0, without the defects", "0, raised by the defects"]
    assert not beside[3][1].endswith(" 0.00")  # other pictures were judged
    assert all(cell.partition(" %, ")[0].isdigit() for cell in beside[3][1:3])
    (tmp_path / "dsebm-2-of-8-1.flaw").write_bytes((tmp_path / "dsebm-2-of-8-0.flaw").read_bytes())
    with pytest.raises(AssertionError, match=r"dsebm-2-of-8-1\.flaw: it was fitted with other options"):
        run("budgets", *arguments)


# -- all of them into a document


@pytest.fixture(scope="module")
def runner() -> Any:
    spec = importlib.util.spec_from_file_location("benchmarks_run", ROOT / "benchmarks/run.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_line_names_a_benchmark(runner: Any) -> None:
    for name in runner.BENCHMARKS:
        assert (ROOT / "benchmarks" / f"{name}.py").is_file()


def test_what_stands_between_markers_is_replaced_and_nothing_else(runner: Any) -> None:
    document = "# Speed\n\nProse.\n\n<!-- a -->\nold\n| b |\n<!-- /a -->\n\nMore.\n<!-- b --><!-- /b -->\n"
    once = runner.replaced(document, "a", r"new \1")
    assert once == "# Speed\n\nProse.\n\n<!-- a -->\nnew \\1\n<!-- /a -->\n\nMore.\n<!-- b --><!-- /b -->\n"
    assert runner.replaced(once, "a", r"new \1") == once
    assert runner.replaced(once, "b", "x").endswith("More.\n<!-- b -->\nx\n<!-- /b -->\n")


def test_markers_that_are_not_there_are_added(runner: Any) -> None:
    assert runner.replaced("Prose.\n", "a", "x") == "Prose.\n\n<!-- a -->\nx\n<!-- /a -->\n"
    assert runner.replaced("", "a", "x") == "<!-- a -->\nx\n<!-- /a -->\n"


@pytest.mark.parametrize(
    "text", ["<!-- a -->", "<!-- /a -->", "<!-- /a --><!-- a -->", "<!-- a --><!-- /a --><!-- a --><!-- /a -->"]
)
def test_markers_that_do_not_pair_are_refused(runner: Any, text: str) -> None:
    with pytest.raises(SystemExit, match=r"run: one <!-- a --> and after it one <!-- /a --> were needed"):
        runner.replaced(text, "a", "x")


def test_it_writes_into_a_document(runner: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "speed.md"
    path.write_text("Prose.\n<!-- footprint -->\nold\n<!-- /footprint -->\nEnd.\n", "utf-8")
    monkeypatch.setitem(runner.BENCHMARKS, "footprint", "--rounds 1")
    monkeypatch.setattr(sys, "argv", ["run.py", "footprint", "--write", str(path)])
    runner.main()
    text = path.read_text("utf-8")
    assert text.startswith("Prose.\n<!-- footprint -->\n")
    assert text.endswith("|\n<!-- /footprint -->\nEnd.\n")
    assert "import flawsight" in text
    assert "old" not in text


def test_an_unknown_name_is_refused(runner: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["run.py", "corset"])
    with pytest.raises(SystemExit):
        runner.main()
    assert "there is no corset; there are coreset, neighbours, " in capsys.readouterr().err


def test_bfloat16(plate: Path) -> None:
    openvino = pytest.importorskip("openvino", reason="needs openvino, the runtime that is measured")
    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this processor has no instructions for bfloat16")
    text = run("bfloat16", plate, "--size", "64", "--rounds", "1")
    assert [row[0] for row in rows(text)] == [
        *("way", "float32", "scored in bfloat16", "fitted in bfloat16 too"),
        *("way", "float32", "scored in bfloat16"),
    ]
    assert [row[-1] for row in rows(text)][1] == "0.00"


def test_coverage(tmp_path: Path) -> None:
    demo.write(tmp_path / "sets", n_good=8, n_test_good=4, n_per_kind=1, size=192)
    text = run("coverage", tmp_path / "sets", "--splits", "2", "--size", "64")
    _, row = rows(text)
    assert row[:3] == ["plate", "8", "8"]
    assert row[5].endswith("of 2")
    assert row[-1].startswith("8 of 8, 31.2: ")


def test_coverage_counts_a_promise_as_broken_only_where_chance_does_not_explain_it() -> None:
    spec = importlib.util.spec_from_file_location("coverage_benchmark", ROOT / "benchmarks" / "coverage.py")
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    assert not module.is_broken(0, 60, 0.05)
    assert not module.is_broken(6, 60, 0.05)  # 8 % of the time 6 or more
    assert module.is_broken(7, 60, 0.05)
    assert not module.is_broken(60, 60, 1.0)


def test_alike(tmp_path: Path) -> None:
    demo.write(tmp_path / "sets", n_good=8, n_test_good=4, n_per_kind=1, size=192)
    _, row = rows(run("alike", tmp_path / "sets", "--copies", "2"))
    assert row[:3] == ["plate", "8", "8"]
    assert [cell.split(" of ")[1] for cell in row[3:-1]] == ["2"] * 7


def test_regret(plate: Path, tmp_path: Path) -> None:
    out = tmp_path / "lines.jsonl"
    arguments = (plate.parent, "--sets", plate.name, "--settings", "default;paper", "--draws", "1", "--good", "6", "--out", out)
    first = run("regret", *arguments)
    names = [row[0] for row in rows(first)]
    assert names.count("default") == names.count("paper") == 6  # five metrics, and verdicts
    assert len(out.read_text("utf8").splitlines()) == 2
    assert run("regret", *arguments) == first  # nothing is measured again
    assert run("regret", "--show", out) == first


def test_what_leaving_one_set_out_chooses() -> None:
    spec = importlib.util.spec_from_file_location("regret", ROOT / "benchmarks" / "regret.py")
    assert spec is not None
    assert spec.loader is not None
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))
    values = {"steady": {"a": 80.0, "b": 80.0, "c": 80.0}, "lucky": {"a": 104.0, "b": 70.0, "c": 60.0}}
    # On b and c steady is better in the mean; on a and c, and on a and b, lucky is: 82 and 87 beside 80.
    assert module.left_out(values, ["a", "b", "c"]) == {"a": ("steady", 80.0), "b": ("lucky", 70.0), "c": ("lucky", 60.0)}


def test_choosing(plate: Path) -> None:
    text = run("choosing", plate.parent, "--sets", plate.name, "--good", "6", "--held", "2")
    table = rows(text)
    assert table[0][0] == "set"
    assert [row[0] for row in table[1:]] == [plate.name, "mean"]
    assert float(table[1][6]) in (0.0, 0.25, 0.5, 0.75, 1.0)


def test_speed(plate: Path) -> None:
    text = run("speed", plate / "train/good", "--pictures", "4", "--rounds", "1")
    assert [row[0] for row in rows(text)] == ["way", "default", "default before"] * 2
    assert "A fit on 4 pictures" in text

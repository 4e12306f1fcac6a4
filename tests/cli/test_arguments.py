"""Arguments that cannot be right: what the message says was meant."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from flawsight import cli
from flawsight.model import Model

VERBS = [
    "fit",
    "score",
    "evaluate",
    "info",
    "threshold",
    "bench",
    "demo",
    "tables",
    "list",
    "backbones pull",
    "backbones import",
    "backbones export",
    "backbones list",
    "backbones verify",
    "datasets verify",
]


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli.app, [str(one) for one in arguments], catch_exceptions=False, env={"COLUMNS": "200"})


@pytest.fixture(scope="module")
def folder(model: Model, plate: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds a model file."""
    made = tmp_path_factory.mktemp("arguments")
    model.save(made / "part.flaw")
    return made


def refusal(*arguments: str | Path) -> str:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    return result.stderr


def test_pictures_before_the_model(folder: Path, plate: Path) -> None:
    file, good = folder / "part.flaw", plate / "test/good"
    for pictures in ([good], sorted(good.iterdir()), [good, plate / "test"]):
        meant = f"Did you mean: flawsight score {file} {' '.join(map(str, pictures))}\n"
        assert refusal("score", *pictures, file).endswith(meant)
    assert "expected the model first" in refusal("bench", good, file)


@pytest.mark.parametrize("verb", ["score", "info", "threshold", "bench"])
def test_a_folder_in_place_of_a_model(folder: Path, tmp_path: Path, plate: Path, verb: str) -> None:
    more = [plate / "test"] if verb == "score" else []
    assert f"got the folder {folder}. Did you mean {folder / 'part.flaw'}?" in refusal(verb, folder, *more)
    assert "Make a model with `flawsight fit` first" in refusal(verb, tmp_path, *more)


def test_a_folder_for_evaluates_model(folder: Path, plate: Path) -> None:
    assert f"Did you mean {folder / 'part.flaw'}?" in refusal("evaluate", plate, "--model", folder)


def test_many_files_for_one_folder(plate: Path) -> None:
    good = plate / "train/good"
    message = refusal("fit", *sorted(good.iterdir()), "--size", "64")
    assert message.startswith("error: fit: expected one folder, got 8 paths (")
    assert message.endswith(f"Name the folder instead: flawsight fit {good}\n")
    assert f"Name the folder instead: flawsight evaluate {plate / 'test'}" in refusal("evaluate", *(plate / "test").iterdir())


def test_a_file_for_a_folder(folder: Path, plate: Path) -> None:
    good = plate / "train/good"
    assert f"Name its folder: flawsight fit {good}\n" in refusal("fit", good / "000.png")
    assert "its model is named with -o" in refusal("fit", folder / "part.flaw")
    assert f"the model with --model {folder / 'part.flaw'}" in refusal("evaluate", folder / "part.flaw")


def test_a_result_replaces_nothing_but_its_like(folder: Path, plate: Path, tmp_path: Path) -> None:
    model, good = folder / "part.flaw", plate / "train/good"
    picture, page, facts = tmp_path / "a.png", tmp_path / "a.html", tmp_path / "a.json"
    picture.write_bytes((good / "000.png").read_bytes())
    page.write_text("<html>")
    facts.write_text("{}")
    before = {path: path.read_bytes() for path in (model, picture, page, facts)}
    for call, path in (
        (("info", model, "--json", model), model),
        (("info", model, "--json", picture), picture),
        (("score", model, good, "--json", model), model),
        (("fit", good, "-o", tmp_path / "x", "--report", model), model),
        (("fit", good, "-o", tmp_path / "x", "--report", facts), facts),
        (("evaluate", plate, "--report", picture), picture),
        (("threshold", model, "--value", "1", "-o", picture), picture),
        (("threshold", model, "--value", "1", "-o", page), page),
        (("backbones", "export", "efficientnet_lite0", "-o", picture), picture),
    ):
        told = refusal(*call)
        assert f"{path}: expected no file or " in told
        assert "got a file of another kind" in told
    assert {path: path.read_bytes() for path in before} == before
    assert run("info", model, "--json", facts).exit_code == 0


def test_two_results_in_one_file_are_refused(plate: Path, tmp_path: Path) -> None:
    x, again = tmp_path / "x", tmp_path / ".." / tmp_path.name / "x"
    for call in (
        ("fit", plate / "train/good", "-o", x, "--report", again),
        ("fit", plate / "train/good", "-o", x, "--json", again),
        ("evaluate", plate, "--save", x, "--report", x),
    ):
        assert "expected a file for each result, got it twice" in refusal(*call)
    assert not x.exists()


def test_unknown_options_are_named(plate: Path) -> None:
    assert "--sizes" in refusal("fit", plate / "train/good", "--sizes", "64")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(verb: str) -> None:
    short, long = run(*verb.split(), "-h"), run(*verb.split(), "--help")
    assert short.exit_code == 0
    assert short.stdout == long.stdout
    example = re.search(rf"Example: (flawsight {verb}.*)", short.stdout)
    assert example


@pytest.mark.parametrize("verb", ["fit", "score", "threshold", "tables", "backbones export"])
def test_out_has_a_short_form(verb: str) -> None:
    assert re.search(r"--out +-o\b", run(*verb.split(), "-h").stdout)


def test_options_of_a_fit_stand_under_headings() -> None:
    text = run("fit", "-h").stdout
    places = [text.index(heading) for heading in ("─ Options", "─ Threshold", "─ Method and network", "─ Methods that learn by")]
    assert places == sorted(places)
    assert text.index("--group-by") > places[1]
    assert places[2] < text.index("--backbone") < places[3] < text.index("--checkpoints")


def test_the_demo_prints_a_command_that_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for called, program in (
        ("flawsight", "flawsight"),
        (".venv/bin/flawsight", ".venv/bin/flawsight"),
        ("/some where/bin/flawsight", "'/some where/bin/flawsight'"),
        ("/usr/lib/flawsight/__main__.py", "python -m flawsight"),
    ):
        monkeypatch.setattr("sys.argv", [called])
        monkeypatch.setattr("os.get_exec_path", lambda env=None: ["/bin"])
        assert cli._program() == program
    monkeypatch.setattr("sys.argv", ["/bin/flawsight"])
    assert cli._program() == "flawsight"

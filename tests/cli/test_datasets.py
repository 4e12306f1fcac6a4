"""`flawsight datasets verify`: what it prints, writes and exits with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from flawsight import cli


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli.app, ["datasets", *map(str, arguments)], catch_exceptions=False, env={"COLUMNS": "200"})


@pytest.fixture
def copy(plate: Path, tmp_path: Path) -> Path:
    """The drawn set, to be spoilt; with the name of a published category its figures are not those published."""
    return Path(shutil.copytree(plate, tmp_path / "plate"))


def test_a_whole_set(copy: Path, tmp_path: Path) -> None:
    result = run("verify", copy, "--json", tmp_path / "found.json")
    assert result.exit_code == 0
    assert "plate" in result.stdout
    assert "chip 1, dent 1" in result.stdout
    assert "Whole.\n" in result.stdout
    assert "CC BY-NC-SA" not in result.stdout  # these pictures are not the publisher's
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert (found["layout"], found["problems"]) == ("mvtec", [])
    assert found["categories"][0]["counts"]["train"] == 8


def test_what_is_wrong_is_listed_and_the_exit_status_is_1(copy: Path) -> None:
    wood = copy.rename(copy.parent / "wood")
    (wood / "test/dent/000.png").write_bytes(b"")
    result = run("verify", wood)
    assert result.exit_code == 1
    assert "wrong: wood: train: 8 pictures; 247 were published" in result.stdout
    assert "wrong: wood: dent: 1 pictures of a kind that was not published" in result.stdout
    assert "test/dent/000.png: the file is empty" in result.stdout.replace("\n", "")
    assert "Not whole: " in result.stdout


def test_many_problems_are_counted_and_json_has_them_all(copy: Path) -> None:
    for i in range(30):
        (copy / f"train/good/x{i}.png").touch()
    result = run("verify", copy)
    assert "… and 10 more." in result.stdout
    assert "Not whole: 30 problems." in result.stdout
    assert len(json.loads(run("verify", copy, "--json", "-").stdout)["problems"]) == 30


def test_wrong_calls_are_told(copy: Path, tmp_path: Path) -> None:
    for arguments, status, message in (
        ((copy, "--layout", "visaa"), 2, "Did you mean visa?"),
        ((copy, "--category", "x"), 2, "there is no 'x'"),
        ((tmp_path / "none",), 1, "a folder was needed; there is none"),
        ((copy, "--json", tmp_path / "no/folder.json"), 2, "no"),
    ):
        result = run("verify", *arguments)
        assert (result.exit_code, message in result.stderr) == (status, True), result.stderr
    assert run().exit_code == 2
    assert "verify" in run("--help").stdout

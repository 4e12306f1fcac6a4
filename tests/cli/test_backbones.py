"""The `backbones` verbs, and --weights of others: what they print, write, refuse, and exit with."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from flawsight import cli
from flawsight.backbones import BACKBONES, BackboneCard, cards, get_card
from flawsight.model import load

NOTE = "random weights: not a reproduction"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder."""
    monkeypatch.setenv("FLAWSIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "cache"


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that the table takes for resnet18's weights; no network is in it."""
    file = tmp_path / "downloaded.pth"
    file.write_bytes(b"weights")
    row = {**vars(get_card("resnet18")), "sha256": hashlib.sha256(b"weights").hexdigest()[:8]}
    monkeypatch.setitem(cards.BACKBONES, "resnet18", BackboneCard(**row))
    return file


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli.app, [str(one) for one in arguments])


def test_list_names_every_network_and_its_file(folder: Path, weights: Path) -> None:
    run("backbones", "import", "resnet18", weights)
    lines = {line.split()[0]: line for line in run("backbones", "list").stdout.splitlines()}
    for name, card in BACKBONES.items():
        assert card.file in lines[name]
        assert card.sha256[:8] in lines[name]
    assert " embedded;" in lines["efficientnet_lite0"]
    assert " here;" in lines["resnet18"]
    assert " not here;" in lines["resnet50"]


def test_import_then_verify(folder: Path, weights: Path) -> None:
    assert run("backbones", "verify").stdout.count("whole, sha256") == 4  # those in the package alone
    result = run("backbones", "import", "resnet18", weights)
    kept = folder / "weights" / "resnet18-f37072fd.pth"
    assert (result.exit_code, kept.read_bytes()) == (0, b"weights")
    assert run("backbones", "verify").stdout.count("whole, sha256") == 5
    kept.write_bytes(b"Weights")
    for asked in ([], ["resnet18"]):
        result = run("backbones", "verify", *asked)
        assert result.exit_code == 1
        assert "Fetch it again" in result.stdout


def test_what_is_not_here_is_told_with_the_way(weights: Path, tmp_path: Path) -> None:
    result = run("backbones", "verify", "resnet50")
    assert result.exit_code == 1
    result = run("backbones", "export", "resnet50", "-o", tmp_path / "r.onnx")
    assert result.exit_code == 1
    assert "flawsight backbones import resnet50 resnet50-0676ba61.pth" in result.stderr
    result = run("backbones", "import", "resnet50", weights)
    assert result.exit_code == 1
    assert "sha256 0676ba61… was needed; this one has" in result.stderr
    assert not (tmp_path / "r.onnx").exists()


@pytest.mark.parametrize("verb", ["pull", "export", "import", "verify"])
def test_an_unknown_network_is_answered_with_the_nearest(verb: str, weights: Path) -> None:
    result = run("backbones", verb, "resnet19", *([weights] if verb == "import" else []))
    assert result.exit_code == 2
    assert "there is no 'resnet19'. Did you mean resnet18" in result.stderr


def test_pull_of_an_embedded_network_is_refused() -> None:
    result = run("backbones", "pull", "efficientnet_lite2")
    assert result.exit_code == 2
    assert "come with flawsight" in result.stderr


def test_export_writes_what_weights_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("backbones", "export", "efficientnet_lite0")
    assert result.exit_code == 0
    assert "Wrote efficientnet_lite0.onnx: levels stage2, stage3, stage4, stage5; PyPI" in result.stdout
    assert Path("efficientnet_lite0.onnx").read_bytes() == get_card("efficientnet_lite0").onnx()
    result = run("backbones", "export", "efficientnet_lite0", "--weights", "random", "-o", tmp_path / "r.onnx")
    assert NOTE in result.stdout
    assert run("backbones", "export", "efficientnet_lite0", "--levels", "stage9").exit_code == 2
    result = run("backbones", "export", "efficientnet_lite0", "--primed", "224")
    assert (result.exit_code, "cannot be primed" in result.stderr) == (2, True)
    assert run("backbones", "export", "efficientnet_lite0", "-o", tmp_path / "none" / "r.onnx").exit_code == 2


def test_random_weights_say_so_everywhere(plate: Path, tmp_path: Path) -> None:
    model, report, message = tmp_path / "r.flaw", tmp_path / "report.html", tmp_path / "r.json"
    result = run("evaluate", plate, "--size", 128, "--weights", "random", "--save", model, "--report", report, "--json", message)
    assert result.exit_code == 0
    assert result.stdout.count(NOTE) == 1
    assert NOTE in report.read_text(encoding="utf-8")
    facts = json.loads(message.read_text(encoding="utf-8"))
    assert facts["notes"].count(NOTE) == 1
    assert facts["settings"]["weights"] == "random"
    loaded = load(model)
    assert loaded.info()["weights"] == NOTE
    assert NOTE in loaded.training.notes
    assert loaded.backbone.origin.sha256 == hashlib.sha256(loaded.backbone.data).hexdigest() == facts["settings"]["weights_sha256"]
    for command in (["info", model], ["evaluate", plate, "--model", model], ["score", model, plate / "test" / "good"]):
        assert NOTE in run(*command).output
    result = run("fit", plate / "train" / "good", "--size", 128, "--weights", "random", "-o", tmp_path / "f.flaw")
    assert NOTE in result.stdout
    assert load(tmp_path / "f.flaw").backbone.origin.weights == "random"


def test_weights_from_a_file_are_told(plate: Path, tmp_path: Path) -> None:
    file = tmp_path / "own.onnx"
    file.write_bytes(get_card("efficientnet_lite0").onnx())
    model = tmp_path / "own.flaw"
    assert (
        run("fit", plate / "train" / "good", "--method", "patchcore", "--size", 128, "--weights", file, "-o", model).exit_code == 0
    )
    assert load(model).info()["weights"].startswith("the file own.onnx (sha256 7ff85a8e67ef")
    result = run("fit", plate / "train" / "good", "--method", "patchcore", "--weights", tmp_path / "none.pth")
    assert result.exit_code == 2
    assert "none.pth: a file with weights of efficientnet_lite0 was needed; there is none" in result.stderr


def test_a_model_is_judged_with_its_own_weights(plate: Path, tmp_path: Path) -> None:
    result = run("evaluate", plate, "--model", tmp_path / "any.flaw", "--weights", "random")
    assert result.exit_code == 2
    assert "options of a new fit came too" in result.stderr

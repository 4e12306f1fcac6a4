"""How fast a model is: what is measured is whole and adds up, and what cannot be measured is told. No figure is a limit here."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from flawsight import bench, cli
from flawsight.backbones.onnx import OPENVINO_BF16, RUNTIMES
from flawsight.bench import BenchResult, measuring
from flawsight.bench.speeds import STAGES
from flawsight.cli.console import show_bench
from flawsight.errors import DataError, ModelFileError, PictureError, UsageError
from flawsight.model import Model
from flawsight.types import Float

SHORT = 0.3  # seconds to measure for


@pytest.fixture(scope="module")
def model_file(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bench") / "part.flaw"
    model.save(path)
    return path


@pytest.fixture(scope="module")
def result(model_file: Path) -> BenchResult:
    return bench.bench(model_file, seconds=SHORT)


@pytest.fixture
def no_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)  # importing it then raises ImportError


class Network:
    """Moves a clock on by so many seconds; or by those of its parts, one after another."""

    device = "cpu"

    def __init__(self, clock: SimpleNamespace, seconds: float = 0.0, parts: Sequence[Network] = ()) -> None:
        self.clock, self.seconds, self.members = clock, seconds, list(parts) or [self]

    def features(self, images: Float) -> list[Float]:
        self.clock.now += self.seconds or sum(part.seconds for part in self.members)
        return [images]


def shown(result: BenchResult) -> str:
    out = io.StringIO()
    show_bench(Console(file=out, width=80), result)
    return out.getvalue()


def check(result: BenchResult) -> None:
    assert set(result.runtimes) | set(result.missing) == set(RUNTIMES)
    assert result.measured >= 2
    for speed in result.runtimes.values():
        assert list(speed.stages) == list(STAGES)
        for spread in (*speed.stages.values(), speed.total):
            assert 0 < spread.p50_ms <= spread.p95_ms
        assert speed.pictures_per_s > 0
    assert result.recommended in result.runtimes
    assert result.limit in STAGES


def test_without_pictures_one_is_drawn(result: BenchResult, model: Model) -> None:
    check(result)
    assert result.sizes == [(192, 192)]
    assert result.pictures == "a drawn one, as PNG and as JPEG"
    assert result.bank_rows == len(model.method.state()["bank"])
    assert result.bank_bytes == sum(array.nbytes for array in model.method.state().values())
    assert result.peak_rss_mb >= 0
    assert {"flawsight", "onnxruntime", "numpy"} <= set(result.versions)
    assert any("name pictures of the part" in note for note in result.notes)


def test_the_stages_are_most_of_the_whole(result: BenchResult) -> None:
    for speed in result.runtimes.values():
        parts = sum(spread.p50_ms for spread in speed.stages.values())
        assert parts < 5 * speed.total.p50_ms  # a busy machine stretches either; what must not be is a stage counted in seconds
        assert speed.total.p50_ms < 20 * parts


def test_both_runtimes_where_both_are_installed(result: BenchResult) -> None:
    pytest.importorskip("openvino")
    assert list(result.runtimes)[:2] == ["onnxruntime", "openvino"]
    assert set(result.missing) <= {OPENVINO_BF16}  # where the processor has no such numbers
    assert list(result.score_differences) == list(result.runtimes)[1:]
    assert 0 <= result.score_differences["openvino"] < 1e-3
    assert 0 < result.score_differences.get(OPENVINO_BF16, 1e-2) < 0.2
    assert "openvino" in result.versions
    assert "% of the threshold under openvino" in shown(result).replace("\n", " ")


@pytest.mark.usefixtures("no_openvino")
def test_without_openvino_it_is_told_how_to_get_it(model_file: Path) -> None:
    result = bench.bench(model_file, seconds=SHORT)
    check(result)
    assert list(result.runtimes) == ["onnxruntime"]
    assert "pip install 'flawsight[openvino]'" in result.missing["openvino"]
    assert result.score_differences == {}
    assert result.recommended == "onnxruntime"
    assert "flawsight[openvino]" in shown(result).replace("\n", "")


@pytest.mark.usefixtures("no_openvino")
def test_on_pictures_and_folders_of_them(model_file: Path, plate: Path) -> None:
    message: list[tuple[str, int, int]] = []
    pictures = [plate / "test/good", plate / "test/dent/000.png"]
    result = bench.bench(model_file, pictures, SHORT, progress=lambda *step: message.append(step))
    check(result)
    assert (result.pictures, result.sizes, result.notes) == ("5 of the 5 named", [(192, 192)], [])
    assert {what for what, *_ in message} == {"one at a time", "as a stream"}
    assert all(0 <= done <= total for _, done, total in message)


@pytest.mark.usefixtures("no_openvino")
def test_of_many_pictures_an_even_selection(model_file: Path, plate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "MOST", 3)
    result = bench.bench(model_file, [plate / "train/good"], SHORT)
    assert result.pictures == "3 of the 8 named"


@pytest.mark.usefixtures("no_openvino")
def test_pictures_of_another_size_are_told(model_file: Path, tmp_path: Path) -> None:
    import numpy as np

    from flawsight.images import image

    image.write(tmp_path / "x.png", np.zeros((80, 100, 3), np.uint8))
    result = bench.bench(model_file, [tmp_path], SHORT)
    assert result.sizes == [(100, 80)]
    assert result.notes == ["Pictures of 100×80 pixels are not of a size that the model learned from."]


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_a_wrong_time_is_refused(model_file: Path, seconds: float) -> None:
    with pytest.raises(UsageError, match="bench: seconds must be above 0"):
        bench.bench(model_file, seconds=seconds)


def test_what_cannot_be_used_is_told(model_file: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.flaw").write_bytes(b"text")
    (tmp_path / "bad.png").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelFileError, match=r"bad\.flaw"):
        bench.bench(tmp_path / "bad.flaw")
    with pytest.raises(PictureError, match=r"bad\.png: the file is empty"):
        bench.bench(model_file, [tmp_path / "bad.png"])
    with pytest.raises(DataError, match="no pictures in this folder"):
        bench.bench(model_file, [tmp_path / "empty"])


# -- the verb


@pytest.mark.usefixtures("no_openvino")
def test_the_verb(model_file: Path, plate: Path, tmp_path: Path) -> None:
    def run(*arguments: str | Path) -> tuple[int, str]:
        done = CliRunner().invoke(cli.app, ["bench", *map(str, arguments)], catch_exceptions=False)
        return done.exit_code, done.stdout

    status, text = run(model_file, plate / "test/good", "--seconds", str(SHORT), "--json", tmp_path / "x.json")
    assert status == 0
    for stage in (*STAGES, "one picture, whole", "pictures/s", "bank", "peak memory"):
        assert stage in text
    assert text.endswith(f"Wrote {tmp_path / 'x.json'}.\n")
    assert json.loads((tmp_path / "x.json").read_text("utf-8"))["pictures"] == "4 of the 4 named"
    status, text = run(model_file, "--seconds", str(SHORT), "--json", "-")
    assert status == 0
    content = json.loads(text)
    assert set(content["runtimes"]["onnxruntime"]["stages"]) == set(STAGES)
    assert content["sizes"] == [[192, 192]]
    assert run(model_file, "--seconds", "0") == (2, "")
    assert run(model_file, "--json", tmp_path / "nowhere/x.json") == (2, "")
    assert run(model_file, tmp_path / "gone.png") == (1, "")
    assert run(tmp_path / "gone.flaw") == (1, "")


def test_a_table_of_both(result: BenchResult) -> None:
    lines = shown(result).splitlines()
    assert max(map(len, lines[1:12])) <= 80
    assert any(line.startswith("│ network") for line in lines)
    for name in result.runtimes:
        assert name in lines[3]


def test_the_seconds_of_each_of_several_networks_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(measuring, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    image = np.zeros((1, 3, 8, 8), np.float32)
    several: Any = Network(clock, parts=[Network(clock, 1.0), Network(clock, 2.0)])
    counted = measuring._Clock(several)
    for member in counted.members:  # as an ensemble of PatchCores asks them
        member.features(image)
    assert counted.seconds == 3
    counted.features(image)  # as one PatchCore with levels of both does
    assert counted.seconds == 6

"""Which runtime is advised, and what is told of a stream: from figures made up here."""

from __future__ import annotations

import pytest

from flawsight.backbones.onnx import OPENVINO_BF16
from flawsight.bench import speeds
from flawsight.bench.speeds import STAGES, Speed, Spread, advice


def speed(total: float, **stages: float) -> Speed:
    return Speed({name: Spread(stages.get(name, 1), 9) for name in STAGES}, Spread(total, total), 1)


@pytest.mark.parametrize(
    ("openvino_ms", "recommended", "message"),
    [
        (94, "openvino", "openvino: a picture takes 94 % of the time that it takes under onnxruntime."),
        (96, "onnxruntime", "onnxruntime: nothing to install, and openvino takes 0.96 times as long."),
        (150, "onnxruntime", "onnxruntime: nothing to install, and openvino takes 1.50 times as long."),
    ],
)
def test_the_advice_is_the_faster_runtime_by_a_margin(openvino_ms: float, recommended: str, message: str) -> None:
    runtime, _, why = advice({"onnxruntime": speed(100), "openvino": speed(openvino_ms)}, {})
    assert (runtime, why[0]) == (recommended, message)


def test_a_runtime_that_moves_scores_is_told_of_and_not_advised() -> None:
    measured = {"onnxruntime": speed(100), "openvino": speed(150), OPENVINO_BF16: speed(50)}
    runtime, _, why = advice(measured, {"openvino": 1e-6, OPENVINO_BF16: 0.012})
    assert (runtime, why[0]) == ("onnxruntime", "onnxruntime: nothing to install, and openvino takes 1.50 times as long.")
    assert why[1].startswith("openvino-bf16: 50 % of that time, and scores moved by up to 1.2 % of the threshold.")
    assert len(advice(measured | {OPENVINO_BF16: speed(99)}, {})[2]) == 2  # nothing gained, nothing told


def test_the_limit_of_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speeds.os, "cpu_count", lambda: 2)
    assert advice({"onnxruntime": speed(100, network=70, compare=27)}, {})[1] == "network"
    message = advice({"onnxruntime": speed(100, compare=97)}, {})
    assert message[1] == "compare"
    assert message[2][1].startswith("Of the cores' work in a stream compare (feature maps to score and map) is ")
    assert advice({"onnxruntime": speed(100, read=50, compare=26)}, {})[1] == "compare"  # which uses both cores
    assert advice({"onnxruntime": speed(100, read=50, compare=24)}, {})[1] == "read"

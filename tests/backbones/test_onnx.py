"""Networks under their runtimes."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from flawsight.backbones import get_card
from flawsight.backbones.onnx import APPROXIMATE, OPENVINO_BF16, OnnxBackbone
from flawsight.errors import MissingExtra, ModelFileError, UnknownName, UsageError
from flawsight.types import Float

CARD = get_card("efficientnet_lite0")
RUNTIMES = ["onnxruntime", "openvino", OPENVINO_BF16]


def draw(n: int, high: int = 64, wide: int = 96) -> Float:
    return np.random.default_rng(n).uniform(-1, 1, (n, 3, high, wide)).astype(np.float32)


def skip_unless_there(runtime: str) -> None:
    if runtime.startswith("openvino"):
        openvino = pytest.importorskip("openvino")
        if runtime == OPENVINO_BF16 and "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            pytest.skip("this processor has no instructions for bfloat16")


def network(runtime: str = "onnxruntime", levels: tuple[str, ...] = CARD.default_levels) -> OnnxBackbone:
    skip_unless_there(runtime)
    return OnnxBackbone(CARD.onnx(), levels, runtime)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_levels_come_in_the_order_asked_for(runtime: str) -> None:
    images = draw(1)
    every = network(runtime, ("stage2", "stage3", "stage4", "stage5")).features(images)
    fine, coarse = network(runtime, ("stage3", "stage5")).features(images)
    np.testing.assert_array_equal(fine, every[1])
    np.testing.assert_array_equal(coarse, every[3])


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_picture_has_the_same_features_alone_and_in_a_batch(runtime: str) -> None:
    backbone, images = network(runtime), draw(5)
    together, backwards = backbone.features(images), backbone.features(images[::-1])
    for i in range(5):
        for level, a, b in zip(backbone.features(images[i : i + 1]), together, backwards, strict=True):
            np.testing.assert_array_equal(level[0], a[i])
            np.testing.assert_array_equal(level[0], b[4 - i])


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_threads_do_not_disturb_each_other(runtime: str) -> None:
    backbone = network(runtime)
    batches = [draw(1, 64, 64 + 16 * (i % 3)) * (1 + i) / 8 for i in range(8)]
    expected = [backbone.features(batch) for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(backbone.features, batches))
    for one, other in zip(found, expected, strict=True):
        for level, expected_level in zip(one, other, strict=True):
            np.testing.assert_array_equal(level, expected_level)


def test_bfloat16_is_near_float32_and_says_so() -> None:
    images = draw(2)
    found, expected = network(OPENVINO_BF16), network()
    for rough, exact in zip(found.features(images), expected.features(images), strict=True):
        assert rough.dtype == np.float32
        off = np.linalg.norm(rough - exact) / np.linalg.norm(exact)
        assert 1e-4 < off < 0.15
    assert (found.notes, expected.notes) == ([APPROXIMATE[OPENVINO_BF16]], [])


def test_bfloat16_is_refused_where_the_processor_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    openvino = pytest.importorskip("openvino")
    monkeypatch.setattr(openvino.Core, "get_property", lambda *_: ["FP32", "INT8"])
    with pytest.raises(UsageError, match=r"'openvino-bf16': this processor has no instructions for bfloat16 .* Choose openvino\."):
        OnnxBackbone(CARD.onnx(), CARD.default_levels, OPENVINO_BF16)


@pytest.mark.parametrize("hw", [(64, 64), (96, 128), (208, 80)])
def test_openvino_is_onnxruntime(hw: tuple[int, int]) -> None:
    levels, images = tuple(CARD.levels), draw(2, *hw)
    for found, expected in zip(
        network("openvino", levels).features(images), network("onnxruntime", levels).features(images), strict=True
    ):
        assert found.dtype == expected.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_features_stay_when_the_next_picture_comes() -> None:
    backbone = network()
    first = backbone.features(draw(1))
    kept = [level.copy() for level in first]
    backbone.features(-draw(1))
    for level, before in zip(first, kept, strict=True):
        np.testing.assert_array_equal(level, before)


def test_an_unknown_runtime_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"runtimes: there is no 'onnx-runtime'\. Did you mean onnxruntime"):
        OnnxBackbone(CARD.onnx(), CARD.default_levels, "onnx-runtime")


def test_a_missing_runtime_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)  # makes its import fail
    with pytest.raises(MissingExtra, match=r"runtime 'openvino': needs openvino.*pip install 'flawsight\[openvino\]'"):
        OnnxBackbone(CARD.onnx(), CARD.default_levels, "openvino")


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("data", [b"", b"no network", CARD.onnx()[:50_000]], ids=["empty", "text", "cut short"])
def test_what_is_no_network_is_refused(data: bytes, runtime: str) -> None:
    skip_unless_there(runtime)
    with pytest.raises(ModelFileError, match=f"{runtime.partition('-')[0]} cannot load the network"):
        OnnxBackbone(data, CARD.default_levels, runtime)

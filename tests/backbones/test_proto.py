"""ONNX files read from their bytes, against the onnx library, and networks with their weights drawn anew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flawsight.backbones import get_card, open_backbone, proto
from flawsight.backbones.onnx import OnnxBackbone
from flawsight.errors import ModelFileError, UnknownName, UsageError
from flawsight.types import Float

EMBEDDED = ["efficientnet_lite0", "efficientnet_lite2"]


def draw(high: int, wide: int) -> Float:
    return np.random.default_rng(high + wide).uniform(-1, 1, (1, 3, high, wide)).astype(np.float32)


@pytest.mark.parametrize("name", EMBEDDED)
def test_it_reads_what_the_onnx_library_reads(name: str) -> None:
    onnx = pytest.importorskip("onnx")
    data = get_card(name).onnx()
    graph, found = onnx.load_from_string(data).graph, proto.read(data)
    assert (found.input, found.outputs) == (graph.input[0].name, [output.name for output in graph.output])
    assert found.constants.keys() == {one.name for one in graph.initializer}
    for one in graph.initializer:
        np.testing.assert_array_equal(found.constants[one.name], onnx.numpy_helper.to_array(one))
    for node, expected in zip(found.nodes, graph.node, strict=True):
        assert (node.op, node.inputs, node.outputs) == (expected.op_type, tuple(expected.input), tuple(expected.output))
        for attribute in expected.attribute:
            value = onnx.helper.get_attribute_value(attribute)
            assert node.attributes[attribute.name] == (tuple(value) if isinstance(value, list) else value)


def test_it_reads_every_kind_of_attribute() -> None:
    onnx = pytest.importorskip("onnx")
    node = onnx.helper.make_node("Conv", ["x", "w"], ["y"], auto_pad="SAME_UPPER", alpha=0.5, axis=-3, pads=[0, -1, 300, 2**40])
    info = onnx.helper.make_tensor_value_info
    weight = onnx.numpy_helper.from_array(np.arange(6, dtype=np.int64).reshape(2, 3), "w")
    graph = onnx.helper.make_graph([node], "one", [info("x", 1, ["n"])], [info("y", 1, ["n"])], [weight])
    found = proto.read(onnx.helper.make_model(graph).SerializeToString())
    assert found.nodes[0].attributes == {"auto_pad": "SAME_UPPER", "alpha": 0.5, "axis": -3, "pads": (0, -1, 300, 2**40)}
    np.testing.assert_array_equal(found.constants["w"], [[0, 1, 2], [3, 4, 5]])


@pytest.mark.parametrize(
    "data", [b"", b"no network", get_card("efficientnet_lite0").onnx()[:50_000]], ids=["empty", "text", "cut short"]
)
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ModelFileError, match=f"these {len(data)} bytes are no network in an ONNX file"):
        proto.read(data)


@pytest.mark.parametrize("name", EMBEDDED)
def test_random_weights_keep_values_in_range(name: str) -> None:
    card = get_card(name)
    backbone = open_backbone(name, tuple(card.levels), weights="random")
    for images in (draw(96, 128), np.full((1, 3, 64, 64), 0.7, np.float32)):
        for found in backbone.features(images):
            assert 0.1 < np.sqrt(np.square(found).mean()) < 10


def test_random_weights_are_drawn_from_their_seed_and_say_so() -> None:
    data = get_card("efficientnet_lite0").onnx()
    assert proto.randomised(data, 0) == proto.randomised(data, 0) == open_backbone("efficientnet_lite0", weights="random").data
    assert proto.randomised(data, 1) != proto.randomised(data, 0)
    origin = open_backbone("efficientnet_lite0", weights="random").origin
    assert (origin.weights, origin.message) == ("random", "random weights: not a reproduction")
    assert origin.notes == [origin.message]
    assert get_card("efficientnet_lite0").sha256[:12] in open_backbone("efficientnet_lite0").origin.message


def test_an_onnx_file_serves_as_weights(tmp_path: Path) -> None:
    file = tmp_path / "mine.onnx"
    file.write_bytes(proto.randomised(get_card("efficientnet_lite0").onnx(), 7))
    backbone = open_backbone("efficientnet_lite0", ("stage3",), weights=str(file))
    assert (backbone.origin.weights, backbone.origin.source) == ("file", "the file mine.onnx")
    expected = OnnxBackbone(file.read_bytes(), ("stage3",)).features(draw(64, 64))
    np.testing.assert_array_equal(backbone.features(draw(64, 64))[0], expected[0])
    with pytest.raises(UnknownName, match=r"mine\.onnx: its levels: there is no 'layer1'"):
        open_backbone("resnet18", ("layer1",), weights=str(file))


@pytest.mark.parametrize(
    ("name", "came"), [("none.onnx", "there is none. To draw them at random, say 'random'"), (".", "this is a folder")]
)
def test_weights_in_no_file_are_refused(name: str, came: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"a file with weights of efficientnet_lite0 was needed; {came}"):
        open_backbone("efficientnet_lite0", weights=str(tmp_path / name))

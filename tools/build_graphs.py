"""Build the small graphs that run beside the network: products with the bank and the coreset, and the resampling of maps; and the
network `pixels`, which is none.

    pip install onnx
    python tools/build_graphs.py

One runtime then does all the heavy arithmetic, and no second library's threads wait on the cores that it needs.
The result is the same bytes on every run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

GROUP = 256  # rows; as in flawsight/search/sketches.py
MORE = 1e-5  # of squared lengths: far above what float32 loses of them
OPSET, IR_VERSION = 17, 8  # old enough for every runtime of the last four years
OWN_DOMAIN = "com.microsoft"  # of onnxruntime's own operators

Sizes = dict[str, list[str | int]]


def block_maxima() -> onnx.ModelProto:
    """queries uint8 [Q,D], zero the byte that stands for 0 in them, rows int8 [B,D,N], N a multiple of GROUP, scale, bias [B,N] →
    the maximum of scale · (q − zero)·b + bias over each group of rows: [B,Q,N/GROUP]. The product is onnxruntime's own, of bytes;
    one block's lies in memory at a time, and the threads that share them all are called once.
    """
    product = ["queries", "block", "one", "block_scale", "zero", "", "block_bias"]
    nodes = [
        helper.make_node("MatMulIntegerToFloat", product, ["closeness"], domain=OWN_DOMAIN),
        helper.make_node("Reshape", ["closeness", "groups"], ["grouped"]),
        helper.make_node("ReduceMax", ["grouped"], ["block_maxima"], axes=[2], keepdims=0),
    ]
    block = helper.make_tensor_value_info("block", TensorProto.INT8, ["D", "N"])
    block_bias = helper.make_tensor_value_info("block_bias", TensorProto.FLOAT, ["N"])
    block_maxima = helper.make_tensor_value_info("block_maxima", TensorProto.FLOAT, ["Q", "G"])
    block_scale = helper.make_tensor_value_info("block_scale", TensorProto.FLOAT, ["N"])
    each = helper.make_graph(nodes, "each", [block, block_scale, block_bias], [block_maxima])
    scan = helper.make_node("Scan", ["rows", "scale", "bias"], ["maxima"], body=each, num_scan_inputs=3)
    inputs: Sizes = {"queries": ["Q", "D"], "zero": [], "scale": ["B", "N"], "rows": ["B", "D", "N"], "bias": ["B", "N"]}
    kinds = {"queries": TensorProto.UINT8, "zero": TensorProto.UINT8, "rows": TensorProto.INT8}
    constants = [
        numpy_helper.from_array(np.array([0, -1, GROUP], np.int64), "groups"),
        numpy_helper.from_array(np.array(1, np.float32), "one"),
    ]
    maxima = helper.make_tensor_value_info("maxima", TensorProto.FLOAT, ["B", "Q", "G"])
    return model("block_maxima", [scan], inputs, [maxima], constants, kinds, [OWN_DOMAIN])


def sketches() -> onnx.ModelProto:
    """vectors [N,D], axes [D,d] orthonormal → coordinates along the axes, and the length of what they leave: [N,d+1].

    That length is told by Pythagoras, a product less than the rest itself takes; MORE makes up for what rounding may take off.
    """
    nodes = [
        helper.make_node("MatMul", ["vectors", "axes"], ["along"]),
        helper.make_node("ReduceSumSquare", ["vectors"], ["whole"], axes=[1], keepdims=1),
        helper.make_node("ReduceSumSquare", ["along"], ["covered"], axes=[1], keepdims=1),
        helper.make_node("Mul", ["whole", "more"], ["above"]),
        helper.make_node("Sub", ["above", "covered"], ["difference"]),
        helper.make_node("Relu", ["difference"], ["rest"]),
        helper.make_node("Sqrt", ["rest"], ["length"]),
        helper.make_node("Concat", ["along", "length"], ["sketches"], axis=1),
    ]
    inputs: Sizes = {"vectors": ["N", "D"], "axes": ["D", "d"]}
    found = helper.make_tensor_value_info("sketches", TensorProto.FLOAT, ["N", "S"])
    return model("sketches", nodes, inputs, [found], [numpy_helper.from_array(np.array(1 + MORE, np.float32), "more")])


def closest() -> onnx.ModelProto:
    """The same inputs, any N → the row at which q·b + bias is largest, the first of equals, int64 [Q]; and that maximum, [Q]."""
    nodes = [
        helper.make_node("Gemm", ["queries", "rows", "bias"], ["closeness"], transB=1),
        helper.make_node("ArgMax", ["closeness"], ["index"], axis=1, keepdims=0),
        helper.make_node("ReduceMax", ["closeness"], ["maximum"], axes=[1], keepdims=0),
    ]
    inputs: Sizes = {"queries": ["Q", "D"], "rows": ["N", "D"], "bias": ["N"]}
    index = helper.make_tensor_value_info("index", TensorProto.INT64, ["Q"])
    return model("closest", nodes, inputs, [index, helper.make_tensor_value_info("maximum", TensorProto.FLOAT, ["Q"])])


def closest_in_groups() -> onnx.ModelProto:
    """Groups of rows [G,N,D], bias [G,N], and pairs of a group and a query, each group's from its start to its end, int64 [G,1];
    queries [Q,D], members the pairs' queries, int64 [P] → of each pair the group's row at which q·b + bias is largest, the first of
    equals, int64 [P]; and that maximum, [P].

    One call for all groups: a call of `closest` for each costs as much again as its product, and holds Python's lock meanwhile.
    """
    node = helper.make_node
    nodes = [
        node("Slice", ["members", "start", "end", "zero"], ["chosen"]),
        node("Gather", ["queries", "chosen"], ["asked"], axis=0),
        node("Gemm", ["asked", "group", "group_bias"], ["closeness"], transB=1),
        node("ArgMax", ["closeness"], ["row"], axis=1, keepdims=0),
        node("ReduceMax", ["closeness"], ["highest"], axes=[1], keepdims=0),
        node("Squeeze", ["start"], ["from"]),
        node("Squeeze", ["end"], ["to"]),
        node("Range", ["from", "to", "one"], ["places"]),
        node("ScatterElements", ["rows_before", "places", "row"], ["rows_after"], axis=0),
        node("ScatterElements", ["maxima_before", "places", "highest"], ["maxima_after"], axis=0),
    ]
    integer, real = (partial(helper.make_tensor_value_info, elem_type=kind) for kind in (TensorProto.INT64, TensorProto.FLOAT))
    before = [integer("rows_before", shape=["P"]), real("maxima_before", shape=["P"])]
    scanned = [
        real("group", shape=["N", "D"]),
        real("group_bias", shape=["N"]),
        integer("start", shape=[1]),
        integer("end", shape=[1]),
    ]
    after = [integer("rows_after", shape=["P"]), real("maxima_after", shape=["P"])]
    each = helper.make_graph(nodes, "each", [*before, *scanned], after)
    nothing = helper.make_tensor("nothing", TensorProto.INT64, [1], [0])
    outer = [
        node("Shape", ["members"], ["pairs"]),
        node("ConstantOfShape", ["pairs"], ["no_rows"], value=nothing),
        node("ConstantOfShape", ["pairs"], ["no_maxima"]),
        node("Scan", ["no_rows", "no_maxima", "rows", "bias", "starts", "ends"], ["index", "maxima"], body=each, num_scan_inputs=4),
    ]
    inputs: Sizes = {"queries": ["Q", "D"], "members": ["P"], "rows": ["G", "N", "D"], "bias": ["G", "N"]}
    inputs |= {"starts": ["G", 1], "ends": ["G", 1]}
    kinds = dict.fromkeys(("members", "starts", "ends"), TensorProto.INT64)
    constants = [numpy_helper.from_array(np.array([0]), "zero"), numpy_helper.from_array(np.array(1), "one")]
    return model("closest_in_groups", outer, inputs, [integer("index", shape=["P"]), real("maxima", shape=["P"])], constants, kinds)


def closest_each() -> onnx.ModelProto:
    """The inputs of `closest`, N a multiple of GROUP → of each group of rows the row at which q·b + bias is largest, the first of
    equals, int64 [Q,G]; and that maximum, [Q,G].
    """
    nodes = [
        helper.make_node("Gemm", ["queries", "rows", "bias"], ["closeness"], transB=1),
        helper.make_node("Reshape", ["closeness", "groups"], ["grouped"]),
        helper.make_node("ArgMax", ["grouped"], ["index"], axis=2, keepdims=0),
        helper.make_node("ReduceMax", ["grouped"], ["maxima"], axes=[2], keepdims=0),
    ]
    inputs: Sizes = {"queries": ["Q", "D"], "rows": ["N", "D"], "bias": ["N"]}
    index = helper.make_tensor_value_info("index", TensorProto.INT64, ["Q", "G"])
    maxima = helper.make_tensor_value_info("maxima", TensorProto.FLOAT, ["Q", "G"])
    groups = numpy_helper.from_array(np.array([0, -1, GROUP], np.int64), "groups")
    return model("closest_each", nodes, inputs, [index, maxima], [groups])


def maximum() -> onnx.ModelProto:
    """The same inputs, any N → the maximum of q·b + bias over all rows: [Q]."""
    nodes = [
        helper.make_node("Gemm", ["queries", "rows", "bias"], ["closeness"], transB=1),
        helper.make_node("ReduceMax", ["closeness"], ["maxima"], axes=[1], keepdims=0),
    ]
    inputs: Sizes = {"queries": ["Q", "D"], "rows": ["N", "D"], "bias": ["N"]}
    return model("maximum", nodes, inputs, [helper.make_tensor_value_info("maxima", TensorProto.FLOAT, ["Q"])])


def group_maxima() -> onnx.ModelProto:
    """queries [Q,D], columns [D,N], groups: 0, −1 and a number n that divides N → the maximum of q·c over each n columns: [Q,G]."""
    nodes = [
        helper.make_node("MatMul", ["queries", "columns"], ["closeness"]),
        helper.make_node("Reshape", ["closeness", "groups"], ["grouped"]),
        helper.make_node("ReduceMax", ["grouped"], ["maxima"], axes=[2], keepdims=0),
    ]
    inputs: Sizes = {"queries": ["Q", "D"], "columns": ["D", "N"], "groups": [3]}
    maxima = helper.make_tensor_value_info("maxima", TensorProto.FLOAT, ["Q", "G"])
    return model("group_maxima", nodes, inputs, [maxima], kinds={"groups": TensorProto.INT64})


def distances() -> onnx.ModelProto:
    """rows [N,D], norms [N,1] squared → squared distances between all rows: [N,N]."""
    nodes = [
        helper.make_node("Transpose", ["norms"], ["across"], perm=[1, 0]),
        helper.make_node("Gemm", ["rows", "rows", "across"], ["partial"], alpha=-2.0, transB=1),
        helper.make_node("Add", ["partial", "norms"], ["signed"]),
        helper.make_node("Relu", ["signed"], ["distances"]),
    ]
    inputs: Sizes = {"rows": ["N", "D"], "norms": ["N", 1]}
    return model("distances", nodes, inputs, [helper.make_tensor_value_info("distances", TensorProto.FLOAT, ["N", "N"])])


def both_sides() -> onnx.ModelProto:
    """maps [C,h,w], left [H,h], right [w,W] → left · map · right of each: [C,H,W]."""
    nodes = [
        helper.make_node("MatMul", ["left", "maps"], ["half"]),
        helper.make_node("MatMul", ["half", "right"], ["resampled"]),
    ]
    inputs: Sizes = {"maps": ["C", "h", "w"], "left": ["H", "h"], "right": ["w", "W"]}
    return model("both_sides", nodes, inputs, [helper.make_tensor_value_info("resampled", TensorProto.FLOAT, ["C", "H", "W"])])


def mixed() -> onnx.ModelProto:
    """weights [K,C], maps [B,C,P] → weights · maps of each: [B,K,P]."""
    nodes = [helper.make_node("MatMul", ["weights", "maps"], ["mixed"])]
    output = helper.make_tensor_value_info("mixed", TensorProto.FLOAT, ["B", "K", "P"])
    return model("mixed", nodes, {"weights": ["K", "C"], "maps": ["B", "C", "P"]}, [output])


def transposed() -> onnx.ModelProto:
    """matrices [B,C,P] → [B,P,C]. numpy's own copy takes several times as long where there are many columns."""
    nodes = [helper.make_node("Transpose", ["matrices"], ["transposed"], perm=[0, 2, 1])]
    output = helper.make_tensor_value_info("transposed", TensorProto.FLOAT, ["B", "P", "C"])
    return model("transposed", nodes, {"matrices": ["B", "C", "P"]}, [output])


def pixels() -> onnx.ModelProto:
    """image [B,3,H,W] → the same: the network of whoever looks at the picture itself."""
    sizes = ["batch", 3, "height", "width"]
    output = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, sizes)
    return model("pixels", [helper.make_node("Identity", ["image"], ["pixels"])], {"image": sizes}, [output])


def model(
    name: str,
    nodes: Sequence[NodeProto],
    inputs: Sizes,
    outputs: list[onnx.ValueInfoProto],
    constants: Sequence[TensorProto] = (),
    kinds: Mapping[str, int] | None = None,
    domains: Sequence[str] = (),
) -> onnx.ModelProto:
    """The checked model of one graph; kinds: of the inputs that are not float32. domains: of operators that are not ONNX's."""
    values = [helper.make_tensor_value_info(one, (kinds or {}).get(one, TensorProto.FLOAT), size) for one, size in inputs.items()]
    graph = helper.make_graph(nodes, name, values, outputs, constants)
    opsets = [helper.make_opsetid("", OPSET), *(helper.make_opsetid(domain, 1) for domain in domains)]
    made = helper.make_model(graph, producer_name="flawsight", opset_imports=opsets, ir_version=IR_VERSION)
    onnx.checker.check_model(made, full_check=True)
    return made


GRAPHS = (
    block_maxima,
    sketches,
    closest,
    closest_in_groups,
    closest_each,
    maximum,
    group_maxima,
    distances,
    both_sides,
    mixed,
    transposed,
)


def main() -> None:
    package = Path(__file__).parents[1] / "flawsight"
    for folder, builds in (
        (package / "parts" / "graphs", GRAPHS),
        (package / "backbones" / "weights", (pixels,)),
    ):
        for build in builds:
            (folder / f"{build.__name__}.onnx").write_bytes(build().SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()

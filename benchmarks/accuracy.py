"""How accurate a choice of settings is, and what it costs in time and memory, on one data set; `regret.py` compares on many.

    python benchmarks/accuracy.py DATA [--category NAME] [--only default,…] [--size 320] [--set NAME=VALUE] [--seeds 5]

One row for each setting: fit and evaluation as `flawsight evaluate` does them, each in a process of its own, so that peak memory
is its own. With --seeds each setting is measured that often, with another seed and another nine tenths of the good pictures to
learn from, and a cell says mean ± standard deviation; of times, memory and counts the mean. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from timing import machine, table

ONE = ["--method", "patchcore"]  # bank; the default before there were two
SETTINGS: dict[str, list[str]] = {
    "default": [],
    "size 320": ["--size", "320"],
    "bank of 20000": ["--set", "bank_limit=20000"],
    "one bank": ONE,
    "one bank, network Lite2": [*ONE, "--backbone", "efficientnet_lite2"],
    "one bank, neighbourhood 3": [*ONE, "--set", "neighbourhood=3"],
    "one bank, blur 4": [*ONE, "--set", "blur_sigma=4"],
    "one bank, score of the worst patch": [*ONE, "--set", "image_score=patch"],
    "one bank, score of the blurred map's maximum": [*ONE, "--set", "image_score=map"],
    "one bank, levels not balanced": [*ONE, "--set", "balance_levels=false"],
    "one bank, random coreset": [*ONE, "--set", "coreset=random"],
    "preset paper": ["--preset", "paper", "--set", "image_score=patch"],
}


def measure(data: Path, no_masks: bool, options: list[str]) -> dict[str, float]:
    """Metrics, seconds and memory of one setting, on one category."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "metrics.json"
        chosen = ["--no-masks"] if no_masks else []
        command = [sys.executable, "-m", "flawsight", "evaluate", str(data), *chosen, *options, "--json", str(out)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        result = json.loads(out.read_text("utf8"))
    return {**result["metrics"], **result["timings_s"], **result["counts"], "memory": result["peak_rss_mb"]}


def measure_seed(data: Path, no_masks: bool, options: list[str], seed: int) -> dict[str, float]:
    """The same with another seed, learned from nine tenths of the good pictures."""
    good = sorted((data / "train/good").iterdir())
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / data.resolve().name
        (part / "train/good").mkdir(parents=True)
        for picture in random.Random(seed).sample(good, len(good) * 9 // 10):
            (part / "train/good" / picture.name).symlink_to(picture.resolve())
        for name in ("test", "ground_truth"):
            if (data / name).exists():
                (part / name).symlink_to((data / name).resolve())
        return measure(part, no_masks, [*options, "--set", f"seed={seed}"])


def message(runs: list[dict[str, float]]) -> list[str]:
    """The cells of a row."""

    def mean(key: str) -> float:
        return statistics.mean(got[key] for got in runs)

    def percent(key: str) -> str:
        if runs[0].get(key) is None:
            return "–"
        spread = f" ± {100 * statistics.stdev(got[key] for got in runs):.2f}" if len(runs) > 1 else ""
        return f"{100 * mean(key):.2f}{spread}"

    quality = [percent(key) for key in ("image_auroc", "pixel_auroc", "pro")]
    verdicts = [f"{mean(wrong):.3g} of {mean(of):.0f}" for wrong, of in (("false_rejects", "good"), ("misses", "defective"))]
    return [*quality, *verdicts, f"{mean('fit'):.1f}", f"{1000 * mean('judge_per_picture'):.0f}", f"{mean('memory'):.0f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--category")
    parser.add_argument("--no-masks", action="store_true", help="judge whole pictures only")
    parser.add_argument("--only", help="names of settings, separated by commas")
    parser.add_argument("--size", help="what the network sees, of settings that do not say so themselves; smaller is quicker")
    parser.add_argument(
        "--set", action="append", default=[], help="an option of settings that do not say it themselves; repeatable"
    )
    parser.add_argument("--seeds", type=int, default=0, help="how often each setting is measured; once on all good pictures if 0")
    chosen = parser.parse_args()
    data = chosen.data / chosen.category if chosen.category else chosen.data
    names = chosen.only.split(",") if chosen.only else list(SETTINGS)
    common = ["--size", chosen.size] if chosen.size else []
    common += [word for option in chosen.set for word in ("--set", option)]
    heads = ("setting", "image AUROC", "pixel AUROC", "PRO", "false rejects", "misses", "fit s", "ms a picture", "MiB")
    print(f"{machine('numpy', 'onnxruntime')}\n\n{table(heads, ())}", flush=True)
    for name in names:
        options = [*common, *SETTINGS[name]]
        runs = [measure_seed(data, chosen.no_masks, options, seed) for seed in range(chosen.seeds)]
        runs = runs or [measure(data, chosen.no_masks, options)]
        print(f"| {' | '.join([name, *message(runs)])} |", flush=True)


if __name__ == "__main__":
    main()

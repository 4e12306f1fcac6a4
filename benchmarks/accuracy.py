"""How accurate a choice of settings is, and what it costs, on a data set in the MVTec AD layout.

    python benchmarks/accuracy.py DATA [--category NAME] [--only default,…] [--size 320]

One row for each setting: fit and evaluation as `flawsight evaluate` does them, each in a process of its own, so that peak memory
is its own. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from timing import machine, table

SETTINGS: dict[str, list[str]] = {
    "default": [],
    "network Lite2": ["--backbone", "efficientnet_lite2"],
    "size 256": ["--size", "256"],
    "size 384": ["--size", "384"],
    "neighbourhood 3": ["--set", "neighbourhood=3"],
    "blur 4": ["--set", "blur_sigma=4"],
    "neighbourhood 3 and blur 4": ["--set", "neighbourhood=3", "--set", "blur_sigma=4"],
    "score of the worst patch": ["--set", "image_score=patch"],
    "levels not balanced": ["--set", "balance_levels=false"],
    "random coreset": ["--set", "coreset=random"],
    "bank of 5,000": ["--set", "bank_limit=5000"],
    "preset paper": ["--preset", "paper"],
}


def measure(data: Path, category: str | None, no_masks: bool, options: list[str]) -> dict[str, float]:
    """Metrics, seconds and memory of one setting."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "metrics.json"
        chosen = [*(["--category", category] if category else []), *(["--no-masks"] if no_masks else [])]
        command = [sys.executable, "-m", "flawsight", "evaluate", str(data), *chosen, *options, "--json", str(out)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        result = json.loads(out.read_text("utf8"))
    return {**result["metrics"], **result["timings_s"], **result["counts"], "memory": result["peak_rss_mb"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--category")
    parser.add_argument("--no-masks", action="store_true", help="judge whole pictures only")
    parser.add_argument("--only", help="names of settings, separated by commas")
    parser.add_argument("--size", help="what the network sees, of settings that do not say so themselves; smaller is quicker")
    chosen = parser.parse_args()
    names = chosen.only.split(",") if chosen.only else list(SETTINGS)
    size = ["--size", chosen.size] if chosen.size else []
    heads = ("setting", "image AUROC", "pixel AUROC", "PRO", "false rejects", "misses", "fit s", "ms a picture", "MiB")
    print(f"{machine('numpy', 'onnxruntime')}\n\n{table(heads, ())}", flush=True)
    for name in names:
        got = measure(chosen.data, chosen.category, chosen.no_masks, [*size, *SETTINGS[name]])
        quality = " | ".join(f"{100 * got[key]:.2f}" if key in got else "" for key in ("image_auroc", "pixel_auroc", "pro"))
        verdicts = f"{got['false_rejects']:.0f} of {got['good']:.0f} | {got['misses']:.0f} of {got['defective']:.0f}"
        costs = f"{got['fit']:.1f} | {1000 * got['judge_per_picture']:.0f} | {got['memory']:.0f}"
        print(f"| {name} | {quality} | {verdicts} | {costs} |", flush=True)


if __name__ == "__main__":
    main()

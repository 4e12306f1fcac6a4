"""Which settings hold on parts that they were not chosen for: a grid of settings over all data sets under a folder.

    python benchmarks/regret.py FOLDER [--settings NAME,…] [--sets NAME,…] [--draws 3] [--good 80] [--out regret.jsonl]
    python benchmarks/regret.py --show regret.jsonl …

Each folder below FOLDER is a data set that `flawsight evaluate` reads. A setting is fitted on `--good` of its good pictures, drawn
anew in each draw, and judged on all test pictures; no label and no test picture reaches a fit. What was measured is appended to
`--out`, a line for each set, draw and setting, and is not measured again: a run that was stopped goes on. Several runs may share
the work by naming other sets, and `--show` takes all their files.

Printed are the mean over sets of each setting; its worst regret, the most by which any set's best setting is better; and the choice
by leaving one set out: for each set the setting that is best on the mean of all others is taken, and judged on that set alone. That
last figure is what a new part may expect, since its own pictures had no say. Beside each figure stands the standard deviation over
the draws.

The network runs once for each picture and size: its maps are kept for the other settings, so times are without the network where
another setting came first. `speed.py` compares times.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from timing import machine, table

from flawsight.backbones.onnx import OnnxBackbone
from flawsight.datasets import open_dataset
from flawsight.evaluation import evaluate
from flawsight.fitting import Plan, fit
from flawsight.types import Float

FINE = ("stage3", "stage5", "stage7")


def _single(size: int, levels: Sequence[str], **options: Any) -> dict[str, Any]:
    return {
        "method": "patchcore",
        "backbone": "efficientnet_lite0_whole",
        "size": size,
        "levels": tuple(levels),
        "options": {"dims": 128, **options},
    }


def _two(size: int = 512, **options: Any) -> dict[str, Any]:
    return {"method": "two_banks", "size": size, "options": options}


SETTINGS: dict[str, dict[str, Any]] = {
    "default": {},
    "default before": {"method": "patchcore", "backbone": "efficientnet_lite0", "size": 320},
    "paper": {"preset": "paper"},
    "two banks 448 px": _two(448),
    "two banks 384 px": _two(384),
    "shallow not pooled": _two(neighbourhood=1),
    "deep pooled": _two(deep_neighbourhood=3),
    "top 1 %": _two(top_share=0.01),
    "blur 8": _two(blur_sigma=8.0),
    "blur 2": _two(blur_sigma=2.0),
    "64 dimensions": _two(dims=64),
    "bank of 5,000": _two(bank_limit=5000),
    "all dimensions": _two(dims=0),
    "one bank 5+7 448 px": _single(448, FINE[1:], blur_sigma=4.0),
    "one bank 3+5+7 448 px": _single(448, FINE),
    "one bank 3+5+7 320 px": _single(320, FINE),
}
METRICS = ("image_auroc", "image_ap", "pixel_auroc", "pixel_ap", "pro")


class Remembering(OnnxBackbone):
    """A network whose maps are kept by picture; shared by settings that differ in what they take of it."""

    def __init__(self, network: OnnxBackbone, kept: dict[tuple[str, str, str], Float]) -> None:
        self._network, self._kept = network, kept
        self.data, self.levels, self.origin = network.data, network.levels, network.origin
        self.runtime, self.device = network.runtime, network.device

    def features(self, images: Float) -> list[Float]:
        """See OnnxBackbone."""
        maps = [self._of(image[None]) for image in images]
        return [np.concatenate(level) for level in zip(*maps, strict=True)]

    def _of(self, image: Float) -> list[Float]:
        network, picture = self.origin.sha256, hashlib.sha256(repr(image.shape).encode() + image.tobytes()).hexdigest()
        keys = [(network, level, picture) for level in self.levels]
        if any(key not in self._kept for key in keys):
            self._kept.update(zip(keys, self._network.features(image), strict=True))
        return [self._kept[key] for key in keys]


def measured(
    folder: Path, draws: int, good: int, names: Sequence[str], done: set[tuple[str, int, str]]
) -> Iterator[dict[str, Any]]:
    """A line for each draw and setting of one data set that is not done."""
    dataset, kept = open_dataset(folder), {}
    for draw in range(draws):
        train = sorted(dataset.train, key=lambda sample: sample.name)
        n = min(good, len(train) * 9 // 10)
        chosen = np.sort(np.random.default_rng([draw, len(train)]).permutation(len(train))[:n])
        drawn = replace(dataset, train=[train[i] for i in chosen])
        for name in names:
            if (folder.name, draw, name) in done:
                continue
            plan = Plan(**SETTINGS[name])
            started = time.perf_counter()
            model = fit(drawn.train, plan, backbone=Remembering(plan.network(), kept))
            fit_s = time.perf_counter() - started
            report = evaluate(model, drawn.test, dataset.title)
            yield {
                "set": folder.name,
                "draw": draw,
                "setting": name,
                "fitted_on": len(chosen),
                **{metric: report.metrics.get(metric) for metric in METRICS},
                **{count: report.counts[count] for count in ("good", "defective", "false_rejects", "misses")},
                "promised": model.threshold.max_false_rejects,
                "fit_s": fit_s,
                "picture_ms": 1000 * report.timings_s["judge_per_picture"],
            }


def read(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """All lines of these files, those there are."""
    return [json.loads(line) for path in paths if path.exists() for line in path.read_text("utf8").splitlines()]


def left_out(values: Mapping[str, Mapping[str, float]], sets: Sequence[str]) -> dict[str, tuple[str, float]]:
    """For each set the setting that is best on the mean of the others, and its value on this one.

    values: setting → set → value.
    """
    chosen = {}
    for left in sets:
        others = [one for one in sets if one != left]
        best = max(values, key=lambda name: statistics.mean(values[name][one] for one in others))
        chosen[left] = best, values[best][left]
    return chosen


def means(lines: Sequence[dict[str, Any]], metric: str, draw: int | None = None) -> dict[str, dict[str, float]]:
    """Setting → set → the metric's mean over draws, or in one, in percent; where it is defined."""
    found: dict[str, dict[str, list[float]]] = {}
    for line in lines:
        value = line[metric]
        if value is not None and np.isfinite(value) and draw in (None, line["draw"]):
            found.setdefault(line["setting"], {}).setdefault(line["set"], []).append(100 * value)
    return {name: {one: statistics.mean(values) for one, values in of.items()} for name, of in found.items()}


def show(lines: Sequence[dict[str, Any]], metric: str) -> str:
    """A table of the metric, and what leaving one set out would choose."""
    values = means(lines, metric)
    sets = sorted(set.intersection(*(set(of) for of in values.values()))) if values else []
    if not sets:
        return f"{metric}: nothing was measured of every setting."
    best = {one: max(of[one] for of in values.values()) for one in sets}
    draws = sorted({line["draw"] for line in lines})
    rows = []
    for name, of in sorted(values.items(), key=lambda item: -statistics.mean(item[1][one] for one in sets)):
        each = [
            statistics.mean(per[name][one] for one in sets)
            for per in (means(lines, metric, draw) for draw in draws)
            if _has(per, name, sets)
        ]
        spread = f" ± {statistics.stdev(each):.1f}" if len(each) > 1 else ""
        regret = max(best[one] - of[one] for one in sets)
        mean = statistics.mean(of[one] for one in sets)
        rows.append(
            (
                name,
                f"{mean:.1f}{spread}",
                f"{min(of[one] for one in sets):.1f}",
                f"{regret:.1f}",
                *(f"{of[one]:.1f}" for one in sets),
            )
        )
    rows.append(("each set's best", f"{statistics.mean(best.values()):.1f}", "", "", *(f"{best[one]:.1f}" for one in sets)))
    chosen = left_out(values, sets) if len(sets) > 1 else {}
    if chosen:
        mean = statistics.mean(value for _, value in chosen.values())
        rows.append(("chosen on the others", f"{mean:.1f}", "", "", *(f"{chosen[one][1]:.1f}" for one in sets)))
    heads = ("setting", "mean", "worst", "regret", *sets)
    taken = f"Chosen on the others: {', '.join(f'{one}: {name}' for one, (name, _) in chosen.items()) or 'there are none'}."
    return f"{metric}, percent\n\n{table(heads, rows)}\n\n{taken}\n"


def _has(values: Mapping[str, Mapping[str, float]], name: str, sets: Sequence[str]) -> bool:
    return name in values and all(one in values[name] for one in sets)


def verdicts(lines: Sequence[dict[str, Any]]) -> str:
    """A table of false rejects and misses at the default threshold, sums over draws."""
    sets, rows = sorted({line["set"] for line in lines}), []
    for name in dict.fromkeys(line["setting"] for line in lines):
        cells = []
        for one in sets:
            of = [line for line in lines if line["setting"] == name and line["set"] == one]
            rejects, good, misses, bad = (sum(line[key] for line in of) for key in ("false_rejects", "good", "misses", "defective"))
            cells.append(f"{rejects} of {good}, {misses} of {bad}" if of else "–")
        rows.append((name, *cells))
    return table(("false rejects, misses", *sets), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--settings", help="names, separated by semicolons; all if left out")
    parser.add_argument("--sets", help="names of folders, separated by commas; all if left out")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument(
        "--good", type=int, default=80, help="good pictures to learn from, at most, and at most nine tenths of them"
    )
    parser.add_argument("--out", type=Path, default=Path("regret.jsonl"))
    parser.add_argument("--show", type=Path, nargs="+", help="only print the tables of these files")
    chosen = parser.parse_args()
    if (chosen.folder is None) == (chosen.show is None):
        parser.error("name a folder of data sets, or files with --show")
    names = chosen.settings.split(";") if chosen.settings else list(SETTINGS)
    if unknown := [name for name in names if name not in SETTINGS]:
        parser.error(f"there is no setting '{unknown[0]}'; there are: {'; '.join(SETTINGS)}")
    if chosen.show is None:
        folders = [one for one in sorted(chosen.folder.iterdir()) if one.is_dir()]
        wanted = chosen.sets.split(",") if chosen.sets else [one.name for one in folders]
        done = {(line["set"], line["draw"], line["setting"]) for line in read([chosen.out])}
        for folder in (one for one in folders if one.name in wanted):
            for line in measured(folder, chosen.draws, chosen.good, names, done):
                with chosen.out.open("a", encoding="utf8") as file:
                    file.write(json.dumps(line) + "\n")
    lines = read(chosen.show or [chosen.out])
    print(f"{machine('numpy', 'onnxruntime')}\n")
    for metric in METRICS:
        print(show(lines, metric))
    print(verdicts(lines))


if __name__ == "__main__":
    main()

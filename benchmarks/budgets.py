"""What rows that learn by gradient reach on drawn plates with more pictures and steps than their smoke recipes have.

    python benchmarks/budgets.py DIR [--rows dsebm,itae] [--seeds 0,1,2] [--judged 44] [--twins]

Plates are drawn into DIR where they are not there yet, as `flawsight demo` draws them: the good ones of several seeds are learned
from, all together, and those of each seed that is judged are judged by themselves. Models are kept there too, and a run that was
stopped goes on; how far it has come is told on standard error. Prints a Markdown table for each row: image AUROC of each training
seed, in brackets where the middle 95 % lie when the plates are drawn anew, and pixel AUROC at 256 pixels of a method that says
where; and the seconds of its fits, where they ran now. With --twins each defective plate is also judged as it looks without its
defect, in the same view: what AUROC is left is the views' chance, not the defects'.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from timing import machine, table

from flawsight import demo
from flawsight.backbones import PIXELS
from flawsight.cli.console import meter
from flawsight.datasets import open_dataset
from flawsight.evaluation import evaluate
from flawsight.evaluation.judging import Judging
from flawsight.fitting import Plan, fit
from flawsight.images import image
from flawsight.metrics import resampling
from flawsight.model import Model, load
from flawsight.types import Report, Sample

LEARNED = (0, *range(31, 41))  # seeds of the plates that are learned from
SHOWN = tuple(range(31, 41))  # of those whose defective plates are shown, labelled, where a method takes them
RESAMPLES = 1000


@dataclass(frozen=True)
class Budget:
    """size: what pictures are reduced to. options: of the method. good: plates of each seed that are learned from. backbone, shown:
    whether it takes one, and labelled pictures.
    """

    size: int
    options: Mapping[str, Any]
    good: int = 60
    backbone: str | None = PIXELS
    shown: bool = False


CUTS = {"crop": 128, "stride": 128, "width": 16, "latent": 32, "steps": 800, "batch": 8, "lr": 1e-3}
BUDGETS = {
    "dsebm": Budget(
        64,
        {
            **{"side": 32, "width": 16, "units": 256, "steps": 8000, "batch": 32, "lr": 3e-3},
            **{"noise": 0.1, "ending": "soft-plus", "start": "mean", "by": "gradient"},
        },
    ),
    "itae": Budget(64, {"side": 32, "width": 16, "steps": 16_000, "batch": 16, "lr": 3e-3, "grey": True}, good=600),
    "ganomaly": Budget(
        64,
        {"side": 32, "width": 16, "latent": 400, "steps": 32_000, "batch": 64, "lr": 1e-3, "encoding": 50.0, "falling": True},
        good=600,
    ),
    "geotrans": Budget(64, {"side": 32, "shift": 1, "depth": 10, "width": 1, "steps": 12_000, "batch": 32}, good=600),
    "cavga_rw": Budget(
        128,
        {
            **{"side": 128, "latent": 16, "width": 8, "steps": 2000, "batch": 8, "lr": 1e-4, "shown": 0.5, "adversary": 0.0},
            **{"classifier": 100_000.0, "angle": 5.0, "shift": 0.05, "by": "log_odds"},
        },
        backbone=None,
        shown=True,
    ),
    "expvae": Budget(128, CUTS),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", default=",".join(BUDGETS))
    parser.add_argument("--seeds", type=numbers, default="0", help="of the training")
    parser.add_argument(
        "--learned", type=numbers, default=",".join(map(str, LEARNED)), help="seeds of the plates that are learned from"
    )
    parser.add_argument("--good", type=int, help="plates of each of these seeds, in place of the budget's")
    parser.add_argument("--shown", type=int, default=20, help="labelled plates of each kind and seed, where a method takes them")
    parser.add_argument("--judged", type=numbers, default="44", help="seeds of the plates that are judged")
    parser.add_argument("--judged-good", type=int, default=240, help="good plates of each of these seeds")
    parser.add_argument("--judged-of-a-kind", type=int, default=40, help="defective plates of each kind and of each of these seeds")
    parser.add_argument("--side", type=int, default=512, help="pixels a side of the plates")
    parser.add_argument("--twins", action="store_true", help="also beside the same views without the defects")
    parser.add_argument("--steps", type=int, help="in place of the budget's, to see that it runs")
    chosen = parser.parse_args()
    names, seeds = chosen.rows.split(","), chosen.seeds
    if unknown := set(names) - set(BUDGETS):
        parser.error(f"there is no larger budget of {', '.join(sorted(unknown))}; there are {', '.join(BUDGETS)}")
    print(machine("torch", "onnxruntime"))
    for name in names:
        fits = [fitted(chosen, name, seed) for seed in seeds]
        models, rows = [model for model, _ in fits], []
        for plates in chosen.judged:
            test = open_dataset(drawn(chosen, plates, 1, chosen.judged_good, chosen.judged_of_a_kind)).test
            judged = [evaluate(model, test, "", Judging(pixels_at="full256")) for model in models]
            rows.append((plates, *reached(judged)))
            if chosen.twins:
                twins = without_defects(chosen, plates, test)
                beside = [evaluate(model, twins, "", Judging(pixels_at="full256")) for model in models]
                rows.append((f"{plates}, without the defects", *reached(beside)))
                rows.append((f"{plates}, raised by the defects", *map(raised, judged, beside), ""))
        took = [f"{seconds:.0f} s" for _, seconds in fits if seconds is not None]
        print(f"\n{name}: {len(fits[0][0].training.names)} good plates; fits {', '.join(took) or 'that were there'}\n")
        print(table(("plates of seed", *(f"training seed {seed}" for seed in seeds), "mean"), rows), flush=True)


def numbers(text: str) -> tuple[int, ...]:
    return tuple(int(one) for one in text.split(","))


def drawn(chosen: argparse.Namespace, seed: int, n_good: int, n_test_good: int = 0, n_of_a_kind: int = 0) -> Path:
    """The folder of plates of this seed."""
    root = chosen.folder / f"plates-{seed}-{n_good}-{n_test_good}-{n_of_a_kind}-{chosen.side}"
    with meter() as progress:
        tell = functools.partial(progress, f"drawing plates of seed {seed}")
        return demo.write(root, seed, n_good, n_test_good, n_of_a_kind, chosen.side, tell)


def pictures(folder: Path, split: str) -> list[Path]:
    return sorted(folder.glob(f"{split}/*/*.png"))


def fitted(chosen: argparse.Namespace, name: str, seed: int) -> tuple[Model, float | None]:
    """The model, and the seconds of its fit; None if it was there."""
    budget = BUDGETS[name]
    options = {**budget.options, "seed": seed, "held_out": 0.01}
    if chosen.steps is not None:
        options["steps"] = chosen.steps
    n_good = budget.good if chosen.good is None else chosen.good
    good = [path for one in chosen.learned for path in pictures(drawn(chosen, one, n_good), "train")]
    path = chosen.folder / f"{name}-{options['steps']}-of-{len(good)}-{seed}.flaw"
    if path.exists():
        model = load(path)
        if any(getattr(model.method.params, option) != value for option, value in options.items()):
            raise SystemExit(f"{path}: it was fitted with other options than this budget's. Remove it, or name another folder.")
        return model, None
    shown = None
    if budget.shown:
        shown = [path for one in SHOWN for path in pictures(drawn(chosen, one, 0, 0, chosen.shown), "test")]
    plan = Plan(name, budget.backbone, size=budget.size, options=options, checkpoints=path.with_suffix(""), defects=shown)
    started = time.perf_counter()
    with meter() as progress:
        model = fit(good, plan, progress)
    seconds = time.perf_counter() - started
    model.save(path)
    return model, seconds


def reached(reports: list[Report]) -> list[str]:
    """Image AUROC, and pixel AUROC of a method that says where, of each model's report and their mean."""
    cells, values = [], []
    for report in reports:
        labels = [int(row.sample.label or 0) for row in report.rows]
        values.append([100 * report.metrics[name] for name in ("image_auroc", "pixel_auroc") if name in report.metrics])
        resampled = resampling.image_auroc([row.score for row in report.rows], labels, RESAMPLES)
        low, high = (100 * end for end in resampling.interval(resampled))
        whole, *where = (f"{value:.1f}" for value in values[-1])
        cells.append(", ".join([f"{whole} [{low:.1f}–{high:.1f}]", *where]))
    means = [statistics.mean(some) for some in zip(*values, strict=True)]
    return [*cells, ", ".join(f"{mean:.1f}" for mean in means)]


def raised(report: Report, twins: Report) -> str:
    """The share of defective plates that score above their twins, and by how much, in standard deviations of the good ones."""
    scores, theirs = (np.array([row.score for row in one.rows]) for one in (report, twins))
    defective = np.array([bool(row.sample.label) for row in report.rows])
    more = (scores - theirs)[defective]
    return f"{100 * (more > 0).mean():.0f} %, {more.mean() / scores[~defective].std():.2f}"


def without_defects(chosen: argparse.Namespace, seed: int, test: list[Sample]) -> list[Sample]:
    """These plates, the defective ones as they look without their defects: the same labels and masks."""
    found = []
    for sample in test:
        path = chosen.folder / f"twins-{seed}-{chosen.side}-{sample.kind}-{sample.path.name}"
        if sample.label and not path.exists():
            index = demo.index_of(sample.kind, int(sample.path.stem))
            image.write(path, demo.draw(seed, "test", index, size=chosen.side)[0])
        found.append(replace(sample, path=path) if sample.label else sample)
    return found


if __name__ == "__main__":
    main()

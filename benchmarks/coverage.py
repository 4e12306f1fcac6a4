"""Whether the threshold keeps its promise: the promised share of false rejects beside the share that is observed.

    python benchmarks/coverage.py FOLDER_OF_SETS [--only NAMES] [--splits 20] [--size N] [--most N] [--method M] [--set NAME=VALUE]

Each set lies in the MVTec AD layout. For each split all its good pictures, of training and test, are mixed, two thirds are learned
from with the default plan and the others are judged: both come from the same series. The last column is the set's own split, where
series may differ. --most: that many good pictures are drawn first, and half as many defective ones, for time.

Few pictures are judged, so more of them than promised may be rejected by chance. A promise is counted as broken where the observed
number or more would come with a probability below 5 % if the true share were the promised one (exact binomial tail). "As observed"
counts the splits where the bare share stayed below. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import random
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from scipy.stats import binom
from timing import machine, table

from flawsight.cli.options import parse_options
from flawsight.datasets import open_dataset
from flawsight.fitting import Plan, fit
from flawsight.types import Sample

LEARNED = 2 / 3  # of the good pictures
UNLIKELY = 0.05  # tail below which a promise counts as broken


class Outcome(NamedTuple):
    """Of one fit: good pictures and series learned from, the promise, what was rejected of how many, what was missed likewise."""

    pictures: int
    series: int
    promised: float
    rejected: int
    good: int
    missed: int
    defective: int

    @property
    def broken(self) -> bool:
        """Whether so many rejects are unlikely under the promise."""
        return is_broken(self.rejected, self.good, self.promised)


def is_broken(rejected: int, good: int, promised: float) -> bool:
    """Whether so many of these good pictures, or more, would hardly be rejected if their true share were the promised one."""
    return bool(binom.sf(rejected - 1, good, promised) < UNLIKELY)


def measure(train: Sequence[Sample], good: Sequence[Sample], defective: Sequence[Sample], plan: Plan) -> Outcome:
    """Fit on `train` and judge the others."""
    model = fit(list(train), plan)
    rejected, missed = (sum(one.is_defective for one in model.predict_batch(part)) for part in (good, defective))
    known = model.threshold
    n_series = known.n_series or known.n_held_out
    return Outcome(len(train), n_series, known.max_false_rejects, rejected, len(good), len(defective) - missed, len(defective))


def split(good: Sequence[Sample], seed: int, most: int) -> tuple[list[Sample], list[Sample]]:
    """Good pictures drawn at random to learn from, in the order of their names as in a folder, and the others."""
    drawn = random.Random(seed).sample(list(good), min(most, len(good)))
    cut = round(LEARNED * len(drawn))
    return sorted(drawn[:cut], key=lambda one: one.path), drawn[cut:]


def cells(outcomes: Sequence[Outcome], own: Outcome) -> list[str]:
    """The cells of a row behind the set's name."""
    good, rejected = sum(one.good for one in outcomes), sum(one.rejected for one in outcomes)
    missed, defective = sum(one.missed for one in outcomes), sum(one.defective for one in outcomes)
    broken = " (broken)" if own.broken else ""
    of_own = f"{own.series} of {own.pictures}, {100 * own.promised:.1f}: {own.rejected} of {own.good}{broken}, "
    of_own += f"{own.missed} of {own.defective}"
    return [
        f"{outcomes[0].pictures}",
        f"{statistics.median(one.series for one in outcomes):.0f}",
        f"{100 * statistics.median(one.promised for one in outcomes):.1f}",
        f"{100 * rejected / good:.1f}",
        f"{sum(one.rejected <= one.promised * one.good for one in outcomes)} of {len(outcomes)}",
        f"{sum(not one.broken for one in outcomes)} of {len(outcomes)}",
        f"{100 * missed / defective:.0f}",
        of_own,
    ]


HEADS = ("set", "learned from", "series", "promised, median %", "rejected, mean %", "as observed", "kept", "missed, mean %")
OWN = "own split: series of pictures, promised %: rejected, missed"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", help="names of sets, separated by commas")
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--size", type=int, help="what the network sees; smaller is quicker")
    parser.add_argument("--most", type=int, default=10**9, help="good pictures of a set that a split is made of")
    parser.add_argument("--method")
    parser.add_argument("--set", action="append", default=[], help="an option of the method; repeatable")
    chosen = parser.parse_args()
    plan = Plan(method=chosen.method, size=chosen.size, options=parse_options(chosen.set))
    names = chosen.only.split(",") if chosen.only else sorted(one.name for one in chosen.folder.iterdir() if one.is_dir())
    print(f"{machine('numpy', 'onnxruntime')}\n\n{table((*HEADS, OWN), ())}", flush=True)
    for name in names:
        dataset = open_dataset(chosen.folder / name, use_masks=False)
        judged_good, bad = ([one for one in dataset.test if one.label == label] for label in (0, 1))
        few = random.Random(0).sample(bad, min(chosen.most // 2, len(bad)))
        parts = [split([*dataset.train, *judged_good], seed, chosen.most) for seed in range(chosen.splits)]
        outcomes = [measure(train, others, few, plan) for train, others in parts]
        print(f"| {' | '.join([name, *cells(outcomes, measure(dataset.train, judged_good, bad, plan))])} |", flush=True)


if __name__ == "__main__":
    main()

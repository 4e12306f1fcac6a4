"""`--oracle-select`: what some published rows chose on the test pictures' labels, done here too, and reported with every number.

Nobody who has to judge new pictures has their labels, so such a number is what a method could reach at best, and says nothing of
how to choose. Without being asked for it nothing here is used: a cell is one fit, and its last weights are judged.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from flawsight.errors import UsageError
from flawsight.metrics import METRICS
from flawsight.model import Model
from flawsight.reproduce import published
from flawsight.types import Report

if TYPE_CHECKING:
    from flawsight.fitting import Plan
    from flawsight.reproduce.running import Result

MARK = "‡"  # of every number that such a choice touched
STEPS = "steps"  # whose alternatives are shares of the budget: the weights that a training has on its way
_ON_ITS_WAY = {STEPS: (0.25, 0.5, 0.75, 1.0)}
CHOICES: dict[str, Mapping[str, tuple[Any, ...]]] = {  # row → option of its method → what is tried
    "geotrans": _ON_ITS_WAY,
    "ganomaly": _ON_ITS_WAY,
    "patch_svdd": {STEPS: (0.5, 1.0), "pull": (1e-3, 1e-2, 1e-1)},
    "differnet": _ON_ITS_WAY,
    "expvae": {"layer": tuple(f"layer{stage}.1.conv1" for stage in (1, 2, 3, 4))},
}


class Tried(NamedTuple):
    """A fit and what it reached. options: in what it differs from the row's plan."""

    options: Mapping[str, Any]
    model: Model
    report: Report
    seconds: float


def alternatives(row: str, steps: int) -> tuple[dict[str, Any], ...]:
    """The options to try; none for a row that chose nothing. steps: of its training."""
    choices = CHOICES.get(row, {})
    values = [
        [max(1, round(share * steps)) for share in tried] if name == STEPS else list(tried) for name, tried in choices.items()
    ]
    return tuple(dict(zip(choices, chosen, strict=True)) for chosen in itertools.product(*values)) if choices else ()


def plans(plan: Plan, tried: Sequence[Mapping[str, Any]]) -> list[tuple[Mapping[str, Any], Plan]]:
    """What to fit: each alternative, its checkpoints apart; the plan as it is where there are none."""
    if not tried:
        return [({}, plan)]
    made = []
    for number, options in enumerate(tried):
        apart = plan.checkpoints / f"alternative{number}" if plan.checkpoints else None
        made.append((options, dataclasses.replace(plan, options={**plan.options, **options}, checkpoints=apart)))
    return made


def choose(row: str, tried: Sequence[Tried]) -> tuple[Tried, dict[str, Any]]:
    """Of several the one that did best on the labelled pictures that it is judged on, the first of equals; and the record of it.

    The record is empty where there was nothing to choose. Raises UsageError where no alternative has the row's metric.
    """
    if len(tried) == 1:
        return tried[0], {}
    metric = chosen_by(row)
    reached = [one.report.metrics.get(metric, math.nan) for one in tried]
    if all(math.isnan(value) for value in reached):
        raise UsageError(f"tables: to choose by {metric}, good and defective pictures were needed. Leave out oracle_select.")
    best = tried[reached.index(max(value for value in reached if not math.isnan(value)))]
    record = {
        "by": metric,
        "chosen": dict(best.options),
        "tried": [
            {"options": dict(one.options), metric: None if math.isnan(value) else value}
            for one, value in zip(tried, reached, strict=True)
        ],
    }
    return best, record


def chosen_by(row: str) -> str:
    """The metric by which a row's alternatives are compared: the first that is published of it."""
    return next(metric for _, name, metric in published.figures() if name == row)


def message(results: Iterable[Result]) -> str:
    """What was chosen on labels in these cells, as a footnote; nothing of cells without a choice."""
    chosen = [result for result in results if result.oracle]
    if not chosen:
        return ""
    metric = METRICS[chosen[0].oracle["by"]].label
    n = len(chosen[0].oracle["tried"])
    listed = "; ".join(f"{one.category}, seed {one.seed}: {_words(one.oracle['chosen'])}" for one in chosen)
    how = f"{MARK} An oracle's choice, made on the labels of the test pictures (--oracle-select)"
    return f"{how}: the best {metric} of {n} alternatives. Chosen: {listed}."


def _words(options: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in options.items())

"""Which good pictures are held out together, and what a reader must know of it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flawsight.datasets.base import some
from flawsight.fitting import series
from flawsight.loader import Inspection
from flawsight.modelfile.training import Training
from flawsight.threshold import Threshold, upper_bound
from flawsight.threshold.outlying import suspects

NAMED = 8  # suspect pictures in a note; the others are counted


@dataclass(frozen=True)
class Together:
    """Which pictures are held out together. of_each: a number for each picture, the same for those of one series; copies: for those
    that show the same. group_by: what names the series, None where the pictures themselves do. n_hardly_differ: how many may be
    copies of another series' pictures, see `series.hardly_differ`.
    """

    of_each: list[int]
    copies: list[int]
    group_by: str | None
    n_hardly_differ: int = 0

    @property
    def n(self) -> int:
        """How many series there are."""
        return len(set(self.of_each))

    @property
    def matter(self) -> bool:
        """Whether any series has several different pictures."""
        return self.n < len(set(self.copies))

    @property
    def groups(self) -> list[int]:
        """What is held out together: series, or copies alone where all else is one series."""
        return self.copies if self.is_one else self.of_each

    @property
    def is_one(self) -> bool:
        """Whether several different pictures are all of one series."""
        return self.n == 1 and self.matter


def held_together(names: Sequence[str], copies: Sequence[int], inspections: Sequence[Inspection], group_by: str | None) -> Together:
    """The series that `group_by` names, or else those that the pictures show; copies are of one series in any case.

    Raises UsageError where `group_by` does not say the series of every picture.
    """
    n_hardly_differ = 0
    if group_by is not None:
        of_each = series.by_name(names, group_by)
    else:
        first = sorted(set(copies))  # copies count once: they would make near copies seem usual
        looks = _looks([inspections[i] for i in first])
        found = series.found(looks, [names[i] for i in first])
        n_hardly_differ = series.hardly_differ(looks[np.unique(found)])
        place = {number: k for k, number in enumerate(first)}
        of_each = np.array([first[found[place[number]]] for number in copies], np.int64)
    links = [(i, j) for i, number in enumerate(of_each) for j in (int(number), copies[i]) if i != j]
    joined = series.joined(len(names), np.array(links, np.int64).reshape(-1, 2))
    return Together(joined.tolist(), list(copies), group_by, n_hardly_differ)


def held_out_notes(training: Training, chosen: Threshold, held: Together) -> list[str]:
    """What a reader must know of the held-out scores: of series, of copies, and of scores far from the rest."""
    return [*_series_notes(chosen, held), *_copy_notes(held), *_suspect_notes(training, chosen, held)]


def _suspect_notes(training: Training, chosen: Threshold, held: Together) -> list[str]:
    """Which pictures score far above the others, what that did to the threshold, and how to leave them out."""
    found = suspects(training.held_out, held.copies, training.series or None)
    if not found.any():
        return []
    far = np.flatnonzero(found)[np.argsort(-training.held_out[found], kind="stable")]
    others = training.held_out[np.isfinite(training.held_out) & ~found]
    scored = [f"{training.names[i]} ({training.held_out[i]:.4g})" for i in far]
    sets = chosen.value >= float(training.held_out[far].min())
    rest = f"all other good pictures when held out ({others.min():.4g} to {others.max():.4g})"
    if len(far) == 1:
        did = "sets the threshold" if sets else "did not set the threshold and counts as rejected"
        message = f"{scored[0]} scores far above {rest}. It {did}, and was learned from all the same"
        look = "Look whether it shows a good part; if not, leave it out"
    else:
        did = "set the threshold" if sets else "did not set the threshold and count as rejected"
        message = f"{some(scored, NAMED)} score far above {rest}. They {did}, and were learned from all the same"
        look = "Look whether they show good parts; if not, leave them out"
    options = " ".join(f"--leave-out {shlex.quote(training.names[i])}" for i in far[:NAMED])
    return [f"{message}. {look}: {options}{' …' * (len(far) > NAMED)}"]


def _series_notes(chosen: Threshold, held: Together) -> list[str]:
    if not held.matter:
        return []
    by = "found by their likeness; name them with group_by" if held.group_by is None else f"named by group_by {held.group_by}"
    n = len(held.of_each)
    if held.is_one:
        cure = "Add pictures of other series" + (", or name series with group_by." if held.group_by is None else ".")
        note = f"All {n} good pictures are of one series ({by}): no promise is possible. "
        return [f"{note}Each was held out by itself, and the threshold is the highest of their scores. {cure}"]
    support = upper_bound(0, chosen.n_series or held.n, chosen.confidence)
    note = f"{n} pictures in {held.n} series ({by}): the promise counts series"
    return [f"{note}, and {held.n} of them cannot support one below {100 * support:.3g} %."]


def _copy_notes(held: Together) -> list[str]:
    """That most pictures may be copies of one another, which neither they nor their names tell."""
    if 2 * held.n_hardly_differ <= held.n:
        return []
    little = f"differ from another by less than {100 * series.SAME:g} % of their contrast"
    which = "parts that always lie alike do, and so do copies of one picture. Each counts by itself"
    return [f"{held.n_hardly_differ} good pictures {little}: {which}; if they are copies, the promise does not hold."]


def _looks(inspections: Sequence[Inspection]) -> NDArray[np.uint8]:
    looks = [one.look for one in inspections if one.look is not None]
    return np.stack(looks) if looks else np.empty((0, series.SIDE, series.SIDE), np.uint8)

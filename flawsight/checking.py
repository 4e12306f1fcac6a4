"""Looking at good pictures before anything is learned from them: which can be read, which show the same, what is odd about them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from flawsight import forecast, loader, threads
from flawsight.errors import DataError, PictureError
from flawsight.loader import Inspection
from flawsight.methods.base import Progress
from flawsight.preprocess import Preprocess
from flawsight.types import Pixels

FEW = 20  # good pictures under which a fit warns
COARSE = 4  # pixels of the picture, on a side, for each that the network sees, above which a fit warns


def inspect(
    where: str,
    pictures: Sequence[Any],
    skip_bad: bool,
    progress: Progress | None,
    keep: Callable[[Pixels], Pixels | None] | None = None,
    pace: forecast.Pace | None = None,
) -> tuple[list[tuple[Any, int]], list[Inspection], dict[str, str]]:
    """The readable pictures with their positions, what is known of each, and name → reason of those left out.

    keep: see loader.inspect. Raises DataError naming every unreadable one unless they may be skipped.
    """
    numbered = [(picture, position) for position, picture in enumerate(pictures, 1)]
    pacing = (pace.workers, pace.waiting) if pace else ()
    inspected = threads.ahead(lambda item: loader.inspect(*item, keep), numbered, *pacing)
    results = list(counted(inspected, len(numbered), progress, "checking pictures"))
    bad = [result for result in results if isinstance(result, PictureError)]
    if bad and not skip_bad:
        raise unreadable(where, bad, len(results))
    readable = [item for item, result in zip(numbered, results, strict=True) if isinstance(result, Inspection)]
    return readable, [result for result in results if isinstance(result, Inspection)], {error.name: error.reason for error in bad}


def unreadable(where: str, bad: Sequence[PictureError], n: int) -> DataError:
    """The error to raise where some of n pictures cannot be read: it names them all."""
    listed = "\n".join(f"  {error}" for error in bad)
    told = f"{where}: {len(bad)} of {n} pictures cannot be read:\n{listed}\n"
    return DataError(f"{told}Mend or remove them, or leave them out with --skip-bad.")


def grouped(names: list[str], inspections: list[Inspection], least: int) -> tuple[list[int], list[str]]:
    """A number for each picture, the same for pictures that show the same; and notes on what is odd about the set.

    Raises DataError for fewer different ones than `least`.
    """
    first: dict[str, int] = {}
    groups = [first.setdefault(one.fingerprint, i) for i, one in enumerate(inspections)]
    if len(first) < least:
        raise DataError(
            f"fit: needs at least {least} different good pictures, to see how much good ones differ; got {len(first)}"
            f"{f' ({len(names)} files that show the same)' if len(names) > 1 else ''}. Add good pictures: 20 to 300 serve well."
        )
    notes = []
    if len(first) < FEW:
        notes.append(f"Only {len(first)} different good pictures: the threshold can promise little. 20 to 300 serve well.")
    same = [f"{names[i]} = {names[group]}" for i, group in enumerate(groups) if i != group]
    if same:
        notes.append(f"{len(same)} pictures show the same as another: {', '.join(same[:3])}{' …' if len(same) > 3 else ''}.")
    sizes = sorted({one.size_hw for one in inspections})
    if len(sizes) > 1:
        listed = ", ".join(f"{wide}×{high}" for high, wide in sizes[:4])
        notes.append(
            f"Pictures of {len(sizes)} sizes ({listed}{' …' if len(sizes) > 4 else ''}): parts should appear equally large."
        )
    return groups, notes


def coarseness(preprocess: Preprocess, inspections: list[Inspection]) -> list[str]:
    """A note where the pictures are reduced so much that small defects may vanish."""
    side = max(one.size_hw[0] / preprocess.input_hw(one.size_hw)[0] for one in inspections)
    if side <= COARSE:
        return []
    reduced = f"The network sees one pixel for each {side:.0f}×{side:.0f} of the largest picture"
    cure = "A larger --size finds smaller ones; time and memory grow with its square."
    return [f"{reduced}: defects a few times as wide may be missed. {cure}"]


def counted(items: Iterable[Any], total: int, progress: Progress | None, what: str = "looking at pictures") -> Iterator[Any]:
    for done, item in enumerate(items, 1):
        if progress:
            progress(what, done, total)
        yield item

"""Pictures looked at before time is spent: whether each can be read, which show the same, what is odd about them, and the defective
ones that a method is shown.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from flawsight import loader
from flawsight.datasets.base import loose_samples, some
from flawsight.errors import DataError, PictureError, UsageError
from flawsight.fitting import sharing
from flawsight.images.traits import ALL_BITS
from flawsight.loader import Inspection
from flawsight.methods.base import Method, ShownMethod
from flawsight.preprocess import Preprocess
from flawsight.system import threads
from flawsight.types import Pixels, Progress, Sample, name_of

FEW = 20  # good pictures under which a fit warns
COARSE = 4  # pixels of the picture, on a side, for each that the network sees, above which a fit warns


def inspect(
    where: str,
    pictures: Sequence[Any],
    skip_bad: bool,
    progress: Progress | None,
    keep: Callable[[Pixels], Pixels | None] | None = None,
    pace: sharing.Pace | None = None,
    look: Callable[[Pixels], Pixels] | None = None,
    bits: int = ALL_BITS,
    left_out: Collection[str] = (),
) -> tuple[list[tuple[Any, int]], list[Inspection], dict[str, str]]:
    """The readable pictures with their positions, what is known of each, and name → reason of those left out.

    keep, look, bits: see loader.inspect. left_out: names of pictures that are not even read. Raises DataError naming every
    unreadable one unless they may be skipped.
    """
    every = enumerate(pictures, 1)
    numbered = [(picture, position) for position, picture in every if loader.named(picture, position) not in left_out]
    pacing = (pace.workers, pace.waiting) if pace else ()
    inspected = threads.ahead(lambda item: loader.inspect(*item, keep, look, bits), numbered, *pacing)
    results = list(_counted(inspected, len(numbered), progress, "checking pictures"))
    bad = [result for result in results if isinstance(result, PictureError)]
    if bad and not skip_bad:
        raise unreadable(where, bad, len(results))
    readable = [item for item, result in zip(numbered, results, strict=True) if isinstance(result, Inspection)]
    return readable, [result for result in results if isinstance(result, Inspection)], {error.name: error.reason for error in bad}


def names_left_out(pictures: Sequence[Any], wanted: Sequence[str]) -> list[str]:
    """The names of the pictures that are wanted left out, each once, in the pictures' order.

    wanted: names as results and notes give them, or paths. Raises UsageError for one that is no picture's.
    """
    if not wanted:
        return []
    names = [loader.named(picture, position) for position, picture in enumerate(pictures, 1)]
    called = {
        name: {name} | ({name_of(one.path)} if isinstance(one, Sample) else set())
        for name, one in zip(names, pictures, strict=True)
    }
    asked = {name_of(one) for one in wanted}
    if unknown := sorted(asked - set().union(*called.values())):
        near = difflib.get_close_matches(unknown[0], names, n=2, cutoff=0.5)
        hint = f"Did you mean {' or '.join(near)}?" if near else f"The pictures are called {some(names)}."
        raise UsageError(f"fit: leave_out: there is no good picture '{unknown[0]}'. {hint}")
    return [name for name in names if called[name] & asked]


def unreadable(where: str, bad: Sequence[PictureError], n: int) -> DataError:
    """The error to raise where some of n pictures cannot be read: it names them all."""
    listed = "\n".join(f"  {error}" for error in bad)
    message = f"{where}: {len(bad)} of {n} pictures cannot be read:\n{listed}\n"
    return DataError(f"{message}Mend or remove them, or leave them out with skip_bad.")


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
    cure = "A larger size finds smaller ones; time and memory grow with its square."
    return [f"{reduced}: defects a few times as wide may be missed. {cure}"]


def few_bits(bits: int, given: int | None) -> list[str]:
    """A note where the files have 16 bits and fewer are in use: set, or found."""
    if bits == ALL_BITS:
        return []
    most = (1 << bits) - 1
    if given is not None:
        return [f"16-bit files are read as {bits} bits, as was asked for: {most} is white."]
    found = f"No value in the 16-bit files exceeds {most}: they are read as {bits} bits, and {most} is white"
    return [f"{found}. If the camera gives more, say how many: bits=16 takes the whole range."]


def check_shown(method: Method, defects: Any) -> None:
    """Raise UsageError where a method that learns from labelled defective pictures too gets none, and where another gets some;
    DataError where there is no such folder of them.
    """
    takes = isinstance(method, ShownMethod)
    if takes and defects is None:
        raise UsageError(
            f"fit: {method.name} needs labelled defective pictures beside good ones; none came. Name a folder of them as defects."
        )
    if defects is not None and not takes:
        raise UsageError(f"fit: {method.name} learns from good pictures alone; defective ones came too. Leave out defects.")
    if isinstance(defects, str | Path) and not Path(defects).exists():
        raise DataError(f"fit: defects: {defects}: there is no such folder. Name one with pictures of defective parts.")


def show(
    method: Method,
    defects: Any,
    preprocess: Preprocess,
    skip_bad: bool,
    progress: Progress | None,
    good: set[str],
    bits: int = ALL_BITS,
) -> dict[str, str]:
    """Give the method these pictures, or those in a folder and below, as defective: name → fingerprint of each.

    good: fingerprints of the good ones. bits: see image.read. Nothing is done for a method that takes none. Raises DataError where
    one cannot be read, or is among the good ones.
    """
    if defects is None or not isinstance(method, ShownMethod):
        return {}
    pictures = loose_samples([Path(defects)]) if isinstance(defects, str | Path) else list(defects)
    readable, inspections, _ = inspect("fit", pictures, skip_bad, progress, bits=bits)
    shown = {loader.named(*item): one.fingerprint for item, one in zip(readable, inspections, strict=True)}
    if both := [name for name, print_ in shown.items() if print_ in good]:
        raise DataError(f"fit: {both[0]}: a defective picture was needed; it is among the good ones too. Remove it from either.")
    if not shown:
        raise DataError(
            f"fit: {method.name} needs a defective picture that can be read; of {len(pictures)} there is none. Add one."
        )
    method.with_defects([preprocess.apply(loader.read(*item, bits)) for item in readable])
    return shown


def told_of(shown: Mapping[str, str]) -> list[str]:
    """A note on the defective pictures that were learned from."""
    listed = ", ".join(list(shown)[:5]) + (" …" if len(shown) > 5 else "")
    return [f"Labelled defective pictures were learned from, {len(shown)}: {listed}."] if shown else []


def _counted(items: Iterable[Any], total: int, progress: Progress | None, what: str = "looking at pictures") -> Iterator[Any]:
    for done, item in enumerate(items, 1):
        if progress:
            progress(what, done, total)
        yield item

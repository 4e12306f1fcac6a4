"""What tells pictures apart without a look at the part: how they are stored, their size, their brightness.

Two questions. Are judged pictures unlike the good ones that were learned from? And does such a cue alone separate the defective
pictures of a labelled set from its good ones, so that a score may follow it rather than the defects? The latter is measured: the
AUROC of the cue as if it were a score, whichever way round.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import NamedTuple

from flawsight.images.traits import ALL_BITS, Learned, Traits, bits_used, span
from flawsight.metrics.ranking import auroc
from flawsight.types import Row

TELLING = 0.8  # AUROC of a cue from which it is noted
FEW_KINDS = 4  # values up to which a cue is a way of storing pictures; of more it varies by itself, and may separate a few by luck
LUCK = 3.0  # standard errors of the AUROC of a cue that says nothing: what may be luck lies within
COARSER = 10  # of 100, by which a JPEG's quality differs notably
LISTED = 3  # names in a note
SIZE, QUALITY, BRIGHTNESS = "Size", "JPEG quality", "Brightness"
STORED: dict[str, Callable[[Traits], str]] = {  # how a picture may be stored: name → the way, "" where there is none
    "Format": lambda traits: traits.format,
    "Colour": lambda traits: traits.colour,
    "Bit depth": lambda traits: traits.depth_in_words,
}


class Judged(NamedTuple):
    """A judged picture, and what it is like apart from what it shows."""

    row: Row
    traits: Traits


def notes_on(learned: Learned, judged: Sequence[Judged]) -> list[str]:
    """What a reader must know of these pictures beside the good ones that were learned from, and beside each other."""
    return [*_unlike(learned, judged), *_all_rejected(learned, judged), *_separating(judged)]


def _unlike(learned: Learned, judged: Sequence[Judged]) -> Iterator[str]:
    """Notes on pictures stored as none of those was that were learned from."""
    known = {"Format": learned.formats, "Colour": learned.colours, "Bit depth": learned.depths}
    for cue, way in STORED.items():
        other = [one for one in judged if way(one.traits) and way(one.traits) not in known[cue]]
        if known[cue] and other:
            yield _note(other, judged, " or ".join(sorted({way(one.traits) for one in other})), " or ".join(known[cue]))
    if learned.qualities:
        low, high = learned.qualities
        other = [one for one in judged if one.traits.quality and not low - COARSER <= one.traits.quality <= high + COARSER]
        if other:
            qualities = [one.traits.quality for one in other]
            seen = span((min(qualities), max(qualities)))
            yield _note(other, judged, f"JPEG of a quality of about {seen}", f"JPEG of about {span(learned.qualities)}")
    used = bits_used(one.traits for one in judged)
    if learned.bits == ALL_BITS > used and known["Bit depth"] and not any("16" in depth for depth in known["Bit depth"]):
        dark = f"No value in the judged 16-bit pictures exceeds {(1 << used) - 1}, so they are nearly black as they are read"
        yield f"{dark}. Save them with 8 bits as the pictures that were learned from, or fit on 16-bit ones."


def _note(other: Sequence[Judged], judged: Sequence[Judged], came: str, learned: str) -> str:
    names = ", ".join(one.row.sample.name for one in other[:LISTED]) + (", …" if len(other) > LISTED else "")
    are = f"{len(other)} of {len(judged)} judged pictures {'is' if len(other) == 1 else 'are'} {came}"
    return f"{are}; the model learned from {learned} only. Scores hold for pictures taken and stored alike: {names}."


def _all_rejected(learned: Learned, judged: Sequence[Judged]) -> Iterator[str]:
    """A hint where all pictures were rejected, or all good ones where that is known, though these are several."""
    good = [one for one in judged if one.row.sample.label == 0]
    those = good if any(one.row.sample.label is not None for one in judged) else judged
    if len(those) < 2 or not all(one.row.is_defective for one in those):
        return
    hint = f"All {len(those)} {'good ' if those is good else ''}pictures were rejected: have light, camera or encoding changed?"
    if learned.brightness:
        bright = [one.traits.brightness for one in those]
        seen = f"Their brightness is {span((min(bright), max(bright)))} of 255"
        hint += f" {seen}; that of the pictures learned from is {span(learned.brightness)}."
    yield hint


def _separating(judged: Sequence[Judged]) -> Iterator[str]:
    """Notes on cues that alone separate the defective pictures from the good ones."""
    good, bad = ([one for one in judged if one.row.sample.label == label] for label in (0, 1))
    if not good or not bad:
        return
    labels = [0] * len(good) + [1] * len(bad)
    for cue, scores in _scored([*good, *bad], labels):
        area = auroc(scores, labels)
        area = max(area, 1 - area)
        if area >= TELLING and (len(set(scores)) <= FEW_KINDS or area - 0.5 > LUCK * _standard_error(len(good), len(bad))):
            seen = f"{_in_words(cue, good)} of good pictures, {_in_words(cue, bad)} of defective ones"
            alone = f"{cue} alone separates good from defective pictures with an AUROC of {area:.2f} ({seen})"
            yield f"{alone}. Unless that is the defects' doing, the figures may measure it rather than them."


def _scored(judged: Sequence[Judged], labels: Sequence[int]) -> Iterator[tuple[str, list[float]]]:
    """Each cue, and what it would score the pictures. A way of storing scores as many as are defective of those stored so."""
    for cue, way in STORED.items():
        kinds = [way(one.traits) for one in judged]
        n, n_bad = Counter(kinds), Counter(kind for kind, label in zip(kinds, labels, strict=True) if label)
        yield cue, [n_bad[kind] / n[kind] for kind in kinds]
    yield SIZE, [float(one.row.size_hw[0] * one.row.size_hw[1]) for one in judged]
    if all(one.traits.quality for one in judged):
        yield QUALITY, [float(one.traits.quality) for one in judged]
    yield BRIGHTNESS, [one.traits.brightness for one in judged]


def _in_words(cue: str, judged: Sequence[Judged]) -> str:
    """The commonest or middle value of a cue."""
    if cue == BRIGHTNESS:
        return f"{median(one.traits.brightness for one in judged):.0f}"
    if cue == QUALITY:
        return f"{median(one.traits.quality for one in judged):.0f}"
    sizes = ["{1}×{0}".format(*one.row.size_hw) for one in judged]
    kinds = sizes if cue == SIZE else [STORED[cue](one.traits) or "pixels alone" for one in judged]
    return " and ".join(f"{kind} ({n})" for kind, n in Counter(kinds).most_common(2))


def _standard_error(n_good: int, n_bad: int) -> float:
    """Of the AUROC of a score that says nothing (Mann and Whitney, Ann. Math. Stat. 1947)."""
    return float(((n_good + n_bad + 1) / (12 * n_good * n_bad)) ** 0.5)

"""What the page shows of each picture: which ones, in which order, and their thumbnails as data URIs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flawsight.errors import FlawsightError
from flawsight.report import pictures, views
from flawsight.report.pictures import Scale
from flawsight.report.views import Thumbnail, View
from flawsight.types import Crop, Evidence, Pixels, Progress, Report, Row

PATCH_SIDE = 240  # pixels


@dataclass(frozen=True)
class Card:
    """One picture on the page.

    truth: "good", "defective" or "" where unknown. mistake: "missed defect", "false reject" or "". place: percent along
    the colour scale. relation: the score beside the threshold, in words. kept: the crop that `good_patch` is drawn from, where
    its picture is not at hand. view: the whole picture; close_up: of a long one, what is shown first. problem: why pictures are
    missing.
    """

    name: str
    kind: str
    truth: str
    rejected: bool
    mistake: str
    score: str
    relation: str
    place: float
    good_name: str = ""
    kept: Crop | None = None
    view: View | None = None
    close_up: View | None = None
    patch: Thumbnail | None = None
    good_patch: Thumbnail | None = None
    problem: str = ""


@dataclass(frozen=True)
class Chosen:
    """The rows to draw: mistakes, worst first; the other rejected ones and the other passed ones, highest score first.

    left: rejected rows that are not among them, highest score first.
    """

    mistakes: list[Row]
    rejected: list[Row]
    passed: list[Row]
    left: list[Row]

    @property
    def rows(self) -> list[Row]:
        """All of them in the order of the page."""
        return [*self.mistakes, *self.rejected, *self.passed]


def choose(rows: list[Row], threshold: float, at_most: int) -> Chosen:
    """The rows to draw, no more than `at_most`: mistakes before all else, then rejected pictures, highest score first.

    If there is room for some of the passed pictures only, it is for those nearest to the threshold, where the verdict was least
    clear.
    """
    wrong = sorted((row for row in rows if mistake(row)), key=lambda row: -_worst(abs(row.score - threshold)))
    right = sorted((row for row in rows if not mistake(row)), key=lambda row: -_worst(row.score))
    rejected, passed = ([row for row in right if bool(row.is_defective) == verdict] for verdict in (True, False))
    room = max(0, at_most - len(wrong))
    left = [row for row in wrong[at_most:] if row.is_defective] + rejected[room:]
    return Chosen(wrong[:at_most], rejected[:room], passed[: max(0, room - len(rejected))], left)


def _worst(score: float) -> float:
    """The score for sorting: one that is no number is the worst of all."""
    return math.inf if math.isnan(score) else score


def mistake(row: Row) -> str:
    """What the model got wrong about the picture, or nothing."""
    if row.sample.label == 1 and not row.is_defective:
        return "missed defect"
    return "false reject" if row.sample.label == 0 and row.is_defective else ""


def make(rows: list[Row], report: Report, threshold: float, progress: Progress | None) -> list[Card]:
    """A card per row, in order. A picture that can no longer be read gets a card that says so."""
    scale = Scale(*report.scale)
    cards = []
    for done, row in enumerate(rows, 1):
        cards.append(_card(row, scale, threshold, report.train))
        if progress is not None:
            progress("drawing pictures", done, len(rows))
    return cards


def _card(row: Row, scale: Scale, threshold: float, train: Mapping[str, Path]) -> Card:
    sample = row.sample
    images: dict[str, Thumbnail] = {}
    whole, close, problem = None, None, ""
    try:
        whole, close, images = _images(row, scale, train)
    except (FlawsightError, OSError) as error:
        problem = f"Not shown: {error}"
    return Card(
        name=sample.name,
        kind=sample.kind,
        truth={0: "good", 1: "defective"}.get(-1 if sample.label is None else sample.label, ""),
        rejected=bool(row.is_defective),
        mistake=mistake(row),
        score=scale.text(row.score),
        relation=_relation(row.score, threshold, scale),
        place=round(100 * float(np.nan_to_num(scale.position(row.score))), 1),
        good_name=row.evidence.good_name if row.evidence else "",
        kept=None if row.evidence is None or _is_at_hand(row.evidence, train) else row.evidence.crop,
        view=whole,
        close_up=close,
        patch=images.get("patch"),
        good_patch=images.get("good_patch"),
        problem=problem,
    )


def _relation(score: float, threshold: float, scale: Scale) -> str:
    distance = score - threshold
    side = "above" if distance > 0 else "below"
    if distance == 0:
        return "at the threshold"
    share = abs(distance) / threshold if threshold > 0 else 0.0
    if 0.001 <= share < 10:
        return f"{100 * share:.{0 if share >= 0.1 else 1}f} % {side} the threshold"
    return f"{scale.text(abs(distance))} {side} the threshold"


def _images(row: Row, scale: Scale, train: Mapping[str, Path]) -> tuple[View, View | None, dict[str, Thumbnail]]:
    """The whole picture, of a long one what is shown first, and the patches by name."""
    from flawsight.images import image, maskfiles

    pixels = image.read(row.sample.path, bits=row.bits)
    truth = None if row.sample.mask is None else maskfiles.read(row.sample.mask)
    verdict = f"{'rejected' if row.is_defective else 'passed'} with score {scale.text(row.score)}"
    whole = views.view(row, pixels, scale, truth, f"{row.sample.name}: {verdict}")
    close = views.close_up(row, pixels, scale, truth, f"{row.sample.name}, close to its most anomalous place: {verdict}")
    return whole, close, _evidence(row, row.evidence, pixels, train) if row.evidence else {}


def _evidence(row: Row, found: Evidence, pixels: Pixels, train: Mapping[str, Path]) -> dict[str, Thumbnail]:
    from flawsight.images import image

    patch = pictures.crop_square(pixels, found.box_xyxy, PATCH_SIDE)
    pair = {"patch": views.encoded(patch, f"Most anomalous patch of {row.sample.name}")}
    if _is_at_hand(found, train):
        good = pictures.crop_square(image.read(train[found.good_name], bits=row.bits), found.good_box_xyxy, PATCH_SIDE)
        pair["good_patch"] = views.encoded(good, f"Nearest good patch, in {found.good_name}")
    elif found.crop is not None:
        kept, which = found.crop, "Nearest good patch" if found.crop.is_nearest else "Good patch like the nearest"
        good = pictures.boxed(kept.pixels, kept.patch_xyxy, PATCH_SIDE)
        pair["good_patch"] = views.encoded(good, f"{which}, in {kept.name}, as the network sees it")
    return pair


def _is_at_hand(found: Evidence, train: Mapping[str, Path]) -> bool:
    """Whether the picture that holds the nearest good patch can be drawn from."""
    return found.good_name in train and train[found.good_name].is_file()


def shared_folder(names: list[str]) -> str:
    """The folder in which all these pictures lie, with a slash at its end; nothing where they share none."""
    folders = [name.rpartition("/")[0].split("/") if "/" in name else [] for name in names]
    shared = list(itertools.takewhile(lambda level: len(set(level)) == 1, zip(*folders, strict=False)))
    return "".join(f"{level[0]}/" for level in shared)

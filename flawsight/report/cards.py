"""What the page shows of each picture: which ones, in which order, and their thumbnails as data URIs."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flawsight.errors import FlawsightError
from flawsight.methods.base import Progress
from flawsight.report import pictures
from flawsight.report.pictures import Scale
from flawsight.types import Evidence, Pixels, Report, Row


@dataclass(frozen=True)
class Thumbnail:
    """A picture in the page. uri: the picture itself. alt: for those who do not see it. wide, high: its pixels."""

    uri: str
    alt: str
    wide: int
    high: int


@dataclass(frozen=True)
class Card:
    """One picture on the page.

    truth: "good", "defective" or "" where unknown. mistake: "missed defect", "false reject" or "". place: percent along
    the colour scale. relation: the score beside the threshold, in words. masked: whether `plain` shows the true outline.
    problem: why pictures are missing.
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
    heat: Thumbnail | None = None
    plain: Thumbnail | None = None
    masked: bool = False
    patch: Thumbnail | None = None
    good_patch: Thumbnail | None = None
    problem: str = ""


def choose(rows: list[Row], threshold: float, at_most: int) -> tuple[list[Row], list[Row]]:
    """The mistakes, worst first, and the other pictures, highest score first: together no more than `at_most`.

    Mistakes come before all else; of the others those nearest to the threshold are kept, where the verdict was least clear.
    """
    far = [(abs(row.score - threshold), row) for row in rows]
    wrong = [row for _, row in sorted((p for p in far if mistake(p[1])), key=lambda p: -p[0])]
    near = [row for _, row in sorted((p for p in far if not mistake(p[1])), key=lambda p: p[0])]
    wrong = wrong[:at_most]
    return wrong, sorted(near[: at_most - len(wrong)], key=lambda row: -row.score)


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
    masked, problem = False, ""
    try:
        images, masked = _thumbnails(row, scale, train)
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
        heat=images.get("heat"),
        plain=images.get("plain"),
        masked=masked,
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


def _thumbnails(row: Row, scale: Scale, train: Mapping[str, Path]) -> tuple[dict[str, Thumbnail], bool]:
    """Name of the thumbnail → thumbnail, and whether the true outline is in "plain"."""
    from flawsight import image

    pixels = image.read(row.sample.path, bits=row.bits)
    small = pictures.fit(pixels)
    verdict = f"{'rejected' if row.is_defective else 'passed'} with score {scale.text(row.score)}"
    made = {}
    if row.heat is not None:
        heat = pictures.overlay(small, row.heat, scale)
        made["heat"] = _encoded(heat, f"{row.sample.name} under its heat map: {verdict}")
    plain, masked = small, row.sample.mask is not None
    if row.sample.mask is not None:
        plain = pictures.outline(small, pictures.fit_mask(image.read_mask(row.sample.mask), _size(small)))
    told = f": {verdict}" if row.heat is None else ""
    made["plain"] = _encoded(plain, f"{row.sample.name}{', the true defect outlined' * masked}{told}")
    if row.evidence is not None:
        made |= _evidence(row, row.evidence, pixels, train)
    return made, masked


def _evidence(row: Row, found: Evidence, pixels: Pixels, train: Mapping[str, Path]) -> dict[str, Thumbnail]:
    from flawsight import image

    pair = {"patch": _encoded(_patch(pixels, found.box_xyxy), f"Most anomalous patch of {row.sample.name}")}
    path = train.get(found.good_name)
    if path is not None and path.is_file():
        good = _patch(image.read(path, bits=row.bits), found.good_box_xyxy)
        pair["good_patch"] = _encoded(good, f"Nearest good patch, in {found.good_name}")
    return pair


def _patch(pixels: Pixels, box_xyxy: tuple[int, int, int, int]) -> Pixels:
    """The patch with its own width around it on every side: enough to know the place again on the part."""
    longest = max(box_xyxy[2] - box_xyxy[0], box_xyxy[3] - box_xyxy[1], 8)
    return pictures.crop_square(pixels, box_xyxy, margin=longest)


def _encoded(pixels: Pixels, alt: str) -> Thumbnail:
    from flawsight import image

    data = base64.b64encode(image.encode(pixels, "webp", quality=80)).decode("ascii")
    high, wide = _size(pixels)
    return Thumbnail(f"data:image/webp;base64,{data}", alt, wide, high)


def _size(pixels: Pixels) -> tuple[int, int]:
    return pixels.shape[0], pixels.shape[1]

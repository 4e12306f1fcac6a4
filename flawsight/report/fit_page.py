"""A page of a fit: held-out scores, worst first, with heat maps; notes; what the network sees; the threshold and its promise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from flawsight.errors import FlawsightError
from flawsight.evaluation import evaluate
from flawsight.evaluation.judging import Judging
from flawsight.images import image
from flawsight.methods.base import LearnedMethod, SeparableMethod
from flawsight.model import Model
from flawsight.modelfile.training import Training
from flawsight.report import cards, charts, figures, pages, pictures, views
from flawsight.report.pictures import Scale
from flawsight.system.files import atomic_write
from flawsight.threshold.outlying import suspects
from flawsight.types import Progress, Row, Sample

SHOWN = 24  # good pictures drawn, those with the highest held-out scores
SIDE = 480  # pixels of the picture that stands beside what the network sees of it
LEARNED = "The heat maps are those of the model as it is, which has learned from these pictures; their scores are held-out ones."


def write(path: Path, model: Model, good: Sequence[Sample], shown: int = SHOWN, progress: Progress | None = None) -> None:
    """Write the page to `path`, wholly or not at all. Arguments as `render`; raises UsageError where it cannot be written."""
    # "replace": a file name may hold bytes that are no text
    atomic_write(path, render(model, good, shown, progress).encode("utf-8", "replace"))


def render(model: Model, good: Sequence[Sample], shown: int = SHOWN, progress: Progress | None = None) -> str:
    """The page of a model. good: the pictures that it was fitted on, by the names it knows them by; others are not drawn.

    shown: how many are drawn at most. progress: called after each. Raises UsageError for a model without a threshold.
    """
    return pages.render("fit.html.j2", _content(model, good, shown, progress))


def _content(model: Model, good: Sequence[Sample], shown: int, progress: Progress | None) -> dict[str, Any]:
    """What the template shows, by name."""
    scale, training = Scale(*model.colour_scale), model.training
    known = training.held_out[np.isfinite(training.held_out)]
    drawn = _cards(model, {one.name: one for one in good}, shown, progress)
    maps = any(card.view and card.view.heat for card in drawn)
    whole = isinstance(model.method, LearnedMethod | SeparableMethod)
    facts = {name: value for name, value in model.info().items() if name in ("method", "backbone", "good_pictures", "created")}
    return {
        "facts": [(name.replace("_", " "), str(value)) for name, value in facts.items()],
        "threshold": scale.text(model.threshold.value),
        "promise": figures.sentence(model.threshold.promise),
        "notes": [*training.notes, *([] if whole or not maps else [LEARNED])],
        "unread": training.skipped,
        "left_out": training.left_out,
        "range": [scale.text(float(value)) for value in np.quantile(known, (0, 0.5, 1))],
        "chart": "".join(charts.histogram([("good", known)], known[:0], scale, wide) for wide in (True, False)),
        "scores": [
            (name, "not known" if score is None else scale.text(score), score is not None and score > model.threshold.value)
            for name, score in training.held_out_by_name.items()
        ],
        "colour_bar": pictures.colour_bar(scale),
        "heat_stops": pictures.css_stops(),
        "cards": drawn,
        "maps": maps,
        "suspects": _suspects(training),
        "sight": _sight(model, good),
    }


def _suspects(training: Training) -> set[str]:
    """The names of the pictures that the fit's notes say to look at."""
    first: dict[str, int] = {}
    copies = [first.setdefault(one, i) for i, one in enumerate(training.fingerprints)]
    return {training.names[i] for i in np.flatnonzero(suspects(training.held_out, copies, training.series or None))}


def _cards(model: Model, good: dict[str, Sample], shown: int, progress: Progress | None) -> list[cards.Card]:
    """The pictures with the highest held-out scores, and where they are at hand the maps that these scores are of."""
    training = model.training
    ranked = np.argsort(-np.nan_to_num(training.held_out, nan=-np.inf), kind="stable")
    places = [int(i) for i in ranked if np.isfinite(training.held_out[i]) and training.names[i] in good][:shown]
    judging, rows, report = Judging(use_masks=False, skip_bad=True), list[Row](), None
    for done, place in enumerate(places, 1):
        blind = _without(model, place)
        report = evaluate(blind, [good[training.names[place]]], "", judging, {name: one.path for name, one in good.items()})
        score = float(training.held_out[place])
        rows += [replace(row, score=score, is_defective=score > model.threshold.value) for row in report.rows]
        if progress:
            progress("judging good pictures as if new", done, len(places))
    if report is None:
        return []
    train = {name: one.path for name, one in good.items()}
    return cards.make(rows, replace(report, rows=rows, train=train), model.threshold.value, None)


def _without(model: Model, place: int) -> Model:
    """The model as it is for a picture that it was fitted on, held out; where that cannot be, as it is."""
    held = model.training.held_out_with(place)
    if not isinstance(model.method, SeparableMethod) or len(held) == len(model.training.names):
        return model
    return replace(model, method=model.method.without(held), crops=None)  # which may be of the pictures held out


@dataclass(frozen=True)
class Sight:
    """What the network sees of a picture. name: of the picture; own, seen: its pixels and the network's, as text; each: how many
    of the picture's pixels are one of the network's; reduced: whether that is more than one.
    """

    name: str
    own: str
    seen: str
    each: str
    reduced: bool
    picture: views.Thumbnail
    input: views.Thumbnail


def _sight(model: Model, good: Sequence[Sample]) -> Sight | None:
    """Of the first good picture that can be read; None where there is none."""
    for one in good:
        try:
            pixels = image.read(one.path, bits=model.bits)
        except (FlawsightError, OSError):
            continue
        high, wide = model.preprocess.input_hw(pixels.shape[:2])
        left, top, right, bottom = model.preprocess.seen_xyxy(pixels.shape[:2])
        seen = model.preprocess.reduce(pixels)
        return Sight(
            name=one.name,
            own=f"{pixels.shape[1]}×{pixels.shape[0]}",
            seen=f"{wide}×{high}",
            each=f"{(right - left) / wide:.2g}×{(bottom - top) / high:.2g}",
            reduced=(bottom - top) > high,
            picture=views.encoded(pictures.fit(pixels, SIDE), f"{one.name} as it is"),
            input=views.encoded(np.broadcast_to(seen, (*seen.shape[:2], 3)), f"{one.name} as the network sees it"),
        )
    return None

"""A report as one self-contained page: no script, font or picture comes from elsewhere, and nothing is asked of a network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flawsight.report import cards, charts, figures, pages, pictures, tables
from flawsight.report.pictures import Scale
from flawsight.system.files import atomic_write
from flawsight.types import Float, Progress, Report, Row

UNREADABLE = "unreadable"
MOST_LISTED = 2000  # names of pictures that are not drawn


def write(path: Path, report: Report, max_pictures: int = 200, progress: Progress | None = None) -> None:
    """Writes the page to `path`, wholly or not at all. Arguments as `render`; raises UsageError where it cannot be written."""
    # "replace": a file name may hold bytes that are no text
    atomic_write(path, render(report, max_pictures, progress).encode("utf-8", "replace"))


def render(report: Report, max_pictures: int = 200, progress: Progress | None = None) -> str:
    """The page. At most `max_pictures` are drawn: mistakes first, then rejected ones, then passed ones near the threshold.

    Headline, filters and charts count every picture, drawn or not; unreadable ones are listed.
    progress: called after each picture drawn.
    """
    return pages.render("report.html.j2", _content(report, max_pictures, progress))


def _content(report: Report, max_pictures: int, progress: Progress | None) -> dict[str, Any]:
    """What the template shows, by name."""
    scale = Scale(*report.scale)
    threshold = float(report.threshold.get("value", scale.middle))
    chosen = cards.choose(report.rows, threshold, max_pictures)
    drawn = cards.make(chosen.rows, report, threshold, progress)
    lists = [listed for listed in (_left(chosen.left, scale), _unreadable(report)) if listed.lines]
    labelled = any(row.sample.label is not None for row in report.rows)
    return {
        "title": report.title,
        "labelled": labelled,
        "headline": figures.headline(report),
        "threshold": scale.text(threshold),
        "promise": figures.sentence(str(report.threshold.get("promise") or "")),
        "rates": figures.rates(report) if labelled else [],
        "metrics": figures.metrics(report) if labelled else [],
        "more_metrics": figures.more_metrics(report.metrics) if labelled else [],
        "kinds": _kinds(report) if labelled else [],
        "trade_off": _trade_off(report, scale),
        "fits_best": figures.FITS_BEST,
        "charts": _charts(report, scale),
        "colour_bar": pictures.colour_bar(scale),
        "heat_stops": pictures.css_stops(),
        "unseen": any(row.heat is not None and np.isnan(row.heat).any() for row in chosen.rows),
        "folder": cards.shared_folder([*(row.sample.name for row in report.rows), *report.unreadable]),
        "masked": any(card.view and card.view.truth for card in drawn),
        "maps": not report.rows or any(row.heat is not None for row in report.rows),
        "sections": _sections(drawn, chosen, report),
        "lists": lists,
        "n_shown": len(drawn) + sum(len(listed.lines) for listed in lists),
        "n_pictures": len(report.rows) + len(report.unreadable),
        "filters": _filters(report),
        "tally": _tally(report),
        "notes": [*_told_notes(report), *_own_notes(report, drawn)],
        "record": _record(report),
    }


def _kinds(report: Report) -> list[dict[str, str | float]]:
    """What is reported of each kind, its image AUROC in words."""
    message = figures.kinds(report.rows)
    return [
        {**one, "auroc": "–" if np.isnan(one["image_auroc"]) else figures.percent(float(one["image_auroc"]))} for one in message
    ]


@dataclass(frozen=True)
class Section:
    """A heading, words under it, cards, and how many pictures it stands for, drawn or not."""

    heading: str
    message: str
    cards: list[cards.Card]
    n_pictures: int


def _sections(drawn: list[cards.Card], chosen: cards.Chosen, report: Report) -> list[Section]:
    """The sections that hold any picture, in the order of the page."""
    rows, n_wrong, n_rejected = report.rows, len(chosen.mistakes), len(chosen.rejected)
    wrong = sum(bool(cards.mistake(row)) for row in rows)
    rejected = sum(bool(row.is_defective) and not cards.mistake(row) for row in rows)
    other = "other " if wrong else ""
    sections = [
        Section("Mistakes", "The worst first: farthest on the wrong side of the threshold.", drawn[:n_wrong], wrong),
        Section(f"All {other}rejected pictures", "Highest score first.", drawn[n_wrong:][:n_rejected], rejected),
        Section(f"All {other}passed pictures", "Highest score first.", drawn[n_wrong + n_rejected :], len(rows) - wrong - rejected),
    ]
    return [section for section in sections if section.n_pictures]


@dataclass(frozen=True)
class Line:
    """A picture that is named only. text: its score, or why there is none. verdict, mistake, kind: what the filters go by."""

    name: str
    text: str
    verdict: str
    mistake: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Listed:
    """Pictures that are named only, at most MOST_LISTED lines of them; n_pictures: all."""

    heading: str
    lines: list[Line]
    n_pictures: int


def _left(rows: list[Row], scale: Scale) -> Listed:
    """Rejected pictures for which there is no room."""
    lines = [
        Line(row.sample.name, f"score {scale.text(row.score)}", "rejected", _of_mistakes(row), row.sample.kind)
        for row in rows[:MOST_LISTED]
    ]
    return Listed("Rejected pictures that are not drawn", lines, len(rows))


def _unreadable(report: Report) -> Listed:
    """Pictures that could not be read, each with the reason."""
    lines = [Line(name, reason, UNREADABLE) for name, reason in list(report.unreadable.items())[:MOST_LISTED]]
    return Listed("Unreadable pictures", lines, len(report.unreadable))


def _of_mistakes(row: Row) -> str:
    return "mistake" if cards.mistake(row) else ""


def _trade_off(report: Report, scale: Scale) -> list[dict[str, Any]]:
    """figures.trade_off in words; `now` marks the threshold that is set."""
    value, counts = report.threshold.get("value"), report.counts
    return [
        {
            "threshold": scale.text(one["threshold"]),
            "now": one["threshold"] == value,
            "best": one["fits_best"],
            "promise": figures.percent(one["max_false_rejects"], 1),
            "good": f"{one['false_rejects']} of {counts.get('good', 0)}",
            "bad": f"{one['misses']} of {counts.get('defective', 0)}",
        }
        for one in figures.trade_off(report)
    ]


def _charts(report: Report, scale: Scale) -> list[dict[str, Any]]:
    """Heading, explanation, key and SVG of each chart there are data for."""
    made = [_histogram(report, scale)] if report.rows else []
    for name, heading, message in (
        ("roc", "ROC curve", "Every threshold is a point: the nearer to the top left corner the curve passes, the better."),
        ("pro", "PRO curve", "How much of each defect is marked, against how much of the sound surface is marked too."),
    ):
        x, y = report.curves.get(name, (np.zeros(0, np.float32),) * 2)
        if len(x) > 1 and np.isfinite(x).all() and np.isfinite(y).all():
            svg = charts.roc(x, y, _working_point(report)) if name == "roc" else charts.pro(x, y)
            made.append({"heading": heading, "message": message, "key": [], "svg": svg})
    return made


def _histogram(report: Report, scale: Scale) -> dict[str, Any]:
    classes = (("good", 0), ("defective", 1), ("unlabelled", None))
    groups = [(kind, _scores(row for row in report.rows if row.sample.label == label)) for kind, label in classes]
    message = "Right of the threshold is rejected."
    if len(groups[0][1]) and len(groups[1][1]):
        message += " The farther apart the two hills, the safer the verdict."
    key = [(kind, f"{kind} ({len(scores)})") for kind, scores in groups if len(scores)]
    if len(report.held_out):
        key.append(("held-out", f"good pictures held out when the threshold was set ({len(report.held_out)}), one tick each"))
    svg = "".join(charts.histogram(groups, report.held_out, scale, wide) for wide in (True, False))
    return {"heading": "Scores", "message": message, "key": key, "svg": svg}


def _scores(rows: Iterable[Row]) -> Float:
    return np.array([row.score for row in rows], np.float32)


def _working_point(report: Report) -> tuple[float, float] | None:
    good, bad = report.counts.get("good", 0), report.counts.get("defective", 0)
    if not good or not bad:
        return None
    return report.counts.get("false_rejects", 0) / good, 1 - report.counts.get("misses", 0) / bad


def _tally(report: Report) -> list[tuple[str, str, str, int]]:
    """How many pictures share a verdict, "mistake" or nothing, and a kind, drawn or not: what the filters count by."""
    counted = Counter(("rejected" if row.is_defective else "passed", _of_mistakes(row), row.sample.kind) for row in report.rows)
    counted[UNREADABLE, "", ""] = len(report.unreadable)
    return [(*key, n) for key, n in counted.items() if n]


def _filters(report: Report) -> dict[str, list[tuple[str, str, int]]]:
    """Buttons in two groups: (value that a card carries, text, number of pictures, drawn or not)."""
    tally = _tally(report)
    n_all = sum(n for *_, n in tally)
    verdicts = [("", "All", n_all)]
    if any(row.sample.label is not None for row in report.rows):
        verdicts.append(("mistake", "Mistakes", sum(n for _, mistake, _, n in tally if mistake)))
    for value in ("rejected", "passed", UNREADABLE):
        n = sum(n for verdict, _, _, n in tally if verdict == value)
        verdicts += [(value, value.capitalize(), n)] if n or value != UNREADABLE else []
    names = sorted({row.sample.kind for row in report.rows if row.sample.kind}, key=lambda kind: (kind != "good", kind))
    kinds = [(name, name, sum(row.sample.kind == name for row in report.rows)) for name in names]
    return {"verdicts": verdicts, "kinds": [("", "All kinds", n_all), *kinds] if len(kinds) > 1 else []}


def _told_notes(report: Report) -> list[str]:
    """The report's notes but those on unreadable pictures, which the page lists."""
    listed = {f"Left out, unreadable: {name}: {reason}" for name, reason in report.unreadable.items()}
    return [note for note in report.notes if note not in listed]


def _own_notes(report: Report, drawn: list[cards.Card]) -> list[str]:
    """What only the drawing of the page can tell."""
    notes = []
    if hidden := len(report.rows) - len(drawn):
        notes.append(
            f"{figures.pictures(hidden)} of {len(report.rows)} not drawn, to keep the page small: mistakes come first, then "
            "rejected pictures, then passed ones near the threshold. All figures, filters and charts count every picture."
        )
    if lost := sum(bool(card.problem) for card in drawn):
        notes.append(f"{figures.pictures(lost)} could not be read when this page was made; the reason stands in their place.")
    if any(card.good_name and card.patch and not card.good_patch for card in drawn):
        notes.append(
            "Some nearest good patches are named but not drawn: the pictures the model was fitted on are not at hand. "
            "`flawsight score` finds them in the folder that --good names."
        )
    if any(card.kept and not card.kept.is_nearest for card in drawn):
        notes.append(
            "The good pictures are not at hand, so some cards show a similar good patch that the model keeps. To draw the nearest "
            "ones, name the folder of good pictures: `flawsight score --good DIR`."
        )
    return notes


def _record(report: Report) -> list[tuple[str, list[tuple[str, str]]]]:
    """Heading and (name, text) lines of the footer's lists."""
    run = [("seed", str(report.seed)), ("peak memory", f"{report.peak_rss_mb:,.0f} MB")]
    rule = [(name, _text(value)) for name, value in report.threshold.items() if name != "promise"]
    blocks = [
        ("Settings", _flat(report.settings)),
        ("Threshold", rule),
        ("Timings", [(name.replace("_", " "), f"{value:.2f} s") for name, value in report.timings_s.items()]),
        ("Versions", list(report.versions.items())),
        ("Run", run),
    ]
    return [(heading, lines) for heading, lines in blocks if lines]


def _flat(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    lines: list[tuple[str, str]] = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            lines += _flat(value, f"{prefix}{name}.")
        else:
            lines.append((f"{prefix}{name}", _text(value)))
    return lines


def _text(value: Any) -> str:
    value = tables.plain(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(_text(item) for item in value) or "none"
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return str(value)

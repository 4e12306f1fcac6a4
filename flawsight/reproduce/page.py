"""The sheets as one self-contained page, with charts of what few good pictures are worth and the record of every cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flawsight.metrics import METRICS
from flawsight.report import charts, pages
from flawsight.reproduce import low_shot, oracle
from flawsight.reproduce.rows import ROWS
from flawsight.reproduce.running import Result, Run
from flawsight.reproduce.sheets import Line, Sheet, entry_text

FEW = 4  # categories that a title names; and columns whose names need not be turned


def render(sheets: Sequence[Sheet], run: Run | None = None) -> str:
    """The page. run: what was measured; the published tables alone without."""
    from markupsafe import Markup, escape

    def cell(line: Line, column: str) -> str:
        """As HTML, the best one in bold."""
        text = entry_text(line, column, lambda value: f"\x01{value}\x02")
        return Markup(str(escape(text)).replace("\x01", "<strong>").replace("\x02", "</strong>"))

    content = {
        "title": _title(run),
        "warning": "; ".join(dict.fromkeys(sheet.warning for sheet in sheets if sheet.warning)),
        "sheets": [(sheet, METRICS[sheet.metric].label, f"sheet-{number}") for number, sheet in enumerate(sheets, 1)],
        "charts": [(sheet.title, chart(sheet)) for sheet in sheets if sheet.name == low_shot.NAME],
        "not_run": [] if run is None else run.not_run,
        "cells": [] if run is None else [_record(result) for result in run.results],
        "measured": run is not None,
        "oracle": oracle.message([] if run is None else run.results),
        "cell": cell,
        "few": FEW,
    }
    return pages.render("page.html.j2", content, __package__, "page.css")


def chart(sheet: Sheet) -> str:
    """The low-shot sheet drawn: a curve for each method, the published one dashed in the same colour."""
    found = low_shot.series(sheet)
    titles = list(dict.fromkeys(one.title for one in found))
    curves = [charts.Curve(one.title, one.kind, titles.index(one.title), one.points) for one in found]
    return charts.few_pictures(curves, METRICS[sheet.metric].label)


def _title(run: Run | None) -> str:
    if run is None:
        return "Published tables"
    categories = list(dict.fromkeys(result.category for result in run.results))
    few = 0 < len(categories) <= FEW
    return f"Measured beside published: {', '.join(categories) if few else run.request.data.resolve().name}"


def _record(result: Result) -> dict[str, Any]:
    """A cell in words, for the record."""
    size = "own size" if result.size_hw is None else "{1}×{0}".format(*result.size_hw)
    return {
        "row": ROWS[result.row].title,
        "category": result.category,
        "seed": result.seed,
        "shots": "all" if result.shots is None else result.shots,
        "metrics": [f"{result.metric_ids[name]} {100 * value:.2f}" for name, value in result.metrics.items() if value is not None],
        "pixels": f"{result.pixels_at}, {size}, {result.mask_rule}",
        "network": f"{result.network['name']} {' '.join(result.network['levels'])}",
        "sha256": result.network["sha256"][:12],
        "seconds": f"{result.seconds['fit']:.1f} + {result.seconds['judge'] + result.seconds['metrics']:.1f}",
        "memory": f"{result.peak_rss_mb:,.0f}",
        "gap": result.protocol_gap,
        "mark": ("†" if result.no_reproduction else "") + (oracle.MARK if result.oracle else ""),
    }

"""A report as data: a dictionary for JSON, rows for a spreadsheet."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from flawsight.report.figures import kinds, trade_off
from flawsight.types import Report, Row

_COLUMNS = ("name", "label", "kind", "score", "is_defective", "box_x0", "box_y0", "box_x1", "box_y1", "nearest_good")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def to_json(report: Report) -> dict[str, Any]:
    """Everything in the report but curves and heat, of plain JSON types; what is undefined (NaN) or unbounded is None.

    metrics: fractions. kinds: see figures.kinds. threshold: value and the promise that goes with it. trade_off: what other
    thresholds would have done.
    pictures: one dictionary per picture, as in `row`.
    """
    content = {
        "title": report.title,
        "metrics": report.metrics,
        "counts": report.counts,
        "kinds": kinds(report.rows),
        "threshold": report.threshold,
        "trade_off": trade_off(report),
        "timings_s": report.timings_s,
        "peak_rss_mb": report.peak_rss_mb,
        "versions": report.versions,
        "seed": report.seed,
        "settings": report.settings,
        "notes": report.notes,
        "unreadable": report.unreadable,
        "pictures": [row_to_json(row) for row in report.rows],
    }
    return {name: plain(value) for name, value in content.items()}


def row_to_json(row: Row) -> dict[str, Any]:
    """One picture: label 0 good, 1 defective, None unknown; box_xyxy of its most anomalous patch, in its own pixels."""
    found = row.evidence
    return {
        "name": row.sample.name,
        "label": row.sample.label,
        "kind": row.sample.kind,
        "score": plain(row.score),
        "is_defective": bool(row.is_defective),
        "box_xyxy": None if found is None else plain(found.box_xyxy),
        "nearest_good": None if found is None else found.good_name,
    }


def to_csv(rows: Iterable[Row]) -> str:
    """A line per picture under a line of names. Text that a spreadsheet would run as a formula is led by an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(_COLUMNS)
    for row in rows:
        entry = row_to_json(row)
        box = entry["box_xyxy"] or (None,) * 4
        cells = [
            entry["name"],
            entry["label"],
            entry["kind"],
            entry["score"],
            entry["is_defective"],
            *box,
            entry["nearest_good"],
        ]
        writer.writerow(_guarded(cell) for cell in cells)
    return out.getvalue()


def plain(value: Any) -> Any:
    """The value in JSON's own types: arrays become lists, paths and other objects text, NaN and infinities None."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, np.generic | np.ndarray):
        return plain(value.tolist())
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return str(value)


def _guarded(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell

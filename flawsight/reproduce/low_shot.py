"""What few good pictures are worth: measured over repeated draws, beside the published low-shot figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from flawsight.metrics import METRICS
from flawsight.reproduce import published
from flawsight.reproduce.published import CATEGORIES
from flawsight.reproduce.recipes import TableRow
from flawsight.reproduce.rows import ROWS
from flawsight.reproduce.running import Result, Run
from flawsight.reproduce.sheets import MEAN, ORACLE, WITH_ORACLE, Entry, Line, Notes, Sheet, measured_line, no_reproduction

NAME = "low-shot"
FEWER = "The published figure averages over 15 categories, the measured one over: {}."


@dataclass(frozen=True)
class Series:
    """A line of the chart: points (good pictures, percent, spread over draws, NaN of one)."""

    title: str
    kind: str
    points: list[tuple[int, float, float]]


def low_shot_sheets(run: Run) -> list[Sheet]:
    """A sheet for each metric: how many good pictures across, methods down."""
    few = [result for result in run.results if result.shots is not None]
    metrics = dict.fromkeys(metric for table in run.request.tables for metric in published.get_table(table).metrics)
    return [sheet for metric in metrics if (sheet := _sheet(run, few, metric)) is not None]


def series(sheet: Sheet) -> list[Series]:
    """The published and measured lines of a low-shot sheet, to be drawn."""
    found = []
    for line in sheet.lines:
        if line.kind in ("published", "measured", ORACLE):
            points = [(int(shots), entry.value, entry.spread) for shots, entry in line.entries.items()]
            found.append(Series(line.title, line.kind, sorted(points)))
    return found


def _sheet(run: Run, results: Sequence[Result], metric: str) -> Sheet | None:
    kept = [result for result in results if result.metrics.get(metric) is not None]
    if not kept:
        return None
    numbers = sorted({int(result.shots or 0) for result in kept})
    notes, lines = Notes(), []
    for row in (row for row in ROWS.values() if row in run.request.rows):
        own = [result for result in kept if result.row == row.name]
        shown = _published(row, metric, numbers, own, notes)
        if shown.entries:
            lines.append(shown)
        if own:
            measured = _measured(row, metric, numbers, own, notes)
            lines += [measured, _difference(shown, measured, own)] if shown.entries else [measured]
    categories = sorted({result.category for result in kept})
    why = no_reproduction(kept)
    title = f"Few good pictures: {METRICS[metric].label}, mean over {_some(categories)}"
    title += f", not a reproduction: {why}" if why else ""
    title += f", {WITH_ORACLE}" if any(result.oracle for result in kept) else ""
    return Sheet(NAME, title, metric, [str(n) for n in numbers], lines, notes.texts, why)


def _published(row: TableRow, metric: str, numbers: Sequence[int], results: Sequence[Result], notes: Notes) -> Line:
    known = published.low_shot().get((row.name, metric), {})
    entries = {str(n): Entry(known[n], f"{known[n]:.1f}") for n in numbers if n in known}
    there = sorted({result.category for result in results})
    fewer = f" {FEWER.format(_some(there))}" if there and not set(there) >= set(CATEGORIES) else ""
    return Line(row.title, "published", entries, notes.number(f"{published.LOW_SHOT_NOTE}{fewer}") if entries else 0)


def _measured(row: TableRow, metric: str, numbers: Sequence[int], results: Sequence[Result], notes: Notes) -> Line:
    """For each number of pictures the mean over categories, and its spread over draws."""
    entries, mark, kind = {}, 0, "measured"
    for n in numbers:
        drawn = [result for result in results if result.shots == n]
        if drawn:
            line = measured_line(row.title, drawn, metric, [MEAN], notes)
            mark, kind = line.note, line.kind
            if MEAN in line.entries:
                entries[str(n)] = line.entries[MEAN]
    return Line(row.title, kind, entries, mark)


def _difference(shown: Line, measured: Line, results: Sequence[Result]) -> Line:
    """Flagged only where both are of all categories."""
    whole = {result.category for result in results} >= set(CATEGORIES)
    entries = {}
    for column, entry in shown.entries.items():
        if column in measured.entries:
            points = measured.entries[column].value - entry.value
            beyond = whole and abs(points) > published.LOW_SHOT_TOLERANCE
            entries[column] = Entry(points, beyond=beyond, oracle=measured.entries[column].oracle)
    return replace(measured, kind="difference", entries=entries, note=0)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 4 else f"{len(names)} categories"

"""Measured beside published, as sheets: categories across, methods down, means at the end. How a sheet looks is `writing`'s."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from flawsight.metrics import METRICS
from flawsight.reproduce import oracle, published
from flawsight.reproduce.published import AVERAGE, CATEGORIES, OBJECTS, TEXTURES, Figure, Table
from flawsight.reproduce.recipes import TableRow
from flawsight.reproduce.rows import get_row
from flawsight.reproduce.running import Result, Run

MEAN, ALL_TEXTURES, ALL_OBJECTS = "mean", "textures", "objects"  # columns of means, over those of the categories that are there
MEANS = {MEAN: CATEGORIES, ALL_TEXTURES: TEXTURES, ALL_OBJECTS: OBJECTS}
PRINTED_AVERAGE = "printed average"
NO_REPRODUCTION = "†"
ORACLE = "oracle choice"  # what a line is in place of measured; it is never the best of its column
WITH_ORACLE = f"{oracle.MARK} chosen on test labels"  # in the title of a sheet that holds such lines
SHOWN = "It learned from some of the test pictures with their labels, which are not judged."
ROUNDING = 1e-6  # of points: 0.5 off is not beyond 0.5


@dataclass(frozen=True)
class Entry:
    """One place of a sheet. value: percent, or points of a difference. printed: as published. spread: standard deviation over
    seeds, NaN of one. low, high: of an interval. best: of its column. beyond: a difference larger than tolerated. own: not the
    published network, so no reproduction. oracle: touched by a choice made on test labels. note: number of a footnote, 0 for none.
    """

    value: float
    printed: str = ""
    spread: float = math.nan
    low: float = math.nan
    high: float = math.nan
    best: bool = False
    beyond: bool = False
    own: bool = False
    note: int = 0
    oracle: bool = False


@dataclass(frozen=True)
class Line:
    """A line of a sheet. kind: published, measured, difference, interval, balanced accuracy, or oracle choice in place of measured.

    note: number of a footnote, 0 for none.
    """

    title: str
    kind: str
    entries: Mapping[str, Entry]
    note: int = 0


@dataclass(frozen=True)
class Sheet:
    """A metric of a table. name: such as S1; columns: what the entries go by; footnotes: number 1 first."""

    name: str
    title: str
    metric: str
    columns: list[str]
    lines: list[Line]
    footnotes: list[str] = field(default_factory=list)
    warning: str = ""

    @property
    def is_measured(self) -> bool:
        """Whether it holds more than what is published."""
        return any(line.kind != "published" for line in self.lines)


class Notes:
    """Footnotes in the order in which they are first referred to, each once."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def number(self, text: str) -> int:
        """The number to refer to it by; 0 for no text."""
        if text and text not in self.texts:
            self.texts.append(text)
        return self.texts.index(text) + 1 if text else 0


def published_sheets(names: Sequence[str], rows: Collection[str] | None = None) -> list[Sheet]:
    """The published tables alone, or what they print of some rows."""
    made = []
    for table in (published.get_table(name) for name in names):
        for metric in table.metrics:
            notes = Notes()
            columns = [*CATEGORIES, ALL_TEXTURES, ALL_OBJECTS, AVERAGE]
            shown = [row for row in table.rows if _figures(table, row, metric) and (rows is None or row in rows)]
            lines = [_published(table, get_row(row), metric, columns, notes) for row in shown]
            if lines:
                made.append(Sheet(table.name, _title(table, metric), metric, columns, lines, notes.texts))
    return made


def measured_sheets(run: Run) -> list[Sheet]:
    """What was measured of whole categories beside what is published of them, for each metric of each table asked for."""
    whole = [result for result in run.results if result.shots is None]
    made: list[Sheet] = []
    if run.request.shots:
        return made
    for table in (published.get_table(name) for name in run.request.tables):
        for metric in table.metrics:
            rows = [row for row in run.request.rows if _figures(table, row.name, metric)]
            kept = [one for one in whole if one.metrics.get(metric) is not None and get_row(one.row) in rows]
            if rows and (kept or not whole):
                made.append(_measured_sheet(table, metric, rows, kept))
    return made


def _measured_sheet(table: Table, metric: str, rows: Sequence[TableRow], results: Sequence[Result]) -> Sheet:
    there = {result.category for result in results}
    categories = [name for name in CATEGORIES if name in there] + sorted(there - set(CATEGORIES))
    groups = [name for name, members in MEANS.items() if name == MEAN or there & set(members)]
    columns = [*categories, *groups, *([PRINTED_AVERAGE] if there >= set(CATEGORIES) or not there else [])]
    notes, lines = Notes(), []
    for row in rows:
        own = [result for result in results if result.row == row.name]
        shown = _published(table, row, metric, columns, notes)
        if not own:
            lines += [replace(shown, title=f"{shown.title} (not run)")] if shown.entries else []
            continue
        measured = measured_line(row.title, own, metric, columns, notes)
        difference = _difference(row, metric, shown, measured)
        others = (*_interval(own, metric), *_accuracy(row, own, metric, columns))
        lines += [line for line in (shown, measured, difference, *others) if line.entries]
    warning = no_reproduction(results)
    title = _title(table, metric) + (f", not a reproduction: {warning}" if warning else "")
    title += f", {WITH_ORACLE}" if any(result.oracle for result in results) else ""
    return Sheet(table.name, title, metric, columns, _with_best(lines, columns), notes.texts, warning)


def measured_line(title: str, results: Sequence[Result], metric: str, columns: Sequence[str], notes: Notes) -> Line:
    """Mean and spread over the seeds in each category, and of each seed's mean over the categories that all seeds have."""
    seeds = {result.seed for result in results}
    values: dict[str, dict[int, float]] = {}
    for result in results:
        value = result.metrics[metric]
        if value is not None:
            values.setdefault(result.category, {})[result.seed] = 100 * value
    complete = [name for name, by_seed in values.items() if by_seed.keys() == seeds]
    for column, members in MEANS.items():
        inside = [name for name in complete if name in members or (column == MEAN)]
        if inside and column in columns:
            values[column] = {seed: statistics.fmean(values[name][seed] for name in inside) for seed in seeds}
    why = no_reproduction(results)
    choice = oracle.message(results)
    own = f"{NO_REPRODUCTION} Not a reproduction: {why}." if why else ""
    mark = notes.number(" ".join(filter(None, (own, choice, SHOWN if any(get_row(one.row).defects for one in results) else ""))))
    entries = {
        name: replace(_over_seeds(list(by_seed.values())), own=bool(why), oracle=bool(choice)) for name, by_seed in values.items()
    }
    return Line(title, ORACLE if choice else "measured", entries, mark)


def no_reproduction(results: Iterable[Result]) -> str:
    """Why results are none of the published ones, whatever they are; empty where they could be."""
    reasons = (reason for result in results if result.no_reproduction for reason in result.no_reproduction.split(", "))
    return ", ".join(dict.fromkeys(reasons))


def _published(table: Table, row: TableRow, metric: str, columns: Sequence[str], notes: Notes) -> Line:
    figures, entries = _figures(table, row.name, metric), {}
    for column in columns:
        known = AVERAGE if column == PRINTED_AVERAGE else column
        if known in figures:
            entries[column] = Entry(figures[known].percent, figures[known].printed, best=figures[known].best)
        elif column in MEANS:
            inside = tuple(name for name in columns if name in CATEGORIES and name in MEANS[column])
            if inside and not math.isnan(mean := published.mean(figures, inside)):
                entries[column] = Entry(mean)
    gap = notes.number(row.gap) if entries else 0  # before the notes of its entries, as one reads
    for column, entry in entries.items():
        known = AVERAGE if column == PRINTED_AVERAGE else column
        entries[column] = replace(entry, note=notes.number(published.note(table.name, row.name, known)))
    return Line(row.title, "published", entries, gap)


def _difference(row: TableRow, metric: str, shown: Line, measured: Line) -> Line:
    entries = {}
    for column, entry in shown.entries.items():
        against = MEAN if column == PRINTED_AVERAGE else column
        if against in measured.entries:
            points = measured.entries[against].value - entry.value
            tolerated = row.tolerance(metric, is_mean=against in MEANS)
            touched = measured.entries[against].oracle
            entries[column] = Entry(points, beyond=abs(points) > tolerated + ROUNDING, oracle=touched)
    return Line(row.title, "difference", entries)


def _interval(results: Sequence[Result], metric: str) -> list[Line]:
    """Where 95 % of resampled sets of pictures lie, of one seed; nothing of several, whose spread is shown instead."""
    if len({result.seed for result in results}) > 1:
        return []
    entries = {}
    for result in results:
        low, high = result.intervals.get(metric, [None, None])
        if low is not None and high is not None:
            entries[result.category] = Entry(math.nan, low=100 * low, high=100 * high, oracle=bool(result.oracle))
    return [Line(get_row(results[0].row).title, "interval", entries)] if entries else []


def _accuracy(row: TableRow, results: Sequence[Result], metric: str, columns: Sequence[str]) -> list[Line]:
    """Beside the image AUROC of a row that decides by itself, how often it did so rightly; nothing of others."""
    decided = [result for result in results if "balanced_accuracy" in result.metrics]
    if row.decides_at is None or metric != "image_auroc" or not decided:
        return []
    return [replace(measured_line(row.title, decided, "balanced_accuracy", columns, Notes()), kind="balanced accuracy", note=0)]


def _with_best(lines: Sequence[Line], columns: Sequence[str]) -> list[Line]:
    """The lines, the best of several measured ones marked in each column."""
    measured = [line for line in lines if line.kind == "measured"]
    best: dict[str, float] = {}
    for column in columns:
        values = [line.entries[column].value for line in measured if column in line.entries]
        best[column] = max(values) if len(values) > 1 else math.nan

    def marked(line: Line) -> Line:
        entries = {name: replace(one, best=one.value >= best[name] - ROUNDING) for name, one in line.entries.items()}
        return replace(line, entries=entries)

    return [marked(line) if line.kind == "measured" else line for line in lines]


def _over_seeds(values: Sequence[float]) -> Entry:
    return Entry(statistics.fmean(values), spread=statistics.stdev(values) if len(values) > 1 else math.nan)


def _figures(table: Table, row: str, metric: str) -> dict[str, Figure]:
    return published.figures().get((table.name, row, metric), {})


def _title(table: Table, metric: str) -> str:
    label = METRICS[metric].label
    return f"{table.name}: {table.title}" if len(table.metrics) == 1 else f"{table.name}: {table.title}, {label}"


def entry_text(line: Line, column: str, bold: Callable[[str], str] = str, dagger: str = NO_REPRODUCTION) -> str:
    """What stands in a place of a sheet, but for its footnote; empty where there is nothing. bold: how the best one is marked."""
    entry = line.entries.get(column)
    if entry is None:
        return ""
    mark = oracle.MARK if entry.oracle else ""
    if line.kind == "interval":
        return f"{entry.low:.1f}–{entry.high:.1f}{mark}"
    if line.kind == "difference":
        text = "0.0" if abs(entry.value) < 0.05 else f"{entry.value:+.1f}".replace("-", "−")
        return f"{text}{'!' if entry.beyond else ''}{mark}"
    text = entry.printed or f"{entry.value:.1f}"
    text = bold(text) if entry.best else text
    text += "" if math.isnan(entry.spread) else f" ± {entry.spread:.1f}"
    return text + (dagger if entry.own else "") + mark

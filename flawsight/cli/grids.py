"""The published tables, and what was measured beside them, on a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flawsight.cli.arguments import STDOUT
from flawsight.cli.console import as_is, duration, say_wrote, show_notes, write_json
from flawsight.report import tables
from flawsight.reproduce import oracle
from flawsight.reproduce.needs import Needs
from flawsight.reproduce.running import Result, Run
from flawsight.reproduce.sheets import Line, Sheet, entry_text
from flawsight.reproduce.writing import column_title, head, who, with_note
from flawsight.system import memory

NARROWEST = 9  # letters of a column with its border, so that a sheet can be cut to the terminal's width
HEAD = 40  # letters of the first two columns


def tell_sheets(sheets: Sequence[Sheet], run: Run | None, json: Path | None, wrote: Sequence[Path]) -> None:
    """The sheets on the terminal; if asked for, everything as JSON in a file, or on standard output instead."""
    content: dict[str, Any] = {"sheets": [asdict(sheet) for sheet in sheets]}
    if run is not None:
        content |= {"cells": [asdict(result) for result in run.results], "not_run": [list(one) for one in run.not_run]}
    write_json(tables.plain(content), json)
    if json != STDOUT:
        show_sheets(Console(), sheets, run)
        say_wrote(*wrote, json)


def show_sheets(console: Console, sheets: Sequence[Sheet], run: Run | None = None) -> None:
    """Each sheet with its footnotes, in as many parts as the terminal's width asks for; then what was not run."""
    fits = max(3, (console.width - HEAD) // NARROWEST)
    for sheet in sheets:
        console.print(as_is(f"{sheet.title} (percent)"), style="bold", soft_wrap=True)
        step = math.ceil(len(sheet.columns) / math.ceil(len(sheet.columns) / fits))
        for start in range(0, len(sheet.columns), step):
            part = sheet.columns[start : start + step]
            console.print(_table(sheet, part))
        for number, text in enumerate(sheet.footnotes, 1):
            console.print(as_is(f"[{number}] {text}"), soft_wrap=True)
        console.print()
    if run is not None:
        show_notes(console, _not_run(run.not_run))


def tell_needs(needs: Needs, json: Path | None) -> None:
    """What the cells of a request will need, on the terminal; likewise as JSON."""
    write_json(tables.plain({**asdict(needs), "total_s": needs.total_s}), json)
    if json != STDOUT:
        show_needs(Console(), needs)
        say_wrote(json)


def show_needs(console: Console, needs: Needs) -> None:
    """A line for each row in each category, what all take together, and what cannot be estimated or run."""
    known = [one for one in needs.of_cells if not one.why]
    if known:
        table = Table("method", "category")
        for title in ("cells", "fit of each", "judging it", "memory"):
            table.add_column(title, justify="right")
        for one in known:
            spent = duration(one.fit_s), duration(one.judge_s), memory.in_words(1e6 * one.peak_mb)
            table.add_row(as_is(one.row + _shots(one.shots)), as_is(one.category), str(one.cells), *spent)
        console.print(table)
        console.print(f"About {duration(needs.total_s)} in all, one cell after another.", soft_wrap=True)
    if needs.finished:
        are = "is" if needs.finished == 1 else "are"
        console.print(f"{needs.finished} of the cells {are} finished and not counted.", soft_wrap=True)
    untold = [f"not estimated: {who(one.row, one.category)}: {one.why}" for one in needs.of_cells if one.why]
    show_notes(console, [*untold, *_not_run(needs.not_run)])


def tell_cell(result: Result, done: int, n_all: int, left_s: float) -> None:
    """A finished cell on standard error: which, what was measured, and how long the rest may take."""
    values = ", ".join(
        f"{result.metric_ids[name]} {100 * value:.1f}" for name, value in result.metrics.items() if value is not None
    )
    left = f"; about {duration(left_s)} left" if done < n_all else ""
    choice = f" {oracle.MARK} chosen on test labels" if result.oracle else ""
    typer.echo(
        f"{done}/{n_all} {result.row} {result.category}, seed {result.seed}{_shots(result.shots)}: {values}{choice}{left}", err=True
    )


def _not_run(not_run: Sequence[tuple[str, str, str]]) -> list[str]:
    return [f"not run: {who(row, category)}: {why}" for row, category, why in not_run]


def _shots(shots: int | None) -> str:
    return "" if shots is None else f", {shots} good pictures"


def _table(sheet: Sheet, columns: Sequence[str]) -> Table:
    table = Table("method", *([""] if sheet.is_measured else []))
    for column in columns:
        table.add_column(as_is(column_title(column)), justify="right")
    before = ""
    for line in sheet.lines:
        if sheet.is_measured and line.title != before and before:
            table.add_section()
        title, kind = head(line, before)
        table.add_row(as_is(title), *([as_is(kind)] if sheet.is_measured else []), *(_entry(line, column) for column in columns))
        before = line.title
    return table


def _entry(line: Line, column: str) -> Text:
    entry = line.entries.get(column)
    text = as_is(with_note(entry_text(line, column), entry.note if entry else 0))
    if entry is not None and (entry.best or entry.beyond):
        text.stylize("bold red" if entry.beyond else "bold")
    return text

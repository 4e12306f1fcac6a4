"""A report on a terminal or in a pipe: scores, metrics, other thresholds, notes."""

from __future__ import annotations

import math
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flawsight.cli.arguments import STDOUT
from flawsight.cli.console import SHOWN, as_is, say_wrote, show_notes, write_json
from flawsight.metrics import METRICS
from flawsight.report import tables
from flawsight.report.figures import FITS_BEST, trade_off
from flawsight.types import Report, Row


def tell_report(report: Report, json: Path | None, *wrote: Path | None) -> None:
    """A report likewise."""
    write_json(tables.to_json(report), json)
    if json != STDOUT:
        show_report(Console(), report)
        say_wrote(*wrote, json)


def tell_scores(report: Report, json: Path | None, quiet: bool, *wrote: Path | None) -> None:
    """Scores of pictures likewise: a table where somebody looks on; in a pipe, or if quiet, a line a picture."""
    write_json(tables.to_json(report), json)
    if json == STDOUT:
        return
    console = Console()
    if quiet or not console.is_terminal:
        show_lines(report)
        console = Console(stderr=True)
    else:
        show_scores(console, report.rows)
    if not quiet:
        show_counts(console, report)
        show_report(console, report)
        say_wrote(*wrote, json, error=console.stderr)


def show_lines(report: Report) -> None:
    """Each picture on a line of its own, the worst first: verdict, score and name with tabs between."""
    for row in _worst_first(report.rows):
        typer.echo(f"{'rejected' if row.is_defective else 'passed'}\t{row.score:.6g}\t{as_is(row.sample.name).plain}")
    for name in report.unreadable:
        typer.echo(f"unreadable\t\t{as_is(name).plain}")


def show_report(console: Console, report: Report) -> None:
    """Metrics, mistakes in counts, the threshold's promise, and what a reader must know."""
    if report.metrics:
        table = Table("metric", "value", title=as_is(report.title), title_justify="left")
        for name, value in report.metrics.items():
            table.add_row(METRICS[name].label, "not measurable" if math.isnan(value) else f"{100 * value:.2f} %")
        console.print(table)
        _show_trade_off(console, report)
        counts = report.counts
        console.print(f"{counts['false_rejects']} of {counts['good']} good pictures rejected; ", end="")
        console.print(f"{counts['misses']} of {counts['defective']} defective pictures missed.")
    promise = str(report.threshold["promise"])
    console.print(f"Threshold {report.threshold['value']:.4g}. {promise[:1].upper()}{promise[1:]}.", soft_wrap=True)
    show_notes(console, report.notes)


def _show_trade_off(console: Console, report: Report) -> None:
    if offered := trade_off(report):
        table = Table("threshold", "promised false rejects", "good rejected", "defects missed", title="Other thresholds")
        for one in offered:
            chosen = " (set)" if one["threshold"] == report.threshold["value"] else ""
            chosen += " (fits best)" if one["fits_best"] else ""
            promise = f"≤ {100 * one['max_false_rejects']:.1f} %"
            table.add_row(f"{one['threshold']:.4g}{chosen}", promise, str(one["false_rejects"]), str(one["misses"]))
        console.print(table)
        if any(one["fits_best"] for one in offered):
            console.print(FITS_BEST, soft_wrap=True)


def show_scores(console: Console, rows: list[Row]) -> None:
    """Pictures with their scores, the worst first: every rejected one, and others up to SHOWN."""
    table = Table("picture", "score", "verdict")
    table.columns[0].overflow = "fold"
    shown = max(SHOWN, sum(row.is_defective for row in rows))
    for row in _worst_first(rows)[:shown]:
        verdict = Text("reject", "bold red") if row.is_defective else Text("pass", "green")
        table.add_row(as_is(row.sample.name), f"{row.score:.4g}", verdict)
    if rows:
        console.print(table)
    if len(rows) > shown:
        console.print(f"… and {len(rows) - shown} more that pass, none scoring higher.")


def show_counts(console: Console, report: Report) -> None:
    """How many pictures were rejected."""
    message = f"{report.counts['rejected']} of {len(report.rows)} pictures rejected (score above {report.threshold['value']:.4g})."
    console.print(message if report.rows else "No picture could be judged.", soft_wrap=True)


def _worst_first(rows: list[Row]) -> list[Row]:
    """By score, one that is no number before all."""
    return sorted(rows, key=lambda row: -math.inf if math.isnan(row.score) else -row.score)

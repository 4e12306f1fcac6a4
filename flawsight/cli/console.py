"""What a terminal shows: a report or a model as tables, and how far long work has come."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from rich import progress as bars
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flawsight.bench import BenchResult
from flawsight.bench.speeds import STAGES, Spread
from flawsight.cli.arguments import STDOUT
from flawsight.cli.exits import CannotTell, as_options
from flawsight.datasets.verify import Verification
from flawsight.fitting import UNTOLD
from flawsight.fitting.forecast import Estimate
from flawsight.fitting.rehearsal import TrainingEstimate
from flawsight.report import results
from flawsight.system import interrupts, memory
from flawsight.system.files import atomic_write
from flawsight.types import DETAIL, Progress

BRIEF = (
    "good_pictures",
    "series",
    "left_out",
    "left_out_as_asked",
    "picture_sizes",
    "network_sees",
    "good_crops",
    "threshold",
    "promise",
    "earlier_thresholds",
)
EVERY_S = 60.0  # of progress where there is no terminal
SHOWN = 20  # pictures listed before the rest is counted
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # a terminal would obey them, or cannot write them


def tell(facts: dict[str, Any], notes: list[str], json: Path | None, wrote: Path | None = None) -> None:
    """A model's facts on the terminal; if asked for, as JSON in a file, or on standard output instead.

    Of a model that was just written only what matters at once is shown; `flawsight info` shows the rest.
    """
    write_json({**facts, "notes": notes}, json)
    if json != STDOUT:
        shown = facts if wrote is None else {name: facts[name] for name in BRIEF if name in facts}
        if inside := shown.get("in_series"):
            shown = {**shown, "in_series": _counted(inside)}
        if scores := shown.get("held_out_by_name"):
            shown = {**shown, "held_out_by_name": _highest(scores)}
        show_facts(Console(), {name.replace("_", " "): value for name, value in shown.items()})
        show_notes(Console(), notes)
        say_wrote(wrote, json)


def _highest(scores: dict[str, float | None]) -> str:
    """Good pictures with the highest held-out scores, which come first."""
    listed = [f"{name} {score:.4g}" for name, score in scores.items() if score is not None]
    return ", ".join(listed[:SHOWN]) + (f" and {len(listed) - SHOWN} lower ones; --json lists all" if len(listed) > SHOWN else "")


def _counted(inside: dict[str, list[str]]) -> str:
    """How many pictures each series has, by its first; those of one picture are not among them."""
    listed = [f"{first} ({len(names)})" for first, names in inside.items()]
    return ", ".join(listed[:SHOWN]) + (f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else "")


def tell_estimate(estimate: Estimate | TrainingEstimate | None, json: Path | None, alone: bool) -> None:
    """What a fit will need, in two lines before its progress on standard error; alone, on standard output or as JSON.

    Raises CannotTell if it is asked for alone where it cannot be estimated.
    """
    if estimate is None:
        if alone:
            raise CannotTell(f"fit: the time and memory needed cannot be estimated: {UNTOLD}. Leave out --dry-run.")
        return
    if alone:
        write_json({**dataclasses.asdict(estimate), "total_s": estimate.total_s}, json)
    if json != STDOUT:
        console = Console(stderr=not alone)
        for line in _in_short(estimate):
            console.print(as_is(line), soft_wrap=True)
        if alone:
            say_wrote(json)


def _in_short(estimate: Estimate | TrainingEstimate) -> Iterator[str]:
    peak, budget = memory.in_words(1e6 * estimate.peak_mb), memory.in_words(1e6 * estimate.budget_mb)
    if isinstance(estimate, TrainingEstimate):
        learned = f"{estimate.pictures} pictures, {estimate.learned_from} of them to learn from"
        yield f"{learned}: about {duration(estimate.total_s)}, {peak} of memory (may take {budget})"
        yield f"Then about {estimate.latency_ms:.0f} ms a picture"
        return
    blocks = "" if estimate.blocks == 1 else f", patches chosen in about {estimate.blocks} blocks"
    yield f"{estimate.pictures} pictures: about {duration(estimate.total_s)}, {peak} of memory (may take {budget}){blocks}"
    bank = f"{estimate.bank_rows:,} × {estimate.bank_dims}, {estimate.bank_mb:.1f} MB"
    yield f"The bank: {bank}; then about {estimate.latency_ms:.0f} ms a picture"


def duration(seconds: float) -> str:
    """A time in seconds, minutes or hours, whichever is short."""
    if seconds < 100:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"


def tell_bench(result: BenchResult, json: Path | None) -> None:
    """How fast a model is likewise."""
    write_json(dataclasses.asdict(result), json)
    if json != STDOUT:
        show_bench(Console(), result)
        say_wrote(json)


def tell_verification(found: Verification, json: Path | None) -> None:
    """What is right and wrong with a data set likewise."""
    write_json(dataclasses.asdict(found), json)
    if json != STDOUT:
        show_verification(Console(), found)
        say_wrote(json)


def show_verification(console: Console, found: Verification) -> None:
    """Pictures of each category beside what was published, then all that is wrong."""
    table = Table("category", "train", "good", "defective, by kind", "as published", title=as_is(f"{found.title} in {found.root}"))
    for one in found.categories:
        train, good, *kinds = one.counts.items() if one.counts else (("", "not"), ("", "read"))
        message = ", ".join(f"{kind} {n}" for kind, n in kinds)
        verdict = ("no" if one.problems else "yes") if one.published else "not known"
        table.add_row(as_is(one.name), str(train[1]), str(good[1]), as_is(message), verdict)
    console.print(table)
    show_notes(console, found.notes)
    for problem in found.problems[:SHOWN]:
        console.print(Text("wrong: ", "red"), as_is(problem), sep="", soft_wrap=True)
    if len(found.problems) > SHOWN:
        console.print(f"… and {len(found.problems) - SHOWN} more.")
    verdict = f"Not whole: {len(found.problems)} problem{'s' * (len(found.problems) > 1)}." if found.problems else "Whole."
    console.print(as_is(f"{verdict} {found.where}".strip()), soft_wrap=True)


def show_bench(console: Console, result: BenchResult) -> None:
    """Milliseconds of each stage under each runtime, what the model holds, and what to choose."""
    sizes = ", ".join(f"{wide}×{high}" for wide, high in result.sizes)
    console.print(as_is(f"{result.model} on {result.cores} cores; pictures: {result.pictures}, {sizes} pixels"), soft_wrap=True)
    table = Table("stage", title="Milliseconds a picture: median, and what 95 of 100 stay below", title_justify="left")
    for name in result.runtimes:
        table.add_column(name, justify="right")
    for stage, message in STAGES.items():
        table.add_row(f"{stage}: {message}", *[_in_ms(speed.stages[stage]) for speed in result.runtimes.values()])
    table.add_row("one picture, whole", *[_in_ms(speed.total) for speed in result.runtimes.values()], style="bold")
    console.print(table)
    rates = ", ".join(f"{speed.pictures_per_s:.1f} under {name}" for name, speed in result.runtimes.items())
    rows = f"a bank of {result.bank_rows} rows, " if result.bank_rows else ""
    facts = {
        "pictures/s in a stream": rates,
        "learned": f"{rows}{result.bank_bytes / 2**20:.1f} MiB",
        "peak memory": f"{result.peak_rss_mb:.0f} MiB with {', '.join(result.runtimes)} loaded",
    }
    if result.score_differences:
        message = ", ".join(
            f"{100 * share:.2g} % of the threshold under {name}" for name, share in result.score_differences.items()
        )
        facts["scores differ by"] = f"at most {message}"
    show_facts(console, facts)
    for sentence in result.why:
        console.print(as_is(sentence), soft_wrap=True)
    show_notes(console, [*result.notes, *result.missing.values()])


def _in_ms(spread: Spread) -> str:
    return f"{spread.p50_ms:.1f} {spread.p95_ms:6.1f}"


def show_facts(console: Console, facts: dict[str, Any]) -> None:
    """Names and values, one to a line."""
    table = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        table.add_row(Text(name, "bold", no_wrap=True), as_is(_in_words(value)))
    console.print(table)


def show_notes(console: Console, notes: list[str]) -> None:
    """Each note on a line of its own."""
    for note in notes:
        console.print(Text("note: ", "yellow"), as_is(as_options(note)), sep="", soft_wrap=True)


@contextlib.contextmanager
def meter(quiet: bool = False) -> Iterator[Progress]:
    """How far each thing has come and the time left for it, on standard error: bars, or where that is no terminal, as in the log of
    work that runs overnight, a line each minute; nothing if quiet.
    """
    console = Console(stderr=True)
    if quiet:
        yield lambda what, done, total: interrupts.check()
        return
    if not console.is_terminal:
        yield _in_lines()
        return
    columns = (bars.BarColumn(), bars.MofNCompleteColumn(), bars.TimeElapsedColumn(), bars.TimeRemainingColumn())
    with bars.Progress("{task.description}", *columns, console=console) as shown:
        tasks: dict[str, bars.TaskID] = {}

        def progress(what: str, done: int, total: int) -> None:
            interrupts.check()
            thing = what.partition(DETAIL)[0]
            if thing not in tasks:
                tasks[thing] = shown.add_task(what, total=total)
            shown.update(tasks[thing], description=what, completed=done, total=total)

        yield progress


def _in_lines() -> Progress:
    begun: dict[str, tuple[int, float, int]] = {}  # thing → how far it was last, when it began, and how far it was then
    spoken = time.monotonic()

    def progress(what: str, done: int, total: int) -> None:
        nonlocal spoken
        interrupts.check()
        thing, now = what.partition(DETAIL)[0], time.monotonic()
        last, start, first = begun.get(thing, (total, now, done))
        if done < last:  # it begins, perhaps again
            start, first = now, done
        begun[thing] = done, start, first
        if now - spoken >= EVERY_S:
            spoken = now
            left = f", about {duration((now - start) * (total - done) / (done - first))} left" if total > done > first else ""
            typer.echo(f"{what}: {done:,} of {total:,}{left}", err=True)

    return progress


def as_is(text: str) -> Text:
    """The text with nothing in it taken for markup, an emoji or a command to the terminal."""
    return Text(_UNPRINTABLE.sub("\ufffd", text))


def _in_words(value: Any, inner: bool = False) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_in_words(one, inner=True)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        text = ", ".join(map(_in_words, value)) or "none"
        return f"({text})" if inner and value else text
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def write_json(content: dict[str, Any], path: Path | None) -> None:
    """The content as JSON, in a file or on standard output; nowhere without a path."""
    if path == STDOUT:
        typer.echo(results.json_bytes(content))
    elif path:
        atomic_write(path, results.json_bytes(content))


def say_wrote(*paths: Path | None, error: bool = False) -> None:
    """Which files were written, on standard output or standard error."""
    for path in filter(None, paths):
        typer.echo(f"Wrote {path}.", err=error)

"""The verbs that use a model file: `score`, `info`, `threshold` and `bench`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from flawsight.cli import options as opt
from flawsight.cli.arguments import JSON, MODEL, STDOUT, check_model_first, check_places
from flawsight.cli.exits import REJECTED, stop
from flawsight.errors import UsageError


def score(
    model: opt.ModelFile,
    pictures: Annotated[list[Path], typer.Argument(metavar="PICTURES", help="Picture files and folders.")],
    out: opt.ResultsDir = None,
    maps: opt.Maps = None,
    masks: opt.Masks = False,
    good: opt.GoodDir = None,
    quiet: opt.Quiet = False,
    json: opt.Json = None,
    runtime: opt.Runtime = "onnxruntime",
    device: opt.Device = "cpu",
) -> None:
    """Score new pictures. Exit status: 0 if all pass, 3 if some are rejected, 1 if some cannot be read.

    In a pipe each picture is a line of verdict, score and name; all else goes to standard error.
    """
    check_model_first("score", model, pictures)
    from flawsight.cli.console import meter
    from flawsight.cli.reports import tell_scores
    from flawsight.datasets.base import scored_samples
    from flawsight.evaluation import evaluate
    from flawsight.evaluation.judging import Judging
    from flawsight.fitting import good_pictures
    from flawsight.model import load
    from flawsight.report import results

    if (maps or masks) and not out:
        raise UsageError("score: --maps and --masks are written into the folder of results. Name one with --out.")
    if quiet and json == STDOUT:
        raise UsageError("score: --quiet and --json - both write to standard output. Leave out either.")
    check_places((json, JSON))
    loaded = load(model, runtime, device)
    samples, unused = scored_samples(pictures)
    train = {one.name: one.path for one in good_pictures(good, below=True)} if good else None
    folder = results.ResultsFolder(out, samples, maps, masks) if out else None
    judging = Judging(use_masks=False, skip_bad=True)
    with meter(quiet) as progress:
        title = f"{len(samples)} pictures scored by {model.name}"
        report = evaluate(loaded, samples, title, judging, train, progress, folder.keep if folder else None)
        report = replace(report, notes=[*unused, *report.notes])
        if folder:
            report = folder.write(report, progress)
    tell_scores(report, json, quiet, out and out / "report.html")
    if report.unreadable:
        stop(f"error: {len(report.unreadable)} of {len(samples)} pictures could not be read.", 1)
    raise typer.Exit(REJECTED if report.counts["rejected"] else 0)


def info(model: opt.ModelFile, json: opt.Json = None) -> None:
    """Show what is in a model file."""
    check_model_first("info", model, [])
    from flawsight.cli.console import tell
    from flawsight.model import load

    check_places((json, JSON))
    loaded = load(model)
    tell(loaded.info(), loaded.training.notes, json)


def threshold(
    model: opt.ModelFile,
    max_false_rejects: opt.FalseRejects = None,
    value: Annotated[float | None, typer.Option(help="Set the threshold to this score.", rich_help_panel=opt.THRESHOLD)] = None,
    known: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="DATA",
            help="Set the threshold from known defects: a data set as for `evaluate`, or a folder of defective pictures.",
            rich_help_panel=opt.THRESHOLD,
        ),
    ] = None,
    confidence: opt.Confidence = 0.95,
    category: opt.Category = None,
    layout: opt.Layout = None,
    skip_bad: opt.SkipBad = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write to this file instead of changing MODEL.")
    ] = None,
    json: opt.Json = None,
) -> None:
    """Change a model's threshold without fitting again. The old one stays in the model's history."""
    check_model_first("threshold", model, [])
    from flawsight.cli.console import meter, tell
    from flawsight.evaluation.known_defects import known_pictures, threshold_from
    from flawsight.model import load
    from flawsight.threshold import choose, fixed, parse_share

    given = sum(one is not None for one in (value, max_false_rejects, known))
    if given != 1:
        came = "none; `flawsight info` shows what is set" if not given else "several"
        raise UsageError(f"threshold: expected one of --max-false-rejects, --value and --from; got {came}.")
    check_places((out, MODEL), (json, JSON))
    loaded = load(model)
    notes: list[str] = []
    scores, series = loaded.training.independent, loaded.training.independent_series
    if known is not None:
        with meter() as progress:
            pictures = known_pictures(known, category, layout)
            chosen, notes = threshold_from(loaded, pictures, confidence, skip_bad, progress)
    elif value is not None:
        chosen = fixed(scores, value, confidence, series)
    else:
        chosen = choose(scores, parse_share(max_false_rejects or ""), confidence, series)
    changed = loaded.with_threshold(chosen)
    changed.save(out or model)
    tell(changed.info(), notes, json, out or model)


def bench(model: opt.ModelFile, pictures: opt.SomePictures = None, seconds: opt.Seconds = 10.0, json: opt.Json = None) -> None:
    """Measure how fast a model is on this machine, and say which runtime to choose."""
    check_model_first("bench", model, pictures or [])
    from flawsight.bench import bench as measure
    from flawsight.cli.console import meter, tell_bench

    check_places((json, JSON))
    with meter() as progress:
        result = measure(model, pictures or [], seconds, progress)
    tell_bench(result, json)

"""The command line: a function for each verb, and nothing a user of the library cannot do.

Exit status: 0 done, and of `score`, every picture passed; 3 some pictures were rejected; 2 the call is wrong; 1 something else is:
pictures, masks, a model file; 130 interrupted (143 by SIGTERM), with nothing half-written.
"""

from __future__ import annotations

import io
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flawsight import cli_backbones, cli_datasets, cli_tables
from flawsight import options as opt
from flawsight.errors import UsageError
from flawsight.exits import REJECTED, stop, verb
from flawsight.files import check_writable

if TYPE_CHECKING:
    from flawsight.fitting import Plan

app = typer.Typer(
    epilog="Exit status: 0 done, all pictures passed; 3 some were rejected; 2 wrong call; 1 other error; 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
@verb
@opt.with_plan
def fit(
    good_dir: Annotated[Path, typer.Argument(metavar="GOOD_DIR", help="A folder of pictures of good parts.")],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="The model file to write.")] = Path("part.flaw"),
    force: opt.Force = False,
    report_file: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="Write a page of the fit: held-out scores and heat maps.")
    ] = None,
    plan: Plan,
    dry_run: opt.DryRun = False,
    json: opt.Json = None,
) -> None:
    """Learn from good pictures and write a model file. It holds small crops of them, for reports, unless --no-crops is given."""
    from flawsight import fitting
    from flawsight.manifest import to_replace
    from flawsight.report import fit_page
    from flawsight.report.console import meter, say_wrote, tell, tell_estimate

    _check_writable(*((json,) if dry_run else (out, report_file, json)))
    replaced = () if dry_run else to_replace(out, force)
    tell_estimate(fitting.estimate(good_dir, plan), json, dry_run)
    if dry_run:
        return
    with meter() as progress:
        model = fitting.fit(good_dir, plan, progress).in_place_of(replaced)
        model.save(out)  # first: it is what took the time
        if report_file:
            fit_page.write(report_file, model, fitting.pictures_of(good_dir, plan), progress=progress)
    tell(model.info(), model.training.notes, json, out)
    if json != Path("-"):
        say_wrote(report_file)


@app.command()
@verb
def score(
    model: opt.ModelFile,
    pictures: Annotated[list[Path], typer.Argument(metavar="PICTURES", help="Picture files and folders of them.")],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write scores.csv, scores.json, report.html and heat maps.")
    ] = None,
    maps: opt.Maps = None,
    masks: opt.Masks = False,
    good: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The good pictures the model was fitted on, to draw the nearest good patch from."),
    ] = None,
    json: opt.Json = None,
    runtime: opt.Runtime = "onnxruntime",
    device: opt.Device = "cpu",
) -> None:
    """Score new pictures. Exit status 0 if all pass, 3 if some are rejected, 1 if some cannot be read."""
    from flawsight.datasets.base import scored_samples
    from flawsight.evaluation import evaluate
    from flawsight.fitting import good_pictures
    from flawsight.judging import Judging
    from flawsight.model import load
    from flawsight.report import results
    from flawsight.report.console import meter, tell_report

    if (maps or masks) and not out:
        raise UsageError("score: --maps and --masks are written into the folder of results. Name one with --out.")
    _check_writable(json)
    loaded = load(model, runtime, device)
    samples, unused = scored_samples(pictures)
    train = {one.name: one.path for one in good_pictures(good, below=True)} if good else None
    folder = results.ResultsFolder(out, samples, maps, masks) if out else None
    judging = Judging(use_masks=False, skip_bad=True)
    with meter() as progress:
        title = f"{len(samples)} pictures scored by {model.name}"
        report = evaluate(loaded, samples, title, judging, train, progress, folder.keep if folder else None)
        report = replace(report, notes=[*unused, *report.notes])
        if folder:
            report = folder.write(report, progress)
    tell_report(report, json, True, out and out / "report.html")
    if report.unreadable:
        stop(f"error: {len(report.unreadable)} of {len(samples)} pictures could not be read.", 1)
    raise typer.Exit(REJECTED if report.counts["rejected"] else 0)


@app.command()
@verb
@opt.with_plan
def evaluate(
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="A data set of good and defective pictures; see `flawsight list datasets`.")
    ],
    *,
    category: Annotated[str | None, typer.Option(help="Which one, where DATA holds several.")] = None,
    layout: Annotated[str | None, typer.Option(help="How DATA is laid out, where it is not recognised.")] = None,
    model: Annotated[Path | None, typer.Option(help="Judge this model; without it one is fitted on DATA's good pictures.")] = None,
    save: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the fitted model here.")] = None,
    force: opt.Force = False,
    report_file: Annotated[Path | None, typer.Option("--report", metavar="FILE", help="Write the report as a page.")] = None,
    no_masks: Annotated[bool, typer.Option("--no-masks", help="Judge whole pictures only.")] = False,
    ensemble_norm: opt.EnsembleNorm = "held-out",
    plan: Plan,
    json: opt.Json = None,
) -> None:
    """Measure how well defects are found, on pictures with labels."""
    from flawsight.datasets import open_dataset
    from flawsight.evaluation import evaluate_dataset
    from flawsight.fitting import Plan
    from flawsight.judging import Judging
    from flawsight.manifest import to_replace
    from flawsight.model import load
    from flawsight.report import html
    from flawsight.report.console import meter, tell_report

    if model and plan != Plan(skip_bad=plan.skip_bad, runtime=plan.runtime, device=plan.device):
        raise UsageError("evaluate: --model judges with that model as it is, and options of a new fit came too. Leave out either.")
    judging = Judging(not no_masks, plan.skip_bad, ensemble_norm=ensemble_norm)
    _check_writable(save, report_file, json)
    replaced = to_replace(save, force) if save and not model else ()
    loaded = load(model, plan.runtime, plan.device) if model else None
    with meter() as progress:
        dataset = open_dataset(data, category, layout, not no_masks)
        report, fitted = evaluate_dataset(dataset, loaded, plan, judging, progress)
        if save:
            fitted.in_place_of(replaced).save(save)  # first: it is what took the time
        if report_file:
            html.write(report_file, report, progress=progress)
    tell_report(report, json, False, save, report_file)


@app.command()
@verb
def info(model: opt.ModelFile, json: opt.Json = None) -> None:
    """Say what is in a model file."""
    from flawsight.model import load
    from flawsight.report.console import tell

    loaded = load(model)
    tell(loaded.info(), loaded.training.notes, json)


@app.command()
@verb
def threshold(
    model: opt.ModelFile,
    max_false_rejects: opt.FalseRejects = None,
    value: Annotated[float | None, typer.Option(help="Set the threshold itself.")] = None,
    known: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="DATA", help="Set it by known defects: a data set as for evaluate, or a folder of them alone."
        ),
    ] = None,
    category: Annotated[str | None, typer.Option(help="Which one, where DATA holds several.")] = None,
    layout: Annotated[str | None, typer.Option(help="How DATA is laid out, where it is not recognised.")] = None,
    confidence: opt.Confidence = 0.95,
    skip_bad: opt.SkipBad = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write here instead of changing the file.")
    ] = None,
    json: opt.Json = None,
) -> None:
    """Change a model's threshold without refitting; the one it had is kept in its history."""
    from flawsight.known_defects import known_pictures, threshold_from
    from flawsight.model import load
    from flawsight.report.console import meter, tell
    from flawsight.threshold import choose, fixed, parse_share

    given = sum(one is not None for one in (value, max_false_rejects, known))
    if given != 1:
        came = "none; `flawsight info` shows what is set" if not given else "several"
        raise UsageError(f"threshold: one of --max-false-rejects, --value and --from was needed; got {came}.")
    _check_writable(out, json)
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


@app.command()
@verb
def bench(model: opt.ModelFile, pictures: opt.SomePictures = None, seconds: opt.Seconds = 10.0, json: opt.Json = None) -> None:
    """Tell how fast a model is on this machine, and which runtime to choose."""
    from flawsight.bench import bench as measure
    from flawsight.report.console import meter, tell_bench

    _check_writable(json)
    with meter() as progress:
        result = measure(model, pictures or [], seconds, progress)
    tell_bench(result, json)


@app.command()
@verb
def demo(
    out: Annotated[Path, typer.Argument(metavar="DIR", help="Where to draw the pictures.")] = Path("demo"),
    seed: Annotated[int, typer.Option(help="Another seed, other pictures.")] = 0,
) -> None:
    """Draw a small inspection set: metal plates, good ones and ones with six kinds of defects."""
    from flawsight import demo as drawing
    from flawsight.report.console import meter

    with meter() as progress:
        folder = drawing.write(out, seed, progress=lambda done, total: progress("drawing pictures", done, total))
    typer.echo(f"Drew {folder}. Next:\n  flawsight fit {folder / 'train' / 'good'} -o plate.flaw")
    typer.echo(f"  flawsight evaluate {folder} --model plate.flaw --report report.html")


GROUPS = (
    ("backbones", "Look after the networks' weights.", cli_backbones.VERBS),
    ("datasets", "Look after data sets.", cli_datasets.VERBS),
)
for group, told, verbs in GROUPS:
    grouped = typer.Typer(help=told, no_args_is_help=True)
    for name, function in verbs.items():
        grouped.command(name)(verb(function))
    app.add_typer(grouped, name=group)


app.command("tables", cls=cli_tables.ManyValues)(verb(cli_tables.tables))


@app.command("list")
@verb
def list_names(
    what: Annotated[str, typer.Argument(metavar="WHAT", help="methods, backbones, datasets, metrics or presets")],
) -> None:
    """List what there is to choose from."""
    from rich.console import Console

    from flawsight.catalogue import listing
    from flawsight.report.console import show_facts

    show_facts(Console(), listing(what))


def _check_writable(*paths: Path | None) -> None:
    """Raise UsageError now for a place where a result could not be written after the work."""
    for path in paths:
        if path and path != Path("-"):
            check_writable(path)


def _version(value: bool) -> None:
    if value:
        import flawsight

        typer.echo(f"flawsight {flawsight.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version and stop.")] = False,
) -> None:
    """Learn what a good part looks like from good pictures alone; score, localise and explain defects in new ones."""


def main() -> None:
    """The `flawsight` command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # file names may hold what the terminal cannot show
    # numpy is not imported yet. Its products share small work among threads that wait by spinning: beside other programs on the
    # same cores a PaDiM fit then takes thirty times as long. What is heavy runs elsewhere or in threads of its own.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    app()

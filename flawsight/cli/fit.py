"""The verbs that fit: `fit` and `evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flawsight.cli import options as opt
from flawsight.cli.arguments import ANYTHING, JSON, PAGE, STDOUT, check_model_first, check_one_folder, check_places
from flawsight.errors import UsageError

if TYPE_CHECKING:
    from flawsight.fitting import Plan


@opt.with_plan
def fit(
    context: typer.Context,
    good_dir: Annotated[Path, typer.Argument(metavar="GOOD_DIR", help="A folder of pictures of good parts.")],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Model file to write.")] = Path("part.flaw"),
    report_file: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE", help="Also write a page with held-out scores and heat maps (HTML)."),
    ] = None,
    force: opt.Force = False,
    plan: Plan,
    dry_run: opt.DryRun = False,
    json: opt.Json = None,
) -> None:
    """Learn from good pictures and write a model file. It holds small crops of them unless --no-crops is given."""
    check_one_folder("fit", good_dir, context.args)
    from flawsight import fitting
    from flawsight.cli.console import meter, say_wrote, tell, tell_estimate
    from flawsight.modelfile.manifest import to_replace
    from flawsight.report import fit_page

    check_places((json, JSON), *(() if dry_run else ((out, ANYTHING), (report_file, PAGE))))
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
    if json != STDOUT:
        say_wrote(report_file)


@opt.with_plan
def evaluate(
    context: typer.Context,
    data: Annotated[
        Path,
        typer.Argument(metavar="DATA", help="A data set of good and defective pictures; see `flawsight list datasets`."),
    ],
    *,
    category: opt.Category = None,
    layout: opt.Layout = None,
    model: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Model to judge with. Without it, one is fitted on DATA's good pictures."),
    ] = None,
    save: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the fitted model to this file.")] = None,
    force: opt.Force = False,
    report_file: Annotated[Path | None, typer.Option("--report", metavar="FILE", help="Write the report as a page (HTML).")] = None,
    no_masks: Annotated[bool, typer.Option("--no-masks", help="Ignore masks: judge whole pictures only.")] = False,
    plan: Plan,
    ensemble_norm: opt.EnsembleNorm = "held-out",
    json: opt.Json = None,
) -> None:
    """Measure how well defects are found in pictures that have labels."""
    check_one_folder("evaluate", data, context.args)
    from flawsight.cli.console import meter
    from flawsight.cli.reports import tell_report
    from flawsight.datasets import open_dataset
    from flawsight.evaluation import evaluate_dataset
    from flawsight.evaluation.judging import Judging
    from flawsight.fitting import Plan
    from flawsight.model import load
    from flawsight.modelfile.manifest import to_replace
    from flawsight.report import html

    if model and plan != Plan(skip_bad=plan.skip_bad, runtime=plan.runtime, device=plan.device):
        raise UsageError("evaluate: --model judges with that model as it is, but options of a new fit came too. Leave out either.")
    if model:
        check_model_first("evaluate --model", model, [])
    judging = Judging(not no_masks, plan.skip_bad, ensemble_norm=ensemble_norm)
    check_places((save, ANYTHING), (report_file, PAGE), (json, JSON))
    replaced = to_replace(save, force) if save and not model else ()
    loaded = load(model, plan.runtime, plan.device) if model else None
    with meter() as progress:
        dataset = open_dataset(data, category, layout, not no_masks)
        report, fitted = evaluate_dataset(dataset, loaded, plan, judging, progress)
        if save:
            fitted.in_place_of(replaced).save(save)  # first: it is what took the time
        if report_file:
            html.write(report_file, report, progress=progress)
    tell_report(report, json, save, report_file)

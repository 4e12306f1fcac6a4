"""The command line's `datasets` verbs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from flawsight import options as opt


def verify(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="A data set, or one category of it; see `flawsight list datasets`.")],
    category: Annotated[str | None, typer.Option(help="Only this one, where DATA holds several.")] = None,
    layout: Annotated[str | None, typer.Option(help="How DATA is laid out, where it is not recognised.")] = None,
    json: opt.Json = None,
) -> None:
    """Check that a data set is whole: published counts, readable pictures, masks. Exit status 1 if something is wrong."""
    from flawsight.datasets.verify import verify as check
    from flawsight.files import check_writable
    from flawsight.report.console import STDOUT, meter, tell_verification

    if json and json != STDOUT:
        check_writable(json)
    with meter() as progress:
        found = check(data, category, layout, progress)
    tell_verification(found, json)
    if found.problems:
        raise typer.Exit(1)


VERBS: dict[str, Callable[..., None]] = {"verify": verify}

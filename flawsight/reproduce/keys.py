"""What a cell is known by: a hash of everything that determines it, files by what is in them and not by where they lie."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flawsight._version import __version__
from flawsight.backbones import get_card
from flawsight.backbones.opening import RANDOM
from flawsight.datasets import DataSet
from flawsight.errors import UsageError
from flawsight.evaluation.judging import Judging
from flawsight.fitting import Plan
from flawsight.methods import METHODS
from flawsight.methods.base import make_params
from flawsight.parts import crops
from flawsight.reproduce import pictures
from flawsight.reproduce.recipes import TableRow
from flawsight.types import mask_files

SCHEMA = 1  # of a cell's file; a new one makes all cells anew


def of_cell(row: TableRow, recipe: str, plan: Plan, judging: Judging, named: dict[str, str], rest: tuple[Any, ...]) -> str:
    """sha256 over settings with every default, network, data, version. named: see named_files. rest: what else there is."""
    params = make_params(METHODS[row.method].Params, plan.method_options(), row.method)
    network = named["network"] or get_card(plan.backbone_name).sha256
    facts = {
        "schema": SCHEMA,
        "flawsight": __version__,
        "row": row.name,
        "method": row.method,
        "params": {name: named.get(name) or value for name, value in dataclasses.asdict(params).items()},
        "preprocess": dataclasses.asdict(plan.preprocess()),
        "network": (plan.backbone_name, plan.backbone_levels(), network, plan.runtime, plan.device),
        "memory": plan.memory,
        "judging": dataclasses.asdict(judging),
        "recipe": recipe,
        "rest": rest,
    }
    if plan.primed_at:
        facts["primed"] = plan.primed_at
    if row.by_fold:
        facts["by_fold"] = True
    if row.defects:
        facts["defects"] = row.defects, pictures.SEED
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def named_files(plan: Plan, taught: str) -> dict[str, str]:
    """What is in the files that a plan names: of its network, and of params by their names; "" where none is named.

    taught: what tells the teacher's pictures from others, see of_pictures. Raises UsageError for weights that are not there.
    """
    options = plan.method_options()
    return {
        "network": of_weights(plan.weights),
        "weights": of_weights(options.get("weights")),
        "teacher_data": taught if options.get("teacher_data") else "",
    }


def of_dataset(dataset: DataSet) -> str:
    """A sha256 over the names, sizes in bytes and masks of all its pictures: another where files came, went or were redone."""
    every = (*dataset.train, *dataset.test)
    return _listed((one.name, one.label, _size(one.path), *map(_size, mask_files(one.mask))) for one in every)


def of_pictures(folder: Path) -> str:
    """The same of a folder's pictures, of all folders in it, by their names and sizes. Raises DataError where there are none."""
    return _listed((path.relative_to(folder).as_posix(), _size(path)) for path in crops.pictures_in(folder))


def of_weights(weights: str | None) -> str:
    """The sha256 of a file of weights; "random", or "" for the published ones. Raises UsageError without the file."""
    if weights in (None, "", RANDOM):
        return weights or ""
    try:
        return hashlib.sha256(Path(str(weights)).read_bytes()).hexdigest()
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise UsageError(f"{weights}: a file of weights was needed; {why}. Check the path.") from None


def _listed(lines: Iterable[tuple[Any, ...]]) -> str:
    return hashlib.sha256(repr(list(lines)).encode()).hexdigest()


def _size(path: Path) -> int:
    """Bytes of a file; -1 where there is none: the fit will name it."""
    try:
        return path.stat().st_size
    except OSError:
        return -1

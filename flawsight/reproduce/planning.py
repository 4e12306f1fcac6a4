"""Which cells a request asks for, and which of them can run."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flawsight.backbones import PIXELS
from flawsight.backbones.opening import RANDOM
from flawsight.datasets import DATASETS, DataSet, open_dataset
from flawsight.errors import DataError, FlawsightError, UnknownName, UsageError
from flawsight.evaluation.frames import PIXELS_AT
from flawsight.evaluation.judging import Judging
from flawsight.fitting import Plan
from flawsight.fitting.presets import PRESETS, get_preset
from flawsight.methods import METHODS
from flawsight.methods.base import make_params
from flawsight.methods.learned import Learned
from flawsight.reproduce import keys, oracle, published
from flawsight.reproduce.recipes import RECIPES, TableRow
from flawsight.reproduce.rows import ROWS, get_row

RESAMPLES = 1000
_HELD_OUT = {"held_out": 0.0}  # tables want scores alone, and of methods that learn by gradient all good pictures learned from
PUBLISHED = ("S1", "S2", "S3", "S4")  # the paper's own tables


@dataclass(frozen=True)
class Request:
    """What to measure. data: a folder of categories, or one of them. tables: published ones; methods: rows of them, or methods;
    all if none. categories: of the data; all if none. recipe: see rows. backbone, weights, device, memory: overrule the recipe's,
    see Plan. seeds: of what methods draw at random, and of the good pictures drawn where shots are asked for; the recipe's if
    none. shots: numbers of good pictures to learn from; all of them if none. pixels_at: see frames; each row's own if None. jobs:
    processes. oracle_select: choose on the labels of the test pictures what the published rows chose so, see oracle. teacher_data:
    a folder of pictures for the teacher of a row that has one; the good pictures if None.
    """

    data: Path
    tables: tuple[str, ...] = PUBLISHED
    methods: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    recipe: str = "row"
    backbone: str | None = None
    weights: str | None = None
    device: str = "cpu"
    memory: str | None = None
    seeds: tuple[int, ...] = ()
    shots: tuple[int, ...] = ()
    pixels_at: str | None = None
    jobs: int = 1
    oracle_select: bool = False
    teacher_data: Path | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "tables", tuple(published.get_table(name).name for name in self.tables))
        for where, name, known in (
            ("presets", self.recipe, RECIPES),
            ("eval", self.pixels_at or "native", PIXELS_AT),
            *(("methods", name, [*ROWS, *METHODS]) for name in self.methods),
        ):
            if name not in known:
                raise UnknownName(f"tables: {where}", name, known)
        if min(self.seeds, default=0) < 0:
            raise UsageError(f"tables: seeds must be whole numbers ≥ 0; got {self.seeds}.")
        if self.jobs < 1 or min(self.shots, default=1) < 1:
            raise UsageError(f"tables: jobs and shots must be ≥ 1; got {self.jobs} and {self.shots}.")

    @property
    def rows(self) -> list[TableRow]:
        """The rows of its tables that are asked for, each once, in the tables' order."""
        names = dict.fromkeys(name for table in self.tables for name in published.get_table(table).rows)
        rows = [get_row(name) for name in names]
        chosen = [row for row in rows if not self.methods or row.name in self.methods or row.method in self.methods]
        if not chosen:
            raise UsageError(
                f"tables: none of {', '.join(self.methods)} has a row in {', '.join(self.tables)}. Name another table."
            )
        return chosen


@dataclass(frozen=True)
class Cell:
    """One fit and its judging: a row, a category, a seed, and how many good pictures (all if None); key: of what determines it.

    alternatives: options of fits among which an oracle chooses on the test labels; none where it is the plan's fit alone.
    """

    row: str
    category: str
    seed: int
    shots: int | None
    plan: Plan
    judging: Judging
    key: str
    alternatives: tuple[dict[str, Any], ...] = ()

    @property
    def name(self) -> str:
        """What it and its file are called."""
        shots = "" if self.shots is None else f"-{self.shots}shots"
        return f"{self.row}-{self.category}-seed{self.seed}{shots}{'-oracle' if self.alternatives else ''}"

    @property
    def file_name(self) -> str:
        """The name of its file, another wherever anything that determines the result is another."""
        return f"{self.name}-{self.key[:16]}.json"


@dataclass(frozen=True)
class Group:
    """Cells of one category that want the same feature maps."""

    data: Path
    category: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Work:
    """Everything a request comes to. not_run: (row or "" for all, category or "" for all, why)."""

    groups: list[Group]
    not_run: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def cells(self) -> list[Cell]:
        """All cells, in the order of their groups."""
        return [cell for group in self.groups for cell in group.cells]


def make_work(request: Request) -> Work:
    """The cells of a request in groups, and what cannot run.

    Raises DataError and UnknownName for the data set, DataError and UsageError for the teacher's pictures.
    """
    not_run: list[tuple[str, str, str]] = []
    runnable: list[tuple[TableRow, dict[str, str]]] = []
    taught = _taught(request)
    for row in request.rows:
        try:
            runnable.append((row, keys.named_files(_plan(request, row, ""), taught)))
        except FlawsightError as error:
            not_run.append((row.name, "", str(error)))
    groups: dict[tuple[Any, ...], list[Cell]] = {}
    for category in categories_of(request):
        try:
            dataset = open_dataset(request.data, category)
        except FlawsightError as error:
            not_run.append(("", category, str(error)))
            continue
        content = keys.of_dataset(dataset)
        for row, named in runnable:
            plan = _plan(request, row, category)
            shared = (category, plan.backbone_name, plan.backbone_levels(), plan.preprocess(), plan.primed_at)
            groups.setdefault(shared, []).extend(_cells(request, row, plan, category, dataset, (content, named), not_run))
    made = [Group(request.data, key[0], tuple(cells)) for key, cells in groups.items() if cells]
    return Work(made, not_run)


def categories_of(request: Request) -> list[str]:
    """The categories of the data that are asked for, in the order of the published tables. Raises DataError and UnknownName."""
    root = request.data
    layout = next((layout for layout in DATASETS.values() if root.is_dir() and layout.recognises(root)), None)
    if layout is None:
        raise DataError(f"{root}: a data set, or a folder of its categories, was needed; see `flawsight list datasets`.")
    known = layout.categories(root) or [root.resolve().name]
    for name in request.categories:
        if name not in known:
            raise UnknownName(f"{root}: categories", name, known)
    order = {name: at for at, name in enumerate(published.CATEGORIES)}
    chosen = [name for name in known if not request.categories or name in request.categories]
    return sorted(chosen, key=lambda name: (order.get(name, len(order)), name))


def why_no_reproduction(request: Request, plan: Plan) -> str:
    """What makes the figures others than the published ones, whatever they are; nothing of a row run as published."""
    why = []
    if request.recipe == "smoke":
        why.append("tiny pictures")
    if plan.backbone_name != PIXELS and (request.recipe != "row" or request.backbone is not None):
        why.append(f"network {plan.backbone_name}")
    options = plan.method_options()
    if (trunk := options.get("distilled_from")) is not None:
        named = get_preset(plan.preset).options["distilled_from"]
        where = "given" if options.get("teacher_data") else "the good"
        why += [f"distilled from {trunk}"] * (trunk != named) + [f"the teacher learned from {where} pictures"]
    if weights := plan.weights or options.get("weights"):
        why.append("random weights" if weights == RANDOM else "weights from a file")
    return ", ".join(why)


def _plan(request: Request, row: TableRow, category: str) -> Plan:
    """How the row is fitted, but for the seed. Raises FlawsightError with the reason why it cannot be."""
    if row.method not in METHODS:
        raise UsageError(f"there is no method '{row.method}' in this flawsight")
    recipe = row.run_as(request.recipe, category)
    if recipe.preset not in PRESETS:
        raise UsageError(f"there is no preset '{recipe.preset}' in this flawsight")
    asked = None if recipe.backbone == PIXELS else request.backbone  # what learns from the picture itself knows no other network
    named = asked is None  # the recipe's levels are those of its own network
    plan = Plan(
        preset=recipe.preset,
        backbone=asked or recipe.backbone,
        size=recipe.size,
        levels=recipe.levels if named else (),
        options={**recipe.options, **_of_teacher(request, row), **(_HELD_OUT if issubclass(METHODS[row.method], Learned) else {})},
        weights=None if recipe.backbone == PIXELS else request.weights,
        device=request.device,
        memory=request.memory if _keeps_to_memory(row) else None,
        needs_threshold=False,
        crops=False,
    )
    plan.preprocess(), plan.backbone_levels()
    make_params(METHODS[row.method].Params, plan.method_options(), row.method)
    return plan


def _of_teacher(request: Request, row: TableRow) -> dict[str, str]:
    """The options that name a network, its weights and pictures, if such were asked for, where a method learns from a network but
    keeps none.
    """
    asked = {"distilled_from": request.backbone, "weights": request.weights, "teacher_data": request.teacher_data}
    return {name: str(value) for name, value in asked.items() if value and _takes(row, name)}


def _takes(row: TableRow, option: str) -> bool:
    """Whether the row's method has a param of that name."""
    return row.method in METHODS and hasattr(METHODS[row.method].Params, option)


def _taught(request: Request) -> str:
    """What tells the teacher's pictures from others; "" where none are named. Raises UsageError where no row has a teacher."""
    if request.teacher_data is None:
        return ""
    if not any(_takes(row, "teacher_data") for row in request.rows):
        raise UsageError(
            "tables: teacher_data: a row whose method has a teacher was needed, such as student; none is asked for. "
            "Leave it out, or name the table of such a row."
        )
    return keys.of_pictures(request.teacher_data)


def _cells(
    request: Request,
    row: TableRow,
    plan: Plan,
    category: str,
    dataset: DataSet,
    content: tuple[str, dict[str, str]],
    not_run: list[tuple[str, str, str]],
) -> list[Cell]:
    """The row's cells in one category. Of a method that draws nothing at random, one seed says all.

    content: what tells the data set from others, and keys.named_files.
    """
    params = make_params(METHODS[plan.method_name].Params, plan.method_options(), row.name)
    has_seed = any(one.name == "seed" for one in dataclasses.fields(params))
    seeds = request.seeds or (int(getattr(params, "seed", 0)),)
    judging = Judging(
        pixels_at=request.pixels_at or row.pixels_at,
        mask_rule="trunc" if (request.pixels_at or row.pixels_at) == "crop" else "half",  # as what is published there was judged
        imagewise=True,
        resamples=RESAMPLES,
        ensemble_norm="test" if row.by_test_range else "held-out",
        decides_at=row.decides_at,
    )
    alternatives = oracle.alternatives(row.name, int(getattr(params, "steps", 0))) if request.oracle_select else ()
    known, named = content
    cells = []
    for shots in request.shots or (None,):
        if shots is not None and shots > len(dataset.train):
            not_run.append((row.name, category, f"{shots} good pictures were asked for; there are {len(dataset.train)}"))
            continue
        for seed in seeds if has_seed or shots is not None else seeds[:1]:
            seeded = dataclasses.replace(plan, options={**plan.options, "seed": seed}) if has_seed else plan
            rest = (category, known, seed, shots, *alternatives)
            key = keys.of_cell(row, request.recipe, seeded, judging, named, rest)
            cells.append(Cell(row.name, category, seed, shots, seeded, judging, key, alternatives))
    return cells


def _keeps_to_memory(row: TableRow) -> bool:
    """Whether its method can keep to a given memory, or say beforehand that it cannot."""
    return any(hasattr(METHODS[row.method], name) for name in ("fit_within", "rehearse"))

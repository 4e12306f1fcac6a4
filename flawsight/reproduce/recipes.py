"""How a row of the published tables is run: its recipes, and whose its printed numbers are.

Each row has three recipes. "row": the published method on the published network, where need be in another way for each category.
"embedded": the same method on a network that flawsight carries, for whoever has no other; its figures are its own and reproduce
nothing. "smoke": the same, tiny, to see that all of it works.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from flawsight.backbones import PIXELS, SMALLEST
from flawsight.errors import UnknownName

RECIPES = ("row", "embedded", "smoke")
EMBEDDED = "efficientnet_lite2"
SMOKE_SIZE = 64
INDICATIVE = 5.0  # points: of trained methods whose published numbers depend on choices that were not published


@dataclass(frozen=True)
class Recipe:
    """preset: of PRESETS. backbone, size: None for the preset's; levels: those that go with them. options: over the preset's."""

    preset: str
    backbone: str | None = None
    size: int | None = None
    levels: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TableRow:
    """A row of the published tables.

    title: as printed. method: of METHODS. recipe: the published one; embedded: that on an embedded network, the same preset if
    None. gap: in what the published number was made another way. pixels_at: where its published pixel metrics were worked out,
    see frames. cell, mean: metric → points by which a measured cell, and the mean over the categories, may differ from the
    published one before it is flagged.
    categories: name → its recipe, where it is run in another way. smoke: its tiny recipe, where a small network and small pictures
    do not make it tiny. by_test_range: its members are scaled by the range of the pictures judged, see extremes. by_fold: each of
    its folds is judged by itself, and what they reach is averaged, see by_fold. defects: share of the defective pictures that it is
    shown with their label, and is not judged on, see pictures. decides_at: the score above which it calls a picture defective by
    itself, for the mean of its accuracies on good and on defective pictures.
    """

    name: str
    title: str
    method: str
    recipe: Recipe
    gap: str = ""
    embedded: Recipe | None = None
    pixels_at: str = "crop"
    cell: Mapping[str, float] = field(default_factory=dict)
    mean: Mapping[str, float] = field(default_factory=dict)
    by_test_range: bool = False
    categories: Mapping[str, Recipe] = field(default_factory=dict)
    smoke: Recipe | None = None
    by_fold: bool = False
    defects: float = 0.0
    decides_at: float | None = None

    def tolerance(self, metric: str, is_mean: bool) -> float:
        """Points by which a figure may differ from the published one."""
        return float((self.mean if is_mean and metric in self.mean else self.cell).get(metric, INDICATIVE))

    def run_as(self, recipe: str, category: str = "") -> Recipe:
        """The recipe of that name, for a category or for any. Raises UnknownName."""
        if recipe not in RECIPES:
            raise UnknownName("tables: presets", recipe, RECIPES)
        if recipe == "smoke" and self.smoke:
            return self.smoke
        own = self.categories.get(category, self.recipe)
        if recipe == "row":
            return own
        if own.backbone == PIXELS:  # there is no network to exchange, unless options name one
            return replace(own, options={**own.options, **self.embedded.options}) if self.embedded else own
        chosen = self.embedded or own
        joint = chosen.backbone if chosen.backbone and "+" in chosen.backbone else None
        if recipe == "smoke":
            return replace(chosen, backbone=joint or SMALLEST, size=SMOKE_SIZE)
        return replace(chosen, backbone=joint or EMBEDDED)

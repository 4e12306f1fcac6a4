"""What there is to choose from, in words."""

from __future__ import annotations

import dataclasses
import json

from flawsight.backbones import BACKBONES
from flawsight.datasets import DATASETS
from flawsight.errors import UnknownName
from flawsight.fitting.presets import PRESETS
from flawsight.methods import METHODS
from flawsight.metrics import METRICS


def listing(what: str) -> dict[str, str]:
    """Name → description of all methods, backbones, datasets, metrics or presets. Raises UnknownName."""
    listings = {"methods": _methods, "backbones": _backbones, "datasets": _datasets, "metrics": _metrics, "presets": _presets}
    if what not in listings:
        raise UnknownName("list", what, listings)
    return listings[what]()


def _methods() -> dict[str, str]:
    """Each method's title, and its params with their defaults."""
    described = {}
    for name, method in METHODS.items():
        # true, not True: as --set reads it
        defaults = {field.name: field.default for field in dataclasses.fields(method.Params)}
        params = ", ".join(f"{k}={json.dumps(v) if isinstance(v, bool) else v}" for k, v in defaults.items())
        described[name] = f"{method.title}. Params, for --set: {params}"
    return described


def _backbones() -> dict[str, str]:
    return {
        name: f"levels {', '.join(f'{level} ({c} channels, stride {s})' for level, (c, s) in card.levels.items())}; "
        f"{card.licence}; {card.source}"
        for name, card in BACKBONES.items()
    }


def _datasets() -> dict[str, str]:
    return {name: f"{one.title}: {one.description}. {one.where}".rstrip() for name, one in DATASETS.items()}


def _metrics() -> dict[str, str]:
    return {name: metric.description for name, metric in METRICS.items()}


def _presets() -> dict[str, str]:
    return {name: f"{preset.description}; {preset.method} on {preset.backbone}" for name, preset in PRESETS.items()}

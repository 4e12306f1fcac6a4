"""METHODS: every method by its name, those of other packages too: see docs/own_method.md."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from flawsight.backbones import Backbone
from flawsight.errors import UnknownName, UsageError
from flawsight.methods.ae_ssim import AESSIM
from flawsight.methods.base import Method, make_params
from flawsight.methods.cavga_rw import CAVGA
from flawsight.methods.differnet import DifferNet
from flawsight.methods.dsebm import DSEBM
from flawsight.methods.ensemble import Ensemble
from flawsight.methods.expvae import ExpVAE
from flawsight.methods.gamma_vae_grad import GammaVAE
from flawsight.methods.ganomaly import GANomaly
from flawsight.methods.geotrans import GeoTrans
from flawsight.methods.itae import ITAE
from flawsight.methods.mahalanobis_ad import MahalanobisAD
from flawsight.methods.ocsvm import OCSVM
from flawsight.methods.padim import PaDiM
from flawsight.methods.patch_svdd import PatchSVDD
from flawsight.methods.patchcore import PatchCore
from flawsight.methods.spade import SPADE
from flawsight.methods.student import Student
from flawsight.methods.two_banks import TwoBanks

GROUP = "flawsight.methods"  # of entry points: a method's name and where its class is
PROMISED = ("title", "default_backbone", "Params", "any_size", "default_levels", "fit", "score", "state", "with_state")

_OWN: dict[str, type[Method]] = {
    method.name: method
    for method in (
        *(PatchCore, TwoBanks, Ensemble, SPADE, PaDiM, MahalanobisAD, OCSVM),
        *(DifferNet, AESSIM, GammaVAE, ExpVAE, GeoTrans, DSEBM, CAVGA, PatchSVDD, Student, GANomaly, ITAE),
    )
}


class _Methods(Mapping[str, type[Method]]):
    """Those here, and those that installed packages bring, which are imported when they are asked for."""

    def __getitem__(self, name: str) -> type[Method]:
        return _OWN[name] if name in _OWN else _brought(_entries()[name])

    def __contains__(self, name: object) -> bool:
        return name in _OWN or name in _entries()

    def __iter__(self) -> Iterator[str]:
        return iter((*_OWN, *_entries()))

    def __len__(self) -> int:
        return len(_OWN) + len(_entries())


METHODS: Mapping[str, type[Method]] = _Methods()


@functools.cache
def _entries() -> dict[str, EntryPoint]:
    """What installed packages bring, by name. Raises UsageError for a name that is taken."""
    found: dict[str, EntryPoint] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        if entry.name in _OWN or entry.name in found:
            raise UsageError(
                f"{_package(entry)}: brings a method '{entry.name}'; there is one of that name. Uninstall the package."
            )
        found[entry.name] = entry
    return found


def _brought(entry: EntryPoint) -> type[Method]:
    """The class of another package's method. Raises UsageError where it cannot be had or does not promise what a method must."""
    try:
        method = entry.load()
    except Exception as error:  # whatever that package's import raises
        raise UsageError(
            f"{_package(entry)}: its method '{entry.name}' cannot be imported ({error!r}). Mend the package."
        ) from error
    lacks = [part for part in PROMISED if not hasattr(method, part)]
    if getattr(method, "name", None) != entry.name or lacks:
        needed = f"a class with name = '{entry.name}', {', '.join(PROMISED)}"
        came = f"none of {', '.join(lacks)}" if lacks else f"name = {method.name!r}"
        raise UsageError(
            f"{_package(entry)}: its method '{entry.name}': expected {needed}; got {came}. See flawsight.methods.base.Method."
        )
    kind: type[Method] = method
    return kind


def _package(entry: EntryPoint) -> str:
    return f"package {entry.dist.name if entry.dist else entry.value}"


def get_method(name: str) -> type[Method]:
    """The row of the table. Raises UnknownName."""
    if name not in METHODS:
        raise UnknownName("methods", name, METHODS)
    return METHODS[name]


def make(name: str, options: dict[str, Any], backbone: Backbone) -> Method:
    """The unfitted method of that name with these options. Raises UnknownName and UsageError."""
    method = get_method(name)
    return method(make_params(method.Params, options, name), backbone)

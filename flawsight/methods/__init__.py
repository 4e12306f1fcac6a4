"""METHODS: every method by its name."""

from __future__ import annotations

from typing import Any

from flawsight.backbones import Backbone
from flawsight.errors import UnknownName
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

METHODS: dict[str, type[Method]] = {
    method.name: method
    for method in (
        *(PatchCore, TwoBanks, Ensemble, SPADE, PaDiM, MahalanobisAD, OCSVM),
        *(DifferNet, AESSIM, GammaVAE, ExpVAE, GeoTrans, DSEBM, CAVGA, PatchSVDD, Student, GANomaly, ITAE),
    )
}


def get_method(name: str) -> type[Method]:
    """The row of the table. Raises UnknownName."""
    if name not in METHODS:
        raise UnknownName("methods", name, METHODS)
    return METHODS[name]


def make(name: str, options: dict[str, Any], backbone: Backbone) -> Method:
    """The unfitted method of that name with these options. Raises UnknownName and UsageError."""
    method = get_method(name)
    return method(make_params(method.Params, options, name), backbone)

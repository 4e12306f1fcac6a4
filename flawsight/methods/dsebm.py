"""DSEBM: Zhai, Cheng, Lu, Zhang, "Deep Structured Energy Based Models for Anomaly Detection", ICML 2016.

fit:   an energy E of pictures is learned by denoising score matching (eq. 7): noise is added to good pictures x, and a step down
       the energy's gradient, x̃ − ∇E(x̃), is to give x again; the loss is the mean squared error of it.
score: E(x), the paper's DSEBM-e; or |∇E(x)|², its DSEBM-r.

Symbols: E(x) = ½ |x − b|² − Σ enc(x), with values of x from −1 to 1; noise `noise`, its standard deviation.

Where this differs: by default the encoder ends in rectified units, not the paper's soft-plus ones (`ending`), as in the
implementation of it that comes with GeoTrans, whose largest settings these are. Of rectified units the loss teaches what they add
where they answer, never where they do. That implementation begins with b at 0 (`start`). The published row was run by the authors
of DifferNet, who do not tell their settings. A step's pictures are drawn with replacement. In training the normalisation's
statistics are constants in ∇E, as they are in scoring. The quadratic term makes of a picture's brightness as a whole what weighs
most: small defects change the energy less than the light does, and where all of one kind are found it may be by the light alone.

Expected on MVTec AD: 70.9 mean image AUROC.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from flawsight.backbones.onnx import Graph
from flawsight.methods.base import check
from flawsight.methods.learned import Learned, LearnedParams
from flawsight.parts import resample
from flawsight.types import Arrays, Float

if TYPE_CHECKING:
    from flawsight.networks.descend import Run

SIDES = (16, 32, 64, 128)
ENDINGS = ("rectified", "soft-plus")
STARTS = ("zero", "mean")
SCORES = ("energy", "gradient")


@dataclass(frozen=True)
class DSEBMParams(LearnedParams):
    """side: pixels a side that pictures are brought to, 16, 32, 64 or 128. width: channels of the first layer. units: of the last.
    noise: added for training, on a scale from −1 to 1. ending: units of the last layer, "rectified" or "soft-plus". start: b before
    training, "zero" or "mean", that of the good pictures. by: what is scored, "energy" or "gradient". The others: see
    LearnedParams.
    """

    steps: int = 400
    batch: int = 128
    lr: float = 1e-3
    side: int = 64
    width: int = 64
    units: int = 256
    noise: float = 0.5
    ending: str = "rectified"
    start: str = "zero"
    by: str = "energy"

    def __post_init__(self) -> None:
        p = "dsebm: "
        self.check_training(p)
        check(self.side in SIDES, p + "side", f"one of {', '.join(map(str, SIDES))}", self.side)
        check(self.width >= 1, p + "width", "≥ 1", self.width)
        check(self.units >= 1, p + "units", "≥ 1", self.units)
        check(0 < self.noise <= 2, p + "noise", "above 0 and at most 2", self.noise)
        check(self.ending in ENDINGS, p + "ending", " or ".join(ENDINGS), self.ending)
        check(self.start in STARTS, p + "start", " or ".join(STARTS), self.start)
        check(self.by in SCORES, p + "by", " or ".join(SCORES), self.by)


class DSEBM(Learned):
    """See the module."""

    name: ClassVar[str] = "dsebm"
    title: ClassVar[str] = "DSEBM (Zhai et al., ICML 2016): the energy of the picture as a whole; no map; learns by gradient"
    Params: ClassVar[type[DSEBMParams]] = DSEBMParams
    params: DSEBMParams

    def _learn(self, pictures: list[Float], unseen: list[Float], run: Run) -> Arrays:
        """network: an ONNX file, pictures [B,3,side,side] from −1 to 1 → scores [B]. loss: what training came to, [1]."""
        import torch

        from flawsight.networks import augment, energy, export
        from flawsight.networks.descend import Phase

        p = self.params
        small = [resample.to_square(one, p.side) for one in pictures]
        pool = augment.Pool(small, p.side, augment.Variety(), run.device)
        network = energy.Energy(p.side, p.width, p.units, p.ending == "soft-plus")
        if p.start == "mean":
            network.b.data.copy_(torch.from_numpy(2 * np.mean(small, 0) - 1))
        network.to(run.device)

        def loss(good: torch.Tensor) -> torch.Tensor:
            found = energy.restored(network, good + p.noise * torch.randn_like(good))
            return torch.nn.functional.mse_loss(found, good)

        optimiser = torch.optim.Adam(network.parameters(), p.lr)
        reached = run.descend(network, [Phase(optimiser, loss)], lambda rng: 2 * pool.draw(rng, p.batch) - 1, p.steps)
        scorer = network if p.by == "energy" else energy.Steepness(network)
        return {"network": export.graph(scorer, torch.zeros(1, 3, p.side, p.side)), "loss": np.array([reached], np.float32)}

    def _open(self) -> None:
        self._network = Graph(self._state["network"].tobytes())

    def _judge(self, image: Float) -> tuple[float, None]:
        picture = 2 * resample.to_square(image, self.params.side)[None] - 1
        return float(self._network({"pictures": picture})[0][0]), None

"""DifferNet: Rudolph, Wandt, Rosenhahn, "Same Same But DifferNet: Semi-Supervised Defect Detection with Normalizing Flows",
WACV 2021.

fit:   good pictures are turned by angles drawn at random; a frozen network gives the averages of its features at several sizes of
       each, x; a normalizing flow learns to turn these into normally distributed z (eq. 3): the loss is
       (½‖z‖² − log |det ∂z/∂x|) / D.
score: the mean of z² over its D entries and over turns of the picture. There is no map: the gradients that the paper shows as one
       are meant for the eye alone.

Symbols: D averages; the flow of `blocks` couplings, see parts/flows.py.

Where this differs: what a frozen network says never changes, so each good picture is turned `kept_turns` times once and for all,
of which a step draws `turns`; the paper turns anew in each step. The turns judged are spread evenly, so that a picture always
scores the same; the paper draws them. The corners that turning uncovers are black in the paper; here they have one value in all
channels, `dark`, which is nearly black. Pictures are turned bilinearly, in the paper's code by nearest neighbour, and the flow's
permutations are drawn by another generator. The last weights count; the paper's code also prints the best epoch on the test
pictures.

Expected: 94.7 mean image AUROC on MVTec AD with AlexNet.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from flawsight.backbones import SMALLEST, BackboneCard
from flawsight.backbones.onnx import Graph
from flawsight.methods.base import check, scaled_averages
from flawsight.methods.learned import Learned, LearnedParams
from flawsight.parts import turns
from flawsight.types import Arrays, Float

if TYPE_CHECKING:
    from flawsight.networks.descend import Run

BETAS, EPSILON, WEIGHT_DECAY = (0.8, 0.8), 1e-4, 1e-5  # of Adam


@dataclass(frozen=True)
class DifferNetParams(LearnedParams):
    """blocks, width: of the flow, and of its hidden layers. scales: sizes at which a picture is looked at, each half the one
    before. turns: of each picture of a batch. kept_turns: of each good picture, to draw from. judged_turns: of a picture that is
    judged. angle: degrees that a picture may be turned by, either way. dark: of what turning uncovers, standard deviations below
    the network's mean. standardise: whether each average is divided by its spread over the good pictures, after its mean was
    subtracted. The others: see LearnedParams.
    """

    steps: int = 1000
    blocks: int = 4
    width: int = 256
    scales: int = 3
    turns: int = 4
    kept_turns: int = 16
    judged_turns: int = 8
    angle: float = 180.0
    dark: float = 1.0
    standardise: bool = True

    def __post_init__(self) -> None:
        p = "differnet: "
        self.check_training(p)
        for name in ("blocks", "width", "turns", "kept_turns", "judged_turns"):
            check(getattr(self, name) >= 1, p + name, "≥ 1", getattr(self, name))
        check(1 <= self.scales <= 4, p + "scales", "1 to 4", self.scales)
        check(0 <= self.angle <= 180, p + "angle", "0 to 180", self.angle)
        check(0 <= self.dark < np.inf, p + "dark", "≥ 0 and finite", self.dark)


class DifferNet(Learned):
    """See the module. `backbone` gives the levels, the deepest unless others are named."""

    name: ClassVar[str] = "differnet"
    title: ClassVar[str] = (
        "DifferNet (Rudolph et al., WACV 2021): how unlikely a flow finds a picture's average features; no map; learns by gradient"
    )
    Params: ClassVar[type[DifferNetParams]] = DifferNetParams
    default_backbone: ClassVar[str] = SMALLEST
    params: DifferNetParams

    @classmethod
    def default_levels(cls, card: BackboneCard) -> tuple[str, ...]:
        """The deepest."""
        return (list(card.levels)[-1],)

    def _learn(self, pictures: list[Float], unseen: list[Float], run: Run) -> Arrays:
        """network: an ONNX file, `vectors` [B,D] → the mean of their z², [B]. loss: what training came to, [1]."""
        import torch

        from flawsight.networks import export, flows
        from flawsight.networks.descend import Phase

        p = self.params
        known = self._of_turned(pictures, run)
        digest = hashlib.sha256(run.key.encode())
        digest.update(known.data)
        run = replace(run, key=digest.hexdigest())  # the network is in it too
        seen = torch.from_numpy(known).to(run.device)
        n, dims = len(seen), seen.shape[2]
        mean, scale = torch.zeros_like(seen[0, 0]), torch.ones_like(seen[0, 0])
        if p.standardise:
            mean, spread = seen.mean((0, 1)), seen.std((0, 1), correction=0)
            scale = torch.where(spread > 1e-6 * mean.abs(), spread, scale)  # what never changes is not divided
        network = flows.Flow(dims, p.blocks, p.width).to(run.device)

        def draw(rng: np.random.Generator) -> torch.Tensor:
            chosen = np.repeat(rng.permutation(n)[: p.batch], p.turns)
            turn = rng.integers(p.kept_turns, size=len(chosen))
            return (seen[torch.from_numpy(chosen), torch.from_numpy(turn)] - mean) / scale

        def loss(vectors: torch.Tensor) -> torch.Tensor:
            z, logarithm = network(vectors)
            return (z.square().sum(1) / 2 - logarithm).mean() / dims

        optimiser = torch.optim.Adam(network.parameters(), p.lr, BETAS, EPSILON, WEIGHT_DECAY)
        reached = run.descend(network, [Phase(optimiser, loss)], draw, p.steps)
        graph = export.graph(flows.Unlikeness(network, mean, scale), torch.zeros(1, dims), takes="vectors")
        return {"network": graph, "loss": np.array([reached], np.float32)}

    def _open(self) -> None:
        self._network = Graph(self._state["network"].tobytes())

    def _judge(self, image: Float) -> tuple[float, None]:
        p = self.params
        vectors = np.stack([self._averages(image, degrees) for degrees in turns.evenly(p.judged_turns, p.angle)])
        return float(self._network({"vectors": vectors})[0].mean()), None

    def _averages(self, image: Float, degrees: float) -> Float:
        """x of a picture [3,h,w] that is turned first: float32 [D]."""
        return scaled_averages(self.backbone, turns.turned(image, degrees, -self.params.dark), self.params.scales, self.name)

    def _of_turned(self, pictures: list[Float], run: Run) -> Float:
        """x of each picture turned by angles drawn at random: float32 [N,kept_turns,D]."""
        p, n = self.params, run.standing_for(len(pictures))
        rng = np.random.default_rng(p.seed)
        seen = [
            [self._averages(picture, degrees) for degrees in rng.uniform(-p.angle, p.angle, p.kept_turns)]
            for picture in run.each("looking at turned pictures", pictures, n)
        ]
        return run.whole(np.array(seen, np.float32), n)

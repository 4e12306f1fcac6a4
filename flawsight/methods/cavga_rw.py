"""CAVGA-R_w: Venkataramanan, Peng, Singh, Mahalanobis, "Attention Guided Anomaly Localization in Images", ECCV 2020.

fit:   weakly supervised, alone of all methods here: beside good pictures it takes a few that are labelled defective, without masks.
       A variational autoencoder whose latent numbers keep their places learns to repeat all of them, against an adversary that
       tells what comes out from pictures; a classifier of the latent means learns which are defective; and for good pictures that
       it takes for good, the attention of the class "good", A_n, is to cover the picture and that of "defective", A_a, to vanish:
       |x − x̂|² + KL + w_adv L_adv + w_c L_bce + w_cga (1 − A_n + A_a).
map:   A_a by Grad-CAM at the encoder's last feature map, through a sigmoid, at the picture's size.
score: the classifier's softmax probability of "defective".

Symbols: w_adv `adversary`, w_c `classifier`, w_cga `guidance`. How gradients become products of weights: parts/guided.py.

Where this differs: no code was published, and settings for these pictures neither. The encoder is the network that it is given,
the paper's an ImageNet ResNet-18, and is trained on; of its normalisation the means and variances stay, which so few pictures of
one class would spoil. Decoder and adversary start at random; the paper's adversary was trained on faces. Pictures are brought to a
square; what their values 0 and 1 are is the range of those learned from. A_a is the map whatever the classifier says.

How many labels it takes: on the drawn plates at 128 pixels, on an embedded network and in 250 steps, it finds stains after it was
shown 20 others (image AUROC 95.6, pixel AUROC 83.4); shown one, it is at chance (42.5). Of six kinds of defects together it is at
chance in 300 steps even after 120 (48.9); after 1,200, in 2,000 steps at the preset's rate, plates not seen before have 94.2 and
84.7 (docs/budgets.md). A classifier knows what it was shown, and 2 % of so few pictures is one.

The map rises where a picture is defective, but need not point at the defect: after 40 steps, which tell a texture with a square in
it from others without a mistake, the square holds 0 to 57 % of the map's highest places, by the seed (8 % by chance; five seeds).

Expected on MVTec AD, with 2 % of the defective pictures labelled: 90 is published, which looks like the mean of the accuracies on
good and on defective pictures and not like an AUROC, and 89 mean pixel AUROC.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from flawsight.backbones import SMALLEST, BackboneCard
from flawsight.backbones.onnx import Graph, OnnxBackbone
from flawsight.errors import UsageError
from flawsight.methods.base import check
from flawsight.methods.learned import SIDES, Learned, LearnedParams
from flawsight.parts import resample
from flawsight.types import Arrays, Float

if TYPE_CHECKING:
    import torch

    from flawsight.networks.descend import Run

SCORES = ("probability", "log_odds")
BETAS = (0.5, 0.999)  # of the adversary's Adam


@dataclass(frozen=True)
class CAVGAParams(LearnedParams):
    """side: pixels a side that pictures are brought to, 64, 128, 256 or 512. latent: maps of the latent numbers. width:
    channels at the decoder's start; the adversary has half as many. shown: share of a batch that is labelled defective
    pictures; at least one is. adversary, classifier, guidance: weights of these losses; without an adversary at 0. angle:
    degrees by which a picture may be turned for training, either way. shift: share of its side by which it may be moved. flips:
    whether it may be mirrored, left to right and upside down. rectified: whether what is negative of an attention counts as 0.
    by: the score, "probability" or "log_odds", its logarithm against that of the other class, which never rounds to 1. The
    others: see LearnedParams.
    """

    steps: int = 1000
    batch: int = 16
    lr: float = 1e-4
    side: int = 128
    latent: int = 128
    width: int = 128
    shown: float = 0.25
    adversary: float = 1.0
    classifier: float = 0.001
    guidance: float = 0.01
    angle: float = 0.0
    shift: float = 0.0
    flips: bool = False
    rectified: bool = True
    by: str = "probability"

    def __post_init__(self) -> None:
        p = "cavga_rw: "
        self.check_training(p)
        check(self.batch >= 2, p + "batch", "≥ 2, one of them defective", self.batch)
        check(self.side in SIDES, p + "side", f"one of {', '.join(map(str, SIDES))}", self.side)
        check(self.latent >= 1, p + "latent", "≥ 1", self.latent)
        check(self.width >= 1, p + "width", "≥ 1", self.width)
        check(0 < self.shown < 1, p + "shown", "above 0 and below 1", self.shown)
        for name in ("adversary", "classifier", "guidance"):
            check(0 <= getattr(self, name) < np.inf, p + name, "≥ 0 and finite", getattr(self, name))
        check(0 <= self.angle <= 180, p + "angle", "0 to 180", self.angle)
        check(0 <= self.shift < 1, p + "shift", "0 or more and below 1", self.shift)
        check(self.by in SCORES, p + "by", " or ".join(SCORES), self.by)


class CAVGA(Learned):
    """See the module. `backbone` gives the encoder that is trained on, to the deepest level unless another is named."""

    name: ClassVar[str] = "cavga_rw"
    title: ClassVar[str] = (
        "CAVGA-R_w (Venkataramanan et al., ECCV 2020): where a classifier looks that learned from some labelled defects too; "
        "learns by gradient"
    )
    Params: ClassVar[type[CAVGAParams]] = CAVGAParams
    default_backbone: ClassVar[str] = SMALLEST
    params: CAVGAParams
    _defects: Sequence[Float] = ()

    @classmethod
    def default_levels(cls, card: BackboneCard) -> tuple[str, ...]:
        """The deepest."""
        return (list(card.levels)[-1],)

    def with_defects(self, images: Sequence[Float]) -> Self:
        """See ShownMethod.with_defects."""
        self._defects = [np.array(image) for image in images]
        return self

    def _learn(self, pictures: list[Float], unseen: list[Float], run: Run) -> Arrays:
        """network: an ONNX file, pictures [B,3,side,side] as the backbone takes them → log-odds [B] and attention [B,g,g].

        loss: what training came to, [1].
        """
        import torch

        from flawsight.networks import export, guided
        from flawsight.networks.descend import Phase

        if not self._defects:
            raise UsageError(f"{self.name}: needs labelled defective pictures beside good ones; none came. Give it one at least.")
        p = self.params
        network = self._network_of(pictures, run)
        pools = [self._pool(some, network, run) for some in (pictures, self._defects)]
        n_shown = min(max(1, round(p.shown * p.batch)), p.batch - 1)
        labels = torch.tensor([guided.GOOD] * (p.batch - n_shown) + [guided.DEFECTIVE] * n_shown, device=run.device)
        made: list[torch.Tensor] = []  # what came out of the batch, for the adversary

        def draw(rng: np.random.Generator) -> torch.Tensor:
            return torch.cat([pools[0].draw(rng, p.batch - n_shown), pools[1].draw(rng, n_shown)])

        def loss(batch: torch.Tensor) -> torch.Tensor:
            with run.mixed():
                found = guided.Found(*(one.float() for one in network(batch)))
                convinced = network.adversary(found.repeated).float() if p.adversary else None
            made[:] = [found.repeated.detach()]
            own = self._loss(network, found, batch, labels)
            return own if convinced is None else own + p.adversary * torch.nn.functional.softplus(-convinced).mean()

        def against(batch: torch.Tensor) -> torch.Tensor:
            with run.mixed():
                return guided.against(network.adversary, batch, made[0])

        phases = [Phase(torch.optim.Adam(network.own(), p.lr), loss)]
        if p.adversary:
            phases.append(Phase(torch.optim.Adam(network.adversary.parameters(), p.lr, BETAS), against))
        reached = run.descend(network, phases, draw, p.steps)
        example = torch.zeros(1, 3, p.side, p.side)
        graph = export.graph(guided.Judge(network, p.rectified), example, ("log_odds", "attention"))
        return {"network": graph, "loss": np.array([reached], np.float32)}

    def _loss(self, network: Any, found: Any, batch: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """All but the adversary's part: sums over each picture, the mean over the batch."""
        import torch

        from flawsight.networks import guided, variational

        repeated = (batch - found.repeated).square().flatten(1).sum(1).mean()
        kept = variational.divergence(found.mean, found.log_variance).mean()
        classified = torch.nn.functional.cross_entropy(found.classes, labels)
        guidance = guided.guidance(network.attention(found.feature, self.params.rectified), found.classes, labels)
        return repeated + kept + self.params.classifier * classified + self.params.guidance * guidance

    def _network_of(self, pictures: list[Float], run: Run) -> Any:
        """The network as training begins."""
        import torch

        from flawsight.backbones.gpu import Trunk
        from flawsight.networks import guided

        p, backbone = self.params, self.backbone
        if not isinstance(backbone, OnnxBackbone):
            raise UsageError(f"{self.name}: one network was needed, to be trained on; several came. Name one as backbone.")
        seen = [*pictures, *self._defects]
        low, high = (np.array([reach(one, (1, 2)) for one in seen]) for reach in (np.min, np.max))
        low, high = low.min(0), high.max(0)
        trunk = Trunk(backbone.data, backbone.levels, run.device)
        bounds = (torch.from_numpy(low), torch.from_numpy(np.maximum(high, low + np.float32(1e-3))))  # a channel may be empty
        return guided.Guided(trunk, *bounds, p.side, p.latent, p.width).to(run.device)

    def _pool(self, pictures: Sequence[Float], network: Any, run: Run) -> Any:
        """Pictures to draw from, their values brought to 0 to 1."""
        from flawsight.networks import augment

        p = self.params
        low, wide = (one.cpu().numpy()[0] for one in (network.low, network.range))
        brought = [(resample.to_square(one, p.side) - low) / wide for one in pictures]
        return augment.Pool(brought, p.side, augment.Variety(p.angle, p.shift, p.flips), run.device)

    def _key(self, pictures: Sequence[Float]) -> str:
        """Beside what any training depends on: the labelled pictures and the network."""
        rest = hashlib.sha256(super()._key(pictures).encode())
        for one in self._defects:
            rest.update(repr(one.shape).encode() + one.tobytes())
        rest.update(getattr(self.backbone, "data", b""))
        return rest.hexdigest()

    def _open(self) -> None:
        self._network = Graph(self._state["network"].tobytes())

    def _judge(self, image: Float) -> tuple[float, Float]:
        odds, attention = self._network({"pictures": resample.to_square(image, self.params.side)[None]})
        high, wide = (resample.bilinear(attention.shape[1], length) for length in image.shape[1:])
        heat = resample.apply(attention, high, wide)[0]
        log_odds = float(odds[0])
        return log_odds if self.params.by == "log_odds" else float(1 / (1 + np.exp(-np.float64(log_odds)))), heat

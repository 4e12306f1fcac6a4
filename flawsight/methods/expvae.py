"""vis. expl. VAE: Liu, Li, Zheng, Karanam, Wu, Bhanu, Radke, Camps, "Towards Visually Explaining Variational Autoencoders",
CVPR 2020.

fit:   a variational autoencoder learns to repeat good pictures: the binary cross-entropy of what comes out, and the divergence.
map:   where the encoder looks for its d numbers: for each the gradient of its mean weighs the channels of one of the encoder's
       layers (eq. 3 to 5), as Grad-CAM does; the mean of their absolute values, at the picture's size. Or not of its means but of
       the normal difference distribution, of good pictures' numbers less those of this one (`numbers`).
score: the map's maximum; the paper has none.

Symbols: d `latent`; side `crop` of what the network sees.

Scoring needs gradients, and with them torch (extra `torch`): what is learned is the weights.

Where this differs: the paper's network and layer for these pictures were never published. Encoder and decoder are those of the
replication by Brongers et al. (ML Reproducibility Challenge 2020), which falls short of the paper. What a number's map is, and how
they are put together, the paper and its code do not say alike: `each`, `rectified`. A map says where the encoder looks, which need
not be where the defect is: on some pictures defects draw less attention than the rest, and the sign is not turned for them.

Expected: 86 mean pixel AUROC on MVTec AD is published; the replication reports clearly less.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from flawsight.errors import UnknownName
from flawsight.methods.learned import CutParams, Learned, needs
from flawsight.parts import windows
from flawsight.types import Arrays, Float

if TYPE_CHECKING:
    import torch

    from flawsight.networks.descend import Run

LAYERS = tuple(f"layer{stage}.{block}.conv{conv}" for stage in (1, 2, 3, 4) for block in (0, 1) for conv in (1, 2))
NUMBERS = ("means", "difference")
GOOD_CUTS = 256  # whose numbers are the good pictures'


@dataclass(frozen=True)
class ExpVAEParams(CutParams):
    """layer: of the encoder, layer1.0.conv1 to layer4.1.conv2. each: a map for each number, then their mean; else one of their sum.
    rectified: what is positive of a map counts, else its absolute value. numbers: "means", or "difference", those of good pictures
    less this one's, of whose draws it is the mean; the paper draws once. The others: see CutParams.
    """

    lr: float = 1e-4
    batch: int = 8
    latent: int = 32
    width: int = 64
    layer: str = "layer2.1.conv1"
    each: bool = True
    rectified: bool = False
    numbers: str = "means"

    def __post_init__(self) -> None:
        self.check_cuts("expvae: ")
        if self.layer not in LAYERS:
            raise UnknownName("expvae: layer", self.layer, LAYERS)
        if self.numbers not in NUMBERS:
            raise UnknownName("expvae: numbers", self.numbers, NUMBERS)


class ExpVAE(Learned):
    """See the module."""

    name: ClassVar[str] = "expvae"
    title: ClassVar[str] = (
        "vis. expl. VAE (Liu et al., CVPR 2020): where a variational autoencoder looks; learns by gradient, needs torch"
    )
    Params: ClassVar[type[ExpVAEParams]] = ExpVAEParams
    params: ExpVAEParams
    _network: Any
    _usual: torch.Tensor | None

    def _learn(self, pictures: list[Float], unseen: list[Float], run: Run) -> Arrays:
        """weights.*: of the network. loss: what training came to, a value of a picture, [1].

        usual_variance: of good pictures' numbers, means and draws together, [d]; only where the difference from them is asked for.
        """
        import torch

        from flawsight.networks import attention, augment, variational
        from flawsight.networks.descend import Phase

        p = self.params
        pool = augment.Pool(pictures, p.crop, augment.Variety(p.angle, p.shift, p.flips), run.device)
        network = attention.Explained(p.crop, p.width, p.latent).to(run.device)

        def loss(cuts: torch.Tensor) -> torch.Tensor:
            with run.mixed():
                found = network(cuts)
            logits, mean, log_variance = (one.float() for one in found)
            kept = variational.divergence(mean, log_variance).mean() / cuts[0].numel()
            return torch.nn.functional.binary_cross_entropy_with_logits(logits, cuts) + kept

        optimiser = torch.optim.Adam(network.parameters(), p.lr)
        reached = run.descend(network, [Phase(optimiser, loss)], lambda rng: pool.draw(rng, p.batch), p.steps)
        state = {**variational.as_arrays(network), "loss": np.array([reached], np.float32)}
        if p.numbers == "difference":
            state["usual_variance"] = variational.variance(network, pool.some(p.seed, GOOD_CUTS))
        return state

    def _open(self) -> None:
        needs("torch", f"{self.name}, to score")
        import torch

        from flawsight.networks import attention, variational

        p = self.params
        empty = attention.Explained(p.crop, p.width, p.latent)
        self._network = variational.from_arrays(empty, self._state, self.backbone.device)
        self._usual = None
        if p.numbers == "difference":
            self._usual = torch.from_numpy(self._state["usual_variance"]).to(self.backbone.device)

    def _judge(self, image: Float) -> tuple[float, Float]:
        heat = windows.mean_map(image, self.params.crop, self.params.stride, self._looked)
        return float(heat.max()), heat

    def _looked(self, cuts: Float) -> Float:
        """The attention to each place of cuts [B,3,side,side]: [B,side,side]."""
        import torch

        from flawsight.networks.attention import attention

        p = self.params
        given = torch.from_numpy(cuts).to(self.backbone.device)
        looked: Float = attention(self._network, given, p.layer, p.each, p.rectified, self._usual).cpu().numpy()
        return looked

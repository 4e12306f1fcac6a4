"""γ-VAE + grad.: Dehaene, Frigo, Combrexelle, Eline, "Iterative energy-based projection on a normal data manifold for anomaly
localization", ICLR 2020.

fit:   a variational autoencoder learns to repeat cuts of good pictures; the variance γ of what comes out is learned too, as Dai and
       Wipf, "Diagnosing and Enhancing VAE Models", ICLR 2019, propose.
map:   each cut x₀ is moved, step by step, to where the autoencoder repeats it well and which is near (eq. 5, 8): down the energy
       E(x) = ‖x − x̂‖² + λ ‖x − x₀‖₁, faster where x and x̂ differ. It ends when the error is no larger than the smallest of good
       cuts, or after `iterations`. The map is |x₀ − x|, or its square, the mean over channels, or 1 − the structural similarity
       (`difference`); where windows overlap, the mean of theirs.
score: the map's maximum; the paper has none.

Symbols: x̂ what the autoencoder makes of x without drawing at random; α `alpha`; λ `weight`; side `crop` of a cut.

Scoring needs gradients, and with them torch (extra `torch`): what is learned is the weights.

Where this differs: γ is the running mean of the squared error, the best one for given weights, and not a weight of its own; it
weighs no term of the energy, whose α and λ are for plain squares. A step that would raise the energy is halved instead; and steps
may be made as large for pictures of every size (`normalised`). The output passes a sigmoid.

Expected: 88.8 mean pixel AUROC on MVTec AD.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from flawsight.methods.base import check
from flawsight.methods.learned import CutParams, Learned, needs
from flawsight.parts import resample, windows
from flawsight.types import Arrays, Float

if TYPE_CHECKING:
    import torch

    from flawsight.networks.descend import Run

GOOD_CUTS = 256  # among which the smallest error is sought
DIFFERENCES = ("absolute", "squared", "similarity")


@dataclass(frozen=True)
class GammaVAEParams(CutParams):
    """alpha: α. weight: λ. iterations: steps from a cut to its projection, at most. normalised: whether a step is divided by the
    largest of its values, so that no value moves by more than α in it. difference: of a picture from where it came to, "absolute",
    "squared" or "similarity", which is 1 − the structural similarity. blur_sigma: pixels, of the map; 0 for none. The others: see
    CutParams.
    """

    lr: float = 1e-4
    alpha: float = 0.5
    weight: float = 0.05
    iterations: int = 100
    normalised: bool = False
    difference: str = "absolute"
    blur_sigma: float = 0.0

    def __post_init__(self) -> None:
        p = "gamma_vae_grad: "
        self.check_cuts(p)
        check(0 < self.alpha < np.inf, p + "alpha", "above 0", self.alpha)
        check(0 <= self.weight < np.inf, p + "weight", "≥ 0 and finite", self.weight)
        check(self.iterations >= 1, p + "iterations", "≥ 1", self.iterations)
        check(self.difference in DIFFERENCES, p + "difference", "absolute, squared or similarity", self.difference)
        check(0 <= self.blur_sigma < np.inf, p + "blur_sigma", "≥ 0 and finite", self.blur_sigma)


class GammaVAE(Learned):
    """See the module."""

    name: ClassVar[str] = "gamma_vae_grad"
    title: ClassVar[str] = (
        "γ-VAE + grad. (Dehaene et al., ICLR 2020): how far a picture moves until it is repeated; learns by gradient, needs torch"
    )
    Params: ClassVar[type[GammaVAEParams]] = GammaVAEParams
    params: GammaVAEParams
    _network: Any

    def _learn(self, pictures: list[Float], unseen: list[Float], run: Run) -> Arrays:
        """weights.*: of the network. stop: the smallest squared error of good cuts, [1]. loss: what training came to, [1]."""
        import torch

        from flawsight.networks import augment, variational
        from flawsight.networks.descend import Phase

        p = self.params
        pool = augment.Pool(pictures, p.crop, augment.Variety(p.angle, p.shift, p.flips), run.device)
        network = variational.GammaVariational(p.crop, p.width, p.latent).to(run.device)

        def loss(cuts: torch.Tensor) -> torch.Tensor:
            with run.mixed():
                found = network(cuts)
            return network.loss(cuts, *(one.float() for one in found))

        optimiser = torch.optim.Adam(network.parameters(), p.lr)
        reached = run.descend(network, [Phase(optimiser, loss)], lambda rng: pool.draw(rng, p.batch), p.steps)
        stop = np.inf
        for cuts in pool.some(p.seed, GOOD_CUTS):
            with torch.no_grad():
                errors = (cuts - network.repeated(cuts)).square().flatten(1).sum(1)
            stop = min(stop, float(errors.min()))
        return {**variational.as_arrays(network), "stop": np.array([stop], np.float32), "loss": np.array([reached], np.float32)}

    def _open(self) -> None:
        needs("torch", f"{self.name}, to score")
        from flawsight.networks import variational

        p = self.params
        empty = variational.GammaVariational(p.crop, p.width, p.latent)
        self._network = variational.from_arrays(empty, self._state, self.backbone.device)

    def _judge(self, image: Float) -> tuple[float, Float]:
        p = self.params
        heat = windows.mean_map(image, p.crop, p.stride, self._moved)
        if p.blur_sigma:
            high, wide = (resample.gaussian(n, p.blur_sigma) for n in heat.shape)
            heat = resample.apply(heat, high, wide)
        return float(heat.max()), heat

    def _moved(self, cuts: Float) -> Float:
        """How far each place of cuts [B,3,side,side] is moved: [B,side,side]."""
        import torch

        from flawsight.networks import ssim
        from flawsight.networks.projection import Descent, project

        p = self.params
        start = torch.from_numpy(cuts).to(self.backbone.device)
        descent = Descent(p.alpha, p.weight, p.iterations, float(self._state["stop"][0]), p.normalised)
        end, _ = project(self._network.repeated, start, descent)
        if p.difference == "similarity":
            apart = 1 - ssim.similarity(start, end)
        else:
            apart = (start - end).square() if p.difference == "squared" else (start - end).abs()
        moved: Float = apart.mean(1).cpu().numpy()
        return moved

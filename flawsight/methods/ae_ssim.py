"""AE_SSIM: Bergmann, Löwe, Fauser, Sattlegger, Steger, "Improving Unsupervised Defect Segmentation by Applying Structural
Similarity to Autoencoders", VISIGRAPP 2019.

fit:   an autoencoder learns to repeat cuts of good pictures through d numbers; its loss is 1 − the mean structural similarity of
       what comes out to what went in (eq. 6).
map:   1 − the structural similarity at each place, the mean over channels. A window as large as a cut moves over the picture; where
       windows overlap, the mean of theirs.
score: the map's maximum after a mean over 11 × 11 pixels; the paper has none.

Symbols: d `latent`, the numbers that a cut is reduced to; side `crop` of a cut.

Where this differs: the output passes a sigmoid, the paper's is linear; the similarity's window is a Gaussian of 11 pixels, one
channel at a time. The published rows were run by the authors of MVTec AD (CVPR 2019) and of Student (CVPR 2020), who prepare each
category in its own way: textures at 512 pixels in cuts of 128, objects whole. How far they turn and mirror them, and how many
numbers each has, is taken as tables/rows.py says.

Expected on MVTec AD: 87 mean pixel AUROC, 69.4 mean PRO.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from flawsight.backbones.onnx import Graph
from flawsight.methods.learned import CutParams, Learned
from flawsight.parts import windows
from flawsight.types import Arrays, Float

if TYPE_CHECKING:
    from flawsight.networks.descend import Run

WEIGHT_DECAY = 1e-5
SMOOTHED = 11  # pixels, of the mean before the maximum


@dataclass(frozen=True)
class AESSIMParams(CutParams):
    """grey: whether pictures lose their colours first; the paper's own have none. The others: see CutParams."""

    grey: bool = False

    def __post_init__(self) -> None:
        self.check_cuts("ae_ssim: ")


class AESSIM(Learned):
    """See the module."""

    name: ClassVar[str] = "ae_ssim"
    title: ClassVar[str] = (
        "AE_SSIM (Bergmann et al., VISIGRAPP 2019): how unlike a picture is to what an autoencoder makes of it; learns by gradient"
    )
    Params: ClassVar[type[AESSIMParams]] = AESSIMParams
    params: AESSIMParams

    def _learn(self, pictures: list[Float], unseen: list[Float], run: Run) -> Arrays:
        """network: an ONNX file, cuts [B,C,crop,crop] → their maps [B,crop,crop]. loss: what training came to, [1]."""
        import torch

        from flawsight.networks import augment, autoencoder, export, ssim
        from flawsight.networks.descend import Phase

        p = self.params
        seen = [self._seen(picture) for picture in pictures]
        pool = augment.Pool(seen, p.crop, augment.Variety(p.angle, p.shift, p.flips), run.device)
        network = autoencoder.autoencoder(p.crop, p.width, p.latent, len(seen[0])).to(run.device)

        def loss(cuts: torch.Tensor) -> torch.Tensor:
            with run.mixed():
                repeated = network(cuts)
            return 1 - ssim.similarity(cuts, repeated.float()).mean()

        optimiser = torch.optim.Adam(network.parameters(), p.lr, weight_decay=WEIGHT_DECAY)
        reached = run.descend(network, [Phase(optimiser, loss)], lambda rng: pool.draw(rng, p.batch), p.steps)
        graph = export.graph(ssim.Dissimilarity(network), torch.zeros(1, len(seen[0]), p.crop, p.crop))
        return {"network": graph, "loss": np.array([reached], np.float32)}

    def _open(self) -> None:
        self._network = Graph(self._state["network"].tobytes())

    def _judge(self, image: Float) -> tuple[float, Float]:
        from scipy import ndimage

        p = self.params
        heat = windows.mean_map(self._seen(image), p.crop, p.stride, lambda cuts: self._network({"pictures": cuts})[0])
        return float(ndimage.uniform_filter(heat, SMOOTHED).max()), heat

    def _seen(self, image: Float) -> Float:
        """What the network sees of a picture [3,h,w]: that, or its mean over colours, [1,h,w]."""
        return image.mean(0, keepdims=True) if self.params.grey else image

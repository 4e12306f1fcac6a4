"""ITAE: Huang, Cao, Ye, Li, Zhang, Lu, "Inverse-Transform AutoEncoder for Anomaly Detection", arXiv 1911.10676; later "Attribute
Restoration Framework for Anomaly Detection" (ARNet), IEEE Transactions on Multimedia, 2020.

fit:   of good pictures two attributes are erased, colour and which way is up, and a U-Net learns to restore them: it is given the
       grey picture, turned by 0, 90, 180 or 270°, and is to give the picture as it was; the loss is the mean squared error.
score: for each of the four turns the mean absolute error of what is restored, divided by its mean over the good pictures that were
       learned from; of these the mean.

Symbols: values of pictures go from −1 to 1; grey is the mean over colours; C, colours: three, or one of pictures that are `grey`.

Where this differs: the settings for MVTec AD are not public. Adam, its rate falling as a cosine to a hundredth, takes the place of
the gradient descent that is stated for small pictures (`optimiser="sgd"`, `lr=0.1`, halved after each tenth of the steps); the last
weights are kept. A step's pictures are drawn with replacement. Where a good part looks the same turned, as textures do, no one can
tell which way is up, and the score says mostly that; `turned=False` leaves the turns out. Where the light's colour differs from
picture to picture no one can tell it from a grey one, and the score says mostly that; `grey=True` leaves colour out
(docs/budgets.md). Then, and where pictures are grey by themselves, only the turns are left to restore, and without them a network
may copy. Others who tried report that they miss the published figures.

Expected on MVTec AD: 83.9 mean image AUROC.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from flawsight.backbones.onnx import Graph
from flawsight.methods.base import check
from flawsight.methods.learned import Learned, LearnedParams
from flawsight.parts import resample
from flawsight.types import Arrays, Float

if TYPE_CHECKING:
    from flawsight.networks.descend import Run

MULTIPLE = 16  # of the side, which the network halves four times
OPTIMISERS = ("adam", "sgd")
HALVINGS = 10  # of the rate, under "sgd"


@dataclass(frozen=True)
class ITAEParams(LearnedParams):
    """side: pixels a side that pictures are brought to, a multiple of 16. width: channels of the first layers. turned: whether
    pictures are turned. grey: whether pictures lose their colours first. flips: whether a good part may be mirrored left to right.
    optimiser: "adam" or "sgd". The others: see LearnedParams.
    """

    steps: int = 2000
    batch: int = 16
    lr: float = 1e-3
    side: int = 256
    width: int = 64
    turned: bool = True
    grey: bool = False
    flips: bool = False
    optimiser: str = "adam"

    def __post_init__(self) -> None:
        p = "itae: "
        self.check_training(p)
        check(self.side > 0 and self.side % MULTIPLE == 0, p + "side", f"a multiple of {MULTIPLE}", self.side)
        check(self.width >= 1, p + "width", "≥ 1", self.width)
        check(self.turned or not self.grey, p + "turned", "true where grey is, or nothing would be erased", self.turned)
        check(self.optimiser in OPTIMISERS, p + "optimiser", " or ".join(OPTIMISERS), self.optimiser)


class ITAE(Learned):
    """See the module."""

    name: ClassVar[str] = "itae"
    title: ClassVar[str] = (
        "ITAE (Huang et al., arXiv 2019): how far a network is from restoring the picture's colours and which way was up; no map; "
        "learns by gradient"
    )
    Params: ClassVar[type[ITAEParams]] = ITAEParams
    params: ITAEParams

    def _learn(self, pictures: list[Float], unseen: list[Float], run: Run) -> Arrays:
        """network: an ONNX file, what is left of pictures [B,1,side,side] → pictures [B,C,side,side], both from −1 to 1.

        usual: the mean errors of good pictures, one a turn, [T]. loss: what training came to, [1].
        """
        import torch

        from flawsight.networks import export, unet
        from flawsight.networks.descend import Phase

        p = self.params
        good = [self._brought(picture) for picture in pictures]
        network = unet.UNet(1, 1 if p.grey else 3, p.width).to(run.device)

        def draw(rng: np.random.Generator) -> Any:
            which, turns = rng.integers(len(good), size=p.batch), rng.integers(self._n_turns, size=p.batch)
            upright = [good[i][..., ::-1] if p.flips and rng.integers(2) else good[i] for i in which]
            left = [erased(one, int(turn)) for one, turn in zip(upright, turns, strict=True)]
            return [torch.from_numpy(np.stack(some)).to(run.device) for some in (left, upright)]

        def loss(batch: Any) -> torch.Tensor:
            with run.mixed():
                restored = network(batch[0])
            return torch.nn.functional.mse_loss(restored.float(), batch[1])

        def restore(left: Float) -> Float:
            with torch.no_grad(), run.mixed():
                restored: Float = network(torch.from_numpy(left).to(run.device)).float().cpu().numpy()
            return restored

        optimiser, schedule = self._descent(network)
        reached = run.descend(network, [Phase(optimiser, loss, schedule)], draw, p.steps)
        every = run.each("errors of good pictures", good, run.standing_for(len(good)))
        errors = [self._errors(picture, restore) for picture in every]
        usual = np.mean(errors, 0).astype(np.float32)
        graph = export.graph(network, torch.zeros(1, 1, p.side, p.side))
        return {"network": graph, "usual": usual, "loss": np.array([reached], np.float32)}

    def _descent(self, network: Any) -> tuple[Any, Any]:
        """The optimiser, and the schedule of its rate."""
        from torch import optim

        from flawsight.networks.descend import falling

        p = self.params
        if p.optimiser == "sgd":
            sgd = optim.SGD(network.parameters(), p.lr)
            return sgd, optim.lr_scheduler.StepLR(sgd, max(1, p.steps // HALVINGS), 0.5)
        adam = optim.Adam(network.parameters(), p.lr)
        return adam, falling(adam, p.steps)

    def _open(self) -> None:
        self._network = Graph(self._state["network"].tobytes())

    def _judge(self, image: Float) -> tuple[float, None]:
        errors = self._errors(self._brought(image), lambda left: self._network({"pictures": left})[0])
        return float((errors / self._state["usual"]).mean()), None

    def _brought(self, image: Float) -> Float:
        """The picture as it is to be restored, [C,side,side]."""
        picture = 2 * resample.to_square(image, self.params.side) - 1
        return picture.mean(0, keepdims=True) if self.params.grey else picture

    def _errors(self, picture: Float, restore: Callable[[Float], Float]) -> Float:
        """The mean absolute error of what is restored of a picture [C,side,side], of each turn: [T]."""
        restored = restore(np.stack([erased(picture, turn) for turn in range(self._n_turns)]))
        errors: Float = np.abs(restored - picture).mean((1, 2, 3))
        return errors

    @property
    def _n_turns(self) -> int:
        return 4 if self.params.turned else 1


def erased(picture: Float, quarters: int) -> Float:
    """What is left of a picture [C,h,h]: grey, [1,h,h], turned by so many quarters to the left."""
    left: Float = np.rot90(picture.mean(0, keepdims=True), quarters, (1, 2)).copy()
    return left

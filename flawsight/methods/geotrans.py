"""GeoTrans: Golan, El-Yaniv, "Deep Anomaly Detection Using Geometric Transformations", NeurIPS 2018.

fit:   a wide residual network learns which of 72 geometric transforms a good picture went through. Of what it then says of all good
       pictures under each transform T, a Dirichlet distribution is estimated by maximum likelihood (section 4.2).
score: −the mean over transforms of Σ (α − 1) log y(T(x)), the log density of what it says of the picture (eq. 2); or −the mean of
       the share that it gives to the transform that was done, the paper's simplified score.

Symbols: y(T(x)), the network's softmax; α, a transform's Dirichlet.

Where this differs: shares below 1e-12 count as that; they come out as 0 where the network is sure. Pictures and transforms are
drawn with replacement rather than each once an epoch. The paper has pictures of 32 and 64 pixels alone; the published row was run
by the authors of ITAE, who do not tell their size. Where a good part looks the same turned or mirrored nothing can be learned, and
scores below chance are what the method gives.

Expected on MVTec AD: 67.2 mean image AUROC.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from flawsight.backbones.onnx import Graph
from flawsight.methods.base import check
from flawsight.methods.learned import Learned, LearnedParams
from flawsight.parts import dirichlet, moves, resample, windows
from flawsight.types import Arrays, Float

if TYPE_CHECKING:
    from flawsight.networks.descend import Run

SIDES = (32, 64, 96, 128)  # a quarter of them is averaged in squares of 8
SCORES = ("dirichlet", "simplified")
LEAST = np.log(1e-12)  # of a share's logarithm
WEIGHT_DECAY = 5e-4


@dataclass(frozen=True)
class GeoTransParams(LearnedParams):
    """side: pixels a side that pictures are brought to, 32, 64, 96 or 128. shift: pixels that transforms move by; 0 leaves the 8
    that only mirror and turn. depth: layers of the network, 4 more than a multiple of 6. width: times its channels. by: the score,
    "dirichlet" or "simplified". The others: see LearnedParams.
    """

    steps: int = 400
    batch: int = 128
    lr: float = 1e-3
    side: int = 64
    shift: int = 16
    depth: int = 16
    width: int = 8
    by: str = "dirichlet"

    def __post_init__(self) -> None:
        p = "geotrans: "
        self.check_training(p)
        check(self.side in SIDES, p + "side", f"one of {', '.join(map(str, SIDES))}", self.side)
        check(0 <= self.shift < self.side, p + "shift", f"0 or more and below side, {self.side}", self.shift)
        check(self.depth >= 10 and self.depth % 6 == 4, p + "depth", "10, 16, 22 and so on", self.depth)
        check(self.width >= 1, p + "width", "≥ 1", self.width)
        check(self.by in SCORES, p + "by", " or ".join(SCORES), self.by)


class GeoTrans(Learned):
    """See the module."""

    name: ClassVar[str] = "geotrans"
    title: ClassVar[str] = (
        "GeoTrans (Golan and El-Yaniv, NeurIPS 2018): whether a network can tell how the picture was turned and moved; no map; "
        "learns by gradient"
    )
    Params: ClassVar[type[GeoTransParams]] = GeoTransParams
    params: GeoTransParams

    def _learn(self, pictures: list[Float], unseen: list[Float], run: Run) -> Arrays:
        """network: an ONNX file, pictures [B,3,side,side] from −1 to 1 → log y, [B,T]. alpha: α of each transform, [T,T].

        loss: what training came to, [1].
        """
        import torch
        from torch import nn

        from flawsight.networks import export, wide_resnet
        from flawsight.networks.descend import Phase

        p, moves_ = self.params, moves.moves(self.params.shift)
        good = np.stack([self._brought(picture) for picture in pictures])
        network = wide_resnet.wide_resnet(p.side, p.depth, p.width, len(moves_)).to(run.device)

        def draw(rng: np.random.Generator) -> Any:
            which, how = rng.integers(len(good), size=p.batch), rng.integers(len(moves_), size=p.batch)
            moved = np.stack([moves_[move](good[picture]) for picture, move in zip(which, how, strict=True)])
            return torch.from_numpy(moved).to(run.device), torch.from_numpy(how).to(run.device)

        def loss(batch: Any) -> torch.Tensor:
            with run.mixed():
                logits = network(batch[0])
            return nn.functional.cross_entropy(logits.float(), batch[1])

        optimiser = torch.optim.Adam(network.parameters(), p.lr, weight_decay=WEIGHT_DECAY)
        reached = run.descend(network, [Phase(optimiser, loss)], draw, p.steps)
        said = self._said_of_all(network, good, run)
        alpha = np.stack([dirichlet.fit(said[:, i]) for i in range(len(moves_))])
        graph = export.graph(nn.Sequential(network, nn.LogSoftmax(1)), torch.zeros(1, 3, p.side, p.side))
        return {"network": graph, "alpha": alpha, "loss": np.array([reached], np.float32)}

    def _said_of_all(self, network: Any, good: Float, run: Run) -> dirichlet.Exact:
        """log y of all good pictures under each transform, [N,T,T]."""
        import torch

        said = []
        for picture in run.each("what it says of good pictures", good, run.standing_for(len(good))):
            with torch.no_grad():
                parts = [network(torch.from_numpy(some).to(run.device)).log_softmax(1) for some in self._moved(picture)]
            said.append(torch.cat(parts).double().clamp(min=LEAST).cpu().numpy())
        return np.stack(said)

    def _open(self) -> None:
        self._network = Graph(self._state["network"].tobytes())

    def _judge(self, image: Float) -> tuple[float, None]:
        said = [self._network({"pictures": some})[0] for some in self._moved(self._brought(image))]
        log_shares = np.maximum(np.concatenate(said).astype(np.float64), LEAST)
        if self.params.by == "simplified":
            return -float(np.exp(log_shares.diagonal()).mean()), None
        return -float(dirichlet.log_density(self._state["alpha"], log_shares).mean()), None

    def _brought(self, image: Float) -> Float:
        return 2 * resample.to_square(image, self.params.side) - 1

    def _moved(self, picture: Float) -> Iterator[Float]:
        """The picture [3,side,side] under each transform, as many at once as is quick: [B,3,side,side]."""
        all_moves = moves.moves(self.params.shift)
        for i in range(0, len(all_moves), windows.AT_ONCE):
            yield np.stack([move(picture) for move in all_moves[i : i + windows.AT_ONCE]])

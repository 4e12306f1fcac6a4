"""GANomaly: Akcay, Atapour-Abarghouei, Breckon, "GANomaly: Semi-Supervised Anomaly Detection via Adversarial Training", ACCV 2018.

fit:   a generator encodes a good picture x as z, decodes it to x̂ and encodes that again as ẑ. A discriminator learns to tell x̂
       from x; the generator to give x̂ the same features in the discriminator (eq. 1), to repeat x (eq. 2) and z (eq. 3). Its
       loss is the sum of the three, weighted (eq. 4).
score: how far ẑ lies from z (eq. 5): the mean of (z − ẑ)², as in the authors' code; or of |z − ẑ|, as in the paper.

Symbols: z and ẑ, `latent` numbers each; values of pictures from −1 to 1; weights `adversarial`, `contextual`, `encoding`.

Where this differs: the code leaves the networks in training mode when it judges, so that a picture's score depends on which others
are judged with it, and keeps the epoch that did best on the test pictures. Here they are in evaluation mode and the last weights
count; `beside` puts good pictures in the place of those others. The code's 15 epochs would be 60 steps of the few pictures that a
category has; here steps are counted, a step's pictures are drawn with replacement, and the rates may fall (`falling`). The
published row was run by the authors of ITAE, who do not tell its settings. Another implementation is below chance on MVTec AD
(0.42 in the mean): what is repeated badly may well be encoded alike twice.

Expected on MVTec AD: 76.2 mean image AUROC.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from flawsight.backbones.onnx import Graph
from flawsight.methods.base import check
from flawsight.methods.learned import Learned, LearnedParams
from flawsight.parts import resample
from flawsight.types import Arrays, Float

if TYPE_CHECKING:
    import torch

    from flawsight.networks.descend import Run

SIDES = (32, 64, 128, 256)
NORMS = ("squared", "absolute")
BETAS = (0.5, 0.999)
TOO_GOOD = 1e-5  # loss under which the discriminator starts anew: nothing could be learned from it any more


@dataclass(frozen=True)
class GANomalyParams(LearnedParams):
    """side: pixels a side that pictures are brought to, 32, 64, 128 or 256. width: channels of the first layers. latent: numbers
    that a picture is reduced to. adversarial, contextual, encoding: weights of what the generator loses by unlike features, pixels
    and numbers. norm: of the score, "squared" or "absolute". beside: good pictures that a judged one is normalised together with,
    as if it were one of a batch in training; 0 leaves that to what training came to. falling: whether both learning rates fall,
    along a cosine, to a hundredth. The others: see LearnedParams.
    """

    steps: int = 3000
    batch: int = 64
    lr: float = 2e-4
    side: int = 128
    width: int = 64
    latent: int = 100
    adversarial: float = 1.0
    contextual: float = 50.0
    encoding: float = 1.0
    norm: str = "squared"
    beside: int = 0
    falling: bool = False

    def __post_init__(self) -> None:
        p = "ganomaly: "
        self.check_training(p)
        check(self.side in SIDES, p + "side", f"one of {', '.join(map(str, SIDES))}", self.side)
        check(self.width >= 1, p + "width", "≥ 1", self.width)
        check(self.latent >= 1, p + "latent", "≥ 1", self.latent)
        for name in ("adversarial", "contextual", "encoding"):
            weight = getattr(self, name)
            check(0 <= weight < np.inf, p + name, "0 or more, and finite", weight)
        check(self.norm in NORMS, p + "norm", " or ".join(NORMS), self.norm)
        check(self.beside >= 0, p + "beside", "≥ 0", self.beside)


class GANomaly(Learned):
    """See the module."""

    name: ClassVar[str] = "ganomaly"
    title: ClassVar[str] = (
        "GANomaly (Akcay et al., ACCV 2018): how differently a picture and what a generator makes of it are encoded; no map; "
        "learns by gradient"
    )
    Params: ClassVar[type[GANomalyParams]] = GANomalyParams
    params: GANomalyParams

    def _learn(self, pictures: list[Float], unseen: list[Float], run: Run) -> Arrays:
        """network: an ONNX file, pictures [B,3,side,side] from −1 to 1 → scores [B]. loss: what the generator's came to, [1]."""
        import torch
        from torch import nn

        from flawsight.networks import augment, export, gan
        from flawsight.networks.descend import Phase, falling

        p = self.params
        pool = augment.Pool([resample.to_square(one, p.side) for one in pictures], p.side, augment.Variety(), run.device)
        generator = gan.Generator(p.side, p.width, p.latent).to(run.device)
        judge = gan.Discriminator(p.side, p.width).to(run.device)
        both = nn.ModuleDict({"generator": generator, "discriminator": judge}).apply(gan.begin)
        latest: list[torch.Tensor] = []  # what the generator made in this step, for the discriminator

        def generators(x: torch.Tensor) -> torch.Tensor:
            judge.requires_grad_(False)
            with run.mixed():
                made, z, again = generator(x)
                features, of_made = judge(x)[0], judge(made)[0]
            latest[:] = [made.detach()]
            unlike = nn.functional.mse_loss(of_made.float(), features.float())
            repeated = nn.functional.l1_loss(made.float(), x)
            encoded = nn.functional.mse_loss(again.float(), z.float())
            return p.adversarial * unlike + p.contextual * repeated + p.encoding * encoded

        def discriminators(x: torch.Tensor) -> torch.Tensor:
            judge.requires_grad_(True)
            with run.mixed():
                real, made = judge(x)[1], judge(latest[0])[1]
            return gan.told_apart(real.float(), made.float())

        def discriminators_or_anew(x: torch.Tensor) -> torch.Tensor:
            loss = discriminators(x)
            if float(loss.detach()) >= TOO_GOOD:
                return loss
            judge.apply(gan.begin)
            return discriminators(x)

        def phase(network: nn.Module, loss: Callable[[torch.Tensor], torch.Tensor]) -> Phase:
            adam = torch.optim.Adam(network.parameters(), p.lr, BETAS)
            return Phase(adam, loss, falling(adam, p.steps) if p.falling else None)

        phases = [phase(generator, generators), phase(judge, discriminators_or_anew)]
        reached = run.descend(both, phases, lambda rng: 2 * pool.draw(rng, p.batch) - 1, p.steps)
        beside = (2 * pool.draw(np.random.default_rng(p.seed), p.beside) - 1).cpu() if p.beside else None
        distance = gan.CodeDistance(generator.cpu(), p.norm == "squared", beside)
        graph = export.graph(distance, torch.zeros(1, 3, p.side, p.side))
        return {"network": graph, "loss": np.array([reached], np.float32)}

    def _open(self) -> None:
        self._network = Graph(self._state["network"].tobytes())

    def _judge(self, image: Float) -> tuple[float, None]:
        picture = 2 * resample.to_square(image, self.params.side)[None] - 1
        return float(self._network({"pictures": picture})[0][0]), None

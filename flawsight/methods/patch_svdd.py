"""PatchSVDD: Yi, Yoon, "Patch SVDD: Patch-level SVDD for Anomaly Detection and Segmentation", ACCV 2020.

fit:   two networks learn to describe patches of 32 and of 64 pixels, each by two losses: descriptors of nearly the same patch are
       pulled together, by the distance between them, and from those of a patch and of its neighbour a classifier tells in which of
       eight directions this lies. The loss is the classifiers' cross entropy and λ times the distances, over both sizes. The
       descriptors of the good pictures' patches are kept.
score: of a patch the distance to the nearest kept descriptor; of a pixel the mean over the patches that cover it, multiplied over
       both sizes. The picture scores the map's maximum.

Symbols: λ is `pull`. Patches lie 4 and 16 pixels apart, as in the paper.

The mean of the good pictures is taken from every picture first, pixel by pixel, so all must be of one size. The descriptors of all
patches are worked out at once, by convolutions over the whole picture, and equal those worked out patch by patch. The nearest are
exact. At 256 pixels a good picture has 3,249 small patches and 169 large ones, which take 0.9 MB in the model file, and in memory
three to four times that; `kept` bounds it.

Where this differs from the paper's code: that reduces pictures, and masks, by Pillow's default, nearest neighbour before
Pillow 7 and bicubic since; the preset does so bilinearly. The nearest small patches are found approximately there (NGT), exactly
here. Pictures are drawn with replacement rather than each so often an epoch, and on a GPU too
it learns in float32, since descriptors of nearly the same patch differ by less than bfloat16 holds. λ and the learning rate are
the same for all categories, where the authors chose them for each, and the last weights count, where the best epoch as judged on
the test pictures was kept.

Where the map peaks changes with the processor after a short training. After 150 steps at λ = 0.001 a square in a texture holds 41
to 81 % of the map's highest places (8 % by chance; five trainings), and in one of these the peak is beside it; the drawn plates'
pixel AUROC is 55 to 80. At λ = 0.1 the square holds 64 to 88 % and the pixel AUROC is 77 to 79 (three trainings).

Expected: on MVTec AD 92.1 mean image AUROC and 95.7 pixel AUROC.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from flawsight.backbones.onnx import Graph
from flawsight.errors import DataError
from flawsight.methods.base import check
from flawsight.methods.learned import Learned, LearnedParams
from flawsight.parts import pairs, resample
from flawsight.search.neighbours import Bank
from flawsight.types import Arrays, Float

if TYPE_CHECKING:
    import torch

    from flawsight.networks.descend import Run

NOISE = 0.02  # standard deviation, of a patch's colour and of its pixels, where directions are learned
WINDOWS = {"small": (32, 4), "large": (64, 16)}  # side of a patch, and pixels from patch to patch
LEAST = 64  # pixels on each side of a picture
COMBINED = ("product", "sum")


@dataclass(frozen=True)
class PatchSVDDParams(LearnedParams):
    """batch: patches that each of the four losses sees in a step. width: channels of the first layers, 32 in the paper. pull: λ.
    kept: descriptors of each size kept of the good pictures, drawn at random; 0 for all. combine: how the maps of both sizes become
    one, "product" or "sum". learn_last: whether the last weight of what tells directions is learned; in the paper's code no
    gradient reaches it. The others: see LearnedParams.
    """

    steps: int = 2000
    batch: int = 16
    lr: float = 1e-3
    width: int = 8
    pull: float = 1e-3
    kept: int = 50_000
    combine: str = "product"
    learn_last: bool = False

    def __post_init__(self) -> None:
        p = "patch_svdd: "
        self.check_training(p)
        check(self.width >= 1, p + "width", "≥ 1", self.width)
        check(0 <= self.pull < np.inf, p + "pull", "≥ 0 and finite", self.pull)
        check(self.kept >= 0, p + "kept", "≥ 0", self.kept)
        check(self.combine in COMBINED, p + "combine", " or ".join(COMBINED), self.combine)


class PatchSVDD(Learned):
    """See the module."""

    name: ClassVar[str] = "patch_svdd"
    title: ClassVar[str] = (
        "PatchSVDD (Yi and Yoon, ACCV 2020): distance to the nearest good patch, as described by networks that tell where "
        "patches lie to each other; learns by gradient"
    )
    Params: ClassVar[type[PatchSVDDParams]] = PatchSVDDParams
    any_size: ClassVar[bool] = False
    params: PatchSVDDParams

    def _learn(self, pictures: list[Float], unseen: list[Float], run: Run) -> Arrays:
        """network: an ONNX file, pictures [B,3,h,w] less the mean → descriptors of small and of large patches, maps [B,64,·,·].

        mean: float32 [3,h,w]. small, large: descriptors that are kept, float32 [M,64] each. loss: what training came to, [1].
        """
        import torch

        from flawsight.networks import export, patch_encoders
        from flawsight.networks.descend import Phase

        p, hw = self.params, (pictures[0].shape[1], pictures[0].shape[2])
        for picture in [*pictures, *unseen]:
            _check_size(picture, hw)
        mean: Float = np.asarray(np.mean(pictures, 0, dtype=np.float64), np.float32)
        good = torch.from_numpy(np.stack([picture - mean for picture in pictures])).to(run.device)
        encoders = patch_encoders.Encoders(p.width, p.learn_last).to(run.device)

        def draw(rng: np.random.Generator) -> list[tuple[torch.Tensor, torch.Tensor]]:
            """For each size, patches [4·batch,3,K,K], and the directions from the first quarter to the second."""
            drawn = []
            for side, _ in WINDOWS.values():
                *apart, direction = pairs.neighbours(rng, p.batch, hw, side)
                apart += pairs.nearly_same(rng, p.batch, hw, side)
                which = [np.tile(rng.integers(len(good), size=p.batch), 2) for _ in range(2)]
                patches = patch_encoders.cut(good, np.concatenate(which), np.concatenate(apart), side)
                drawn.append((patches, torch.from_numpy(direction).to(run.device)))
            return drawn

        def loss(batch: list[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
            return sum(_loss(encoders, *drawn, p.pull) for drawn in batch)

        learned = [one for one in encoders.parameters() if one.requires_grad]
        reached = run.descend(encoders, [Phase(torch.optim.Adam(learned, p.lr), loss)], draw, p.steps)
        names, free = tuple(WINDOWS), (0, 2, 3)
        network = export.graph(patch_encoders.Everywhere(encoders), torch.zeros(1, 3, LEAST, LEAST), names, free=free)
        kept = self._kept(Graph(network.tobytes()), [picture - mean for picture in pictures], run)
        return {"network": network, "mean": mean, **kept, "loss": np.array([reached], np.float32)}

    def _kept(self, network: Graph, pictures: list[Float], run: Run) -> Arrays:
        """Descriptors [M,64] of patches of each size, in the order of the pictures."""
        found: dict[str, list[Float]] = {name: [] for name in WINDOWS}
        for picture in run.each("describing good pictures", pictures, run.standing_for(len(pictures))):
            for name, described in zip(WINDOWS, network({"pictures": picture[None]}), strict=True):
                found[name].append(_rows(described))
        rng, kept = np.random.default_rng(self.params.seed), {}
        for name, rows in found.items():
            every = np.concatenate(rows)
            every = run.whole(every, len(every) // len(rows) * run.standing_for(len(pictures)))
            n = min(self.params.kept or len(every), len(every))
            kept[name] = every if n == len(every) else every[np.sort(rng.permutation(len(every))[:n])]
        return kept

    def _open(self) -> None:
        self._network = Graph(self._state["network"].tobytes())
        self._banks = {name: Bank(self._state[name], self.backbone.device) for name in WINDOWS}

    def _judge(self, image: Float) -> tuple[float, Float]:
        mean, hw = self._state["mean"], image.shape[1:]
        _check_size(image, mean.shape[1:])
        heats = []
        for (name, (side, step)), described in zip(WINDOWS.items(), self._network({"pictures": (image - mean)[None]}), strict=True):
            grid = described.shape[2:]
            squared, _ = self._banks[name].nearest(_rows(described))
            sides = (resample.spread(n, side, step, size) for n, size in zip(grid, hw, strict=True))
            heats.append(resample.apply(np.sqrt(squared).reshape(grid), *sides))
        heat = heats[0] * heats[1] if self.params.combine == "product" else heats[0] + heats[1]
        return float(heat.max()), heat


def _loss(encoders: Any, patches: torch.Tensor, direction: torch.Tensor, pull: float) -> torch.Tensor:
    """Of patches [4n,3,K,K]: n, their neighbours in these directions, n others, and what is nearly the same as those."""
    import torch

    n = len(direction)
    apart = patches[: 2 * n]
    apart = apart + NOISE * (torch.randn_like(apart[:, :, :1, :1]) + torch.randn_like(apart))
    one, other, here, near = encoders(torch.cat([apart, patches[2 * n :]])).chunk(4)
    guess = encoders.directions[str(patches.shape[-1])](one, other)
    return torch.nn.functional.cross_entropy(guess, direction) + pull * torch.linalg.vector_norm(here - near, dim=1).mean()


def _rows(described: Float) -> Float:
    """A map of descriptors [1,64,h,w] as rows: float32 [h·w,64]."""
    return np.ascontiguousarray(described[0].reshape(len(described[0]), -1).T)


def _check_size(image: Float, hw: tuple[int, ...]) -> None:
    """Raise DataError unless the picture is as large as the first good one, and that large enough."""
    high, wide = image.shape[1:]
    if (high, wide) != tuple(hw):
        raise DataError(
            f"patch_svdd: pictures of one size were needed, as their mean is taken from each; the first good one has "
            f"{hw[1]}×{hw[0]} pixels, and this one {wide}×{high}. Bring all pictures to one size, or choose another method."
        )
    if min(high, wide) < LEAST:
        raise DataError(
            f"patch_svdd: pictures of {LEAST} pixels on each side were needed; it gets {wide}×{high}. Ask for a larger size."
        )

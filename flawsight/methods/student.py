"""Student: Bergmann, Fauser, Sattlegger, Steger, "Uninformed Students: Student–Teacher Anomaly Detection with Discriminative Latent
Embeddings", CVPR 2020.

fit:   a teacher learns to describe a patch as a network of the paper's does that was trained on ImageNet: a linear layer must find
       that network's averaged features of the enlarged patch in its descriptor, the same patch moved a little is to be nearer than
       another, and the descriptor's dimensions are to be uncorrelated; the loss is λ_k ‖·‖² + λ_m · triplet + λ_c · compactness.
       Then students, which start at random, learn to say what the teacher says of each patch of the good pictures, standardised.
score: of a pixel e, the squared distance of the students' mean from the teacher, and v, their variance, each standardised by its
       mean and spread over good pictures that the students did not learn from, added. The picture scores the map's maximum.

Symbols: λ_k is `distil`, λ_m `triplet`, λ_c `compact`. Patches have a side of `patch`, 17, 33 or 65 pixels; the published row is of
65. There are `students` students.

All patches of a picture are described at once, which equals describing them one by one. Beyond the rim a picture is mirrored.

Where this differs: no authors' code is public. The teacher of the paper learned from ImageNet; here it learns from the folder
`teacher_data`, or from the good pictures themselves, and the model's notes say from which. Its patches are cut once, and looked at
by the other network once, so that it sees `crops` of them again and again. Of the correlations the absolute values are added, which
the formula omits. The paper scores no pictures, and does not tell which good ones v and e are standardised over.

Expected: on MVTec AD 85.7 mean PRO with patches of 65 pixels.
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from flawsight.backbones import PIXELS, SMALLEST, BackboneCard, get_card, open_backbone
from flawsight.backbones.onnx import RANDOM_NOTE, Graph
from flawsight.backbones.opening import RANDOM
from flawsight.errors import DataError
from flawsight.methods.base import averages, check
from flawsight.methods.learned import Learned, LearnedParams
from flawsight.parts import crops, resample
from flawsight.parts.folds import held_back
from flawsight.types import Arrays, Float

if TYPE_CHECKING:
    import torch

    from flawsight.networks.descend import Run
    from flawsight.networks.patch_networks import PatchNetwork

SIDES = (17, 33, 65)
WEIGHT_DECAY = 1e-5
LEAST = 1e-6  # share of the largest spread of a dimension, under which it is left as it is


@dataclass(frozen=True)
class StudentParams(LearnedParams):
    """steps: of the students. batch: whole pictures that they see in a step. patch: the side of patches in pixels, 17, 33 or 65.
    width: numbers that describe a patch, and channels of the first layers; 128 in the paper. students: how many there are.
    validation: share of the pictures learned from that the students do not see, for the mean and spread of e and v. distilled_from:
    the network that the teacher learns from. weights: its weights, empty for the published ones, "random", or a file. teacher_data:
    a folder of pictures for the teacher to learn from, searched with all folders in it; empty for the good pictures. crops: cut
    from them. least_share, most_share: of a picture's shorter side that a crop shows. trunk_size: pixels a side that crops are
    enlarged to for the other network. teacher_steps, teacher_batch, teacher_lr: as steps, batch in crops, and lr, of the teacher.
    distil, triplet, compact: λ_k, λ_m and λ_c. The others: see LearnedParams.
    """

    steps: int = 1000
    batch: int = 1
    lr: float = 1e-3
    patch: int = 33
    width: int = 32
    students: int = 3
    validation: float = 0.1
    distilled_from: str = SMALLEST
    weights: str = ""
    teacher_data: str = ""
    crops: int = 2000
    least_share: float = 1 / 16
    most_share: float = 1 / 4
    trunk_size: int = 128
    teacher_steps: int = 1000
    teacher_batch: int = 64
    teacher_lr: float = 1e-3
    distil: float = 1.0
    triplet: float = 0.0
    compact: float = 1.0

    def __post_init__(self) -> None:
        p = "student: "
        self.check_training(p)
        check(self.patch in SIDES, p + "patch", f"one of {', '.join(map(str, SIDES))}", self.patch)
        for name in ("width", "students", "teacher_steps"):
            check(getattr(self, name) >= 1, p + name, "≥ 1", getattr(self, name))
        check(0 <= self.validation < 1, p + "validation", "a share, 0 or more and below 1", self.validation)
        get_card(self.distilled_from)
        check(self.distilled_from != PIXELS, p + "distilled_from", "a network", self.distilled_from)
        check(self.teacher_batch >= 2, p + "teacher_batch", "≥ 2", self.teacher_batch)
        check(self.crops >= 2, p + "crops", "≥ 2", self.crops)
        check(0 < self.most_share <= 1, p + "most_share", "above 0 and at most 1", self.most_share)
        check(0 < self.least_share <= self.most_share, p + "least_share", "above 0 and at most most_share", self.least_share)
        check(self.trunk_size >= 32, p + "trunk_size", "≥ 32", self.trunk_size)
        check(0 < self.teacher_lr < 1, p + "teacher_lr", "above 0 and below 1", self.teacher_lr)
        for name in ("distil", "triplet", "compact"):
            check(0 <= getattr(self, name) < np.inf, p + name, "≥ 0 and finite", getattr(self, name))


class Student(Learned):
    """See the module."""

    name: ClassVar[str] = "student"
    title: ClassVar[str] = (
        "Student (Bergmann et al., CVPR 2020): where networks that learned to say what a teacher says of good patches fail to; "
        "learns by gradient"
    )
    Params: ClassVar[type[StudentParams]] = StudentParams
    files: ClassVar[tuple[str, ...]] = ("teacher_data", "weights")
    params: StudentParams

    def notes(self) -> list[str]:
        """See LearnedMethod.notes."""
        p = self.params
        where = p.teacher_data or "the good pictures"
        note = f"student: teacher_data={where}, distilled from {p.distilled_from}; the paper's teacher saw ImageNet."
        return [note, *([RANDOM_NOTE] if p.weights == RANDOM else [])]

    def _learn(self, pictures: list[Float], unseen: list[Float], run: Run) -> Arrays:
        """network: an ONNX file, pictures [B,3,h,w], normalised → e and v, maps [B,2,h,w]. scale: their mean and spread, [2,2].

        loss: what the teacher's and the students' training came to, [2].
        """
        import torch

        from flawsight.networks import export, patch_networks
        from flawsight.networks.descend import Phase

        p = self.params
        for picture in [*pictures, *unseen]:
            _check_size(picture, p.patch)
        others = held_back(range(len(pictures)), p.validation, np.random.default_rng(p.seed))
        seen = [torch.from_numpy(self._normalised(one)) for one, left_out in zip(pictures, others, strict=True) if not left_out]
        cut, features = self._looked_at(pictures, run)
        known = hashlib.sha256(run.key.encode())
        for made in (cut, features):  # by what was made of files
            known.update(made.data)
        run = replace(run, key=known.hexdigest())
        teacher, taught = self._teacher(cut, features, run)
        mean, spread = _standard(teacher, seen, run.device)
        students = [patch_networks.PatchNetwork(p.patch, p.width) for _ in range(p.students)]
        together = patch_networks.Disagreement(teacher, students, mean, spread).to(run.device)
        together.teacher.requires_grad_(False)

        def loss(batch: list[torch.Tensor]) -> torch.Tensor:
            total = torch.zeros((), device=run.device)
            for picture in batch:  # they may differ in size
                with run.mixed():
                    with torch.no_grad():  # kept for all pictures, what the teacher says would take gigabytes
                        target = together.target(picture)
                    said = [student.everywhere(picture) for student in together.students]
                total = total + sum((one.float() - target.float()).square().sum(1).mean() for one in said)
            return total / len(batch)

        def draw(rng: np.random.Generator) -> list[torch.Tensor]:
            return [seen[number][None].to(run.device) for number in rng.integers(len(seen), size=p.batch)]

        optimiser = torch.optim.Adam(together.students.parameters(), p.lr, weight_decay=WEIGHT_DECAY)
        reached = run.descend(together.students, [Phase(optimiser, loss)], draw, p.steps, "students")
        network = export.graph(together, torch.zeros(1, 3, 2 * p.patch, 2 * p.patch), free=(0, 2, 3))
        judged = [one for one, left_out in zip(pictures, others, strict=True) if left_out] or pictures
        scale = self._scale(Graph(network.tobytes()), judged)
        return {"network": network, "scale": scale, "loss": np.array([taught, reached], np.float32)}

    def _teacher(self, cut: crops.Crops, features: Float, run: Run) -> tuple[PatchNetwork, float]:
        """The teacher, of crops and the features of each, and what its training came to."""
        import torch
        from torch import nn

        from flawsight.networks import patch_networks
        from flawsight.networks.descend import Phase

        p = self.params
        seen, wanted = torch.from_numpy(cut).to(run.device), torch.from_numpy(features).to(run.device)
        mean, std = (torch.tensor(of).to(run.device)[:, None, None] for of in (self._card.mean, self._card.std))
        teacher = patch_networks.PatchNetwork(p.patch, p.width)
        network = nn.ModuleDict({"teacher": teacher, "decoder": nn.Linear(p.width, features.shape[1])}).to(run.device)

        def draw(rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
            chosen = torch.from_numpy(rng.integers(len(seen), size=p.teacher_batch))
            return (seen[chosen].float() - mean) / std, wanted[chosen]

        def loss(batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
            patches, target = batch
            with run.mixed():
                described = teacher(patches)
            described = described.float()
            total = p.distil * (network["decoder"](described) - target).square().sum(1).mean()
            if p.triplet:
                with run.mixed():
                    same = teacher(patch_networks.much_the_same(patches))
                total = total + p.triplet * patch_networks.apartness(described, same.float())
            return total + p.compact * patch_networks.compactness(described)

        optimiser = torch.optim.Adam(network.parameters(), p.teacher_lr, weight_decay=WEIGHT_DECAY)
        reached = run.descend(network, [Phase(optimiser, loss)], draw, p.teacher_steps, "teacher")
        return teacher, reached

    def _looked_at(self, pictures: list[Float], run: Run) -> tuple[crops.Crops, Float]:
        """Crops for the teacher, uint8 [N,3,patch,patch], and the other network's averaged features of each, [N,C]."""
        p = self.params
        rng, shares = np.random.default_rng(p.seed), (p.least_share, p.most_share)
        if p.teacher_data:
            parts = crops.from_folder(Path(p.teacher_data), p.crops, p.patch, shares, rng)
        else:
            parts = crops.from_pictures(pictures, p.crops, p.patch, shares, rng)
        trunk = open_backbone(p.distilled_from, (list(self._card.levels)[-1],), weights=p.weights or None, device=run.device)
        cut, features = np.empty((p.crops, 3, p.patch, p.patch), np.uint8), []
        for at, crop in enumerate(run.each("looking at crops", itertools.chain.from_iterable(parts), p.crops)):
            cut[at] = crop
            enlarged = resample.to_square(crop.astype(np.float32) / 255, p.trunk_size)
            features.append(averages(trunk, self._normalised(enlarged))[0])
        return run.whole(cut[: len(features)], p.crops), run.whole(np.stack(features), p.crops)

    def _scale(self, network: Graph, pictures: list[Float]) -> Float:
        """The mean and spread over all pixels of these pictures, of e and of v: float32 [2,2]."""
        values = np.concatenate([network({"pictures": self._normalised(one)[None]})[0][0].reshape(2, -1) for one in pictures], 1)
        return np.stack([values.mean(1, dtype=np.float64), values.std(1, dtype=np.float64)]).astype(np.float32)

    @property
    def _card(self) -> BackboneCard:
        return get_card(self.params.distilled_from)

    def _normalised(self, image: Float) -> Float:
        """A picture with values 0 to 1 as the other network takes it."""
        mean, std = (np.array(of, np.float32)[:, None, None] for of in (self._card.mean, self._card.std))
        return np.ascontiguousarray((255 * image - mean) / std)

    def _open(self) -> None:
        self._network = Graph(self._state["network"].tobytes())

    def _judge(self, image: Float) -> tuple[float, Float]:
        _check_size(image, self.params.patch)
        mean, spread = self._state["scale"]
        found = self._network({"pictures": self._normalised(image)[None]})[0][0]
        heat = np.zeros(image.shape[1:], np.float32)
        for of in np.flatnonzero(spread > 0):  # v of a single student is 0 everywhere
            heat += (found[of] - mean[of]) / spread[of]
        return float(heat.max()), heat


def _standard(teacher: PatchNetwork, pictures: list[torch.Tensor], device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and spread of each dimension of the teacher's descriptors over all pixels of these pictures, [width] each."""
    import torch

    total, squares, n = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64), 0
    with torch.no_grad():
        for picture in pictures:
            described = teacher.everywhere(picture[None].to(device))[0].flatten(1).double().cpu()
            total, squares, n = total + described.sum(1), squares + described.square().sum(1), n + described.shape[1]
    mean = total / n
    spread = (squares / n - mean.square()).clamp(min=0).sqrt()
    return mean.float(), torch.where(spread > LEAST * spread.max(), spread, torch.ones_like(spread)).float()


def _check_size(image: Float, patch: int) -> None:
    """Raise DataError unless the picture is large enough to be mirrored at its rim."""
    high, wide = image.shape[1:]
    if min(high, wide) <= patch // 2:
        raise DataError(
            f"student: pictures larger than half a patch, {patch // 2} pixels, were needed; it gets {wide}×{high}. "
            "Ask for a larger size or a smaller patch."
        )

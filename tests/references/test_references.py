"""Public codes of the methods and flawsight give the same, from the same weights and pictures.

What the codes gave is kept in arrays.npz, which tools/run_reference_codes.py made; it names each code and its commit.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference_inputs

from flawsight.backbones import get_card, open_backbone
from flawsight.backbones.onnx import OnnxBackbone
from flawsight.fitting.presets import get_preset
from flawsight.methods import make
from flawsight.types import Float, Scores

for needed in ("torch", "onnx"):
    pytest.importorskip(needed)
if importlib.util.find_spec("torchvision") is None:  # it cannot be imported by itself beside a CPU build of torch
    pytest.skip("needs torchvision", allow_module_level=True)

import torch  # noqa: E402

from flawsight.backbones import torch as room  # noqa: E402
from flawsight.networks import export, flows, gan, patch_encoders  # noqa: E402

SIDE, N_GOOD = 64, 4
EVERY = 4
CLOSE = 1e-4  # of the largest value: sums of float32 in other orders come to less than a millionth
INVERTED = 2e-3  # of PaDiM's: its code keeps covariances in float32 and inverts them, which comes to 8e-5

Arrays = dict[str, Any]


@pytest.fixture(scope="module")
def theirs() -> Arrays:
    with np.load(reference_inputs.ARRAYS) as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def good(theirs: Arrays) -> Any:
    return theirs["pictures"][:N_GOOD]


@pytest.fixture(scope="module")
def new(theirs: Arrays) -> Any:
    return theirs["pictures"][N_GOOD:]


def weights(name: str, folder: Path) -> str:
    """A file of the network's weights as reference_inputs.fill draws them; those behind its levels are 0."""
    file = folder / f"{name}.pth"
    network = room.empty(get_card(name))
    torch.save(
        {
            key: torch.zeros(one.shape)
            if key.startswith("classifier")
            else torch.from_numpy(reference_inputs.fill(key, tuple(one.shape)))
            for key, one in network.state_dict().items()
            if one.ndim
        },
        file,
    )
    return str(file)


LEVELS = ("layer1", "layer2", "layer3", "layer4")


@pytest.fixture(scope="module")
def resnet18(tmp_path_factory: pytest.TempPathFactory) -> str:
    return weights("resnet18", tmp_path_factory.mktemp("weights"))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLAWSIGHT_CACHE", str(tmp_path))


@pytest.fixture(scope="module")
def network(resnet18: str, tmp_path_factory: pytest.TempPathFactory) -> OnnxBackbone:
    """All levels, made once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLAWSIGHT_CACHE", str(tmp_path_factory.mktemp("cache")))
        opened = open_backbone("resnet18", LEVELS, weights=resnet18)
    assert isinstance(opened, OnnxBackbone)
    return opened


def ours(preset: str, options: dict[str, Any], backbone: OnnxBackbone, good: Any, new: Any) -> Scores:
    method = make(get_preset(preset).method, {**get_preset(preset).options, **options}, backbone)
    method.fit(list(reference_inputs.normalised(good)), list(range(len(good))))
    return method.score(reference_inputs.normalised(new))


def heats(scores: Scores) -> Float:
    assert scores.map is not None
    return scores.map[:, ::EVERY, ::EVERY]


def check(found: Float, expected: Any, close: float = CLOSE) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=close * np.abs(expected).max())


@pytest.mark.parametrize(("name", "primed"), [("as_run", SIDE), ("eval", 0)])
@pytest.mark.usefixtures("cache")
def test_patchcore(name: str, primed: int, resnet18: str, theirs: Arrays, good: Any, new: Any) -> None:
    own = {
        "level_dims": reference_inputs.LEVEL_DIMS,
        "target_dims": reference_inputs.TARGET_DIMS,
        "coreset": "identity",
        "coreset_ratio": 1.0,
    }
    backbone = open_backbone("resnet18", ("layer2", "layer3"), weights=resnet18, primed=primed)
    assert isinstance(backbone, OnnxBackbone)
    scores = ours("patchcore_10", own, backbone, good, new)
    check(scores.image, theirs[f"patchcore.{name}.scores"])
    check(heats(scores), theirs[f"patchcore.{name}.maps"])
    other = theirs[f"patchcore.{'eval' if primed else 'as_run'}.scores"]
    assert np.abs(scores.image / other - 1).min() > 0.01


class Chosen(OnnxBackbone):
    """A network of whose channels, all levels together, only these are given, level by level."""

    chosen: list[int]

    def features(self, images: Float) -> list[Float]:
        found, first = [], 0
        for level in super().features(images):
            found.append(level[:, [one - first for one in self.chosen if first <= one < first + level.shape[1]]])
            first += level.shape[1]
        return found


def test_padim(network: OnnxBackbone, theirs: Arrays, good: Any, new: Any) -> None:
    backbone = Chosen(network.data, LEVELS[:3])
    backbone.chosen = sorted(theirs["padim.kept"])
    scores = ours("padim_r18", {"dims": 0}, backbone, good, new)
    check(scores.image, theirs["padim.scores"], INVERTED)
    check(heats(scores), theirs["padim.maps"], INVERTED)


def test_spade(network: OnnxBackbone, theirs: Arrays, good: Any, new: Any) -> None:
    own = {"neighbours": reference_inputs.GALLERY, "distance": "euclidean"}
    scores = ours("spade_per_level", own, network, reference_inputs.variants(good), new)
    check(scores.image, theirs["spade.scores"])
    maps, expected = heats(scores), theirs["spade.maps"]
    check(maps / maps.mean(), expected / expected.mean())  # ours is brought to the scores' unit


def test_mahalanobis_ad(network: OnnxBackbone, theirs: Arrays, good: Any, new: Any) -> None:
    scores = ours("mahalanobis_ad", {"folds": 1}, network, reference_inputs.variants(good), new)
    check(scores.image, theirs["mahalanobis_ad.scores"])


def fill_in_order(module: Any, kind: str) -> None:
    """Fill the module's floating arrays by kind, number and what they are, such as generator.3.running_var."""
    floating = {name: one for name, one in module.state_dict().items() if one.is_floating_point()}
    for at, (name, one) in enumerate(floating.items()):
        one.copy_(torch.from_numpy(reference_inputs.fill(f"{kind}.{at}.{name.rpartition('.')[2]}", tuple(one.shape))))
    module.eval()


@pytest.mark.usefixtures("cache")
def test_differnet(tmp_path: Path, theirs: Arrays, new: Any) -> None:
    backbone = open_backbone("alexnet", ("features",), weights=weights("alexnet", tmp_path))
    dims = theirs["differnet.z"].shape[1] * 8
    flow = flows.Flow(dims, reference_inputs.FLOW_BLOCKS, reference_inputs.FLOW_WIDTH)
    with torch.no_grad():
        for number, coupling in enumerate(flow.couplings):
            flow.orders[number] = torch.from_numpy(np.random.RandomState(number).permutation(dims))
            for half, said in (("s1", coupling.of_first), ("s2", coupling.of_second)):
                linear = [layer for layer in said if isinstance(layer, torch.nn.Linear)]
                for layer, name in zip(linear, ("fc1", "fc2", "fc2b", "fc3"), strict=True):
                    for kind, one in layer.named_parameters():
                        key = f"module_list.{2 * number + 2}.{half}.{name}.{kind}"
                        damped = reference_inputs.FLOW_LAST if name == "fc3" else 1
                        one.copy_(torch.from_numpy(reference_inputs.fill(key, tuple(one.shape)) * damped))
    unlikeness = flows.Unlikeness(flow, torch.zeros(dims), torch.ones(dims))
    options = {"blocks": reference_inputs.FLOW_BLOCKS, "width": reference_inputs.FLOW_WIDTH, "judged_turns": 1, "angle": 0.0}
    method = make("differnet", {**get_preset("differnet").options, **options}, backbone)
    method = method.with_state({"network": export.graph(unlikeness, torch.zeros(1, dims), takes="vectors")})
    pictures = reference_inputs.normalised(reference_inputs.tiled(new, reference_inputs.FLOW_SIDE))
    check(method.score(pictures).image, theirs["differnet.scores"])
    vectors = torch.from_numpy(np.stack([method._averages(one, 0.0) for one in pictures]))
    with torch.no_grad():
        z, logarithm = flow(vectors)
    check(z.numpy()[:, ::8], theirs["differnet.z"])
    loss = (z.square().sum(1) / 2 - logarithm).mean() / dims
    check(np.array([float(loss)]), theirs["differnet.loss"])


def test_ganomaly(theirs: Arrays, new: Any) -> None:
    generator = gan.Generator(SIDE, reference_inputs.GAN_WIDTH, reference_inputs.GAN_LATENT)
    judge = gan.Discriminator(SIDE, reference_inputs.GAN_WIDTH)
    with torch.no_grad():
        fill_in_order(generator, "generator")
        fill_in_order(torch.nn.ModuleList([judge.features, judge.last]), "discriminator")  # as the code orders them
    options = {"side": SIDE, "width": reference_inputs.GAN_WIDTH, "latent": reference_inputs.GAN_LATENT}
    method = make("ganomaly", options, open_backbone("pixels"))
    method = method.with_state({"network": export.graph(gan.CodeDistance(generator, True), torch.zeros(1, 3, SIDE, SIDE))})
    pictures = np.asarray(new.transpose(0, 3, 1, 2) / 255, np.float32)
    check(method.score(pictures).image, theirs["ganomaly.scores"])
    with torch.no_grad():
        made = generator(torch.from_numpy(2 * pictures - 1))[0].numpy()
        features, logits = judge(torch.from_numpy(2 * pictures - 1))
    check(made[:, :, ::16, ::16], theirs["ganomaly.made"])
    check(features.numpy()[:, ::8], theirs["ganomaly.features"])
    check(logits.sigmoid().numpy(), theirs["ganomaly.real"])


def test_patch_svdd(theirs: Arrays, good: Any, new: Any) -> None:
    encoders = patch_encoders.Encoders(32, False)
    with torch.no_grad():
        fill_in_order(torch.nn.ModuleList([encoders.small, encoders.join]), "patch_svdd")
    graph = export.graph(patch_encoders.Everywhere(encoders), torch.zeros(1, 3, SIDE, SIDE), ("small", "large"), free=(0, 2, 3))
    seen, judged = (
        np.asarray(reference_inputs.tiled(one, reference_inputs.SVDD_SIDE).transpose(0, 3, 1, 2) / 255, np.float32)
        for one in (good, new)
    )
    mean = seen.mean(0)
    method = make("patch_svdd", {"width": 32}, open_backbone("pixels"))
    network = OnnxBackbone(graph.tobytes(), ("small", "large"))
    described = network.features(seen - mean)
    kept = {name: one.transpose(0, 2, 3, 1).reshape(-1, 64) for name, one in zip(("small", "large"), described, strict=True)}
    scores = method.with_state({"network": graph, "mean": mean, **kept}).score(judged)
    check(scores.image, theirs["patch_svdd.scores"])
    check(heats(scores), theirs["patch_svdd.maps"])
    for side, one in zip((32, 64), network.features(judged - mean), strict=True):
        check(one[:, :, 1, 1], theirs[f"patch_svdd.{side}"])

"""Run public codes of other methods and keep what they give, for tests/references.

    git clone https://github.com/OWNER/NAME CODES/NAME    # each of COMMITS, at the commit named there
    pip install faiss-cpu scikit-learn scikit-image imageio matplotlib tqdm efficientnet_pytorch
    python tools/run_reference_codes.py CODES [OUT.npz]

Nothing of these codes is in flawsight; what is kept is numbers that they computed. Each gets the weights and pictures of
tests/references/reference_inputs.py, ResNet-18 or AlexNet in the place of larger networks, pictures that are read and cut to
size already, and nothing else that would change what it computes, but for what their age asks for:

    SPADE           its map has a side of 224 pixels, whatever the picture's: that of the pictures is put in its place. With the
                    torch of its day pairwise_distance went along the channels; today's goes along the last axis.
    MahalanobisAD   the averages of ResNet-18's four levels stand for those of EfficientNet-B4.
    DifferNet       it asks for a GPU when it is imported, and gets an answer without one.
    PatchSVDD       its exact search for both sizes of patches; for the smaller it has an approximate one. No GPU.
"""

from __future__ import annotations

import contextlib
import importlib
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from flawsight import demo
from flawsight.backbones import torch as room

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "references"))
import reference_inputs

COMMITS = {  # folder → owner, commit, folder of its modules
    "patchcore-inspection": ("amazon-science", "fcaa92f124fb1ad74a7acf56726decd4b27cbcad", "src"),
    "PaDiM-Anomaly-Detection-Localization-master": ("xiahaifeng1995", "616004b9b7fa6a507d196dd3eeeba9e0a93f160f", "."),
    "SPADE-pytorch": ("byungjae89", "077c67be21d68a38b4442db7311c87e708728286", "src"),
    "MahalanobisAD-pytorch": ("byungjae89", "913a9991cf2ba9f54eebc4ae322df669f6015a38", "src"),
    "differnet": ("marco-rudolph", "9bdf02686297a093fb206ffeba64b1c0e78182b6", "."),
    "ganomaly": ("samet-akcay", "78da4ea9a99f5b02ab60dd651a18def929176d77", "."),
    "Anomaly-Detection-PatchSVDD-PyTorch": ("nuclearboy95", "934d6238e5e0ad511e2a0e7fc4f4899010e7d892", "."),
}
SIDE, N_GOOD = 64, 4
EVERY = 4  # of a map's rows and columns, one in so many is kept

Arrays = dict[str, np.ndarray[Any, Any]]


def main() -> None:
    room._torchvision()  # before the codes ask for it
    codes = Path(sys.argv[1])
    out = Path(sys.argv[2]) if len(sys.argv) > 2 else reference_inputs.ARRAYS
    pictures = drawn()
    found: Arrays = {"pictures": pictures}
    good, new = pictures[:N_GOOD], pictures[N_GOOD:]
    for name, run in RUNS.items():
        owner, commit, modules = COMMITS[name]
        head = subprocess.run(["git", "-C", codes / name, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        if head.stdout.strip() != commit:
            raise SystemExit(f"{codes / name}: commit {commit} of {owner}/{name} was needed; it is at {head.stdout.strip()}.")
        with imported_from(codes / name / modules):
            found |= run(good, new)
        print(name, {key: value.shape for key, value in found.items()}, flush=True)
    np.savez_compressed(out, **found)
    print(f"{out}: {out.stat().st_size} bytes")


def drawn() -> np.ndarray[Any, Any]:
    """Plates, good ones first: uint8 [N,64,64,3]."""
    with tempfile.TemporaryDirectory() as folder:
        root = demo.write(Path(folder) / "demo", n_good=N_GOOD, n_test_good=1, n_per_kind=1, size=128)
        paths = [*sorted((root / "train" / "good").iterdir()), *sorted((root / "test").glob("*/*.*"))[:2]]
        return np.stack([np.asarray(Image.open(path).convert("RGB").resize((SIDE, SIDE))) for path in paths])


@contextlib.contextmanager
def imported_from(folder: Path) -> Iterator[None]:
    """Modules are looked for there first; they are forgotten afterwards, and with them the folder."""
    known = set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        with tempfile.TemporaryDirectory() as results, mock.patch.object(sys, "argv", ["code", "--save_path", results]):
            yield
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - known:
            if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
                del sys.modules[name]


def network(name: str) -> Any:
    """One of torchvision's, with the weights of reference_inputs.fill, in training mode as it always is when made."""
    made = room._torchvision().models.get_model(name, weights=None)
    made.load_state_dict(
        {
            key: one if one.ndim == 0 else torch.from_numpy(reference_inputs.fill(key, tuple(one.shape)))
            for key, one in made.state_dict().items()
        }
    )
    return made


def fill_in_order(module: torch.nn.Module, kind: str) -> None:
    """The module's floating arrays filled by kind, number and what they are, such as generator.3.running_var."""
    floating = {name: one for name, one in module.state_dict().items() if one.is_floating_point()}
    for at, (name, one) in enumerate(floating.items()):
        one.copy_(torch.from_numpy(reference_inputs.fill(f"{kind}.{at}.{name.rpartition('.')[2]}", tuple(one.shape))))


def tensors(pictures: Any) -> torch.Tensor:
    return torch.from_numpy(reference_inputs.normalised(pictures))


def sparse(maps: Any) -> np.ndarray[Any, Any]:
    return np.stack([np.asarray(one, np.float32)[::EVERY, ::EVERY] for one in maps])


def patchcore(good: Any, new: Any) -> Arrays:
    """As it is run, and with its network in evaluation mode from the beginning."""
    code = importlib.import_module("patchcore.patchcore")
    common, sampler = importlib.import_module("patchcore.common"), importlib.import_module("patchcore.sampler")
    found: Arrays = {}
    for name in ("as_run", "eval"):
        made = network("resnet18")
        method = code.PatchCore(torch.device("cpu"))
        method.load(
            backbone=made.eval() if name == "eval" else made,
            layers_to_extract_from=["layer2", "layer3"],
            device=torch.device("cpu"),
            input_shape=(3, SIDE, SIDE),
            pretrain_embed_dimension=reference_inputs.LEVEL_DIMS,
            target_embed_dimension=reference_inputs.TARGET_DIMS,
            patchsize=3,
            anomaly_score_num_nn=1,
            featuresampler=sampler.IdentitySampler(),
            nn_method=common.FaissNN(False, 1),
        )
        method.fit([tensors(good)])
        scores, maps = method.predict(tensors(new))
        found |= {f"patchcore.{name}.scores": np.array(scores), f"patchcore.{name}.maps": sparse(maps)}
        found[f"patchcore.{name}.moved"] = made.bn1.running_var.numpy().copy()
    return found


class Pictures(torch.utils.data.Dataset[Any]):
    """In the place of the codes' data sets: pictures, labels (the last one is defective) and masks."""

    def __init__(self, pictures: Any) -> None:
        self.x = tensors(pictures)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, at: int) -> tuple[torch.Tensor, int, torch.Tensor]:
        label = int(at == len(self) - 1)
        return self.x[at], label, torch.full((1, SIDE, SIDE), float(label))


def script(good: Any, new: Any, networks: dict[str, Any], **others: Any) -> tuple[list[Any], list[Any]]:
    """A code's script run on pictures: what it gives roc_curve as scores, call by call, and its blurred maps."""
    main = importlib.import_module("main")
    asked: list[Any] = []
    blurred: list[Any] = []
    blur: Callable[..., Any] = getattr(main, "gaussian_filter", None) or (lambda *_: None)
    roc_curve = main.roc_curve

    def kept_blur(*args: Any, **options: Any) -> Any:
        blurred.append(blur(*args, **options).copy())
        return blurred[-1].copy()

    def kept_curve(labels: Any, scores: Any) -> Any:
        asked.append(np.array(scores))
        return roc_curve(labels, scores)

    def dataset(*_: Any, is_train: bool, **__: Any) -> Pictures:
        return Pictures(good if is_train else new)

    nothing = mock.MagicMock()
    nothing.subplots.return_value = (mock.MagicMock(), mock.MagicMock())
    replaced = {"roc_curve": kept_curve, "gaussian_filter": kept_blur, "plt": nothing, **networks, **others}
    with (
        mock.patch.multiple(main, **{name: one for name, one in replaced.items() if hasattr(main, name)}),
        mock.patch.multiple(main.mvtec, CLASS_NAMES=["one"], MVTecDataset=dataset),
    ):
        main.main()
    return asked, blurred


def padim(good: Any, new: Any) -> Arrays:
    sys.argv += ["--arch", "resnet18"]
    kept: list[int] = []

    def sample(every: Any, n: int) -> list[int]:
        kept[:] = random.sample(every, n)
        return kept

    networks = {"resnet18": lambda **_: network("resnet18")}
    _, blurred = script(good, new, networks, plot_fig=lambda *_: None, sample=sample)
    return {"padim.kept": np.array(kept), "padim.scores": np.array([one.max() for one in blurred]), "padim.maps": sparse(blurred)}


def spade(good: Any, new: Any) -> Arrays:
    sys.argv += ["--top_k", str(reference_inputs.GALLERY)]

    def interpolate(maps: torch.Tensor, size: int, **how: Any) -> torch.Tensor:
        return functional.interpolate(maps, size=SIDE, **how)

    with mock.patch.object(torch, "pairwise_distance", lambda one, other: torch.linalg.vector_norm(one - other + 1e-6, dim=1)):
        asked, blurred = script(
            reference_inputs.variants(good),
            new,
            {"wide_resnet50_2": lambda **_: network("resnet18")},
            F=SimpleNamespace(interpolate=interpolate),
            visualize_loc_result=lambda *_, **__: None,
        )
    return {"spade.scores": asked[0], "spade.maps": sparse(blurred)}


def mahalanobis_ad(good: Any, new: Any) -> Arrays:
    class Averages(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network("resnet18")

        @classmethod
        def from_pretrained(cls, _: str) -> Averages:
            return cls()

        def extract_features(self, x: torch.Tensor) -> list[torch.Tensor]:
            n = self.network
            x = n.maxpool(n.relu(n.bn1(n.conv1(x))))
            found = []
            for level in (n.layer1, n.layer2, n.layer3, n.layer4):
                x = level(x)
                found.append(functional.adaptive_avg_pool2d(x, 1))
            return found

    main = importlib.import_module("main")
    with mock.patch.object(main, "range", lambda n: range(4 if n == 9 else n), create=True):
        asked, _ = script(reference_inputs.variants(good), new, {"EfficientNetModified": Averages})
    return {"mahalanobis_ad.scores": asked[0]}


def differnet(good: Any, new: Any) -> Arrays:
    with mock.patch.object(torch.cuda, "set_device"):
        config: Any = importlib.import_module("config")
    config.device, config.img_size = "cpu", (reference_inputs.FLOW_SIDE, reference_inputs.FLOW_SIDE)
    config.fc_internal, config.n_coupling_blocks = reference_inputs.FLOW_WIDTH, reference_inputs.FLOW_BLOCKS
    code, utils = importlib.import_module("model"), importlib.import_module("utils")
    with mock.patch.object(code, "alexnet", return_value=network("alexnet")):
        method = code.DifferNet().eval()
    state = method.nf.state_dict()
    for name, one in state.items():
        if one.is_floating_point():
            one.copy_(
                torch.from_numpy(
                    reference_inputs.fill(name, tuple(one.shape)) * (reference_inputs.FLOW_LAST if ".fc3." in name else 1)
                )
            )
    with torch.no_grad():
        z = method(tensors(reference_inputs.tiled(new, reference_inputs.FLOW_SIDE)))
        loss = utils.get_loss(z, method.nf.jacobian(run_forward=False))
        scores = torch.mean(z**2, dim=-1)
    return {"differnet.scores": scores.numpy(), "differnet.z": z.numpy()[:, ::8], "differnet.loss": np.array([float(loss)])}


def ganomaly(_: Any, new: Any) -> Arrays:
    code = importlib.import_module("lib.networks")
    options = SimpleNamespace(
        isize=SIDE, nz=reference_inputs.GAN_LATENT, nc=3, ngf=reference_inputs.GAN_WIDTH, ngpu=1, extralayers=0
    )
    generator, judge = code.NetG(options).eval(), code.NetD(options).eval()
    fill_in_order(generator, "generator")
    fill_in_order(judge, "discriminator")
    pictures = torch.from_numpy((new.transpose(0, 3, 1, 2) / 127.5 - 1).astype(np.float32))
    with torch.no_grad():
        made, one, other = generator(pictures)
        real, features = judge(pictures)
        scores = torch.mean(torch.pow(one - other, 2), dim=1).reshape(len(new))
    return {
        "ganomaly.scores": scores.numpy(),
        "ganomaly.made": made.numpy()[:, :, ::16, ::16],
        "ganomaly.real": real.numpy(),
        "ganomaly.features": features.numpy()[:, ::8],
    }


def patch_svdd(good: Any, new: Any) -> Arrays:
    code = importlib.import_module("codes.networks")
    inspection, utils = importlib.import_module("codes.inspection"), importlib.import_module("codes.utils")
    encoder = code.EncoderHier(64).eval()
    fill_in_order(encoder, "patch_svdd")
    seen, judged = (reference_inputs.tiled(one, reference_inputs.SVDD_SIDE).astype(np.float32) for one in (good, new))
    mean = seen.mean(axis=0)
    found: Arrays = {}
    maps = []
    with mock.patch.object(torch.Tensor, "cuda", lambda self: self):
        for which, side, step in ((encoder, 64, 16), (encoder.enc, 32, 4)):
            of_good, of_new = (inspection.infer((one - mean) / 255, which, K=side, S=step) for one in (seen, judged))
            nearest = inspection.measure_emb_NN(of_new, of_good, method="kdt", NN=1)
            maps.append(utils.distribute_scores(nearest, (reference_inputs.SVDD_SIDE, reference_inputs.SVDD_SIDE), K=side, S=step))
            found[f"patch_svdd.{side}"] = of_new[:, 1, 1]
    product = maps[0] * maps[1]
    return {**found, "patch_svdd.scores": product.max(axis=-1).max(axis=-1), "patch_svdd.maps": sparse(product)}


RUNS: dict[str, Callable[[Any, Any], Arrays]] = dict(
    zip(COMMITS, (patchcore, padim, spade, mahalanobis_ad, differnet, ganomaly, patch_svdd), strict=True)
)


if __name__ == "__main__":
    main()

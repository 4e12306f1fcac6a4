"""Networks run step by step through torch, on its CPU: what runs on a GPU is the same code."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from flawsight.backbones import get_card, gpu, open_backbone, proto  # noqa: E402
from flawsight.backbones import torch as room  # noqa: E402
from flawsight.backbones.onnx import OnnxBackbone  # noqa: E402
from flawsight.datasets import DataSet  # noqa: E402
from flawsight.errors import MissingExtra, ModelFileError, UnknownName, UsageError  # noqa: E402
from flawsight.fitting import Plan, fit  # noqa: E402
from flawsight.model import load  # noqa: E402
from flawsight.types import Float  # noqa: E402


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU in the GPU's place."""
    for name in ("flawsight.backbones.gpu", "flawsight.search.gpu"):
        __import__(name)
        monkeypatch.setattr(sys.modules[name], "place", lambda device: torch.device("cpu"))


def draw(high: int, wide: int, n: int = 2) -> Float:
    return np.random.default_rng(high + wide).normal(0, 1, (n, 3, high, wide)).astype(np.float32)


@pytest.mark.parametrize("name", ["efficientnet_lite0", "resnet18", "alexnet", "densenet201", "efficientnet_b4"])
def test_a_network_gives_what_it_gives_under_onnxruntime(name: str, cuda: None) -> None:
    card = get_card(name)
    levels = {"densenet201": ("denseblock1", "denseblock2"), "efficientnet_b4": ("stem", "stage3")}.get(name, tuple(card.levels))
    if not card.embedded:
        for needed in ("torchvision", "timm", "onnx"):
            if importlib.util.find_spec(needed) is None:
                pytest.skip(f"needs {needed}")
    data = card.onnx() if card.embedded else room.random(card, levels, 0)
    ours, theirs = OnnxBackbone(data, levels), OnnxBackbone(data, levels, device="cuda")
    assert (theirs.runtime, theirs.device) == ("torch", "cuda")
    for hw in [(64, 96)] if card.embedded else [(64, 96), (83, 70)]:
        for level, expected, found in zip(levels, ours.features(draw(*hw)), theirs.features(draw(*hw)), strict=True):
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max(), err_msg=level)


@pytest.mark.parametrize(("name", "level"), [("efficientnet_lite0", "stage5"), ("resnet18", "layer4")])
def test_what_a_network_has_learned_can_be_learned_on(name: str, level: str) -> None:
    if name == "resnet18" and (importlib.util.find_spec("torchvision") is None or importlib.util.find_spec("onnx") is None):
        pytest.skip("needs torchvision and onnx")
    data = get_card(name).onnx() if name.startswith("eff") else room.random(get_card(name), (level,), 0)
    trunk = gpu.Trunk(data, [level], "cpu")
    x = torch.from_numpy(draw(64, 64))
    before = trunk(x)[0]
    np.testing.assert_allclose(
        before.detach(), OnnxBackbone(data, (level,)).features(x.numpy())[0], rtol=1e-4, atol=1e-4 * float(before.detach().max())
    )
    before.square().mean().backward()
    assert all(one.grad is not None and one.grad.abs().max() > 0 for one in trunk.parameters())
    steps = [node for node in gpu._needed(proto.read(data).nodes, {level}) if node.op in gpu.LEARNED]
    assert len(list(trunk.parameters())) == sum(len(node.inputs[1:3]) for node in steps)  # none is shared
    kept = [one.clone() for one in trunk.buffers()]
    torch.optim.SGD(trunk.parameters(), 1e-3).step()
    assert (trunk.train()(x)[0] != before).any()
    assert all((one == other).all() for one, other in zip(trunk.buffers(), kept, strict=True))


def test_only_the_steps_that_are_needed_are_run(cuda: None, monkeypatch: pytest.MonkeyPatch) -> None:
    run = gpu.runner(get_card("efficientnet_lite0").onnx(), ["stage2"], "cuda")
    count = []
    real = gpu.STEPS["Conv"]
    monkeypatch.setitem(gpu.STEPS, "Conv", lambda given, about: count.append(1) or real(given, about))
    run(draw(64, 64, 1))
    convs = [node for node in proto.read(get_card("efficientnet_lite0").onnx()).nodes if node.op == "Conv"]
    assert 0 < len(count) < len(convs) / 3


def test_a_step_that_is_not_known_is_told(cuda: None) -> None:
    onnx = pytest.importorskip("onnx")
    info = onnx.helper.make_tensor_value_info
    node = onnx.helper.make_node("Softmax", ["image"], ["layer1"])
    graph = onnx.helper.make_graph([node], "one", [info("image", 1, ["n"])], [info("layer1", 1, ["n"])])
    with pytest.raises(ModelFileError, match=r"steps that do not run on cuda: Softmax\. Use device cpu"):
        gpu.runner(onnx.helper.make_model(graph).SerializeToString(), ["layer1"], "cuda")
    with pytest.raises(ModelFileError, match="lacks the levels stage9"):
        gpu.runner(get_card("efficientnet_lite0").onnx(), ["stage9"], "cuda")


def test_a_model_is_fitted_saved_and_judges_there_as_here(plates: DataSet, cuda: None, tmp_path: Path) -> None:
    plan = {"size": 128, "options": {"neighbours": 2, "coreset_ratio": 0.05}}
    here, there = fit(plates.train, Plan(**plan)), fit(plates.train, Plan(**plan, device="cuda"))
    there.save(tmp_path / "there.flaw")
    again = load(tmp_path / "there.flaw", device="cuda")
    assert (again.backbone.device, again.backbone.runtime) == ("cuda", "torch")
    cpu = load(tmp_path / "there.flaw")
    for sample in plates.test[:4]:
        expected = here.predict(sample)
        for model in (there, again, cpu):
            found = model.predict(sample)
            assert found.score == pytest.approx(expected.score, rel=1e-3)
            np.testing.assert_allclose(found.map, expected.map, rtol=1e-2, atol=1e-3 * expected.map.max())
    assert there.threshold.value == pytest.approx(here.threshold.value, rel=1e-3)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_is_said_and_nothing_is_done_instead(plates: DataSet, tmp_path: Path) -> None:
    for wanted in ("cuda", "cuda:1"):
        with pytest.raises(UsageError, match=f"device {wanted}: such a GPU was needed; torch .* finds 0 here. Use device cpu"):
            fit(plates.train, Plan(device=wanted))
    with pytest.raises(UsageError, match="such a GPU was needed"):
        load(tmp_path / "any.flaw", device="cuda")


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "mps"])
def test_an_unknown_device_is_refused(device: str) -> None:
    with pytest.raises(UnknownName, match=f"devices: there is no '{device}'"):
        open_backbone("efficientnet_lite0", device=device)


def test_openvino_and_a_gpu_do_not_go_together(cuda: None) -> None:
    with pytest.raises(UsageError, match="openvino runs on the cpu alone; device cuda came too"):
        open_backbone("efficientnet_lite0", runtime="openvino", device="cuda")


def test_without_torch_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else real(name))
    with pytest.raises(MissingExtra, match=r"device cuda: needs torch, .* pip install 'flawsight\[torch\]'"):
        open_backbone("efficientnet_lite0", device="cuda")

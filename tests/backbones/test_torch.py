"""The papers' networks: what the table says of them, and their ONNX files against the networks of torchvision and timm."""

from __future__ import annotations

import hashlib
import importlib.util
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flawsight.backbones import BACKBONES, BackboneCard, cache, cards, get_card, open_backbone, opening, proto
from flawsight.backbones.onnx import OnnxBackbone
from flawsight.errors import MissingExtra, ModelFileError, UnknownName, UsageError
from flawsight.types import Float

for needed in ("torch", "onnx"):
    pytest.importorskip(needed)
for needed in ("torchvision", "timm"):
    if importlib.util.find_spec(needed) is None:  # they cannot be imported by themselves beside a CPU build of torch
        pytest.skip(f"needs {needed}", allow_module_level=True)

import torch  # noqa: E402

from flawsight.backbones import torch as room  # noqa: E402

PAPERS = [card for card in BACKBONES.values() if not card.embedded]
SIZES_HW = [(96, 160), (131, 98), (128, 128)]


def draw(high: int, wide: int) -> Float:
    return np.random.default_rng(high + wide).normal(0, 1, (1, 3, high, wide)).astype(np.float32)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder."""
    monkeypatch.setenv("FLAWSIGHT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def untrained(name: str) -> Any:
    """The library's own network, with weights and statistics that differ from place to place."""
    torchvision = room._torchvision()
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(1)
        if name.startswith("efficientnet"):
            import timm

            network = timm.create_model(f"tf_{name}")
        else:
            network = torchvision.models.get_model(name, weights=None)
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1)
                module.bias.uniform_(-0.2, 0.2)
                module.running_mean.uniform_(-0.2, 0.2)
                module.running_var.uniform_(0.5, 1.5)
    return network.eval()


def hooked(network: Any, modules: dict[str, Any], images: Float) -> list[Float]:
    """What each module gives while the whole network judges the images."""
    found: dict[str, Any] = {}

    def keep(level: str) -> Callable[..., None]:
        return lambda _module, _given, result: found.update({level: result.clone()})

    hooks = [module.register_forward_hook(keep(level)) for level, module in modules.items()]
    with torch.no_grad():
        network(torch.from_numpy(images))
    for hook in hooks:
        hook.remove()
    return [found[level].numpy() for level in modules]


@pytest.mark.parametrize("card", PAPERS, ids=lambda card: card.name)
def test_a_row_says_what_the_network_gives(card: BackboneCard) -> None:
    network = room.trunk(card, room.empty(card), tuple(card.levels))
    maps = network(torch.empty(1, 3, 224, 224, device="meta"))
    for level, found in zip(card.levels, maps, strict=True):
        channels, stride = card.levels[level]
        side = 224 // stride
        if card.name == "alexnet":  # its first layer leaves a rim out, and its pooling has none
            side -= level != "features" or 1
        if level == "fc7":
            side = 1
        assert found.shape == (1, channels, side, side), level


@pytest.mark.parametrize("card", PAPERS, ids=lambda card: card.name)
def test_a_row_names_the_file_that_the_library_publishes(card: BackboneCard) -> None:
    torchvision = room._torchvision()
    if card.library == "timm":
        import timm

        published = timm.get_pretrained_cfg(f"tf_{card.name}.aa_in1k")
        assert published.input_size == (3, card.input_size, card.input_size)
        assert tuple(255 * one for one in published.mean) == pytest.approx(card.mean)
        assert tuple(255 * one for one in published.std) == pytest.approx(card.std)
        assert Path(published.url).name == Path(card.url).name
    else:
        published = torchvision.models.get_model_weights(card.name).IMAGENET1K_V1
        assert published.url == card.url
        assert tuple(255 * one for one in published.transforms().mean) == pytest.approx(card.mean)
        assert tuple(255 * one for one in published.transforms().std) == pytest.approx(card.std)


RESNET18 = ("layer1", "layer2", "layer3", "layer4")
B4 = ("stem", "stage1", "stage2", "stage3", "stage4", "stage5", "stage6", "stage7", "head")
B5 = ("block7", "stage2", "block19", "block20", "block26")


def modules_of(name: str, network: Any) -> dict[str, Any]:
    """The library's modules that end levels, found by name and number, not as the product does."""
    if name == "resnet18":
        return {level: getattr(network, level) for level in RESNET18}
    if name == "alexnet":
        return {"conv1": network.features[1], "conv3": network.features[7], "features": network.features}
    if name == "densenet201":
        return {f"denseblock{i}": getattr(network.features, f"denseblock{i}") for i in (1, 2)}
    if name == "efficientnet_b4":
        stages = {f"stage{i}": stage for i, stage in enumerate(network.blocks, 1)}
        return {"stem": network.bn1, **stages, "head": network.bn2}
    blocks = [block for stage in network.blocks for block in stage]
    return {level: network.blocks[1] if level == "stage2" else blocks[int(level.removeprefix("block"))] for level in B5}


@pytest.mark.parametrize("name", ["resnet18", "alexnet", "densenet201", "efficientnet_b4", "efficientnet_b5"])
def test_an_onnx_file_computes_what_the_network_does(name: str, tmp_path: Path) -> None:
    network, file = untrained(name), tmp_path / "weights.pth"
    torch.save(network.state_dict(), file)
    modules = modules_of(name, network)
    backbone = open_backbone(name, tuple(modules), weights=str(file))
    for hw in SIZES_HW:
        images = draw(*hw)
        for level, found, expected in zip(modules, backbone.features(images), hooked(network, modules, images), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max(), err_msg=level)


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that the table takes for resnet18's published weights."""
    file = tmp_path / "resnet18-f37072fd.pth"
    torch.save(untrained("resnet18").state_dict(), file)
    row = {**vars(get_card("resnet18")), "sha256": hashlib.sha256(file.read_bytes()).hexdigest()[:8]}
    monkeypatch.setitem(cards.BACKBONES, "resnet18", BackboneCard(**row))
    return file


def test_once_made_a_file_is_found_again_without_torch(published: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.take_in(get_card("resnet18"), published)
    first = open_backbone("resnet18")
    assert first.origin.weights == "published"
    assert first.origin.sha256 == hashlib.sha256(published.read_bytes()).hexdigest()
    cache.weights_file(get_card("resnet18")).unlink()
    monkeypatch.setattr(opening, "_torch", lambda card: pytest.fail("torch was asked for"))
    again = open_backbone("resnet18")
    assert (again.data, again.origin) == (first.data, first.origin)
    trunk = next(folder.glob("trunks-*/*.onnx"))
    trunk.write_bytes(trunk.read_bytes()[:-1])
    with pytest.raises(ModelFileError, match=rf"{re.escape(trunk.name)} is damaged\. Remove it"):
        open_backbone("resnet18")


def test_weights_in_a_file_are_told_from_published_ones(published: Path) -> None:
    assert open_backbone("resnet18", weights=str(published)).origin.weights == "published"
    own = published.with_name("own.pth")
    torch.save({**untrained("resnet18").state_dict(), "more": torch.zeros(1)}, own)
    origin = open_backbone("resnet18", weights=str(own)).origin
    assert (origin.weights, origin.source) == ("file", "the file own.pth")
    assert origin.sha256 == hashlib.sha256(own.read_bytes()).hexdigest()


def primed(name: str, side: int) -> Any:
    """The library's own network after a picture of ones went through it in training mode."""
    network = untrained(name).train()
    with torch.no_grad():
        network(torch.ones(1, 3, side, side))
    return network.eval()


@pytest.mark.parametrize("side", [64, 96])
def test_a_primed_network_is_the_librarys_after_a_picture_of_ones(side: int, published: Path) -> None:
    images, levels = draw(64, 96), ("layer2", "layer3")
    backbone = open_backbone("resnet18", levels, weights=str(published), primed=side)
    unprimed = open_backbone("resnet18", levels, weights=str(published))
    network = primed("resnet18", side)
    expected = hooked(network, {level: getattr(network, level) for level in levels}, images)
    for found, there, before in zip(backbone.features(images), expected, unprimed.features(images), strict=True):
        np.testing.assert_allclose(found, there, rtol=1e-4, atol=1e-4 * np.abs(there).max())
        assert np.linalg.norm(found - before) > 0.03 * np.linalg.norm(before)
    assert backbone.origin.source == f"{get_card('resnet18').source}, primed with {side} × {side} ones"


def test_primed_networks_are_kept_by_the_side_of_their_picture(
    published: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.take_in(get_card("resnet18"), published)
    made = {side: open_backbone("resnet18", ("layer1",), primed=side) for side in (0, 64, 96)}
    assert len({one.data for one in made.values()}) == 3
    sha256 = made[0].origin.sha256
    names = {path.name for path in folder.glob("trunks-*/*.onnx")}
    assert names == {f"resnet18-{sha256}-layer1{end}.onnx" for end in ("", "-primed64", "-primed96")}
    monkeypatch.setattr(opening, "_torch", lambda card: pytest.fail("torch was asked for"))
    for side, one in made.items():
        again = open_backbone("resnet18", ("layer1",), primed=side)
        assert (again.data, again.origin) == (one.data, one.origin)


def test_random_weights_are_primed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "SETTLING", (2, 64))
    images = draw(64, 64)
    before, found = (open_backbone("resnet18", ("layer1",), weights="random", primed=side).features(images)[0] for side in (0, 64))
    assert 0.01 < np.linalg.norm(found - before) / np.linalg.norm(before) < 0.5  # by a tenth: by all it would be another network


def test_an_onnx_file_is_not_primed_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "SETTLING", (2, 64))
    file = tmp_path / "trunk.onnx"
    opening.export("resnet18", ("layer1",), file, "random", primed=64)
    taken = open_backbone("resnet18", ("layer1",), weights=str(file), primed=96)
    assert taken.data == file.read_bytes() == open_backbone("resnet18", ("layer1",), weights="random", primed=64).data
    assert taken.origin.source == "the file trunk.onnx, its normalisation as it is there"


def test_embedded_networks_cannot_be_primed(tmp_path: Path) -> None:
    assert open_backbone("efficientnet_lite0", primed=224).data == open_backbone("efficientnet_lite0").data
    with pytest.raises(UsageError, match=r"efficientnet_lite0 has its normalisation merged .* Leave primed out\."):
        opening.export("efficientnet_lite0", (), tmp_path / "x.onnx", primed=224)


def test_a_picture_too_small_to_prime_with_is_refused() -> None:
    with pytest.raises(UsageError, match=r"primed must be 0, or 64 pixels or more; got 63\."):
        open_backbone("resnet18", weights="random", primed=63)


def test_safetensors_are_weights_too(published: Path) -> None:
    from safetensors.torch import save_file

    file = published.with_suffix(".safetensors")
    save_file(untrained("resnet18").state_dict(), file)
    before = file.read_bytes()
    for side in (0, 64):
        there, here = (open_backbone("resnet18", weights=str(one), primed=side) for one in (file, published))
        assert there.data == here.data
    assert file.read_bytes() == before


def test_an_exported_file_serves_as_weights(published: Path, tmp_path: Path) -> None:
    file = tmp_path / "trunk.onnx"
    levels, origin = opening.export("resnet18", ("layer1", "layer2"), file, str(published))
    assert (levels, origin.weights) == (["layer1", "layer2"], "published")
    images = draw(64, 96)
    found = open_backbone("resnet18", ("layer2",), weights=str(file)).features(images)[0]
    np.testing.assert_array_equal(
        found, open_backbone("resnet18", ("layer1", "layer2"), weights=str(published)).features(images)[1]
    )
    with pytest.raises(UnknownName, match=r"trunk\.onnx: its levels: there is no 'layer3'\. Did you mean layer"):
        open_backbone("resnet18", ("layer3",), weights=str(file))


def test_densenets_old_names_are_read(tmp_path: Path) -> None:
    state = untrained("densenet201").state_dict()
    old = {name.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): one for name, one in state.items()}
    assert any("denselayer1.norm.1." in name for name in old)
    torch.save(state, tmp_path / "new.pth")
    torch.save(old, tmp_path / "old.pth")
    card = get_card("densenet201")
    made = [room.published(card, ["denseblock1"], tmp_path / f"{which}.pth") for which in ("new", "old")]
    assert made[0] == made[1]


def test_what_holds_no_such_weights_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    state = untrained("resnet18").state_dict()
    torch.save({name: one for name, one in state.items() if not name.startswith("layer4.1.conv2")}, file)
    with pytest.raises(
        ModelFileError, match=r"weights\.pth: weights of resnet18 were needed; of 100 arrays 1 are missing .* layer4\.1\.conv2"
    ):
        open_backbone("resnet18", weights=str(file))
    torch.save({**state, "conv1.weight": torch.zeros(64, 1, 7, 7)}, file)
    with pytest.raises(ModelFileError, match=r"of other shape, conv1\.weight among them"):
        open_backbone("resnet18", weights=str(file))
    for content in (b"text", b""):
        file.write_bytes(content)
        with pytest.raises(ModelFileError, match=r"weights\.pth: a file of weights was needed"):
            open_backbone("resnet18", weights=str(file))
    torch.save([1, 2], file)
    with pytest.raises(ModelFileError, match="not a dictionary of arrays"):
        open_backbone("resnet18", weights=str(file))


def test_random_weights_are_the_same_again_and_leave_torch_alone() -> None:
    before = torch.random.get_rng_state()
    first, again = (open_backbone("resnet18", ("layer2",), weights="random") for _ in range(2))
    assert first.data == again.data
    assert torch.equal(before, torch.random.get_rng_state())
    assert first.origin.weights == "random"
    assert first.origin.notes == ["random weights: not a reproduction"]
    assert first.origin.sha256 == hashlib.sha256(first.data).hexdigest()


def test_random_weights_do_not_depend_on_the_levels() -> None:
    images = draw(96, 128)
    alone = open_backbone("resnet18", ("layer2",), weights="random").features(images)[0]
    among = open_backbone("resnet18", ("layer1", "layer2", "layer4"), weights="random").features(images)[1]
    np.testing.assert_array_equal(alone, among)


@pytest.fixture(scope="module")
def random_b4() -> bytes:
    """EfficientNet-B4 with random weights and all its levels: long to make."""
    return room.random(get_card("efficientnet_b4"), B4, 0)


def test_random_weights_keep_values_in_range(random_b4: bytes) -> None:
    fine = draw(128, 160)
    coarse = np.repeat(np.repeat(draw(8, 10), 16, 2), 16, 3)
    backbone = OnnxBackbone(random_b4, B4)
    for images in (fine, coarse, 2 * fine + coarse):
        for level, found in zip(backbone.levels, backbone.features(images), strict=True):
            assert 0.03 < found.std() < 10, level


def test_a_network_is_cut_behind_its_coarsest_level() -> None:
    network = proto.read(open_backbone("resnet18", ("layer1",), weights="random").data)
    assert network.outputs == ["layer1"]
    assert sum(node.op == "Conv" for node in network.nodes) == 5


def test_openvino_runs_the_files_too(random_b4: bytes) -> None:
    pytest.importorskip("openvino")
    images, levels = draw(131, 98), ("stage2", "stage3", "stage4")
    ours, theirs = OnnxBackbone(random_b4, levels), OnnxBackbone(random_b4, levels, "openvino")
    for found, expected in zip(theirs.features(images), ours.features(images), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


@pytest.mark.parametrize("library", ["torch", "torchvision", "timm", "onnx"])
def test_a_missing_library_is_named_with_its_extra(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == library else real(name))
    with pytest.raises(MissingExtra, match=rf"efficientnet_b4: needs {library}, .* pip install 'flawsight\[torch\]'"):
        open_backbone("efficientnet_b4", weights="random")


def test_an_embedded_network_takes_no_torch_weights(published: Path) -> None:
    with pytest.raises(UsageError, match="from an ONNX file alone"):
        open_backbone("efficientnet_lite0", weights=str(published))

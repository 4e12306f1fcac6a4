"""CAVGA-R_w: labelled pictures teach it what is defective, and its score and map are its network's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

torch = pytest.importorskip("torch")

from flawsight import cli  # noqa: E402
from flawsight.backbones import open_backbone  # noqa: E402
from flawsight.backbones.onnx import Graph, OnnxBackbone  # noqa: E402
from flawsight.datasets import DataSet  # noqa: E402
from flawsight.errors import DataError, UsageError  # noqa: E402
from flawsight.evaluation import evaluate  # noqa: E402
from flawsight.fitting import Plan, fit  # noqa: E402
from flawsight.methods import make  # noqa: E402
from flawsight.methods.cavga_rw import CAVGA  # noqa: E402
from flawsight.metrics import auroc  # noqa: E402
from flawsight.model import load  # noqa: E402
from flawsight.types import Float  # noqa: E402

SMALL: dict[str, Any] = {
    "side": 64,
    "latent": 8,
    "width": 8,
    "classifier": 1000.0,
    "steps": 40,
    "batch": 4,
    "lr": 1e-3,
    "held_out": 0.0,
}


@pytest.fixture(scope="module")
def network() -> OnnxBackbone:
    found = open_backbone("efficientnet_lite0", ("stage5",))
    assert isinstance(found, OnnxBackbone)
    return found


def drawn(seed: int, n: int, mark: str = "") -> list[Float]:
    """Noise; "dark" or "light": with a square of that in it, somewhere."""
    rng = np.random.default_rng(seed)
    pictures = list(rng.normal(0, 0.3, (n, 3, 64, 64)).astype(np.float32))
    for picture in pictures if mark else ():
        top, left = rng.integers(0, 40, 2)
        picture[:, top : top + 24, left : left + 24] = {"light": 2.0, "dark": -2.0}[mark]
    return pictures


def made(network: OnnxBackbone, defects: list[Float], **changes: Any) -> CAVGA:
    method = make("cavga_rw", {**SMALL, **changes}, network)
    assert isinstance(method, CAVGA)
    return method.with_defects(defects)


@pytest.fixture(scope="module")
def shown_light(network: OnnxBackbone) -> CAVGA:
    method = made(network, drawn(1, 6, "light"))
    method.fit(drawn(0, 6), list(range(6)))
    return method


@pytest.mark.kernels
def test_it_finds_what_it_was_shown_and_by_the_label_alone(network: OnnxBackbone, shown_light: CAVGA) -> None:
    """The same pictures with the labels exchanged teach it the contrary."""
    pictures = np.stack([*drawn(2, 8), *drawn(3, 8, "light")])
    labels = [0] * 8 + [1] * 8
    scores = shown_light.score(pictures)
    assert auroc(scores.image, labels) > 0.95
    assert ((scores.image > 0) & (scores.image < 1)).all()
    other = made(network, drawn(0, 6))
    other.fit(drawn(1, 6, "light"), list(range(6)))
    assert auroc(other.score(pictures).image, labels) < 0.05


@pytest.mark.kernels
def test_both_scores_rank_alike(network: OnnxBackbone, shown_light: CAVGA) -> None:
    pictures = np.stack([*drawn(2, 4), *drawn(3, 4, "light")])
    odds = make("cavga_rw", {**SMALL, "by": "log_odds"}, network).with_state(shown_light.state()).score(pictures).image
    shares = shown_light.score(pictures).image.astype(np.float64)
    np.testing.assert_allclose(odds, np.log(shares / (1 - shares)), rtol=1e-3, atol=1e-3)


@pytest.mark.kernels
def test_the_map_is_the_attention_enlarged(shown_light: CAVGA) -> None:
    picture = drawn(3, 1, "light")[0]
    _, attention = Graph(shown_light.state()["network"].tobytes())({"pictures": picture[None]})
    heat = shown_light.score(picture[None]).map
    assert heat is not None
    expected = torch.nn.functional.interpolate(torch.from_numpy(attention)[:, None], (64, 64), mode="bilinear")[0, 0].numpy()
    np.testing.assert_allclose(heat[0], expected, atol=1e-6)
    assert heat.min() >= 0.5  # a rectified number through a sigmoid


@pytest.mark.kernels
@pytest.mark.parametrize("rectified", [True, False])
@pytest.mark.parametrize("name", ["efficientnet_lite0", "resnet18"])
def test_what_is_scored_without_torch_is_grad_cam_of_what_was_trained(
    name: str, rectified: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flawsight.networks import export
    from flawsight.networks.guided import DEFECTIVE, Judge

    if name == "resnet18":
        pytest.importorskip("onnx")
        pytest.importorskip("flawsight.backbones.torch")._torchvision()
    trained: list[Judge] = []
    real = export.graph

    def noted(judge: Judge, *args: Any) -> Any:
        trained.append(judge)
        return real(judge, *args)

    monkeypatch.setattr(export, "graph", noted)
    levels = ("stage5",) if name.startswith("eff") else ("layer4",)
    options = {**SMALL, "steps": 3, "lr": 1e-4, "rectified": rectified}
    method = make("cavga_rw", options, open_backbone(name, levels, weights="random"))
    assert isinstance(method, CAVGA)
    pictures = [np.tile(one, (1, 2, 2)) for one in drawn(0, 4)]  # brought to 64 pixels
    method.with_defects(drawn(1, 2, "light")).fit(pictures, list(range(4)))
    picture = drawn(3, 1, "light")
    scores, network = method.score(np.stack(picture)), trained[0].network
    feature = network.trunk(torch.from_numpy(np.stack(picture)))[-1].detach().requires_grad_()
    classes = network.classifier(network.means(feature).flatten(1))
    (gradient,) = torch.autograd.grad(classes[0, DEFECTIVE], feature)
    places = (gradient.mean((2, 3), keepdim=True) * feature).sum(1, keepdim=True)
    expected = torch.sigmoid(places.relu() if rectified else places)
    large = torch.nn.functional.interpolate(expected, (64, 64), mode="bilinear")[0, 0].detach().numpy()
    assert scores.map is not None
    np.testing.assert_allclose(scores.map[0], large, rtol=1e-4)
    assert rectified or np.ptp(large) > 1e-5
    assert scores.image[0] == pytest.approx(float(classes.softmax(1)[0, DEFECTIVE].detach()), rel=1e-3)


def test_with_an_adversary_a_training_taken_up_ends_where_one_in_a_single_go_does(
    network: OnnxBackbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flawsight.networks import descend

    class Stopped(Exception):
        pass

    def stop(what: str, done: int, total: int) -> None:
        if done == 4:
            raise Stopped

    options = {"adversary": 1.0, "steps": 6}
    whole = made(network, drawn(1, 2, "light"), **options)
    whole.fit(drawn(0, 6), list(range(6)))
    monkeypatch.setattr(descend.Run, "keep_every_s", 0.0)
    monkeypatch.setattr(descend.Run.__init__, "__defaults__", ("cpu", None, "", None, 0.0))
    with pytest.raises(Stopped):
        made(network, drawn(1, 2, "light"), **options).fit_kept(drawn(0, 6), list(range(6)), tmp_path, stop)
    steps: list[int] = []
    resumed = made(network, drawn(1, 2, "light"), **options)
    resumed.fit_kept(drawn(0, 6), list(range(6)), tmp_path, lambda what, done, total: steps.append(done))
    assert steps[0] == 4
    np.testing.assert_array_equal(resumed.state()["network"], whole.state()["network"])
    with pytest.raises(UsageError, match="it is of other pictures, settings or versions"):
        made(network, drawn(1, 2, "dark"), **options).fit_kept(drawn(0, 6), list(range(6)), tmp_path)


def test_a_model_says_what_it_was_shown_and_keeps_it(plates: DataSet, tmp_path: Path) -> None:
    defects = [one for one in plates.test if one.label == 1][:2]
    options = {**SMALL, "steps": 2, "held_out": 0.3}
    model = fit(plates.train, Plan(method="cavga_rw", size=64, options=options, defects=defects))
    names = [one.name for one in defects]
    assert f"Labelled defective pictures were learned from, 2: {', '.join(names)}." in model.training.notes
    assert list(model.training.defects) == names
    model.save(tmp_path / "part.flaw")
    loaded = load(tmp_path / "part.flaw")
    assert loaded.training.defects == model.training.defects
    assert loaded.predict(plates.test[0]).score == model.predict(plates.test[0]).score
    assert any(
        f"The model learned from 2 of the judged pictures, which flatters it: {names[0]}" in note
        for note in evaluate(loaded, plates.test, "x").notes
    )
    rest = [one for one in plates.test if one not in defects]
    assert not any("among those the model learned from" in note for note in evaluate(loaded, rest, "x").notes)


def test_a_folder_of_defects_that_is_not_there_is_named(plate: Path) -> None:
    plan = Plan(method="cavga_rw", size=64, options={**SMALL, "held_out": 0.3}, defects=plate / "nowhere")
    with pytest.raises(DataError, match=r"fit: defects: .*nowhere: there is no such folder\. Name one"):
        fit(plate / "train" / "good", plan)


def test_defects_may_be_a_folder_of_kinds(plate: Path, tmp_path: Path) -> None:
    plan = Plan(
        method="cavga_rw", size=64, options={**SMALL, "steps": 1, "lr": 1e-5, "held_out": 0.3}, defects=plate / "test" / "chip"
    )
    assert [Path(name).name for name in fit(plate / "train" / "good", plan).training.defects] == ["000.png"]


def test_the_command_line_takes_a_folder_of_them(plate: Path, tmp_path: Path) -> None:
    options = {**SMALL, "steps": 2, "lr": 1e-5, "held_out": 0.3}
    given = [
        "--method",
        "cavga_rw",
        "--size",
        "64",
        *(text for pair in options.items() for text in ("--set", "=".join(map(str, pair)))),
    ]
    out, folders = ["-o", str(tmp_path / "part.flaw")], [str(plate / "train" / "good"), "--defects", str(plate / "test" / "dent")]
    result = CliRunner().invoke(cli.app, ["fit", *folders, *given, *out])
    assert result.exit_code == 0
    assert re.search(r"note: Labelled defective pictures were learned from, 1: .*dent/000\.png\.", result.stdout)
    assert len(load(tmp_path / "part.flaw").training.defects) == 1


def test_a_picture_that_is_good_and_defective_at_once_is_refused(plates: DataSet) -> None:
    plan = Plan(method="cavga_rw", size=64, options=SMALL, defects=[plates.train[0]], needs_threshold=False)
    with pytest.raises(DataError, match=r"fit: train/good/000.png: a defective picture was needed; it is among the good ones too"):
        fit(plates.train, plan)

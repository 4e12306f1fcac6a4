"""Attention that a classifier guides: the closed form is Grad-CAM by automatic differentiation, in value and in gradient."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from flawsight.backbones import get_card  # noqa: E402
from flawsight.backbones.gpu import Trunk  # noqa: E402
from flawsight.errors import UsageError  # noqa: E402
from flawsight.networks.guided import DEFECTIVE, GOOD, Guided, Judge, against, guidance  # noqa: E402

SIDE = 64


@pytest.fixture
def network() -> Guided:
    torch.manual_seed(0)
    trunk = Trunk(get_card("efficientnet_lite0").onnx(), ["stage3", "stage5"], "cpu")
    return Guided(trunk, torch.full((3,), -2.0), torch.full((3,), 2.0), SIDE, 5, 16)


@pytest.fixture
def pictures() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).random((3, 3, SIDE, SIDE), np.float32))


def grad_cam(network: Guided, feature: torch.Tensor, rectified: bool) -> torch.Tensor:
    """As the paper has it: gradients of the class outputs for the feature map, kept to be differentiated again."""
    classes = network.classifier(network.means(feature).flatten(1))
    maps = []
    for one in (GOOD, DEFECTIVE):
        (gradient,) = torch.autograd.grad(classes[:, one].sum(), feature, create_graph=True)
        weighted = (gradient.mean((2, 3), keepdim=True) * feature).sum(1)
        maps.append(torch.sigmoid(weighted.relu() if rectified else weighted))
    return torch.stack(maps, 1)


@pytest.mark.parametrize("rectified", [True, False])
def test_attention_is_grad_cam_and_so_is_the_gradient_of_a_loss_on_it(
    network: Guided, pictures: torch.Tensor, rectified: bool
) -> None:
    with torch.no_grad():
        network.classifier.weight *= 1000  # else all attention is near a half
    feature = network(pictures).feature.detach().double().requires_grad_()
    network.double()
    found, expected = network.attention(feature, rectified), grad_cam(network, feature, rectified)
    assert found.shape == (3, 2, 4, 4)
    assert expected.std() > 0.05
    torch.testing.assert_close(found, expected)
    weighing = torch.from_numpy(np.random.default_rng(1).normal(size=found.shape))
    of = [feature, network.means.weight, network.classifier.weight]
    for one, other in zip(
        torch.autograd.grad((found * weighing).sum(), of), torch.autograd.grad((expected * weighing).sum(), of), strict=True
    ):
        torch.testing.assert_close(one, other)


def test_a_map_that_does_not_double_to_the_pictures_size_is_refused() -> None:
    def trunk(pictures: torch.Tensor) -> list[torch.Tensor]:
        return [pictures[:, :, :5, :5]]

    with pytest.raises(UsageError, match="a feature map whose side doubles to 64 pixels was needed; the network gives one of 5"):
        Guided(trunk, torch.zeros(3), torch.ones(3), SIDE, 5, 16)  # type: ignore[arg-type]


def test_the_scorer_gives_the_log_odds_and_the_attention_of_the_defective_class(network: Guided, pictures: torch.Tensor) -> None:
    network.eval()
    with torch.no_grad():
        found = network(pictures)
        odds, attention = Judge(network, True)(pictures * 4 - 2)
    shares = found.classes.softmax(1)
    torch.testing.assert_close(odds, (shares[:, DEFECTIVE] / shares[:, GOOD]).log(), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(attention, network.attention(found.feature, True)[:, DEFECTIVE])


def test_guidance_is_of_good_pictures_that_are_taken_for_good_alone() -> None:
    maps = torch.rand(4, 2, 3, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    labels = torch.tensor([GOOD, GOOD, DEFECTIVE, DEFECTIVE])
    classes = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])  # the first alone is good and is taken for it
    loss = guidance(maps, classes, labels)
    torch.testing.assert_close(loss, (1 - maps[0, GOOD] + maps[0, DEFECTIVE]).mean())
    (gradient,) = torch.autograd.grad(loss, maps)
    assert (gradient[1:] == 0).all()
    assert (gradient[0, GOOD] < 0).all()  # it is to rise
    assert (gradient[0, DEFECTIVE] > 0).all()
    assert guidance(maps, classes[1:2].expand(4, 2), labels) == 0
    best = torch.tensor([[[[1.0]], [[0.0]]]])
    assert guidance(best, classes[:1], labels[:1]) == 0


def test_what_is_trained_is_the_encoder_too_and_the_adversary_by_itself(network: Guided, pictures: torch.Tensor) -> None:
    own = {id(one) for one in network.own()}
    assert {id(one) for one in network.trunk.parameters()} < own
    assert not own & {id(one) for one in network.adversary.parameters()}
    assert len(own) + len(list(network.adversary.parameters())) == len(list(network.parameters()))
    found = network(pictures)
    assert found.repeated.shape == pictures.shape
    assert ((found.repeated > 0) & (found.repeated < 1)).all()
    against(network.adversary, pictures, found.repeated).backward()
    assert all(one.grad is None for one in network.own())
    assert all(one.grad is not None for one in network.adversary.parameters())


def test_an_adversary_that_tells_them_apart_has_less_loss() -> None:
    def lightness(pictures: torch.Tensor) -> torch.Tensor:
        return pictures.mean((1, 2, 3))

    light, dark = torch.full((2, 3, 4, 4), 3.0), torch.full((2, 3, 4, 4), -3.0)
    assert against(lightness, light, dark) < 0.2 < 5 < against(lightness, dark, light)  # type: ignore[arg-type]

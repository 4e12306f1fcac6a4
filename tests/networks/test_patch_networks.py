"""Student's networks: their layers, all patches of a picture at once against one by one, and the losses against sums by hand."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from flawsight.methods.student import SIDES  # noqa: E402
from flawsight.networks.patch_networks import LAYERS, Disagreement, PatchNetwork, apartness, compactness, much_the_same  # noqa: E402

each_side = pytest.mark.parametrize("side", SIDES)


def network(side: int, width: int = 4, seed: int = 0) -> PatchNetwork:
    torch.manual_seed(seed)
    return PatchNetwork(side, width)


@pytest.mark.parametrize(
    ("side", "channels", "kernels"),
    [
        (17, [128, 256, 256, 128], [6, 5, 5, 4]),
        (33, [128, 256, 256, 128], [5, 5, 2, 4]),
        (65, [128, 128, 256, 256, 128], [5, 5, 5, 4, 1]),
    ],
)
def test_the_layers_are_the_paper_s(side: int, channels: list[int], kernels: list[int]) -> None:
    layers = list(PatchNetwork(side, 128).layers)
    assert [layer.out_channels for layer in layers] == channels
    assert [layer.kernel_size for layer in layers] == [(kernel, kernel) for kernel in kernels]
    assert tuple(LAYERS) == SIDES


@each_side
def test_a_patch_becomes_one_vector(side: int) -> None:
    assert network(side)(torch.rand(2, 3, side, side)).shape == (2, 4)


@each_side
def test_all_patches_at_once_equal_those_one_by_one(side: int) -> None:
    teacher, picture = network(side), torch.rand(1, 3, 70, 83)
    half = (side - 1) // 2
    mirrored = torch.nn.functional.pad(picture, (half,) * 4, "reflect")
    with torch.no_grad():
        dense = teacher.everywhere(picture)
        assert dense.shape == (1, 4, 70, 83)
        for row in (0, 1, 34, 69):
            patches = torch.stack([mirrored[0, :, row : row + side, column : column + side] for column in range(83)])
            torch.testing.assert_close(dense[0, :, row].T, teacher(patches), rtol=1e-4, atol=1e-6)


@each_side
def test_in_training_it_is_the_same_with_the_same_gradients(side: int) -> None:
    taught, picture, found = network(side), torch.rand(2, 3, 70, 83), []
    for training in (False, True):
        taught.train(training).zero_grad()
        dense = taught.everywhere(picture)
        (dense * torch.arange(83)).square().mean().backward()
        found.append([dense.detach(), *(weight.grad.clone() for weight in taught.parameters())])
    for dilated, by_lattices in zip(*found, strict=True):
        torch.testing.assert_close(by_lattices, dilated, rtol=1e-4, atol=1e-6)


def test_disagreement_is_what_its_words_say() -> None:
    teacher, students = network(17, seed=1), [network(17, seed=seed) for seed in (2, 3, 4)]
    mean, spread, picture = torch.randn(4) / 10, torch.rand(4) + 0.5, torch.rand(1, 3, 20, 24)
    with torch.no_grad():
        found = Disagreement(teacher, students, mean, spread)(picture)
        target = (teacher.everywhere(picture) - mean[:, None, None]) / spread[:, None, None]
        said = np.stack([student.everywhere(picture)[0].numpy() for student in students]).astype(np.float64)
    error = ((said.mean(0) - target[0].numpy()) ** 2).sum(0)
    variance = (said**2).sum(1).mean(0) - (said.mean(0) ** 2).sum(0)
    np.testing.assert_allclose(found[0, 0], error, rtol=1e-4)
    np.testing.assert_allclose(found[0, 1], variance, rtol=1e-3, atol=1e-6)


def test_compactness_is_the_sum_over_numpy_s_correlations() -> None:
    described = torch.from_numpy(np.random.default_rng(0).normal(size=(30, 5)) @ np.random.default_rng(1).normal(size=(5, 5)))
    correlations = np.corrcoef(described.numpy().T)
    assert float(compactness(described)) == pytest.approx(np.abs(correlations).sum() - 5)


def test_apartness_is_the_triplet_loss() -> None:
    one = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 0.5]])
    same = np.array([[0.0, 0.5], [3.0, 0.0], [0.0, 0.0]])
    expected = []
    for i in range(3):
        other = one[i - 1]
        near, far = ((one[i] - same[i]) ** 2).sum(), min(((one[i] - other) ** 2).sum(), ((same[i] - other) ** 2).sum())
        expected.append(max(0.0, 1 + near - far))
    assert 0 < sum(value > 0 for value in expected) < 3
    assert float(apartness(torch.from_numpy(one), torch.from_numpy(same))) == pytest.approx(np.mean(expected))


def test_much_the_same_is_moved_by_no_more_than_a_sixteenth() -> None:
    torch.manual_seed(0)
    patch = torch.arange(32.0).repeat(3, 32, 1)[None] * 10
    moved = {round(float((much_the_same(patch)[0, :, :, 8:24] / patch[0, :, :, 8:24]).std()), 9) for _ in range(5)}
    assert len(moved) == 5
    for _ in range(20):
        same = much_the_same(torch.cat([patch, patch]))
        steps = same[0, 0, 16, 20] - same[0, 0, 16, 19], same[1, 0, 16, 20] - same[1, 0, 16, 19]
        assert all(8.8 < float(step) < 11.2 for step in steps)  # 10, and light and noise
        assert abs(float(same[0, 0, 16, 16] / (steps[0] / 10)) - 160) < 30

"""PatchCore, against the paper's formulas written out and against pictures whose answer is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from flawsight.errors import UsageError
from flawsight.methods import make
from flawsight.methods.patchcore import PatchCore
from flawsight.parts import mapper
from flawsight.search.coreset import n_kept
from flawsight.search.neighbours import Bank
from flawsight.types import Float

PLAIN: dict[str, Any] = {
    "neighbourhood": 1,
    "balance_levels": False,
    "coreset": "identity",
    "coreset_ratio": 1.0,
    "bank_limit": 0,
    "neighbours": 1,
    "distance": "euclidean",
    "image_score": "patch",
    "reweight": False,
    "blur_sigma": 0.0,
    "seed": 0,
}  # every patch a plain vector in the bank; a test names what it changes


class Cells:
    """A backbone whose levels are the mean colours of cells of the picture, each level times its gain."""

    device = "cpu"

    def __init__(self, strides: tuple[int, ...] = (8,), gains: tuple[float, ...] = (1.0, 1.0)) -> None:
        self.strides, self.gains = strides, gains

    def features(self, images: Float) -> list[Float]:
        n, channels, high, wide = images.shape
        return [
            (gain * images.reshape(n, channels, high // s, s, wide // s, s).mean((3, 5), np.float64)).astype(np.float32)
            for s, gain in zip(self.strides, self.gains, strict=False)
        ]


def method(strides: tuple[int, ...] = (8,), gains: tuple[float, ...] = (1.0, 1.0), **options: Any) -> PatchCore:
    made = make("patchcore", {**PLAIN, **options}, Cells(strides, gains))
    assert isinstance(made, PatchCore)
    return made


def draw(seed: int, n: int, rows: int = 4, columns: int = 6, side: int = 8) -> list[Float]:
    """Pictures of cells of one colour each."""
    colours = np.random.default_rng(seed).normal(size=(n, 3, rows, columns)).astype(np.float32)
    return list(colours.repeat(side, 2).repeat(side, 3))


def patches(pictures: list[Float], side: int = 8) -> Float:
    """The colours of all cells, float32 [N·P,3]."""
    return np.concatenate([picture[:, ::side, ::side].reshape(3, -1).T for picture in pictures])


def distances(queries: Float, bank: Float) -> NDArray[np.float64]:
    return np.linalg.norm(queries[:, None].astype(np.float64) - bank[None], axis=2)


def test_a_patch_scores_its_distance_to_the_nearest() -> None:
    good, new = draw(0, 5), draw(1, 2)
    fitted = method()
    fitted.fit(good, [0, 1, 2, 3, 4])
    nearest = distances(patches(new), patches(good)).min(1).reshape(2, 4, 6)
    np.testing.assert_allclose(fitted.score(np.stack(new)).image, nearest.max((1, 2)), rtol=1e-5)


def test_the_map_holds_the_patches_scores() -> None:
    good, new = draw(0, 5, side=1), draw(1, 2, side=1)
    fitted = method((1,))  # a patch is a pixel
    fitted.fit(good, [0, 1, 2, 3, 4])
    nearest = distances(patches(new, 1), patches(good, 1)).min(1).reshape(2, 4, 6)
    np.testing.assert_allclose(fitted.score(np.stack(new)).map, nearest, rtol=1e-5)


@pytest.mark.parametrize("k", [1, 2, 7])
@pytest.mark.parametrize(("distance", "power"), [("euclidean", 1), ("sqeuclidean", 2)])
def test_a_patch_scores_the_mean_distance_to_its_k_nearest(distance: str, power: int, k: int) -> None:
    good, new = draw(0, 5), draw(1, 2)
    fitted = method(neighbours=k, distance=distance)
    fitted.fit(good, [0, 1, 2, 3, 4])
    mean = (np.sort(distances(patches(new), patches(good)), axis=1)[:, :k] ** power).mean(1).reshape(2, -1)
    np.testing.assert_allclose(fitted.score(np.stack(new)).image, mean.max(1), rtol=1e-5)


def test_squared_distances_rank_pictures_alike() -> None:
    good, new = draw(0, 5), np.stack(draw(1, 30))
    plain, squared = method(), method(distance="sqeuclidean")
    for fitted in (plain, squared):
        fitted.fit(good, [0, 1, 2, 3, 4])
    np.testing.assert_array_equal(plain.score(new).image.argsort(), squared.score(new).image.argsort())
    np.testing.assert_allclose(plain.score(new).image ** 2, squared.score(new).image, rtol=1e-5)


def equation_7(queries: Float, bank: Float, b: int) -> float:
    """The paper's image score, literally."""
    all_distances = distances(queries, bank)
    worst = int(all_distances.min(1).argmax())
    nearest = int(all_distances[worst].argmin())
    s_star = all_distances[worst, nearest]
    around = distances(bank[nearest][None], bank)[0].argsort()[:b]
    return float((1 - np.exp(s_star) / np.exp(all_distances[worst, around]).sum()) * s_star)


@pytest.mark.parametrize("b", [2, 9, 50, 120, 500])
def test_equation_7(b: int) -> None:
    good, new = draw(0, 5), draw(1, 4)
    fitted = method(reweight=True, reweight_neighbours=b)
    fitted.fit(good, [0, 1, 2, 3, 4])
    expected = [equation_7(patches([picture]), patches(good), b) for picture in new]
    np.testing.assert_allclose(fitted.score(np.stack(new)).image, expected, rtol=1e-5)


def test_equation_7_of_large_distances() -> None:
    good, new = [1e4 * picture for picture in draw(0, 5)], 1e4 * np.stack(draw(1, 4))
    fitted, plain = method(reweight=True), method()
    for one in (fitted, plain):
        one.fit(good, [0, 1, 2, 3, 4])
    weights = fitted.score(new).image / plain.score(new).image
    assert ((weights >= 0) & (weights <= 1)).all()


def test_equation_7_leaves_the_map_alone() -> None:
    good, new = draw(0, 5), np.stack(draw(1, 2))
    fitted, plain = method(reweight=True), method()
    for one in (fitted, plain):
        one.fit(good, [0, 1, 2, 3, 4])
    np.testing.assert_array_equal(fitted.score(new).map, plain.score(new).map)


@pytest.mark.parametrize("sigma", [0.0, 3.0])
def test_the_score_is_the_maximum_of_the_map(sigma: float) -> None:
    fitted = method(image_score="map", blur_sigma=sigma)
    fitted.fit(draw(0, 5), [0, 1, 2, 3, 4])
    scores = fitted.score(np.stack(draw(1, 6)))
    np.testing.assert_array_equal(scores.image, scores.map.max((1, 2)))


@pytest.mark.parametrize(("share", "n"), [(1e-4, 1), (0.125, 3), (0.4, 10), (1.0, 24)])
@pytest.mark.parametrize("sigma", [0.0, 16.0])
def test_the_score_is_the_mean_of_the_highest_patches_blurred_half_as_far(share: float, n: int, sigma: float) -> None:
    good, new = draw(0, 5), draw(1, 6)
    fitted = method(image_score="top", top_share=share, blur_sigma=sigma)
    fitted.fit(good, [0, 1, 2, 3, 4])
    scores = fitted.score(np.stack(new))
    for picture, score, box in zip(new, scores.image, scores.peak, strict=True):
        nearest = distances(patches([picture]), patches(good)).min(1).reshape(4, 6)
        softened = ndimage.gaussian_filter(nearest, sigma / 2 / 8)  # cells of 8 pixels
        assert score == pytest.approx(np.sort(softened.ravel())[-n:].mean(), rel=1e-5)
        at = np.unravel_index(softened.argmax(), softened.shape)
        np.testing.assert_allclose(box[:2], np.array(at) / (4, 6), rtol=1e-6)


@pytest.mark.parametrize("image_score", ["top", "map", "patch"])
def test_the_map_is_blurred_whatever_makes_the_score(image_score: str) -> None:
    sharp, blurred = method(image_score=image_score), method(image_score=image_score, blur_sigma=2.5)
    for one in (sharp, blurred):
        one.fit(draw(0, 5), [0, 1, 2, 3, 4])
    new = np.stack(draw(1, 1))
    expected = ndimage.gaussian_filter(sharp.score(new).map[0].astype(np.float64), 2.5)
    np.testing.assert_allclose(blurred.score(new).map[0], expected, atol=1e-5)


def test_patches_are_averaged_with_their_neighbours() -> None:
    good, new = draw(0, 3), draw(1, 1)
    fitted = method(neighbourhood=3)
    fitted.fit(good, [0, 1, 2])

    def averaged(pictures: list[Float]) -> Float:
        return patches([ndimage.uniform_filter(p[:, ::8, ::8], (1, 3, 3), mode="constant") for p in pictures], 1)

    expected = distances(averaged(new), averaged(good)).min(1).max()
    np.testing.assert_allclose(fitted.score(np.stack(new)).image, expected, rtol=1e-5)


def test_a_coarser_level_is_enlarged_and_appended() -> None:
    fitted = method((4, 8))
    fitted.fit(draw(0, 3), [0, 1, 2])
    rows = fitted.state()["bank"]
    assert rows.shape == (3 * 8 * 12, 6)
    first = rows[: 8 * 12].reshape(8, 12, 6)
    np.testing.assert_allclose(first[..., :3], draw(0, 3)[0][:, ::4, ::4].transpose(1, 2, 0), rtol=1e-5)
    np.testing.assert_allclose(first[0, 0, 3:], draw(0, 3)[0][:, 0, 0], rtol=1e-5)  # corners keep their cell's colour
    np.testing.assert_allclose(first[-1, -1, 3:], draw(0, 3)[0][:, -1, -1], rtol=1e-5)


@pytest.mark.parametrize("gain", [1000.0, 1e-3])
def test_balanced_levels_weigh_alike_whatever_their_units(gain: float) -> None:
    good, new = draw(0, 4), np.stack(draw(1, 3))
    scores = {}
    for balanced in (True, False):
        for second in (1.0, gain):
            fitted = method((4, 8), (1.0, second), balance_levels=balanced)
            fitted.fit(good, [0, 1, 2, 3])
            scores[balanced, second] = fitted.score(new).image
    np.testing.assert_allclose(scores[True, gain], scores[True, 1.0], rtol=1e-4)
    assert not np.allclose(scores[False, gain], scores[False, 1.0], rtol=0.1)


def test_balanced_levels_have_a_spread_of_one() -> None:
    fitted = method((4, 8), (5.0, 0.1), balance_levels=True)
    fitted.fit([picture + 3 for picture in draw(0, 4)], [0, 1, 2, 3])
    for level in np.split(fitted.state()["bank"], 2, axis=1):
        assert level.var(0).sum() == pytest.approx(1, rel=1e-4)


def test_a_level_that_never_changes_does_no_harm() -> None:
    fitted = method((4, 8), (1.0, 0.0), balance_levels=True)
    assert np.isfinite(fitted.fit(draw(0, 4), [0, 1, 2, 3])).all()
    assert np.isfinite(fitted.score(np.stack(draw(1, 1))).image).all()


@pytest.mark.parametrize("ratio", [1.0, 0.5, 0.11, 0.001])
@pytest.mark.parametrize("kind", ["greedy", "random"])
def test_the_bank_is_as_large_as_asked_for(kind: str, ratio: float) -> None:
    good = draw(0, 5)
    fitted = method(coreset=kind, coreset_ratio=ratio)
    fitted.fit(good, [0, 1, 2, 3, 4])
    bank = fitted.state()["bank"]
    assert len(bank) == n_kept(5 * 24, ratio)
    assert (distances(bank, patches(good)).min(1) == 0).all()
    assert len(np.unique(bank, axis=0)) == len(bank)


@pytest.mark.parametrize("kind", ["greedy", "random"])
def test_the_bank_has_a_limit(kind: str) -> None:
    fitted = method(coreset=kind, coreset_ratio=0.5, bank_limit=17)
    fitted.fit(draw(0, 5), [0, 1, 2, 3, 4])
    assert len(fitted.state()["bank"]) == 17


def test_identity_keeps_every_patch_in_order() -> None:
    good = draw(0, 5)
    fitted = method(coreset_ratio=0.1)
    fitted.fit(good, [0, 1, 2, 3, 4])
    np.testing.assert_allclose(fitted.state()["bank"], patches(good), rtol=1e-6)


def test_random_depends_on_the_seed() -> None:
    banks = []
    for seed in (0, 0, 1):
        fitted = method(coreset="random", coreset_ratio=0.2, seed=seed)
        fitted.fit(draw(0, 5), [0, 1, 2, 3, 4])
        banks.append(fitted.state()["bank"])
    np.testing.assert_array_equal(banks[0], banks[1])
    assert not np.array_equal(banks[0], banks[2])


@pytest.mark.parametrize("random_starts", [False, True])
def test_greedy_covers_better_than_random(random_starts: bool) -> None:
    good = draw(0, 5)
    radii = []
    for kind in ("greedy", "random"):
        fitted = method(coreset=kind, coreset_ratio=0.2, random_starts=random_starts)
        fitted.fit(good, [0, 1, 2, 3, 4])
        radii.append(distances(patches(good), fitted.state()["bank"]).min(1).max())
    assert radii[0] < 0.8 * radii[1]


@pytest.mark.parametrize("ratio", [0.1, 0.6])
def test_the_radius_of_the_bank_is_recorded(ratio: float) -> None:
    good = draw(0, 5)
    fitted = method(coreset="greedy", coreset_ratio=ratio)
    fitted.fit(good, [0, 1, 2, 3, 4])
    state = fitted.state()
    assert state["radius"].item() == pytest.approx(distances(patches(good), state["bank"]).min(1).max(), rel=1e-4)
    taken_over = method().with_state(state)
    assert taken_over.state()["radius"] == state["radius"]


@pytest.mark.parametrize("image_score", ["top", "map", "patch"])
def test_evidence_points_at_the_patch_and_at_the_nearest_good_one(image_score: str) -> None:
    good = [*draw(0, 2), *draw(2, 2, 8, 5)]
    fitted = method(image_score=image_score)
    fitted.fit(good, [0, 1, 2, 3])
    new = good[0].copy()
    new[:, 16:24, 32:40] = good[3][:, 40:48, 8:16] + 0.05  # row 2, column 4 of 4 × 6; row 5, column 1 of 8 × 5
    scores = fitted.score(new[None])
    assert scores.peak is not None
    assert scores.source is not None
    assert scores.source_peak is not None
    np.testing.assert_allclose(scores.peak, [[2 / 4, 4 / 6, 3 / 4, 5 / 6]], rtol=1e-6)
    np.testing.assert_array_equal(scores.source, [3])
    np.testing.assert_allclose(scores.source_peak, [[5 / 8, 1 / 5, 6 / 8, 2 / 5]], rtol=1e-6)


@pytest.mark.parametrize("distance", ["euclidean", "sqeuclidean"])
def test_a_picture_in_the_bank_is_its_own_nearest(distance: str) -> None:
    good = draw(0, 5)
    fitted = method(distance=distance)
    fitted.fit(good, [0, 1, 2, 3, 4])
    scores = fitted.score(np.stack(good))
    assert (scores.image == 0).all()
    assert (scores.map == 0).all()
    np.testing.assert_array_equal(scores.source, np.arange(5))
    np.testing.assert_array_equal(scores.peak, scores.source_peak)


@pytest.mark.parametrize("options", [{}, {"image_score": "map", "blur_sigma": 2.0}, {"neighbours": 3}, {"reweight": True}])
def test_a_held_out_score_is_that_of_a_fit_without_the_picture(options: dict[str, Any]) -> None:
    good, groups = draw(0, 5), [0, 1, 1, 2, 3]
    held_out = method(**options).fit(good, groups)
    for i, group in enumerate(groups):
        others = [picture for picture, other in zip(good, groups, strict=True) if other != group]
        without = method(**options)
        without.fit(others, list(range(len(others))))
        assert held_out[i] == pytest.approx(without.score(good[i][None]).image.item(), rel=1e-5)


def test_a_twin_in_another_group_makes_a_held_out_score_0() -> None:
    good = draw(0, 4)
    twins = [*good, good[-1]]
    assert (method().fit(twins, [0, 1, 2, 3, 4])[3:] == 0).all()
    assert (method().fit(twins, [0, 1, 2, 3, 3])[3:] > 0.1).all()


def test_no_held_out_score_where_too_few_rows_remain() -> None:
    small, large = draw(0, 1, 1, 2), draw(1, 1)
    held_out = method(neighbours=3).fit([*small, *large], [0, 1])
    np.testing.assert_array_equal(np.isnan(held_out), [False, True])


def test_the_paper_preset_differs_from_the_default_in_its_starts() -> None:
    good = draw(0, 5)
    banks = []
    for random_starts in (False, True):
        fitted = method(coreset="greedy", coreset_ratio=0.1, random_starts=random_starts)
        fitted.fit(good, [0, 1, 2, 3, 4])
        banks.append(fitted.state()["bank"])
    mean = patches(good).mean(0)
    np.testing.assert_allclose(banks[0][0], patches(good)[np.linalg.norm(patches(good) - mean, axis=1).argmax()], rtol=1e-6)
    assert not np.array_equal(banks[0], banks[1])


def test_descriptors_are_averaged_as_in_the_papers_code() -> None:
    good = draw(0, 3)
    fitted = method((4, 8), (1.0, 2.0), neighbourhood=3, level_dims=5, target_dims=4)
    fitted.fit(good, [0, 1, 2])
    expected = mapper.apply(Cells((4, 8), (1.0, 2.0)).features(np.stack(good)), 3, 5, 4)
    np.testing.assert_allclose(fitted.state()["bank"], expected.transpose(0, 2, 3, 1).reshape(-1, 4), rtol=1e-6)
    concatenated = method((4, 8), (1.0, 2.0), neighbourhood=3)
    concatenated.fit(good, [0, 1, 2])
    assert concatenated.state()["bank"].shape == (3 * 8 * 12, 6)


def test_levels_that_are_mixed_cannot_be_balanced() -> None:
    with pytest.raises(UsageError, match="patchcore: balance_levels must be false where level_dims mixes the levels; got True"):
        method(level_dims=8, target_dims=8, balance_levels=True)


@pytest.mark.parametrize("dims", [{"level_dims": 8}, {"target_dims": 8}])
def test_one_average_asks_for_the_other(dims: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=r"level_dims and target_dims must be both 0 or both above; got '(8 and 0|0 and 8)'"):
        method(**dims)


def test_the_selection_measures_in_fewer_dimensions_and_keeps_whole_rows() -> None:
    banks = {}
    for dims in (0, 1, 4):
        fitted = method((2, 4, 8), (1.0, 1.0, 1.0), coreset="greedy", coreset_ratio=0.1, projection_dims=dims)
        fitted.fit(draw(0, 3), [0, 1, 2])
        banks[dims] = fitted.state()["bank"]
    every = method((2, 4, 8), (1.0, 1.0, 1.0))
    every.fit(draw(0, 3), [0, 1, 2])
    for bank in banks.values():
        assert bank.shape == banks[0].shape == (3 * 16 * 24 // 10, 9)
        assert (Bank(every.state()["bank"]).nearest(bank)[0] == 0).all()
    assert not np.array_equal(banks[0], banks[1])
    assert not np.array_equal(banks[0], banks[4])


@pytest.mark.parametrize(
    ("option", "value", "needed"),
    [
        ("neighbourhood", 0, "odd and ≥ 1"),
        ("neighbourhood", 2, "odd and ≥ 1"),
        ("level_dims", -1, "≥ 0"),
        ("target_dims", -1, "≥ 0"),
        ("coreset", "gready", "greedy, random or identity"),
        ("coreset_ratio", 0, "above 0 and at most 1"),
        ("coreset_ratio", 1.01, "above 0 and at most 1"),
        ("bank_limit", -1, "≥ 0"),
        ("projection_dims", -1, "≥ 0"),
        ("neighbours", 0, "≥ 1"),
        ("distance", "cosine", "euclidean or sqeuclidean"),
        ("image_score", "max", "top, map or patch"),
        ("top_share", 0, "above 0 and at most 1"),
        ("top_share", 1.5, "above 0 and at most 1"),
        ("reweight_neighbours", 1, "≥ 2"),
        ("blur_sigma", -0.1, "≥ 0 and finite"),
        ("seed", -1, "≥ 0"),
    ],
)
def test_values_out_of_range_are_refused(option: str, value: Any, needed: str) -> None:
    with pytest.raises(UsageError, match=f"patchcore: {option} must be {needed}; got {value!r}"):
        method(**{option: value})

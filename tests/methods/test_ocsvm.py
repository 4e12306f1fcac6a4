"""OCSVM: its plain numbers score as scikit-learn's machine does, and without it."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import PCA  # type: ignore[import-untyped]
from sklearn.pipeline import make_pipeline  # type: ignore[import-untyped]
from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped]
from sklearn.svm import OneClassSVM  # type: ignore[import-untyped]

from flawsight.errors import DataError, MissingExtra, UsageError
from flawsight.methods import make
from flawsight.methods.ocsvm import OCSVM
from flawsight.types import Float


class Cells:
    """A backbone of one level: the colours of the pixels, and products of neighbouring ones."""

    device = "cpu"

    def features(self, images: Float) -> list[Float]:
        return [np.concatenate([images, *(images * np.roll(images, shift, 3) for shift in (0, 1, 2))], 1)]


def method(**options: Any) -> OCSVM:
    made = make("ocsvm", options, Cells())
    assert isinstance(made, OCSVM)
    return made


def draw(seed: int, n: int, side: int = 32) -> list[Float]:
    rng = np.random.default_rng(seed)
    return list((rng.normal(size=(n, 3, side, side)) + rng.normal(size=(n, 3, 1, 1))).astype(np.float32))


def vectors(pictures: list[Float], scales: int = 1) -> Float:
    images = np.stack(pictures)
    sizes = [images[:, :, :: 2**scale, :: 2**scale] for scale in range(scales)]
    return np.concatenate([Cells().features(size)[0].mean((2, 3), np.float64) for size in sizes], 1).astype(np.float32)


@pytest.mark.parametrize("scales", [1, 2])
@pytest.mark.parametrize("pca", [0.0, 0.95, 1.0])
@pytest.mark.parametrize(("nu", "gamma"), [(0.1, 0.0), (0.5, 0.2)])
def test_scores_are_scikit_learns_decision_function_turned_round(scales: int, pca: float, nu: float, gamma: float) -> None:
    good, new = draw(0, 40), draw(1, 10)
    fitted = method(scales=scales, pca=pca, nu=nu, gamma=gamma)
    fitted.fit(good, list(range(40)))
    kept = [PCA(pca if pca < 1 else None, svd_solver="full")] if pca else []
    theirs = make_pipeline(StandardScaler(), *kept, OneClassSVM(nu=nu, gamma=gamma or "scale", tol=1e-6)).fit(vectors(good, scales))
    np.testing.assert_allclose(fitted.score(np.stack(new)).image, -theirs.decision_function(vectors(new, scales)), atol=2e-5)
    if pca == 0.95:
        assert fitted.state()["axes"].shape == (kept[0].n_components_, 12 * scales)


def test_a_held_out_score_is_that_of_a_fit_without_the_picture() -> None:
    good, groups = draw(0, 12), [0, 1, 1, *range(2, 11)]
    held_out = method().fit(good, groups)
    for one in range(12):
        rest = [picture for picture, group in zip(good, groups, strict=True) if group != groups[one]]
        refit = method()
        refit.fit(rest, list(range(len(rest))))
        assert held_out[one] == pytest.approx(refit.score(good[one][None]).image.item(), abs=1e-6)


def test_of_many_pictures_some_are_left_out_together() -> None:
    good = draw(0, 120, 16)
    held_out = method().fit(good, list(range(120)))
    fitted = method()
    fitted.fit(good, list(range(120)))
    assert np.isfinite(held_out).all()
    assert np.median(held_out) > np.median(fitted.score(np.stack(good)).image)  # those it did learn from


def test_scikit_learn_is_needed_to_fit_and_for_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    good, new = draw(0, 5), np.stack(draw(1, 2))
    fitted = method()
    fitted.fit(good, [0, 1, 2, 3, 4])
    expected = fitted.score(new).image
    monkeypatch.setitem(sys.modules, "sklearn.svm", None)  # importing it then raises ImportError
    np.testing.assert_array_equal(method().with_state(fitted.state()).score(new).image, expected)
    with pytest.raises(MissingExtra, match=r"ocsvm, to be fitted, needs|pip install 'flawsight\[ocsvm\]'"):
        method().fit(good, [0, 1, 2, 3, 4])


def test_a_dimension_that_never_changes_does_no_harm() -> None:
    good = [np.concatenate([np.full((1, 16, 16), 0.7, np.float32), picture[1:]]) for picture in draw(0, 6, 16)]
    fitted = method()
    assert np.isfinite(fitted.fit(good, list(range(6)))).all()
    assert np.isfinite(fitted.score(np.stack(draw(1, 1, 16))).image).all()


def test_pictures_too_small_for_the_scales_are_refused() -> None:
    with pytest.raises(DataError, match=r"ocsvm: scales=3 needs pictures of 64 pixels on each side; the network gets 32×32"):
        method(scales=3).fit(draw(0, 3), [0, 1, 2])


@pytest.mark.parametrize(
    ("option", "value", "needed"),
    [
        ("nu", 0.0, "above 0 and at most 1"),
        ("nu", 1.1, "at most 1"),
        ("scales", 0, "1 to 4"),
        ("scales", 5, "1 to 4"),
        ("pca", 1.5, "0 to 1"),
    ],
)
def test_values_out_of_range_are_refused(option: str, value: Any, needed: str) -> None:
    with pytest.raises(UsageError, match=f"ocsvm: {option} must be .*{needed}; got {value!r}"):
        method(**{option: value})

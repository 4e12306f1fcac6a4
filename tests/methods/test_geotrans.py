"""GeoTrans: a picture that looks as no good one does under its transforms stands out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from flawsight.backbones import PIXELS, open_backbone  # noqa: E402
from flawsight.backbones.onnx import Graph  # noqa: E402
from flawsight.errors import UsageError  # noqa: E402
from flawsight.methods import make  # noqa: E402
from flawsight.methods.base import Method  # noqa: E402
from flawsight.parts import dirichlet  # noqa: E402
from flawsight.parts.moves import moves  # noqa: E402
from flawsight.types import Float  # noqa: E402

SMALL = {"side": 32, "shift": 0, "depth": 10, "width": 1, "steps": 60, "batch": 32, "lr": 3e-3, "held_out": 0.0}


def method(**options: Any) -> Method:
    return make("geotrans", {**SMALL, **options}, open_backbone(PIXELS))


def letters(n: int, seed: int = 0, whole: bool = True) -> list[Float]:
    """An F, which no transform leaves as it is, a little elsewhere each time; without its bars it is a stroke that some do."""
    rng = np.random.default_rng(seed)
    pictures = rng.normal(0.2, 0.03, (n, 3, 32, 32)).astype(np.float32)
    for picture, (top, left) in zip(pictures, rng.integers(5, 7, (n, 2)), strict=True):
        picture[:, top : top + 20, left : left + 4] = 0.8
        if whole:
            picture[:, top : top + 4, left : left + 14] = 0.8
            picture[:, top + 8 : top + 12, left : left + 10] = 0.8
    return list(pictures.clip(0, 1))


@pytest.mark.parametrize("by", [pytest.param("dirichlet", marks=pytest.mark.kernels), "simplified"])
def test_a_letter_without_its_bars_cannot_be_told_apart_from_its_transforms(by: str) -> None:
    fitted = method(by=by, steps=150)
    fitted.fit(letters(40), list(range(40)))
    good, bad = fitted.score(np.stack(letters(10, 1))), fitted.score(np.stack(letters(10, 2, whole=False)))
    assert good.map is None
    assert bad.image.min() > good.image.max()


def test_scores_are_what_the_graph_and_the_dirichlets_say() -> None:
    """With shifts too, one transform at a time."""
    fitted = method(shift=8, steps=3)
    fitted.fit(letters(5), list(range(5)))
    state = fitted.state()
    assert state["alpha"].shape == (72, 72)
    network, picture = Graph(state["network"].tobytes()), letters(1, 3)[0]
    message = [network({"pictures": 2 * move(picture)[None] - 1})[0][0] for move in moves(8)]
    expected = -np.mean([((alpha - 1) * said).sum() for alpha, said in zip(state["alpha"], message, strict=True)])
    np.testing.assert_allclose(fitted.score(picture[None]).image[0], expected, rtol=1e-4)
    simplified = make("geotrans", {**SMALL, "shift": 8, "steps": 3, "by": "simplified"}, open_backbone(PIXELS)).with_state(state)
    right = [np.exp(said[i]) for i, said in enumerate(message)]
    np.testing.assert_allclose(simplified.score(picture[None]).image[0], -np.mean(right), rtol=1e-4)


def test_the_dirichlets_are_of_what_is_said_of_good_pictures() -> None:
    fitted = method(steps=10)
    good = letters(8)
    fitted.fit(good, list(range(8)))
    network = Graph(fitted.state()["network"].tobytes())
    for move, alpha in zip(moves(0), fitted.state()["alpha"], strict=True):
        said = network({"pictures": np.stack([2 * move(one) - 1 for one in good])})[0].astype(np.float64)
        np.testing.assert_allclose(alpha, dirichlet.fit(np.maximum(said, np.log(1e-12))), rtol=0.02)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"side": 48}, "side must be one of 32, 64, 96, 128; got 48"),
        ({"shift": 32}, "shift must be 0 or more and below side, 32; got 32"),
        ({"depth": 12}, "depth must be 10, 16, 22 and so on; got 12"),
        ({"by": "likelihood"}, "by must be dirichlet or simplified"),
    ],
)
def test_params_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"geotrans: {message}"):
        method(**options)

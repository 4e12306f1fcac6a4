"""DifferNet: averages that go together otherwise than in good pictures are found unlikely."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from flawsight.errors import DataError, UsageError  # noqa: E402
from flawsight.methods import make  # noqa: E402
from flawsight.methods.base import Method, make_params  # noqa: E402
from flawsight.methods.differnet import DifferNet, DifferNetParams  # noqa: E402
from flawsight.metrics import auroc  # noqa: E402
from flawsight.networks import flows  # noqa: E402
from flawsight.networks.descend import Rehearsal  # noqa: E402
from flawsight.types import Float  # noqa: E402

SMALL = {"blocks": 4, "width": 32, "scales": 1, "kept_turns": 2, "judged_turns": 2, "angle": 0.0, "steps": 400, "lr": 2e-3}


class Cells:
    """A backbone of one level: the colours of the pixels."""

    device = "cpu"

    def features(self, images: Float) -> list[Float]:
        return [images.copy()]


def method(**options: Any) -> Method:
    return make("differnet", {**SMALL, "held_out": 0.0, **options}, Cells())  # type: ignore[arg-type]


def plain(colours: Float) -> list[Float]:
    """A picture of each colour [3], alike all over."""
    return [np.broadcast_to(colour[:, None, None], (3, 32, 32)).astype(np.float32) for colour in colours]


def bent(n: int, seed: int) -> Float:
    """Colours whose second channel follows the square of the first: each by itself tells nothing."""
    rng = np.random.default_rng(seed)
    first = rng.normal(size=n)
    return np.stack([first, first**2 + rng.normal(0, 0.1, n), rng.normal(size=n)], 1)


@pytest.mark.kernels
def test_it_learns_what_goes_with_what() -> None:
    """No Gaussian could tell these apart: mean and covariance of good and bad are the same."""
    fitted = method()
    fitted.fit(plain(bent(200, 0)), list(range(200)))
    good, bad = bent(100, 1), bent(100, 2)
    bad[:, 1] = np.random.default_rng(3).permutation(bad[:, 1])
    scores = np.append(fitted.score(np.stack(plain(good))).image, fitted.score(np.stack(plain(bad))).image)
    assert auroc(scores, [0] * 100 + [1] * 100) > 0.8
    assert fitted.score(np.stack(plain(good[:1]))).map is None


@pytest.mark.kernels
@pytest.mark.parametrize("standardise", [False, True])
def test_the_score_is_the_mean_square_of_what_the_flow_makes_of_turned_pictures(standardise: bool) -> None:
    made: list[Any] = []

    class Remembered(flows.Flow):  # type: ignore[misc]
        def __init__(self, *shape: int) -> None:
            super().__init__(*shape)
            made.append(self)

    rng = np.random.default_rng(0)
    pictures = [
        rng.normal(0.5, 1, (3, 1, 1)).astype(np.float32) + rng.normal(size=(3, 64, 64)).astype(np.float32) for _ in range(5)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flows, "Flow", Remembered)
        fitted = method(steps=20, scales=2, judged_turns=4, angle=180.0, kept_turns=1, turns=1, standardise=standardise)
        fitted.fit(pictures, [0, 1, 2, 3, 4])
    picture = rng.normal(size=(3, 64, 64)).astype(np.float32)
    z = []
    for degrees in (-135, -45, 45, 135):
        from PIL import Image

        turned = np.stack(
            [np.asarray(Image.fromarray(one).rotate(degrees, Image.Resampling.BILINEAR, fillcolor=-1)) for one in picture]
        )
        seen = np.append(turned.mean((1, 2)), turned[:, ::2, ::2].mean((1, 2)))
        if standardise:
            angles = np.random.default_rng(0).uniform(-180, 180, 5)
            known = np.stack(
                [
                    [np.asarray(Image.fromarray(one).rotate(angle, Image.Resampling.BILINEAR, fillcolor=-1)) for one in good]
                    for good, angle in zip(pictures, angles, strict=True)
                ]
            )
            averages = np.concatenate([known.mean((2, 3)), known[:, :, ::2, ::2].mean((2, 3))], 1)
            seen = (seen - averages.mean(0)) / averages.std(0)
        with torch.no_grad():
            z.append(made[0](torch.from_numpy(seen[None].astype(np.float32)))[0].numpy())
    np.testing.assert_allclose(fitted.score(picture[None]).image[0], np.square(z).mean(), rtol=2e-4)


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    """The pictures are the same, but not what it learns of them."""

    class Darker(Cells):
        def features(self, images: Float) -> list[Float]:
            return [images / 2]

    pictures = plain(bent(4, 0))
    first, other = (
        DifferNet(make_params(DifferNetParams, {**SMALL, "steps": 2}, "differnet"), one)  # type: ignore[arg-type]
        for one in (Cells(), Darker())
    )
    first.fit_kept(pictures, [0, 1, 2, 3], tmp_path)
    first.fit_kept(pictures, [0, 1, 2, 3], tmp_path)
    with pytest.raises(UsageError, match="a checkpoint of this training was needed"):
        other.fit_kept(pictures, [0, 1, 2, 3], tmp_path)


def test_a_picture_too_small_for_its_scales_is_refused() -> None:
    with pytest.raises(DataError, match=r"differnet: scales=3 needs pictures of 64 pixels on each side; the network gets 32×32"):
        method(scales=3, steps=1).fit(plain(bent(3, 0)), [0, 1, 2])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blocks": 0}, "blocks must be ≥ 1; got 0"),
        ({"judged_turns": 0}, "judged_turns must be ≥ 1"),
        ({"scales": 5}, "scales must be 1 to 4"),
        ({"angle": 181.0}, "angle must be 0 to 180"),
        ({"dark": float("inf")}, "dark must be a finite number; got inf"),
    ],
)
def test_params_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"differnet: {message}"):
        method(**options)


def test_a_rehearsal_s_steps_see_as_many_pictures_as_those_of_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def descend(self: Rehearsal, network: Any, phases: Any, draw: Any, *_: Any) -> float:
        seen.append(len(draw(np.random.default_rng(0))))
        return 0.0

    monkeypatch.setattr(Rehearsal, "descend", descend)
    for n in (3, 10, 40):
        rehearsed = method(batch=16, turns=2)
        assert isinstance(rehearsed, DifferNet)
        rehearsed.rehearse(plain(bent(3, 0)), n)
    assert seen == [2 * 3, 2 * 10, 2 * 16]

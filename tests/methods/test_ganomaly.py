"""GANomaly: what no good picture has is not made, so it is encoded otherwise the second time; and its two losses, written out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

torch = pytest.importorskip("torch")

from flawsight.backbones import PIXELS, open_backbone  # noqa: E402
from flawsight.errors import UsageError  # noqa: E402
from flawsight.methods import ganomaly, make  # noqa: E402
from flawsight.methods.base import Method  # noqa: E402
from flawsight.networks import gan  # noqa: E402
from flawsight.types import Float  # noqa: E402

SMALL = {"side": 32, "width": 8, "latent": 8, "steps": 150, "batch": 16, "lr": 2e-3, "held_out": 0.0}
UNMOVED = 1e-12  # a rate at which weights stay as they are


def method(**options: Any) -> Method:
    return make("ganomaly", {**SMALL, **options}, open_backbone(PIXELS))


def discs(n: int, seed: int = 0) -> list[Float]:
    """A bright disc on a dark ground, a little elsewhere each time."""
    rng = np.random.default_rng(seed)
    down, right = np.mgrid[:32, :32]
    found = []
    for y, x in rng.uniform(14, 18, (n, 2)):
        disc = ndimage.gaussian_filter((np.hypot(down - y, right - x) < 8).astype(np.float32), 1)
        found.append(np.repeat(0.2 + 0.6 * disc[None], 3, 0).astype(np.float32))
    return found


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Method, Any, Any]]:
    """Fits, and gives the method with its generator and its discriminator."""

    def fit(pictures: list[Float], **options: Any) -> tuple[Method, Any, Any]:
        made: dict[str, Any] = {}
        with monkeypatch.context() as patch:
            for name in ("Generator", "Discriminator"):
                original = getattr(gan, name)
                patch.setattr(gan, name, lambda *shape, name=name, original=original: made.setdefault(name, original(*shape)))
            fitted = method(**options)
            fitted.fit(pictures, list(range(len(pictures))))
        return fitted, made["Generator"], made["Discriminator"]

    return fit


@pytest.mark.kernels
def test_a_part_with_a_bar_across_is_encoded_otherwise_the_second_time() -> None:
    fitted = method()
    fitted.fit(discs(30), list(range(30)))
    good = np.stack(discs(10, 1))
    barred = good.copy()
    barred[:, :, 4:28, 12:20] = 0.0
    found, expected = fitted.score(barred), fitted.score(good)
    assert found.map is None
    assert found.image.min() > expected.image.max()


def test_the_generator_loses_by_features_pixels_and_numbers(trained: Callable[..., tuple[Method, Any, Any]]) -> None:
    picture = discs(1)[0]
    weights = {"adversarial": 3.0, "contextual": 20.0, "encoding": 0.5}
    fitted, generator, judge = trained([picture], steps=1, batch=2, lr=UNMOVED, **weights)
    x = 2 * torch.from_numpy(np.stack([np.rint(picture * 255) / 255] * 2).astype(np.float32)) - 1
    generator.train()
    judge.train()
    with torch.no_grad():
        z = generator.encoder(x)
        made = generator.decoder(z)
        again = generator.again(made)
        parts = [
            (judge.features(x) - judge.features(made)).pow(2).mean(),
            (x - made).abs().mean(),
            (z - again).pow(2).mean(),
        ]
    expected = sum(weight * float(part) for weight, part in zip(weights.values(), parts, strict=True))
    assert float(fitted.state()["loss"][0]) == pytest.approx(expected, rel=1e-4)


@pytest.mark.kernels
def test_both_learn_from_what_was_made_in_the_same_step(trained: Callable[..., tuple[Method, Any, Any]]) -> None:
    """The discriminator tells apart what it was trained with, and training lowers what the generator loses."""
    short, long = trained(discs(20), steps=2), trained(discs(20), steps=100)
    assert float(long[0].state()["loss"][0]) < float(short[0].state()["loss"][0]) / 2
    _, generator, judge = trained(discs(20), steps=40, contextual=0.0, encoding=0.0, adversarial=0.0)  # it stays as it began
    x = 2 * torch.from_numpy(np.stack(discs(16))) - 1
    for network in (generator, judge):
        network.train()
    with torch.no_grad():
        assert float(gan.told_apart(judge(x)[1], judge(generator(x)[0])[1])) < 0.1


@pytest.mark.parametrize("is_too_good", [False, True])
def test_a_discriminator_that_is_too_good_starts_anew(
    is_too_good: bool, trained: Callable[..., tuple[Method, Any, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Any] = []
    begin = gan.begin

    def recorded(layer: Any) -> None:
        begin(layer)
        started.append(layer)

    monkeypatch.setattr(gan, "begin", recorded)
    monkeypatch.setattr(ganomaly, "TOO_GOOD", np.inf if is_too_good else 0.0)
    _, generator, judge = trained(discs(4), steps=3, batch=2)
    assert started.count(judge.last) == 1 + (3 if is_too_good else 0)
    assert started.count(generator.encoder[0]) == 1


@pytest.mark.parametrize("falling", [False, True])
def test_the_rates_of_both_fall_to_a_hundredth_if_told_to(falling: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    from flawsight.networks import descend

    phases: list[descend.Phase] = []
    phase = descend.Phase
    monkeypatch.setattr(descend, "Phase", lambda *given: phases.append(phase(*given)) or phases[-1])
    method(steps=4, lr=0.01, falling=falling).fit(discs(4), list(range(4)))
    rates = [one.optimiser.param_groups[0]["lr"] for one in phases]
    assert rates == pytest.approx(2 * [0.0001 if falling else 0.01])


@pytest.mark.kernels
@pytest.mark.parametrize("norm", ganomaly.NORMS)
def test_the_score_is_how_far_apart_the_numbers_lie(norm: str, trained: Callable[..., tuple[Method, Any, Any]]) -> None:
    fitted, generator, _ = trained(discs(6), steps=10, norm=norm)
    picture = discs(1, 3)[0]
    with torch.no_grad():
        z = generator.encoder(2 * torch.from_numpy(picture)[None] - 1)
        apart = (z - generator.again(generator.decoder(z))).numpy()
    expected = np.square(apart).mean() if norm == "squared" else np.abs(apart).mean()
    assert fitted.score(picture[None]).image[0] == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.kernels
def test_beside_good_pictures_a_part_with_a_bar_stands_out_too() -> None:
    fitted = method(beside=15, steps=100)
    fitted.fit(discs(30), list(range(30)))
    good = np.stack(discs(10, 1))
    barred = good.copy()
    barred[:, :, 4:28, 12:20] = 0.0
    together = fitted.score(good).image
    assert fitted.score(barred).image.min() > together.max()
    alone = [float(fitted.score(one[None]).image[0]) for one in good]
    np.testing.assert_array_equal(np.float32(alone), together)


def test_a_training_that_was_stopped_ends_as_if_it_had_not_been(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both networks, both optimisers and their rates, what normalisation has seen, and the random numbers of a new start."""
    from flawsight.networks import descend

    monkeypatch.setattr(ganomaly, "TOO_GOOD", np.inf)
    monkeypatch.setattr(descend.Run.__init__, "__defaults__", (*descend.Run.__init__.__defaults__[:-1], 0.0))  # type: ignore[attr-defined,misc]
    pictures = discs(6)
    whole, stopped = method(steps=12, batch=4, falling=True), method(steps=12, batch=4, falling=True)
    whole.fit(pictures, list(range(6)))

    def stop(_: str, done: int, __: int) -> None:
        if done == 7:
            raise KeyboardInterrupt

    assert isinstance(stopped, ganomaly.GANomaly)
    with pytest.raises(KeyboardInterrupt):
        stopped.fit_kept(pictures, list(range(6)), tmp_path, stop)
    steps: list[int] = []
    stopped.fit_kept(pictures, list(range(6)), tmp_path, lambda _, done, __: steps.append(done))
    assert steps[0] == 7
    for name, array in whole.state().items():
        np.testing.assert_array_equal(stopped.state()[name], array, err_msg=name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"side": 48}, "side must be one of 32, 64, 128, 256; got 48"),
        ({"beside": -1}, "beside must be ≥ 0; got -1"),
        ({"latent": 0}, "latent must be ≥ 1; got 0"),
        ({"contextual": -1.0}, "contextual must be 0 or more, and finite; got -1.0"),
        ({"norm": "L1"}, "norm must be squared or absolute; got 'L1'"),
    ],
)
def test_params_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"ganomaly: {message}"):
        method(**options)

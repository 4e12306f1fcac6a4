"""AE_SSIM: what it learns to repeat looks similar, what it never saw does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

torch = pytest.importorskip("torch")

from flawsight.backbones import PIXELS, open_backbone  # noqa: E402
from flawsight.errors import LearningFailed, MissingExtra, UsageError  # noqa: E402
from flawsight.methods import make  # noqa: E402
from flawsight.methods.ae_ssim import AESSIM  # noqa: E402
from flawsight.methods.base import Method  # noqa: E402
from flawsight.types import Float  # noqa: E402

SMALL = {"crop": 64, "stride": 64, "width": 8, "latent": 8, "steps": 150, "batch": 4, "lr": 4e-3, "held_out": 0.0}


def method(**options: Any) -> Method:
    return make("ae_ssim", {**SMALL, **options}, open_backbone(PIXELS))


def discs(n: int, seed: int = 0) -> list[Float]:
    """A bright disc on a dark ground, a little elsewhere each time."""
    rng = np.random.default_rng(seed)
    down, right = np.mgrid[:64, :64]
    at = rng.uniform(28, 36, (n, 2))
    return [
        np.repeat(0.2 + 0.6 * ndimage.gaussian_filter((np.hypot(down - y, right - x) < 14).astype(np.float32), 1)[None], 3, 0)
        for y, x in at
    ]


@pytest.mark.kernels
def test_a_stroke_across_the_part_stands_out_where_it_is() -> None:
    fitted = method()
    fitted.fit(discs(20), list(range(20)))
    clean = np.stack(discs(5, 1))
    scratched = clean.copy()
    scratched[:, :, 29:34, 18:46] = 0.2
    good, bad = fitted.score(clean), fitted.score(scratched)
    assert bad.image.min() > good.image.max()  # 0.976 or more, and 0.926 or less, in three trainings
    assert bad.map is not None
    inside = bad.map[:, 28:35, 24:40].mean((1, 2))
    assert (inside > 3 * np.median(bad.map, (1, 2))).all()


@pytest.mark.kernels
def test_the_map_is_what_torch_says_of_the_same_network() -> None:
    """The graph that scores is the network that was trained."""
    from flawsight.networks import autoencoder, ssim

    made: list[Any] = []
    original = autoencoder.autoencoder

    def remember(*shape: int) -> Any:
        made.append(original(*shape))
        return made[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(autoencoder, "autoencoder", remember)
        fitted = method(steps=20)
        fitted.fit(discs(4), [0, 1, 2, 3])
    picture = torch.from_numpy(discs(1, 2)[0])[None]
    with torch.no_grad():
        expected = ssim.Dissimilarity(made[0])(picture)[0].numpy()
    scores = fitted.score(picture.numpy())
    assert scores.map is not None
    np.testing.assert_allclose(scores.map[0], expected, atol=3e-4)  # see test_ssim
    assert scores.image[0] == np.float32(ndimage.uniform_filter(scores.map[0], 11).max())


@pytest.mark.kernels
def test_grey_pictures_are_judged_by_their_light_alone() -> None:
    coloured = [one * np.float32([1.2, 0.9, 0.5])[:, None, None] for one in discs(6)]
    recoloured = [coloured[0], coloured[0][::-1], np.repeat(coloured[0].mean(0, keepdims=True), 3, 0)]
    apart = []
    for grey in (True, False):
        fitted = method(grey=grey, steps=20)
        fitted.fit(coloured, list(range(6)))
        apart.append(np.ptp(fitted.score(np.stack(recoloured)).image))
    assert apart[0] < 3e-4 < 1e-3 < apart[1]  # float32 adds up colours in another order, see test_ssim


def test_a_model_that_tells_nothing_apart_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AESSIM, "_judge", lambda _, image: (0.25, np.zeros(image.shape[1:], np.float32)))
    with pytest.raises(LearningFailed, match=r"ae_ssim: .* it scores every picture 0.25. Try another seed"):
        method(steps=1).fit(discs(4), [0, 1, 2, 3])
    monkeypatch.setattr(AESSIM, "_judge", lambda _, image: (float("nan"), np.zeros(image.shape[1:], np.float32)))
    with pytest.raises(LearningFailed, match="a score is not a number"):
        method(steps=1).fit(discs(4), [0, 1, 2, 3])


def test_too_high_a_learning_rate_is_named() -> None:
    nan = [np.full((3, 64, 64), np.nan, np.float32)] * 2
    with pytest.raises((LearningFailed, RuntimeWarning)):
        method(steps=2).fit(nan, [0, 1])


def test_without_torch_it_says_what_to_install_and_scores_all_the_same(tmp_path: Path) -> None:
    """In a process of its own, where torch cannot be imported."""
    from flawsight.fitting import Plan, fit

    pictures = [np.rint(one * 255).astype(np.uint8).transpose(1, 2, 0) for one in discs(6)]
    options = {**SMALL, "steps": 3, "held_out": 0.4}
    model = fit(pictures, Plan(method="ae_ssim", size=64, options=options))
    model.save(tmp_path / "part.flaw")
    np.save(tmp_path / "picture.npy", pictures[0])
    code = f"""
import sys
sys.modules["torch"] = None
import numpy as np
from flawsight.errors import MissingExtra
from flawsight.model import load
model = load({str(tmp_path / "part.flaw")!r})
print(repr(model.predict(np.load({str(tmp_path / "picture.npy")!r})).score))
assert "torch" not in {{name for name, module in sys.modules.items() if module}}
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == model.predict(pictures[0]).score


def test_it_needs_torch_to_be_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flawsight.methods.learned.find_spec", lambda library: None if library == "torch" else library)
    with pytest.raises(MissingExtra, match=r"ae_ssim, to be fitted: needs torch.*flawsight\[torch\]"):
        method().fit(discs(4), [0, 1, 2, 3])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop": 100}, "crop must be one of 64, 128, 256, 512; got 100"),
        ({"stride": 65}, "stride must be 1 to crop, 64; got 65"),
        ({"lr": 0.0}, "lr must be above 0"),
        ({"held_out": 1.0}, "held_out must be a share"),
        ({"angle": 181.0}, "angle must be 0 to 180"),
    ],
)
def test_params_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"ae_ssim: {message}"):
        method(**options)

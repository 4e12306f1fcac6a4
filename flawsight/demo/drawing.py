"""A small inspection set to try everything on: pictures of a steel plate, good and with six kinds of defects, drawn from a seed.

The layout is MVTec AD's, under one category folder:
  plate/train/good/000.png …   plate/test/good/000.png …   plate/test/<kind>/000.png …   plate/ground_truth/<kind>/000_mask.png …
Two random streams make a picture: one for all that varies between good pictures, one for the defect. So every defective picture
has a good twin, `draw(seed, split, index)`, that differs from it in the defect alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from flawsight.demo.plate import (
    CHAMFER,
    HALF_XY,
    STROKES,
    Part,
    View,
    cover,
    hole_distance,
    look,
    outline_distance,
    path_distance,
    render,
)
from flawsight.errors import UnknownName, UsageError
from flawsight.images import image
from flawsight.types import Float, Mask, Pixels

CATEGORY = "plate"
SPLITS = ("train", "test")
MARKER, UNFINISHED = "demo.json", "demo.json.partial"
DRAWING = 1  # raise when the same seed no longer gives the same pictures

Flaw = tuple[Part, Mask]


def scratch(rng: np.random.Generator, view: View) -> Flaw:
    """A bent score across the brushing, 40–160 units long and 1–3 wide, bright or dark."""
    length, width = rng.uniform(40, 160), rng.uniform(1.0, 3.0)
    while True:
        centre = _clear_spot(rng, 12)
        heading = np.deg2rad(rng.uniform(25, 155)) + np.linspace(-0.5, 0.5, 24) * rng.uniform(-1.1, 1.1)
        path = np.cumsum(np.stack([np.cos(heading), np.sin(heading)], axis=1) * length / 24, axis=0)
        path = (path - path[12] + centre).astype(np.float32)
        if outline_distance(path[:, 0], path[:, 1]).max() < -8:
            break
    d = path_distance(view.x, view.y, path) - width / 2
    ends = np.hypot(view.x - centre[0], view.y - centre[1])
    groove = cover(d, view.unit) * np.clip((length / 2 - ends) / 8, 0.35, 1)
    tone = rng.choice([-1, 1]) * rng.uniform(0.2, 0.5)
    part = Part(relief=-0.5 * np.clip(-d, 0, None), paint=(1 + tone * groove[..., None]).astype(np.float32))
    return part, (d < 0.75 * view.unit) & _on_metal(view)


def dent(rng: np.random.Generator, view: View) -> Flaw:
    """A shallow oval hollow of 14–30 units radius, seen by its shading only."""
    radius = rng.uniform(14, 30)
    cx, cy = _clear_spot(rng, 14)
    turn, oval = rng.uniform(0, np.pi), rng.uniform(0.75, 1)
    dx, dy = view.x - cx, view.y - cy
    along, across = np.cos(turn) * dx + np.sin(turn) * dy, np.cos(turn) * dy - np.sin(turn) * dx
    rho = np.hypot(along, across / oval) / radius
    hollow = np.clip(1 - rho**2, 0, 1) ** 2
    slope = rng.uniform(0.2, 0.42)  # steepest fall; the profile's own is 1.54 / radius
    return Part(relief=(-slope * radius / 1.54 * hollow).astype(np.float32)), (rho < 0.92) & _on_metal(view)


def stain(rng: np.random.Generator, view: View) -> Flaw:
    """A half-transparent brown or grey film of ragged outline with a darker rim, as a dried drop leaves."""
    d = _blob(rng, view, _clear_spot(rng, 10), rng.uniform(13, 32), 0.2)
    strength = rng.uniform(0.22, 0.6)
    film = np.clip(0.5 - d / 4, 0, 1) * (0.72 + 0.05 * view.brush + 0.5 * np.exp(-((d + 3) ** 2) / 6))
    rust, oil = np.array([0.28, 0.48, 0.78]), np.array([0.60, 0.60, 0.58])
    paint = 1 - strength * film[..., None] * (rust + rng.uniform(0, 1) * (oil - rust))
    return Part(paint=paint.astype(np.float32)), (d < 1.5) & _on_metal(view)


def chip(rng: np.random.Generator, view: View) -> Flaw:
    """A bite of 10–20 units out of the plate's edge, the fresh fracture brighter than the face."""
    along, side = rng.uniform(-0.75, 0.75), rng.choice([-1, 1])
    radius = rng.uniform(10, 20)
    out = side * (np.array(HALF_XY) + radius * rng.uniform(0, 0.3))
    spot = (along * HALF_XY[0], out[1]) if rng.random() < 0.55 else (out[0], along * HALF_XY[1])
    bite = _blob(rng, view, spot, radius, 0.12)
    fresh = 1 + 0.22 * np.clip(1 - np.abs(bite) / CHAMFER, 0, 1)[..., None]
    mask = (bite < CHAMFER) & (outline_distance(view.x, view.y) < 0)
    return Part(bite=bite, paint=fresh.astype(np.float32)), mask


def missing_hole(rng: np.random.Generator, view: View) -> Flaw:
    """One hole was never drilled."""
    holes = list(Part().holes)
    x, y, radius = holes.pop(rng.integers(len(holes)))
    return Part(holes=tuple(holes)), np.hypot(view.x - x, view.y - y) < radius + CHAMFER


def misprint(rng: np.random.Generator, view: View) -> Flaw:
    """Two engraved characters are missing, engraved twice with a slip between, or have others engraved over them."""
    text = Part().text
    at = int(rng.choice([i for i in range(1, len(text)) if text[i - 1].char.isdigit() and text[i].char.isdigit()]))
    mode = rng.choice(["missing", "doubled", "over"])
    hit, slip = text[at - 1 : at + 1], 0.0
    if mode == "missing":
        text = tuple(glyph for glyph in text if glyph not in hit)
    elif mode == "doubled":
        slip = 0.22 * hit[0].height
        text += tuple(replace(glyph, x=glyph.x + slip, y=glyph.y + slip) for glyph in hit)
    else:
        text += tuple(replace(g, char=str(rng.choice([c for c in STROKES if c.isdigit() and c != g.char]))) for g in hit)
    half_w, half_h = hit[0].half_wh
    columns = (view.x > hit[0].x - half_w) & (view.x < hit[-1].x + half_w + slip)
    return Part(text=text), columns & (view.y > hit[0].y - half_h) & (view.y < hit[0].y + half_h + slip)


FLAWS: dict[str, Callable[[np.random.Generator, View], Flaw]] = {
    "chip": chip,
    "dent": dent,
    "misprint": misprint,
    "missing_hole": missing_hole,
    "scratch": scratch,
    "stain": stain,
}
KINDS = tuple(FLAWS)


def _clear_spot(rng: np.random.Generator, margin: float) -> tuple[float, float]:
    """A random place on the plate at least `margin` units from edge and holes."""
    while True:
        x, y = rng.uniform(-1, 1, (2, 1)).astype(np.float32) * np.array([[HALF_XY[0]], [HALF_XY[1]]], np.float32)
        if outline_distance(x, y)[0] < -margin and hole_distance(x, y, Part().holes)[0] > margin:
            return float(x[0]), float(y[0])


def _on_metal(view: View) -> Mask:
    holes = hole_distance(view.x, view.y, Part().holes)
    return np.asarray(np.maximum(outline_distance(view.x, view.y), -holes) < 0)


def _blob(rng: np.random.Generator, view: View, centre: tuple[float, float], radius: float, ragged: float) -> Float:
    """Distance to a closed ragged outline round the centre, negative inside, float32 [H,W] in plate units."""
    dx, dy = view.x - centre[0], view.y - centre[1]
    angle = np.arctan2(dy, dx)
    edge = np.full(angle.shape, radius, np.float32)
    for wave in range(1, 14):
        edge += ragged * radius / wave**0.8 * rng.uniform(0.3, 1) * np.cos(wave * angle + rng.uniform(0, 6.28))
    return np.asarray(np.hypot(dx, dy) - edge, np.float32)


def draw(seed: int, split: str, index: int, kind: str = "good", size: int = 512) -> tuple[Pixels, Mask]:
    """One picture, uint8 [size,size,3] RGB, and its mask, bool [size,size], True on the defect.

    The same seed, split and index show the same good part in the same view whatever `kind` is. Raises UnknownName.
    """
    if split not in SPLITS:
        raise UnknownName("demo.draw, split", split, SPLITS)
    if kind not in ("good", *KINDS):
        raise UnknownName("demo.draw, kind", kind, ("good", *KINDS))
    stream = [seed, SPLITS.index(split), index]
    view = look(np.random.default_rng(stream), size)
    if kind == "good":
        return render(Part(), view), np.zeros((size, size), bool)
    part, mask = FLAWS[kind](np.random.default_rng([*stream, 1 + KINDS.index(kind)]), view)
    return render(part, view), mask


def index_of(kind: str, i: int) -> int:
    """What `draw` knows the i-th test picture of a kind by: none that a good one has, so that no view appears twice in a set."""
    return i if kind == "good" else 10_000 * (1 + KINDS.index(kind)) + i


@dataclass(frozen=True)
class _Plan:
    """What a set holds; its marker file is this as JSON."""

    seed: int
    n_good: int
    n_test_good: int
    n_per_kind: int
    size: int
    drawing: int = DRAWING

    def pictures(self) -> Iterator[tuple[str, int, str, Path, Path | None]]:
        """Split, index, kind, and the picture's and the mask's paths below the category folder."""
        for i in range(self.n_good):
            yield "train", i, "good", Path("train", "good", f"{i:03}.png"), None
        for i in range(self.n_test_good):
            yield "test", i, "good", Path("test", "good", f"{i:03}.png"), None
        for kind in KINDS:
            for i in range(self.n_per_kind):
                mask = Path("ground_truth", kind, f"{i:03}_mask.png")
                yield "test", index_of(kind, i), kind, Path("test", kind, f"{i:03}.png"), mask

    def files(self) -> set[Path]:
        """Every path below the category folder but the marker's."""
        return {path for *_, picture, mask in self.pictures() for path in (picture, mask) if path is not None}


def write(
    out: Path,
    seed: int = 0,
    n_good: int = 60,
    n_test_good: int = 16,
    n_per_kind: int = 4,
    size: int = 512,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """The category folder `<out>/plate`, filled with n_good training pictures and the test pictures with their masks.

    `progress(done, total)` is called after each picture. A folder that already holds this very set is returned untouched; one
    whose writing was broken off is written again; any other that is not empty is refused. Raises UsageError.
    """
    plan = _Plan(seed, n_good, n_test_good, n_per_kind, size)
    if min(seed, n_good, n_test_good, n_per_kind) < 0 or size < 64:
        raise UsageError(f"demo.write: needs counts and a seed of 0 or more and a size of 64 px or more; got {plan}.")
    folder = Path(out) / CATEGORY
    if _is_complete(folder, plan):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / UNFINISHED
    unfinished.write_text(json.dumps(asdict(plan), indent=1), encoding="utf-8")
    for path in plan.files():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
    total = sum(1 for _ in plan.pictures())
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for done, _ in enumerate(pool.map(lambda job: _write_one(folder, plan, *job), plan.pictures()), 1):
            if progress:
                progress(done, total)
    unfinished.replace(folder / MARKER)
    return folder


def _write_one(folder: Path, plan: _Plan, split: str, index: int, kind: str, picture: Path, truth: Path | None) -> None:
    pixels, mask = draw(plan.seed, split, index, kind, plan.size)
    image.write(folder / picture, pixels)
    if truth is not None:
        image.write(folder / truth, np.where(mask, 255, 0).astype(np.uint8))


def _is_complete(folder: Path, plan: _Plan) -> bool:
    """Whether the folder holds this very set; False where it may be written. Raises UsageError where it holds anything else."""
    if (folder / UNFINISHED).is_file():
        _clear_unfinished(folder, plan)
        return False
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    held = _held(folder / MARKER)
    if held == plan:
        return all((folder / path).is_file() for path in plan.files())
    what = f"it holds another one ({held})" if held else "it holds something else"
    raise UsageError(f"demo.write: {folder} must be empty or hold this very demo set; {what}. Delete it or write elsewhere.")


def _clear_unfinished(folder: Path, plan: _Plan) -> None:
    """Delete what a broken-off writing of another set has left; no file that such a set would not hold."""
    held = _held(folder / UNFINISHED)
    for path in held.files() - plan.files() if held else ():
        (folder / path).unlink(missing_ok=True)


def _held(marker: Path) -> _Plan | None:
    """The plan in a marker file, None where there is none that can be read."""
    try:
        return _Plan(**json.loads(marker.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None

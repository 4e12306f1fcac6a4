"""Draws one machined part as a camera sees it: a brushed steel plate with holes and engraved text on a conveyor belt.

`View` holds everything that differs between two pictures of the same part (pose, lighting, brushing, noise); `Part` holds what
the part itself is. `render(part, view)` puts the two together, so a part with and without a defect can share a view.
Lengths are plate units: a picture is 512 units wide whatever its size in pixels; the origin is the plate's centre, y points down.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flawsight.types import Float, Pixels

FIELD = 512.0
HALF_XY = (202.0, 166.0)
CORNER, CHAMFER = 30.0, 4.0
BORE_XYR, SPOTFACE = (-82.0, 0.0, 44.0), 60.0
SLOT_XYR, SLOT_HALF = (96.0, 66.0, 13.0), 46.0
BOLTS_XYR = tuple((-82.0 + 82.0 * float(np.cos(a)), 82.0 * float(np.sin(a)), 8.5) for a in np.deg2rad(np.arange(30, 390, 60)))
CORNERS_XYR = tuple((x, y, 14.0) for y in (-130.0, 130.0) for x in (-166.0, 166.0))

# Strokes on a grid 4 wide and 6 high, two digits a point; a stroke's inner corners are rounded, its ends are not.
STROKES = {
    "0": "20 40 43 46 26 06 03 00 20",
    "1": "11 20,20 26",
    "2": "01 00 40 43 06,06 46",
    "3": "01 00 40 43 13,13 43 46 06 05",
    "4": "30 04,04 44,30 36",
    "5": "40 00,00 03,03 02 42 46 06 05",
    "6": "40 00 04,04 06 46 42 02 04",
    "7": "00 40,40 16",
    "8": "20 40 43 23 03 00 20,23 43 46 26 06 03 23",
    "9": "06 46 42,42 40 00 04 44 42",
    "E": "00 06,00 40,03 33,06 46",
    "F": "00 06,00 40,03 33",
    "N": "06 00,00 46,46 40",
    "S": "41 40 00 03 43 46 06 05",
    "-": "03 43",
    ".": "26 25",
}


@dataclass(frozen=True)
class Glyph:
    """One engraved character: its centre and height in plate units."""

    char: str
    x: float
    y: float
    height: float

    @property
    def half_wh(self) -> tuple[float, float]:
        """Half the width and height of its box, the stroke's own width included."""
        return self.height / 3 + 0.06 * self.height, 0.56 * self.height


def _line(text: str, x: float, y: float, height: float, pitch: float) -> tuple[Glyph, ...]:
    """The glyphs of a line of text; x: the middle of its first character."""
    return tuple(Glyph(c, x + i * pitch, y, height) for i, c in enumerate(text) if c != " ")


@dataclass(frozen=True)
class Part:
    """What the part is; the defaults are the good part.

    holes: (x, y, radius) each. relief: float32 [H,W], height added to the surface. paint: float32 [H,W,3], what the metal's
    colour is multiplied by. bite: float32 [H,W], signed distance to what has broken off, negative inside it.
    """

    holes: tuple[tuple[float, float, float], ...] = (*CORNERS_XYR, *BOLTS_XYR)
    text: tuple[Glyph, ...] = (*_line("FS-2047", 24, -52, 33, 25), *_line("EN 1.4301", 21, 3, 21, 17.5))
    relief: Float | float = 0.0
    paint: Float | float = 1.0
    bite: Float | float = np.inf


@dataclass(frozen=True)
class View:
    """The circumstances of one picture, each array of the picture's size.

    x, y: plate coordinates of each pixel, float32 [H,W]. unit: plate units a pixel. light_xy: points at the lamp.
    brush: streaks along the brushing, standard deviation 1. turned: the light off the spot face's rings. sheen: off the brushing.
    belt, lamp: float32 [H,W,3], the belt's colour and what the light multiplies. noise: float32 [H,W,3]. blur_px: the defocus.
    """

    x: Float
    y: Float
    unit: float
    light_xy: tuple[float, float]
    brush: Float
    turned: Float
    sheen: Float
    belt: Float
    lamp: Float
    noise: Float
    blur_px: float


def look(rng: np.random.Generator, size: int) -> View:
    """One view drawn from the generator, `size` pixels high and wide; all that varies between good pictures is here."""
    unit = FIELD / size
    axis = ((np.arange(size) + 0.5) * unit - FIELD / 2).astype(np.float32)
    across, down = np.meshgrid(axis, axis)
    dx, dy = rng.uniform(-6, 6, 2).tolist()
    cos, sin = _heading(rng, -3, 3)
    x, y = cos * (across - dx) + sin * (down - dy), cos * (down - dy) - sin * (across - dx)
    return View(
        x=x,
        y=y,
        unit=unit,
        light_xy=_heading(rng, 228, 242),
        brush=_brushing(rng, x, y, unit),
        turned=_turning(rng, x, y),
        sheen=_sheen(rng, across, down),
        belt=_belt(rng, across, down, unit),
        lamp=_lamp(rng, across, down),
        noise=_noise(rng, size),
        blur_px=float(rng.uniform(0.55, 0.8)) / unit,
    )


def _heading(rng: np.random.Generator, low: float, high: float) -> tuple[float, float]:
    """Cosine and sine of an angle between two, in degrees."""
    angle = np.deg2rad(rng.uniform(low, high))
    return float(np.cos(angle)), float(np.sin(angle))


def _standard(a: Float) -> Float:
    return np.asarray((a - a.mean()) / (a.std() + 1e-9), np.float32)


def _brushing(rng: np.random.Generator, x: Float, y: Float, unit: float) -> Float:
    """Streaks along x of three lengths, turned with the plate."""
    from scipy import ndimage as nd

    size, streaks = len(x), np.zeros_like(x)
    for length, width, weight in ((260, 0.45, 0.6), (60, 0.4, 0.6), (110, 2.0, 0.35)):
        layer = rng.standard_normal((size, size), dtype=np.float32)
        layer = nd.gaussian_filter1d(layer, width / unit, axis=0, mode="wrap")
        for _ in range(2):
            layer = nd.uniform_filter1d(layer, max(1, int(length / unit)), axis=1, mode="wrap")
        streaks += weight * _standard(layer)
    # A brush moves on a slight arc, so the streaks bend a little across the plate.
    rows = (y + 2.2e-4 * x * x) / unit + size / 2
    return np.asarray(nd.map_coordinates(_standard(streaks), [rows, x / unit + size / 2], order=1, mode="grid-wrap"), np.float32)


def _turning(rng: np.random.Generator, x: Float, y: Float) -> Float:
    """Rings a lathe leaves on the spot face, times the two bright fans that such rings reflect."""
    dx, dy = x - BORE_XYR[0], y - BORE_XYR[1]
    rings = np.convolve(rng.standard_normal(256), np.ones(3) / 3, "same").astype(np.float32)
    radius = np.hypot(dx, dy)
    ring = rings[np.minimum(radius * 2, 255).astype(np.intp)]
    cos, sin = _heading(rng, 220, 250)
    fan = ((cos * dx + sin * dy) / np.maximum(radius, 1)) ** 4
    return np.asarray(0.07 * ring + 0.5 * fan - 0.16, np.float32)


def _sheen(rng: np.random.Generator, across: Float, down: Float) -> Float:
    """The soft curved band of light a brushed face throws back, across the brushing, and a fainter one beside it."""
    lean, bow = rng.uniform(-0.15, 0.15), rng.uniform(4e-4, 9e-4)
    along = across + lean * down - bow * down * down - rng.uniform(-70, 40)
    wide = np.exp(-((along / rng.uniform(65, 90)) ** 2))
    thin = np.exp(-(((along - rng.uniform(120, 170)) / 38) ** 2))
    return np.asarray(rng.uniform(0.24, 0.31) * wide + 0.09 * thin, np.float32)


def _belt(rng: np.random.Generator, across: Float, down: Float, unit: float) -> Float:
    """A woven rubber belt: fine grain, worn patches and a faint weave."""
    from scipy import ndimage as nd

    spots = [rng.standard_normal(across.shape, dtype=np.float32) for _ in range(2)]
    grain, worn = (_standard(nd.gaussian_filter(a, s / unit, truncate=3)) for a, s in zip(spots, (0.8, 22), strict=True))
    px, py = rng.uniform(0, 6.28, 2).tolist()
    weave = np.sin((across + down) * 0.62 + px) * np.sin((across - down) * 0.62 + py)
    tone = 1 + 0.06 * grain + 0.035 * worn + 0.07 * weave
    return np.asarray(tone[..., None] * np.array([0.150, 0.185, 0.200]), np.float32)


def _lamp(rng: np.random.Generator, across: Float, down: Float) -> Float:
    """Uneven light: a gradient, the lens's dark corners, brightness and white balance."""
    cos, sin = _heading(rng, 0, 360)
    gradient = 1 + rng.uniform(0.03, 0.09) * (cos * across + sin * down) / 256
    corners = 1 - rng.uniform(0.12, 0.18) * (across**2 + down**2) / (2 * 256**2)
    warmth, tint = rng.uniform(-0.02, 0.02), rng.uniform(-0.004, 0.004)
    white = rng.uniform(0.96, 1.08) * np.array([1 + warmth, 1 + tint, 1 - warmth])
    return np.asarray((gradient * corners)[..., None] * white, np.float32)


def _noise(rng: np.random.Generator, size: int) -> Float:
    """Sensor noise, mostly common to the three colours as a Bayer sensor's is after interpolation."""
    grey, colour = (rng.standard_normal((size, size, n), dtype=np.float32) for n in (1, 3))
    return 0.9 * grey + 0.4 * colour


def outline_distance(x: Float, y: Float) -> Float:
    """Signed distance to the plate's edge, negative on the plate."""
    qx, qy = np.abs(x) - (HALF_XY[0] - CORNER), np.abs(y) - (HALF_XY[1] - CORNER)
    outside = np.sqrt(np.maximum(qx, 0) ** 2 + np.maximum(qy, 0) ** 2)
    return np.asarray(outside + np.minimum(np.maximum(qx, qy), 0) - CORNER, np.float32)


def hole_distance(x: Float, y: Float, holes: tuple[tuple[float, float, float], ...]) -> Float:
    """Signed distance to the nearest of the holes, the bore and the slot, negative inside one."""
    along = np.maximum(np.abs(x - SLOT_XYR[0]) - SLOT_HALF, 0)
    nearest = np.sqrt(along**2 + (y - SLOT_XYR[1]) ** 2) - SLOT_XYR[2]
    for hx, hy, radius in (BORE_XYR, *holes):
        nearest = np.minimum(nearest, np.sqrt((x - hx) ** 2 + (y - hy) ** 2) - radius)
    return np.asarray(nearest, np.float32)


def path_distance(x: Float, y: Float, path: Float) -> Float:
    """Distance to a path of straight pieces, float32 of x's shape; path: float32 [N,2] of x, y."""
    start, step = path[:-1, :, None, None], np.diff(path, axis=0)[:, :, None, None]
    ox, oy = x - start[:, 0], y - start[:, 1]
    t = np.clip((ox * step[:, 0] + oy * step[:, 1]) / np.maximum((step**2).sum(axis=1), 1e-6), 0, 1)
    return np.asarray(np.hypot(ox - t * step[:, 0], oy - t * step[:, 1]).min(axis=0), np.float32)


def cover(distance: Float, unit: float) -> Float:
    """How much of each pixel lies inside a shape, 0..1, from the signed distance to it."""
    return np.asarray(np.clip(0.5 - distance / unit, 0, 1), np.float32)


def _strokes(char: str) -> list[Float]:
    """The character's paths in grid units, corners rounded by cutting them (Chaikin), float32 [N,2] each."""
    paths = []
    for stroke in STROKES[char].split(","):
        p = np.array([[int(c) for c in point] for point in stroke.split()], np.float32)
        for _ in range(3 if len(p) > 2 else 0):
            cut = np.stack([0.75 * p[:-1] + 0.25 * p[1:], 0.25 * p[:-1] + 0.75 * p[1:]], axis=1).reshape(-1, 2)
            p = np.concatenate([p[:1], cut, p[-1:]])
        paths.append(p)
    return paths


def _engraving(part: Part, view: View) -> tuple[Float, Float]:
    """Depth of the engraved grooves in plate units, and how far they darken each pixel, 0..1; float32 [H,W] both."""
    depth, dark = np.zeros_like(view.x), np.zeros_like(view.x)
    for glyph in part.text:
        half_w, half_h = glyph.half_wh
        near = (np.abs(view.x - glyph.x) < half_w + 2) & (np.abs(view.y - glyph.y) < half_h + 2)
        rows, cols = np.flatnonzero(near.any(axis=1)), np.flatnonzero(near.any(axis=0))
        box = np.s_[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
        half_stroke = 0.055 * glyph.height
        for path in _strokes(glyph.char):
            placed = (path - [2, 3]) * (glyph.height / 6) + [glyph.x, glyph.y]
            d = path_distance(view.x[box], view.y[box], placed.astype(np.float32))
            depth[box] = np.maximum(depth[box], np.clip(1.25 - d / half_stroke, 0, 1) * 1.1)
            dark[box] = np.maximum(dark[box], cover(d - half_stroke, view.unit))
    return depth, dark


def _metal(part: Part, view: View, outline: Float, holes: Float) -> Float:
    """The plate's face: relief lit from one side, brushing, highlight, paint; float32 [H,W,3]."""
    depth, dark = _engraving(part, view)
    spot = np.hypot(view.x - BORE_XYR[0], view.y - BORE_XYR[1]) - SPOTFACE
    height = -0.7 * np.maximum(outline + CHAMFER, 0) - 0.7 * np.maximum(CHAMFER - holes, 0) - depth
    height += 0.9 * np.clip(spot / 2 + 0.5, 0, 1) + part.relief
    fall_y, fall_x = np.gradient(height, view.unit)
    shade = np.clip(1 - 0.75 * (fall_x * view.light_xy[0] + fall_y * view.light_xy[1]), 0.35, 1.75)
    # A slope also swings the highlight sideways, which is what shows a shallow dent on brushed metal.
    face = (0.50 + view.sheen * (1 - 0.5 * np.clip(fall_x, -1, 1))) * (1 + 0.05 * view.brush * (0.7 + 2 * view.sheen))
    turned = 0.48 + 0.8 * view.turned + 0.3 * view.sheen
    grey = (face + cover(spot, view.unit) * (turned - face)) * shade * (1 - 0.5 * dark)
    return np.asarray(grey[..., None] * np.array([0.985, 1.0, 1.02], np.float32) * part.paint, np.float32)


def _under(part: Part, view: View, outline: Float, holes: Float) -> Float:
    """What is seen past the plate and through its holes: the belt in the plate's shadow and the holes' walls."""
    lx, ly = view.light_xy
    cast = outline_distance(view.x + 9 * lx, view.y + 9 * ly)
    shadow = 0.62 / (1 + np.exp(np.clip(cast / 3.5, -20, 20)))
    open_air = (1 - shadow) * (1 - 0.35 * np.exp(-np.maximum(outline, 0) / 5))
    # Light falls in past the rim on the lamp's side and reaches the far part of a wide hole; narrow holes stay dark.
    fallen = hole_distance(view.x + 15 * lx, view.y + 15 * ly, part.holes)
    through = 0.13 + 0.6 / (1 + np.exp(np.clip((np.maximum(fallen, holes) + 4) / 2.5, -20, 20)))
    light = np.where(holes < 0, through, open_air)
    rim_y, rim_x = np.gradient(holes, view.unit)
    lit = np.clip(-rim_x * lx - rim_y * ly, 0, 1) * np.exp(np.minimum(holes, 0) / 3)
    return np.asarray(view.belt * light[..., None] + np.where(holes < 0, 0.30 * lit, 0)[..., None], np.float32)


def render(part: Part, view: View) -> Pixels:
    """The picture of a part in a view, uint8 [H,W,3] RGB."""
    from scipy import ndimage as nd

    outline = outline_distance(view.x, view.y)
    edge = np.maximum(outline, -part.bite)
    holes = hole_distance(view.x, view.y, part.holes)
    solid = cover(np.maximum(edge, -holes), view.unit)[..., None]
    under = _under(part, view, outline, holes)
    scene = (under + solid * (_metal(part, view, edge, holes) - under)) * view.lamp
    scene = nd.gaussian_filter(scene, (view.blur_px, view.blur_px, 0))
    scene /= (1 + scene**6) ** (1 / 6)  # a camera's shoulder: highlights bend, they do not clip
    scene += view.noise * (0.003 + 0.0035 * np.sqrt(np.maximum(scene, 0)))
    return np.asarray(np.clip(scene * 255 + 0.5, 0, 255), np.uint8)

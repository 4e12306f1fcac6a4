"""Charts as inline SVG: the ROC curve, the PRO curve, the histogram of scores, what few good pictures are worth.

Colours come from the page's style sheet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flawsight.report.pictures import Scale
from flawsight.types import Float

_WIDE, _HIGH = 440, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 18, 16, 50
_REACH = 12  # the histogram ends at this many gaps (typical good to threshold); one wild score must not flatten the rest


@dataclass(frozen=True)
class _Frame:
    """The plotting area: data coordinates to SVG's, whose y runs down."""

    x: tuple[float, float]
    y: tuple[float, float]
    wide: int = _WIDE
    high: int = _HIGH
    bottom: int = _BOTTOM

    def across(self, values: ArrayLike) -> NDArray[np.float64]:
        low, top = self.x
        return _LEFT + (np.asarray(values, np.float64) - low) / (top - low) * (self.wide - _LEFT - _RIGHT)

    def down(self, values: ArrayLike) -> NDArray[np.float64]:
        low, top = self.y
        return self.high - self.bottom - (np.asarray(values, np.float64) - low) / (top - low) * (self.high - _TOP - self.bottom)

    def path(self, x: ArrayLike, y: ArrayLike) -> str:
        """The points joined by straight lines, as an SVG path."""
        return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(self.across(x), self.down(y), strict=True))


def roc(x: Float, y: Float, point: tuple[float, float] | None) -> str:
    """The ROC curve from false- and true-positive rates [n]. point: both rates at the threshold, in that order."""
    frame = _Frame((0, 1), (0, 1))
    ticks = [(v / 5, f"{v * 20} %") for v in range(6)]
    parts = [_axes(frame, ticks, ticks, "good pictures rejected", "defective pictures rejected")]
    parts += [f'<path class="guess" d="{frame.path([0, 1], [0, 1])}"/>', _line(frame, x, y)]
    message = "ROC curve: share of defective pictures rejected against share of good pictures rejected."
    if point is not None:
        parts.append(_dot(frame, point, "at the threshold"))
        good, bad = (f"{100 * share:.1f} %" for share in point)
        message += f" At the threshold {bad} of the defective and {good} of the good pictures are rejected."
    return _svg(frame, "roc", message, parts)


def pro(x: Float, y: Float, limit: float = 0.3) -> str:
    """The PRO curve from false-positive rates and mean overlaps [n], as far as the metric counts it."""
    frame = _Frame((0, limit), (0, 1))
    x_ticks = [(v * limit / 3, f"{100 * v * limit / 3:.0f} %") for v in range(4)]
    y_ticks = [(v / 5, f"{v * 20} %") for v in range(6)]
    end = float(np.interp(limit, x, y))
    inside = x < limit
    x, y = np.append(x[inside], np.float32(limit)), np.append(y[inside], np.float32(end))
    reached = f"{100 * end:.1f} % at {100 * limit:.0f} %"
    message = f"PRO curve: mean overlap with the true defects against the share of sound pixels marked; {reached}."
    axes = _axes(frame, x_ticks, y_ticks, "sound pixels marked as defective", "mean overlap with true defects")
    return _svg(frame, "pro", message, [axes, _line(frame, x, y)])


def histogram(groups: Sequence[tuple[str, Float]], held_out: Float, scale: Scale, wide: bool = True) -> str:
    """Scores of the groups (CSS class, scores [n]) as stepped areas, the held-out ones as ticks below, and the threshold.

    wide: for a desk; otherwise for a phone, where the wide one's letters would be too small to read.
    """
    drawn = [(kind, scores) for kind, scores in groups if len(scores)]
    low, top, cut = _span(np.concatenate([scores for _, scores in drawn] + [held_out]), scale)
    edges = np.linspace(low, top, 41 if wide else 25)
    # In float64: clipped as float32, to the nearest number, some would lie just beyond the last edge and not be counted.
    counts = [(kind, np.histogram(np.clip(scores.astype(np.float64), low, top), edges)[0]) for kind, scores in drawn]
    rug = len(held_out) > 0
    y_ticks = _ticks(0, max(int(n.max()) for _, n in counts) * 1.08, whole=True)
    frame = _Frame((low, top), (0, y_ticks[-1][0]), wide=_WIDE * (1 + wide), high=_HIGH - 30 + 18 * rug, bottom=_BOTTOM + 18 * rug)
    parts = [_axes(frame, _ticks(low, top), y_ticks, f"score{' (the last bar holds all beyond)' * cut}", "pictures")]
    parts += [_steps(frame, kind, edges, n) for kind, n in counts]
    parts += [_rug(frame, np.clip(held_out, low, top))] if rug else []
    parts.append(_threshold(frame, scale))
    message = "; ".join(
        f"{len(s)} {kind}, median {scale.text(float(np.median(s)))}" for kind, s in [*drawn, ("held-out", held_out)] if len(s)
    )
    return _svg(
        frame,
        f"histogram {'for-desk' if wide else 'for-phone'}",
        f"Histogram of scores: {message}. Threshold {scale.text(scale.middle)}.",
        parts,
    )


@dataclass(frozen=True)
class Curve:
    """kind: measured or published. colour: number of the page's colours. points: (good pictures, percent, spread or NaN)."""

    title: str
    kind: str
    colour: int
    points: Sequence[tuple[int, float, float]]


def few_pictures(curves: Sequence[Curve], label: str) -> str:
    """Percent against the number of good pictures learned from, on a logarithmic axis, each curve named at its right end."""
    shots = sorted({n for curve in curves for n, _, _ in curve.points})
    ends = [value + side * np.nan_to_num(spread) for one in curves for _, value, spread in one.points for side in (-1, 1)]
    y_ticks = _ticks(math.floor(min(ends) - 1), min(100.0, max(ends) + 1), whole=True)
    span = float(np.log2(shots[-1] / shots[0])) or 1.0
    low = min(y_ticks[0][0], math.floor(min(ends) - 1))
    frame = _Frame((-0.04 * span, 1.64 * span), (low, y_ticks[-1][0]), wide=_WIDE + 140)
    at = {n: float(np.log2(n / shots[0])) for n in shots}
    parts = [_axes(frame, [(at[n], str(n)) for n in shots], y_ticks, "good pictures learned from", f"{label}, percent")]
    message, free = [], float("inf")
    for curve in sorted(curves, key=lambda one: one.points[-1][1]):
        style = f"{curve.kind} c{curve.colour % 6}"
        x, y = [at[n] for n, _, _ in curve.points], [value for _, value, _ in curve.points]
        parts.append(f'<path class="series {style}" d="{frame.path(x, y)}"/>')
        for n, value, spread in curve.points:
            parts.append(_point(frame, at[n], value, spread, f"c{curve.colour % 6}"))
        free = min(float(frame.down(y[-1])) + 4, free - 14)  # names one above the other, however near the ends
        parts.append(f'<text class="tick" x="{float(frame.across(x[-1])) + 9:.1f}" y="{free:.1f}">{_name(curve)}</text>')
        message.append(f"{curve.title} {curve.kind}: " + ", ".join(f"{value:.1f} of {n}" for n, value, _ in curve.points))
    return _svg(frame, "few-pictures", f"{label} by number of good pictures. {'; '.join(message)}.", parts)


def _name(curve: Curve) -> str:
    return escape(f"{curve.title}{', published' if curve.kind == 'published' else ''}")


def _point(frame: _Frame, x: float, value: float, spread: float, style: str) -> str:
    across, down = float(frame.across(x)), float(frame.down(value))
    dot = f'<circle class="point {style}" cx="{across:.1f}" cy="{down:.1f}" r="3"/>'
    if math.isnan(spread):
        return dot
    ends = "".join(f"M{across - 4:.1f} {y:.1f}h8" for y in frame.down([value - spread, value + spread]))
    low, high = frame.down([value - spread, value + spread])
    return f'<path class="whisker {style}" d="M{across:.1f} {low:.1f}V{high:.1f}{ends}"/>{dot}'


def _span(scores: NDArray[np.floating], scale: Scale) -> tuple[float, float, bool]:
    """The range of the histogram, and whether scores lie beyond it."""
    finite = scores[np.isfinite(scores)].astype(np.float64)
    low = min(float(finite.min(initial=scale.cold)), scale.middle)
    most = float(finite.max(initial=scale.middle))
    reach = scale.middle + _REACH * scale.gap
    cut = most > reach and scale.middle > scale.cold
    top = reach if cut else max(most, scale.middle)
    pad = 0.03 * (top - low) or 0.5
    return low - pad, top + pad, cut


def _ticks(low: float, top: float, whole: bool = False) -> list[tuple[float, str]]:
    """Round values in [low, top], at most about seven; of counts also the next one above, to end the axis on."""
    raw = max((top - low) / 7, 1.0 if whole else 0.0)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.ceil(top / step) if whole else math.floor(top / step + 1e-9)
    return [(n * step, f"{n * step:.{digits}f}") for n in range(first, last + 1)]


def _axes(frame: _Frame, x: list[tuple[float, str]], y: list[tuple[float, str]], x_label: str, y_label: str) -> str:
    left, right = frame.across(frame.x)
    bottom, top = frame.down(frame.y)
    parts = [f'<path class="axis" d="M{left:.1f} {top:.1f}V{bottom:.1f}H{right:.1f}"/>']
    for value, text in x:
        at = float(frame.across(value))
        parts.append(f'<path class="axis" d="M{at:.1f} {bottom:.1f}v5"/>')
        parts.append(f'<text class="tick" x="{at:.1f}" y="{frame.high - 30}" text-anchor="middle">{text}</text>')
    for value, text in y:
        at = float(frame.down(value))
        parts.append(f'<path class="grid" d="M{left:.1f} {at:.1f}H{right:.1f}"/>')
        parts.append(f'<text class="tick" x="{left - 7:.1f}" y="{at + 4:.1f}" text-anchor="end">{text}</text>')
    middle = (top + bottom) / 2
    parts.append(f'<text class="label" x="{(left + right) / 2:.1f}" y="{frame.high - 8}" text-anchor="middle">{x_label}</text>')
    turned = f'x="12" y="{middle:.1f}" transform="rotate(-90 12 {middle:.1f})"'
    return "".join([*parts, f'<text class="label" {turned} text-anchor="middle">{y_label}</text>'])


def _line(frame: _Frame, x: Float, y: Float) -> str:
    bottom = float(frame.down(0))
    path = frame.path(x, y)
    area = f"{path}L{float(frame.across(x[-1])):.1f} {bottom:.1f}L{float(frame.across(x[0])):.1f} {bottom:.1f}Z"
    return f'<path class="area" d="{area}"/><path class="curve" d="{path}"/>'


def _dot(frame: _Frame, point: tuple[float, float], text: str) -> str:
    x, y = float(frame.across(point[0])), float(frame.down(point[1]))
    left, rise = point[0] > 0.6, -10 if point[1] < 0.2 else 18
    place = f'x="{x + (-10 if left else 10):.1f}" y="{y + rise:.1f}" text-anchor="{"end" if left else "start"}"'
    return f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="5"/><text class="note" {place}>{text}</text>'


def _steps(frame: _Frame, kind: str, edges: NDArray[np.float64], counts: NDArray[np.int_]) -> str:
    """One stepped area per run of filled bars, so that no outline lies along the axis between them."""
    bounds = np.flatnonzero(np.diff(np.pad(counts > 0, 1).astype(np.int8)))
    runs = [(edges[a : b + 1], counts[a:b]) for a, b in zip(bounds[::2], bounds[1::2], strict=True)]
    path = "".join(frame.path(np.repeat(x, 2), np.concatenate([[0], np.repeat(n, 2), [0]])) for x, n in runs)
    return f'<path class="bars {kind}" d="{path}"/>'


def _rug(frame: _Frame, scores: Float) -> str:
    y = float(frame.down(0)) + 7
    return f'<path class="rug" d="{"".join(f"M{x:.1f} {y:.1f}v11" for x in frame.across(scores))}"/>'


def _threshold(frame: _Frame, scale: Scale) -> str:
    x = float(frame.across(scale.middle))
    left = x > 0.7 * frame.wide
    place = f'x="{x + (-8 if left else 8):.1f}" y="{_TOP + 10}" text-anchor="{"end" if left else "start"}"'
    line = f'<path class="threshold" d="M{x:.1f} {_TOP}V{float(frame.down(0)):.1f}"/>'
    return f'{line}<text class="note" {place}>threshold {scale.text(scale.middle)}</text>'


def _svg(frame: _Frame, name: str, message: str, parts: list[str]) -> str:
    return (
        f'<svg class="chart {name}" viewBox="0 0 {frame.wide} {frame.high}" role="img" aria-label="{escape(message)}">'
        f"{''.join(parts)}</svg>"
    )

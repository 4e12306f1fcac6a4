"""The plot of benchmarks/growth.py: panels with logarithmic axes, as one SVG that reads on light and dark pages."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

WIDE, HIGH = 420, 290  # of a panel
LEFT, RIGHT, TOP, BOTTOM = 58, 26, 52, 44
ACROSS = 2  # panels in a row

STYLE = """
.ground { fill: #ffffff } text { font: 12px system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; fill: #56616d }
.title { font-size: 14px; font-weight: 600; fill: #1b232c } .value { fill: #1b232c; font-weight: 600 }
.axis { stroke: #56616d; fill: none } .grid { stroke: #e8ebee; fill: none }
.curve { stroke: #1d5a8c; stroke-width: 2.2; fill: none; stroke-linejoin: round }
.dot { fill: #1d5a8c; stroke: #ffffff; stroke-width: 1.5 }
.linear { stroke: #9aa4ae; stroke-dasharray: 4 4; fill: none } .full { stroke: #c2501a; stroke-dasharray: 2 3; fill: none }
.full-text { fill: #c2501a } .value, .on { paint-order: stroke; stroke: #ffffff; stroke-width: 4; stroke-linejoin: round }
"""


@dataclass(frozen=True)
class Panel:
    """One quantity: its values, one for each number of pictures, and the exponents between them."""

    title: str
    values: Sequence[float]
    exponents: Sequence[float]


@dataclass(frozen=True)
class _Frame:
    """Logarithmic axes: data to the panel's coordinates."""

    x: tuple[float, float]
    y: tuple[float, float]

    def across(self, value: float) -> float:
        return LEFT + _share(value, self.x) * (WIDE - LEFT - RIGHT)

    def down(self, value: float) -> float:
        return HIGH - BOTTOM - _share(value, self.y) * (HIGH - TOP - BOTTOM)


def draw(counts: Sequence[int], panels: Sequence[Panel], full_at: float) -> str:
    """The SVG. full_at: the number of pictures that fills the bank. All panels span as many decades, so slopes can be compared."""
    decades = max(1.0, *(math.log10(max(panel.values) / min(panel.values)) for panel in panels)) + 0.5
    high = HIGH * math.ceil(len(panels) / ACROSS)
    placed = []
    for i, panel in enumerate(panels):
        place = f"translate({WIDE * (i % ACROSS)} {HIGH * (i // ACROSS)})"
        placed.append(f'<g transform="{place}">{"".join(_panel(counts, panel, decades, full_at))}</g>')
    message = "; ".join(f"{panel.title}: {_short(panel.values[0])} to {_short(panel.values[-1])}" for panel in panels)
    message = f"Growth from {counts[0]} to {counts[-1]} good pictures. {message}."
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {ACROSS * WIDE} {high}" width="{ACROSS * WIDE}" height="{high}" '
        f'role="img" aria-label="{escape(message)}"><style>{STYLE}</style><rect class="ground" width="100%" height="100%"/>'
        f"{''.join(placed)}</svg>\n"
    )


def _panel(counts: Sequence[int], panel: Panel, decades: float, full_at: float) -> Iterator[str]:
    middle = math.sqrt(max(panel.values) * min(panel.values))
    half = 10 ** (decades / 2)
    frame = _Frame((counts[0] / 1.12, counts[-1] * 1.12), (middle / half, middle * half))
    left, right, bottom, top = LEFT, WIDE - RIGHT, HIGH - BOTTOM, TOP
    for value in _round_values(*frame.y):
        y = frame.down(value)
        yield f'<path class="grid" d="M{left} {y:.1f}H{right}"/>'
        yield f'<text x="{left - 7}" y="{y + 4:.1f}" text-anchor="end">{_short(value)}</text>'
    yield f'<path class="axis" d="M{left} {top}V{bottom}H{right}"/>'
    for count in _apart(counts, frame):
        yield f'<path class="axis" d="M{frame.across(count):.1f} {bottom}v5"/>'
        yield f'<text x="{frame.across(count):.1f}" y="{bottom + 19}" text-anchor="middle">{count:,}</text>'
    yield f'<text x="{(left + right) / 2}" y="{HIGH - 8}" text-anchor="middle">good pictures</text>'
    yield f'<text class="title" x="{left}" y="24">{escape(panel.title)}</text>'
    if panel.exponents:
        message = f"exponent {panel.exponents[0]:.2f} at first, {panel.exponents[-1]:.2f} at last"
        yield f'<text x="{left}" y="42">{message}</text>'
    if frame.x[0] < full_at < frame.x[1]:
        x = frame.across(full_at)
        yield f'<path class="full" d="M{x:.1f} {top}V{bottom}"/>'
        yield f'<text class="full-text" x="{x + 5:.1f}" y="{bottom - 7}">bank full</text>'
    yield from _linear(counts, panel, frame)
    points = [(frame.across(count), frame.down(value)) for count, value in zip(counts, panel.values, strict=True)]
    yield f'<path class="curve" d="M{"L".join(f"{x:.1f} {y:.1f}" for x, y in points)}"/>'
    for x, y in points:
        yield f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="4"/>'
    for (x, y), value, anchor, rise in ((points[0], panel.values[0], "start", 20), (points[-1], panel.values[-1], "end", -11)):
        yield f'<text class="value" x="{x:.1f}" y="{y + rise:.1f}" text-anchor="{anchor}">{_short(value)}</text>'


def _linear(counts: Sequence[int], panel: Panel, frame: _Frame) -> Iterator[str]:
    """A guide of exponent 1 through the first point, as far as the panel reaches."""
    start = panel.values[0]
    end = min(frame.x[1], counts[0] * frame.y[1] / start)
    y = frame.down(start * end / counts[0])
    yield f'<path class="linear" d="M{frame.across(counts[0]):.1f} {frame.down(start):.1f}L{frame.across(end):.1f} {y:.1f}"/>'
    x = frame.across(counts[0]) + 0.75 * (frame.across(end) - frame.across(counts[0]))
    y += 0.25 * (frame.down(start) - y)
    yield f'<text class="on" x="{x + 7:.1f}" y="{y + 14:.1f}">linear</text>'


def _share(value: float, span: tuple[float, float]) -> float:
    return math.log(value / span[0]) / math.log(span[1] / span[0])


def _round_values(low: float, high: float) -> list[float]:
    """1, 2 and 5 of every decade within; powers of ten alone where there are many decades."""
    steps = (1, 2, 5) if high / low < 1000 else (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [step * 10.0**power for power in powers for step in steps if low <= step * 10.0**power <= high]


def _apart(counts: Sequence[int], frame: _Frame) -> list[int]:
    """Those counts whose labels do not touch, the last one always."""
    kept: list[int] = []
    for count in reversed(counts):
        if not kept or frame.across(kept[-1]) - frame.across(count) >= 40:
            kept.append(count)
    return kept


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"

"""Curves as SVG, for the documentation: one box beside the other, axes that are linear or logarithmic."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

TOP, BOTTOM, HEIGHT, WIDTH = 40, 240, 190, 320
GREY, BROWN, GREEN, BLUE = "#888", "#b5651d", "#1f6f5c", "#33589c"


@dataclass(frozen=True, slots=True)
class Curve:
    """A line of (x, y) points, both above 0 where the axes are logarithmic."""

    label: str
    colour: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Span:
    """A logarithmic axis from `low` to `high`, whole decades, on `length` units of the drawing."""

    low: float
    high: float
    length: float

    @classmethod
    def around(cls, values: Sequence[float], length: float) -> Span:
        """Return the decades that hold all values, one at least."""
        low, high = math.floor(math.log10(min(values)) + 1e-9), math.ceil(math.log10(max(values)) - 1e-9)
        return cls(low, max(high, low + 1), length)

    def at(self, value: float) -> float:
        """Return where a value stands on it."""
        return self.length * (math.log10(value) - self.low) / (self.high - self.low)

    def decades(self) -> list[float]:
        """Return the powers of ten on it."""
        return [10.0**power for power in range(int(self.low), int(self.high) + 1)]


def document(width: int, height: int, body: Sequence[str]) -> str:
    """Return a drawing with a white ground."""
    box = f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {box}>'
    return "\n".join([head, f'<rect width="{width}" height="{height}" fill="#fff"/>', *body, "</svg>", ""])


def linear_panel(title: str, lines: Sequence[tuple[str, str, Sequence[float]]], left: int, unit: str) -> list[str]:
    """Return one box: lines of (label, colour, values) over the days."""
    top = max(max(values) for _, _, values in lines)
    made = [
        f'<text x="{left}" y="24" font-weight="bold">{title}</text>',
        f'<path d="M{left} {TOP} V{BOTTOM} H{left + WIDTH}" fill="none" stroke="{GREY}"/>',
        f'<text x="{left + 4}" y="52" fill="{GREY}">{top:,.0f} {unit}</text>',
        f'<text x="{left + WIDTH}" y="256" text-anchor="end" fill="{GREY}">{len(lines[0][2])} days</text>',
    ]
    for row, (label, colour, values) in enumerate(lines):
        step = WIDTH / max(1, len(values) - 1)
        points = [(left + at * step, BOTTOM - HEIGHT * value / top) for at, value in enumerate(values)]
        made += [_line(points, colour), _legend(f"{label}: {values[-1]:,.0f} {unit}", colour, left, row)]
    return made


def log_panel(title: str, curves: Sequence[Curve], left: int, told: Callable[[float], str], unit: str) -> list[str]:
    """Return one box with both axes logarithmic; `told` words a y value, x values are numbers of `unit`."""
    across = Span.around([x for curve in curves for x, _ in curve.points], WIDTH)
    up = Span.around([y for curve in curves for _, y in curve.points], HEIGHT)
    made = [f'<text x="{left}" y="24" font-weight="bold">{title}</text>']
    for y in up.decades():
        at = BOTTOM - up.at(y)
        made.append(f'<path d="M{left} {at:.1f} h{WIDTH}" stroke="{GREY}" stroke-opacity="0.25"/>')
        made.append(f'<text x="{left + 4}" y="{at - 3:.1f}" fill="{GREY}" font-size="10">{told(y)}</text>')
    made.append(f'<path d="M{left} {TOP} V{BOTTOM} H{left + WIDTH}" fill="none" stroke="{GREY}"/>')
    ends = {across.decades()[0]: "start", across.decades()[-1]: "end"}
    for x in across.decades():
        place = f'x="{left + across.at(x):.1f}" y="256" text-anchor="{ends.get(x, "middle")}"'
        word = f"{x:,.0f} {unit}" if ends.get(x) == "end" else f"{x:,.0f}"
        made.append(f'<text {place} fill="{GREY}" font-size="10">{word}</text>')
    for row, curve in enumerate(curves):
        points = [(left + across.at(x), BOTTOM - up.at(y)) for x, y in curve.points]
        dots = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{curve.colour}"/>' for x, y in points]
        text = f"{curve.label}: {told(curve.points[0][1])} … {told(curve.points[-1][1])}"
        made += [_line(points, curve.colour), *dots, _legend(text, curve.colour, left, row)]
    return made


def seconds(value: float) -> str:
    """Return a time (s) in words."""
    return f"{value * 1000:.3g} ms" if value < 1 else f"{value:.3g} s"


def _line(points: Sequence[tuple[float, float]], colour: str) -> str:
    told = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{told}" fill="none" stroke="{colour}" stroke-width="1.5"/>'


def _legend(text: str, colour: str, left: int, row: int) -> str:
    return f'<text x="{left}" y="{276 + 18 * row}" fill="{colour}">{text}</text>'

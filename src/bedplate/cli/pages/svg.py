"""Draws axes and marks as SVG text within milliseconds, for pages that a command writes while it runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from bedplate.cli.pages.charts import GRID, INK, MUTED
from bedplate.domain.formatting import format_short

CHARACTER_WIDTH = 6.6
"""Pixels of an average character at the labels' size."""
_STEPS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps a value to a pixel, linearly or, with `log`, by the logarithm; `log` needs values above 0."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """
        >>> Scale(0, 10, 100, 200)(5), Scale(1, 100, 0, 10, log=True)(10)
        (150.0, 5.0)
        """
        low, high, position = (self._transform(v) for v in (self.low, self.high, value))
        share = (position - low) / (high - low) if high > low else 0.5
        return self.start + min(1.05, max(-0.05, share)) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Returns about five round values within the scale.

        >>> Scale(0, 1, 0, 1).ticks(), Scale(3, 50, 0, 1, log=True).ticks()
        ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [5, 10, 20, 50])
        """
        if self.log:
            exponents = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            candidates = [m * 10**e for e in exponents for m in (1, 2, 5)]
            visible = [v for v in candidates if self.low <= v <= self.high * 1.0001]
            return visible if len(visible) < 12 else [v for v in visible if math.log10(v).is_integer()]
        rough = (self.high - self.low) / 5 or 1.0
        unit = 10 ** math.floor(math.log10(rough))
        step = next(s * unit for s in _STEPS if s * unit >= rough * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        return [round(i * step, 10) for i in range(first, math.floor(self.high / step + 1e-9) + 1)]

    def _transform(self, value: float) -> float:
        return math.log10(max(value, 1e-12)) if self.log else value


@dataclass(slots=True)
class Drawing:
    """Collects shapes; `to_svg` returns the `<svg>` element. Coordinates are pixels from the top left."""

    width: float
    height: float
    parts: list[str] = field(default_factory=list)

    def line(
        self, x1: float, y1: float, x2: float, y2: float, color: str, width: float = 1.0, *, dashed: bool = False
    ) -> None:
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
        self.parts.append(f'<line {ends} stroke="{color}" stroke-width="{width}"{dash}/>')

    def path(self, points: Sequence[tuple[float, float]], color: str, width: float = 1.8) -> None:
        coordinates = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(f'<polyline points="{coordinates}" fill="none" stroke="{color}" stroke-width="{width}"/>')

    def area(self, points: Sequence[tuple[float, float]], color: str, opacity: float = 0.18) -> None:
        coordinates = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(f'<polygon points="{coordinates}" fill="{color}" fill-opacity="{opacity}"/>')

    def bar(self, x1: float, y1: float, x2: float, y2: float, color: str, opacity: float = 1.0) -> None:
        x, y, w, h = min(x1, x2), min(y1, y2), abs(x2 - x1), abs(y2 - y1)
        size = f'x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}"'
        self.parts.append(f'<rect {size} fill="{color}" fill-opacity="{opacity}"/>')

    def mark(self, x: float, y: float, color: str, shape: str = "circle") -> None:
        """Draws a `circle`, `cross` or `diamond`, so that no meaning depends on colour alone."""
        if shape == "circle":
            self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{color}"/>')
        elif shape == "diamond":
            coordinates = f"{x:.1f},{y - 5:.1f} {x + 5:.1f},{y:.1f} {x:.1f},{y + 5:.1f} {x - 5:.1f},{y:.1f}"
            self.parts.append(f'<polygon points="{coordinates}" fill="{color}"/>')
        else:
            self.line(x - 4, y - 4, x + 4, y + 4, color, 2.2)
            self.line(x - 4, y + 4, x + 4, y - 4, color, 2.2)

    def text(
        self, x: float, y: float, text: str, *, anchor: str = "start", color: str = INK, rotated: bool = False
    ) -> None:
        transform = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if rotated else ""
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{color}"{transform}>{escape(text)}</text>'
        )

    def legend(self, left: float, entries: Sequence[tuple[str, str, str]]) -> None:
        """Draws (colour, `circle`, `cross`, `diamond`, `bar`, `solid` or `dashed`, label) in one line at the top."""
        x = left
        for color, kind, label in entries:
            if kind == "bar":
                self.bar(x, 5, x + 12, 15, color)
            elif kind in ("dashed", "solid"):
                self.line(x, 10, x + 16, 10, color, 2, dashed=kind == "dashed")
            else:
                self.mark(x + 6, 10, color, kind)
            self.text(x + 20, 14, label, color=MUTED)
            x += 34 + CHARACTER_WIDTH * len(label)

    def axis_x(self, scale: Scale, top: float, bottom: float, label: str) -> None:
        for tick in scale.ticks():
            x = scale(tick)
            self.line(x, top, x, bottom, GRID)
            self.text(x, bottom + 16, format_short(tick), anchor="middle", color=MUTED)
        self.text((scale.start + scale.end) / 2, bottom + 33, label, anchor="middle", color=MUTED)

    def axis_y(self, scale: Scale, left: float, right: float, label: str) -> None:
        for tick in scale.ticks():
            y = scale(tick)
            self.line(left, y, right, y, GRID)
            self.text(left - 7, y + 4, format_short(tick), anchor="end", color=MUTED)
        self.text(14, (scale.start + scale.end) / 2, label, anchor="middle", color=MUTED, rotated=True)

    def to_svg(self, description: str) -> str:
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width:g} {self.height:g}" role="img" '
            f'aria-label="{escape(description, quote=True)}" font-family="system-ui, sans-serif" font-size="12">'
            + "".join(self.parts)
            + "</svg>"
        )

"""How a figure is written for people, whether it is a share, a latency or a price."""

from __future__ import annotations

import math


def figure(value: float, decimals: int = 4, *, signed: bool = False) -> str:
    """`decimals` places below 10, two below 1,000, whole and in thousands from there on; infinite and NaN as a dash.

    >>> figure(0.73348), figure(15.49281), figure(-11907.7098), figure(float("nan"))
    ('0.7335', '15.49', '-11,908', '-')
    >>> figure(0.12, signed=True), figure(1.5, 3), figure(-0.00001)
    ('+0.1200', '1.500', '0.0000')
    """
    if not math.isfinite(value):
        return "-"
    size = abs(value)
    places = decimals if size < 10 else min(decimals, 2) if size < 1000 else 0
    rounded = round(value, places) + 0.0  # + 0.0: no minus before a zero
    return f"{rounded:{'+' if signed else ''},.{places}f}"


def short(value: float, *, signed: bool = False) -> str:
    """Four significant digits below 1,000, whole and in thousands from there on; never an exponent for what is large.

    >>> short(0.73348), short(12.0), short(-16662.6), short(0.5, signed=True), short(1e6)
    ('0.7335', '12', '-16,663', '+0.5', '1,000,000')
    """
    if not math.isfinite(value):
        return f"{value:g}"
    sign = "+" if signed else ""
    return f"{value:{sign},.0f}" if abs(value) >= 1000 else f"{value:{sign}.4g}"

"""How figures are written for people: shares, latencies, amounts of money, numbers of things."""

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


def usd(amount: float) -> str:
    """Dollars with as many digits as the amount deserves.

    >>> usd(1234.5), usd(0.5), usd(0.00123), usd(0)
    ('$1,234.50', '$0.50', '$0.0012', '$0.00')
    """
    return f"${amount:,.2f}" if amount >= 0.1 or amount == 0 else f"${amount:.4f}"


def counted(count: int, thing: str) -> str:
    """So many of a thing.

    >>> counted(1, "version"), counted(1200, "version"), counted(2, "query")
    ('1 version', '1,200 versions', '2 queries')
    """
    plural = f"{thing[:-1]}ies" if thing.endswith("y") else f"{thing}s"
    return f"{count:,} {thing if count == 1 else plural}"

"""Formats numbers for people: shares, latencies, amounts of money and counts."""

from __future__ import annotations

import math


def format_number(value: float, decimals: int = 4, *, signed: bool = False) -> str:
    """Formats with `decimals` places below 10, two below 1,000, and none from 1,000 on; infinity and NaN are a dash.

    >>> format_number(0.73348), format_number(15.49281), format_number(-11907.7098), format_number(float("nan"))
    ('0.7335', '15.49', '-11,908', '-')
    >>> format_number(0.12, signed=True), format_number(1.5, 3), format_number(-0.00001)
    ('+0.1200', '1.500', '0.0000')
    """
    if not math.isfinite(value):
        return "-"
    size = abs(value)
    places = decimals if size < 10 else min(decimals, 2) if size < 1000 else 0
    rounded = round(value, places) + 0.0  # + 0.0: no minus before a zero
    return f"{rounded:{'+' if signed else ''},.{places}f}"


def format_short(value: float, *, signed: bool = False) -> str:
    """Formats with four significant digits below 1,000, and as a whole number from 1,000 on, without an exponent.

    >>> format_short(0.73348), format_short(12.0), format_short(-16662.6), format_short(1e6)
    ('0.7335', '12', '-16,663', '1,000,000')
    >>> format_short(0.5, signed=True)
    '+0.5'
    """
    if not math.isfinite(value):
        return f"{value:g}"
    sign = "+" if signed else ""
    return f"{value:{sign},.0f}" if abs(value) >= 1000 else f"{value:{sign}.4g}"


def format_usd(amount: float) -> str:
    """Formats US dollars with two decimals, or with four below 10 cents.

    >>> format_usd(1234.5), format_usd(0.5), format_usd(0.00123), format_usd(0)
    ('$1,234.50', '$0.50', '$0.0012', '$0.00')
    """
    return f"${amount:,.2f}" if amount >= 0.1 or amount == 0 else f"${amount:.4f}"


def format_count(count: int, noun: str) -> str:
    """Formats a count with its noun in the singular or plural.

    >>> format_count(1, "version"), format_count(1200, "version"), format_count(2, "query")
    ('1 version', '1,200 versions', '2 queries')
    """
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"

"""How amounts are written: of money, and of things."""

from __future__ import annotations


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

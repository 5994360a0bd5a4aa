"""How an amount of money is written."""

from __future__ import annotations


def usd(amount: float) -> str:
    """Dollars with as many digits as the amount deserves.

    >>> usd(1234.5), usd(0.5), usd(0.00123), usd(0)
    ('$1,234.50', '$0.50', '$0.0012', '$0.00')
    """
    return f"${amount:,.2f}" if amount >= 0.1 or amount == 0 else f"${amount:.4f}"

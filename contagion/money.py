"""Numbers as people read them."""

from __future__ import annotations

import math

__all__ = ["percent", "usd"]

_UNITS = ((1e12, "tn"), (1e9, "bn"), (1e6, "m"), (1e3, "k"), (1.0, ""))


def usd(amount: float) -> str:
    """Return money with two or three significant digits.

    Examples
    --------
    >>> [usd(x) for x in (0, 12.5, 999_999, 1_234_567, 14e9, -3.4e6, math.nan)]
    ['$0', '$12', '$1m', '$1.2m', '$14bn', '−$3.4m', 'n/a']
    """
    sign = "−" if amount < 0 else ""
    size = abs(amount)
    if math.isnan(size):
        return "n/a"
    if math.isinf(size):
        return f"{sign}$∞"
    for unit, name in _UNITS:
        text = _digits(size / unit)
        if float(text) >= 1.0:
            return f"{sign}${text}{name}"
    return "$0" if size == 0.0 else f"{sign}<$1".replace("−<", "<")


def percent(share: float) -> str:
    """Return a share as a percentage, one decimal below ten.

    Examples
    --------
    >>> [percent(x) for x in (0, 0.0004, 0.0312, 0.125, 1, math.inf, math.nan)]
    ['0%', '<0.1%', '3.1%', '12%', '100%', '∞%', 'n/a']
    """
    size = abs(100.0 * share)
    if not math.isfinite(size):
        return "n/a" if math.isnan(size) else f"{'−' if share < 0 else ''}∞%"
    if 0.0 < size < 0.1:
        return "<0.1%"
    return f"{'−' if share < 0 else ''}{_digits(size)}%"


def _digits(size: float) -> str:
    """Return one decimal below ten, none from ten on, and no trailing zero."""
    text = f"{size:.1f}" if size < 9.95 else f"{size:.0f}"
    return text.removesuffix(".0")

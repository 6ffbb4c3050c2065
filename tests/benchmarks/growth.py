"""How steps grow with their size: what is claimed, and the exponent that fits what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

STATED: Mapping[str, tuple[str, float]] = {
    "check": ("n: names are hashed", 1.0),
    "lower": ("n log n: names are hashed, rows sorted", 1.1),
    "round": ("n: one pass over positions", 1.0),
    "solve": ("n log n", 1.1),
    "attribute": ("n: a few passes over positions", 1.0),
    "solve_memory": ("n", 1.0),
}
"""Steps (columns of the table), their complexity in words, and the exponent that stands for it between 10⁵ and 10⁷."""

FROM = 100_000
"""Accounts from which fixed costs no longer hide the growth."""

LEEWAY = 0.15
"""What caches and neighbours may add to an exponent: a factor of 1.4 for ten times the size."""


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Return the slope of log(values) over log(sizes) by least squares; NaN for fewer than two sizes.

    Examples
    --------
    >>> round(exponent([10, 100, 1000], [3.0, 300.0, 30_000.0]), 12)
    2.0
    """
    if len(sizes) < 2:
        return float("nan")
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def grown(rows: Sequence[Mapping[str, float]]) -> list[dict[str, str | float | bool]]:
    """Return for each step the stated and the fitted exponent, and whether the one covers the other.

    Only sizes from `FROM` accounts on count; without two of them there is nothing to say.
    """
    large = [row for row in rows if row["accounts"] >= FROM]
    if len(large) < 2:
        return []
    found: list[dict[str, str | float | bool]] = []
    for step, (words, most) in STATED.items():
        fitted = exponent([row["accounts"] for row in large], [row[step] for row in large])
        found.append({"step": step, "stated": words, "exponent": fitted, "holds": fitted <= most + LEEWAY})
    return found

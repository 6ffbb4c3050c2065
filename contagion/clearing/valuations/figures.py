"""Figures by position: a valuation does not know the nodes, so it could not match labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from contagion.clearing.network import Floats

__all__ = ["by_position"]


def by_position(name: str, given: Any, *, zero: bool) -> tuple[Floats, list[str]]:
    """Return figures as numbers, and what is wrong with them: labels, text, values that are negative or not finite."""
    nothing = np.ones(0)
    if isinstance(given, Mapping | pd.Series | pd.DataFrame):
        return nothing, [f"{name} has labels; give an array in the order of the nodes"]
    values = np.asarray(given)
    if values.dtype.kind not in "biuf":
        return nothing, [f"{name} is {given!r}; give numbers"]
    found = values.astype(np.float64)
    if not (np.isfinite(found) & ((found > 0.0) | ((found == 0.0) & zero))).all():
        return nothing, [f"{name} must be finite and {'not negative' if zero else 'above zero'} for all"]
    return found, []

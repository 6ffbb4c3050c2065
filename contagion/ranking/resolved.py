"""What more solves say of every entity, on request."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from contagion import schema
from contagion.errors import texts
from contagion.solution import Solution
from contagion.stress import avoided_if_immune, impact_if_failed

__all__ = ["MEASURES", "resolved", "unknown"]

MEASURES = ("avoided_if_immune", "impact_if_failed")
"""Measures that take a solve for each entity, in the order of their columns."""


def unknown(measures: object, solution: object) -> list[str]:
    """Return the problems of what should be some of `MEASURES`, and can be had of the solution."""
    problems = texts("measures", measures, "measures")
    if problems:
        return problems
    asked: Sequence[str] = measures  # type: ignore[assignment]
    problems += [
        f"measures: {name!r} cannot be asked for{schema.near_misses(name, MEASURES)}; give some of "
        f"{', '.join(MEASURES)}; all others are always there"
        for name in asked
        if name not in MEASURES
    ]
    if "avoided_if_immune" in asked and isinstance(solution, Solution) and not solution.converged:
        problems.append("measures: avoided_if_immune takes a solution that has converged; solve again with more rounds")
    return problems


def resolved(solution: Solution, measures: Sequence[str], keys: pd.MultiIndex, progress: bool) -> dict[str, pd.Series]:
    """Return the measures asked for, by entity (type and name); NaN for those that a measure does not cover."""
    found = {}
    if "avoided_if_immune" in measures:
        touched = _by_entity(avoided_if_immune(solution, progress=progress), "avoided_if_immune")
        found["avoided_if_immune"] = touched.reindex(keys, fill_value=0.0)
    if "impact_if_failed" in measures:
        alone = impact_if_failed(solution.system, progress=progress)
        found["impact_if_failed"] = _by_entity(alone, "impact_if_failed").reindex(keys)
    return found


def _by_entity(table: pd.DataFrame, measure: str) -> pd.Series:
    return pd.Series(table[measure].to_numpy(), index=pd.MultiIndex.from_arrays([table["type"], table.index]))

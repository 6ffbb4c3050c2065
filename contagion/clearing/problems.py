"""What can be wrong with a matrix or vector, said in one sentence for each kind: what, where, and what is allowed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contagion import schema

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["cells", "choice", "duplicated", "entries", "positive", "share", "unknown"]

SHOWN = 5
"""Places that a message names before it says "and 37 more"."""

_LARGE = 10_000
"""Names among which near misses are looked for."""


class _Square(Protocol):
    @property
    def rows(self) -> str: ...
    @property
    def columns(self) -> str: ...
    @property
    def highest(self) -> float: ...


class _Range(Protocol):
    @property
    def lowest(self) -> float: ...
    @property
    def highest(self) -> float: ...
    @property
    def zero(self) -> str: ...
    @property
    def infinite(self) -> bool: ...


def cells(name: str, values: csr_array, rows: pd.Index[Any], columns: pd.Index[Any], rule: _Square) -> list[str]:
    """Return cells of a matrix that are not finite, negative or too large, and a diagonal that is not zero."""
    data = values.data
    kinds = [
        (~np.isfinite(data), "not a finite number", "give an amount"),
        (data < 0.0, "negative", "turn the amount around: what i owes j stands in row i, column j"),
        (data > rule.highest, f"above {rule.highest:g}", f"give at most {rule.highest:g}"),
    ]
    found = []
    for bad, wrong, cure in kinds:
        at = np.flatnonzero(bad)
        if at.size:
            debtors = np.searchsorted(values.indptr, at[:SHOWN], side="right") - 1
            places = [
                f"[{rows[row]!r}, {columns[column]!r}] = {data[cell]:g}"
                for row, column, cell in zip(debtors, values.indices[at], at, strict=False)
            ]
            found.append(_sentence(name, places, at.size, wrong, cure))
    if rule.rows == rule.columns:
        own = np.flatnonzero(values.diagonal())
        places = [f"{rows[row]!r}" for row in own[:SHOWN]]
        found += [_sentence(f"{name} diagonal", places, own.size, "not zero", "nobody owes itself")] if own.size else []
    return found


def entries(name: str, values: NDArray[np.float64], labels: pd.Index[Any], rule: _Range) -> list[str]:
    """Return entries of a vector that are not finite, out of range, or zero where that is not allowed."""
    usable = np.isfinite(values) | (rule.infinite & (values == np.inf))
    kinds = [
        (~usable, "not a finite number", "give a number"),
        (values < rule.lowest, f"below {rule.lowest:g}", f"give at least {rule.lowest:g}"),
        (values > rule.highest, f"above {rule.highest:g}", f"give at most {rule.highest:g}"),
    ]
    found = []
    for bad, wrong, cure in kinds:
        at = np.flatnonzero(bad & (usable | (wrong == "not a finite number")))
        places = [f"[{labels[place]!r}] = {values[place]:g}" for place in at[:SHOWN]]
        found += [_sentence(name, places, at.size, wrong, cure)] if at.size else []
    if rule.zero:
        at = np.flatnonzero(values == 0.0)
        places = [repr(labels[place]) for place in at[:SHOWN]]
        found += [_sentence(f"{name} of", places, at.size, "zero", rule.zero)] if at.size else []
    return found


def duplicated(name: str, axis: str, labels: pd.Index[Any]) -> list[str]:
    """Return that labels stand twice."""
    twice = labels[labels.duplicated()].unique()
    places = [repr(label) for label in twice[:SHOWN]]
    return (
        [_sentence(f"{name} {axis}", places, len(twice), "listed twice", "drop one, or add them up")] if places else []
    )


def unknown(name: str, axis: str, own: pd.Index[Any], known: pd.Index[Any], *, optional: bool) -> list[str]:
    """Return labels that the others do not have, and those that are missing unless they are optional."""
    found = []
    strange = own[~own.isin(known)]
    if len(strange):
        near = [str(label) for label in known] if len(known) <= _LARGE else []
        places = [f"{label!r}{schema.near_misses(str(label), near)}" for label in strange[:SHOWN]]
        found.append(
            _sentence(f"{name} {axis}", places, len(strange), "not among the others' labels", "mend the label")
        )
    missing = known[~known.isin(own)]
    if len(missing) and not optional:
        places = [repr(label) for label in missing[:SHOWN]]
        found.append(_sentence(f"{name} {axis}", places, len(missing), "missing", "give all"))
    return found


def choice(name: str, value: object, allowed: tuple[str, ...]) -> list[str]:
    """Return that an argument is none of the words that are allowed."""
    if isinstance(value, str) and value in allowed:
        return []
    near = schema.near_misses(value, list(allowed)) if isinstance(value, str) else ""
    return [f"{name} is {value!r}; give {' or '.join(map(repr, allowed))}{near}"]


def positive(name: str, value: object, *, whole: bool = False, zero: bool = False) -> list[str]:
    """Return that an argument is not a positive, finite (whole) number, or zero where that is allowed."""
    kinds = (int, np.integer) if whole else (int, float, np.integer, np.floating)
    if (
        isinstance(value, kinds)
        and not isinstance(value, bool)
        and (0.0 < float(value) < math.inf or (zero and value == 0))
    ):
        return []
    return [f"{name} is {value!r}; give a positive {'whole ' if whole else ''}number{' or zero' * zero}"]


def share(name: str, value: object) -> list[str]:
    """Return that an argument is not a number from 0 to 1."""
    kinds = (int, float, np.integer, np.floating)
    if isinstance(value, kinds) and not isinstance(value, bool) and 0.0 <= float(value) <= 1.0:
        return []
    return [f"{name} is {value!r}; give a number from 0 to 1"]


def _sentence(name: str, places: list[str], count: int, wrong: str, cure: str) -> str:
    more = f" and {count - len(places)} more" if count > len(places) else ""
    verb = "is" if count == 1 else "are"
    return f"{name} {', '.join(places)}{more} {verb} {wrong}; {cure}"

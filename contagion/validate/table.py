"""One table under inspection, and the sentence that a finding about it becomes."""

from __future__ import annotations

import string
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contagion import schema
from contagion.system import System

__all__ = ["SHOWN", "Bools", "Floats", "Table", "suggestion"]

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

SHOWN = 5
"""Rows that a message names before it says "and 37 more"."""

_LARGE = 10_000

_TYPED = 100

_ALPHABET = string.ascii_letters + string.digits + "_-.: "

_LABELS = {
    "nodes": ("node",),
    "assets": ("asset",),
    "markets": ("market",),
    "terms": ("platform", "asset"),
    "oracles": ("platform", "asset"),
    "routes": ("platform", "asset"),
    "accounts": ("account",),
    "positions": ("account",),
    "claims": ("creditor", "debtor"),
    "quotes": ("account", "market"),
    "funding": ("account", "source"),
    "arbitrage": ("market_a", "market_b"),
}


class Table(NamedTuple):
    """A table of a system by name; rows are counted from 1, the first row below the header."""

    name: str
    frame: pd.DataFrame

    @classmethod
    def of(cls, system: System, name: str) -> Table:
        """Return one table of a system."""
        return cls(name, getattr(system, name))

    def numbers(self, column: str) -> Floats:
        """Return a column as numbers, NaN where a cell is empty or cannot be read."""
        values = self.frame[column]
        if values.dtype != np.float64:
            values = pd.to_numeric(values, errors="coerce")
        return values.to_numpy(dtype=np.float64)

    def filled(self, column: str) -> Bools:
        """Return the rows whose cell is not empty."""
        values = self.frame[column]
        filled = values.notna() if values.dtype == np.float64 else ~values.isin([""])  # faster than !=
        return filled.to_numpy(dtype=np.bool_)

    def report(
        self,
        bad: Bools,
        column: str,
        wrong: str,
        cure: str,
        known: pd.Series[str] | Sequence[str] = (),
        values: pd.Series[Any] | None = None,
    ) -> list[str]:
        """Return one sentence about the rows where ``bad`` holds, nothing if there are none.

        Parameters
        ----------
        bad : (rows,) bool
        column : str
            What is wrong: the word before the value.
        wrong, cure : str
            What is wrong with the value, and what to do.
        known : sequence of str
            Names that may have been meant.
        values : Series, optional
            What to show instead of the cells of ``column``.
        """
        rows = np.flatnonzero(bad)
        if not rows.size:
            return []
        values = self.frame[column] if values is None else values
        shown = _telling(rows, values)
        cells = list(dict.fromkeys(values.iloc[row] for row in shown))
        listed = ", ".join(_cell(cell) for cell in cells)
        where = _enumerate([self._label(row) for row in shown], rows.size)
        hint = _hints([cell for cell in cells if isinstance(cell, str)], known)
        return [f"{self.name} row{'s' if rows.size > 1 else ''} {where}: {column} {listed} {wrong}; {cure}{hint}"]

    def _label(self, row: int) -> str:
        names = ", ".join(f"{column} {self.frame[column].iloc[row]!r}" for column in _LABELS[self.name])
        return f"{row + 1} ({names})"


def suggestion(name: str, known: pd.Series[str] | Sequence[str]) -> str:
    """Return ``" (did you mean 'x'?)"`` for the known names that resemble ``name``, else an empty string.

    Among very many names only those are looked for that one missing, spare, wrong or swapped character explains.
    """
    if len(known) > _LARGE:
        names = pd.Series(known, dtype="str")
        known = names[names.isin(_edits(name))].tolist()
    return schema.near_misses(name, known)


def _edits(name: str) -> list[str]:
    """Return what one changed character makes of a name; nothing for names too long to be typed."""
    parts = [(name[:cut], name[cut:]) for cut in range(len(name) + 1)] if len(name) <= _TYPED else []
    dropped = {head + tail[1:] for head, tail in parts}
    swapped = {head + tail[1::-1] + tail[2:] for head, tail in parts}
    changed = {head + letter + tail[1:] for head, tail in parts for letter in _ALPHABET}
    added = {head + letter + tail for head, tail in parts for letter in _ALPHABET}
    return sorted(dropped | swapped | changed | added)


def _telling(rows: NDArray[np.int64], values: pd.Series[Any]) -> list[int]:
    """Return the rows to show: the first of each different value, then others, in the order of the table."""
    repeated = values.iloc[rows].duplicated().to_numpy()
    return sorted(np.concatenate([rows[~repeated], rows[repeated]])[:SHOWN].tolist())


def _cell(value: object) -> str:
    """Return a cell as the user would write it; text in quotes, numbers in full."""
    return repr(value) if isinstance(value, str) else repr(float(value)).removesuffix(".0")  # type: ignore[arg-type]


def _enumerate(labels: Sequence[str], count: int) -> str:
    more = f" and {count - len(labels)} more" if count > len(labels) else ""
    return ", ".join(labels) + more


def _hints(names: Iterable[str], known: pd.Series[str] | Sequence[str]) -> str:
    found = {name: hint for name in names if len(known) and (hint := suggestion(name, known))}
    if len(found) == 1:
        return next(iter(found.values()))
    return (": " if found else "") + ", ".join(f"{name!r}{hint}" for name, hint in found.items())

"""One changed cell of a system's tables, or the same cell in several rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

import pandas as pd

from contagion import schema
from contagion.errors import InputError
from contagion.system import System

__all__ = ["Override", "is_number"]


@dataclass(frozen=True)
class Override:
    """One changed cell, or the same cell in several rows.

    Parameters
    ----------
    table : str
        Table of the system.
    where : mapping of str to (str, float or None)
        Columns and the values that choose the rows; every row that matches all of them is changed. The empty string
        and None match an empty cell.
    set : mapping of str to (str, float or None)
        Columns and their new values; the empty string and None restore the default. Numbers may be text ("5e8").

    Raises
    ------
    InputError
        If ``table`` is not text, or ``where`` or ``set`` is not a mapping.
    """

    table: str
    where: Mapping[str, str | float | None]
    set: Mapping[str, str | float | None]

    def __post_init__(self) -> None:
        problems = []
        table: object = self.table
        if not isinstance(table, str):
            problems.append(f"override: table is {table!r}; give the name of a table as text")
        for part in ("where", "set"):
            given = getattr(self, part)
            if isinstance(given, Mapping):
                object.__setattr__(self, part, dict(given))
            else:
                problems.append(f"override: {part} is {given!r}; give a mapping of column to value")
        if problems:
            raise InputError(problems, "override")

    def apply(self, system: System) -> System:
        """Return the system with the cells changed.

        Raises
        ------
        InputError
            If the table or a column is unknown, or no row matches.
        """
        problems = self._problems()
        if problems:
            raise InputError(problems, "override")
        frame = getattr(system, self.table)
        rows = self._rows(frame)
        if not rows.any():
            chosen = " and ".join(f"{column} = {value!r}" for column, value in self.where.items())
            hint = self._hint(frame)
            raise InputError(
                f"override of {self.table}: no row where {chosen}{hint}; add the row to the table, or mend the name"
            )
        changed = frame.copy()
        for column, value in self.set.items():
            known = schema.columns(self.table)[column]
            new = known.fill if _is_empty(value) else (_number(value) if known.is_number else str(value))
            changed[column] = changed[column].mask(rows, new)
        return system.with_table(self.table, changed)

    def _problems(self) -> list[str]:
        if self.table not in schema.TABLES:
            return [f"override: there is no table {self.table!r}{schema.near_misses(self.table, schema.TABLES)}"]
        known = schema.columns(self.table)
        problems = [
            f"override of {self.table}: there is no column {column!r}{schema.near_misses(column, known)}"
            for column in [*self.where, *self.set]
            if column not in known
        ]
        for column, value in [*self.where.items(), *self.set.items()]:
            if column in known and known[column].is_number and not _is_empty(value) and _number(value) is None:
                allowed = known[column].allowed
                problems.append(
                    f"override of {self.table}: {column} = {value!r} is not a number; give a number"
                    + (f" ({allowed})" if allowed else "")
                    + ', or "" for an empty cell'
                )
        if not self.where or not self.set:
            problems.append(f"override of {self.table}: give both `where` and `set`, with at least one column each")
        return problems

    def _rows(self, frame: pd.DataFrame) -> pd.Series[bool]:
        rows = pd.Series(True, index=frame.index)
        for column, value in self.where.items():
            cells = frame[column]
            if cells.dtype != "float64":
                rows &= cells == ("" if _is_empty(value) else str(value))
            else:
                rows &= cells.isna() if _is_empty(value) else cells == _number(value)
        return rows

    def _hint(self, frame: pd.DataFrame) -> str:
        for column, value in self.where.items():
            names = frame[column].astype("str").fillna("").unique()
            if str(value) not in names:
                return schema.near_misses(str(value), names)
        return ""


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _number(value: Any) -> float | None:
    """Return a number, written as one or as text; None if it is neither."""
    if not isinstance(value, str):
        return float(value) if is_number(value) else None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if number == number else None


def is_number(value: Any) -> bool:
    """Return whether a value is a number, and not a truth value or NaN."""
    return isinstance(value, Real) and value is not True and value is not False and bool(value == value)

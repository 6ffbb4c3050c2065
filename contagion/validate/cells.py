"""The rules that the schema states for single cells: columns, empty cells, numbers, ranges, choices."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

import numpy as np

from contagion import schema
from contagion.schema import Column, Interval
from contagion.system import System
from contagion.validate.table import Bools, Floats, Table

__all__ = ["check_choices", "check_columns", "check_missing", "check_numbers", "check_ranges", "extra_columns"]

_RESEMBLES = 0.81
"""Similarity from which an unknown column is taken for a misspelt one."""


def extra_columns(system: System) -> Iterator[tuple[str, str, str]]:
    """Return table, column and the column that seems to be meant (else "") of all columns outside the schema.

    A column is taken for a misspelt one only if the column that it resembles holds nothing but its default.
    """
    for table, frame in system.tables():
        known = schema.columns(table)
        for name in frame.columns:
            if name not in known:
                folded = str(name).strip().casefold()
                close = difflib.get_close_matches(folded, known, n=1, cutoff=_RESEMBLES)
                yield table, name, close[0] if close and _is_default(Table(table, frame), known[close[0]]) else ""


def check_columns(system: System) -> list[str]:
    """Return columns that look like misspelt ones: they would be ignored, and the default used in their place."""
    return [
        f"{table}: there is no column {name!r} (did you mean {meant!r}?); rename it, or remove it"
        for table, name, meant in extra_columns(system)
        if meant
    ]


def check_missing(system: System) -> list[str]:
    """Return required cells that are empty; columns without any cell are one problem a table."""
    problems = []
    for table in _filled_tables(system):
        absent = []
        for name, column in schema.columns(table.name).items():
            bad = _missing(table, column)
            if column.required == "yes" and bad.all():
                absent.append(name)
            else:
                cure = f"give {_allowed(column)}" + (" for every perp" if column.required == "perp only" else "")
                problems += table.report(bad, name, "is missing", cure)
        if absent:
            many = len(absent) > 1
            columns = f"column{'s' * many} {', '.join(absent)} {'are' if many else 'is'}"
            problems.append(f"{table.name}: required {columns} missing, or empty (nan) in all rows; add values")
    return problems


def check_numbers(system: System) -> list[str]:
    """Return cells of number columns that cannot be read as numbers."""
    problems = []
    for table, column in _columns(system, numbers=True):
        if table.frame[column.name].dtype != np.float64:
            bad = table.filled(column.name) & np.isnan(table.numbers(column.name))
            problems += table.report(bad, column.name, "is not a number", f"give {_allowed(column)}")
    return problems


def check_ranges(system: System) -> list[str]:
    """Return numbers outside the range of their column; infinity is one unless the schema allows it."""
    problems = []
    for table, column in _columns(system, numbers=True):
        bad = _outside(table.numbers(column.name), column.interval)
        problems += table.report(bad, column.name, "is out of range", f"give {_allowed(column)}")
    return problems


def check_choices(system: System) -> list[str]:
    """Return words that are not among the choices of their column."""
    problems = []
    for table, column in _columns(system, numbers=False):
        if column.choices:
            bad = ~table.frame[column.name].isin(column.choices).to_numpy(dtype=np.bool_)
            cure = f"give {_allowed(column)}"
            problems += table.report(bad, column.name, "is not allowed", cure, column.choices)
    return problems


def _filled_tables(system: System) -> Iterator[Table]:
    return (Table(name, frame) for name, frame in system.tables() if len(frame))


def _columns(system: System, numbers: bool) -> Iterator[tuple[Table, Column]]:
    for table in _filled_tables(system):
        for column in schema.columns(table.name).values():
            if column.is_number == numbers:
                yield table, column


def _missing(table: Table, column: Column) -> Bools:
    if column.required == "yes":
        return ~table.filled(column.name)
    if column.required == "perp only":
        return ~table.filled(column.name) & (table.frame["side"] == "perp").to_numpy(dtype=np.bool_)
    return np.zeros(len(table.frame), dtype=np.bool_)


def _outside(values: Floats, interval: Interval) -> Bools:
    """Return the numbers outside an interval; an empty cell is not outside."""
    below = values <= interval.lower if interval.lower_open else values < interval.lower
    above = values >= interval.upper if interval.upper_open else values > interval.upper
    infinite = (values == -np.inf) if interval.infinite else np.isinf(values)
    outside: Bools = below | above | infinite
    return outside


def _allowed(column: Column) -> str:
    """Return what may stand in a cell, in words."""
    if column.choices:
        return f"one of {', '.join(column.choices)}"
    if not column.is_number:
        return f"the name of {column.allowed}" if column.references else "a name"
    rule = column.allowed.replace("..", " to ").replace("0< to <=1", "above 0, at most 1") or "any finite number"
    return f"a number, {rule}" + (f" ({column.unit})" if column.unit else "")


def _is_default(table: Table, column: Column) -> bool:
    if not column.is_number or column.fill != column.fill:
        cells = table.frame[column.name]
        same = cells == column.fill if not column.is_number else ~table.filled(column.name)
        return bool(same.all())
    return bool((table.numbers(column.name) == column.fill).all())

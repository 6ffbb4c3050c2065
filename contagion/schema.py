"""The tables of a system and their columns, read once from ``data/schema.csv``.

That file is the only source of names, types, units, defaults and allowed values: the checks of `contagion.validate`,
the dtypes of `contagion.System` and the page ``docs/schema.md`` all come from it.
"""

from __future__ import annotations

import csv
import difflib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from types import MappingProxyType

__all__ = ["KEYS", "TABLES", "Column", "Interval", "columns", "markdown", "near_misses"]

KEYS = MappingProxyType({"nodes": "node", "assets": "asset", "markets": "market", "accounts": "account"})
"""Tables that name things, and the column with the name."""

_MANY = 10_000

_REFERENCES = {
    "a node": ("nodes",),
    "an asset": ("assets",),
    "a market": ("markets",),
    "an account": ("accounts",),
    "a node or an account": ("nodes", "accounts"),
}


@dataclass(frozen=True)
class Interval:
    """Allowed range of a number; infinity only where the schema says so."""

    lower: float = -math.inf
    upper: float = math.inf
    lower_open: bool = False
    upper_open: bool = False
    infinite: bool = False


@dataclass(frozen=True)
class Column:
    """One row of the schema: a column of a table."""

    table: str
    name: str
    type: str
    unit: str
    required: str
    default: str
    allowed: str
    description: str

    @property
    def is_number(self) -> bool:
        """Whether cells are numbers (float64) rather than text."""
        return self.type == "number"

    @cached_property
    def choices(self) -> tuple[str, ...]:
        """Allowed words, empty if the column is not a choice."""
        return tuple(self.allowed.split("|")) if "|" in self.allowed else ()

    @cached_property
    def references(self) -> tuple[str, ...]:
        """Tables in which the cell must name a row, empty if the column is not a reference."""
        return _REFERENCES.get(self.allowed, ())

    @cached_property
    def interval(self) -> Interval:
        """Allowed range of a number, as far as it does not depend on other cells."""
        return _interval(self.allowed)

    @cached_property
    def fill(self) -> float | str:
        """Value of an empty cell: the default if it is a constant, else NaN or the empty string.

        Defaults that refer to other cells ("liquidation_level", "sum of claims on the node") stay empty in a `System`
        and are resolved when it is lowered to arrays, so that an override of the other cell carries over.
        """
        if self.is_number:
            try:
                return float(self.default)
            except ValueError:
                return math.nan
        return "" if self.default == "the account" else self.default


def _interval(allowed: str) -> Interval:
    if allowed == "0..1":
        return Interval(0.0, 1.0)
    if allowed == "0<..<=1":
        return Interval(0.0, 1.0, lower_open=True)
    if match := re.match(r"(>=?)(-?[\d.]+)", allowed):
        return Interval(float(match[2]), lower_open=match[1] == ">", infinite="or inf" in allowed)
    return Interval()


def _read() -> dict[str, dict[str, Column]]:
    text = resources.files("contagion").joinpath("data/schema.csv").read_text("utf-8")
    tables: dict[str, dict[str, Column]] = {}
    for row in csv.DictReader(text.splitlines()):
        row["name"] = row.pop("column")
        column = Column(**row)
        tables.setdefault(column.table, {})[column.name] = column
    return tables


_SCHEMA = _read()

TABLES: tuple[str, ...] = tuple(_SCHEMA)
"""Names of the twelve tables, in the order of the schema."""


def columns(table: str) -> dict[str, Column]:
    """Columns of one table by name, in schema order."""
    return dict(_SCHEMA[table])


def near_misses(name: str, known: Iterable[str]) -> str:
    """Return ``" (did you mean 'x'?)"`` for the known names that resemble ``name``, else an empty string."""
    folded = {candidate.casefold(): candidate for candidate in known}
    if len(folded) > _MANY:  # comparing with a million names takes minutes; a common beginning is a good sieve
        folded = {key: value for key, value in folded.items() if key[:3] == name.casefold()[:3]}
    close = difflib.get_close_matches(name.casefold(), list(folded)[:_MANY], n=2, cutoff=0.6)
    return f" (did you mean {' or '.join(repr(folded[c]) for c in close)}?)" if close else ""


def markdown() -> str:
    """Return ``docs/schema.md``: one section a table, one row a column."""
    lines = [
        "# Tables and columns",
        "",
        "<!-- Written by `python -m contagion.schema`; edit contagion/data/schema.csv instead. -->",
        "",
        "An empty cell takes the default. Money is in USD, rates and shares are fractions of one.",
    ]
    for table in TABLES:
        lines += [
            "",
            f"## {table}",
            "",
            "| column | type | unit | required | default | allowed | description |",
        ]
        lines += ["| --- | --- | --- | --- | --- | --- | --- |"]
        for column in _SCHEMA[table].values():
            cells = (
                column.type,
                column.unit,
                column.required,
                column.default,
                column.allowed,
                column.description,
            )
            escaped = " | ".join(cell.replace("|", "\\|") for cell in cells)
            lines.append(f"| `{column.name}` | {escaped} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":  # pragma: no cover
    import sys

    sys.stdout.write(markdown())

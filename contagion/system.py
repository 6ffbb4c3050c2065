"""A financial system: twelve tables, checked on demand, never changed in place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from contagion import display, schema
from contagion.errors import InputError
from contagion.frozen import HandsOutCopies

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["System"]


@dataclass(frozen=True, eq=False)
class System(HandsOutCopies):
    """A frozen bundle of the twelve tables of the schema.

    Parameters
    ----------
    nodes, assets, markets, terms, oracles, routes : DataFrame, optional
        Who there is, what trades where, and by which rules; columns as in ``docs/schema.md``, money in USD, shares as
        fractions of one. Absent tables are empty, absent or empty cells take the default of the schema.
    accounts, positions, claims, quotes, funding, arbitrage : DataFrame, optional
        Who holds, owes and provides what. All frames are copied; the caller's are never written to.

    Raises
    ------
    InputError
        If a table is not a DataFrame, or has two columns of one name. Cells are checked by `contagion.validate`,
        which `contagion.solve` calls.

    Examples
    --------
    >>> import pandas as pd
    >>> system = System(nodes=pd.DataFrame({"node": ["bank"], "buffer": [5.0]}))
    >>> system
    System(1 nodes)
    >>> system.nodes[["kind", "buffer", "recovery_rate"]].to_dict("list")
    {'kind': ['institution'], 'buffer': [5.0], 'recovery_rate': [1.0]}
    """

    nodes: pd.DataFrame = None  # type: ignore[assignment]
    assets: pd.DataFrame = None  # type: ignore[assignment]
    markets: pd.DataFrame = None  # type: ignore[assignment]
    terms: pd.DataFrame = None  # type: ignore[assignment]
    oracles: pd.DataFrame = None  # type: ignore[assignment]
    routes: pd.DataFrame = None  # type: ignore[assignment]
    accounts: pd.DataFrame = None  # type: ignore[assignment]
    positions: pd.DataFrame = None  # type: ignore[assignment]
    claims: pd.DataFrame = None  # type: ignore[assignment]
    quotes: pd.DataFrame = None  # type: ignore[assignment]
    funding: pd.DataFrame = None  # type: ignore[assignment]
    arbitrage: pd.DataFrame = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        for field in fields(self):
            frame = getattr(self, field.name)
            if frame is not None and not isinstance(frame, pd.DataFrame):
                raise InputError(f"{field.name} is a {type(frame).__name__}; give a pandas DataFrame")
            object.__setattr__(self, field.name, _conform(field.name, frame))

    def __repr__(self) -> str:
        sizes = ", ".join(f"{len(frame)} {table}" for table, frame in self.tables() if len(frame))
        return f"System({sizes or 'empty'})"

    def _repr_html_(self) -> str | None:
        """Return the table of sizes and the exposure diagram that a notebook shows; see `contagion.notebook`."""
        return display.html(self)

    def _repr_svg_(self) -> str | None:
        """Return the exposure diagram alone; see `contagion.notebook`."""
        return display.svg(self)

    def __eq__(self, other: object) -> bool:
        """Return whether all twelve tables hold the same rows in the same order."""
        if not isinstance(other, System):
            return NotImplemented
        return all(frame.equals(getattr(other, table)) for table, frame in self.tables())

    __hash__ = None  # type: ignore[assignment]

    def tables(self) -> Iterator[tuple[str, pd.DataFrame]]:
        """Return the tables by name, in schema order."""
        return ((table, getattr(self, table)) for table in schema.TABLES)

    def with_table(self, table: str, frame: pd.DataFrame) -> Self:
        """Return a system with one table exchanged.

        Raises
        ------
        InputError
            If there is no table of that name.
        """
        if table not in schema.TABLES:
            raise InputError(f"there is no table {table!r}{schema.near_misses(table, schema.TABLES)}")
        return type(self)(**{**dict(self.tables()), table: frame})

    def to_networkx(self) -> nx.MultiDiGraph[str]:
        """Return the system as a directed multigraph; see `contagion.network.to_networkx`."""
        from contagion import network

        return network.to_networkx(self)

    @classmethod
    def from_networkx(cls, graph: nx.MultiDiGraph[str]) -> Self:
        """Return the system that a graph holds; see `contagion.network.from_networkx`."""
        from contagion import network

        return cls(**network.tables_of(graph))


def _conform(table: str, frame: pd.DataFrame | None) -> pd.DataFrame:
    """Return a copy with every column of the schema, right dtypes and constant defaults filled in."""
    known = schema.columns(table)
    length = 0 if frame is None else len(frame)
    given: Mapping[str, Any] = {} if frame is None else _columns(table, frame)
    data: dict[str, Any] = {}
    for name, column in known.items():
        if name not in given:
            data[name] = _constant(column, length)
        else:
            data[name] = _numbers(given[name], column) if column.is_number else _text(given[name], column)
    data |= {name: given[name].array.copy() for name in given if name not in known}
    return pd.DataFrame(data, index=pd.RangeIndex(length))


def _columns(table: str, frame: pd.DataFrame) -> dict[str, pd.Series[Any]]:
    names = [str(name) for name in frame.columns]
    repeated = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if repeated:
        raise InputError(f"{table} has more than one column {repeated[0]!r}; rename or drop the others")
    return {name: frame.iloc[:, number] for number, name in enumerate(names)}


def _constant(column: schema.Column, length: int) -> pd.Series[Any]:
    return pd.Series([column.fill] * length, dtype="float64" if column.is_number else "str")


def _text(values: pd.Series[Any], column: schema.Column) -> pd.Series[Any]:
    text = values.reset_index(drop=True).astype("str").fillna("")
    return text.where(text != "", column.fill) if column.fill else text


def _numbers(values: pd.Series[Any], column: schema.Column) -> pd.Series[Any]:
    """Return float64, or the cells as text where one cannot be read: `contagion.validate` then names them."""
    values = values.reset_index(drop=True)
    if values.dtype.kind not in "biuf":
        text = values.astype("str").fillna("").str.strip()
        cells = text.to_numpy(dtype=object)
        empty = cells == ""
        try:
            # numpy calls Python's float on each cell, which is exact; pandas' own parser may be one ulp off
            numbers = np.where(empty, "0", cells).astype(np.float64)
        except ValueError:
            return text
        if np.isnan(numbers).any():  # somebody wrote the word "nan", which is not a way to leave a cell empty
            return text
        numbers[empty] = np.nan
    else:
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan).copy()
    numbers[np.isnan(numbers)] = column.fill
    return pd.Series(numbers)

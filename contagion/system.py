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

    @classmethod
    def from_liabilities(
        cls,
        liabilities: Any,
        external_assets: Any,
        external_liabilities: Any = None,
        *,
        recovery_rate: Any = 1.0,
    ) -> Self:
        """Return a network of debts as nodes and claims, on which `contagion.solve` clears as the classic models do.

        The buffer of a node is its equity if everybody pays: external assets and claims less debts. A node whose
        equity is negative starts with an account without assets that owes the shortfall to it; nobody will pay that.
        Shocks are external losses of a scenario, up to external assets.

        Parameters
        ----------
        liabilities : (n, n) array, sparse array, DataFrame or DiGraph
            ``liabilities[i, j]`` is what i owes j, USD.
        external_assets : (n,) array, Series, mapping or float
            Assets other than claims in the network, USD.
        external_liabilities : likewise, optional
            Debts outside of the network, USD, pari passu; none by default.
        recovery_rate : float, or one for each node
            Share of a defaulter's remaining assets that creditors get: 1 is `clearing.eisenberg_noe`, less is
            `clearing.rogers_veraart` with alpha = beta = recovery_rate (``docs/model.md``, section 9).

        Returns
        -------
        System
            Nodes (with the extra columns external_assets and external_liabilities), claims, and accounts of group
            shortfall. Labels become text.

        Raises
        ------
        InputError
            All that is wrong with the input.

        Examples
        --------
        The first bank has 1 and owes 2 to the second, who owes 2 to the third: both can pay half.

        >>> import contagion as ct
        >>> system = System.from_liabilities([[0, 2, 0], [0, 0, 2], [0, 0, 0]], [1, 0, 0])
        >>> ct.solve(system).nodes["haircut"].tolist()
        [0.5, 0.5, 0.0]
        """
        from contagion import bridges

        tables = bridges.tables_of_liabilities(liabilities, external_assets, external_liabilities, recovery_rate)
        return cls(**tables)

    @classmethod
    def from_portfolios(
        cls,
        banks: Any,
        holdings: Any,
        equity: Any,
        depth: Any,
        *,
        capital_ratio: Any = 0.03,
        impact: str = "exponential",
    ) -> Self:
        """Return banks with common assets, which sell in proportion once equity over assets is below what is asked.

        Each bank is an account at the node "creditors", each asset one market at the node "exchange", of price 1. A
        bank below its ratio sells just as much as restores it, or all; sellers get the average price of the sale, and
        what they hold is marked at the last (``docs/model.md``, sections 3 and 6). Shocks are those of a scenario, by
        asset.

        Parameters
        ----------
        banks : sequence of str or None
            Names, in the order of rows; None takes those of the other arguments.
        holdings : (n, m) array, sparse array or DataFrame
            What each bank holds of each asset, USD at opening prices.
        equity : (n,) array, Series, mapping or float
            USD; what holdings are worth beyond it is owed to creditors, what they fall short of it is cash.
        depth : (m,) array, Series, mapping or float
            Sale that lowers an asset's price by 1 %, USD; may be infinite.
        capital_ratio : float, or one for each bank
            Least equity over holdings, marked; 0 to 1. By default 3 %, the leverage ratio of Basel III.
        impact : {"exponential", "linear", "sqrt", "constant_product"}
            Shape of price impact; exponential is that of Cifuentes, Ferrucci and Shin (2005).

        Returns
        -------
        System

        Raises
        ------
        InputError
            All that is wrong with the input.

        Notes
        -----
        Cifuentes, Ferrucci and Shin (2005), Liquidity risk and contagion, Journal of the European Economic Association
        3, with sellers' average price as in Banerjee and Feinstein (2021): theirs get the last price for all.

        Examples
        --------
        A fall of 10 % leaves 10 of equity on 90 of assets, where a tenth is asked: above it, and nothing is sold. After
        12 %, 8 on 88 are too little.

        >>> import contagion as ct
        >>> system = System.from_portfolios(["A"], [[100.0]], [20.0], float("inf"), capital_ratio=0.1)
        >>> [ct.solve(system, ct.Scenario(shocks={"0": d})).accounts["liquidated"].round(6).item() for d in (0.1, 0.12)]
        [0.0, 0.090909]
        """
        from contagion import bridges

        return cls(**bridges.tables_of_portfolios(banks, holdings, equity, depth, capital_ratio, impact))


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

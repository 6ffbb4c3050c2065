"""Tables of a system out of the matrices of the classic models, so that the joint solver has the same answer.

See `contagion.System.from_liabilities` and `contagion.System.from_portfolios`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd

from contagion.clearing.arguments import flat
from contagion.clearing.network import Floats, Matrix, Table, Vector, read
from contagion.clearing.problems import choice
from contagion.errors import InputError

__all__ = ["CREDITORS", "EXCHANGE", "tables_of_liabilities", "tables_of_portfolios"]

CREDITORS, EXCHANGE = "creditors", "exchange"
"""Nodes of `tables_of_portfolios`: who lends to banks and makes them keep their ratio, and where assets are sold."""

_TIE = 1e-13
"""Share of its debts that a node may miss by rounding and is still solvent at the start."""

_IMPACTS = ("exponential", "linear", "sqrt", "constant_product")


def tables_of_liabilities(
    liabilities: Any, external_assets: Any, external_liabilities: Any, recovery_rate: Any
) -> dict[str, pd.DataFrame]:
    """Return nodes, claims and accounts of a network of debts; see `contagion.System.from_liabilities`."""
    vectors = {
        "external_assets": Vector(external_assets),
        "external_liabilities": Vector(external_liabilities, default=0.0),
        "recovery_rate": Vector(recovery_rate, highest=1.0),
    }
    table = read("System.from_liabilities", {"liabilities": Matrix(liabilities)}, vectors, also=_unnameable)
    debts, (assets, outside, rates) = table.matrices["liabilities"], table.vectors.values()
    names = table.labels["node"].astype("str")
    owed: Floats = np.asarray(debts.sum(axis=1), dtype=np.float64).reshape(-1) + outside
    equity = assets + np.asarray(debts.sum(axis=0), dtype=np.float64).reshape(-1) - owed
    short = np.flatnonzero(equity < -_TIE * owed)
    nodes = {
        "node": names,
        "buffer": np.maximum(equity, 0.0),
        "liabilities": owed,
        "recovery_rate": rates,
        "external_assets": assets,
        "external_liabilities": outside,
    }
    cells = debts.tocoo()
    claims = {"creditor": names.take(cells.col), "debtor": names.take(cells.row), "amount": cells.data}
    accounts: dict[str, Any] = {
        "account": [f"shortfall of {name}" for name in names.take(short)],
        "platform": names.take(short),
        "group": "shortfall",
        "cash": equity[short],
    }
    taken = set(accounts["account"]) & set(names)
    if taken:
        raise InputError(f"nodes may not be called {', '.join(map(repr, sorted(taken)))}; rename them")
    tables: dict[str, dict[str, Any]] = {"nodes": nodes, "claims": claims, "accounts": accounts}
    return {name: pd.DataFrame(columns) for name, columns in tables.items()}


def tables_of_portfolios(
    banks: Any, holdings: Any, equity: Any, depth: Any, capital_ratio: Any, impact: str
) -> dict[str, pd.DataFrame]:
    """Return nodes, markets, accounts and positions of banks; see `contagion.System.from_portfolios`."""
    problems = choice("impact", impact, _IMPACTS)
    matrices = {"holdings": _labelled(banks, holdings, problems)}
    vectors = {
        "equity": Vector(equity, "bank", lowest=-np.inf),
        "capital_ratio": Vector(capital_ratio, "bank", highest=1.0),
        "depth": Vector(depth, "asset", zero="give depths above zero", infinite=True),
    }
    table = read("System.from_portfolios", matrices, vectors, problems, _unnameable)
    held, own, ratio = table.matrices["holdings"], table.vectors["equity"], table.vectors["capital_ratio"]
    banks, assets = table.labels["bank"].astype("str"), table.labels["asset"].astype("str")
    cells = held.tocoo()
    value = np.asarray(held.sum(axis=1), dtype=np.float64).reshape(-1)
    tables: dict[str, dict[str, Any]] = {
        "nodes": {"node": [CREDITORS, EXCHANGE], "kind": ["institution", "exchange"]},
        "assets": {"asset": assets, "kind": "other"},
        "markets": {
            "market": [f"{EXCHANGE}:{name}" for name in assets],
            "venue": EXCHANGE,
            "asset": assets,
            "price": 1.0,
            "depth": table.vectors["depth"],
            "impact": impact,
        },
        "accounts": {"account": banks, "platform": CREDITORS, "group": "bank", "cash": own - value},
        "positions": {
            "account": banks.take(cells.row),
            "asset": assets.take(cells.col),
            "quantity": cells.data,
            "weight": 1.0 - ratio[cells.row],
        },
    }
    return {name: pd.DataFrame(columns) for name, columns in tables.items()}


def _labelled(banks: Any, holdings: Any, problems: list[str]) -> Matrix:
    """Return holdings with the banks' names, if they have none of their own, or in the order of these names."""
    if banks is None:
        return Matrix(holdings, "bank", "asset")
    if isinstance(banks, str) or not isinstance(banks, Collection):
        problems.append(f"banks is {banks!r}; give a list of names, or None")
        return Matrix(holdings, "bank", "asset")
    names = flat(list(banks))
    if not isinstance(holdings, pd.DataFrame):
        return Matrix(holdings, "bank", "asset", names=names)
    if names.is_unique and holdings.index.is_unique and set(names) == set(flat(holdings.index)):
        return Matrix(holdings.set_axis(flat(holdings.index), axis=0).reindex(names), "bank", "asset")
    problems.append("banks and the index of holdings are not the same names, each once; mend either")
    return Matrix(holdings, "bank", "asset")


def _unnameable(table: Table) -> list[str]:
    """Return labels that tables cannot hold: the same as text, or names of the nodes of `tables_of_portfolios`."""
    found = [problem for axis, labels in table.labels.items() for problem in _same_text(axis, labels)]
    taken = {CREDITORS, EXCHANGE} & set(table.labels["bank"].astype("str")) if "bank" in table.labels else None
    return found + ([f"banks may not be called {', '.join(map(repr, sorted(taken)))}; rename them"] if taken else [])


def _same_text(axis: str, labels: pd.Index[Any]) -> list[str]:
    texts = labels.astype("str")
    twice = texts[texts.duplicated()].unique()
    return [f"{axis} labels {', '.join(map(repr, twice[:5]))} are the same as text; rename them"] if len(twice) else []

"""Tables of a system out of the matrices of the classic models, so that the joint solver has the same answer.

See `contagion.System.from_liabilities` and `contagion.System.from_portfolios`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from contagion.clearing.network import Floats, Matrix, Vector, read
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
    table = read("System.from_liabilities", {"liabilities": Matrix(liabilities)}, vectors)
    debts, (assets, outside, rates) = table.matrices["liabilities"], table.vectors.values()
    names = _texts("node", table.labels["node"])
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
    matrices = {"holdings": Matrix(_labelled(banks, holdings), "bank", "asset")}
    vectors = {
        "equity": Vector(equity, "bank", lowest=-np.inf),
        "capital_ratio": Vector(capital_ratio, "bank", highest=1.0),
        "depth": Vector(_finite(depth), "asset"),
    }
    table = read("System.from_portfolios", matrices, vectors, choice("impact", impact, _IMPACTS))
    held, own, ratio = table.matrices["holdings"], table.vectors["equity"], table.vectors["capital_ratio"]
    banks, assets = _texts("bank", table.labels["bank"]), _texts("asset", table.labels["asset"])
    taken = {CREDITORS, EXCHANGE} & set(banks)
    if taken:
        raise InputError(f"banks may not be called {', '.join(map(repr, sorted(taken)))}; rename them")
    cells = held.tocoo()
    largest = np.finfo(np.float64).max
    depths = np.where(table.vectors["depth"] == largest, np.inf, table.vectors["depth"])
    value = np.asarray(held.sum(axis=1), dtype=np.float64).reshape(-1)
    tables: dict[str, dict[str, Any]] = {
        "nodes": {"node": [CREDITORS, EXCHANGE], "kind": ["institution", "exchange"]},
        "assets": {"asset": assets, "kind": "other"},
        "markets": {
            "market": [f"{EXCHANGE}:{name}" for name in assets],
            "venue": EXCHANGE,
            "asset": assets,
            "price": 1.0,
            "depth": depths,
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


def _labelled(banks: Any, holdings: Any) -> Any:
    """Return holdings with the banks' names, if they have none of their own."""
    if banks is None or isinstance(holdings, pd.DataFrame):
        return holdings if banks is None else holdings.reindex(list(banks)) if _same(banks, holdings) else holdings
    values = holdings.toarray() if hasattr(holdings, "toarray") else np.asarray(holdings)
    if values.ndim != 2 or values.shape[0] != len(banks):
        raise InputError(f"holdings have shape {values.shape} for {len(banks)} banks; give one row for each bank")
    return pd.DataFrame(values, index=list(banks))


def _same(banks: Any, holdings: pd.DataFrame) -> bool:
    if set(banks) == set(holdings.index) and len(banks) == len(holdings):
        return True
    raise InputError("banks and the index of holdings are not the same names; mend either", "System.from_portfolios")


def _finite(depth: Any) -> Any:
    """Return depths with the largest number there is for infinite ones, which only markets may have."""
    largest = np.finfo(np.float64).max
    if isinstance(depth, Mapping):
        depth = pd.Series(dict(depth))
    if isinstance(depth, pd.Series):
        return depth.replace(np.inf, largest)
    values = np.asarray(depth, dtype=object) if depth is None else np.asarray(depth)
    return np.where(values == np.inf, largest, values) if values.dtype.kind in "fiu" else depth


def _texts(axis: str, labels: pd.Index[Any]) -> pd.Index[Any]:
    """Return labels as text, as tables have them."""
    texts = labels.astype("str")
    twice = texts[texts.duplicated()].unique()
    if len(twice):
        raise InputError(f"{axis} labels {', '.join(map(repr, twice[:5]))} are the same as text; rename them")
    return texts

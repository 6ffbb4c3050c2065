"""The arrays of a system whose accounts stand elsewhere: what all parts of it have in common."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from contagion.arrays.accounts import accounts_of, claims_of, nodes_of
from contagion.arrays.encode import Labels, Names, floats, in_order, matrix
from contagion.arrays.markets import markets_of, quotes_of
from contagion.arrays.positions import valued
from contagion.arrays.shape import distinct
from contagion.kernels import Inputs
from contagion.kernels.inputs import Floats, Ints
from contagion.scenario import Scenario
from contagion.system import System

__all__ = ["levels_of_columns", "lower_shared", "united"]


def united(columns: Sequence[pd.DataFrame]) -> tuple[pd.DataFrame, list[Ints]]:
    """Return the term columns of several parts, each once and in canonical order, and the numbers of each part's.

    The order within a part stays what it was.
    """
    number, together = distinct(pd.concat(columns, ignore_index=True))
    return together, np.split(number, np.cumsum([len(each) for each in columns])[:-1])


def lower_shared(
    system: System, scenario: Scenario, columns: pd.DataFrame, quoting: Sequence[str], held_by_accounts: Floats
) -> tuple[Inputs, Labels]:
    """Return arrays without accounts, and their labels.

    Quotes number the accounts in ``quoting``, the names of those that quote in their canonical order;
    ``held_by_accounts`` (n,) are the claims of accounts on nodes.
    """
    nodes = in_order(system.nodes, "node")
    markets = in_order(system.markets, "market")
    assets = in_order(system.assets, "asset")
    nobody = pd.Index([], dtype="str")
    names = Names(pd.Index(nodes["node"]), pd.Index(assets["asset"]), pd.Index(markets["market"]), nobody)
    nothing = np.zeros(0, dtype=np.int64)
    quantity = matrix(np.zeros(0), nothing, nothing, (0, len(columns)))
    quotes, quote_rows = quotes_of(system.quotes, names._replace(accounts=pd.Index(pd.Series(quoting, dtype="str"))))
    alone, claims = system.with_table("funding", system.funding.iloc[:0]), claims_of(system, names)
    inputs = Inputs(
        positions=valued(quantity, columns, system, names),
        accounts=accounts_of(alone, nothing, nodes, np.zeros(0), claims.of_accounts, names),
        markets=markets_of(system, markets, scenario, names),
        quotes=quotes,
        nodes=nodes_of(claims, nodes, scenario, names, held_by_accounts),
    )
    return inputs, Labels(*names, columns, quote_rows, nothing)


def levels_of_columns(system: System, columns: pd.DataFrame) -> tuple[Floats, Floats]:
    """Return the margin rule (k,; 1 if levels multiply maintenance) and the levels of each column's platform.

    These are the liquidation and the call level (2, k).
    """
    nodes = in_order(system.nodes, "node").iloc[columns["platform"].to_numpy()]
    strict = np.where(nodes["margin_rule"] == "maintenance", 1.0, 0.0)
    level = nodes["liquidation_level"]
    return strict, np.array([floats(level), floats(nodes["call_level"].fillna(level))])

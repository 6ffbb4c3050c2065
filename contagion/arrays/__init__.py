"""From tables to arrays: the only crossing, and the only place where names become numbers.

Rows are put in a canonical order (by name, then by value; accounts by platform and number of holdings first), so that
sums run in the same order whatever the order of the input rows: results are equal bit for bit. The one order that
carries meaning, that of funding rows of one priority, is kept.
"""

from __future__ import annotations

import pandas as pd

from contagion.arrays.accounts import accounts_of, claims_of, nodes_of
from contagion.arrays.encode import Labels, Names, in_order, release
from contagion.arrays.markets import markets_of, quotes_of
from contagion.arrays.positions import positions_of
from contagion.arrays.shape import held
from contagion.kernels import Inputs
from contagion.scenario import Scenario
from contagion.system import System

__all__ = ["Labels", "lower"]


def lower(system: System, scenario: Scenario) -> tuple[Inputs, Labels]:
    """Return the arrays of a checked system under a scenario whose overrides are already applied, and their labels."""
    nodes = in_order(system.nodes, "node")
    markets = in_order(system.markets, "market")
    assets = in_order(system.assets, "asset")
    holdings = held(system, pd.Index(assets["asset"]))
    names = Names(
        nodes=pd.Index(nodes["node"]),
        assets=pd.Index(assets["asset"]),
        markets=pd.Index(markets["market"]),
        accounts=pd.Index(system.accounts["account"].take(holdings.rows)),
    )
    positions, columns = positions_of(system, holdings, names)
    quotes, quote_rows = quotes_of(system.quotes, names)
    claims = claims_of(system, names)
    inputs = Inputs(
        positions=positions,
        accounts=accounts_of(system, holdings.rows, nodes, holdings.entry, claims.of_accounts, names),
        markets=markets_of(system, markets, scenario, names),
        quotes=quotes,
        nodes=nodes_of(claims, nodes, scenario, names),
    )
    release()
    return inputs, Labels(*names, columns, quote_rows, holdings.rows)

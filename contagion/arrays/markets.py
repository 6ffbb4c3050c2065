"""Markets under a scenario: shocks, depth factors, pegs, issuers, arbitrage links and quotes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from contagion import channels
from contagion.arrays.encode import Names, choice, floats, matrix
from contagion.kernels import Markets, Quotes
from contagion.kernels.inputs import Bools, Floats, Ints
from contagion.lookup import code
from contagion.scenario import Scenario
from contagion.system import System

if TYPE_CHECKING:
    from scipy import sparse


def markets_of(system: System, markets: pd.DataFrame, scenario: Scenario, names: Names) -> Markets:
    """Return the markets as the scenario leaves them."""
    issuer = system.assets.set_index("asset")["issuer"].reindex(markets["asset"])
    pegged_to = code(markets["pegged_to"], names.markets)
    factor, raising = _factors(markets, scenario)
    laplacian, component, linked = _links(system.arbitrage, scenario.arbitrage, names)
    return Markets(
        price=floats(markets["price"]),
        shock=channels.log_drop(_shocks(markets, scenario)),
        kind=choice(markets["impact"], channels.IMPACTS),
        floor=floats(markets["floor"]),
        depth=floats(markets["depth"]),
        factor=factor,
        raising_factor=raising,
        pegged_to=pegged_to,
        peg_order=_peg_order(pegged_to),
        issuer=code(issuer, names.nodes),
        laplacian=laplacian,
        component=component,
        linked=linked,
    )


def _shocks(markets: pd.DataFrame, scenario: Scenario) -> Floats:
    """Return the relative drop (m,) imposed on each market; its own entry wins over its asset's."""
    shocks = pd.Series(dict(scenario.shocks), dtype=np.float64)
    own, by_asset = shocks.reindex(markets["market"]).to_numpy(), shocks.reindex(markets["asset"]).to_numpy()
    return np.nan_to_num(np.where(np.isnan(own), by_asset, own), nan=0.0)


def _factors(markets: pd.DataFrame, scenario: Scenario) -> tuple[Floats, Floats]:
    """Return the product (m,) of the depth factors that apply to each market, and that of those above one."""
    factor, raising = np.ones(len(markets)), np.ones(len(markets))
    for key, value in scenario.depth.items():
        applies = (markets["market"] == key) | (markets["venue"] == key) | (markets["asset"] == key)
        factor[applies.to_numpy()] *= value
        raising[applies.to_numpy()] *= max(value, 1.0)
    return factor, raising


def _peg_order(pegged_to: Ints) -> Ints:
    """Return the markets by the length of their chain of pegs."""
    steps, anchor = np.zeros(pegged_to.size, dtype=np.int64), pegged_to.copy()
    while (anchor >= 0).any():
        steps[anchor >= 0] += 1
        anchor = np.where(anchor >= 0, pegged_to[anchor], -1)
    return np.argsort(steps, kind="stable").astype(np.int64)


def _links(table: pd.DataFrame, factor: float, names: Names) -> tuple[sparse.csr_array, Ints, Bools]:
    """Return the Laplacian of the arbitrage links, the linked component of each market, and whether it has links."""
    from scipy import sparse
    from scipy.sparse import csgraph

    size = len(names.markets)
    a, b = code(table["market_a"], names.markets), code(table["market_b"], names.markets)
    depth = floats(table["depth"]) * factor
    open_ = depth > 0.0
    first, second, depth = np.minimum(a, b)[open_], np.maximum(a, b)[open_], depth[open_]
    upper = matrix(depth, first, second, (size, size))
    adjacency = (upper + upper.T).tocsr()
    laplacian = (sparse.diags_array(adjacency.sum(axis=1)) - adjacency).tocsr()
    component = csgraph.connected_components(adjacency, directed=False)[1].astype(np.int64)
    return laplacian, component, np.diff(adjacency.indptr) > 0


def quotes_of(table: pd.DataFrame, names: Names) -> tuple[Quotes, Ints]:
    """Return the quotes in canonical order, and the row that each had."""
    account, market = code(table["account"], names.accounts), code(table["market"], names.markets)
    depth, full_at, withdrawn_at = (floats(table[name]) for name in ("depth", "full_at", "withdrawn_at"))
    rows = np.lexsort((withdrawn_at, full_at, depth, account, market)).astype(np.int64)
    return Quotes(account[rows], market[rows], depth[rows], full_at[rows], withdrawn_at[rows]), rows

"""The rules for prices and liquidity: oracles, routes, pegs, arbitrage.

Chains of pegs must end, because a pegged price is its anchor's price. Issuers need no such order: a haircut of the
issuer is an unknown of the fixed point, so an issuer whose books hold its own token is a feedback, not an error.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contagion.system import System
from contagion.validate.table import Bools, Table

__all__ = ["check_arbitrage", "check_oracle_values", "check_oracle_weights", "check_pegs", "check_route_shares", "pegs"]

_TOLERANCE = 1e-9


def check_oracle_weights(system: System) -> list[str]:
    """Return platforms and assets whose oracle weights do not sum to one."""
    return _check_sums(Table.of(system, "oracles"), "weight")


def check_route_shares(system: System) -> list[str]:
    """Return platforms and assets whose route shares do not sum to one."""
    return _check_sums(Table.of(system, "routes"), "share")


def check_oracle_values(system: System) -> list[str]:
    """Return oracle rows with neither a market nor a fixed price."""
    table = Table.of(system, "oracles")
    bad = ~table.filled("market") & ~table.filled("value")
    return table.report(bad, "market", "is empty and so is value", "name a market, or give the fixed price in value")


def check_pegs(system: System) -> list[str]:
    """Return markets whose pegs lead round in a circle."""
    table = Table.of(system, "markets")
    return table.report(
        _circular(pegs(system)),
        "pegged_to",
        "leads back to the market itself",
        "a chain of pegs must end at a market with a price of its own: empty one of the cells",
    )


def check_arbitrage(system: System) -> list[str]:
    """Return links from a market to itself or to a market of another asset."""
    table = Table.of(system, "arbitrage")
    a, b = table.frame["market_a"], table.frame["market_b"]
    traded = system.markets.drop_duplicates("market").set_index("market")["asset"]
    asset_a, asset_b = traded.reindex(a).reset_index(drop=True), traded.reindex(b).reset_index(drop=True)
    itself = ((a == b) & (a != "")).to_numpy(dtype=np.bool_)
    other = (asset_a.notna() & asset_b.notna() & (asset_a != asset_b)).to_numpy(dtype=np.bool_)
    assets = asset_b.fillna("") + " against " + asset_a.fillna("")
    return [
        *table.report(itself, "market_b", "is market_a itself", "link two markets of one asset, or drop the row"),
        *table.report(
            other, "market_b", "trades another asset than market_a", "link two markets of one asset", values=assets
        ),
    ]


def pegs(system: System) -> NDArray[np.int64]:
    """Return for each market the row of the market that it is pegged to, -1 if there is none."""
    markets = system.markets
    rows = pd.Series(np.arange(len(markets)), index=markets["market"])
    rows = rows[~rows.index.duplicated() & (rows.index != "")]
    anchors: NDArray[np.int64] = rows.reindex(markets["pegged_to"]).fillna(-1).to_numpy(dtype=np.int64)
    return anchors


def _circular(anchors: NDArray[np.int64]) -> Bools:
    """Return the markets that stand on a circle: those still reached after more steps than there are markets."""
    end = anchors.size
    jump = np.append(np.where(anchors < 0, end, anchors), end)
    for _ in range(end.bit_length()):
        jump = jump[jump]
    bad = np.zeros(end + 1, dtype=np.bool_)
    bad[jump] = True
    return bad[:end]


def _check_sums(table: Table, column: str) -> list[str]:
    if not len(table.frame):
        return []
    (platform, _), (asset, names) = (pd.factorize(table.frame[key]) for key in ("platform", "asset"))
    pair, _ = pd.factorize(platform.astype(np.int64) * len(names) + asset)
    sums = np.bincount(pair, table.numbers(column))[pair]  # NaN in a cell makes the sum NaN, which check_missing names
    first = ~pd.Series(pair).duplicated().to_numpy(dtype=np.bool_)
    bad = first & (np.abs(sums - 1.0) > _TOLERANCE)
    cure = f"make the {column}s of one platform and asset sum to 1"
    return table.report(bad, f"sum of {column}", "is not 1", cure, values=pd.Series(sums))

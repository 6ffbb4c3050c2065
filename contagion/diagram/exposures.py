"""The exposure map: what every account, market and node of a system has at stake with the others."""

from __future__ import annotations

import numpy as np
import pandas as pd

from contagion import holdings, money
from contagion.arrays import Labels, lower
from contagion.diagram.picture import Picture, edges, entities, from_matrix, members, summed
from contagion.kernels import Inputs
from contagion.kernels.inputs import COLLATERAL, LONG, SHORT, Floats
from contagion.kernels.rounds import opening_lines
from contagion.scenario import Scenario
from contagion.system import System
from contagion.validate import validate

__all__ = ["exposures"]

_COLUMNS = ("markets", "accounts", "platforms", "institutions")


def exposures(system: System, most: int) -> Picture:
    """Return the boxes and edges of a system at opening prices; every arrow points from who fails to who is hurt."""
    scenario = Scenario()
    validate(system, scenario)
    inputs, labels = lower(system, scenario)
    grouped = members(system, inputs, labels, most)
    opening = opening_lines(inputs)
    boxes = entities(system, inputs, labels, grouped, opening)
    nodes, markets = len(labels.nodes), len(labels.markets)
    holds = np.isin(np.arange(nodes), inputs.accounts.platform)
    boxes["column"] = np.concatenate(
        [np.where(holds, 2, 3), np.zeros(markets, dtype=np.int64), np.ones(len(grouped.names), dtype=np.int64)]
    )
    boxes.loc[: nodes - 1, "note"] = _fixed_oracles(system, labels)
    boxes.loc[nodes + markets :, "base"] = grouped.total(np.maximum(opening.equity, 0.0))
    frames = [
        *_positions(inputs, grouped, opening.debt, nodes, nodes + markets),
        *_claims(inputs, grouped, opening.equity, nodes + markets),
        *_markets(inputs, grouped, nodes, nodes + markets),
        _oracles(system, inputs, labels, nodes),
    ]
    gross, equity = float(opening.gross.sum()), float(np.maximum(opening.equity, 0.0).sum())
    count = f"{len(labels.accounts):,} account{'' if len(labels.accounts) == 1 else 's'}"
    subtitle = f"{money.usd(gross)} gross assets in {count}, {money.usd(equity)} equity"
    return Picture(boxes, pd.concat(frames, ignore_index=True), "Exposures", subtitle, False, _COLUMNS)


def _positions(inputs: Inputs, grouped: holdings.Groups, debt: Floats, market: int, group: int) -> list[pd.DataFrame]:
    """Return collateral and perps (market to accounts) and debts (accounts to platform)."""
    price = inputs.markets.price
    frames = []
    for channel, sides in (("collateral", (COLLATERAL,)), ("perp", (LONG, SHORT))):
        value = grouped.rows(holdings.opening_value(inputs.positions, price, sides))
        frames.append(from_matrix(channel, value, group, market, transposed=True))
    owing = group + np.arange(len(grouped.names))
    return [*frames, edges("debt", owing, grouped.platform, grouped.total(debt))]


def _claims(inputs: Inputs, grouped: holdings.Groups, equity: Floats, group: int) -> list[pd.DataFrame]:
    """Return claims (debtor to creditor), owned accounts (account to owner) and funding (called to source)."""
    given, member = inputs.accounts, grouped.member
    owned = np.flatnonzero(given.owner >= 0)
    pairs = np.unique(np.stack([member[given.funded], given.source]), axis=1)
    worth = np.maximum(0.0, equity)
    return [
        from_matrix("claim", inputs.nodes.claims, 0, 0, transposed=True),
        from_matrix("claim", grouped.rows(given.claims), group, 0, transposed=True),
        summed(edges("owned", group + member[owned], given.owner[owned], worth[owned])),
        summed(edges("funding", group + pairs[0], group + member[pairs[1]], worth[pairs[1]])),
    ]


def _markets(inputs: Inputs, grouped: holdings.Groups, market: int, group: int) -> list[pd.DataFrame]:
    """Return quotes (accounts to market), arbitrage between markets, pegs and issuers of what is held."""
    quotes, markets = inputs.quotes, inputs.markets
    first, second, depth = holdings.entries(-markets.laplacian)
    once = first < second
    held = holdings.sums(holdings.opening_value(inputs.positions, markets.price, holdings.ASSETS), 0)
    pegged, issued = np.flatnonzero(markets.pegged_to >= 0), np.flatnonzero(markets.issuer >= 0)
    return [
        summed(edges("quote", group + grouped.member[quotes.account], market + quotes.market, quotes.depth)),
        edges("arbitrage", market + first[once], market + second[once], depth[once]),
        edges("peg", market + markets.pegged_to[pegged], market + pegged, held[pegged]),
        edges("peg", markets.issuer[issued], market + issued, held[issued]),
    ]


def _oracles(system: System, inputs: Inputs, labels: Labels, market: int) -> pd.DataFrame:
    """Return which platforms read the price of another venue's market: the value of the positions that it prices."""
    positions = inputs.positions
    units = holdings.sums(positions.quantity, 0)
    read = holdings.scaled(positions.oracle[positions.pair], units, inputs.markets.price)
    column, source, usd = holdings.entries(read)
    platform = labels.columns["platform"].to_numpy()[column]
    venue = labels.nodes.get_indexer(pd.Index(system.markets.set_index("market")["venue"].reindex(labels.markets)))
    elsewhere = np.where(venue[source] == platform, 0.0, usd)
    return summed(edges("oracle", market + source, platform, elsewhere))


def _fixed_oracles(system: System, labels: Labels) -> list[str]:
    """Return for each node the assets that it prices at a fixed value."""
    fixed = system.oracles[system.oracles["market"] == ""].sort_values(["platform", "asset"])
    named = fixed.groupby("platform")["asset"].agg(list)
    return [f"fixed price: {', '.join(named[node][:3])}" if node in named.index else "" for node in labels.nodes]

"""Markets, their prices, oracles and links."""

from __future__ import annotations

import numpy as np
import pandas as pd

from contagion.review.found import of_rows
from contagion.system import System
from contagion.validate import pegs


def warn_markets(system: System) -> pd.DataFrame:
    """Return markets without depth, quotes or links: any net sale takes them to their floor."""
    markets, quotes, links = system.markets, system.quotes, system.arbitrage
    linked = links["depth"] > 0.0
    used = [
        quotes.loc[quotes["depth"] > 0.0, "market"],
        links.loc[linked, "market_a"],
        links.loc[linked, "market_b"],
    ]
    codes = pd.factorize(pd.concat([markets["market"], *used], ignore_index=True))[0]
    has = np.zeros(codes.max(initial=-1) + 1, dtype=np.bool_)
    has[codes[len(markets) :]] = True
    bare = (markets["depth"] == 0.0) & ~has[codes[: len(markets)]]
    return of_rows(system, "markets", bare, "no_depth", "no depth: any net sale takes it to its floor")


def warn_links(system: System) -> pd.DataFrame:
    """Return links between markets whose prices differ by more than a factor 2; ``value`` is that factor."""
    markets = pd.Index(system.markets["market"])
    price = system.markets["price"].to_numpy(dtype=np.float64)
    a, b = (price[markets.get_indexer(pd.Index(system.arbitrage[end]))] for end in ("market_a", "market_b"))
    factor = np.maximum(a / b, b / a)
    text = "links two markets whose prices differ by more than a factor 2: check the prices and the units"
    return of_rows(system, "arbitrage", pd.Series(factor > 2.0), "linked_prices_differ", text, factor)


def warn_assets(system: System) -> pd.DataFrame:
    """Return assets that are held but trade nowhere; ``value`` is the number of positions."""
    held = system.positions["asset"].value_counts()
    assets = system.assets
    bare = assets["asset"].isin(held.index) & ~assets["asset"].isin(system.markets["asset"])
    count = assets["asset"].map(held).to_numpy().astype(np.float64)
    text = "held but without a market: it is worth nothing when marked or sold"
    return of_rows(system, "assets", bare, "no_market", text, count)


def warn_pegs(system: System) -> pd.DataFrame:
    """Return pegged markets whose issuer's haircut cuts the anchor's price too: it counts twice."""
    issuer = system.markets["asset"].map(system.assets.set_index("asset")["issuer"]).to_numpy(dtype=object)
    own = np.append(issuer, "")
    anchors = pegs(system)
    twice = np.zeros(anchors.size, dtype=np.bool_)
    anchor = anchors
    while (anchor >= 0).any():
        twice |= (own[anchor] == issuer) & (issuer != "")
        anchor = np.where(anchor >= 0, np.append(anchors, -1)[anchor], -1)
    text = "pegged to a market of the same issuer: a haircut of the issuer counts twice"
    return of_rows(system, "markets", pd.Series(twice), "issuer_counts_twice", text)


def warn_oracles(system: System) -> pd.DataFrame:
    """Return oracle rows with a market and a fixed price; ``value`` is the price that is not used."""
    oracles = system.oracles
    both = (oracles["market"] != "") & oracles["value"].notna()
    text = "reads a market: the fixed price in value is not used"
    return of_rows(system, "oracles", both, "value_unused", text, oracles["value"].to_numpy())

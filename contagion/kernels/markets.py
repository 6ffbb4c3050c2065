"""Markets: depth that is left, arbitrage between venues, price impact."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from contagion import channels
from contagion.kernels.inputs import Floats, Markets, Quotes, sum_by


class Clearing(NamedTuple):
    """Outcome of all markets, each (m,)."""

    sold: Floats  # Q, USD at opening prices, net of buying back
    depth: Floats  # D, USD
    pressure: Floats  # x, sale over depth after arbitrage
    reference: Floats  # ρ, log drop before sales
    impact: Floats  # G, log drop by sales
    discount: Floats  # sellers' average price over the reference price
    log_drop: Floats  # δ = ρ + G

    def average(self, markets: Markets) -> Floats:
        """Return v, the volume-weighted average price of sellers and buyers."""
        return markets.price * np.exp(-self.reference) * self.discount


def depth_left(markets: Markets, quotes: Quotes, withdrawn: Floats) -> Floats:
    """Return D = factor·(own depth + quotes that stay); infinite depth stays infinite under any factor."""
    quoted = sum_by(quotes.market, quotes.depth * (1.0 - withdrawn), markets.price.size)
    infinite = np.isinf(markets.depth)
    finite = np.where(infinite, 0.0, markets.depth)
    return np.where(infinite, np.inf, markets.factor * (finite + quoted))


def pressure(markets: Markets, depth: Floats, sold: Floats) -> Floats:
    """Return x, the sale that each market bears in units of its depth.

    Arbitrage couples the markets of one asset like resistors: x = (diag(D) + L)^-1 Q. A market of infinite depth has
    x = 0 and holds its neighbours; a linked component without any depth has x = ∞ if it sells on balance, else 0.
    """
    count = depth.size
    total_depth = sum_by(markets.component, depth, count)[markets.component]
    total_sold = sum_by(markets.component, sold, count)[markets.component]
    void = total_depth == 0.0
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        x = np.where(np.isinf(depth), 0.0, sold / depth)
    x[void] = np.where(total_sold[void] > 0.0, np.inf, 0.0)
    coupled = np.flatnonzero(markets.linked & ~void & np.isfinite(depth))
    if coupled.size:
        from scipy import sparse  # loaded where it is used: it would double the import time of the package
        from scipy.sparse import linalg

        matrix = markets.laplacian[coupled][:, coupled] + sparse.diags_array(depth[coupled])
        x[coupled] = linalg.spsolve(matrix.tocsc(), sold[coupled])
    return x


def clear(
    markets: Markets,
    quotes: Quotes,
    sold: Floats,
    withdrawn: Floats,
    haircut: Floats,
    old_log_drop: Floats | None,
) -> Clearing:
    """Return the prices that sales, withdrawn quotes and haircuts of issuers make.

    Pegs follow ``old_log_drop`` (m,), or this round's own drops, resolved along the chain, if it is None.
    """
    depth = depth_left(markets, quotes, withdrawn)
    x = pressure(markets, depth, sold)
    drop = channels.impact(markets.kind, x, -np.log(markets.floor))
    reference = markets.shock + np.where(markets.issuer >= 0, channels.log_drop(haircut)[markets.issuer], 0.0)
    pegged = markets.pegged_to >= 0
    if old_log_drop is not None:
        reference[pegged] += old_log_drop[markets.pegged_to[pegged]]
    else:
        for market in markets.peg_order[pegged[markets.peg_order]]:  # a chain has no shorter way
            anchor = markets.pegged_to[market]
            reference[market] += reference[anchor] + drop[anchor]
    discount = channels.sellers_discount(markets.kind, x, markets.floor)
    return Clearing(sold, depth, x, reference, drop, discount, reference + drop)

"""Who moved which price, and what that took from the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from contagion import holdings
from contagion.frames import Parts
from contagion.holdings import gathered, positive, scaled, sums
from contagion.kernels.inputs import Floats, Ints, Markets, ratio, sum_by

if TYPE_CHECKING:
    from scipy import sparse

__all__ = ["Blame", "Harm", "blame", "harm"]

_BLOCK = 1024


class Harm(NamedTuple):
    """What price moves by sales do to those on the losing side: longs where the price falls, shorts where it rises."""

    side: Floats  # (m,) 1 where sales lower the price, -1 where buying raises it
    by_sales: Floats  # (m,) share of the price, positive
    by_depth: Floats  # (m,) share of the price, positive
    exposed: Floats  # (m,) USD at opening prices held on the losing side
    exposed_groups: sparse.csr_array  # (g, m)


class Blame(NamedTuple):
    """What groups (g,) and the accounts on nodes (n,) did to prices."""

    damage: Floats  # (g,) USD lost by other groups
    drop: Floats  # (g,) deepest fall of one market, share of the price
    market: Ints  # (g,) that market
    node_drop: Floats  # (n,)
    node_market: Ints  # (n,)


@np.errstate(over="ignore", invalid="ignore")  # states that have not converged may hold anything
def harm(parts: Parts, grouped: holdings.Groups, markets: pd.DataFrame) -> Harm:
    """Return how far sales and lost depth moved each price, and who stood on the losing side."""
    listed = markets.reindex(parts.labels.markets)
    side = np.where(parts.outcome.clearing.impact < 0.0, -1.0, 1.0)
    value = scaled(holdings.net_units(parts.inputs.positions), columns=side * parts.inputs.markets.price)
    exposed = grouped.rows(positive(value))
    by_sales, by_depth = (np.abs(listed[name].to_numpy(dtype=np.float64)) for name in ("drop_sales", "drop_depth"))
    return Harm(side, by_sales, by_depth, sums(exposed, 0), exposed)


@np.errstate(over="ignore", invalid="ignore")  # states that have not converged may hold anything
def blame(parts: Parts, grouped: holdings.Groups, harmed: Harm) -> Blame:
    """Return the price damage of every group: its shares of pressure and lost depth, times what these did."""
    count, nodes = len(grouped.names), len(parts.labels.nodes)
    damage, drop, market = np.zeros(count), np.zeros(count), np.zeros(count, dtype=np.int64)
    by_node = np.zeros((nodes, harmed.side.size))
    if harmed.side.size:
        for rows, share in _price_shares(parts, grouped, harmed):
            others = harmed.exposed - harmed.exposed_groups[rows].toarray()
            damage[rows] = (share * np.maximum(others, 0.0)).sum(axis=1)
            falls = share * (harmed.side > 0.0)
            market[rows] = falls.argmax(axis=1)
            drop[rows] = falls.max(axis=1)
            np.add.at(by_node, grouped.platform[rows], falls)
    node_market = by_node.argmax(axis=1) if by_node.size else np.zeros(nodes, dtype=np.int64)
    return Blame(damage, drop, market, by_node.max(axis=1, initial=0.0), node_market)


def _price_shares(parts: Parts, grouped: holdings.Groups, harmed: Harm) -> Iterator[tuple[slice, Floats]]:
    """Yield blocks of groups and the part of each market's price (b, m) that each of them moved, without sign."""
    spread = _spread(parts.inputs.markets, parts.outcome.clearing.depth)
    sides = [side for side in (1.0, -1.0) if (harmed.side == side).any()]
    flow = _flow(parts)
    flows = [grouped.rows(positive(side * flow)) for side in sides]
    totals = [spread(sums(flow, 0)[None, :]) for flow in flows]
    left, lost = _depth_gone(parts, grouped)
    for first in range(0, len(grouped.names), _BLOCK):
        rows = slice(first, first + _BLOCK)
        share = ratio(left[rows].toarray(), lost, empty=0.0) * harmed.by_depth
        for side, flow, total in zip(sides, flows, totals, strict=True):
            share += ratio(spread(flow[rows].toarray()), total, empty=0.0) * harmed.by_sales * (harmed.side == side)
        yield rows, share


def _flow(parts: Parts) -> sparse.csr_array:
    """Return the USD (a, m) at opening prices that each account sold net in each market."""
    units = holdings.net_units(parts.inputs.positions)
    return scaled(units, parts.run.state.liquidated, parts.inputs.markets.price)


def _depth_gone(parts: Parts, grouped: holdings.Groups) -> tuple[sparse.csr_array, Floats]:
    """Return the depth that each group withdrew (g, m), and all that is gone (m,), by the scenario too."""
    markets, quotes = parts.inputs.markets, parts.inputs.quotes
    size = (len(grouped.names), markets.price.size)
    gone = quotes.depth * parts.run.state.withdrawn * markets.factor[quotes.market]
    left = gathered(gone, grouped.member[quotes.account], quotes.market, size)
    full = sum_by(quotes.market, quotes.depth, size[1]) + markets.depth
    infinite = np.isinf(full)
    full[infinite] = 0.0
    lost = markets.raising_factor * full - np.where(infinite, 0.0, parts.outcome.clearing.depth)
    return left, lost


def _spread(markets: Markets, depth: Floats) -> Callable[[Floats], Floats]:
    """Return the function from sales (b, m) to the pressure (b, m) they make, x = (diag(D) + L)^-1 Q.

    Where a linked component has no depth, pressure is infinite and the sum of its sales stands for it: only ratios
    between sellers are used.
    """
    from scipy import sparse  # loaded where it is used: it would double the import time of the package
    from scipy.sparse import linalg

    component = markets.component
    total = sum_by(component, depth, depth.size)[component]
    void = np.flatnonzero(total == 0.0)
    inside = gathered(np.ones(void.size), void, component[void], (depth.size, depth.size))
    coupled = np.flatnonzero(markets.linked & (total > 0.0) & np.isfinite(depth))
    matrix = markets.laplacian[coupled][:, coupled] + sparse.diags_array(depth[coupled])
    factor = linalg.splu(matrix.tocsc()) if coupled.size else None

    def pressure(sold: Floats) -> Floats:
        x = ratio(sold, depth, empty=0.0)
        if void.size:
            x[:, void] = np.asarray(sold @ inside)[:, component[void]]
        if factor is not None:
            x[:, coupled] = factor.solve(np.ascontiguousarray(sold[:, coupled].T)).T
        return x

    return pressure

"""The arrows of a cascade: which money moved, which losses were passed on, through which channel."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from contagion import holdings
from contagion.diagram.picture import edges, from_matrix, summed
from contagion.frames import Parts
from contagion.kernels.accounts import LIQUIDATION
from contagion.kernels.inputs import LONG, SHORT, Floats, ratio, sign_of

if TYPE_CHECKING:
    from scipy import sparse

__all__ = ["flows"]

_BEYOND = 1e200
"""Stands for infinity while amounts are split, since ∞ × 0 is no number: a short squeeze may raise a price beyond all
numbers, and whoever holds none of it loses nothing.
"""


def flows(parts: Parts, grouped: holdings.Groups, markets: pd.DataFrame) -> pd.DataFrame:
    """Return the edges of a solved scenario between nodes, markets and groups, numbered in this order."""
    market = len(parts.labels.nodes)
    group = market + len(parts.labels.markets)
    listed = markets.reindex(parts.labels.markets)
    frames = [
        *_falls(parts, grouped, listed, market, group),
        *_sales(parts, grouped, market, group),
        *_credit(parts, grouped, group),
        *_links(parts, listed, market),
    ]
    found = pd.concat(frames, ignore_index=True)
    return found.assign(usd=found["usd"].mask(found["usd"] > math.sqrt(_BEYOND), math.inf))


def _bounded(drop: pd.Series[float]) -> Floats:
    """Return relative falls of prices as numbers that can be multiplied by zero."""
    return np.clip(drop.to_numpy(dtype=np.float64), -_BEYOND, _BEYOND)


def _falls(
    parts: Parts, grouped: holdings.Groups, markets: pd.DataFrame, market: int, group: int
) -> list[pd.DataFrame]:
    """Return what the fall of each price took from accounts on the losing side, at opening holdings.

    In three channels: collateral, perps, and what a fixed oracle price hides from the platform. Positions of an account
    in one market are netted, so that a hedged book loses little; the net loss is shared by what each kind lost alone.
    """
    positions = parts.inputs.positions
    loss = parts.inputs.markets.price * _bounded(markets["drop"])
    perp = np.isin(positions.side, (LONG, SHORT))
    hidden = ~perp & (positions.oracle_fixed[positions.pair] > 0.0)
    net = _losing(parts, np.ones(perp.size), loss, grouped)
    kinds = {"collateral": ~perp & ~hidden, "perp": perp, "unseen": hidden}
    parts_of = {name: _losing(parts, chosen.astype(np.float64), loss, grouped) for name, chosen in kinds.items()}
    total = parts_of["collateral"] + parts_of["perp"] + parts_of["unseen"]
    scale = net.multiply(_inverse(total)).tocsr()
    return [from_matrix(name, part.multiply(scale), group, market, transposed=True) for name, part in parts_of.items()]


def _losing(parts: Parts, chosen: Floats, loss: Floats, grouped: holdings.Groups) -> sparse.csr_array:
    """Return by group and market (g, m) what accounts lost on their net holdings in the chosen term columns."""
    positions = parts.inputs.positions
    return grouped.rows(holdings.positive(holdings.by_market(positions, sign_of(positions.side) * chosen, loss)))


def _inverse(matrix: sparse.csr_array) -> sparse.csr_array:
    matrix = matrix.copy()
    matrix.data = ratio(1.0, matrix.data, empty=0.0)
    return matrix


def _sales(parts: Parts, grouped: holdings.Groups, market: int, group: int) -> list[pd.DataFrame]:
    """Return forced and voluntary sales by accounts in markets, and the quotes that they withdrew there."""
    inputs, state, quotes = parts.inputs, parts.run.state, parts.inputs.quotes
    forced = parts.run.cause == LIQUIDATION
    flow = holdings.scaled(holdings.net_units(inputs.positions), columns=inputs.markets.price)
    frames = []
    for channel, chosen in (("liquidation", forced), ("sale", ~forced)):
        sold = holdings.positive(holdings.scaled(flow, state.liquidated * chosen))
        frames.append(from_matrix(channel, grouped.rows(sold), group, market))
    gone = quotes.depth * state.withdrawn * inputs.markets.factor[quotes.market]
    size = (len(grouped.names), len(parts.labels.markets))
    left = holdings.gathered(gone, grouped.member[quotes.account], quotes.market, size)
    return [*frames, from_matrix("quote", left, group, market)]


def _credit(parts: Parts, grouped: holdings.Groups, group: int) -> list[pd.DataFrame]:
    """Return bad debt, losses of owners, haircuts on claims and the cash that answered margin calls."""
    given, lost, haircut = parts.inputs.accounts, parts.outcome.losses, parts.run.state.haircut
    owned, member = np.flatnonzero(given.owner >= 0), grouped.member
    groups = group + np.arange(len(grouped.names))
    drawn = np.flatnonzero(parts.outcome.decision.taken)
    called, source = given.funded[drawn], given.source[drawn]
    return [
        edges("deficit", groups, grouped.platform, grouped.total(lost.deficit)),
        summed(edges("owned", group + member[owned], given.owner[owned], lost.lost[owned])),
        from_matrix("claim", holdings.scaled(parts.inputs.nodes.claims, columns=haircut), 0, 0, transposed=True),
        from_matrix("claim", grouped.rows(holdings.scaled(given.claims, columns=haircut)), group, 0, transposed=True),
        summed(edges("funding", group + member[called], group + member[source], parts.outcome.decision.taken[drawn])),
    ]


def _links(parts: Parts, markets: pd.DataFrame, market: int) -> list[pd.DataFrame]:
    """Return sales that arbitrage carried to other markets, and what pegs and issuers took from holders."""
    given = parts.inputs.markets
    pressure = parts.outcome.clearing.pressure
    first, second, depth = holdings.entries(-given.laplacian)
    apart = (first != second) & np.isfinite(pressure[first]) & np.isfinite(pressure[second])
    a, b = first[apart], second[apart]
    carried = np.maximum(0.0, depth[apart] * (pressure[a] - pressure[b]))
    held = holdings.sums(holdings.opening_value(parts.inputs.positions, given.price, holdings.ASSETS), 0)
    pegged, issued = np.flatnonzero(given.pegged_to >= 0), np.flatnonzero(given.issuer >= 0)
    by_peg, by_issuer = (held * _bounded(markets[name]) for name in ("drop_peg", "drop_issuer"))
    return [
        edges("arbitrage", market + a, market + b, carried),
        edges("peg", market + given.pegged_to[pegged], market + pegged, by_peg[pegged]),
        edges("peg", given.issuer[issued], market + issued, by_issuer[issued]),
    ]

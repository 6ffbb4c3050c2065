"""Markets: depth that is left, arbitrage between venues, price impact."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from contagion import channels
from contagion.kernels.inputs import Floats, Ints, Markets, Quotes, sum_by

if TYPE_CHECKING:
    from scipy import sparse


_DENSE = 100
"""Equations (one for each linked market and floating component) up to which a dense system is solved before a sparse
one is set up. OpenBLAS takes one thread for those of this size, so that the number of threads changes no bit."""


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
        return prices(markets.price, self.reference) * self.discount


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
        common = total_sold[coupled] / total_depth[coupled]
        x[coupled] = common + _apart(markets, coupled, depth[coupled], sold[coupled] - depth[coupled] * common)
    return x


def spread(markets: Markets, depth: Floats) -> sparse.csr_array:
    """Return B (m, m), by which x = B·Q: the pressure that a dollar sold in each market (columns) makes in each (rows).

    Rows of infinite depth are empty, and so are those of linked components without any depth, where x is infinite.
    """
    from scipy import sparse  # loaded where it is used: it would double the import time of the package

    count = depth.size
    total_depth = sum_by(markets.component, depth, count)[markets.component]
    finite = np.isfinite(depth) & (total_depth > 0.0)
    alone, coupled = np.flatnonzero(finite & ~markets.linked), np.flatnonzero(finite & markets.linked)
    rows, columns, values = [alone], [alone], [1.0 / depth[alone]]
    if coupled.size:
        together = markets.component[coupled][:, None] == markets.component[coupled]
        common = np.where(together, 1.0 / total_depth[coupled], 0.0)
        made = common + _apart(
            markets, coupled, depth[coupled], np.eye(coupled.size) - depth[coupled][:, None] * common
        )
        row, column = np.nonzero(together)
        rows, columns, values = [alone, coupled[row]], [alone, coupled[column]], [values[0], made[row, column]]
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    found: sparse.csr_array = sparse.coo_array(entries, shape=(count, count)).tocsr()
    return found


def _apart(markets: Markets, coupled: Ints, depth: Floats, excess: Floats) -> Floats:
    """Return what sets linked markets apart from the pressure that they have in common.

    Links that are far deeper than the markets make diag(D) + L singular to the last digit, in one direction: all
    markets of a component together. What they have in common, ΣQ/ΣD, is known, so it is taken out of the right-hand
    side, and a border row keeps it out of the solution, Σ D·z = 0. Components that a market of infinite depth holds
    need no border.
    """
    held = sum_by(markets.component, np.isinf(markets.depth).astype(np.float64), markets.price.size) > 0.0
    floating = ~held[markets.component[coupled]]
    _, border = np.unique(markets.component[coupled][floating], return_inverse=True)
    rows, size, extra = np.flatnonzero(floating), coupled.size, int(border.max(initial=-1)) + 1
    weight = depth[floating] / sum_by(border, depth[floating], extra)[border]
    row, column, link = _links(markets, coupled)
    cells = (
        np.concatenate([link, depth, np.ones(rows.size), weight]),
        np.concatenate([row, np.arange(size), rows, size + border]),
        np.concatenate([column, np.arange(size), size + border, rows]),
    )
    return _solved(*cells, np.concatenate([excess, np.zeros((extra, *excess.shape[1:]))]))[:size]


def _solved(value: Floats, row: Ints, column: Ints, known: Floats) -> Floats:
    """Return the solution of a square system of equations, NaN if there is none; cells that are given twice add up."""
    size = known.shape[0]
    if size <= _DENSE:
        matrix = np.bincount(row * size + column, value, minlength=size * size).reshape(size, size)
        try:
            dense: Floats = np.linalg.solve(matrix, known).astype(np.float64, copy=False)
        except np.linalg.LinAlgError:  # links so deep that markets behind them have no depth left to the last digit
            dense = np.full_like(known, np.nan)
        return dense
    from scipy import sparse  # loaded where it is used: it would double the import time of the package
    from scipy.sparse import linalg

    some = value != 0.0
    slim: sparse.csc_array = sparse.csc_array((value[some], (row[some], column[some])), shape=(size, size))
    found: Floats = linalg.spsolve(slim, known, permc_spec="MMD_AT_PLUS_A")  # symmetric but for the border: less fill
    return found


def _links(markets: Markets, coupled: Ints) -> tuple[Ints, Ints, Floats]:
    """Return rows, columns and values of the Laplacian between some markets, numbered in their order.

    Straight from its arrays: this runs every round, and slicing a sparse matrix costs more than solving with it.
    """
    matrix, count = markets.laplacian, markets.price.size
    place = np.full(count, -1, dtype=np.int64)
    place[coupled] = np.arange(coupled.size)
    row, column = place[np.repeat(np.arange(count), np.diff(matrix.indptr))], place[matrix.indices]
    inside = (row >= 0) & (column >= 0) & (matrix.data != 0.0)
    return row[inside], column[inside], matrix.data[inside]


def prices(opening: Floats, log_drop: Floats) -> Floats:
    """Return opening prices less their log drops; infinite where buying has driven one beyond all numbers."""
    with np.errstate(over="ignore"):
        return opening * np.exp(-log_drop)


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
    if not markets.price.size:
        return Clearing(*[np.zeros(0)] * 7)
    depth = depth_left(markets, quotes, withdrawn)
    x = pressure(markets, depth, sold)
    drop = channels.impact(markets.kind, x, -np.log(markets.floor))
    issued = np.flatnonzero(markets.issuer >= 0)
    reference = markets.shock.copy()
    reference[issued] += channels.log_drop(haircut[markets.issuer[issued]])
    pegged = markets.pegged_to >= 0
    if old_log_drop is not None:
        reference[pegged] += old_log_drop[markets.pegged_to[pegged]]
    else:
        for market in markets.peg_order[pegged[markets.peg_order]]:  # a chain has no shorter way
            anchor = markets.pegged_to[market]
            reference[market] += reference[anchor] + drop[anchor]
    discount = channels.sellers_discount(markets.kind, x, markets.floor)
    return Clearing(sold, depth, x, reference, drop, discount, reference + drop)

"""Rows of prices: own shock, peg, issuer, sales, quotes that left, and depth that the scenario took."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from contagion import channels, holdings
from contagion.attribution.graph import Block, Source
from contagion.attribution.state import Terminal
from contagion.kernels.inputs import Floats, ratio, sum_by
from contagion.kernels.markets import spread

if TYPE_CHECKING:
    from scipy import sparse

__all__ = ["gross_flow", "price_rows", "sales"]


def sales(t: Terminal) -> sparse.csr_array:
    """Return the USD (m, a) at opening prices that each account sold net in each market, λ_a·F_ak."""
    sold = np.flatnonzero(t.lam)
    units = holdings.net_units(t.parts.inputs.positions, sold)
    usd = holdings.scaled(units, t.lam[sold], t.parts.inputs.markets.price)
    found: sparse.csr_array = holdings.placed(usd, sold, t.lam.size).T.tocsr()
    return found


def gross_flow(sold: sparse.csr_array) -> Floats:
    """Return what accounts sold and bought in each market (m,), without netting."""
    return holdings.sums(abs(sold), 1)


def price_rows(t: Terminal, sold: sparse.csr_array) -> tuple[list[Block], list[Source]]:
    """Return the rows of terminal prices and of sellers' prices, which differ in how far sales pushed them."""
    blocks, sources = [], []
    gross, pushing = gross_flow(sold), _pushing(t, sold)
    for effect, push in (("price", t.impact), ("sale", t.paid)):
        blocks += [*_references(t, effect), *_pushes(t, effect, push, pushing, gross)]
        sources += [*_shocks(t, effect), *_thinned(t, effect, push)]
    return blocks, sources


def _references(t: Terminal, effect: str) -> Iterator[Block]:
    """Yield what moved reference prices: pegs and haircuts of issuers."""
    given = t.parts.inputs.markets
    pegged, issued = np.flatnonzero(given.pegged_to >= 0), np.flatnonzero(given.issuer >= 0)
    anchor, issuer = given.pegged_to[pegged], given.issuer[issued]
    size, nodes = given.price.size, t.theta.size
    yield Block(effect, "price", "peg", holdings.gathered(t.drop[anchor], pegged, anchor, (size, size)))
    lost = channels.log_drop(t.theta)[issuer]
    yield Block(effect, "theta", "issuer", holdings.gathered(lost, issued, issuer, (size, nodes)))


def _pushes(t: Terminal, effect: str, push: Floats, pushing: sparse.csr_array, gross: Floats) -> Iterator[Block]:
    """Yield what pushed prices below the reference: sales here, sales that arbitrage carried here, quotes that left."""
    left = _depth_left(t)
    made = holdings.scaled(pushing, push * (1.0 + left) / 2.0, gross)
    market, sold_in, amount = holdings.entries(made)
    for kind, of_kind in (("impact", market == sold_in), ("arbitrage", market != sold_in)):
        entries = (amount[of_kind], market[of_kind], sold_in[of_kind])
        yield Block(effect, "flow", kind, holdings.gathered(*entries, made.shape))
    quotes, before = t.parts.inputs.quotes, _depth_before(t)
    usable = np.isfinite(before) & (before > 0.0)
    weight = np.where(usable, push * t.parts.inputs.markets.factor / (2.0 * np.where(usable, before, 1.0)), 0.0)
    gone = weight[quotes.market] * quotes.depth * t.eta
    rows = np.arange(gone.size)
    yield Block(effect, "eta", "depth", holdings.gathered(gone, quotes.market, rows, (push.size, gone.size)))


def _depth_before(t: Terminal) -> Floats:
    """Return the depth (m,) with all quotes, and without the factors of the scenario that thin it."""
    given, quotes = t.parts.inputs.markets, t.parts.inputs.quotes
    quoted = sum_by(quotes.market, quotes.depth, given.price.size)
    return np.where(np.isinf(given.depth), np.inf, given.raising_factor * (given.depth + quoted))


def _depth_left(t: Terminal) -> Floats:
    """Return R (m,), the depth left over the depth before; 1 where there was none, or it is infinite."""
    before = _depth_before(t)
    usable = np.isfinite(before) & (before > 0.0)
    return np.where(usable, t.parts.outcome.clearing.depth / np.where(usable, before, 1.0), 1.0)


def _pushing(t: Terminal, sold: sparse.csr_array) -> sparse.csr_array:
    """Return by how much a dollar sold in each market (columns) makes up the pressure x of each (rows).

    Rows times net sales Q add up to one: B_mk/(B·Q)_m; where a component has no depth and x = ∞, 1/ΣQ over it.
    """
    given, clearing = t.parts.inputs.markets, t.parts.outcome.clearing
    net = holdings.sums(sold, 1)
    finite = np.isfinite(clearing.pressure)
    made = spread(given, clearing.depth)
    total = made @ net
    scale = np.divide(1.0, total, out=np.zeros_like(total), where=(clearing.pressure != 0.0) & finite & (total != 0.0))
    void = np.flatnonzero(~finite)
    if not void.size:
        return holdings.scaled(made, scale)
    inside = holdings.gathered(np.ones(net.size), np.arange(net.size), given.component, (net.size, net.size))
    in_all = sum_by(given.component, net, net.size)[given.component]
    flat = np.zeros(net.size)
    flat[void] = 1.0 / in_all[void]
    together: sparse.csr_array = (holdings.scaled(inside, flat) @ inside.T).tocsr()
    found: sparse.csr_array = (holdings.scaled(made, scale) + together).tocsr()
    return found


def _shocks(t: Terminal, effect: str) -> Iterator[Source]:
    """Yield the shocks by the scenario's keys; a market's own key wins over its asset's."""
    shocks = t.scenario.shocks
    by_market = t.parts.labels.markets.isin(list(shocks))
    for key in shocks:
        hit = np.where(by_market, t.parts.labels.markets == key, t.asset == key)
        yield Source(f"shock:{key}", effect, np.where(hit, t.parts.inputs.markets.shock, 0.0))


def _thinned(t: Terminal, effect: str, push: Floats) -> Iterator[Source]:
    """Yield the part of the push that is due to each of the scenario's depth factors below one."""
    given, before = t.parts.inputs.markets, _depth_before(t)
    usable = np.isfinite(before) & (before > 0.0)
    gone = np.where(usable, push * (1.0 - given.factor / given.raising_factor) / 2.0, 0.0)
    factors = {key: value for key, value in t.scenario.depth.items() if value < 1.0}
    weight = {key: _weight(t, key, value) for key, value in factors.items()}
    zeros = {key: _weight(t, key, 0.0) for key, value in factors.items() if value == 0.0}
    no_zeros = sum(zeros.values(), np.zeros(push.size)) == 0.0
    # depth that is all gone is due to the zeros alone
    weight = {key: zeros.get(key, weight[key] * no_zeros) for key in factors}
    total = sum(weight.values(), np.zeros(push.size))
    for key in factors:
        share = ratio(weight[key], total, empty=0.0)
        yield Source(f"depth:{key}", effect, gone * share)


def _weight(t: Terminal, key: str, factor: float) -> Floats:
    """Return −ln(factor) in the markets (m,) that it applies to, a market, a venue's or an asset's; 1 for zero."""
    applies = (t.parts.labels.markets == key) | (t.venue == key) | (t.asset == key)
    return np.where(applies, -math.log(factor) if factor > 0.0 else 1.0, 0.0)

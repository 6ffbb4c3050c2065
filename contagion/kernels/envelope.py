"""How far along a path the map certainly goes beyond it: the step that cannot pass the least fixed point.

Let z(t) = y + t·d with d ≥ 0 and y at or below the least fixed point u*, and let h(t) ≤ F(z(t)) − y for all t in
[0, 1]. If y + t·d ≤ u*, then y + h(t) ≤ F(z(t)) ≤ F(u*) = u*, and so y + φ(t)·d ≤ u* with φ(t) = min h_i(t)/d_i. From
t = 0 the iterates of φ therefore never leave what lies below u*, and neither does their limit t*, the least t with
φ(t) ≤ t; z(t*) and y + h(t*) both lie at or below u*. Nothing is asked of the direction d: a bad one is only of no use.

Accounts hand in sales and deficits that are piecewise linear between the edges of a grid
(`contagion.kernels.path`). Quotes, nodes and markets follow, each with its own lower bound between two edges: exact at
the left one, and linear from there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from contagion import channels
from contagion.kernels.accounts import net_units
from contagion.kernels.impact_slopes import fall, fall_slope, log_discount, log_discount_slope
from contagion.kernels.inputs import Floats, Inputs, Markets
from contagion.kernels.markets import depth_left, pressure, spread
from contagion.kernels.path import GRID, Along, Path
from contagion.kernels.reaction import Immune

__all__ = ["Pieces", "Reach", "certain", "lower_bound"]

_EDGES = np.arange(GRID) / GRID


class Pieces(NamedTuple):
    """A function of t that is linear between edges and may jump up at them: (·, GRID) each."""

    left: Floats  # at each edge
    right: Floats  # just before the next one

    @classmethod
    def of(cls, jumps: Floats, bends: Floats) -> Pieces:
        """Return the function with these jumps and changes of slope at the edges."""
        rise = np.cumsum(bends, axis=1) / GRID
        left = np.cumsum(jumps, axis=1)
        left[:, 1:] += np.cumsum(rise, axis=1)[:, :-1]
        return cls(left, left + rise)


class Reach(NamedTuple):
    """Lower bounds of F(z(t)) − y along a path."""

    log_drop: Pieces  # (m,)
    average: Pieces  # (m,)
    haircut: Pieces  # (n,)


@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def lower_bound(
    inputs: Inputs, path: Path, along: Along, sold: Floats, opening: Floats, immune: Immune | None = None
) -> Reach:
    """Return how far the map goes at least beyond the beginning of a path.

    ``sold`` (m,) is Q at the shares of the path's state, ``opening`` (j,) the opening equity of quoting accounts.
    """
    markets, state = inputs.markets, path.state
    haircut = _haircuts(inputs, path, along)
    gone = _quotes(inputs, path, along, opening, immune)
    if immune is not None:
        haircut = Pieces(*(np.where(immune.nodes[:, None], 0.0, side) for side in haircut))
    pressed = _pressure(inputs, along, sold, gone)
    impact = _curve(markets, pressed, fall, fall_slope)
    discount = _curve(markets, pressed, log_discount, log_discount_slope)
    reference = _reference(markets, path, haircut)
    average = state.average / markets.price
    return Reach(
        _less(_both(reference, impact), state.log_drop),
        _less(_both(reference, discount), -np.log(average)),
        _less(haircut, state.haircut),
    )


@np.errstate(invalid="ignore")
def certain(path: Path, reach: Reach) -> tuple[float, Floats, Floats, Floats]:
    """Return t*, and h(t*) by log drop, log drop of the average price, and haircut."""
    parts = (reach.log_drop, reach.average, reach.haircut)
    step = np.concatenate([path.log_drop, path.average, path.haircut])
    left, right = (np.concatenate([part[side] for part in parts]) for side in range(2))
    moving = step > 0.0
    beyond = left[moving] - step[moving, None] * _EDGES
    at_end = right[moving] - step[moving, None] * (_EDGES + 1.0 / GRID)
    short = ~(at_end > 0.0) | ~(beyond > 0.0)
    stops = short.any(axis=0)
    if not moving.any() or not stops.any():
        place, t = GRID - 1, 1.0
    else:
        place = int(np.argmax(stops))
        here, there = beyond[short[:, place], place], at_end[short[:, place], place]
        share = np.where(here > 0.0, here / np.where(here > 0.0, here - there, 1.0), 0.0)
        t = (place + float(share.min())) / GRID
    along = t * GRID - place
    found = np.maximum((1.0 - along) * left[:, place] + along * right[:, place], t * step)
    m = path.log_drop.size
    return t, found[:m], found[m : 2 * m], found[2 * m :]


def _haircuts(inputs: Inputs, path: Path, along: Along) -> Pieces:
    """Return θ: concave in the loss once that is beyond the buffer, and until then zero."""
    nodes, state = inputs.nodes, path.state
    deficits = Pieces.of(along.deficits, along.deficit_slope)
    claims = nodes.claims @ np.column_stack([state.haircut, path.haircut])

    def at(side: Floats, edges: Floats) -> Floats:
        loss = nodes.loss[:, None] + side + claims[:, :1] + claims[:, 1:] * edges
        return channels.haircut(loss, nodes.buffer[:, None], nodes.liabilities[:, None], nodes.recovery_rate[:, None])

    left = at(deficits.left, _EDGES)
    right = np.where(left > 0.0, at(deficits.right, _EDGES + 1.0 / GRID), left)
    before = state.haircut[:, None]
    return Pieces(np.maximum(before, left), np.maximum(before, right))


def _quotes(inputs: Inputs, path: Path, along: Along, opening: Floats, immune: Immune | None) -> Pieces:
    """Return the depth (j,) that is gone: η is linear in equity, then capped."""
    quotes = inputs.quotes

    def at(edges: Floats) -> Floats:
        equity = along.equity[:, None] - along.equity_fall[:, None] * edges
        return channels.withdrawal(equity, opening[:, None], quotes.full_at[:, None], quotes.withdrawn_at[:, None])

    before = np.maximum(path.state.withdrawn, path.state.liquidated[quotes.account])[:, None]
    left = at(_EDGES)
    right = np.maximum(before, np.where(left > 0.0, at(_EDGES + 1.0 / GRID), left))
    withdrawn = Pieces(np.maximum(before, left), right)
    if immune is not None:
        withdrawn = Pieces(*(np.where(immune.quotes[:, None], 0.0, side) for side in withdrawn))
    return Pieces(*(quotes.depth[:, None] * side for side in withdrawn))


def _pressure(inputs: Inputs, along: Along, sold: Floats, gone: Pieces) -> Pieces:
    """Return x: at least B·(Q + (D₀ − D)·x₀) with B and x₀ at the depth D₀ of the beginning, for D only falls."""
    markets, quotes = inputs.markets, inputs.quotes
    units = Pieces.of(along.units, along.unit_slope)

    def dollars(side: Floats) -> Floats:
        pairs = np.column_stack([net_units(inputs.positions, column) for column in side.T])
        return sold[:, None] + (inputs.positions.route.T @ pairs) * markets.price[:, None]

    market = np.zeros((markets.price.size, quotes.market.size))
    market[quotes.market, np.arange(quotes.market.size)] = 1.0
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(quotes.depth > 0.0, gone.left[:, 0] / quotes.depth, 0.0)
    depth = depth_left(markets, quotes, share)
    left, right = dollars(units.left), dollars(units.right)
    first = pressure(markets, depth, left[:, 0])
    known = np.where(np.isfinite(first), first, 0.0)
    matrix = spread(markets, depth)

    def at(side: Floats, lost: Floats) -> Floats:
        thinner = markets.factor[:, None] * (market @ (lost - gone.left[:, :1]))
        thinner = np.where(np.isinf(markets.depth)[:, None], 0.0, thinner)
        x = matrix @ (side - left[:, :1] + thinner * known[:, None])
        return first[:, None] + np.where(np.isfinite(first)[:, None], x, 0.0)

    return Pieces(at(left, gone.left), at(right, gone.right))


def _curve(markets: Markets, x: Pieces, curve: Callable[..., Floats], least: Callable[..., Floats]) -> Pieces:
    """Return a curve of x, exact at edges."""
    kind, floor = markets.kind[:, None], markets.floor[:, None]
    left = curve(kind, x.left, floor)
    rise = np.where(x.right > x.left, least(kind, x.left, x.right, floor) * (x.right - x.left), 0.0)
    return Pieces(left, left + rise)


def _reference(markets: Markets, path: Path, haircut: Pieces) -> Pieces:
    """Return ρ: pegs follow the path, and issuers −ln(1 − θ), convex, by its tangent."""
    fixed = np.where(markets.pegged_to >= 0, path.state.log_drop[markets.pegged_to], 0.0)
    follows = np.where(markets.pegged_to >= 0, path.log_drop[markets.pegged_to], 0.0)
    cut = channels.log_drop(haircut.left)
    slope = np.where(haircut.left < 1.0, (haircut.right - haircut.left) / (1.0 - haircut.left), 0.0)
    issued = (markets.issuer >= 0)[:, None]
    left = markets.shock[:, None] + np.where(issued, cut[markets.issuer], 0.0) + fixed[:, None]
    right = left + np.where(issued, slope[markets.issuer], 0.0)
    return Pieces(left + follows[:, None] * _EDGES, right + follows[:, None] * (_EDGES + 1.0 / GRID))


def _both(one: Pieces, other: Pieces) -> Pieces:
    return Pieces(one.left + other.left, one.right + other.right)


def _less(pieces: Pieces, base: Floats) -> Pieces:
    """Return pieces less their base; where that is infinite, there is no way further."""
    known = np.where(np.isfinite(base), base, 0.0)[:, None]
    return Pieces(*(np.where(np.isfinite(base)[:, None], side - known, 0.0) for side in pieces))

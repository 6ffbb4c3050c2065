"""What accounts do at least, all along a straight path into worse states, from one pass over them.

Along a path every unknown grows in proportion: δ + t·dδ, ν + t·dν, θ + t·dθ for t from 0 to 1, where ν is the log drop
of the sellers' average price. A price falls by p(1 − exp(−t·dδ)), which is concave in t, so it has fallen at t by at
least t times what it falls by at 1. In systems that keep the order every line of an account then lies at or below the
straight one between its ends, and what the rules ask for at the straight lines is at most what they ask for in truth.

That share is followed in pieces: from t = 0, and from the next edge of a grid after the first event on the way (a
trigger, a call, a stop-loss, a full close, a deficit); what else happens after it only asks for more. In a piece
λ = a/(V + a), with a = −T, moves as

    λ(t) − λ(0) = (V·Δa + a·ΔV) / ((V + a)(V' + a')),

V' and a' being those at t: at least the chord if V + a grows (λ is concave then), and the tangent if it shrinks.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from contagion.kernels.accounts import surplus, unit_values
from contagion.kernels.chunks import column_sums, row_sums
from contagion.kernels.inputs import (
    CLOSE_FACTOR,
    DELEVER,
    FULL,
    Accounts,
    Bools,
    Floats,
    Inputs,
    Ints,
)
from contagion.kernels.reaction import Immune, State

__all__ = ["GRID", "GUARD", "Along", "Path", "accounts_along", "quoting_along", "values_along"]

GRID = 64
"""Edges at which events may count: at t = 0, 1/64, …; an event counts from the edge after it."""

GUARD = 1e-13
"""Share of its lines by which an account must be in breach past the beginning of a path, for rounding."""


class Path(NamedTuple):
    """A straight path into worse states."""

    state: State
    log_drop: Floats  # (m,) dδ ≥ 0
    average: Floats  # (m,) dν ≥ 0
    haircut: Floats  # (n,) dθ ≥ 0


class Along(NamedTuple):
    """Lower bounds of what accounts add along a path: piecewise linear, with a jump and a new slope at each edge."""

    units: Floats  # (k, GRID) units closed in each term column beyond those of the state, at each edge at once
    unit_slope: Floats  # (k, GRID) by which the slope in t grows at each edge
    deficits: Floats  # (n, GRID) USD, from nothing
    deficit_slope: Floats  # (n, GRID)
    equity: Floats  # (j,) of the account behind each quote, USD
    equity_fall: Floats  # (j,) over the whole path


def values_along(inputs: Inputs, path: Path) -> tuple[Floats, Floats]:
    """Return what a unit in each term column adds to each line at the beginning, and what of it is lost (k, 6)."""
    positions, price = inputs.positions, inputs.markets.price
    marked, average = price * np.exp(-path.state.log_drop), path.state.average
    lost, less = -marked * np.expm1(-path.log_drop), -average * np.expm1(-path.average)
    moving = positions._replace(oracle_fixed=np.zeros_like(positions.oracle_fixed))
    return unit_values(positions, marked, average), unit_values(moving, lost, less)


def accounts_along(inputs: Inputs, path: Path, opening: Floats, immune: Immune | None = None) -> Along:
    """Return what accounts add along a path by sparse products; ``opening`` (a,) is their equity at the opening."""
    given, holdings, state = inputs.accounts, inputs.positions.quantity, path.state
    values, falls = values_along(inputs, path)
    cash, owed = given.cash, given.claims @ (1.0 - state.haircut)
    paid, unpaid = cash - given.entry + owed, given.claims @ path.haircut
    sums, lost = row_sums(holdings, values), row_sums(holdings, falls)
    at = _Lines(
        sums[:, 0] - given.entry + np.maximum(cash, 0.0),
        sums[:, 1] + np.maximum(-cash, 0.0),
        sums[:, 2],
        sums[:, 3] + paid,
        sums[:, 4] + paid,
    )
    fall = _Lines(lost[:, 0], lost[:, 1], lost[:, 2], lost[:, 3] + unpaid, lost[:, 4] + unpaid)
    before = state.liquidated
    first = _piece(given, slice(None), at, fall, 0.0, before, opening)
    event = _first_event(given, at, fall, before, opening)
    edge = np.floor(np.minimum(event, 1.0) * GRID).astype(np.int64) + 1
    rows = np.flatnonzero(edge < GRID)
    edge, left = edge[rows], edge[rows] / GRID
    there = _Lines(*(line[rows] - left * less[rows] for line, less in zip(at, fall, strict=True)))
    later = _piece(given, rows, there, _Lines(*(less[rows] for less in fall)), left, before[rows], opening)
    felt = np.ones(before.size) if immune is None else np.where(immune.accounts, 0.0, 1.0)
    units, unit_slope, deficits, deficit_slope = _added(inputs, before, first, later, (rows, edge), felt)
    return Along(units, unit_slope, deficits, deficit_slope, *quoting_along(inputs, path, values, falls))


def quoting_along(inputs: Inputs, path: Path, values: Floats, falls: Floats) -> tuple[Floats, Floats]:
    """Return the equity (j,) of the account behind each quote at the beginning, and what of it is lost."""
    given, rows = inputs.accounts, inputs.quotes.account
    holdings, claims = inputs.positions.quantity[rows], given.claims[rows]
    equity = holdings @ values[:, 3] + given.cash[rows] - given.entry[rows] + claims @ (1.0 - path.state.haircut)
    return equity, holdings @ falls[:, 3] + claims @ path.haircut


class _Lines(NamedTuple):
    """Lines of accounts, or what they lose."""

    weighted: Floats
    debt: Floats
    maintenance: Floats
    equity: Floats
    proceeds: Floats

    def surplus(self, given: Accounts, rows: Ints | slice, level: Floats) -> Floats:
        return surplus(given.margin_rule[rows], self.weighted, self.debt, self.maintenance, level[rows])


class _Piece(NamedTuple):
    """Share and deficit at the beginning of a piece, and their slopes."""

    share: Floats
    slope: Floats
    deficit: Floats
    deficit_slope: Floats


def _piece(
    given: Accounts,
    rows: Ints | slice,
    at: _Lines,
    fall: _Lines,
    left: Floats | float,
    before: Floats,
    opening: Floats,
) -> _Piece:
    """Return what the rules ask for at some lines, and how fast it grows at least from there to the end."""
    # past the beginning an account counts as in breach if it is so beyond rounding
    guard = np.where(np.asarray(left) > 0.0, GUARD, 0.0) * (np.abs(at.weighted) + at.debt + at.maintenance)
    asks = [(before, np.zeros_like(before))]
    for level, target, acts in (
        (given.call_level, given.call_target, given.call_policy[rows] == DELEVER),
        (given.liquidation_level, given.target_level, given.close_rule[rows] != FULL),
    ):
        acting = acts & (at.surplus(given, rows, level) < -guard)
        owing, more = -at.surplus(given, rows, target), fall.surplus(given, rows, target)
        share, slope = _restoring(owing, more, at.proceeds, fall.proceeds, 1.0 - left)
        asks.append((np.where(acting, share, 0.0), np.where(acting, slope, 0.0)))
    triggered = at.surplus(given, rows, given.liquidation_level) < -guard
    partly = triggered & (given.close_rule[rows] == CLOSE_FACTOR)
    share, slope = _factored(given.close_factor[rows], at, fall, 1.0 - left)
    asks.append((np.where(partly, share, 0.0), np.where(partly, slope, 0.0)))
    closed = triggered & (given.close_rule[rows] == FULL)
    closed |= partly & (at.surplus(given, rows, given.full_close_level) < -guard)
    closed |= at.equity < given.stop_loss[rows] * opening[rows] - guard
    asks.append((closed.astype(np.float64), np.zeros_like(before)))
    share, slope = asks[0]
    for other, other_slope in asks[1:]:
        more = (other > share) | ((other == share) & (other_slope > slope))
        share, slope = np.where(more, other, share), np.where(more, other_slope, slope)
    gone = share >= 1.0
    deficit = np.where(gone, np.maximum(0.0, -at.proceeds), 0.0)
    return _Piece(share, slope, deficit, np.where(gone & (at.proceeds < 0.0), fall.proceeds, 0.0))


@np.errstate(divide="ignore", invalid="ignore", over="ignore")
def _restoring(
    owing: Floats, more: Floats, value: Floats, less: Floats, width: Floats | float
) -> tuple[Floats, Floats]:
    """Return λ = a/(V + a) and its least slope over a piece of some width, in which a grows and V falls."""
    whole = value + owing
    last = whole + width * (more - less)
    share = np.where(owing <= 0.0, 0.0, np.where(value <= 0.0, 1.0, owing / whole))
    slope = (value * more + owing * less) / (whole * np.maximum(whole, last))
    slope = np.where((owing > 0.0) & (value > 0.0), np.minimum(slope, (1.0 - share) / width), 0.0)
    return share, slope


@np.errstate(divide="ignore", invalid="ignore", over="ignore")
def _factored(factor: Floats, at: _Lines, fall: _Lines, width: Floats | float) -> tuple[Floats, Floats]:
    """Return the share that takes ``factor`` of the debt, factor·D/(V + D), convex in t, and its tangent."""
    whole = at.proceeds + at.debt
    share = np.where(whole <= 0.0, 1.0, np.minimum(1.0, factor * at.debt / whole))
    slope = np.where(share < 1.0, np.minimum(share * fall.proceeds / whole, (1.0 - share) / width), 0.0)
    return share, slope


@np.errstate(divide="ignore", invalid="ignore", over="ignore")
def _first_event(given: Accounts, at: _Lines, fall: _Lines, before: Floats, opening: Floats) -> Floats:
    """Return where on the path each account first meets a trigger (a,); infinite if nowhere."""

    def meets(margin: Floats, less: Floats, asked: Bools) -> Floats:
        return np.where(asked & (margin >= 0.0) & (less > 0.0), margin / less, np.inf)

    everything, open_ = slice(None), before < 1.0
    first = meets(at.proceeds, fall.proceeds, ~open_)
    for level, asked in (
        (given.liquidation_level, open_),
        (given.call_level, open_ & (given.call_policy == DELEVER)),
        (given.full_close_level, open_ & (given.close_rule == CLOSE_FACTOR)),
    ):
        margin, less = at.surplus(given, everything, level), fall.surplus(given, everything, level)
        first = np.minimum(first, meets(margin, less, asked))
    stop = at.equity - given.stop_loss * opening
    return np.minimum(first, meets(stop, fall.equity, open_ & (given.stop_loss == given.stop_loss)))


def _added(
    inputs: Inputs, before: Floats, first: _Piece, later: _Piece, events: tuple[Ints, Ints], felt: Floats
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return the sums over accounts at each edge."""
    from scipy import sparse  # loaded where it is used: it would double the import time of the package

    holdings, given, nodes = inputs.positions.quantity, inputs.accounts, inputs.nodes.buffer.size
    rows, edge = events
    left = edge / GRID
    jump = later.share - (first.share[rows] + first.slope[rows] * left)
    bend = later.slope - first.slope[rows]
    short = later.deficit - (first.deficit[rows] + first.deficit_slope[rows] * left)
    deeper = later.deficit_slope - first.deficit_slope[rows]

    def by_column(at_once: Floats, on_the_way: Floats) -> Floats:
        put = sparse.csr_array((felt[rows] * on_the_way, (np.arange(rows.size), edge)), shape=(rows.size, GRID))
        total: Floats = (holdings[rows].T @ put).toarray()
        total[:, 0] += column_sums(holdings, felt * at_once)
        return total

    def by_node(at_once: Floats, on_the_way: Floats) -> Floats:
        total = np.zeros((nodes, GRID))
        np.add.at(total, (given.platform[rows], edge), on_the_way)
        np.add.at(total, (given.platform, np.zeros(given.platform.size, dtype=np.int64)), at_once)
        return total

    return (
        by_column(first.share - before, jump),
        by_column(first.slope, bend),
        by_node(first.deficit, short),
        by_node(first.deficit_slope, deeper),
    )

"""Margin accounts: the five lines, margin calls and funding, liquidation."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from contagion import channels
from contagion.kernels.chunks import column_sums, row_sums
from contagion.kernels.inputs import (
    CLOSE_FACTOR,
    COLLATERAL,
    DEBT,
    DELEVER,
    FULL,
    FUND,
    LONG,
    MAINTENANCE,
    NO_CALL,
    SHORT,
    Accounts,
    Bools,
    Codes,
    Floats,
    Ints,
    Positions,
    sign_of,
    sum_by,
)

VOLUNTARY, FUNDING, STOP_LOSS, LIQUIDATION = range(1, 5)
"""What made an account sell; 0 if nothing did."""


class Lines(NamedTuple):
    """The five lines of every account, and its gross assets; all (a,) in USD."""

    weighted: Floats  # W
    debt: Floats  # D
    maintenance: Floats  # M
    equity: Floats  # E, marked at terminal prices
    proceeds: Floats  # V, equity if all is sold at execution prices
    gross: Floats  # assets and perp notional


class Decision(NamedTuple):
    """What calls, stop-losses and liquidations make of every account."""

    liquidated: Floats  # λ as this round's prices ask for it, before the ratchet
    cause: Codes  # which rule asked for most
    called: Bools
    received: Floats  # USD from funding sources
    given: Floats  # USD to called accounts
    taken: Floats  # (f,) USD by funding row
    wanted: Floats  # (f,) USD that was still needed when the row came up


def lines(positions: Positions, accounts: Accounts, price: Floats, average: Floats, recovery: Floats) -> Lines:
    """Return the lines at terminal prices, sellers' average prices (m,) and recovery rates of claims (n,).

    Each line is one sparse product of the holdings with a value per unit and term column, so all of them cost one pass.
    """
    at = Lines(*row_sums(positions.quantity, unit_values(positions, price, average)).T)
    cash, owed = accounts.cash, accounts.claims @ recovery
    weighted, debt, _, equity, proceeds, gross = at
    weighted -= accounts.entry  # in place, for these are the largest arrays of a solve
    weighted += np.maximum(cash, 0.0)
    debt += np.maximum(-cash, 0.0)
    gross += np.maximum(cash, 0.0)
    gross += owed
    paid = cash - accounts.entry + owed
    equity += paid
    proceeds += paid
    return at


def equity(positions: Positions, accounts: Accounts, price: Floats, recovery: Floats) -> Floats:
    """Return the equity (a,) of every account, marked at prices (m,); see `lines`."""
    marked = row_sums(positions.quantity, unit_values(positions, price, price)[:, 3:4])[:, 0]
    marked += accounts.cash - accounts.entry + accounts.claims @ recovery
    return marked


def unit_values(positions: Positions, price: Floats, average: Floats) -> Floats:
    """Return what one unit in each term column adds to each line (k, 6), in the order of `Lines`."""
    side, pair = positions.side, positions.pair
    seen = (positions.oracle @ price + positions.oracle_fixed)[pair]
    marked = (positions.route @ price)[pair]
    executed = (positions.route @ average)[pair]

    collateral, debt, short = side == COLLATERAL, side == DEBT, side == SHORT
    perp = (side == LONG) | short
    sign = sign_of(side)
    value = np.empty((side.size, 6))
    value[:, 0] = np.where(collateral, positions.weight * seen, np.where(perp, sign * seen, 0.0))
    value[:, 1] = np.where(debt, seen, 0.0)
    value[:, 2] = np.where(collateral, 0.0, positions.maintenance * seen)
    value[:, 3] = sign * marked
    value[:, 4] = np.where(debt, -executed, (sign - positions.cost) * executed)
    value[:, 5] = np.where(debt, 0.0, marked)
    return value


def surplus(rule: Codes, weighted: Floats, debt: Floats, maintenance: Floats, level: Floats) -> Floats:
    """Return S(level): W − level·D − M under the ltv rule, W − D − level·M under the maintenance rule."""
    strict = rule == MAINTENANCE
    return weighted - np.where(strict, 1.0, level) * debt - np.where(strict, level, 1.0) * maintenance


def decide(accounts: Accounts, at: Lines, opening_equity: Floats, requests: Floats | None = None) -> Decision:
    """Return calls, the funding that answers them, and the share of each account that must be sold.

    ``requests`` (4, a), if given, notes the share that each rule asks for, in the order of their codes.
    """
    size = accounts.platform.size
    liquidated, cause = np.zeros(size), np.zeros(size, dtype=np.int8)
    received, given, called = np.zeros(size), np.zeros(size), np.zeros(size, dtype=np.bool_)
    asked, need = np.zeros(size), np.zeros(size)
    taken, wanted = np.zeros(accounts.funded.size), np.zeros(accounts.funded.size)

    def ask(rows: Ints, share: Floats, reason: int) -> None:
        if requests is not None:
            requests[reason - 1, rows] = share
        more = share > liquidated[rows]
        liquidated[rows[more]] = share[more]
        cause[rows[more]] = reason

    def surplus_at(rows: Ints | slice, level: Floats) -> Floats:
        rule, debt, maintenance = accounts.margin_rule[rows], at.debt[rows], at.maintenance[rows]
        return surplus(rule, at.weighted[rows], debt, maintenance, level[rows])

    def after_funding(rows: Ints | slice, level: Floats) -> Floats:
        """Surplus with the money that has arrived: what was asked for less what is still missing.

        A call that is met in full then leaves its target exactly, and not an ulp less, which would be a breach.
        """
        margin = surplus_at(rows, level)
        if any_funded:
            helped = np.flatnonzero(received[rows])
            margin[helped] = (margin[helped] + asked[rows][helped]) - need[rows][helped]
        return margin

    callable_ = np.flatnonzero(accounts.call_policy != NO_CALL)
    rows = callable_[surplus_at(callable_, accounts.call_level) < 0.0]
    called[rows] = True
    short_of = surplus_at(rows, accounts.call_target)
    sells = accounts.call_policy[rows] == DELEVER
    ask(rows[sells], channels.restore(short_of[sells], at.proceeds[rows[sells]]), VOLUNTARY)
    asks = accounts.call_policy[rows] == FUND
    any_funded = bool(asks.any())
    if any_funded:
        asked[rows[asks]] = -short_of[asks]
        need[:] = asked
        taken, wanted, drawn = fund(accounts.funded, accounts.source, need, at.proceeds, received, given)
        givers = np.flatnonzero(drawn)
        ask(givers, drawn[givers], FUNDING)

    stoppable = np.flatnonzero(accounts.stop_loss == accounts.stop_loss)
    floor = accounts.stop_loss[stoppable] * opening_equity[stoppable]
    stopped = stoppable[at.equity[stoppable] < floor]
    ask(stopped, np.ones(stopped.size), STOP_LOSS)

    rows = np.flatnonzero(after_funding(slice(None), accounts.liquidation_level) < 0.0)
    proceeds = at.proceeds[rows] + received[rows]
    share = channels.restore(after_funding(rows, accounts.target_level), proceeds)
    by_factor = channels.close_factor(
        share,
        after_funding(rows, accounts.full_close_level) < 0.0,
        at.debt[rows],
        proceeds,
        accounts.close_factor[rows],
    )
    rule = accounts.close_rule[rows]
    share = np.where(rule == FULL, 1.0, np.where(rule == CLOSE_FACTOR, by_factor, share))
    ask(rows, share, LIQUIDATION)
    return Decision(liquidated, cause, called, received, given, taken, wanted)


def fund(
    funded: Ints, source: Ints, need: Floats, proceeds: Floats, received: Floats, given: Floats
) -> tuple[Floats, Floats, Floats]:
    """Raise the cash that called accounts need, and return it and what was wanted by row, and the shares drawn (a,).

    Adds to ``received`` and ``given`` and takes from ``need`` in place. Money is asked for in the order of the rows;
    each source gives what it still has, and one that is asked for more than it has is closed in full. The loop is
    sequential by nature (what one caller takes the next cannot have) and runs over the rows of called accounts only.
    """
    exhausted = np.zeros(need.size, dtype=np.bool_)
    taken, wanted = np.zeros(funded.size), np.zeros(funded.size)
    for row in np.flatnonzero(need[funded] > 0.0):
        asking, giving = funded[row], source[row]
        left = need[asking]
        if left <= 0.0:
            continue
        wanted[row] = left
        taken[row] = min(left, max(0.0, proceeds[giving] - given[giving]))
        exhausted[giving] |= taken[row] < left
        need[asking] = left - taken[row]
        received[asking] += taken[row]
        given[giving] += taken[row]
    share = np.zeros(need.size)
    givers = np.flatnonzero(given > 0.0)
    share[givers] = np.minimum(1.0, given[givers] / proceeds[givers])  # sums of parts may exceed the whole by an ulp
    share[exhausted] = 1.0
    return taken, wanted, share


def sold_units(positions: Positions, liquidated: Floats) -> Floats:
    """Return the net units that liquidations sell in each priced pair (r,), negative where they buy back."""
    return net_units(positions, column_sums(positions.quantity, liquidated))


def net_units(positions: Positions, closed: Floats) -> Floats:
    """Return the net units sold in each priced pair (r,), from the units closed in each term column (k,)."""
    return sum_by(positions.pair, sign_of(positions.side) * closed, positions.route.shape[0])

"""The five lines of accounts, compiled, and what called accounts ask for and receive.

The arithmetic is that of `contagion.kernels.accounts`, operation by operation, so both give the same bits. Nothing but
numba's subset of Python here. Arrays are handed over once a chunk and never once an account: each array that a call
hands over costs two counts of its references, which is more than the arithmetic of an account.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contagion.kernels.inputs import FUND as ASKS_FUNDS
from contagion.kernels.inputs import Codes, Floats, Ints
from contagion.kernels.jit import compiled
from contagion.kernels.packed import (
    CALL_LEVEL,
    CALL_TARGET,
    ENTRY,
    OWED,
    POLICY,
    STRICT,
    Packed,
)

OPEN, SELLING, SOLD_OUT, OWES, DONE = range(5)
"""Stage of an account: nothing is sold; something is; all is, its lines still matter to others; only the deficit that
it leaves is read; nothing is."""


class Ledger(NamedTuple):
    """What a pass writes by account; rows that are not marked stay untouched."""

    spare: Floats  # (a,) surplus of cash, less a guard; −inf to be looked at, +inf to be left out
    liquidated: Floats  # (a,) λ
    called: Ints  # (a,) first round with an open call
    sold: Ints  # (a,) first round with a sale
    cause: Codes  # (a,)
    stage: NDArray[np.uint8]  # (a,)
    equity: Floats  # (a,) of quoting accounts
    lost: Floats  # (a,) of accounts that nodes own
    opening: Floats  # (a,) equity at the opening
    value: Floats  # (a,) V of linked accounts
    asked: Floats  # (a,) USD that a called account asks for
    need: Floats  # (a,) of it, what is still missing
    received: Floats  # (a,)
    given: Floats  # (a,)
    drawn: Floats  # (a,) share of a source that is sold for what it gave


@compiled
def surplus(strict: float, weighted: float, debt: float, maintenance: float, level: float) -> float:
    """Return S(level) under the maintenance rule if ``strict`` is one, else under that of a loan to value."""
    if strict == 1.0:
        return weighted - debt - level * maintenance
    return weighted - level * debt - maintenance


@compiled
def restore(surplus: float, equity: float) -> float:
    """Return the share that has to be sold; see `contagion.channels.restore`."""
    if surplus >= 0.0:
        return 0.0
    if equity <= 0.0:
        return 1.0
    return -surplus / (equity - surplus)


@compiled
def lines(
    book: Packed,
    rows: NDArray[np.int64],
    values: Floats,
    recovery: Floats,
    out: Floats,
) -> None:
    """Write W, D, M, E and V of some accounts, a row each.

    See `contagion.kernels.accounts.lines`.
    """
    start, column, quantity, cash = book.start, book.column, book.quantity, book.cash
    mark, entry, owed_start, owed_by, owed = book.mark, book.entry, book.owed_start, book.owed_by, book.owed
    for i in range(rows.size):
        a = rows[i]
        weighted = debt = maintenance = equity = value = 0.0
        for p in range(start[a], start[a + 1]):
            units, k = quantity[p], column[p]
            weighted += units * values[k, 0]
            debt += units * values[k, 1]
            maintenance += units * values[k, 2]
            equity += units * values[k, 3]
            value += units * values[k, 4]
        paid = cash[a]
        if mark[a] & ENTRY:
            weighted -= entry[a]
            paid -= entry[a]
        if mark[a] & OWED:
            claims = 0.0
            for c in range(owed_start[a], owed_start[a + 1]):
                claims += owed[c] * recovery[owed_by[c]]
            paid += claims
        out[i, 0], out[i, 1] = weighted + max(cash[a], 0.0), debt + max(-cash[a], 0.0)
        out[i, 2], out[i, 3], out[i, 4] = maintenance, equity + paid, value + paid


@compiled
def all_lines(chunk: int, end: int, book: Packed, values: Floats, recovery: Floats, bounds: Ints, out: Floats) -> None:
    """Write the five lines of every account (a, 5)."""
    first, last = bounds[chunk], bounds[end]
    lines(book, np.arange(first, last), values, recovery, out[first:last])


@compiled
def ask_for_funds(
    first: int, last: int, book: Packed, ledger: Ledger, values: Floats, recovery: Floats, linked: Ints
) -> None:
    """Write what linked accounts ask for, if they are called, and what they are worth, for who asks them."""
    rules, rule_of = book.rules, book.rule
    asked, need, worth = ledger.asked, ledger.need, ledger.value
    received, given, drawn = ledger.received, ledger.given, ledger.drawn
    at = np.empty((last - first, 5))
    lines(book, linked[first:last], values, recovery, at)
    for i in range(last - first):
        a, asks = linked[first + i], 0.0
        rule = rule_of[a]
        if rules[rule, POLICY] == ASKS_FUNDS:
            strict, weighted, debt, maintenance = rules[rule, STRICT], at[i, 0], at[i, 1], at[i, 2]
            if surplus(strict, weighted, debt, maintenance, rules[rule, CALL_LEVEL]) < 0.0:
                asks = -surplus(strict, weighted, debt, maintenance, rules[rule, CALL_TARGET])
        asked[a], need[a], worth[a] = asks, asks, at[i, 4]
        received[a] = given[a] = drawn[a] = 0.0


@compiled
def raise_funds(
    funded: Ints,
    source: Ints,
    asked: Floats,
    need: Floats,
    worth: Floats,
    received: Floats,
    given: Floats,
    drawn: Floats,
) -> bool:
    """Write what linked accounts still need, receive and give; return whether anybody asks.

    As `contagion.kernels.accounts.fund`: in the order of the rows, for what one caller takes the next cannot have.
    """
    asks = False
    for row in range(funded.size):
        asking, giving = funded[row], source[row]
        left = need[asking]
        asks |= asked[asking] != 0.0
        if left <= 0.0:
            continue
        taken = min(left, max(0.0, worth[giving] - given[giving]))
        if taken < left:
            drawn[giving] = 1.0  # asked for more than it has
        need[asking] = left - taken
        received[asking] += taken
        given[giving] += taken
    for row in range(source.size):
        giving = source[row]
        if given[giving] > 0.0 and drawn[giving] < 1.0:
            drawn[giving] = min(1.0, given[giving] / worth[giving])
    return asks


def accounts_of_funds(ledger: Ledger) -> tuple[Floats, Floats, Floats, Floats, Floats, Floats]:
    """Return the columns of a ledger that `raise_funds` reads and writes, in its order."""
    return ledger.asked, ledger.need, ledger.value, ledger.received, ledger.given, ledger.drawn


def empty_ledger(spare: Floats, liquidated: Floats, firsts: tuple[Any, Any, Any], opening: Floats) -> Ledger:
    """Return a ledger in which nothing has happened; pages that no account is marked for are never touched."""
    size = spare.size
    room = np.zeros((8, size))
    return Ledger(spare, liquidated, *firsts, np.zeros(size, dtype=np.uint8), room[0], room[1], opening, *room[2:])

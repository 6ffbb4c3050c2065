"""The five lines of accounts, compiled, and what a pass writes down of each.

The arithmetic is that of `contagion.kernels.accounts`, operation by operation, so both give the same bits. Nothing but
numba's subset of Python here. Arrays are handed over once a chunk and never once an account: each array that a call
hands over costs two counts of its references, which is more than the arithmetic of an account.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contagion.kernels.inputs import Codes, Floats, Ints
from contagion.kernels.jit import compiled
from contagion.kernels.packed import OWED, Packed

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
    rows: NDArray[Any],
    values: Floats,
    recovery: Floats,
    out: Floats,
) -> None:
    """Write W, D, M, E and V of some accounts, a row each.

    See `contagion.kernels.accounts.lines`.
    """
    start, ends, column, quantity = book.start, book.start[1:], book.column, book.quantity
    mark, cash, entry = book.mark, book.cash, book.entry
    owed_start, owed_ends, owed_by, owed = book.owed_start, book.owed_start[1:], book.owed_by, book.owed
    for i in range(rows.size):
        a = np.uint64(rows[i])
        weighted = debt = maintenance = equity = value = 0.0
        for p in range(start[a], ends[a]):
            units, k = quantity[p], column[p]
            weighted += units * values[k, 0]
            debt += units * values[k, 1]
            maintenance += units * values[k, 2]
            equity += units * values[k, 3]
            value += units * values[k, 4]
        paid = cash[a] - entry[a]
        weighted -= entry[a]
        if mark[a] & OWED:
            claims = 0.0
            for c in range(owed_start[a], owed_ends[a]):
                claims += owed[c] * recovery[owed_by[c]]
            paid += claims
        out[i, 0], out[i, 1] = weighted + max(cash[a], 0.0), debt + max(-cash[a], 0.0)
        out[i, 2], out[i, 3], out[i, 4] = maintenance, equity + paid, value + paid


@compiled
def all_lines(chunk: int, end: int, book: Packed, values: Floats, recovery: Floats, bounds: Ints, out: Floats) -> None:
    """Write the five lines of every account (a, 5)."""
    first, last = bounds[chunk], bounds[end]
    lines(book, np.arange(first, last), values, recovery, out[first:last])


def empty_ledger(spare: Floats, liquidated: Floats, firsts: tuple[Any, Any, Any], opening: Floats) -> Ledger:
    """Return a ledger in which nothing has happened; pages that no account is marked for are never touched."""
    size = spare.size
    stage, equity, lost = np.zeros(size, dtype=np.uint8), np.zeros(size), np.zeros(size)
    return Ledger(spare, liquidated, *firsts, stage, equity, lost, opening)

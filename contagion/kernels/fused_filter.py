"""Who has to be looked at in a pass, compiled: a product or two for each position tell, and nothing else is read.

Nothing but numba's subset of Python here. Arrays are handed over once a run of accounts and never once an account.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from contagion.kernels.chosen import Chosen
from contagion.kernels.fused_lines import Ledger
from contagion.kernels.inputs import Bools, Floats
from contagion.kernels.jit import compiled
from contagion.kernels.packed import CALLS, STOP, Packed

PIECE = 4096
"""Accounts that are found before they are evaluated: what stands between the two stays in the cache."""


@compiled
def _short(
    book: Packed,
    spare: Floats,
    unit: Floats,
    chosen: Chosen,
    first: int,
    last: int,
    found: NDArray[np.uint32],
    count: np.uint64,
) -> np.uint64:
    """Add accounts whose surplus is below zero to those found; ``unit`` (k,) is what a unit adds to it.

    The loop that a round spends its time in: one product a position, and nothing else is read.
    """
    start, ends, column, quantity = book.start, book.start[1:], book.column, book.quantity
    rows = chosen.rows
    if not chosen.listed:
        begin = start[first]
        for i in range(np.uint64(first), np.uint64(last)):
            left, end = spare[i], ends[i]
            for p in range(begin, end):
                left += quantity[p] * unit[column[p]]
            begin = end
            found[count] = i
            count += np.uint64(not left >= 0.0)
        return count
    for i in range(np.uint64(first), np.uint64(last)):
        a = np.uint64(rows[i])
        left = spare[a]
        for p in range(start[a], ends[a]):
            left += quantity[p] * unit[column[p]]
        found[count] = a
        count += np.uint64(not left >= 0.0)
    return count


@compiled
def _short_or_stopped(
    book: Packed,
    spare: Floats,
    opening: Floats,
    unit: Floats,
    values: Floats,
    chosen: Chosen,
    first: int,
    last: int,
    found: NDArray[np.uint32],
    count: np.uint64,
) -> np.uint64:
    """Add accounts whose surplus is below zero, or whose equity is below their stop-loss."""
    start, ends, column, quantity = book.start, book.start[1:], book.column, book.quantity
    cash, entry, stop_loss = book.cash, book.entry, book.stop_loss
    rows, listed = chosen.rows, chosen.listed
    for i in range(np.uint64(first), np.uint64(last)):
        a = np.uint64(rows[i]) if listed else np.uint64(i)
        left, equity = spare[a], 0.0
        for p in range(start[a], ends[a]):
            left += quantity[p] * unit[column[p]]
            equity += quantity[p] * values[column[p], 3]
        stopped = equity + (cash[a] - entry[a]) < stop_loss[a] * opening[a] and left < np.inf
        found[count] = a
        count += np.uint64(stopped or not left >= 0.0)
    return count


@compiled
def breaching(
    book: Packed,
    ledger: Ledger,
    values: Floats,
    surplus: Floats,
    chosen: Chosen,
    first: int,
    last: int,
    found: NDArray[np.uint32],
) -> np.uint64:
    """Write which accounts may act or have to be looked at, and return how many there are.

    ``first`` and ``last`` bound places in the list, or accounts if there is none. Surplus at the liquidation level, or
    at the call level of those who answer calls, is linear in holdings, and so is equity. Accounts with the same tests
    and as many positions stand together, so that branches are the same many times over.
    """
    runs, spare = chosen.runs, ledger.spare
    count = np.uint64(0)
    if not chosen.filtered:
        for i in range(np.uint64(first), np.uint64(last)):
            found[count] = i
            count += np.uint64(spare[i] < np.inf)
        return count
    run = np.searchsorted(runs, first, side="right") - 1
    while first < last:
        end, tests = min(last, runs[run + 1]), chosen.tests[run]
        unit = surplus[1 if tests & CALLS else 0]
        if tests & STOP:
            count = _short_or_stopped(book, spare, ledger.opening, unit, values, chosen, first, end, found, count)
        else:
            count = _short(book, spare, unit, chosen, first, end, found, count)
        first, run = end, run + 1
    return count


@compiled
def may_act(
    chunk: int,
    end: int,
    book: Packed,
    ledger: Ledger,
    values: Floats,
    surplus: Floats,
    chosen: Chosen,
    which: Bools,
) -> None:
    """Mark accounts that have to be looked at if units add as much to lines and surplus as given."""
    found = np.empty(PIECE, dtype=np.uint32)
    for first in range(chosen.bounds[chunk], chosen.bounds[end], PIECE):
        last = min(first + PIECE, chosen.bounds[end])
        count = breaching(book, ledger, values, surplus, chosen, first, last, found)
        for a in found[:count]:
            which[a] = True

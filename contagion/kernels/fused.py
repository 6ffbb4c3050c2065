"""The account pass, compiled: lines, triggers, shares, sales and deficits of all accounts in one pass over memory.

The arithmetic is that of `contagion.kernels.accounts` and `contagion.kernels.credit`, operation by operation, so both
give the same bits; chunks are added in their order. Nothing but numba's subset of Python here. Arrays are handed over
once a chunk and never once an account: each array that a call hands over costs two counts of its references, which is
more than the arithmetic of an account.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from contagion.kernels.accounts import FUNDING, LIQUIDATION, STOP_LOSS, VOLUNTARY
from contagion.kernels.fused_lines import Ledger, restore
from contagion.kernels.fused_lines import lines as lines_of
from contagion.kernels.fused_lines import surplus as surplus_at
from contagion.kernels.inputs import CLOSE_FACTOR, DELEVER, FULL, NO_CALL, Floats, Ints
from contagion.kernels.jit import compiled
from contagion.kernels.packed import (
    CALL_LEVEL,
    CALL_TARGET,
    CLOSE,
    FACTOR,
    FULL_LEVEL,
    IMMUNE,
    LEVEL,
    LINKED,
    OWNED,
    POLICY,
    QUOTES,
    STOP,
    STRICT,
    TARGET,
    WATCHED,
    Packed,
)


class Sums(NamedTuple):
    """What a pass adds up in each chunk."""

    closed: Floats  # (c, k) units of each term column
    deficits: Floats  # (c, n) USD
    moved: Floats  # (c,) largest move of λ
    counts: Ints  # (c, 3) accounts that are called, that have sold, and that were evaluated


@compiled
def _breaching(book: Packed, spare: Floats, surplus: Floats, first: int, found: NDArray[np.int64]) -> int:
    """Write which of the accounts from ``first`` on may be in breach or have to be looked at, and return how many.

    One product a position: surplus at the liquidation level is linear in holdings. Accounts with as many positions
    stand together, so the branches are the same many times over.
    """
    start, column, quantity = book.start, book.column, book.quantity
    count, p = 0, start[first]
    for a in range(first, first + found.size):
        left, end = spare[a], start[a + 1]
        while p < end:
            left += quantity[p] * surplus[column[p]]
            p += 1
        found[count] = a
        count += not left >= 0.0
    return count


@compiled
def _evaluate(
    book: Packed,
    ledger: Ledger,
    rows: NDArray[np.int64],
    lines: Floats,
    closed: Floats,
    deficits: Floats,
    number: int,
    funds: bool,
    falling: bool,
) -> tuple[float, int, int]:
    """Act on the lines of some accounts of one chunk: calls, stop-losses, liquidations, sales, deficits.

    Return the largest move of a liquidated share, and how many accounts are called and have sold. See
    `contagion.kernels.accounts.decide` and `contagion.kernels.credit.losses`.
    """
    start, column, quantity, mark, stop_loss = book.start, book.column, book.quantity, book.mark, book.stop_loss
    rules, rule_of, platform = book.rules, book.rule, book.platform
    spare, liquidated, opening = ledger.spare, ledger.liquidated, ledger.opening
    first_called, first_sold, first_cause = ledger.called, ledger.sold, ledger.cause
    quoting, lost = ledger.equity, ledger.lost
    all_asked, all_need, all_drawn = ledger.asked, ledger.need, ledger.drawn
    all_received, all_given, done = ledger.received, ledger.given, ledger.closed
    moved, called_count, sold_count = 0.0, 0, 0
    for i in range(rows.size):
        a = rows[i]
        marks, rule = mark[a], rule_of[a]
        if done[a]:
            sold_count += 1
            if not marks & IMMUNE:
                for p in range(start[a], start[a + 1]):
                    closed[column[p]] += quantity[p]
            deficits[platform[rule]] += max(0.0, -lines[i, 4])
            continue
        before = liquidated[a]
        weighted, debt, maintenance, equity, value = lines[i, 0], lines[i, 1], lines[i, 2], lines[i, 3], lines[i, 4]
        strict, policy = rules[rule, STRICT], rules[rule, POLICY]
        called = False
        if policy != NO_CALL:
            called = surplus_at(strict, weighted, debt, maintenance, rules[rule, CALL_LEVEL]) < 0.0
            if called:
                called_count += 1
                if first_called[a] == 0:
                    first_called[a] = number
        received = given = asked = need = drawn = 0.0
        if funds and marks & LINKED:
            received, given, asked, need, drawn = (
                all_received[a],
                all_given[a],
                all_asked[a],
                all_need[a],
                all_drawn[a],
            )
        now, cause = before, 0
        if before < 1.0 or falling or first_sold[a] == 0:
            share = 0.0
            if called and policy == DELEVER:
                target = surplus_at(strict, weighted, debt, maintenance, rules[rule, CALL_TARGET])
                share = restore(target, value)
                cause = VOLUNTARY if share > 0.0 else 0
            if drawn > share:
                share, cause = drawn, FUNDING
            if marks & STOP and equity < stop_loss[a] * opening[a] and share < 1.0:
                share, cause = 1.0, STOP_LOSS
            margin = surplus_at(strict, weighted, debt, maintenance, rules[rule, LEVEL])
            if received != 0.0:
                margin = (margin + asked) - need
            if margin < 0.0:
                close, proceeds = rules[rule, CLOSE], value + received
                short_of = surplus_at(strict, weighted, debt, maintenance, rules[rule, TARGET])
                full = surplus_at(strict, weighted, debt, maintenance, rules[rule, FULL_LEVEL])
                if received != 0.0:
                    short_of, full = (short_of + asked) - need, (full + asked) - need
                wanted = 1.0 if close == FULL else restore(short_of, proceeds)
                if close == CLOSE_FACTOR:
                    if full < 0.0 or proceeds + debt <= 0.0:
                        wanted = 1.0
                    else:
                        wanted = max(wanted, min(1.0, rules[rule, FACTOR] * debt / (proceeds + debt)))
                if wanted > share:
                    share, cause = wanted, LIQUIDATION
            if share != before and (share < before) == falling:
                now = share
                moved = max(moved, abs(now - before))
                liquidated[a] = now
                spare[a] = -np.inf
        if now > 0.0:
            sold_count += 1
            if first_sold[a] == 0:
                first_sold[a] = number
                first_cause[a] = cause
            if not marks & IMMUNE:
                for p in range(start[a], start[a + 1]):
                    closed[column[p]] += quantity[p] * now
            if now >= 1.0:
                done[a] = not (falling or marks & WATCHED)
                deficits[platform[rule]] += max(0.0, -(value + received))
        if marks & QUOTES:
            quoting[a] = equity
        if marks & OWNED:
            after = max(0.0, (1.0 - now) * equity + now * value + (received - given))
            lost[a] = max(0.0, opening[a] + (received - given) - after)
    return moved, called_count, sold_count


@compiled
def account_pass(
    chunk: int,
    end: int,
    book: Packed,
    ledger: Ledger,
    sums: Sums,
    values: Floats,
    surplus: Floats,
    recovery: Floats,
    number: int,
    funds: bool,
    rows: NDArray[np.int64],
    bounds: Ints,
    listed: bool,
    falling: bool,
) -> None:
    """Evaluate those ``rows`` that stand between the bounds of each chunk; unless they are listed, find them first."""
    most = 0
    for c in range(chunk, end):
        most = max(most, bounds[c + 1] - bounds[c])
    lines = np.empty((most, 5))
    for c in range(chunk, end):
        chosen = rows[bounds[c] : bounds[c + 1]]
        if not listed:
            chosen = chosen[: _breaching(book, ledger.spare, surplus, bounds[c], chosen)]
        lines_of(book, chosen, ledger.closed, values, recovery, lines)
        closed, deficits = sums.closed[c], sums.deficits[c]
        closed[:] = 0.0
        deficits[:] = 0.0
        sums.counts[c, 2] = chosen.size
        sums.moved[c], sums.counts[c, 0], sums.counts[c, 1] = _evaluate(
            book, ledger, chosen, lines, closed, deficits, number, funds, falling
        )

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
from contagion.kernels.chosen import Chosen
from contagion.kernels.fused_filter import PIECE, breaching
from contagion.kernels.fused_lines import DONE, OPEN, OWES, SELLING, SOLD_OUT, Ledger, restore
from contagion.kernels.fused_lines import surplus as surplus_at
from contagion.kernels.inputs import CLOSE_FACTOR, DELEVER, FULL, NO_CALL, Bools, Floats, Ints
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
    OWED,
    OWNED,
    POLICY,
    QUOTES,
    STOP,
    STRICT,
    TARGET,
    Packed,
)
from contagion.kernels.reaction import Funds


class Sums(NamedTuple):
    """What a pass adds up in each chunk."""

    closed: Floats  # (c, k) units of each term column
    settled: Floats  # (c, k) of them, units of accounts that have sold all, over all rounds
    deficits: Floats  # (c, n) USD
    moved: Floats  # (c,) largest move of λ
    counts: Ints  # (c, 3) accounts that are called, that have sold, and that were evaluated
    done: Ints  # (c,) accounts of which nothing is left to know, over all rounds


class Reading(NamedTuple):
    """What somebody reads of accounts that have sold all."""

    kept: int  # marks of accounts that are looked at in full even then
    deficits: Bools  # (n,) nodes whose accounts' deficits are read


@compiled
def _evaluate(
    book: Packed,
    ledger: Ledger,
    rows: NDArray[np.uint32],
    sums: Sums,
    held: Floats,
    fresh: Floats,
    chunk: int,
    reading: Reading,
    values: Floats,
    recovery: Floats,
    number: int,
    funds: Funds,
    falling: bool,
) -> tuple[float, int, int]:
    """Take the lines of some accounts of one chunk, and let them act: calls, stop-losses, liquidations, deficits.

    Adds what they sell to ``held`` (k,), and to ``fresh`` (k,) if they have now sold all. Return the largest move of a
    liquidated share, and how many accounts are called and have sold. See `contagion.kernels.accounts` and
    `contagion.kernels.credit.losses`.
    """
    start, ends, column, quantity = book.start, book.start[1:], book.column, book.quantity
    mark, cash, stop_loss, entry = book.mark, book.cash, book.stop_loss, book.entry
    owed_start, owed_ends, owed_by, owed = book.owed_start, book.owed_start[1:], book.owed_by, book.owed
    rules, rule_of, platform = book.rules, book.rule, book.platform
    spare, liquidated, opening = ledger.spare, ledger.liquidated, ledger.opening
    first_called, first_sold, first_cause = ledger.called, ledger.sold, ledger.cause
    quoting, lost = ledger.equity, ledger.lost
    stage, linked, funded, link = ledger.stage, book.linked, funds.asked.size > 0, np.int64(0)
    deficits, done = sums.deficits[chunk], sums.done
    kept, read = reading.kept, reading.deficits
    moved, called_count, sold_count = 0.0, 0, 0
    if funded and rows.size:
        link = np.int64(np.searchsorted(linked, np.int64(rows[0])))
    for i in range(rows.size):
        a = rows[i]
        marks, rule, phase = mark[a], rule_of[a], stage[a]
        first, end = start[a], ends[a]
        weighted = debt = maintenance = equity = value = 0.0
        paid = cash[a] - entry[a]
        if marks & OWED:
            claims = 0.0
            for c in range(owed_start[a], owed_ends[a]):
                claims += owed[c] * recovery[owed_by[c]]
            paid += claims
        if phase >= OWES:
            for p in range(first, end):
                value += quantity[p] * values[column[p], 4]
            sold_count += phase == OWES
            deficits[platform[rule]] += max(0.0, -(value + paid))
            continue
        for p in range(first, end):
            units, k = quantity[p], column[p]
            weighted += units * values[k, 0]
            debt += units * values[k, 1]
            maintenance += units * values[k, 2]
            equity += units * values[k, 3]
            value += units * values[k, 4]
        weighted, debt = (weighted - entry[a]) + max(cash[a], 0.0), debt + max(-cash[a], 0.0)
        equity, value = equity + paid, value + paid
        before = liquidated[a]
        strict, policy = rules[rule, STRICT], rules[rule, POLICY]
        called = False
        if policy != NO_CALL:
            called = surplus_at(strict, weighted, debt, maintenance, rules[rule, CALL_LEVEL]) < 0.0
            if called:
                called_count += 1
                if first_called[a] == 0:
                    first_called[a] = number
        received = given = asked = need = drawn = 0.0
        if funded and marks & LINKED:
            while linked[link] < a:  # both ascend
                link += 1
            asked, need, drawn = funds.asked[link], funds.need[link], funds.drawn[link]
            received, given = funds.received[link], funds.given[link]
        now, cause = before, 0
        if before < 1.0 or falling or phase == OPEN:
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
                wanted = 1.0
                if close != FULL:
                    short_of = surplus_at(strict, weighted, debt, maintenance, rules[rule, TARGET])
                    if received != 0.0:
                        short_of = (short_of + asked) - need
                    wanted = restore(short_of, proceeds)
                if close == CLOSE_FACTOR:
                    full = surplus_at(strict, weighted, debt, maintenance, rules[rule, FULL_LEVEL])
                    if received != 0.0:
                        full = (full + asked) - need
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
        if now > 0.0:
            sold_count += 1
            if phase == OPEN:
                first_sold[a] = number
                first_cause[a] = cause
                stage[a] = SELLING
                spare[a] = -np.inf
            if now >= 1.0:
                deficits[platform[rule]] += max(0.0, -(value + received))
            if now >= 1.0 and not falling:
                if phase <= SELLING:
                    if not marks & IMMUNE:
                        for p in range(first, end):
                            fresh[column[p]] += quantity[p]
                    owes = read[platform[rule]]
                    looked_at = marks & kept or (owes and marks & LINKED)  # what it is given makes its deficit smaller
                    stage[a] = SOLD_OUT if looked_at else OWES if owes else DONE
                    if stage[a] == DONE:
                        done[chunk] += 1
                        sold_count -= 1
                        spare[a] = np.inf
            elif not marks & IMMUNE:
                for p in range(first, end):
                    held[column[p]] += quantity[p] * now
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
    reading: Reading,
    values: Floats,
    surplus: Floats,
    recovery: Floats,
    number: int,
    funds: Funds,
    chosen: Chosen,
    falling: bool,
) -> None:
    """Find the accounts of each chunk that may act, and let them, a few thousand at a time."""
    bounds = chosen.bounds
    found = np.empty(PIECE, dtype=np.uint32)
    held, fresh = np.empty(sums.closed.shape[1]), np.empty(sums.closed.shape[1])
    for c in range(chunk, end):
        held[:] = 0.0
        fresh[:] = 0.0
        sums.deficits[c, :] = 0.0
        moved, evaluated, called_count, sold_count = 0.0, np.int64(0), 0, 0
        for first in range(bounds[c], bounds[c + 1], PIECE):
            last = min(first + PIECE, bounds[c + 1])
            count = breaching(book, ledger, values, surplus, chosen, first, last, found)
            most, called, sold = _evaluate(
                book,
                ledger,
                found[:count],
                sums,
                held,
                fresh,
                c,
                reading,
                values,
                recovery,
                number,
                funds,
                falling,
            )
            moved, evaluated = max(moved, most), evaluated + np.int64(count)
            called_count, sold_count = called_count + called, sold_count + sold
        for k in range(held.size):
            sums.settled[c, k] += fresh[k]
            sums.closed[c, k] = sums.settled[c, k] + held[k]
        sums.moved[c] = moved
        sums.counts[c, 0], sums.counts[c, 1], sums.counts[c, 2] = called_count, sold_count + sums.done[c], evaluated

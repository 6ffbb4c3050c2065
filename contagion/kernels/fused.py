"""The account pass, compiled: lines, triggers, shares, sales and deficits of all accounts in one pass over memory.

The arithmetic is that of `contagion.kernels.accounts` and `contagion.kernels.credit`, operation by operation, so both
give the same bits; chunks are added in their order. Nothing but numba's subset of Python here. Arrays are handed over
once a chunk and never once an account: each array that a call hands over costs two counts of its references, which is
more than the arithmetic of an account.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contagion.kernels.accounts import FUNDING, LIQUIDATION, STOP_LOSS, VOLUNTARY
from contagion.kernels.inputs import CLOSE_FACTOR, DELEVER, FULL, NO_CALL, Codes, Floats, Ints
from contagion.kernels.inputs import FUND as ASKS_FUNDS
from contagion.kernels.jit import compiled
from contagion.kernels.packed import (
    CALL_LEVEL,
    CALL_TARGET,
    CLOSE,
    ENTRY,
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
    WATCHED,
    Packed,
)

_GUARD = 1e-11


class Ledger(NamedTuple):
    """What a pass writes by account; rows that are not marked stay untouched."""

    spare: (
        Floats  # (a,) surplus of cash and the like, less a guard for rounding; −inf once an account has to be looked at
    )
    liquidated: Floats  # (a,) λ
    called: Ints  # (a,) first round with an open call
    sold: Ints  # (a,) first round with a sale
    cause: Codes  # (a,)
    closed: NDArray[np.uint8]  # (a,) 1 once all is sold and only V is left to know
    equity: Floats  # (a,) of quoting accounts
    lost: Floats  # (a,) of accounts that nodes own
    opening: Floats  # (a,) equity at the opening
    value: Floats  # (a,) V of linked accounts
    asked: Floats  # (a,) USD that a called account asks for
    need: Floats  # (a,) of it, what is still missing
    received: Floats  # (a,)
    given: Floats  # (a,)
    drawn: Floats  # (a,) share of a source that is sold for what it gave


class Sums(NamedTuple):
    """What a pass adds up in each chunk."""

    closed: Floats  # (c, k) units of each term column
    deficits: Floats  # (c, n) USD
    moved: Floats  # (c,) largest move of λ
    counts: Ints  # (c, 3) accounts that are called, that have sold, and that were evaluated


@compiled
def _surplus(strict: float, weighted: float, debt: float, maintenance: float, level: float) -> float:
    if strict == 1.0:
        return weighted - debt - level * maintenance
    return weighted - level * debt - maintenance


@compiled
def _restore(surplus: float, equity: float) -> float:
    if surplus >= 0.0:
        return 0.0
    if equity <= 0.0:
        return 1.0
    return -surplus / (equity - surplus)


@compiled
def _lines(
    book: Packed,
    rows: NDArray[np.int64],
    closed: NDArray[np.uint8],
    values: Floats,
    recovery: Floats,
    out: Floats,
) -> None:
    """Write W, D, M, E and V of some accounts, a row each; of closed ones V alone.

    See `contagion.kernels.accounts.lines`.
    """
    start, column, quantity, cash = book.start, book.column, book.quantity, book.cash
    mark, entry, owed_start, owed_by, owed = book.mark, book.entry, book.owed_start, book.owed_by, book.owed
    for i in range(rows.size):
        a = rows[i]
        weighted = debt = maintenance = equity = value = 0.0
        if closed.size and closed[a]:
            for p in range(start[a], start[a + 1]):
                value += quantity[p] * values[column[p], 4]
        else:
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
def ask_for_funds(
    first: int, last: int, book: Packed, ledger: Ledger, values: Floats, recovery: Floats, linked: Ints
) -> None:
    """Write what linked accounts ask for, if they are called, and what they are worth, for who asks them."""
    rules, rule_of = book.rules, book.rule
    asked, need, worth = ledger.asked, ledger.need, ledger.value
    received, given, drawn = ledger.received, ledger.given, ledger.drawn
    lines = np.empty((last - first, 5))
    _lines(book, linked[first:last], np.zeros(0, dtype=np.uint8), values, recovery, lines)
    for i in range(last - first):
        a, asks = linked[first + i], 0.0
        rule = rule_of[a]
        if rules[rule, POLICY] == ASKS_FUNDS:
            strict, weighted, debt, maintenance = rules[rule, STRICT], lines[i, 0], lines[i, 1], lines[i, 2]
            if _surplus(strict, weighted, debt, maintenance, rules[rule, CALL_LEVEL]) < 0.0:
                asks = -_surplus(strict, weighted, debt, maintenance, rules[rule, CALL_TARGET])
        asked[a], need[a], worth[a] = asks, asks, lines[i, 4]
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
            called = _surplus(strict, weighted, debt, maintenance, rules[rule, CALL_LEVEL]) < 0.0
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
                target = _surplus(strict, weighted, debt, maintenance, rules[rule, CALL_TARGET])
                share = _restore(target, value)
                cause = VOLUNTARY if share > 0.0 else 0
            if drawn > share:
                share, cause = drawn, FUNDING
            if marks & STOP and equity < stop_loss[a] * opening[a] and share < 1.0:
                share, cause = 1.0, STOP_LOSS
            margin = _surplus(strict, weighted, debt, maintenance, rules[rule, LEVEL])
            if received != 0.0:
                margin = (margin + asked) - need
            if margin < 0.0:
                close, proceeds = rules[rule, CLOSE], value + received
                short_of = _surplus(strict, weighted, debt, maintenance, rules[rule, TARGET])
                full = _surplus(strict, weighted, debt, maintenance, rules[rule, FULL_LEVEL])
                if received != 0.0:
                    short_of, full = (short_of + asked) - need, (full + asked) - need
                wanted = 1.0 if close == FULL else _restore(short_of, proceeds)
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
        _lines(book, chosen, ledger.closed, values, recovery, lines)
        closed, deficits = sums.closed[c], sums.deficits[c]
        closed[:] = 0.0
        deficits[:] = 0.0
        sums.counts[c, 2] = chosen.size
        sums.moved[c], sums.counts[c, 0], sums.counts[c, 1] = _evaluate(
            book, ledger, chosen, lines, closed, deficits, number, funds, falling
        )


@compiled
def all_lines(chunk: int, end: int, book: Packed, values: Floats, recovery: Floats, bounds: Ints, out: Floats) -> None:
    """Write the five lines of every account (a, 5)."""
    first, last = bounds[chunk], bounds[end]
    _lines(book, np.arange(first, last), np.zeros(0, dtype=np.uint8), values, recovery, out[first:last])


@compiled
def weights(chunk: int, end: int, book: Packed, surplus: Floats, bounds: Ints, out: Floats) -> None:
    """Write what the surplus of every account adds up, all terms taken as positive."""
    start, column, quantity = book.start, book.column, book.quantity
    for a in range(bounds[chunk], bounds[end]):
        weight = 0.0
        for p in range(start[a], start[a + 1]):
            weight += quantity[p] * abs(surplus[column[p]])
        out[a] = weight


@compiled
def _ratio(margin: float, rising: float, falling: float) -> float:
    """Return the relative move of prices that uses up a margin, rounded down; −inf if there is no margin."""
    size = max(rising, falling)
    left = margin - _GUARD * (abs(margin) + size)
    if not left > 0.0:
        return -np.inf
    return left / size if size > 0.0 else np.inf


@compiled
def safeties(
    chunk: int,
    end: int,
    book: Packed,
    values: Floats,
    lines: Floats,
    keys: NDArray[np.uint64],
    pair: Ints,
    bounds: Ints,
    safety: Floats,
    signature: NDArray[np.uint64],
) -> None:
    """Write how far prices may move before an account can have triggered, and a hash of the pairs that it holds."""
    start, column, quantity, mark, stop_loss = book.start, book.column, book.quantity, book.mark, book.stop_loss
    rules, rule_of = book.rules, book.rule
    for a in range(bounds[chunk], bounds[end]):
        rule, held, least = rule_of[a], np.uint64(0), np.inf
        strict = rules[rule, STRICT]
        for column_of_level in (LEVEL, CALL_LEVEL):
            if column_of_level == CALL_LEVEL and rules[rule, POLICY] == NO_CALL:
                continue
            level = rules[rule, column_of_level]
            on_debt, on_maintenance = (1.0, level) if strict == 1.0 else (level, 1.0)
            rising = falling = 0.0
            for p in range(start[a], start[a + 1]):
                k = column[p]
                part = quantity[p] * (values[k, 0] - on_debt * values[k, 1] - on_maintenance * values[k, 2])
                rising += max(part, 0.0)
                falling += max(-part, 0.0)
            margin = _surplus(strict, lines[a, 0], lines[a, 1], lines[a, 2], level)
            least = min(least, _ratio(margin, rising, falling))
        if mark[a] & STOP:
            rising = falling = 0.0
            for p in range(start[a], start[a + 1]):
                part = quantity[p] * values[column[p], 3]
                rising += max(part, 0.0)
                falling += max(-part, 0.0)
            least = min(least, _ratio(lines[a, 3] - stop_loss[a] * lines[a, 3], rising, falling))
            held += keys[-1]
        for p in range(start[a], start[a + 1]):
            held += keys[pair[column[p]]]
        safety[a], signature[a] = least, held


@compiled
def advance(
    move: Floats,
    start: Ints,
    safety: Floats,
    account: Ints,
    reached: Ints,
    active: NDArray[np.bool_],
) -> int:
    """Mark the accounts at the head of each group that its prices have reached; return how many are new."""
    fresh = 0
    for group in range(move.size):
        place = reached[group]
        while place < start[group + 1] and not safety[place] > move[group]:
            fresh += not active[account[place]]
            active[account[place]] = True
            place += 1
        reached[group] = place
    return fresh


def accounts_of_funds(ledger: Ledger) -> tuple[Floats, Floats, Floats, Floats, Floats, Floats]:
    """Return the columns of a ledger that `raise_funds` reads and writes, in its order."""
    return ledger.asked, ledger.need, ledger.value, ledger.received, ledger.given, ledger.drawn


def empty_ledger(spare: Floats, liquidated: Floats, firsts: tuple[Any, Any, Any], opening: Floats) -> Ledger:
    """Return a ledger in which nothing has happened; pages that no account is marked for are never touched."""
    size = spare.size
    room = np.zeros((8, size))
    return Ledger(spare, liquidated, *firsts, np.zeros(size, dtype=np.uint8), room[0], room[1], opening, *room[2:])

"""Margin calls that are met by other accounts: who asks for how much, who gives it, and what the pass hears of it.

The arithmetic is that of `contagion.kernels.accounts.fund`, operation by operation, so both give the same bits. Only
accounts that funding links name have a place here, few among all: they stand in a book of their own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from contagion.kernels.fused_lines import OPEN, Ledger, lines
from contagion.kernels.fused_lines import surplus as surplus_at
from contagion.kernels.inputs import FUND, Floats, Ints
from contagion.kernels.jit import compiled
from contagion.kernels.packed import CALL_LEVEL, CALL_TARGET, POLICY, STRICT, Packed
from contagion.kernels.reaction import Funds
from contagion.kernels.threads import over_chunks

__all__ = ["NO_FUNDS", "asked_and_worth", "by_account", "raised", "unwatch", "watch"]


NO_FUNDS = Funds(*(np.zeros(0) for _ in Funds._fields))
"""What a pass is told if nobody asks for any."""


def asked_and_worth(asking: Packed, places: Ints, values: Floats, recovery: Floats) -> tuple[Floats, Floats]:
    """Return what linked accounts (l,) ask for, and what they are worth to who asks them, USD; 0 but at ``places``."""
    asked, worth = np.zeros(asking.cash.size), np.zeros(asking.cash.size)
    over_chunks(_ask, places.size, places.size, asking, places, values, recovery, asked, worth)
    return asked, worth


def raised(asked: Floats, worth: Floats, funded: Ints, source: Ints) -> Funds | None:
    """Return the funds that margin calls raise along the links; None if nobody asks for any."""
    funds = Funds(asked, asked.copy(), *(np.zeros(asked.size) for _ in range(3)))
    return funds if _raise(funded, source, worth, *funds) else None


def by_account(funds: Funds | None, linked: Ints, size: int) -> tuple[Floats, Floats]:
    """Return what each account receives and gives (a,); empty if nobody asks for anything."""
    if funds is None:
        return np.zeros(0), np.zeros(0)
    received, given = np.zeros((2, size))
    received[linked], given[linked] = funds.received, funds.given
    return received, given


def watch(ledger: Ledger, linked: Ints, funds: Funds | None) -> tuple[Ints, Floats]:
    """See to it that accounts are looked at that ask, receive or give; return who, and their spare surplus.

    Those that have sold anything are looked at anyhow; all others stand as if there were no funds.
    """
    if funds is None:
        return np.zeros(0, dtype=np.int64), np.zeros(0)
    rows, spare = np.empty(linked.size, dtype=np.int64), np.empty(linked.size)
    count = _watch(linked, funds.asked, funds.given, funds.drawn, ledger.stage, ledger.spare, rows, spare)
    return rows[:count], spare[:count]


def unwatch(ledger: Ledger, rows: Ints, spare: Floats) -> None:
    """Give accounts that still have not sold anything their spare surplus back."""
    still = ledger.stage[rows] == OPEN
    ledger.spare[rows[still]] = spare[still]


@compiled
def _ask(
    first: int,
    last: int,
    asking: Packed,
    places: NDArray[Any],
    values: Floats,
    recovery: Floats,
    asked: Floats,
    worth: Floats,
) -> None:
    """Write what accounts at some places in the book ask for, if they are called, and what they are worth."""
    rules, rule_of = asking.rules, asking.rule
    at = np.empty((last - first, 5))
    lines(asking, places[first:last], values, recovery, at)
    for i in range(last - first):
        a = np.uint64(places[first + i])
        rule = rule_of[a]
        worth[a] = at[i, 4]
        if rules[rule, POLICY] == FUND:
            strict, weighted, debt, maintenance = rules[rule, STRICT], at[i, 0], at[i, 1], at[i, 2]
            if surplus_at(strict, weighted, debt, maintenance, rules[rule, CALL_LEVEL]) < 0.0:
                asked[a] = -surplus_at(strict, weighted, debt, maintenance, rules[rule, CALL_TARGET])


@compiled
def _raise(
    funded: Ints,
    source: Ints,
    worth: Floats,
    asked: Floats,
    need: Floats,
    received: Floats,
    given: Floats,
    drawn: Floats,
) -> bool:
    """Write what linked accounts still need, receive and give; return whether anybody asks.

    In the order of the rows, for what one caller takes the next cannot have.
    """
    asks = False
    for row in range(funded.size):
        asking = np.uint64(funded[row])
        if asked[asking] == 0.0:
            continue
        asks, giving, left = True, np.uint64(source[row]), need[asking]
        if left <= 0.0:
            continue
        taken = min(left, max(0.0, worth[giving] - given[giving]))
        if taken < left:
            drawn[giving] = 1.0  # asked for more than it has
        need[asking] = left - taken
        received[asking] += taken
        given[giving] += taken
    for a in range(given.size):
        if given[a] > 0.0 and drawn[a] < 1.0:
            drawn[a] = min(1.0, given[a] / worth[a])
    return asks


@compiled
def _watch(
    linked: Ints,
    asked: Floats,
    given: Floats,
    drawn: Floats,
    stage: NDArray[np.uint8],
    spare: Floats,
    rows: Ints,
    before: Floats,
) -> int:
    """Have accounts looked at that ask, give or are drawn upon; who receives has asked. Return how many there are."""
    count = 0
    for link in range(linked.size):
        if asked[link] != 0.0 or given[link] != 0.0 or drawn[link] != 0.0:
            a = np.uint64(linked[link])
            if stage[a] == OPEN:
                rows[count], before[count] = a, spare[a]
                spare[a] = -np.inf
                count += 1
    return count

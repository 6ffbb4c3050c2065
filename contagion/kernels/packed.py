"""Accounts as the compiled pass reads them: what most accounts share stands in a table, not in every row."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contagion.kernels.inputs import FUND, NO_CALL, Accounts, Bools, Floats, Inputs, Ints

OWED, STOP, QUOTES, OWNED, LINKED, IMMUNE, CALLS, WATCHED = (1 << bit for bit in range(8))
"""Marks of accounts for which there is more to read: claims, a stop-loss, quotes, a node that owns it,
funding, immunity, calls that it answers. Watched ones are looked at in every full pass, as are those behind a quote
until it is gone."""

POLICY, CALL_LEVEL, CALL_TARGET, STRICT, LEVEL, TARGET, CLOSE, FACTOR, FULL_LEVEL = range(9)
"""Columns of the table of rules."""

_PEELED = 64
_GUARD = 1e-11


class Packed(NamedTuple):
    """Accounts (a) and their positions (p): of these bytes a round reads most.

    All that a kernel counts with is unsigned: of a signed place it would ask each time whether it is negative and
    counts from the end, which takes as long as the arithmetic.
    """

    start: NDArray[Any]  # (a + 1,) first position of each account
    column: NDArray[Any]  # (p,) term column, 16 bits if they do
    quantity: Floats  # (p,)
    cash: Floats  # (a,)
    rule: NDArray[Any]  # (a,) row of the table of rules
    mark: NDArray[np.uint8]  # (a,)
    rules: Floats  # (rules, 9)
    platform: Ints  # (rules,) node that holds the accounts with this rule
    column_rule: Ints  # (k,) rule of some account that holds each term column
    entry: Floats  # (a,) what perps were bought for, USD
    stop_loss: Floats  # (a,), read where marked, like all below
    owed_start: NDArray[Any]  # (a + 1,)
    owed_by: NDArray[Any]
    owed: Floats
    linked: Ints  # (l,) accounts on either side of a funding link, ascending
    funded: Ints  # (f,) of these, the one that is called
    source: Ints  # (f,) and the one that gives
    owned: Ints  # accounts that a node owns, ascending
    runs: Ints  # (r + 1,) first account of each run of accounts that are tested alike, and the end
    tests: Ints  # (r,) their marks that tell which tests are due: CALLS, STOP


def pack(inputs: Inputs, also_linked: Ints | None = None) -> Packed:
    """Return the accounts, packed; arrays that need no other form are shared with ``inputs``.

    ``also_linked`` are accounts whose funding links lead to accounts elsewhere.
    """
    given, holdings = inputs.accounts, inputs.positions.quantity
    rule, rules, platform = _rules(given)
    asks = given.call_policy[given.funded] == FUND
    elsewhere = np.zeros(0, dtype=np.int64) if also_linked is None else also_linked
    linked = np.unique(np.concatenate([given.funded[asks], given.source[asks], elsewhere]))
    owned = np.flatnonzero(given.owner >= 0)
    mark = np.zeros(given.cash.size, dtype=np.uint8)
    mark[np.diff(given.claims.indptr) > 0] |= OWED
    mark[given.stop_loss == given.stop_loss] |= STOP
    mark[inputs.quotes.account] |= QUOTES
    mark[owned] |= OWNED
    mark[linked] |= LINKED
    account = np.repeat(np.arange(mark.size), np.diff(holdings.indptr))
    column_rule = np.zeros(holdings.shape[1], dtype=np.int64)
    column_rule[holdings.indices] = rule[account]
    mark[(rules[:, POLICY] != NO_CALL)[rule]] |= CALLS
    stops_on_claims = mark & (STOP | OWED) == STOP | OWED  # its equity falls with haircuts too
    mark[stops_on_claims | (mark & OWNED > 0) | _several_levels(rules, platform)[rule]] |= WATCHED
    runs, tests = runs_of_tests(mark)
    book = Packed(
        start=_unsigned(holdings.indptr),
        column=_narrow(holdings.indices, holdings.shape[1]),
        quantity=holdings.data,
        cash=given.cash,
        rule=_narrow(rule, len(rules)),
        mark=mark,
        rules=rules,
        platform=platform,
        column_rule=column_rule,
        entry=given.entry,
        stop_loss=given.stop_loss,
        owed_start=_unsigned(given.claims.indptr),
        owed_by=_unsigned(given.claims.indices),
        owed=given.claims.data,
        linked=linked,
        funded=np.searchsorted(linked, given.funded[asks]),
        source=np.searchsorted(linked, given.source[asks]),
        owned=owned,
        runs=runs,
        tests=tests,
    )
    return frozen(book)


def frozen(book: Packed) -> Packed:
    """Return the same accounts in arrays that cannot be written to.

    Kernels are compiled anew for arrays that differ in this or in their layout, as columns of tables do.
    """
    views = [np.ascontiguousarray(array).view() for array in book]
    for view in views:
        view.flags.writeable = False
    return Packed(*views)


def _several_levels(rules: Floats, platform: Ints) -> Bools:
    """Return the rules (rules,) of platforms that know several liquidation or call levels."""
    levels = [STRICT, LEVEL, CALL_LEVEL]
    known = {(node, *rule[levels].tolist()) for node, rule in zip(platform.tolist(), rules, strict=True)}
    alone: Bools = np.bincount([node for node, *_ in known], minlength=int(platform.max(initial=0)) + 1) == 1
    return ~alone[platform]


def runs_of_tests(mark: NDArray[np.uint8]) -> tuple[Ints, Ints]:
    """Return where runs of accounts begin that are tested alike (r + 1, with the end), and for what (r,): marks."""
    tests = mark & (CALLS | STOP)
    first = np.flatnonzero(np.concatenate([np.ones(min(1, tests.size), dtype=np.bool_), tests[1:] != tests[:-1]]))
    runs, of_runs = np.append(first, tests.size), tests[first].astype(np.int64)
    for each in (runs, of_runs):
        each.flags.writeable = False  # as in a book; see `frozen`
    return runs, of_runs


def unit_surplus(book: Packed, values: Floats) -> Floats:
    """Return what one unit in each term column adds to the surplus at the liquidation and at the call level (2, k)."""
    strict, *levels = (book.rules[book.column_rule, column] for column in (STRICT, LEVEL, CALL_LEVEL))
    return surplus_of_unit(strict, np.array(levels), values)


def surplus_of_unit(strict: Floats, levels: Floats, values: Floats) -> Floats:
    """Return the same, from the margin rule (k,; 1 if levels multiply maintenance) and levels (2, k) of columns."""
    held = np.where(strict == 1.0, 1.0, levels) * values[:, 1] + np.where(strict == 1.0, levels, 1.0) * values[:, 2]
    return values[:, 0] - held


def spare(book: Packed, weight: Floats) -> Floats:
    """Return what the surplus holds besides positions (a,), less a guard for rounding.

    It is the surplus at the call level of accounts that answer calls, and at the liquidation level of others.
    ``weight`` (a,) is what the terms of positions add up to at opening prices, all taken as positive; the guard covers
    rounding while no price has doubled. Watched accounts have none.
    """
    strict = book.rules[:, STRICT][book.rule]
    level = book.rules[book.rule, np.where(book.mark & CALLS, CALL_LEVEL, LEVEL)]
    cash = np.where(book.cash >= 0.0, book.cash, np.where(strict == 1.0, 1.0, level) * book.cash)
    left = cash - book.entry - _GUARD * (weight + np.abs(cash) + np.abs(book.entry))
    return np.where(book.mark & WATCHED, -np.inf, left)


def watching_quotes(book: Packed, spare: Floats) -> Floats:
    """Return the same (a,), with none for accounts behind quotes: their equity is read in every round."""
    return np.where(book.mark & QUOTES, -np.inf, spare)


def _narrow(numbers: NDArray[Any], count: int) -> NDArray[Any]:
    """Return numbers below ``count`` in 16 bits, or in 32."""
    return numbers.astype(np.uint16 if count <= 1 << 16 else np.uint32)


def _unsigned(places: NDArray[Any]) -> NDArray[Any]:
    """Return places, none of them negative, in 32 bits if they are as small."""
    return places.astype(np.uint32 if places.max(initial=0) < 1 << 32 else np.uint64)


def _rules(given: Accounts) -> tuple[Ints, Floats, Ints]:
    """Return the rule of each account, and the distinct rules and their platforms.

    Accounts of one platform mostly share a rule: those equal to the first that is left are taken off, again and again,
    and only if many rules are left are they sorted.
    """
    columns = (
        given.platform,
        given.call_policy,
        given.call_level,
        given.call_target,
        given.margin_rule,
        given.liquidation_level,
        given.target_level,
        given.close_rule,
        given.close_factor,
        given.full_close_level,
    )
    rule, left = np.full(given.platform.size, -1, dtype=np.int64), np.arange(given.platform.size)
    found: list[int] = []
    while left.size and len(found) < _PEELED:
        first = left[0]
        alike = np.ones(left.size, dtype=np.bool_)
        for column in columns:
            alike &= column[left] == column[first] if column[first] == column[first] else column[left] != column[left]
        rule[left[alike]] = len(found)
        found.append(int(first))
        left = left[~alike]
    if left.size:
        table = np.column_stack([column[left].astype(np.float64) for column in columns])
        _, first_of, which = np.unique(table, axis=0, return_index=True, return_inverse=True)
        rule[left] = len(found) + which.ravel()
        found.extend(left[first_of].tolist())
    chosen = np.array(found, dtype=np.int64)
    rules = np.column_stack([column[chosen].astype(np.float64) for column in columns])
    return rule, np.ascontiguousarray(rules[:, 1:]), given.platform[chosen]

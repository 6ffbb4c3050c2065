"""What accounts do at least along a path, compiled: `contagion.kernels.path` in one pass over memory.

The same formulas, account by account. Accounts are cut into at most sixteen groups, whatever the number of threads, and
groups are added in their order. Nothing but numba's subset of Python here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from contagion.kernels.inputs import CLOSE_FACTOR, DELEVER, FULL, Bools, Floats, Inputs, Ints
from contagion.kernels.jit import compiled
from contagion.kernels.packed import (
    CALL_LEVEL,
    CALL_TARGET,
    CALLS,
    CLOSE,
    FACTOR,
    FULL_LEVEL,
    LEVEL,
    OWED,
    POLICY,
    STOP,
    STRICT,
    TARGET,
    Packed,
    unit_surplus,
)
from contagion.kernels.path import GRID, GUARD, Along, Path, quoting_along, values_along
from contagion.kernels.reaction import Immune
from contagion.kernels.threads import over_chunks

if TYPE_CHECKING:
    from contagion.kernels.compiled import Prepared

__all__ = ["accounts_along"]

_GROUPS = 16


def accounts_along(inputs: Inputs, path: Path, ready: Prepared, immune: Immune | None = None) -> Along:
    """Return what accounts add along a path."""
    values, falls = values_along(inputs, path)
    chunks = ready.bounds.size - 1
    cuts = ready.bounds[np.linspace(0, chunks, min(_GROUPS, chunks) + 1).astype(np.int64)]
    groups, size = cuts.size - 1, ready.opening.size
    units = np.zeros((groups, 2, values.shape[0], GRID))
    deficits = np.zeros((groups, 2, inputs.nodes.buffer.size, GRID))
    over_chunks(
        _along,
        groups,
        size,
        ready.book,
        path.state.liquidated,
        ready.opening,
        ready.spare,
        np.zeros(0, dtype=np.bool_) if immune is None else immune.accounts,
        values,
        falls,
        unit_surplus(ready.book, values - falls),
        1.0 - path.state.haircut,
        path.haircut,
        cuts,
        units,
        deficits,
    )
    added, short = units[0], deficits[0]
    for group in range(1, groups):
        added += units[group]
        short += deficits[group]
    return Along(added[0], added[1], short[0], short[1], *quoting_along(inputs, path, values, falls))


@compiled
def _surplus(strict: float, weighted: float, debt: float, maintenance: float, level: float) -> float:
    if strict == 1.0:
        return weighted - debt - level * maintenance
    return weighted - level * debt - maintenance


@compiled
def _restoring(owing: float, more: float, value: float, less: float, width: float) -> tuple[float, float]:
    if owing <= 0.0:
        return 0.0, 0.0
    if value <= 0.0:
        return 1.0, 0.0
    whole = value + owing
    share = owing / whole
    slope = (value * more + owing * less) / (whole * max(whole, whole + width * (more - less)))
    return share, min(slope, (1.0 - share) / width)


@compiled
def _piece(
    strict: float,
    policy: float,
    call_level: float,
    call_target: float,
    level: float,
    target: float,
    close: float,
    factor: float,
    full_level: float,
    floor: float,
    weighted: float,
    debt: float,
    maintenance: float,
    equity: float,
    value: float,
    weighted_less: float,
    debt_less: float,
    maintenance_less: float,
    value_less: float,
    left: float,
    before: float,
) -> tuple[float, float]:
    """Return the share that the rules ask for at some lines, and its least slope; see `contagion.kernels.path`."""
    guard = GUARD * (abs(weighted) + debt + maintenance) if left > 0.0 else 0.0
    share, slope, width = before, 0.0, 1.0 - left
    if policy == DELEVER and _surplus(strict, weighted, debt, maintenance, call_level) < -guard:
        owing = -_surplus(strict, weighted, debt, maintenance, call_target)
        more = _surplus(strict, weighted_less, debt_less, maintenance_less, call_target)
        asked, steep = _restoring(owing, more, value, value_less, width)
        if asked > share or (asked == share and steep > slope):
            share, slope = asked, steep
    if equity < floor - guard:
        return 1.0, 0.0
    if not _surplus(strict, weighted, debt, maintenance, level) < -guard:
        return share, slope
    if close == FULL:
        return 1.0, 0.0
    owing = -_surplus(strict, weighted, debt, maintenance, target)
    more = _surplus(strict, weighted_less, debt_less, maintenance_less, target)
    asked, steep = _restoring(owing, more, value, value_less, width)
    if asked > share or (asked == share and steep > slope):
        share, slope = asked, steep
    if close == CLOSE_FACTOR:
        whole = value + debt
        if whole <= 0.0 or _surplus(strict, weighted, debt, maintenance, full_level) < -guard:
            return 1.0, 0.0
        asked = min(1.0, factor * debt / whole)
        steep = min(asked * value_less / whole, (1.0 - asked) / width) if asked < 1.0 else 0.0
        if asked > share or (asked == share and steep > slope):
            share, slope = asked, steep
    return share, slope


@compiled
def _meets(margin: float, less: float) -> float:
    if margin >= 0.0 and less > 0.0:
        return margin / less
    return np.inf


@compiled
def _along(
    group: int,
    end: int,
    book: Packed,
    liquidated: Floats,
    opening: Floats,
    spare: Floats,
    immune: Bools,
    values: Floats,
    falls: Floats,
    surplus: Floats,
    recovery: Floats,
    cut: Floats,
    bounds: Ints,
    units: NDArray[np.float64],
    deficits: NDArray[np.float64],
) -> None:
    """Write jumps and bends of units and deficits of each group: accounts that are in breach at the end of the path."""
    start, ends, column, quantity = book.start, book.start[1:], book.column, book.quantity
    owed_start, owed_ends, owed_by, owed = book.owed_start, book.owed_start[1:], book.owed_by, book.owed
    mark, cash, entry = book.mark, book.cash, book.entry
    rules, rule_of, platform, stops = book.rules, book.rule, book.platform, book.stop_loss
    for g in range(group, end):
        for a in range(np.uint64(bounds[g]), np.uint64(bounds[g + 1])):
            before = liquidated[a]
            if before == 0.0 and not mark[a] & STOP:
                level = np.uint64(mark[a] & CALLS != 0)
                left_over = spare[a]
                for p in range(start[a], ends[a]):
                    left_over += quantity[p] * surplus[level, column[p]]
                if left_over >= 0.0:
                    continue
            weighted = debt = maintenance = equity = value = 0.0
            weighted_less = debt_less = maintenance_less = equity_less = value_less = 0.0
            for p in range(start[a], ends[a]):
                n, k = quantity[p], column[p]
                value += n * values[k, 4]
                value_less += n * falls[k, 4]
                if before < 1.0:
                    weighted += n * values[k, 0]
                    debt += n * values[k, 1]
                    maintenance += n * values[k, 2]
                    equity += n * values[k, 3]
                    weighted_less += n * falls[k, 0]
                    debt_less += n * falls[k, 1]
                    maintenance_less += n * falls[k, 2]
                    equity_less += n * falls[k, 3]
            paid = cash[a] - entry[a]
            weighted -= entry[a]
            if mark[a] & OWED:
                for c in range(owed_start[a], owed_ends[a]):
                    paid += owed[c] * recovery[owed_by[c]]
                    equity_less += owed[c] * cut[owed_by[c]]
                    value_less += owed[c] * cut[owed_by[c]]
            weighted += max(cash[a], 0.0)
            debt += max(-cash[a], 0.0)
            equity += paid
            value += paid
            rule = rule_of[a]
            node = platform[rule]
            if before >= 1.0:
                if value < 0.0:
                    deficits[g, 0, node, 0] -= value
                    deficits[g, 1, node, 0] += value_less
                elif value < value_less:
                    edge = int(np.floor(value / value_less * GRID)) + 1
                    if edge < GRID:
                        deficits[g, 0, node, edge] += max(0.0, edge / GRID * value_less - value)
                        deficits[g, 1, node, edge] += value_less
                continue
            strict, policy, close = rules[rule, STRICT], rules[rule, POLICY], rules[rule, CLOSE]
            level, call_level, full_level = rules[rule, LEVEL], rules[rule, CALL_LEVEL], rules[rule, FULL_LEVEL]
            call_target, target, factor = rules[rule, CALL_TARGET], rules[rule, TARGET], rules[rule, FACTOR]
            floor = stops[a] * opening[a] if mark[a] & STOP else -np.inf
            event = _meets(
                _surplus(strict, weighted, debt, maintenance, level),
                _surplus(strict, weighted_less, debt_less, maintenance_less, level),
            )
            if policy == DELEVER:
                margin = _surplus(strict, weighted, debt, maintenance, call_level)
                less = _surplus(strict, weighted_less, debt_less, maintenance_less, call_level)
                event = min(event, _meets(margin, less))
            if close == CLOSE_FACTOR:
                margin = _surplus(strict, weighted, debt, maintenance, full_level)
                less = _surplus(strict, weighted_less, debt_less, maintenance_less, full_level)
                event = min(event, _meets(margin, less))
            if mark[a] & STOP:
                event = min(event, _meets(equity - floor, equity_less))
            felt = not (immune.size and immune[a])
            edge, left, was, was_slope, short, short_slope = 0, 0.0, before, 0.0, 0.0, 0.0
            while edge < GRID:  # from the beginning, and once more from the edge after the first event
                there = value - left * value_less
                share, slope = _piece(
                    strict,
                    policy,
                    call_level,
                    call_target,
                    level,
                    target,
                    close,
                    factor,
                    full_level,
                    floor,
                    weighted - left * weighted_less,
                    debt - left * debt_less,
                    maintenance - left * maintenance_less,
                    equity - left * equity_less,
                    there,
                    weighted_less,
                    debt_less,
                    maintenance_less,
                    value_less,
                    left,
                    before,
                )
                jump, bend = share - (was + was_slope * left), slope - was_slope
                if felt and (jump != 0.0 or bend != 0.0):
                    for p in range(start[a], ends[a]):
                        units[g, 0, column[p], edge] += quantity[p] * jump
                        units[g, 1, column[p], edge] += quantity[p] * bend
                if share >= 1.0 and there < 0.0:
                    deficits[g, 0, node, edge] += -there - (short + short_slope * left)
                    deficits[g, 1, node, edge] += value_less - short_slope
                    short, short_slope = -there, value_less
                if left > 0.0 or event >= 1.0:
                    break
                edge, was, was_slope = int(np.floor(event * GRID)) + 1, share, slope
                left = edge / GRID

"""How far prices may move before an account can have changed, compiled; see `contagion.kernels.screen`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from contagion.kernels.fused_lines import surplus as surplus_at
from contagion.kernels.inputs import NO_CALL, Floats, Ints
from contagion.kernels.jit import compiled
from contagion.kernels.packed import CALL_LEVEL, CALLS, LEVEL, POLICY, STOP, STRICT, Packed

_GUARD = 1e-11


@compiled
def weights(chunk: int, end: int, book: Packed, surplus: Floats, bounds: Ints, out: Floats) -> None:
    """Write what the surplus of every account adds up, all terms taken as positive."""
    start, ends, column, quantity, mark = book.start, book.start[1:], book.column, book.quantity, book.mark
    for a in range(np.uint64(bounds[chunk]), np.uint64(bounds[end])):
        weight, level = 0.0, np.uint64(mark[a] & CALLS != 0)
        for p in range(start[a], ends[a]):
            weight += quantity[p] * abs(surplus[level, column[p]])
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
    start, ends, column, quantity = book.start, book.start[1:], book.column, book.quantity
    rules, rule_of, mark, stop_loss = book.rules, book.rule, book.mark, book.stop_loss
    for a in range(np.uint64(bounds[chunk]), np.uint64(bounds[end])):
        rule, held, least = rule_of[a], np.uint64(0), np.inf
        strict = rules[rule, STRICT]
        for column_of_level in (LEVEL, CALL_LEVEL):
            if column_of_level == CALL_LEVEL and rules[rule, POLICY] == NO_CALL:
                continue
            level = rules[rule, column_of_level]
            on_debt, on_maintenance = (1.0, level) if strict == 1.0 else (level, 1.0)
            rising = falling = 0.0
            for p in range(start[a], ends[a]):
                k = column[p]
                part = quantity[p] * (values[k, 0] - on_debt * values[k, 1] - on_maintenance * values[k, 2])
                rising += max(part, 0.0)
                falling += max(-part, 0.0)
            margin = surplus_at(strict, lines[a, 0], lines[a, 1], lines[a, 2], level)
            least = min(least, _ratio(margin, rising, falling))
        if mark[a] & STOP:
            rising = falling = 0.0
            for p in range(start[a], ends[a]):
                part = quantity[p] * values[column[p], 3]
                rising += max(part, 0.0)
                falling += max(-part, 0.0)
            least = min(least, _ratio(lines[a, 3] - stop_loss[a] * lines[a, 3], rising, falling))
            held += keys[-1]
        for p in range(start[a], ends[a]):
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

"""What accounts do at least along a path, compiled: `contagion.kernels.path` in one pass over memory.

The same formulas, account by account. Accounts are cut into at most sixteen groups, whatever the number of threads, and
groups are added in their order. Nothing but numba's subset of Python here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contagion.kernels.inputs import CLOSE_FACTOR, DELEVER, FULL, Bools, Floats, Inputs, Ints
from contagion.kernels.jit import compiled
from contagion.kernels.packed import (
    CALL_LEVEL,
    CALL_TARGET,
    CLOSE,
    ENTRY,
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


class _Lines(NamedTuple):
    """Lines of one account in USD, or by how much they fall along the whole path."""

    weighted: float
    debt: float
    maintenance: float
    equity: float
    value: float


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
def _surplus(strict: float, at: _Lines, level: float) -> float:
    """Return what an account has beyond a level; the least slope of it likewise, from what its lines lose."""
    if strict == 1.0:
        return at.weighted - at.debt - level * at.maintenance
    return at.weighted - level * at.debt - at.maintenance


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
def _piece(terms: Floats, floor: float, at: _Lines, less: _Lines, left: float, before: float) -> tuple[float, float]:
    """Return the share that the rules ask for at some lines, and its least slope; see `contagion.kernels.path`."""
    guard = GUARD * (abs(at.weighted) + at.debt + at.maintenance) if left > 0.0 else 0.0
    share, slope, width, strict = before, 0.0, 1.0 - left, terms[STRICT]
    if terms[POLICY] == DELEVER and _surplus(strict, at, terms[CALL_LEVEL]) < -guard:
        owing, more = -_surplus(strict, at, terms[CALL_TARGET]), _surplus(strict, less, terms[CALL_TARGET])
        asked, steep = _restoring(owing, more, at.value, less.value, width)
        if asked > share or (asked == share and steep > slope):
            share, slope = asked, steep
    if at.equity < floor - guard:
        return 1.0, 0.0
    if not _surplus(strict, at, terms[LEVEL]) < -guard:
        return share, slope
    if terms[CLOSE] == FULL:
        return 1.0, 0.0
    owing, more = -_surplus(strict, at, terms[TARGET]), _surplus(strict, less, terms[TARGET])
    asked, steep = _restoring(owing, more, at.value, less.value, width)
    if asked > share or (asked == share and steep > slope):
        share, slope = asked, steep
    if terms[CLOSE] == CLOSE_FACTOR:
        whole = at.value + at.debt
        if whole <= 0.0 or _surplus(strict, at, terms[FULL_LEVEL]) < -guard:
            return 1.0, 0.0
        asked = min(1.0, terms[FACTOR] * at.debt / whole)
        steep = min(asked * less.value / whole, (1.0 - asked) / width) if asked < 1.0 else 0.0
        if asked > share or (asked == share and steep > slope):
            share, slope = asked, steep
    return share, slope


@compiled
def _meets(margin: float, less: float) -> float:
    """Return where on the path a margin that is not yet used up is."""
    return margin / less if margin >= 0.0 and less > 0.0 else np.inf


@compiled
def _event(terms: Floats, floor: float, at: _Lines, less: _Lines) -> float:
    """Return where on the path the account first meets one of its levels that it has kept so far."""
    strict = terms[STRICT]
    event = _meets(_surplus(strict, at, terms[LEVEL]), _surplus(strict, less, terms[LEVEL]))
    if terms[POLICY] == DELEVER:
        event = min(event, _meets(_surplus(strict, at, terms[CALL_LEVEL]), _surplus(strict, less, terms[CALL_LEVEL])))
    if terms[CLOSE] == CLOSE_FACTOR:
        event = min(event, _meets(_surplus(strict, at, terms[FULL_LEVEL]), _surplus(strict, less, terms[FULL_LEVEL])))
    if floor > -np.inf:
        event = min(event, _meets(at.equity - floor, less.equity))
    return event


@compiled
def _held(a: int, book: Packed, values: Floats, claims: Floats, closed: bool) -> _Lines:
    """Return what positions and claims add to the lines of an account; of one that is closed, to the value alone."""
    weighted = debt = maintenance = equity = value = 0.0
    for p in range(book.start[a], book.start[a + 1]):
        n, k = book.quantity[p], book.column[p]
        value += n * values[k, 4]
        if not closed:
            weighted += n * values[k, 0]
            debt += n * values[k, 1]
            maintenance += n * values[k, 2]
            equity += n * values[k, 3]
    if book.mark[a] & OWED:
        for c in range(book.owed_start[a], book.owed_start[a + 1]):
            equity += book.owed[c] * claims[book.owed_by[c]]
            value += book.owed[c] * claims[book.owed_by[c]]
    return _Lines(weighted, debt, maintenance, equity, value)


@compiled
def _at(a: int, book: Packed, values: Floats, recovery: Floats, closed: bool) -> _Lines:
    """Return the lines of an account; of one that is closed, the value alone."""
    held, cash = _held(a, book, values, recovery, closed), book.cash[a]
    entry = book.entry[a] if book.mark[a] & ENTRY else 0.0
    return _Lines(
        held.weighted - entry + max(cash, 0.0),
        held.debt + max(-cash, 0.0),
        held.maintenance,
        held.equity + (cash - entry),
        held.value + (cash - entry),
    )


@compiled
def _owes(value: float, less: float, deficits: Floats) -> None:
    """Write jump and bend of the deficit (2, edges) of an account that has sold all."""
    if value < 0.0:
        deficits[0, 0] -= value
        deficits[1, 0] += less
    elif value < less:
        edge = int(np.floor(value / less * GRID)) + 1
        if edge < GRID:
            deficits[0, edge] += max(0.0, edge / GRID * less - value)
            deficits[1, edge] += less


@compiled
def _sell(a: int, book: Packed, units: Floats, edge: int, jump: float, bend: float) -> None:
    """Write jump and bend of the share that an account sells, as units (2, assets, edges) of what it holds."""
    for p in range(book.start[a], book.start[a + 1]):
        units[0, book.column[p], edge] += book.quantity[p] * jump
        units[1, book.column[p], edge] += book.quantity[p] * bend


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
    for g in range(group, end):
        for a in range(bounds[g], bounds[g + 1]):
            before = liquidated[a]
            if before == 0.0:
                left_over = spare[a]
                for p in range(book.start[a], book.start[a + 1]):
                    left_over += book.quantity[p] * surplus[book.column[p]]
                if left_over >= 0.0:
                    continue
            closed, terms = before >= 1.0, book.rules[book.rule[a]]
            at, less = _at(a, book, values, recovery, closed), _held(a, book, falls, cut, closed)
            short = deficits[g, :, book.platform[book.rule[a]]]
            if closed:
                _owes(at.value, less.value, short)
                continue
            floor = book.stop_loss[a] * opening[a] if book.mark[a] & STOP else -np.inf
            share, slope = _piece(terms, floor, at, less, 0.0, before)
            felt = not (immune.size and immune[a])
            if felt and (share > before or slope > 0.0):
                _sell(a, book, units[g], 0, share - before, slope)
            owing = owing_slope = 0.0
            if share >= 1.0 and at.value < 0.0:
                owing, owing_slope = -at.value, less.value
                short[0, 0] += owing
                short[1, 0] += owing_slope
            event = _event(terms, floor, at, less)
            edge = int(np.floor(event * GRID)) + 1 if event < 1.0 else GRID
            if edge >= GRID:
                continue
            left = edge / GRID
            there = _Lines(
                at.weighted - left * less.weighted,
                at.debt - left * less.debt,
                at.maintenance - left * less.maintenance,
                at.equity - left * less.equity,
                at.value - left * less.value,
            )
            later, later_slope = _piece(terms, floor, there, less, left, before)
            if felt:
                _sell(a, book, units[g], edge, later - (share + slope * left), later_slope - slope)
            if later >= 1.0 and there.value < 0.0:
                short[0, edge] += -there.value - (owing + owing_slope * left)
                short[1, edge] += less.value - owing_slope

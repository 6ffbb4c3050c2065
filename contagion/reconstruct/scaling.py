"""Rows and columns scaled until they add up: x_ij = r_i·c_j on the cells that are free."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contagion.clearing.network import Floats
from contagion.errors import InputError
from contagion.reconstruct.networks import EXACT
from contagion.reconstruct.totals import ROUNDING, Totals, infeasible

__all__ = ["even", "scaled"]

_EVERY = 100
"""Rounds of scaling between two looks for what slows it down."""

_SPARSE = 0.1
"""Share of free cells below which they are kept as a sparse array."""

_POLISH = 50


def even(liabilities: Floats, assets: Floats) -> Floats:
    """Return x_ij = r_i·c_j for i ≠ j, x_ii = 0, with these row and column sums.

    Let c add up to one and r to R. Then (1 − c)·r = l and (R − r)·c = a for each bank, two equations whose solution
    is c = ((R + a − l) − s)/2R with s² = (R − l − a)² − 4la; one bank at most, that of the largest (√l + √a)², may
    need −s. With t² = R/max(√l + √a)² − 1, and t < 0 for −s, the sum of c falls with t, and is one at one t.
    """
    total = float(liabilities.sum())
    matrix = np.zeros((liabilities.size, liabilities.size))
    if total == 0.0:
        return matrix
    owed, owned = liabilities / total, assets / assets.sum()
    centre = int(np.argmax(owed + owned))
    if owed[centre] + owned[centre] >= 1.0 - ROUNDING:  # all debts are to or of this one bank
        matrix[:, centre], matrix[centre, :] = liabilities, assets
    else:
        rows, columns = _factors(owed, owned)
        np.outer(rows * total, columns, out=matrix)
    np.fill_diagonal(matrix, 0.0)
    return matrix


def _factors(owed: Floats, owned: Floats) -> tuple[Floats, Floats]:
    """Return r and c for totals that add up to one."""
    from scipy.optimize import brentq

    def gap(t: float) -> float:
        small, complement = _shares(owed, owned, t)
        if t >= 0.0:
            return float(small.sum()) - 1.0
        first = int(np.argmax(_least(owed, owned)))
        return float(small.sum() - small[first] - complement[first])

    high = low = 1.0
    while gap(high) > 0.0:
        high *= 2.0
    while gap(-low) < 0.0:
        low *= 2.0
    small, complement = _shares(owed, owned, brentq(gap, -low, high, xtol=1e-300, rtol=1e-15))
    columns, rows = small, owed / complement
    centre = int(np.argmax(owed + owned))
    for _ in range(_POLISH):  # what rounding has left
        rows, columns = _in_blocks(owed, owned, rows, columns, centre)
        columns = _quotient(owned, _others(rows))
        gap_left = np.abs(rows * _others(columns) - owed)
        rows = _quotient(owed, _others(columns))
        if (gap_left <= 1e-15 * owed).all():
            break
    return rows, columns


def _in_blocks(owed: Floats, owned: Floats, rows: Floats, columns: Floats, centre: int) -> tuple[Floats, Floats]:
    """Return r and c scaled so that what the largest bank owes, is owed, and what is left among others add up.

    Where the largest bank leaves the others next to nothing, scaling rows and columns alone would take long to.
    """
    others = np.arange(owed.size) != centre
    left = float(owned[others].sum() - owed[centre])
    among = float((rows * _others(np.where(others, columns, 0.0)))[others].sum())
    out, back = rows[centre] * columns[others].sum(), columns[centre] * rows[others].sum()
    if not (left > 0.0 and among > 0.0):
        return rows, columns
    factor = left / among
    at_rows, at_columns = np.where(others, factor, 1.0), np.ones_like(owned)
    at_rows[centre] = owed[centre] / out if out > 0.0 else 1.0
    at_columns[centre] = owned[centre] / (back * factor) if back > 0.0 else 1.0
    return rows * at_rows, columns * at_columns


def _least(owed: Floats, owned: Floats) -> Floats:
    """Return the smallest R for which each bank's equations have a solution."""
    least: Floats = (np.sqrt(owed) + np.sqrt(owned)) ** 2
    return least


def _shares(owed: Floats, owned: Floats, t: float) -> tuple[Floats, Floats]:
    """Return c and 1 − c of each bank, both without cancellation."""
    least = _least(owed, owned)
    first = int(np.argmax(least))
    whole = least[first] * (1.0 + t * t)
    above = (least[first] - least) + least[first] * t * t
    root = np.sqrt(above * (whole - (np.sqrt(owed) - np.sqrt(owned)) ** 2))
    left, right = whole - owed + owned, whole + owed - owned
    small, complement = 2.0 * owned / (left + root), (right + root) / (2.0 * whole)
    if t < 0.0:
        small[first] = (left[first] + root[first]) / (2.0 * whole)
        complement[first] = 2.0 * owed[first] / (right[first] + root[first])
    return small, complement


def _others(values: Floats) -> Floats:
    """Return the sum of all other values for each, without taking it off the whole."""
    before, after = np.cumsum(values), np.cumsum(values[::-1])[::-1]
    found: Floats = np.append(0.0, before[:-1]) + np.append(after[1:], 0.0)
    return found


def _quotient(wanted: Floats, found: Floats) -> Floats:
    return np.divide(wanted, found, out=np.zeros_like(wanted), where=(found > 0.0) & (wanted > 0.0))


class _Tight(NamedTuple):
    """Rows whose debts take all that the columns open to them can bear; what others owe to these columns is zero."""

    rows: NDArray[np.bool_]
    columns: NDArray[np.bool_]


def scaled(totals: Totals, free: NDArray[np.bool_], max_rounds: int) -> tuple[Floats, int]:
    """Return x_ij = r_i·c_j on the free cells (n, n) with the totals' sums, and the rounds of scaling.

    Where totals leave some free cells nothing, scaling alone would take for ever to empty them; such cells are looked
    for every hundred rounds, and closed.

    Raises
    ------
    InputError
        If sets of banks show that no network fits.
    """
    open_cells = free & (totals.liabilities > 0.0)[:, None] & (totals.assets > 0.0)[None, :]
    mask = _operator(open_cells)
    columns, rows = totals.assets.copy(), np.zeros_like(totals.assets)
    close = 0.5 * EXACT * totals.liabilities + 5e-16 * totals.liabilities.sum()
    for number in range(1, max_rounds + 1):
        rows = _quotient(totals.liabilities, mask @ columns)
        columns = _quotient(totals.assets, mask.T @ rows)
        reached = rows * (mask @ columns)
        if (np.abs(reached - totals.liabilities) <= close).all():
            break
        if number % _EVERY == 0 and (found := _tight(totals, open_cells, reached)):
            for one in found:
                open_cells[np.ix_(~one.rows, one.columns)] = False
            mask = _operator(open_cells)
    return np.where(open_cells, np.outer(rows, columns), 0.0), number


def _operator(open_cells: NDArray[np.bool_]) -> Any:
    from scipy.sparse import csr_array

    if np.count_nonzero(open_cells) < _SPARSE * open_cells.size:
        return csr_array(open_cells.astype(np.float64))
    return open_cells.astype(np.float64)


def _tight(totals: Totals, open_cells: NDArray[np.bool_], reached: Floats) -> list[_Tight]:
    """Return sets of rows that fill all columns open to them, among those that scaling serves worst.

    Scaling serves rows of such a set less than they owe in every round; so they come first if rows are sorted by what
    they reach. A set that owes more than its columns bear is a proof that no network fits (Hall's theorem for flows).
    """
    listed = np.flatnonzero(totals.liabilities > 0.0)
    order = listed[np.argsort(reached[listed] / totals.liabilities[listed], kind="stable")]
    cells = open_cells[order]
    first = np.where(cells.any(axis=0), cells.argmax(axis=0), order.size)
    room = np.cumsum(np.bincount(first, totals.assets, minlength=order.size + 1))[: order.size]
    owed = np.cumsum(totals.liabilities[order])
    slack = ROUNDING * float(totals.liabilities.sum())
    worst = int(np.argmin(room - owed))
    if room[worst] < owed[worst] - slack:
        rows = np.isin(np.arange(reached.size), order[: worst + 1])
        raise InputError(infeasible(totals.labels, rows, float(owed[worst]), float(room[worst])), "max_entropy")
    found = []
    for place in np.flatnonzero(np.abs(room - owed) <= slack):
        one = _Tight(np.isin(np.arange(reached.size), order[: place + 1]), first <= place)
        found += [one] if open_cells[np.ix_(~one.rows, one.columns)].any() else []
    return found

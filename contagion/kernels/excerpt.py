"""Some of the accounts in a book of their own, where they stand close together in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from contagion.kernels.inputs import Floats, Ints
from contagion.kernels.jit import compiled
from contagion.kernels.packed import STOP, Packed, frozen, runs_of_tests
from contagion.kernels.threads import over_chunks

__all__ = ["excerpt", "places_of"]


def excerpt(book: Packed, rows: NDArray[Any]) -> Packed:
    """Return some of the accounts, ascending, as if there were no others; links between them are left out."""
    nobody = np.zeros(0, dtype=np.int64)
    linked, owned = places_of(book.linked, rows)[1], places_of(book.owned, rows)[1]
    rows = rows.astype(np.uint32)
    start, owed_start = _starts(book.start, rows), _starts(book.owed_start, rows)
    by_account = {name: getattr(book, name)[rows] for name in ("cash", "rule", "mark", "entry")}
    stops = np.flatnonzero(by_account["mark"] & STOP)
    stop_loss = np.full(rows.size, np.nan)
    stop_loss[stops] = book.stop_loss[rows[stops]]
    runs, tests = runs_of_tests(by_account["mark"])
    column, quantity = _entries(book.start, book.column, book.quantity, rows, start)
    owed_by, owed = _entries(book.owed_start, book.owed_by, book.owed, rows, owed_start)
    made = book._replace(
        start=start,
        column=column,
        quantity=quantity,
        **by_account,
        stop_loss=stop_loss,
        owed_start=owed_start,
        owed_by=owed_by,
        owed=owed,
        linked=linked,
        funded=nobody,
        source=nobody,
        owned=owned,
        runs=runs,
        tests=tests,
    )
    return frozen(made)


def places_of(accounts: Ints, rows: NDArray[Any]) -> tuple[Ints, Ints]:
    """Return which of some accounts are among the rows, which ascend, and where these stand among them."""
    place = np.searchsorted(rows, accounts)
    inside = np.flatnonzero(rows[np.minimum(place, rows.size - 1)] == accounts) if rows.size else place[:0]
    return inside, place[inside]


def _starts(start: NDArray[Any], rows: NDArray[np.uint32]) -> NDArray[Any]:
    """Return where the entries of some rows begin, once the others are gone."""
    made = np.zeros(rows.size + 1, dtype=start.dtype)
    np.cumsum(start[1:][rows] - start[rows], out=made[1:])
    return made


def _entries(
    start: NDArray[Any], number: NDArray[Any], value: Floats, rows: NDArray[np.uint32], into: NDArray[Any]
) -> tuple[NDArray[Any], Floats]:
    """Return numbers and values of the entries of some rows, each of which goes to where ``into`` says."""
    numbers, values = np.empty(int(into[-1]), dtype=number.dtype), np.empty(int(into[-1]))
    if values.size:
        over_chunks(_copy, rows.size, rows.size, rows, start, number, value, into, numbers, values)
    return numbers, values


@compiled
def _copy(
    first: int,
    last: int,
    rows: NDArray[np.uint32],
    start: NDArray[Any],
    number: NDArray[Any],
    value: Floats,
    into: NDArray[Any],
    numbers: NDArray[Any],
    values: Floats,
) -> None:
    ends = into[1:]
    for i in range(np.uint64(first), np.uint64(last)):
        behind = start[rows[i]]
        for place in range(into[i], ends[i]):
            entry = np.uint64(behind) + np.uint64(place) - np.uint64(into[i])
            numbers[place], values[place] = number[entry], value[entry]

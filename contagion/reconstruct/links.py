"""Debts as lists that moves change in place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contagion.clearing.network import Floats

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["BARRED", "FREE", "LONGEST", "Cycle", "Ints", "Links", "Places", "listed"]

FREE, BARRED = -1, -2
"""Places of cells without a debt: where one may come to be, and where none may."""

LONGEST = 64
"""Most debtors in a cycle that is walked."""

_SPARE = 8
"""Links that every list has room for beyond twice those it starts with."""

_BY_DEBTOR = np.dtype([("creditor", np.int32), ("place", np.int32), ("owed", np.float64), ("gain", np.float64)])
_BY_CREDITOR = np.dtype([("debtor", np.int32), ("place", np.int32)])
"""What is looked at together lies together in memory: a link is one line of the cache, not four."""

Ints = NDArray[np.int64]
Places = NDArray[np.int32]


class Links(NamedTuple):
    """Debts in lists by debtor and by creditor, one after the other with room between them.

    A link has a place in a debtor's list, where its amount is, and another in a creditor's; each knows the other. So a
    walk along links never looks at the table of all cells, which memory is slow to find, and lists stay in the cache.
    """

    in_row: Places  # (n, n) place of a link in its debtor's list, FREE or BARRED
    row_start: Ints  # (n + 1,) places of debtors' lists
    row_degree: Ints  # (n,)
    creditors: Places  # by place in a debtor's list, as the next three
    owed: Floats  # amounts
    gains: Floats  # what the density of a network gains by the link
    in_column: Places  # place in the creditor's list
    column_start: Ints  # (n + 1,) places of creditors' lists
    column_degree: Ints  # (n,)
    debtors: Places  # by place in a creditor's list, as the next
    in_rows: Places  # place in the debtor's list
    marks: Ints  # (3, n) of debtors, of creditors, and sums by place, of the last count of paths
    state: Ints  # whether some list has no room left, and the highest mark so far
    spare: Ints  # (4, LONGEST) for the cycle at hand

    @property
    def cells(self) -> tuple[Ints, Ints, Floats]:
        """Debtors, creditors and amounts of all links, by debtor."""
        rows = np.repeat(np.arange(self.row_degree.size), self.row_degree)
        places = _places(rows, self.row_degree, self.row_start)
        return rows, self.creditors[places].astype(np.int64), self.owed[places]

    @property
    def amounts(self) -> Floats:
        """The debts as a table (n, n)."""
        rows, columns, amounts = self.cells
        table = np.zeros(self.in_row.shape)
        table[rows, columns] = amounts
        return table

    def with_room(self) -> Links:
        """Return the same links in lists with room for more."""
        return _arranged(*self.cells, self.in_row)


class Cycle(NamedTuple):
    """Debtors and creditors in turn, and the places of the cells between them; the last of those across closes it."""

    rows: Ints
    columns: Ints
    down: Ints  # of what a debtor owes the creditor of the same step
    across: Ints  # of what the next debtor owes that creditor


def listed(network: csr_array, free: Any) -> Links:
    """Return the debts of a network; ``free`` (n, n) says which cells may have any."""
    cells = network.tocoo()
    order = np.argsort(cells.row, kind="stable")
    in_row = np.where(free, np.int32(FREE), np.int32(BARRED))
    return _arranged(cells.row[order].astype(np.int64), cells.col[order].astype(np.int64), cells.data[order], in_row)


def _arranged(rows: Ints, columns: Ints, amounts: Floats, in_row: Places) -> Links:
    """Return links, sorted by debtor, in lists with room; the table of places is written to."""
    size = in_row.shape[0]
    degrees = [np.bincount(ends, minlength=size) for ends in (rows, columns)]
    starts = [np.append(0, np.cumsum(np.minimum(2 * degree + _SPARE, size))) for degree in degrees]
    by_column = np.argsort(columns, kind="stable")
    first, second = _places(rows, degrees[0], starts[0]), np.empty_like(rows)
    second[by_column] = _places(columns[by_column], degrees[1], starts[1])
    one, two = np.zeros(starts[0][-1], dtype=_BY_DEBTOR), np.zeros(starts[1][-1], dtype=_BY_CREDITOR)
    one["creditor"][first], one["place"][first], one["owed"][first] = columns, second, amounts
    two["debtor"][second], two["place"][second] = rows, first
    in_row[rows, columns] = first
    by_debtor = (starts[0], degrees[0], one["creditor"], one["owed"], one["gain"], one["place"])
    scratch = (np.zeros(shape, dtype=np.int64) for shape in ((3, size), 2, (4, LONGEST)))
    return Links(in_row, *by_debtor, starts[1], degrees[1], two["debtor"], two["place"], *scratch)


def _places(ends: Ints, degrees: Ints, starts: Ints) -> Ints:
    """Return the places of links that are sorted by one of their ends."""
    before = np.cumsum(degrees) - degrees
    places: Ints = starts[ends] + np.arange(ends.size) - before[ends]
    return places

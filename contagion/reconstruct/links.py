"""Debts as lists that moves change in place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contagion.clearing.network import Floats

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["BARRED", "FREE", "Ints", "Links", "listed"]

FREE, BARRED = -1, -2
"""Places of cells without a debt: where one may come to be, and where none may."""

Ints = NDArray[np.int64]


class Links(NamedTuple):
    """Debts, and lists of each bank's creditors and debtors, out of which one can be drawn at once."""

    in_row: NDArray[np.int32]  # (n, n) place of a cell in its row's list, FREE or BARRED
    in_column: NDArray[np.int32]  # (n, n) place of a linked cell in its column's list
    row_list: NDArray[np.int32]  # (n, n) creditors of each bank, as many as its degree
    column_list: NDArray[np.int32]  # (n, n) debtors of each bank
    row_degree: Ints
    column_degree: Ints
    amounts: Floats  # (n, n)


def listed(network: csr_array, free: Any) -> Links:
    """Return the debts of a network; ``free`` (n, n) says which cells may have any."""
    cells, size = network.tocoo(), network.shape[0]
    in_row = np.where(free, FREE, BARRED).astype(np.int32)
    places = np.zeros((3, size, size), dtype=np.int32)  # pages of memory that no link needs stay unused
    degrees = np.zeros((2, size), dtype=np.int64)
    links = Links(in_row, places[0], places[1], places[2], degrees[0], degrees[1], np.zeros((size, size)))
    for row, column, amount in zip(cells.row, cells.col, cells.data, strict=True):
        links.in_row[row, column], links.in_column[row, column] = links.row_degree[row], links.column_degree[column]
        links.row_list[row, links.row_degree[row]] = column
        links.column_list[column, links.column_degree[column]] = row
        links.row_degree[row] += 1
        links.column_degree[column] += 1
        links.amounts[row, column] = amount
    return links

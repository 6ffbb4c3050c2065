"""Who holds what in which market: positions by market, and accounts by group and platform."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from contagion.arrays import Labels
from contagion.kernels import Inputs
from contagion.kernels.inputs import COLLATERAL, LONG, SHORT, Bools, Floats, Ints, Positions, sign_of, sum_by
from contagion.system import System

if TYPE_CHECKING:
    from scipy import sparse

__all__ = [
    "ASSETS",
    "Groups",
    "by_market",
    "diagonal",
    "empty",
    "entries",
    "gathered",
    "groups",
    "net_units",
    "opening_value",
    "placed",
    "positive",
    "scaled",
    "sums",
]

ASSETS = (COLLATERAL, LONG, SHORT)
"""Sides of positions that count as gross assets: collateral and perps."""


class Groups(NamedTuple):
    """Account groups, one for each group and platform, in the order of their names."""

    names: pd.Index[str]  # (g,) "whale @ Aave"
    group: pd.Index[str]  # (g,) "whale"
    platform: Ints  # (g,) node
    member: Ints  # (a,) group of each account

    def total(self, values: Floats) -> Floats:
        """Return the sums (g,) of values (a,)."""
        return sum_by(self.member, values, len(self.names))

    def rows(self, matrix: sparse.csr_array) -> sparse.csr_array:
        """Return the sums (g, ·) of the rows of a matrix (a, ·)."""
        count = self.member.size
        member = gathered(np.ones(count), self.member, np.arange(count), (len(self.names), count))
        summed: sparse.csr_array = (member @ matrix).tocsr()
        return summed


def groups(system: System, inputs: Inputs, labels: Labels) -> Groups:
    """Return the account groups of a system by group and platform: each stands under one rule book.

    Examples
    --------
    >>> from contagion import generate
    >>> from contagion.arrays import lower
    >>> system, fall = generate.system(accounts=1000)
    >>> list(groups(system, *lower(system, fall)).names[:2])
    ['borrower @ lender0', 'borrower @ lender1']
    """
    group, names = pd.factorize(system.accounts["group"].take(labels.account_rows), sort=True)
    size = max(len(labels.nodes), 1)
    keys, member = np.unique(group.astype(np.int64) * size + inputs.accounts.platform, return_inverse=True)
    group_of, platform = pd.Index(names).take(keys // size), keys % size
    joined = [f"{a} @ {b}" for a, b in zip(group_of, labels.nodes.take(platform), strict=True)]
    again = pd.Series(joined, dtype="str").groupby(joined).cumcount()  # "a" @ "b @ c" and "a @ b" @ "c" are two groups
    names_of = [f"{name} ({count + 1})" if count else name for name, count in zip(joined, again, strict=True)]
    return Groups(pd.Index(names_of, dtype="str"), group_of, platform, member.astype(np.int64))


def net_units(positions: Positions, rows: Ints | None = None) -> sparse.csr_array:
    """Return the units (a, m) that accounts hold net in each market, along platforms' routes; negative if owed.

    Of some ``rows`` of accounts only, if they are given.
    """
    return by_market(positions, sign_of(positions.side), np.ones(positions.route.shape[1]), rows)


def opening_value(positions: Positions, price: Floats, sides: tuple[int, ...]) -> sparse.csr_array:
    """Return the value (a, m) of the positions on the given sides at opening prices, perps at notional."""
    return by_market(positions, np.isin(positions.side, sides).astype(np.float64), price)


def by_market(
    positions: Positions, weight: Floats, price: Floats, rows: Ints | None = None, seen: bool = False
) -> sparse.csr_array:
    """Return units (a, m) times a weight by term column (k,) and a price by market (m,), along platforms' routes.

    Of some ``rows`` of accounts only, if they are given; through the oracles of platforms if ``seen``.
    """
    unit = scaled((positions.oracle if seen else positions.route)[positions.pair], weight, price)
    quantity = positions.quantity if rows is None else positions.quantity[rows]
    found: sparse.csr_array = (quantity @ unit).tocsr()
    return found


def placed(matrix: sparse.csr_array, rows: Ints, size: int) -> sparse.csr_array:
    """Return a matrix of ``size`` rows that has those of the given one at the places ``rows`` (sorted)."""
    from scipy import sparse  # loaded where it is used: it would double the import time of the package

    counts = np.zeros(size + 1, dtype=np.int64)
    counts[rows + 1] = np.diff(matrix.indptr)
    found: sparse.csr_array = sparse.csr_array(
        (matrix.data, matrix.indices, np.cumsum(counts)), shape=(size, matrix.shape[1])
    )
    return found


def scaled(matrix: sparse.csr_array, rows: Floats | None = None, columns: Floats | None = None) -> sparse.csr_array:
    """Return a matrix with each row, and each column, multiplied by a number."""
    found = matrix.copy()
    if rows is not None:
        found.data *= np.repeat(rows, np.diff(found.indptr))
    if columns is not None:
        found.data *= columns[found.indices]
    return found


def positive(matrix: sparse.csr_array) -> sparse.csr_array:
    """Return a matrix with zeros for its negative entries."""
    found = matrix.copy()
    found.data = np.maximum(found.data, 0.0)
    return found


def pattern(matrix: sparse.csr_array) -> sparse.csr_array:
    """Return where a matrix stores anything but zeros: its product with bools (columns,) says whom any reach."""
    from scipy import sparse  # loaded where it is used: it would double the import time of the package

    found: sparse.csr_array = sparse.csr_array((matrix.data != 0.0, matrix.indices, matrix.indptr), shape=matrix.shape)
    return found


def chosen(matrix: sparse.csr_array, keep: Bools) -> sparse.csr_array:
    """Return a matrix with some of what it stores."""
    from scipy import sparse  # loaded where it is used: it would double the import time of the package

    if keep.all():
        return matrix
    place = np.zeros(keep.size + 1, dtype=matrix.indptr.dtype)
    np.cumsum(keep, out=place[1:])
    parts = (matrix.data[keep], matrix.indices[keep], place[matrix.indptr])
    found: sparse.csr_array = sparse.csr_array(parts, shape=matrix.shape)
    return found


def gathered(values: Floats, rows: Ints, columns: Ints, shape: tuple[int, int]) -> sparse.csr_array:
    """Return the matrix that holds each value at its row and column; values of one place add up."""
    from scipy import sparse  # loaded where it is used: it would double the import time of the package

    found: sparse.csr_array = sparse.coo_array((values, (rows, columns)), shape=shape).tocsr()
    return found


def diagonal(values: Floats) -> sparse.csr_array:
    """Return the square matrix with these values on its diagonal."""
    from scipy import sparse  # loaded where it is used: it would double the import time of the package

    found: sparse.csr_array = sparse.diags_array(values).tocsr()
    return found


def empty(shape: tuple[int, int]) -> sparse.csr_array:
    """Return a matrix without entries."""
    nothing = np.zeros(0, dtype=np.int64)
    return gathered(np.zeros(0), nothing, nothing, shape)


def sums(matrix: sparse.csr_array, axis: int) -> Floats:
    """Return the sums of a matrix over its rows (axis 0) or its columns (axis 1)."""
    return np.asarray(matrix.sum(axis=axis), dtype=np.float64)


def entries(matrix: sparse.csr_array) -> tuple[Ints, Ints, Floats]:
    """Return the rows, columns and values of what a matrix stores."""
    listed = matrix.tocoo()
    return listed.row.astype(np.int64), listed.col.astype(np.int64), listed.data.astype(np.float64)

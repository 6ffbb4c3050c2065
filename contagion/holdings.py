"""Who holds what in which market: positions by market, and accounts by group and platform."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse

from contagion.arrays import Labels
from contagion.kernels import Inputs
from contagion.kernels.inputs import COLLATERAL, DEBT, LONG, SHORT, Floats, Ints, Positions, sum_by
from contagion.system import System

__all__ = ["ASSETS", "Groups", "entries", "groups", "net_units", "opening_value", "sums"]

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
        ones = np.ones(self.member.size)
        shape = (len(self.names), self.member.size)
        member = sparse.csr_array((ones, (self.member, np.arange(self.member.size))), shape=shape)
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
    return Groups(pd.Index(joined, dtype="str"), group_of, platform, member.astype(np.int64))


def net_units(positions: Positions) -> sparse.csr_array:
    """Return the units (a, m) that accounts hold net in each market, along platforms' routes; negative if owed."""
    sign = np.where((positions.side == DEBT) | (positions.side == SHORT), -1.0, 1.0)
    return _by_market(positions, sign, np.ones(positions.route.shape[1]))


def opening_value(positions: Positions, price: Floats, sides: tuple[int, ...]) -> sparse.csr_array:
    """Return the value (a, m) of the positions on the given sides at opening prices, perps at notional."""
    return _by_market(positions, np.isin(positions.side, sides).astype(np.float64), price)


def _by_market(positions: Positions, weight: Floats, price: Floats) -> sparse.csr_array:
    """Return units times a weight by term column (k,) and a price by market (m,), along the routes."""
    unit = sparse.diags_array(weight) @ positions.route[positions.pair] @ sparse.diags_array(price)
    found: sparse.csr_array = (positions.quantity @ unit).tocsr()
    return found


def sums(matrix: sparse.csr_array, axis: int) -> Floats:
    """Return the sums of a matrix over its rows (axis 0) or its columns (axis 1)."""
    return np.asarray(matrix.sum(axis=axis), dtype=np.float64)


def entries(matrix: sparse.csr_array) -> tuple[Ints, Ints, Floats]:
    """Return the rows, columns and values of what a matrix stores."""
    listed = matrix.tocoo()
    return listed.row.astype(np.int64), listed.col.astype(np.int64), listed.data.astype(np.float64)

"""Names to numbers: the labels of the solver's arrays, and rows in canonical order."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contagion.kernels.inputs import Bools, Codes, Floats, Ints
from contagion.system import System

if TYPE_CHECKING:
    from scipy import sparse


_MANY = 8
"""Times as many names in an index as there are to be found, from which most of the index is left aside first."""

_FEW = 300
"""Names that a dictionary has looked up before pandas has made its columns."""


class Names(NamedTuple):
    """Names of everything that has one, in canonical order; the position of a name is its number in the arrays."""

    nodes: pd.Index[str]
    assets: pd.Index[str]
    markets: pd.Index[str]
    accounts: pd.Index[str]


class Labels(NamedTuple):
    """`Names`, what sets every term column apart, and where rows came from."""

    nodes: pd.Index[str]
    assets: pd.Index[str]
    markets: pd.Index[str]
    accounts: pd.Index[str]
    columns: pd.DataFrame  # (k,) platform, mode, asset and side, and weight and maintenance of positions that have own
    quote_rows: Ints  # row in system.quotes of each quote
    account_rows: Ints  # row in system.accounts of each account


def in_order(frame: pd.DataFrame, key: str) -> tuple[pd.DataFrame, Ints]:
    """Return a frame sorted by a column of names, and the row that each of its rows had."""
    rows: Ints = frame[key].argsort(kind="stable").to_numpy().astype(np.int64)
    return frame.take(rows), rows


def by_shape(system: System) -> tuple[pd.DataFrame, Ints, Ints]:
    """Return accounts by shape and name, the row each had, and the account of each position.

    Accounts of one shape (platform, whether they have more to do than to be liquidated, number of positions) stand
    together, so that a pass over them runs the same few branches many times over memory that lies together.
    """
    accounts, rows = in_order(system.accounts, "account")
    holder = code(system.positions["account"], pd.Index(accounts["account"]))
    held = np.bincount(holder, minlength=len(accounts))
    platform = pd.factorize(accounts["platform"], sort=True)[0]
    order = np.lexsort((held, _more_to_do(accounts), platform))
    number = np.empty(order.size, dtype=np.int64)
    number[order] = np.arange(order.size)
    return accounts.take(order), rows[order], number[holder]


def _more_to_do(accounts: pd.DataFrame) -> Bools:
    """Return which accounts answer calls, stop losses or belong to a node, as their own rows say.

    Other tables, by which accounts quote or fund others, are not asked: a part of a system does without them, and has
    to find the same order.
    """
    owned = accounts["owner"].notna() & (accounts["owner"] != "")
    more: Bools = (owned | accounts["stop_loss"].notna() | (accounts["call_policy"] != "none")).to_numpy()
    return more


def code(names: pd.Series[Any], index: pd.Index[str]) -> Ints:
    """Return the position of each name, -1 where it is not one of them; names of the index are unique."""
    if names.empty:
        return np.zeros(0, dtype=np.int64)
    if len(index) + len(names) < _FEW:
        known = {name: number for number, name in enumerate(index.tolist())}
        return np.array([known.get(name, -1) for name in names.tolist()], dtype=np.int64)
    if _MANY * len(names) < len(index):  # only those of the index that are named have to be told apart
        among = np.flatnonzero(index.isin(names))
        few, some = code(names, index[among]), np.full(len(names), -1, dtype=np.int64)
        some[few >= 0] = among[few[few >= 0]]
        return some
    # one pass over both, several times as fast as looking names up in an index of strings
    joined = pd.concat([pd.Series(index, dtype="str"), names.astype("str")], ignore_index=True)
    found: Ints = pd.factorize(joined)[0][len(index) :].astype(np.int64)
    found[found >= len(index)] = -1
    return found


def floats(values: pd.Series[Any]) -> Floats:
    """Return a column of numbers as an array."""
    return values.to_numpy(dtype=np.float64)


def choice(values: pd.Series[Any], words: tuple[str, ...]) -> Codes:
    """Return the position of each word among the allowed ones."""
    return code(values, pd.Index(words)).astype(np.int8)


def matrix(values: Floats, rows: Ints, columns: Ints, shape: tuple[int, int]) -> sparse.csr_array:
    """Return a sparse matrix whose entries stand in canonical order: by row, then column, then value."""
    from scipy import sparse  # loaded where it is used: it would double the import time of the package

    built: sparse.csr_array = sparse.coo_array((values, (narrow(rows), narrow(columns))), shape=shape).tocsr()
    if built.nnz < values.size:  # entries that were added need an order of their own
        order = by_cell_and_value(rows * shape[1] + columns, values)
        built = sparse.coo_array((values[order], (rows[order], columns[order])), shape=shape).tocsr()
    built.sum_duplicates()
    return built


def narrow(numbers: Ints) -> NDArray[Any]:
    """Return numbers of rows in 32 bits, if they are as small; the largest tables of a solve are made of them."""
    return (
        numbers.astype(np.int32) if numbers.size and -(1 << 31) < numbers.min() <= numbers.max() < 1 << 31 else numbers
    )


def release() -> None:
    """Hand memory that columns of text no longer need back to the machine, for arrays cannot use it."""
    if "pyarrow" in sys.modules:
        sys.modules["pyarrow"].default_memory_pool().release_unused()


def by_cell_and_value(cell: Ints, values: Floats) -> Ints:
    """Return the order of entries by cell, then value; only those that share a cell are sorted by both."""
    order = np.argsort(cell)
    twin = np.flatnonzero(np.diff(cell[order]) == 0)
    shared = np.union1d(twin, twin + 1)
    rows = order[shared]
    order[shared] = rows[np.lexsort((values[rows], cell[rows]))]
    return order

"""Names to numbers: the labels of the solver's arrays, and sparse matrices in canonical order."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contagion.kernels.inputs import Codes, Floats, Ints
from contagion.lookup import code, sorted_rows

if TYPE_CHECKING:
    from scipy import sparse


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


def in_order(frame: pd.DataFrame, key: str) -> pd.DataFrame:
    """Return a frame sorted by a column of names."""
    return frame.take(sorted_rows(frame[key]))


def floats(values: pd.Series[Any]) -> Floats:
    """Return a column of numbers as an array."""
    return values.to_numpy(dtype=np.float64)


def choice(values: pd.Series[Any], words: tuple[str, ...]) -> Codes:
    """Return the position of each word among the allowed ones."""
    return code(values, pd.Index(words)).astype(np.int8)


def matrix(values: Floats, rows: Ints, columns: Ints, shape: tuple[int, int]) -> sparse.csr_array:
    """Return a sparse matrix whose entries stand in canonical order: by row, then column, then value."""
    from scipy import sparse  # loaded where it is used: it would double the import time of the package

    order = by_cell_and_value(rows * np.int64(shape[1]) + columns, values)
    start = np.zeros(shape[0] + 1, dtype=np.int64)
    np.cumsum(np.bincount(rows, minlength=shape[0]), out=start[1:])
    built: sparse.csr_array = sparse.csr_array((values[order], narrow(columns)[order], narrow(start)), shape=shape)
    built.sum_duplicates()
    return built


def by_cell_and_value(cell: Ints, values: Floats) -> Ints:
    """Return the order of entries by cell, then value; only those that share a cell are sorted by both.

    Tables tend to list the cells of one row after the other, which a stable sort makes use of.
    """
    order = np.argsort(cell, kind="stable")
    in_turn = cell[order]
    again = in_turn[1:] == in_turn[:-1]
    if again.any():
        shared = np.flatnonzero(np.append(again, False) | np.append(False, again))
        rows = order[shared]
        order[shared] = rows[np.lexsort((values[rows], in_turn[shared]))]
    return order


def narrow(numbers: NDArray[Any]) -> NDArray[Any]:
    """Return numbers of rows in 32 bits, if they are as small; the largest tables of a solve are made of them."""
    small = -(1 << 31) < numbers.min(initial=0) <= numbers.max(initial=0) < 1 << 31
    return numbers.astype(np.int32, copy=False) if small else numbers


def release() -> None:
    """Hand memory that columns of text no longer need back to the machine, for arrays cannot use it."""
    if "pyarrow" in sys.modules:
        sys.modules["pyarrow"].default_memory_pool().release_unused()

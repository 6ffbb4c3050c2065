"""Names looked up among names: every string is hashed once, by arrow where pandas holds names in its arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["FEW", "code", "listed", "repeated", "sorted_rows"]

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Texts = pd.Series | pd.Index

_MANY = 8
"""Times as many names in an index as there are to be found, from which most of the index is left aside first."""

FEW = 300
"""Names that a dictionary has looked up before pandas has made its columns."""


def code(names: pd.Series[Any], index: pd.Index[str]) -> Ints:
    """Return the position of each name, -1 where it is not one of them; names of the index are unique."""
    if names.empty:
        return np.zeros(0, dtype=np.int64)
    if len(index) + len(names) < FEW:
        known = {name: number for number, name in enumerate(index.tolist())}
        return np.array([known.get(name, -1) for name in names.tolist()], dtype=np.int64)
    if _MANY * len(names) < len(index):  # only those of the index that are named have to be told apart
        among = np.flatnonzero(listed(index, names))
        few, some = code(names, index[among]), np.full(len(names), -1, dtype=np.int64)
        some[few >= 0] = among[few[few >= 0]]
        return some
    if _in_arrow(names, index):
        from pyarrow import compute

        found = compute.index_in(_arrow(names), value_set=_arrow(index), skip_nulls=True)
        return np.asarray(found.fill_null(-1)).astype(np.int64)
    # one pass over both, several times as fast as looking names up in an index of strings
    joined = pd.concat([pd.Series(index, dtype="str"), names.astype("str")], ignore_index=True)
    codes: Ints = pd.factorize(joined)[0][len(index) :].astype(np.int64)
    codes[codes >= len(index)] = -1
    return codes


def listed(names: Texts, among: Texts) -> Bools:
    """Return which of the names are among others."""
    if _in_arrow(names, among):
        from pyarrow import compute

        return np.asarray(compute.is_in(_arrow(names), value_set=_arrow(among), skip_nulls=True))
    return np.asarray(names.isin(among), dtype=np.bool_)


def sorted_rows(names: pd.Series[str]) -> Ints:
    """Return the rows of a column in the order of its names; tables often are in it already."""
    if _ascend(names):
        return np.arange(len(names), dtype=np.int64)
    return names.argsort(kind="stable").to_numpy().astype(np.int64)


def repeated(names: pd.Series[str]) -> Bools:
    """Return which rows of a column have the name of an earlier one."""
    return np.zeros(len(names), dtype=np.bool_) if _ascend(names) else names.duplicated().to_numpy()


def _ascend(names: pd.Series[str]) -> bool:
    """Return whether each name is above the one before, as far as it can be told at once."""
    if not _in_arrow(names):
        return False
    from pyarrow import compute

    held = _arrow(names)
    return bool(compute.all(compute.less(held[:-1], held[1:]), skip_nulls=False).as_py())


def _in_arrow(*columns: Texts) -> bool:
    """Return whether columns are held in arrow's arrays, as pandas does if it finds pyarrow."""
    return all(getattr(column.dtype, "storage", "") == "pyarrow" for column in columns)


def _arrow(names: Texts) -> Any:
    """Return the array that holds the names, without copying it."""
    import pyarrow

    return pyarrow.array(names.array)

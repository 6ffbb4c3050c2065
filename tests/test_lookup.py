"""Names looked up among names, against a dictionary: with arrow's arrays and without, few and many."""

from typing import Literal

import numpy as np
import pandas as pd
import pytest

from contagion.lookup import FEW, code, listed, repeated, sorted_rows

Storage = Literal["pyarrow", "python"]

STORAGES = ["pyarrow", "python"]
SIZES = [(0, 5), (5, 0), (20, 30), (FEW, 2 * FEW), (4 * FEW, FEW), (40, 9 * FEW)]


def drawn(seed: int, count: int, storage: Storage) -> "pd.Series[str]":
    """Return names of several lengths, many of them twice, some empty; in two pieces, as concatenation leaves."""
    numbers = np.random.default_rng(seed).integers(0, 2 * count + 1, count)
    names = ["" if number % 10 == 0 else f"ä{number}" if number % 3 else f"name {number:09}" for number in numbers]
    dtype = pd.StringDtype(storage, na_value=np.nan)
    halves = [pd.Series(half, dtype=dtype) for half in (names[: count // 2], names[count // 2 :])]
    return pd.concat(halves, ignore_index=True)


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize(("count", "size"), SIZES)
def test_names_are_found_where_a_dictionary_finds_them(count: int, size: int, storage: Storage) -> None:
    names, index = drawn(1, count, storage), pd.Index(drawn(2, size, storage).unique())
    known = {name: number for number, name in enumerate(index.tolist())}
    expected = [known.get(name, -1) for name in names.tolist()]
    assert code(names, index).tolist() == expected
    assert listed(names, index).tolist() == [number >= 0 for number in expected]
    assert listed(index, names).tolist() == [name in set(names.tolist()) for name in index.tolist()]


@pytest.mark.parametrize("storage", STORAGES)
def test_missing_names_are_nowhere(storage: Storage) -> None:
    dtype = pd.StringDtype(storage, na_value=np.nan)
    names = pd.Series(["b", np.nan, "a"] * FEW, dtype=dtype)
    assert code(names, pd.Index(["a", "b"], dtype=dtype)).tolist() == [1, -1, 0] * FEW


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("count", [0, 1, 2, 500])
def test_rows_in_order_of_names_and_repeated_names(count: int, storage: Storage) -> None:
    names = drawn(3, count, storage)
    ascending = pd.Series(names.unique(), dtype=names.dtype).sort_values().reset_index(drop=True)
    for each in (names, ascending, ascending[::-1].reset_index(drop=True)):
        rows, cells = sorted_rows(each), each.tolist()
        assert [cells[row] for row in rows] == sorted(cells)
        assert sorted(rows.tolist()) == list(range(len(cells)))
        assert repeated(each).tolist() == [cell in cells[:row] for row, cell in enumerate(cells)]

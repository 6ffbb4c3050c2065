"""Parts of sparse matrices against dense arithmetic."""

import numpy as np
import pytest
from scipy import sparse

from contagion import holdings
from tests.seeds import some


def random(seed: int) -> sparse.csr_array:
    """Return a matrix with empty rows and columns that also stores zeros and negative entries."""
    rng = np.random.default_rng(seed)
    rows, columns = int(rng.integers(0, 8)), int(rng.integers(1, 8))
    stored = rng.random((rows, columns)) < 0.4
    row, column = np.nonzero(stored)
    return holdings.gathered(rng.integers(-1, 2, row.size).astype(np.float64), row, column, (rows, columns))


@pytest.mark.parametrize("seed", some(20))
def test_a_pattern_says_whom_any_reach(seed: int) -> None:
    matrix = random(seed)
    any_of = np.random.default_rng(seed).random(matrix.shape[1]) < 0.5
    expected = ((matrix.toarray() != 0.0) & any_of).any(axis=1)
    found = holdings.pattern(matrix) @ any_of
    assert found.dtype == np.bool_
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("seed", some(20))
def test_what_is_not_chosen_is_gone_and_the_matrix_stays(seed: int) -> None:
    matrix = random(seed)
    before = matrix.toarray()
    keep = np.random.default_rng(seed).random(matrix.nnz) < 0.5
    row, column, value = holdings.entries(matrix)
    expected = np.zeros(matrix.shape)
    expected[row[keep], column[keep]] = value[keep]
    found = holdings.chosen(matrix, keep)
    assert found.nnz == keep.sum()
    assert np.array_equal(found.toarray(), expected)
    assert np.array_equal(matrix.toarray(), before)

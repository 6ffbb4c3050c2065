"""Fixed cuts of the accounts: sums run inside each chunk in the order of the rows, then over chunks in their order.

The cuts depend on the size of the system alone, so a sum has the same bits on any number of threads or workers, and
whether scipy or a compiled kernel takes it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from contagion.kernels.inputs import Floats, Ints, sum_by

if TYPE_CHECKING:
    from scipy import sparse

COMPILED_FROM = 100_000
"""Positions from which a compiled pass is worth its loading; smaller systems take sparse products."""

_ACCOUNTS = 8192
_CHUNKS = 256


def chunk_size(accounts: int) -> int:
    """Return how many accounts a chunk holds: 8,192, or more so that there are at most 256 chunks."""
    return max(_ACCOUNTS, -(-accounts // _CHUNKS))


def bounds(accounts: int, of: int | None = None) -> Ints:
    """Return the first account of each chunk, and the end (c + 1,).

    Of a part of a system, chunks are as large as those of the whole, which has ``of`` accounts.
    """
    size = chunk_size(accounts if of is None else of)
    return (
        np.minimum(np.arange(0, accounts + size, size, dtype=np.int64), accounts)
        if accounts
        else np.zeros(1, dtype=np.int64)
    )


def sum_by_chunk(group: Ints, values: Floats, size: int) -> Floats:
    """Return the sum of the values (a,) in each of ``size`` groups, chunk by chunk."""
    total = np.zeros(size)
    for first, last in pairwise(bounds(group.size).tolist()):
        total += sum_by(group[first:last], values[first:last], size)
    return total


def sums_of_some(rows: Ints, group: Ints, values: Floats, size: int, cuts: Ints) -> Floats:
    """Return the sums (c, size) by chunk and group of the values of some rows, which ascend."""
    chunk = np.searchsorted(cuts, rows, side="right") - 1
    return sum_by(chunk * size + group, values, (cuts.size - 1) * size).reshape(cuts.size - 1, size)


def column_sums(matrix: sparse.csr_array, weights: Floats) -> Floats:
    """Return matrixᵀ·weights (k,), chunk by chunk."""
    return in_order(column_sums_by_chunk(matrix, weights, bounds(weights.size)))


def column_sums_by_chunk(matrix: sparse.csr_array, weights: Floats, cuts: Ints) -> Floats:
    """Return matrixᵀ·weights of each chunk (c, k)."""
    if matrix.nnz >= COMPILED_FROM:
        from contagion.kernels import sparse_products  # loads the compiler

        return sparse_products.column_sums_by_chunk(matrix, weights, cuts)
    from scipy import sparse  # loaded where it is used: it would double the import time of the package

    sums = np.zeros((cuts.size - 1, matrix.shape[1]))
    for chunk, (first, last) in enumerate(pairwise(cuts.tolist())):
        start, end = matrix.indptr[first], matrix.indptr[last]
        rows = (matrix.data[start:end], matrix.indices[start:end], matrix.indptr[first : last + 1] - start)
        sums[chunk] = sparse.csr_array(rows, shape=(last - first, matrix.shape[1])).T @ weights[first:last]
    return sums


def row_sums(matrix: sparse.csr_array, values: Floats) -> Floats:
    """Return matrix·values (a, v)."""
    if matrix.nnz >= COMPILED_FROM:
        from contagion.kernels import sparse_products  # loads the compiler

        return sparse_products.row_sums(matrix, values, bounds(matrix.shape[0]))
    product: Floats = matrix @ values
    return product


def in_order(parts: Floats) -> Floats:
    """Return the sum of the rows, one after the other; numpy's own sum may take them in pairs."""
    if not parts.size:
        return np.zeros(parts.shape[1])
    total: Floats = np.add.accumulate(parts, axis=0)[-1]
    return total

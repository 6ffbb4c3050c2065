"""Sparse products over chunks of accounts, compiled and in parallel; the same bits as scipy's, chunk by chunk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from contagion.kernels.inputs import Floats, Ints
from contagion.kernels.jit import compiled
from contagion.kernels.threads import over_chunks

if TYPE_CHECKING:
    from scipy import sparse


def row_sums(matrix: sparse.csr_array, values: Floats, bounds: Ints) -> Floats:
    """Return matrix·values (a, v), the sums of each value side by side."""
    out = np.empty((values.shape[1], matrix.shape[0]))
    over_chunks(_row_sums, bounds.size - 1, out.shape[1], *_unsigned(matrix), values, bounds, out)
    return out.T


def column_sums_by_chunk(matrix: sparse.csr_array, weights: Floats, bounds: Ints) -> Floats:
    """Return matrixᵀ·weights of each chunk (c, k)."""
    out = np.zeros((bounds.size - 1, matrix.shape[1]))
    over_chunks(_column_sums, bounds.size - 1, weights.size, *_unsigned(matrix), weights, bounds, out)
    return out


def _unsigned(matrix: sparse.csr_array) -> tuple[NDArray[Any], NDArray[Any], Floats]:
    """Return starts of rows, columns and entries; places are unsigned, see `contagion.kernels.packed.Packed`."""
    start, column = (each.view(f"u{each.itemsize}") for each in (matrix.indptr, matrix.indices))
    return start, column, matrix.data


@compiled
def _row_sums(
    chunk: int,
    end: int,
    start: NDArray[Any],
    column: NDArray[Any],
    quantity: Floats,
    values: Floats,
    bounds: Ints,
    out: Floats,
) -> None:
    ends = start[1:]
    for a in range(np.uint64(bounds[chunk]), np.uint64(bounds[end])):
        for v in range(np.uint64(values.shape[1])):
            total = 0.0
            for p in range(start[a], ends[a]):
                total += quantity[p] * values[column[p], v]
            out[v, a] = total


@compiled
def _column_sums(
    chunk: int,
    end: int,
    start: NDArray[Any],
    column: NDArray[Any],
    quantity: Floats,
    weights: Floats,
    bounds: Ints,
    out: Floats,
) -> None:
    ends = start[1:]
    for c in range(chunk, end):
        for a in range(np.uint64(bounds[c]), np.uint64(bounds[c + 1])):
            for p in range(start[a], ends[a]):
                out[c, column[p]] += quantity[p] * weights[a]

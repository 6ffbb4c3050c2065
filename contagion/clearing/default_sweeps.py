"""Distress after each default in turn, by compiled sweeps over scenarios side by side.

A sweep is of Gauss–Seidel: each node at once sees what those before it have now. The slowest part of the error is the
one along Perron's vectors of the leverage matrix Λ; it is taken out again and again (a Galerkin correction). From
whatever side the point is reached, it is the one that rounds from below end in: where a default arrives,
h ↦ min(1, s + Λ h) is concave with h(0) > 0 and has one fixed point, and elsewhere h stays zero.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contagion.clearing.distress import ALL
from contagion.clearing.network import Floats
from contagion.kernels.jit import compiled

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["defaults"]

_LANES = 64
"""Scenarios side by side: 32 to 128 were equally fast, 16 and 256 slower by two thirds."""

_LINKS = 4
"""Links that `_add` adds at a time, so that sums are loaded and stored once for four of them."""

_CORRECTED = 40
"""Sweeps of which every second is followed by a correction; what has not settled by then may be disturbed by them."""

_POWERS = 50
"""Products in which Perron's vectors are found: a rough direction is enough for a correction."""

Ints = NDArray[np.int64]


class _Slow(NamedTuple):
    """The slow part of an error: where it points, and what it is after a sweep."""

    right: Floats  # (n,) v of Λ v = ρ v
    above: Floats  # (n,) Σ over i < j of uᵢ Λᵢⱼ: by this a sweep's increments stand in what the next one moves
    room: float  # (1 − ρ) u·v; zero or less for none

    @classmethod
    def of(cls, matrix: csr_array) -> _Slow:
        """Return it for Λ, from a few powers of it."""
        from scipy.sparse import triu

        count = matrix.shape[0]
        right, left, back = np.ones(count), np.ones(count), matrix.T.tocsr()
        shift = float(matrix.sum()) / (2.0 * count)  # for cycles, on which several eigenvalues are equally large
        for _ in range(_POWERS):
            right, left = matrix @ right + shift * right, back @ left + shift * left
            right, left = right / max(right.max(), 1e-300), left / max(left.max(), 1e-300)
        above = np.asarray(triu(matrix, 1).tocsr().T @ left)
        return cls(right, above, float(left @ right - left @ (matrix @ right)))


def defaults(
    matrix: csr_array, weights: Floats, equity: Floats, tol: float, max_rounds: int
) -> tuple[Floats, bool, int, float]:
    """Return sums over all others (4, n), a default a column; whether all settled, most sweeps, the largest residual.

    Sums are of weight × distress, equity × distress, equity × distress before the cap, and the count of defaults. A
    scenario has settled when a round from where it stands moves nothing by more than a share ``tol``.
    """
    count = equity.size
    slow, links = _Slow.of(matrix), _padded(matrix)
    blocks = -(-count // _LANES)
    sums, gaps, sweeps = np.zeros((blocks, 4, _LANES)), np.zeros(blocks), np.zeros(blocks, dtype=np.int64)
    settled = np.zeros(blocks, dtype=np.bool_)

    def work(block: int) -> None:
        _block(block, *links, *slow, weights, equity, tol, max_rounds, sums, gaps, sweeps, settled)

    pool = ThreadPoolExecutor(os.cpu_count())  # compiled code leaves the interpreter free
    try:
        list(pool.map(work, range(blocks)))
    finally:
        pool.shutdown(cancel_futures=True)  # whoever interrupts waits for the blocks at work, not for all
    flat = np.moveaxis(sums, 1, 0).reshape(4, -1)[:, :count]
    return flat, bool(settled.all()), int(sweeps.max(initial=0)), float(gaps.max(initial=0.0))


def _padded(matrix: csr_array) -> tuple[Ints, NDArray[np.int32], Floats]:
    """Return starts, columns and shares of Λ by row, with zeros at the end of each to a full number of `_LINKS`."""
    degree = np.diff(matrix.indptr)
    start = np.append(0, np.cumsum(np.maximum(-(-degree // _LINKS), 1) * _LINKS))
    column, share = np.zeros(start[-1], dtype=np.int32), np.zeros(start[-1])
    place = np.arange(matrix.nnz) + np.repeat(start[:-1] - matrix.indptr[:-1], degree)
    column[place], share[place] = matrix.indices, matrix.data
    return start, column, share


@compiled
def _block(
    block: int,
    start: Ints,
    column: NDArray[np.int32],
    share: Floats,
    right: Floats,
    above: Floats,
    room: float,
    weights: Floats,
    equity: Floats,
    tol: float,
    max_rounds: int,
    sums: Floats,
    gaps: Floats,
    sweeps: Ints,
    settled: NDArray[np.bool_],
) -> None:
    """Settle the defaults of one node for each lane, in a row, and add up what they do."""
    size, lanes = start.size - 1, sums.shape[2]
    first = block * lanes
    distress, row, pull, beyond = np.zeros((size, lanes)), np.zeros(lanes), np.zeros(lanes), np.zeros(lanes)
    for lane in range(min(lanes, size - first)):
        distress[first + lane, lane] = 1.0
    while sweeps[block] < max_rounds and not settled[block]:
        sweeps[block] += 1
        _sweep(first, start, column, share, above, tol, distress, row, pull, beyond)
        if beyond.max() <= 0.0 or sweeps[block] == max_rounds:
            gap, moved = _add_up(first, start, column, share, weights, equity, tol, distress, row, sums[block])
            gaps[block], settled[block] = gap, moved <= 0.0
        elif room > 0.0 and sweeps[block] % 2 == 0 and sweeps[block] <= _CORRECTED:
            _correct(right, room, distress, pull)


@compiled
def _add(i: int, start: Ints, column: NDArray[np.int32], share: Floats, distress: Floats, row: Floats) -> None:
    """Write Λᵢ h of all lanes to ``row``."""
    row[:] = 0.0
    for link in range(start[i], start[i + 1], 4):
        a, b, c, d = share[link], share[link + 1], share[link + 2], share[link + 3]
        h, j, k, m = column[link], column[link + 1], column[link + 2], column[link + 3]
        for lane in range(row.size):
            row[lane] += a * distress[h, lane] + b * distress[j, lane] + c * distress[k, lane] + d * distress[m, lane]


@compiled
def _sweep(
    first: int,
    start: Ints,
    column: NDArray[np.int32],
    share: Floats,
    above: Floats,
    tol: float,
    distress: Floats,
    row: Floats,
    pull: Floats,
    beyond: Floats,
) -> None:
    """Move every node in turn; write by how much at most one moved ``beyond`` a share ``tol`` of what it has."""
    pull[:], beyond[:] = 0.0, -1.0
    for i in range(start.size - 1):
        _add(i, start, column, share, distress, row)
        if 0 <= i - first < row.size:
            row[i - first] = 1.0  # it has defaulted
        weight = above[i]
        for lane in range(row.size):
            after = min(1.0, row[lane])
            step = after - distress[i, lane]
            pull[lane] += weight * step
            over = abs(step) - tol * after
            beyond[lane] = max(beyond[lane], over)
            distress[i, lane] = after


@compiled
def _correct(right: Floats, room: float, distress: Floats, pull: Floats) -> None:
    """Add as much of v to each scenario as makes u·(min(1, s + Λ h) − h) vanish where nothing is at its cap.

    Nothing that is zero is raised, for no distress may have a way there, and nothing falls below its half.
    """
    pull /= room
    for i in range(right.size):
        v = right[i]
        for lane in range(pull.size):
            before = distress[i, lane]
            if before < 1.0:
                after = min(1.0, max(0.5 * before, before + v * pull[lane]))
                distress[i, lane] = after if before > 0.0 else before


@compiled
def _add_up(
    first: int,
    start: Ints,
    column: NDArray[np.int32],
    share: Floats,
    weights: Floats,
    equity: Floats,
    tol: float,
    distress: Floats,
    row: Floats,
    sums: Floats,
) -> tuple[float, float]:
    """Write the sums after one round more; return by how much at most that moves a node, in all and beyond ``tol``."""
    gap, most = 0.0, -1.0
    sums[:] = 0.0
    for i in range(start.size - 1):
        _add(i, start, column, share, distress, row)
        own = i - first
        if 0 <= own < row.size:
            row[own] = distress[i, own] = 0.0  # not one of the others
        for lane in range(row.size):
            after = min(1.0, row[lane])
            step = abs(after - distress[i, lane])
            gap, most = max(gap, step), max(most, step - tol * after)
            sums[0, lane] += weights[i] * after
            sums[1, lane] += equity[i] * after
            sums[2, lane] += equity[i] * row[lane]
            sums[3, lane] += 1.0 if after >= ALL else 0.0
        if 0 <= own < row.size:
            distress[i, own] = 1.0
    return gap, most

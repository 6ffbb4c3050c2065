"""(I − A) x = b for nonnegative A of spectral radius below one: the step between two sets of defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["bounded", "leontief"]

Floats = NDArray[np.float64]

DENSE = 64
"""Unknowns up to which a dense factorisation is faster than iterating."""

TINY = 4.0 * np.finfo(np.float64).eps
"""Residual, in units of the largest unknown, below which rounding is all that is left."""

_ROUNDS = 300
_RESTARTS = 8
_SWEEPS = 40


def leontief(matrix: csr_array, right: Floats, start: Floats | None = None) -> Floats:
    """Return x of (I − A) x = b, Leontief's (1936) inverse times b, exact in small entries beside large ones too.

    The last rounds are x ← b + A x: where nothing is negative nothing cancels, and each entry gets its own precision.

    Small systems are factorised. Large ones are not: the factors of a random sparse network fill up, while
    BiCGSTAB (van der Vorst 1992) needs some twenty products; each restart takes the true residual, so that the
    result is as exact as rounding allows. What still does not converge (radius close to one) is factorised.

    Parameters
    ----------
    matrix : (n, n) CSR
        A ≥ 0.
    right : (n,) float
    start : (n,) float, optional
        A guess.

    Returns
    -------
    (n,) float
    """
    solution = _solved(matrix, right, start)
    for _ in range(_SWEEPS):
        after = right + matrix @ solution
        settled = np.abs(after - solution) <= TINY * np.abs(after)
        solution = after
        if settled.all():
            break
    return solution


def _solved(matrix: csr_array, right: Floats, start: Floats | None) -> Floats:
    """Return the solution to rounding in its largest entries."""
    if right.size <= DENSE:
        return _dense(matrix, right)
    solution = right if start is None else start
    for _ in range(_RESTARTS):
        rest = right - (solution - matrix @ solution)
        if np.abs(rest).max() <= TINY * np.abs(solution).max():
            return solution
        with np.errstate(over="ignore", invalid="ignore"):  # it may break down, and is then not used
            better = solution + _bicgstab(matrix, rest, TINY * np.abs(solution).max() / 4.0)
        if not np.isfinite(better).all():
            break
        if np.abs(right - (better - matrix @ better)).max() > 0.5 * np.abs(rest).max():
            return better if np.abs(rest).max() <= 1e3 * TINY * np.abs(solution).max() else _sparse(matrix, right)
        solution = better
    return _sparse(matrix, right)


def bounded(matrix: csr_array, right: Floats, start: Floats | None = None) -> Floats:
    """Return the solution x of x = max(0, b + A x) for substochastic A: nothing is paid by who has less than nothing.

    Chandrasekaran (1970): start with the rows that pay whatever the others do, solve, add the rows that now pay too.
    Each row is added once.
    """
    pays = right >= 0.0
    while True:
        solution = np.zeros(right.size)
        if pays.all():
            return leontief(matrix, right, start)
        guess = None if start is None else start[pays]
        solution[pays] = leontief(matrix[pays][:, pays], right[pays], guess)
        more = pays | (right + matrix @ solution > 0.0)
        if (more == pays).all():
            return solution
        pays = more


def _dense(matrix: csr_array, right: Floats) -> Floats:
    """Return the solution by elimination, with one step of refinement."""
    if not right.size:
        return right
    system = np.eye(right.size) - matrix.toarray()
    solution: Floats = np.linalg.solve(system, right)
    return solution + np.linalg.solve(system, right - system @ solution)


def _sparse(matrix: csr_array, right: Floats) -> Floats:
    from scipy.sparse import eye_array
    from scipy.sparse.linalg import splu

    factors = splu((eye_array(right.size, format="csc") - matrix).tocsc())
    solution: Floats = factors.solve(right)
    return solution + factors.solve(right - (solution - matrix @ solution))


def _bicgstab(matrix: csr_array, right: Floats, goal: float) -> Floats:
    """Return x with largest residual below ``goal`` or the last one that was reached."""
    solution, rest, shadow = np.zeros(right.size), right, right
    along = rest
    product = float(shadow @ rest)
    for _ in range(_ROUNDS):
        image = along - matrix @ along
        alpha = product / _nonzero(float(shadow @ image))
        half = rest - alpha * image
        image_half = half - matrix @ half
        omega = float(image_half @ half) / _nonzero(float(image_half @ image_half))
        solution += alpha * along
        solution += omega * half
        image_half *= omega
        rest = np.subtract(half, image_half, out=half)
        before, product = product, float(shadow @ rest)
        if max(rest.max(), -rest.min()) <= goal or not np.isfinite(product) or product == 0.0 or omega == 0.0:
            break
        image *= omega
        along = np.subtract(along, image, out=image)
        along *= (product / before) * (alpha / omega)
        along += rest
    return solution


def _nonzero(value: float) -> float:
    return value if value != 0.0 else np.finfo(np.float64).tiny

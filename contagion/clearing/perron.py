"""The largest eigenvalue of a nonnegative matrix, and whose it is: Perron's root, with bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from contagion.clearing.network import Floats

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["perron"]

_DENSE, _DIRECT = 64, 400
"""Nodes up to which linear systems are solved densely, and up to which powers are not tried first."""

_FILL = 10_000
"""Nodes up to which any sparse matrix may be factorised, and links for each node up to which larger ones may."""
_LEAN = 2.0

_TINY, _STEPS = 1e-14, 200

_GOOD, _FEW, _MANY = 1e-11, 1_000, 20_000


def perron(matrix: csr_array) -> tuple[float, Floats, float]:
    """Return the spectral radius of an irreducible matrix, u ∘ v of its two eigenvectors, and the gap of its bounds.

    Collatz (1942) and Wielandt (1950): for positive x the radius is between the least and the largest (A x)ᵢ / xᵢ; the
    gap is a share of their middle. u ∘ v adds up to one.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> radius, product, _ = perron(csr_array([[0.0, 2.0], [0.5, 0.0]]))
    >>> round(radius, 9), product.round(9).tolist()
    (1.0, [0.5, 0.5])
    """
    right, value, gap = _eigenvector(matrix)
    left, _, _ = _eigenvector(matrix.T.tocsr())
    product = np.exp(right + left - (right + left).max())
    return value, product / product.sum(), gap


def _eigenvector(matrix: csr_array) -> tuple[Floats, float, float]:
    """Return the logarithm of the positive eigenvector, the middle of the bounds, and their gap as a share."""
    count = matrix.shape[0]
    logs = np.zeros(count)
    if count > _DIRECT:
        lean = count <= _FILL or matrix.nnz <= _LEAN * count
        logs, good = _powers(matrix, _FEW if lean else _MANY)
        if good or not lean:
            return logs, *_bounds(_scaled(matrix, logs))
    return _noda(matrix, logs)


def _scaled(matrix: csr_array, logs: Floats) -> csr_array:
    """Return X⁻¹ A X: row sums are the ratios (A x)ᵢ / xᵢ. Entries of x may be further apart than numbers reach."""
    from scipy.sparse import csr_array

    rows = np.repeat(np.arange(logs.size), np.diff(matrix.indptr))
    data = matrix.data * np.exp(logs[matrix.indices] - logs[rows])
    return csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)


def _ratios(scaled: csr_array) -> Floats:
    return np.asarray(scaled.sum(axis=1), dtype=np.float64).reshape(-1)


def _bounds(scaled: csr_array) -> tuple[float, float]:
    """Return the middle of the bounds, and their gap as a share of it."""
    ratio = _ratios(scaled)
    middle = float(ratio.max() + ratio.min()) / 2.0
    return middle, float(ratio.max() - ratio.min()) / middle


def _noda(matrix: csr_array, logs: Floats) -> tuple[Floats, float, float]:
    """Return the eigenvector by Noda's (1971) iteration, x ← (ρ I − A)⁻¹ x with an upper bound ρ, and its bounds.

    It converges quadratically once the bounds are close. Until then (long rings) ρ is the middle of the bounds: if it
    is above the radius, the new x is positive and has it as an upper bound; if not, it is a lower one.
    """
    scaled = _scaled(matrix, logs)
    low, high = float(_ratios(scaled).min()), float(_ratios(scaled).max())
    quick, left = True, 3
    for _ in range(_STEPS):
        middle, gap = _bounds(scaled)
        closed = high - low <= _TINY * high
        if gap <= _TINY or (closed and not left):
            break
        left -= closed
        at = high if quick or closed else np.sqrt(low) * np.sqrt(high)
        after = _inverse(scaled, at)
        if not (np.isfinite(after).all() and (after > 0.0).all()):
            if at == high:
                break
            low, quick = at, False
            continue
        logs = logs + np.log(after / after.max())
        scaled = _scaled(matrix, logs)
        ratio = _ratios(scaled)
        low, high = max(low, float(ratio.min())), min(high, at, float(ratio.max()))
        quick = ratio.max() - ratio.min() < 0.25 * gap * middle
    return logs, *_bounds(scaled)


def _inverse(matrix: csr_array, at: float) -> Floats:
    """Return (ρ I − A)⁻¹ 1, with a little more than ρ where that is the radius itself."""
    from scipy.sparse import eye_array
    from scipy.sparse.linalg import splu

    ones = np.ones(matrix.shape[0])
    for shift in (at, at * (1.0 + 1e-15)):
        try:
            if ones.size <= _DENSE:
                return np.asarray(np.linalg.solve(shift * np.eye(ones.size) - matrix.toarray(), ones))
            system = (shift * eye_array(ones.size, format="csc") - matrix).tocsc()
            return np.asarray(splu(system, diag_pivot_thresh=0.0).solve(ones))
        except (np.linalg.LinAlgError, RuntimeError):
            continue
    return np.zeros(ones.size)


def _powers(matrix: csr_array, rounds: int) -> tuple[Floats, bool]:
    """Return the logarithm of x after powers of A + c I, and whether its bounds are close.

    The shift c is for cycles, on which several eigenvalues of A are equally large.
    """
    shift = float(np.median(_ratios(matrix))) / 2.0
    vector = np.ones(matrix.shape[0])
    for _ in range(rounds):
        image = matrix @ vector
        ratio = image / vector
        if ratio.max() - ratio.min() <= _GOOD * ratio.max():
            return np.log(vector), True
        after = image + shift * vector
        after /= after.max()
        if not (after > 0.0).all():
            break
        vector = after
    return np.log(vector), False

"""The network with the fewest links that totals allow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from contagion.clearing.network import Floats
from contagion.clearing.problems import choice, positive
from contagion.clearing.results import checked
from contagion.errors import whole
from contagion.reconstruct.filling import filled
from contagion.reconstruct.networks import EXACT, Reconstruction, misfit
from contagion.reconstruct.totals import Totals, read_totals

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["minimum_density"]


def minimum_density(
    assets: Any,
    liabilities: Any,
    known: Any = None,
    *,
    method: Literal["heuristic", "exact"] = "heuristic",
    tries: int = 4,
    seed: int = 0,
    progress: bool = False,
) -> Reconstruction:
    """Return a network that fits with as few links as can be found, or, exactly, with the fewest that there are.

    The other end from `max_entropy`: each bank has as few counterparties as can be, and small banks deal with large
    ones. Known cells are kept, and do not count.

    Parameters
    ----------
    assets, liabilities : (n,) array, Series or mapping
        What each bank is owed by, and owes to, the others, USD; the same total (column sums and row sums).
    known : (n, n) array or DataFrame with NaN where nothing is known, sparse array or DiGraph, optional
        Cells that are known, zeros among them; of sparse arrays the stored cells, of graphs the edges.
    method : {"heuristic", "exact"}
        Drawn link by link, for any size; or a mixed-integer programme, which takes seconds for ten banks and for ever
        for thirty.
    tries : int
        Networks that the heuristic draws; the one with the fewest links is kept.
    seed : int
        Of the heuristic's draws.
    progress : bool
        Whether to show progress on stderr.

    Returns
    -------
    Reconstruction
        Its matrix is sparse. Other networks may have as few links.

    Raises
    ------
    InputError
        All that is wrong with the input, and totals that no network fits.
    NotConverged
        If the exact method has no answer: totals differ so much in size that the solver's tolerance hides some.

    Notes
    -----
    Anand, Craig and von Peter (2015), Filling in the blanks: network structure and interbank contagion, Quantitative
    Finance 15. The heuristic draws links with their probabilities, max(l_i/a_j, a_j/l_i) of what banks have left, and
    each takes all that its ends have left (their λ = 1). Two things are ours: links are always kept, where they take
    them back at random, and what would end on a bank's debts to itself is moved along a path of debts, so that every
    draw fits exactly.

    Examples
    --------
    Anand, Craig and von Peter (2015), p. 628: the seven banks can do with seven links.

    >>> owned, owed = [7, 5, 3, 1, 3, 0, 1], [4, 5, 5, 0, 0, 2, 4]
    >>> minimum_density(owned, owed, method="exact").links
    7
    """
    problems = [*choice("method", method, ("heuristic", "exact")), *positive("tries", tries, whole=True)]
    totals = read_totals("minimum_density", assets, liabilities, known, problems + whole("seed", seed, 0))
    rng = np.random.default_rng(seed)
    attempts = 1 if method == "exact" else tries
    counted = tqdm(range(attempts), desc="tries", unit="", disable=not progress)
    found = min((filled(totals, rng) for _ in counted), key=lambda matrix: int(matrix.nnz))
    if method == "exact":
        found = _fewest(totals)  # the attempt has shown that there is a network at all
    matrix = (found + totals.known).tocsr()
    residual = misfit(matrix, totals.all_liabilities, totals.all_assets)
    result = Reconstruction(matrix, totals.labels, residual <= EXACT, attempts, residual)
    return checked(result, "minimum_density", "raise", "totals differ too much in size for the integer programme")


def _fewest(totals: Totals) -> csr_array:
    """Return debts x with the fewest cells y: minimise Σ y with 0 ≤ x ≤ min(l, a)·y, y = 0 or 1.

    Each sum is written as a share of its total, so that the solver's tolerance, 1e-6, is a share too.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import block_array, coo_array, csr_array, eye_array

    count = totals.liabilities.size
    free = ~np.eye(count, dtype=np.bool_) if totals.free is None else totals.free
    rows, columns = np.nonzero(free & (totals.liabilities > 0.0)[:, None] & (totals.assets > 0.0)[None, :])
    if not rows.size:
        return csr_array((count, count))
    most, cells = np.minimum(totals.liabilities[rows], totals.assets[columns]), np.arange(rows.size)
    by_row = coo_array((most / totals.liabilities[rows], (rows, cells)), shape=(count, rows.size))
    by_column = coo_array((most / totals.assets[columns], (columns, cells)), shape=(count, rows.size))
    nothing: Any = coo_array((count, rows.size))
    sums: Any = block_array([[by_row, nothing], [by_column, nothing]])
    wanted = np.append(totals.liabilities > 0.0, totals.assets > 0.0).astype(np.float64)
    limits = block_array([[eye_array(rows.size), -eye_array(rows.size)]])
    solved = milp(
        np.append(np.zeros(rows.size), np.ones(rows.size)),
        integrality=np.append(np.zeros(rows.size), np.ones(rows.size)),
        bounds=Bounds(0.0, 1.0),
        constraints=[
            LinearConstraint(sums, wanted, wanted),
            LinearConstraint(limits, -np.inf, 0.0),
        ],
        options={"mip_rel_gap": 0.0},
    )
    if solved.x is None:
        return csr_array((count, count))
    chosen = solved.x[rows.size :] > 0.5
    return _amounts(totals, rows[chosen], columns[chosen])


def _amounts(totals: Totals, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> csr_array:
    """Return the amounts on cells without cycles: a bank with one cell left puts all that it has left into it."""
    from scipy.sparse import coo_array, csr_array

    size = totals.liabilities.size
    left: Floats = np.concatenate([totals.liabilities, totals.assets])
    ends = np.stack([rows, columns + size])
    amounts, waiting = np.zeros(rows.size), np.ones(rows.size, dtype=np.bool_)
    while waiting.any():
        degree = np.bincount(ends[:, waiting].ravel(), minlength=2 * size)
        leaves = np.flatnonzero(waiting & (degree[ends] == 1).any(axis=0))
        if not leaves.size:
            break
        cell = leaves[0]
        amounts[cell] = max(left[ends[degree[ends[:, cell]].argmin(), cell]], 0.0)
        left[ends[:, cell]] -= amounts[cell]
        waiting[cell] = False
    return csr_array(coo_array((amounts, (rows, columns)), shape=(size, size)))

"""What each node's default does to the others: DebtRank, scenarios side by side."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from contagion.clearing.debtrank_model import NO_EQUITY, Model, Variant, model_of, spread_by
from contagion.clearing.distress import ALL, Spread
from contagion.clearing.network import Floats, Vector
from contagion.clearing.results import Column, OnFailure, checked
from contagion.frozen import HandsOutCopies

__all__ = ["Systemic", "debtrank_all"]

_CELLS = 200_000
"""Numbers in a block of scenarios: what stays in the cache of a processor."""

_COMPILED_FROM = 10_000_000
"""Links times scenarios from which compiled sweeps pay for loading the compiler; compilation itself is kept."""


@dataclass(frozen=True)
class Systemic(HandsOutCopies):
    """What each node's default does to the others.

    Parameters
    ----------
    frame : DataFrame
        Index: the node that defaults. Columns first_stress (its own weight), additional_stress (weight × distress of
        all others), stress (the sum); additional_capped_loss and additional_loss (equity that the others lose, and all
        that they lose, USD); additional_defaults (count).
    converged : bool
    rounds : int
        Of the slowest scenario.
    residual : float
        Largest gap of the equation of distress in any scenario.
    """

    frame: pd.DataFrame
    converged: bool
    rounds: int
    residual: float

    additional_stress = Column("DebtRank by node.")


def debtrank_all(
    liabilities: Any,
    equity: Any,
    weights: Any = None,
    *,
    variant: Variant = "linear",
    alpha: float = 1.0,
    tol: float = 1e-9,
    max_rounds: int = 100_000,
    on_failure: OnFailure = "raise",
) -> Systemic:
    """Return what each node's default does to the others, one scenario a row.

    As `debtrank` with a shock of 1 to one node after the other; scenarios run side by side in blocks, and blocks on all
    processors. Large networks with linear distress go through compiled sweeps, which take a third of the rounds.

    Parameters
    ----------
    liabilities, equity, weights, variant, alpha, tol, max_rounds, on_failure
        As in `debtrank`.

    Returns
    -------
    Systemic

    Raises
    ------
    InputError, NotConverged
        As in `debtrank`.

    Notes
    -----
    References as in `debtrank`. Compiled sweeps: Gauss–Seidel iteration with a coarse correction by one vector (Saad
    2003, Iterative methods for sparse linear systems, 2nd edition, chapters 4 and 13).

    Examples
    --------
    >>> table = debtrank_all([[0, 1, 0], [0, 0, 1], [0, 0, 0]], [2, 2, 4], weights=[1, 1, 2]).frame
    >>> table["additional_stress"].tolist()  # a half of the second's 1/4 and an eighth of the third's 1/2, and so on
    [0.1875, 0.125, 0.0]
    """
    settings = (variant, alpha, tol, max_rounds, on_failure)
    model, labels, _ = model_of(
        "debtrank_all", liabilities, {"equity": Vector(equity, zero=NO_EQUITY)}, weights, settings
    )
    compiled = variant == "linear" and model.matrix.nnz * model.equity.size >= _COMPILED_FROM
    sums, converged, rounds, residual = _swept(model) if compiled else _in_blocks(model)
    columns = {
        "first_stress": model.weights,
        "additional_stress": sums[0],
        "stress": model.weights + sums[0],
        "additional_capped_loss": sums[1],
        "additional_loss": sums[2],
        "additional_defaults": sums[3].astype(np.int64),
    }
    result = Systemic(pd.DataFrame(columns, index=labels), converged, rounds, residual)
    return checked(result, "debtrank_all", on_failure)


def _swept(model: Model) -> tuple[Floats, bool, int, float]:
    """Return sums over all other nodes (4, n), a default a column, whether all settled, most rounds, the residual."""
    from contagion.clearing.default_sweeps import defaults  # loads the compiler

    return defaults(model.matrix, model.weights, model.equity, model.tol, model.max_rounds)


def _in_blocks(model: Model) -> tuple[Floats, bool, int, float]:
    """Return the same by sparse products, of any variant."""
    count = model.equity.size
    width = max(8, min(512, _CELLS // max(count, 1)))
    chosen = [np.arange(start, min(start + width, count)) for start in range(0, count, width)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # products and sums leave the interpreter free
        blocks = list(pool.map(partial(_block, model), chosen))
    sums = np.hstack([numbers for numbers, _ in blocks]) if blocks else np.zeros((4, 0))
    found = [one for _, one in blocks]
    rounds, residual = max((one.rounds for one in found), default=0), max((one.residual for one in found), default=0.0)
    return sums, all(one.converged for one in found), rounds, residual


def _block(model: Model, chosen: np.ndarray[Any, np.dtype[np.int64]]) -> tuple[Floats, Spread]:
    """Return sums over all other nodes, one column for each of the nodes that default."""
    own = (chosen, np.arange(chosen.size))
    shocks = np.zeros((model.equity.size, chosen.size))
    shocks[own] = 1.0
    found = spread_by(model, shocks)
    found.distress[own] = found.uncapped[own] = 0.0
    # summed without BLAS, whose own threads would fight those of the blocks
    weighted = [np.einsum("i,ij->j", one, found.distress) for one in (model.weights, model.equity)]
    lost = np.einsum("i,ij->j", model.equity, found.uncapped)
    down = np.count_nonzero(found.distress >= ALL, axis=0)
    kept = found._replace(distress=np.zeros(0), uncapped=np.zeros(0), default_round=np.zeros(0, dtype=np.int64))
    return np.vstack([*weighted, lost, down]), kept

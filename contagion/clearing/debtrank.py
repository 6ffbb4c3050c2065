"""Distress that spreads before default: DebtRank, one shock or each node's default in turn."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from contagion.clearing.distress import (
    ALL,
    Passed,
    Spread,
    exponential,
    leverage,
    linear,
    single_hit,
    spread,
    spread_linear,
)
from contagion.clearing.network import Floats, Matrix, Vector, read
from contagion.clearing.problems import choice, positive
from contagion.clearing.results import OnFailure, checked, failure_choice
from contagion.errors import InputError
from contagion.frozen import HandsOutCopies

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["Distress", "Systemic", "Variant", "debtrank", "debtrank_all"]

Variant = Literal["linear", "single_hit", "nonlinear"]

_CELLS = 200_000
"""Numbers in a block of scenarios: what stays in the cache of a processor."""


@dataclass(frozen=True)
class Distress(HandsOutCopies):
    """What a shock does to equity.

    Parameters
    ----------
    frame : DataFrame
        Index node; columns shock and distress (share of equity lost first and in the end, 0 to 1), uncapped_distress
        (the same without the limit of one), capped_loss and loss (distress and uncapped_distress × equity, USD: what
        owners lose, and what is lost), defaulted, default_round (from 1, the shock; 0 for those with equity left).
    stress, first_stress, additional_stress : float
        Sums of weight × distress, of weight × shock, and their difference: DebtRank is the last.
    converged : bool
    rounds : int
    residual : float
        Largest gap of the equation of distress.
    """

    frame: pd.DataFrame
    stress: float
    first_stress: float
    converged: bool
    rounds: int
    residual: float

    @property
    def additional_stress(self) -> float:
        """Stress that the network adds to the shock."""
        return self.stress - self.first_stress

    @property
    def distress(self) -> pd.Series[float]:
        """Share of equity lost, 0 to 1, by node."""
        return self.frame["distress"]

    @property
    def capped_loss(self) -> pd.Series[float]:
        """Equity lost, USD by node."""
        return self.frame["capped_loss"]

    @property
    def loss(self) -> pd.Series[float]:
        """Losses, USD by node, also beyond equity."""
        return self.frame["loss"]

    @property
    def defaulted(self) -> pd.Series[bool]:
        """Nodes that lose all equity."""
        return self.frame["defaulted"]


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

    @property
    def additional_stress(self) -> pd.Series[float]:
        """DebtRank by node."""
        return self.frame["additional_stress"]


class _Model(NamedTuple):
    matrix: csr_array
    equity: Floats
    weights: Floats
    variant: str
    passed: Passed
    tol: float
    max_rounds: int


def debtrank(
    liabilities: Any,
    equity: Any,
    shock: Any,
    weights: Any = None,
    *,
    variant: Variant = "linear",
    alpha: float = 1.0,
    tol: float = 1e-12,
    max_rounds: int = 100_000,
    on_failure: OnFailure = "raise",
) -> Distress:
    """Return the distress that a shock ends in: h = min(1, s + Λ p(h)), with Λᵢⱼ = Lⱼᵢ / Eᵢ.

    A node that has lost a share h of its equity repays as if a share p(h) of its debts were lost.

    Parameters
    ----------
    liabilities : (n, n) array, sparse array, DataFrame or DiGraph
        ``liabilities[i, j]`` is what i owes j, USD.
    equity : (n,) array, Series, mapping or float
        What each node can lose, USD, above zero.
    shock : likewise
        Share of its equity that each node loses first, 0 to 1; 1 is default. Nodes that are left out lose nothing.
    weights : likewise, optional
        Weights of nodes in stress, scaled to add up to one; equity by default (Battiston et al. 2012 take what nodes
        have lent to each other: the column sums of ``liabilities``).
    variant : {"linear", "single_hit", "nonlinear"}
        linear: p(h) = h (Bardoscia et al. 2015). single_hit: each node passes its distress on once, when it first has
        any, and Λ is capped at one (Battiston et al. 2012). nonlinear: p(h) = h exp(α (h − 1)) (Bardoscia et al. 2016).
    alpha : float
        Of the nonlinear variant: 0 is linear; the larger, the more only defaults count.
    tol : float
        Largest increment of distress in the last round.
    max_rounds : int
    on_failure : {"raise", "return"}

    Returns
    -------
    Distress

    Raises
    ------
    InputError
        All that is wrong with the input.
    NotConverged
        If ``max_rounds`` are not enough.

    Notes
    -----
    Battiston, Puliga, Kaushik, Tasca and Caldarelli (2012), DebtRank: too central to fail?, Scientific Reports 2, 541.
    Bardoscia, Battiston, Caccioli and Caldarelli (2015), DebtRank: a microscopic foundation for shock propagation,
    PLoS ONE 10, e0130406, eq. 7. Bardoscia, Caccioli, Perotti, Vivaldo and Caldarelli (2016), Distress propagation in
    complex networks: the case of non-linear DebtRank, PLoS ONE 11, e0163825.

    Examples
    --------
    The first node loses half of its equity; the second has lent it 1 and has 2: it loses a quarter of its own.

    >>> debtrank([[0, 1], [0, 0]], [4, 2], [0.5, 0]).distress.tolist()
    [0.5, 0.25]
    """
    vectors = {"equity": Vector(equity), "shock": Vector(shock, default=0.0, highest=1.0)}
    settings = (variant, alpha, tol, max_rounds, on_failure)
    model, labels, first = _read("debtrank", liabilities, vectors, weights, settings)
    found = _spread(model, first[:, None])
    h, uncapped = found.distress[:, 0], found.uncapped[:, 0]
    columns = {
        "shock": first,
        "distress": h,
        "uncapped_distress": uncapped,
        "capped_loss": h * model.equity,
        "loss": uncapped * model.equity,
        "defaulted": h >= ALL,
        "default_round": found.default_round[:, 0],
    }
    frame = pd.DataFrame(columns, index=labels)
    stress = float(model.weights @ h), float(model.weights @ first)
    result = Distress(frame, *stress, found.converged, found.rounds, found.residual)
    return checked(result, "debtrank", on_failure)


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
    processors.

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

    Examples
    --------
    >>> table = debtrank_all([[0, 1, 0], [0, 0, 1], [0, 0, 0]], [2, 2, 4], weights=[1, 1, 2]).frame
    >>> table["additional_stress"].tolist()  # a half of the second's 1/4 and an eighth of the third's 1/2, and so on
    [0.1875, 0.125, 0.0]
    """
    settings = (variant, alpha, tol, max_rounds, on_failure)
    model, labels, _ = _read("debtrank_all", liabilities, {"equity": Vector(equity)}, weights, settings)
    count = model.equity.size
    width = max(8, min(512, _CELLS // max(count, 1)))
    chosen = [np.arange(start, min(start + width, count)) for start in range(0, count, width)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # products and sums leave the interpreter free
        blocks = list(pool.map(partial(_block, model), chosen))
    sums = np.hstack([numbers for numbers, _ in blocks]) if blocks else np.zeros((4, 0))
    columns = {
        "first_stress": model.weights,
        "additional_stress": sums[0],
        "stress": model.weights + sums[0],
        "additional_capped_loss": sums[1],
        "additional_loss": sums[2],
        "additional_defaults": sums[3].astype(np.int64),
    }
    result = Systemic(
        pd.DataFrame(columns, index=labels),
        all(found.converged for _, found in blocks),
        max((found.rounds for _, found in blocks), default=0),
        max((found.residual for _, found in blocks), default=0.0),
    )
    return checked(result, "debtrank_all", on_failure)


def _block(model: _Model, chosen: np.ndarray[Any, np.dtype[np.int64]]) -> tuple[Floats, Spread]:
    """Return sums over all other nodes, one column for each of the nodes that default."""
    own = (chosen, np.arange(chosen.size))
    shocks = np.zeros((model.equity.size, chosen.size))
    shocks[own] = 1.0
    found = _spread(model, shocks)
    found.distress[own] = found.uncapped[own] = 0.0
    # summed without BLAS, whose own threads would fight those of the blocks
    weighted = [np.einsum("i,ij->j", one, found.distress) for one in (model.weights, model.equity)]
    lost = np.einsum("i,ij->j", model.equity, found.uncapped)
    down = np.count_nonzero(found.distress >= ALL, axis=0)
    kept = found._replace(distress=np.zeros(0), uncapped=np.zeros(0), default_round=np.zeros(0, dtype=np.int64))
    return np.vstack([*weighted, lost, down]), kept


def _spread(model: _Model, shocks: Floats) -> Spread:
    if model.variant == "single_hit":
        return single_hit(model.matrix, shocks, model.max_rounds)
    if model.variant == "linear" and shocks.shape[1] > 1:
        return spread_linear(model.matrix, shocks, model.tol, model.max_rounds)
    return spread(model.matrix, shocks, model.passed, model.tol, model.max_rounds)


def _read(
    subject: str, liabilities: Any, vectors: dict[str, Vector], weights: Any, settings: tuple[Any, ...]
) -> tuple[_Model, pd.Index[Any], Floats]:
    """Return what was given, checked: the model, the labels, and the shock or zeros."""
    variant, alpha, tol, max_rounds, on_failure = settings
    problems = [
        *choice("variant", variant, ("linear", "single_hit", "nonlinear")),
        *([] if alpha == 0 else positive("alpha", alpha)),
        *positive("tol", tol),
        *positive("max_rounds", max_rounds, whole=True),
        *failure_choice(on_failure),
    ]
    given = dict(vectors) if weights is None else {**vectors, "weights": Vector(weights)}
    table = read(subject, {"liabilities": Matrix(liabilities)}, given, problems)
    equity, labels = table.vectors["equity"], table.labels["node"].rename("node")
    weight = table.vectors.get("weights", equity)
    broke = np.flatnonzero(equity == 0.0)
    if broke.size or (equity.size and weight.sum() == 0.0):
        names = ", ".join(map(repr, labels[broke[:5]]))
        found = [f"equity of {names}{' and more' * (broke.size > 5)} is zero; distress is a share of equity, drop them"]
        raise InputError(found if broke.size else "weights are all zero", subject)
    passed = exponential(alpha) if variant == "nonlinear" else linear
    matrix = leverage(table.matrices["liabilities"], equity)
    model = _Model(matrix, equity, weight / max(weight.sum(), 1e-300), variant, passed, tol, max_rounds)
    return model, labels, table.vectors.get("shock", np.zeros(equity.size))

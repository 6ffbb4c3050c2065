"""Distress that spreads before default: DebtRank."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from contagion.clearing.debtrank_model import NO_EQUITY, Variant, model_of, spread_by
from contagion.clearing.distress import ALL
from contagion.clearing.network import Vector
from contagion.clearing.results import Column, OnFailure, checked
from contagion.frozen import HandsOutCopies

__all__ = ["Distress", "debtrank"]


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

    distress = Column("Share of equity lost, 0 to 1, by node.")
    capped_loss = Column("Equity lost, USD by node.")
    loss = Column("Losses, USD by node, also beyond equity.")
    defaulted = Column("Nodes that lose all equity.")


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
        Largest increment of distress in the last round, as a share of the distress that it adds to.
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
    PLoS ONE 10, e0130406. Bardoscia, Caccioli, Perotti, Vivaldo and Caldarelli (2016), Distress propagation in
    complex networks: the case of non-linear DebtRank, PLoS ONE 11, e0163825.

    Examples
    --------
    The first node loses half of its equity; the second has lent it 1 and has 2: it loses a quarter of its own.

    >>> debtrank([[0, 1], [0, 0]], [4, 2], [0.5, 0]).distress.tolist()
    [0.5, 0.25]
    """
    vectors = {"equity": Vector(equity, zero=NO_EQUITY), "shock": Vector(shock, default=0.0, highest=1.0)}
    settings = (variant, alpha, tol, max_rounds, on_failure)
    model, labels, first = model_of("debtrank", liabilities, vectors, weights, settings)
    found = spread_by(model, first[:, None])
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

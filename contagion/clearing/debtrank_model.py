"""What goes into DebtRank, read and checked, and the rounds of its variants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from contagion.clearing.distress import Passed, Spread, exponential, leverage, linear, single_hit, spread
from contagion.clearing.network import Floats, Matrix, Table, Vector, read
from contagion.clearing.problems import choice, positive
from contagion.clearing.results import failure_choice
from contagion.errors import refuse

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["NO_EQUITY", "Model", "Variant", "model_of", "spread_by"]

Variant = Literal["linear", "single_hit", "nonlinear"]

NO_EQUITY = "distress is a share of equity, drop them"

_SHOWN = 5
"""Nodes that a message names at most."""


class Model(NamedTuple):
    """A network of DebtRank: who is hurt by whom, what is lost, and how rounds go."""

    matrix: csr_array
    equity: Floats
    weights: Floats
    variant: str
    passed: Passed
    tol: float
    max_rounds: int


def model_of(
    subject: str, liabilities: Any, vectors: dict[str, Vector], weights: Any, settings: tuple[Any, ...]
) -> tuple[Model, pd.Index[Any], Floats]:
    """Return what was given, checked: the model, the labels, and the shock or zeros."""
    variant, alpha, tol, max_rounds, on_failure = settings
    problems = [
        *choice("variant", variant, ("linear", "single_hit", "nonlinear")),
        *positive("alpha", alpha, zero=True),
        *positive("tol", tol),
        *positive("max_rounds", max_rounds, whole=True),
        *failure_choice(on_failure),
    ]
    given = dict(vectors) if weights is None else {**vectors, "weights": Vector(weights)}
    table = read(subject, {"liabilities": Matrix(liabilities)}, given, problems, _weightless)
    equity, labels = table.vectors["equity"], table.labels["node"].rename("node")
    weight = table.vectors.get("weights", equity)
    passed = exponential(alpha) if variant == "nonlinear" else linear
    matrix = leverage(table.matrices["liabilities"], equity)
    _refuse_beyond(subject, matrix, labels)
    model = Model(matrix, equity, weight / max(weight.sum(), 1e-300), variant, passed, tol, max_rounds)
    return model, labels, table.vectors.get("shock", np.zeros(equity.size))


def _refuse_beyond(subject: str, matrix: csr_array, labels: pd.Index[Any]) -> None:
    """Refuse debts that are so many times a creditor's equity that the ratio is no number."""
    bad = np.unique(matrix.tocoo().row[~np.isfinite(matrix.data)])
    refuse(
        [
            f"equity of {labels[row]!r} is too small for what it is owed: their ratio is beyond all numbers; check both"
            for row in bad[:_SHOWN]
        ],
        subject,
    )


def _weightless(table: Table) -> list[str]:
    weights = table.vectors.get("weights", np.ones(1))
    return ["weights are all zero; give one above zero"] if weights.size and not weights.any() else []


def spread_by(model: Model, shocks: Floats) -> Spread:
    """Return the distress that each column of shocks ends in."""
    if model.variant == "single_hit":
        return single_hit(model.matrix, shocks, model.max_rounds)
    return spread(model.matrix, shocks, model.passed, model.tol, model.max_rounds)

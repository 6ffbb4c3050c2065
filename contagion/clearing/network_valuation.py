"""Equity when claims are valued by the equity of their debtors: NEVA, Barucca et al. (2020)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from contagion.clearing.network import Floats, Matrix, Vector, read
from contagion.clearing.obligations import TIE
from contagion.clearing.problems import positive
from contagion.clearing.results import Column, OnFailure, checked, failure_choice
from contagion.clearing.valuations import Book, Function, Valuation
from contagion.errors import InputError
from contagion.frozen import HandsOutCopies

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

__all__ = ["Valued", "jacobian", "network_valuation"]

_GRID = 33
_STEP = 1e-6


@dataclass(frozen=True)
class Valued(HandsOutCopies):
    """Equity and the value of debts.

    Parameters
    ----------
    frame : DataFrame
        Index node; columns book_equity (if everybody pays), equity (USD, negative for the insolvent), debt_value (worth
        of a unit of the node's debts in the network, 0 to 1), claims (value of what the others owe, USD), defaulted
        (equity below zero).
    converged : bool
    rounds : int
    residual : float
        Largest gap of the equation of equity, as a share of the largest balance sheet.
    """

    frame: pd.DataFrame
    converged: bool
    rounds: int
    residual: float

    equity = Column("Equity, USD by node.")
    debt_value = Column("Worth of a unit of each node's debts.")
    defaulted = Column("Nodes whose equity is below zero.")


class _Problem(NamedTuple):
    claims: csr_array
    book: Book
    rule: Valuation
    scale: float


def network_valuation(
    liabilities: Any,
    external_assets: Any,
    external_liabilities: Any,
    valuation: Valuation | Function,
    *,
    tol: float = 1e-13,
    max_rounds: int = 100_000,
    on_failure: OnFailure = "raise",
) -> Valued:
    """Return the greatest equity with E = A − Lᵉ + Σⱼ Lⱼᵢ Vⱼ(Eⱼ) − Σⱼ Lᵢⱼ.

    Parameters
    ----------
    liabilities : (n, n) array, sparse array, DataFrame or DiGraph
        ``liabilities[i, j]`` is what i owes j, USD.
    external_assets, external_liabilities : (n,) array, Series, mapping, float or None
        Outside of the network, USD, at least zero.
    valuation : Valuation, or callable (equity, book) → (n,)
        One of `contagion.clearing.valuations`, or your own: worth of a unit of each borrower's debt, for all at once.
        Yours is checked to be feasible: 0 to 1, not decreasing, each entry a function of its own borrower.
    tol : float
        Largest fall of equity in the last round, as a share of the largest balance sheet.
    max_rounds : int
    on_failure : {"raise", "return"}

    Returns
    -------
    Valued

    Raises
    ------
    InputError
        All that is wrong with the input; a valuation function that is not feasible.
    NotConverged
        If ``max_rounds`` are not enough.

    Notes
    -----
    Barucca, Bardoscia, Caccioli, D'Errico, Visentin, Caldarelli and Battiston (2020), Network valuation in financial
    systems, Mathematical Finance 30. Iteration from book values falls to the greatest solution, as they prove.

    Examples
    --------
    The first node owes 2 and has 1: half. The second has that half and owes 1.

    >>> from contagion.clearing import valuations
    >>> valued = network_valuation([[0, 2], [0, 0]], [1, 0], [0, 1], valuations.eisenberg_noe())
    >>> valued.equity.tolist(), valued.debt_value.tolist()
    ([-1.0, 0.0], [0.5, 1.0])
    """
    problems = [*positive("tol", tol), *positive("max_rounds", max_rounds, whole=True), *failure_choice(on_failure)]
    problem, labels = _read(
        "network_valuation", liabilities, external_assets, external_liabilities, valuation, problems
    )
    equity, rounds = _greatest(problem, tol, max_rounds)
    worth = problem.rule.value(equity, problem.book)
    residual = float(np.abs(equity - _equity(problem, equity)).max(initial=0.0)) / problem.scale
    columns = {
        "book_equity": problem.book.equity,
        "equity": equity,
        "debt_value": worth,
        "claims": problem.claims @ worth,
        "defaulted": _down(problem, equity),
    }
    result = Valued(pd.DataFrame(columns, index=labels), residual <= 10.0 * tol, rounds, residual)
    return checked(result, "network_valuation", on_failure)


def jacobian(
    liabilities: Any,
    external_assets: Any,
    external_liabilities: Any,
    valuation: Valuation | Function,
) -> pd.DataFrame:
    """Return ∂Eᵢ/∂Aₖ, what a dollar of k's external assets adds to i's equity, by the implicit function theorem.

    Parameters
    ----------
    liabilities, external_assets, external_liabilities, valuation
        As in `network_valuation`.

    Returns
    -------
    DataFrame
        (n, n); rows the node whose equity changes, columns the node whose assets do. (I − ∂Φ/∂E)⁻¹ ∂Φ/∂A at the
        greatest solution; where the valuation function has a kink or jump just there, of one of its sides.

    Raises
    ------
    InputError, NotConverged
        As in `network_valuation`.

    Notes
    -----
    Bertschinger and Stobbe (2018), Systemic Greeks: measuring risk in financial networks, arXiv:1810.11849.

    Examples
    --------
    The first node pays all it has to the second, whose equity it is.

    >>> from contagion.clearing import valuations
    >>> jacobian([[0, 2], [0, 0]], [1, 5], [0, 1], valuations.eisenberg_noe()).loc[1].tolist()
    [1.0, 1.0]
    """
    problem, labels = _read("jacobian", liabilities, external_assets, external_liabilities, valuation, [])
    found = network_valuation(liabilities, external_assets, external_liabilities, valuation)
    equity: Floats = np.array(found.equity)
    rule, book = problem.rule, problem.book
    down = _down(problem, equity)
    slope = _slope(problem, equity) if rule.slope is None else rule.slope(equity, book)
    by_assets = np.zeros_like(equity) if rule.slope_assets is None else rule.slope_assets(equity, book)
    claims = problem.claims.toarray() * np.where(down, rule.kept_claims, 1.0)[:, None]
    direct = np.diag(np.where(down, rule.kept_assets, 1.0)) + claims * by_assets
    answer = np.linalg.solve(np.eye(equity.size) - claims * slope, direct)
    return pd.DataFrame(answer, index=labels, columns=labels)


def _read(
    subject: str, liabilities: Any, assets: Any, debts: Any, valuation: Valuation | Function, problems: list[str]
) -> tuple[_Problem, pd.Index[Any]]:
    vectors = {"external_assets": Vector(assets), "external_liabilities": Vector(debts, default=0.0)}
    usable: object = valuation
    if not isinstance(usable, Valuation) and not callable(usable):
        problems = [*problems, f"valuation is a {type(valuation).__name__}; give a Valuation or a function"]
    table = read(subject, {"liabilities": Matrix(liabilities)}, vectors, problems)
    matrix = table.matrices["liabilities"]
    owed = np.asarray(matrix.sum(axis=1), dtype=np.float64).reshape(-1)
    held = np.asarray(matrix.sum(axis=0), dtype=np.float64).reshape(-1)
    own, outside = table.vectors["external_assets"], table.vectors["external_liabilities"]
    book = Book(own, outside, held, owed, owed + outside, own + held - owed - outside)
    rule = valuation if isinstance(valuation, Valuation) else Valuation("own", valuation)
    scale = max(float(np.max(own + held, initial=0.0)), float(np.max(book.liabilities, initial=0.0)), 1e-300)
    wrong = _infeasible(rule, book, scale)
    if wrong:
        raise InputError(wrong, subject)
    return _Problem(matrix.T.tocsr(), book, rule, scale), table.labels["node"].rename("node")


def _infeasible(rule: Valuation, book: Book, scale: float) -> list[str]:
    """Return why a valuation function is not feasible (Barucca et al. 2020), as far as a grid shows."""
    name = f"valuation {rule.name!r}"
    lowest = -2.0 * book.liabilities - scale / 100.0
    grid = [lowest + share * (book.equity - lowest) for share in np.linspace(0.0, 1.0, _GRID)]
    try:
        worth = [np.asarray(rule.value(equity, book), dtype=np.float64) for equity in grid]
    except (TypeError, ValueError) as error:
        return [f"{name} cannot value {book.equity.size} borrowers at once: {error}"]
    if any(one.shape != book.equity.shape for one in worth):
        return [f"{name} returns shape {worth[0].shape} for equity of shape {book.equity.shape}; value all at once"]
    values = np.array(worth)
    if not np.isfinite(values).all() or values.min(initial=0.0) < -1e-9 or values.max(initial=0.0) > 1.0 + 1e-9:
        return [f"{name} leaves the range 0 to 1: {values.min():g} to {values.max():g}"]
    rises = grid[-1] >= grid[0]
    if (np.diff(values, axis=0)[:, rises] < -1e-9).any():
        return [f"{name} falls where equity rises; more equity cannot lower the value of debt"]
    mixed = np.where(np.arange(book.equity.size) % 2 == 0, grid[0], grid[-1])
    expected = np.where(np.arange(book.equity.size) % 2 == 0, values[0], values[-1])
    if (np.abs(np.asarray(rule.value(mixed, book)) - expected) > 1e-9).any():
        return [f"{name} values a borrower by the equity of others; entry j may depend on borrower j alone"]
    return []


def _down(problem: _Problem, equity: Floats) -> NDArray[np.bool_]:
    """Return the nodes whose equity is below zero by more than rounding."""
    return equity < -TIE * problem.book.liabilities


def _equity(problem: _Problem, equity: Floats) -> Floats:
    """Return the right side of the equation of equity."""
    rule, book, down = problem.rule, problem.book, _down(problem, equity)
    own = np.where(down, rule.kept_assets, 1.0) * book.external_assets
    claims = np.where(down, rule.kept_claims, 1.0) * (problem.claims @ rule.value(equity, book))
    value: Floats = own + claims - book.liabilities
    return value


def _greatest(problem: _Problem, tol: float, max_rounds: int) -> tuple[Floats, int]:
    """Return the limit of iteration from book values, from which equity can only fall."""
    equity = problem.book.equity.copy()
    for rounds in range(1, max_rounds + 1):
        after = np.minimum(equity, _equity(problem, equity))
        fall = float(np.max(equity - after, initial=0.0))
        equity = after
        if fall <= tol * problem.scale:
            return equity, rounds
    return equity, max_rounds


def _slope(problem: _Problem, equity: Floats) -> Floats:
    """Return the derivative of the value of debts by equity, from differences."""
    step = _STEP * np.maximum(np.abs(equity), problem.book.liabilities + 1e-3 * problem.scale)
    ahead = problem.rule.value(equity + step, problem.book)
    return (ahead - problem.rule.value(equity - step, problem.book)) / (2.0 * step)

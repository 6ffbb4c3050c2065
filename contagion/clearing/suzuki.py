"""Debt and equity of firms that hold each other's: Suzuki (2002)."""

from __future__ import annotations

from typing import Any

from contagion.clearing.layers import LayeredClearing, cleared, overheld, ownerless
from contagion.clearing.network import Matrix, Table, Vector, read
from contagion.clearing.problems import positive
from contagion.clearing.results import OnFailure, checked, failure_choice

__all__ = ["suzuki"]


def suzuki(
    debt_holdings: Any,
    equity_holdings: Any,
    external_assets: Any,
    nominal_debt: Any,
    *,
    max_rounds: int = 100_000,
    on_failure: OnFailure = "raise",
) -> LayeredClearing:
    """Return greatest values of debt and equity of firms that hold shares of each other's debt and equity.

    The value of a firm, V = e + Dᵀ min(d, V) + Θᵀ max(0, V − d), goes to its debt d first, then to its equity.

    Parameters
    ----------
    debt_holdings, equity_holdings : (n, n) arrays, sparse arrays, DataFrames or DiGraphs
        Shares of i's debt, and of i's equity, that j holds: rows are issuers, and add up to one at most. (Suzuki's own
        matrices are the transposes.)
    external_assets, nominal_debt : (n,) arrays, Series, mappings or floats
        USD, at least zero.
    max_rounds : int
        Cap on the rounds of iteration from above.
    on_failure : {"raise", "return"}

    Returns
    -------
    LayeredClearing
        With one class of debt.

    Raises
    ------
    InputError, NotConverged
        As `elsinger`.

    Notes
    -----
    Suzuki (2002), Valuing corporate debt: the effect of cross-holdings of stock and debt, Journal of the Operations
    Research Society of Japan 45.

    Examples
    --------
    Two firms have 1 each and owe 0.9, and each holds a fifth of the other's equity E: E = 1 + E/5 − 0.9 = 1/8.

    >>> suzuki([[0, 0], [0, 0]], [[0, 0.2], [0.2, 0]], 1.0, 0.9).equity.round(9).tolist()
    [0.125, 0.125]
    """
    problems = [*positive("max_rounds", max_rounds, whole=True), *failure_choice(on_failure)]
    matrices = {
        "debt_holdings": Matrix(debt_holdings, highest=1.0),
        "equity_holdings": Matrix(equity_holdings, highest=1.0),
    }
    vectors = {"external_assets": Vector(external_assets), "nominal_debt": Vector(nominal_debt)}
    table = read("suzuki", matrices, vectors, problems, _between)
    shares = table.matrices["debt_holdings"].T.tocsr()
    result = cleared([(shares, table.vectors["nominal_debt"])], table, max_rounds)
    return checked(result, "suzuki", on_failure)


def _between(table: Table) -> list[str]:
    return ownerless(table) + overheld(table, "debt_holdings")

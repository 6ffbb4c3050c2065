"""Clearing with seniority classes and cross-holdings of equity: Elsinger (2009)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from contagion.clearing.layers import LayeredClearing, cleared, ownerless
from contagion.clearing.network import Matrix, Vector, read
from contagion.clearing.obligations import obligations
from contagion.clearing.problems import positive
from contagion.clearing.results import OnFailure, checked, failure_choice
from contagion.errors import InputError

__all__ = ["elsinger"]


def elsinger(
    liabilities_by_seniority: Sequence[Any],
    equity_holdings: Any,
    external_assets: Any,
    external_liabilities_by_seniority: Sequence[Any] | None = None,
    *,
    max_rounds: int = 100_000,
    on_failure: OnFailure = "raise",
) -> LayeredClearing:
    """Return greatest payments and equity values with seniority classes and equity held by other nodes.

    The value of a node, V = e + Σₛ Πˢᵀpˢ + Θᵀ max(0, V − p̄), goes to its creditors class by class, in each class in
    proportion to claims; what is left is its equity, which goes to its owners in proportion to their shares.

    Parameters
    ----------
    liabilities_by_seniority : sequence of (n, n) arrays, sparse arrays, DataFrames or DiGraphs
        What i owes j, USD; most senior class first.
    equity_holdings : likewise
        ``equity_holdings[i, j]`` is the share of i's equity that j holds, 0 to 1: rows are issuers, as they are debtors
        above. Rows add up to one at most; the rest is held outside.
    external_assets : (n,) array, Series, mapping or float
        Assets other than claims and shares in the network, USD, at least zero.
    external_liabilities_by_seniority : sequence of the same, optional
        Debts to creditors outside, class by class; none by default.
    max_rounds : int
        Cap on the rounds of iteration from above.
    on_failure : {"raise", "return"}

    Returns
    -------
    LayeredClearing

    Raises
    ------
    InputError
        All that is wrong with the input; also if a group of nodes is owned by itself alone, which leaves the values of
        its equity undetermined.
    NotConverged
        If ``max_rounds`` are not enough.

    Notes
    -----
    Elsinger (2009), Financial networks, cross holdings, and limited liability, OeNB Working Paper 156. Iteration from
    above finds which class of each node is the one that is paid in part; the rest is one linear system.

    Examples
    --------
    A bank with 3 owes 2 to seniors and 2 to juniors, all held by the second bank: juniors get 1.

    >>> senior = junior = [[0, 2], [0, 0]]
    >>> elsinger([senior, junior], [[0, 0], [0, 0]], [3, 0]).by_seniority.loc[0].tolist()
    [2.0, 1.0]
    """
    outside = external_liabilities_by_seniority
    outside = [None] * len(liabilities_by_seniority) if outside is None else outside
    problems = [*positive("max_rounds", max_rounds, whole=True), *failure_choice(on_failure)]
    if len(outside) != len(liabilities_by_seniority) or not len(outside):
        found = f"{len(outside)} classes outside of the network and {len(liabilities_by_seniority)} in it"
        raise InputError([*problems, f"{found}; give as many, and at least one, most senior first"], "elsinger")
    names = [f"liabilities of class {number}" for number in range(1, len(outside) + 1)]
    matrices = {name: Matrix(given) for name, given in zip(names, liabilities_by_seniority, strict=True)}
    matrices["equity_holdings"] = Matrix(equity_holdings, highest=1.0)
    vectors = {f"external {name}": Vector(given, default=0.0) for name, given in zip(names, outside, strict=True)}
    vectors["external_assets"] = Vector(external_assets)
    table = read("elsinger", matrices, vectors, problems, ownerless)
    classes = [obligations(table.matrices[name], table.vectors[f"external {name}"]) for name in names]
    result = cleared(classes, table, max_rounds)
    return checked(result, "elsinger", on_failure)

"""Clearing without costs of default: Eisenberg and Noe (2001)."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from contagion.clearing.clearing_vector import EXACT, Clearing, by_node, pari_passu
from contagion.clearing.network import Floats, Matrix, Vector, read
from contagion.clearing.obligations import Obligations, Paid, gap, greatest, obligations, value
from contagion.clearing.problems import choice
from contagion.clearing.regularity import regular, unique
from contagion.clearing.results import OnFailure, checked, failure_choice

__all__ = ["eisenberg_noe"]


def eisenberg_noe(
    liabilities: Any,
    external_assets: Any,
    external_liabilities: Any = None,
    *,
    external: Literal["pari_passu", "senior"] = "pari_passu",
    on_failure: OnFailure = "raise",
) -> Clearing:
    """Return the greatest clearing vector: p = min(p̄, e + Πᵀp), where Π are the shares of each debtor's debts.

    Everybody pays in full, or all that it has, to each creditor in proportion to its claim. Exact: the fictitious
    default algorithm, each of whose rounds is one sparse linear system.

    Parameters
    ----------
    liabilities : (n, n) array, sparse array, DataFrame or DiGraph
        ``liabilities[i, j]`` is what i owes j, USD; in a graph, edges go from debtor to creditor (``amount``).
    external_assets : (n,) array, Series, mapping or float
        Assets other than claims in the network, USD, at least zero.
    external_liabilities : likewise, optional
        Debts to creditors outside of the network, USD; none by default.
    external : {"pari_passu", "senior"}
        Whether outside creditors rank with those in the network or are paid before them.
    on_failure : {"raise", "return"}
        Whether a residual above 1e-9 raises.

    Returns
    -------
    Clearing
        ``frame`` with one row a node, and each column also as a Series.

    Raises
    ------
    InputError
        All that is wrong with the input.
    NotConverged
        If linear systems could not be solved well enough (payments go round among nodes that keep next to nothing).

    Notes
    -----
    Eisenberg and Noe (2001), Systemic risk in financial systems, Management Science 47: definition 1, theorem 2 and
    section 3.1. Senior outside creditors as in Elsinger (2009), where e − external liabilities may be negative.

    Examples
    --------
    The first bank has 1 and owes 2 to the second, who owes 2 to the third: both can pay half.

    >>> clearing = eisenberg_noe([[0, 2, 0], [0, 0, 2], [0, 0, 0]], [1, 0, 0])
    >>> clearing.payments.tolist(), clearing.default_round.tolist()
    ([1.0, 1.0, 0.0], [1, 2, 0])
    """
    problems = [*choice("external", external, ("pari_passu", "senior")), *failure_choice(on_failure)]
    table = read(
        "eisenberg_noe",
        {"liabilities": Matrix(liabilities)},
        {
            "external_assets": Vector(external_assets),
            "external_liabilities": Vector(external_liabilities, default=0.0),
        },
        problems,
    )
    matrix = table.matrices["liabilities"]
    assets, outside = table.vectors["external_assets"], table.vectors["external_liabilities"]
    senior = external == "senior"
    shares, owed = obligations(matrix, 0.0 if senior else outside)
    given = Obligations(shares, owed, assets - outside if senior else assets)
    paid = greatest(given)
    sheet = _sheet(given, paid, outside, assets) if senior else pari_passu(given, paid, outside)
    residual = gap(given, paid.payments)
    leaving = np.zeros_like(outside) if senior else outside
    proven = regular(matrix, given.assets, owed)
    result = Clearing(
        by_node(sheet, table.labels["node"]),
        residual <= EXACT,
        paid.rounds,
        residual,
        proven,
        proven or unique(given, leaving, paid.payments),
    )
    return checked(result, "eisenberg_noe", on_failure, "its linear systems are too close to singular")


def _sheet(given: Obligations, paid: Paid, outside: Floats, assets: Floats) -> dict[str, Floats]:
    """Return the columns of the frame if outside creditors are paid first."""
    received = given.shares @ paid.payments
    first = np.minimum(outside, assets + received)
    missed = outside - first > 1e-13 * outside
    rounds = np.where(missed & (paid.default_round == 0), paid.rounds + 1, paid.default_round)
    owes = given.owed > 0.0
    rate = np.divide(paid.payments, given.owed, out=np.where(missed, 0.0, 1.0), where=owes)
    left = value(given, paid.payments) - given.owed
    return {
        "owed": given.owed + outside,
        "payments": paid.payments + first,
        "external_payments": first,
        "received": received,
        "equity": np.maximum(left, 0.0),
        "recovery_rate": rate,
        "default_round": rounds,
    }

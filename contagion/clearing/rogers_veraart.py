"""Clearing with costs of default: Rogers and Veraart (2013)."""

from __future__ import annotations

from typing import Any, Literal

from contagion.clearing.clearing_vector import EXACT, Clearing, by_node, pari_passu
from contagion.clearing.network import Matrix, Vector, read
from contagion.clearing.obligations import Obligations, gap, greatest, least, obligations
from contagion.clearing.problems import choice
from contagion.clearing.results import OnFailure, checked, failure_choice

__all__ = ["rogers_veraart"]


def rogers_veraart(
    liabilities: Any,
    external_assets: Any,
    alpha: Any,
    beta: Any,
    external_liabilities: Any = None,
    *,
    solution: Literal["greatest", "least"] = "greatest",
    on_failure: OnFailure = "raise",
) -> Clearing:
    """Return a clearing vector with costs of default: p = p̄ if e + Πᵀp ≥ p̄, else αe + βΠᵀp.

    Costs make many clearing vectors possible: in the greatest, banks default only if they must; in the least, they are
    solvent only if they must be. Both are exact: the greatest by the fictitious default algorithm from above, the
    least by the same from below.

    Parameters
    ----------
    liabilities : (n, n) array, sparse array, DataFrame or DiGraph
        ``liabilities[i, j]`` is what i owes j, USD.
    external_assets : (n,) array, Series, mapping or float
        Assets other than claims in the network, USD, at least zero.
    alpha, beta : float, or one for each node as above
        Share of its external assets, and of what its debtors pay it, that a defaulter's creditors get; 0 to 1.
    external_liabilities : likewise, optional
        Debts to creditors outside of the network, USD, pari passu; none by default.
    solution : {"greatest", "least"}
        Which clearing vector.
    on_failure : {"raise", "return"}
        Whether a residual above 1e-9 raises.

    Returns
    -------
    Clearing
        ``frame`` with one row a node; ``default_round`` of the least one is 1 for all that default.

    Raises
    ------
    InputError
        All that is wrong with the input.
    NotConverged
        If linear systems could not be solved well enough.

    Notes
    -----
    Rogers and Veraart (2013), Failure and rescue in an interbank network, Management Science 59; the
    greatest solution by the algorithm of their section 3. With α = β = 1, Eisenberg and Noe (2001).

    Examples
    --------
    Two banks owe each other 1, one has nothing and the other owes 0.5 outside and has 0.4. Nobody can be paid in full,
    and of each payment half is lost: p = 0.5 q / 1.5 and q = 0.5 (0.4 + p), where p is the first bank's.

    >>> clearing = rogers_veraart([[0, 1], [1, 0]], [0, 0.4], 0.5, 0.5, [0, 0.5])
    >>> clearing.payments.round(6).tolist()
    [0.08, 0.24]
    """
    problems = [*choice("solution", solution, ("greatest", "least")), *failure_choice(on_failure)]
    vectors = {
        "external_assets": Vector(external_assets),
        "external_liabilities": Vector(external_liabilities, default=0.0),
        "alpha": Vector(alpha, highest=1.0),
        "beta": Vector(beta, highest=1.0),
    }
    table = read("rogers_veraart", {"liabilities": Matrix(liabilities)}, vectors, problems)
    outside = table.vectors["external_liabilities"]
    shares, owed = obligations(table.matrices["liabilities"], outside)
    kept = (table.vectors["alpha"], table.vectors["beta"])
    given = Obligations(shares, owed, table.vectors["external_assets"], *kept)
    paid = greatest(given) if solution == "greatest" else least(given)
    residual = gap(given, paid.payments)
    frame = by_node(pari_passu(given, paid, outside), table.labels["node"])
    result = Clearing(frame, residual <= EXACT, paid.rounds, residual)
    return checked(result, "rogers_veraart", on_failure, "its linear systems are too close to singular")

"""The network that spreads debts as evenly as totals allow."""

from __future__ import annotations

from typing import Any

from contagion.clearing.problems import positive
from contagion.clearing.results import OnFailure, checked, failure_choice
from contagion.reconstruct.networks import EXACT, Reconstruction, misfit
from contagion.reconstruct.scaling import even, scaled
from contagion.reconstruct.totals import Totals, read_totals

__all__ = ["max_entropy"]


def max_entropy(
    assets: Any, liabilities: Any, known: Any = None, *, max_rounds: int = 100_000, on_failure: OnFailure = "raise"
) -> Reconstruction:
    """Return the network of largest entropy that fits: x_ij = r_i·c_j on free cells, zero diagonal, known cells kept.

    The usual first guess, and a poor one: real networks are sparse, and spreading hides contagion or adds to it
    (Mistrulli 2011). Take it as one end, with `minimum_density` as the other and `ensemble_losses` for the range.

    Parameters
    ----------
    assets, liabilities : (n,) array, Series or mapping
        What each bank is owed by, and owes to, the others, USD; the same total. Assets are column sums, liabilities
        row sums. Totals that differ by less than 1e-9 are made equal by scaling assets.
    known : (n, n) array or DataFrame with NaN where nothing is known, sparse array or DiGraph, optional
        Cells that are known and kept, zeros among them; of sparse arrays the stored cells, of graphs the edges.
    max_rounds : int
        Cap on rounds of scaling, which known cells need.
    on_failure : {"raise", "return"}
        Whether a residual above 1e-12 raises.

    Returns
    -------
    Reconstruction
        Its matrix is dense.

    Raises
    ------
    InputError
        All that is wrong with the input, and totals that no network fits, with the banks that show it.
    NotConverged
        If ``max_rounds`` are not enough.

    Notes
    -----
    Upper and Worms (2004), Estimating bilateral exposures in the German interbank market, European Economic Review 48.
    With known cells by RAS (rows and columns scaled in turn), where cells that totals force to zero are found on the
    way. Without, its limit is found directly, by one equation for one number, whatever the totals: with R the sum of
    all r and c adding up to one, (1 − c_i)·r_i = liabilities and (R − r_i)·c_i = assets give each r and c from R.

    Examples
    --------
    Anand, Craig and von Peter (2015), p. 628:

    >>> owned, owed = [7, 5, 3, 1, 3, 0, 1], [4, 5, 5, 0, 0, 2, 4]
    >>> max_entropy(owned, owed).matrix[0].round(2).tolist()
    [0.0, 1.72, 0.98, 0.25, 0.75, 0.0, 0.3]
    """
    problems = [*positive("max_rounds", max_rounds, whole=True), *failure_choice(on_failure)]
    totals = read_totals("max_entropy", assets, liabilities, known, problems)
    matrix, rounds = _solved(totals, max_rounds)
    cells = totals.known.tocoo()
    matrix[cells.row, cells.col] += cells.data
    residual = misfit(matrix, totals.all_liabilities, totals.all_assets)
    result = Reconstruction(matrix, totals.labels, residual <= EXACT, rounds, residual)
    return checked(result, "max_entropy", on_failure)


def _solved(totals: Totals, max_rounds: int) -> tuple[Any, int]:
    if totals.free is not None:
        return scaled(totals, totals.free, max_rounds)
    return even(totals.liabilities, totals.assets), 1

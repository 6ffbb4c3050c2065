"""How leverage is spread over accounts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from contagion.errors import numbers
from contagion.kernels.inputs import ratio, sum_by
from contagion.measures.standing import Standing, standing
from contagion.solution import Solution
from contagion.system import System

__all__ = ["BINS", "leverage_distribution"]

BINS = (0.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0)
"""Lower ends of the classes; an unlevered account stands inside the first, whatever the last digit of its leverage."""


def leverage_distribution(subject: System | Solution, bins: Sequence[float] | None = None) -> pd.DataFrame:
    """Return accounts, assets, debt and equity by class of leverage.

    Parameters
    ----------
    subject : System or Solution
        A system at its opening; of a solution, its opening and its end.
    bins : sequence of float, optional
        Lower ends of the classes, rising; each class reaches up to the next, exclusive, and the last has no end. By
        default `BINS`. Leverage is gross assets (collateral, perp notional, cash, claims) over marked equity.

    Returns
    -------
    DataFrame
        Index ``leverage``: the classes, "no equity" (assets on equity of zero or less) and "no assets". Columns:
        accounts (count); gross_assets, debt (at oracle prices), equity, USD; share of all gross assets. Of a
        solution each comes twice, with ``_before`` and ``_after``. After is what is left of the accounts: liquidated
        shares are sold, and what they brought is cash. ``solution.accounts`` has the passive leverage of accounts
        that had not sold.

    Raises
    ------
    InputError
        If bins do not rise from zero or more, or the system is not valid.

    Examples
    --------
    >>> from contagion import datasets
    >>> system, _ = datasets.load("loop_lending")
    >>> leverage_distribution(system).loc["3–5", ["accounts", "gross_assets", "equity"]].to_dict()
    {'accounts': 1.0, 'gross_assets': 368928.0, 'equity': 100000.0}
    """
    given = BINS if bins is None else bins
    at = standing(subject, True, "leverage_distribution", _problems(given))
    edges = [0.0] + [float(edge) for edge in given if edge > 0.0]
    frame = _classes(at, edges)
    if isinstance(subject, System):
        return frame
    after = _classes(standing(subject, False, "leverage_distribution"), edges)
    both = pd.concat([frame.add_suffix("_before"), after.add_suffix("_after")], axis=1)
    return both[[f"{name}_{when}" for name in frame.columns for when in ("before", "after")]]


def _problems(bins: Sequence[float]) -> list[str]:
    problems = numbers("bins", bins, lambda edge: edge >= 0.0, "finite numbers of 0 or more")
    if not problems and not all(low < high for low, high in pairwise(bins)):
        problems.append(f"bins is {bins!r}; give numbers that rise")
    return problems


def _classes(at: Standing, edges: list[float]) -> pd.DataFrame:
    gross, debt, equity = at.gross(), at.debt(), at.equity()
    place = np.searchsorted(edges, ratio(gross, equity), side="right") - 1
    place = np.where(gross > 0.0, np.where(equity > 0.0, place, len(edges)), len(edges) + 1)
    names = [f"{low:g}–{high:g}" for low, high in pairwise(edges)]
    names += [f"{edges[-1]:g} or more", "no equity", "no assets"]
    columns = {
        name: sum_by(place, values, len(names))
        for name, values in (("gross_assets", gross), ("debt", debt), ("equity", equity))
    }
    frame = pd.DataFrame(
        {"accounts": np.bincount(place, minlength=len(names)), **columns}, index=pd.Index(names, name="leverage")
    )
    total = columns["gross_assets"].sum()
    return frame.assign(share=frame["gross_assets"] / total if total > 0.0 else np.nan)

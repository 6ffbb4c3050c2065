"""How much debt stands how close to its liquidation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from contagion import schema
from contagion.errors import numbers, texts
from contagion.holdings import sums
from contagion.kernels.inputs import Bools, Floats, Ints, ratio, sum_by
from contagion.measures.margin import LIQUIDATION, level, worth
from contagion.measures.standing import ALL, Standing, standing
from contagion.solution import Solution
from contagion.system import System

__all__ = ["WITHIN", "debt_at_risk"]

WITHIN = (0.01, 0.02, 0.05, 0.1, 0.2)
"""Falls of all prices that `debt_at_risk` looks at, as shares."""


def debt_at_risk(
    subject: System | Solution,
    within: Sequence[float] = WITHIN,
    opening: bool = True,
    steady: Sequence[str] = ("stablecoin",),
) -> pd.DataFrame:
    """Return the debt that a fall of all prices together would make liquidatable, by platform and size of the fall.

    Every market price falls by the same share, but for assets of the ``steady`` kinds: they are what debts are counted
    in, and a fall of dollars against dollars is no market move. Synthetic dollars do fall: their peg is a promise that
    a falling market tests. Debts in falling assets shrink, shorts gain, and hard-coded oracles do not move: exact,
    since the surplus of an account is linear in the common fall. Nobody sells yet: that is what a solve adds.

    Parameters
    ----------
    subject : System or Solution
        Where to measure from.
    within : sequence of float
        Falls, as shares between 0 and 1.
    opening : bool
        Of a Solution: at its opening (default), or where it ended, for what is left of the accounts.
    steady : sequence of str
        Kinds of assets (``assets.kind``) whose prices stay.

    Returns
    -------
    DataFrame
        Index: platform, within; the last rows are "all platforms". Columns, of the accounts that would be
        liquidatable at some point of the fall (those past their level already count at any):

        - accounts: how many
        - debt: what they owe, at oracle prices, USD; perps carry exposure, not debt
        - gross_assets: collateral, perp notional, cash and claims, USD
        - debt_share, gross_share: of all debt, of all gross assets on the platform

    Raises
    ------
    InputError
        If an argument is not one of those above, or the system is not valid.

    Examples
    --------
    The loop is liquidatable below 0.8576:

    >>> from contagion import datasets
    >>> system, _ = datasets.load("loop_lending")
    >>> debt_at_risk(system, within=(0.14, 0.15)).loc["Lending pool", "debt"].to_dict()
    {0.14: 0.0, 0.15: 268928.0}
    """
    problems = numbers("within", within, lambda fall: 0.0 <= fall <= 1.0, "falls as shares between 0 and 1")
    at = standing(subject, opening, "debt_at_risk", problems + _unknown(steady))
    falls = sorted({float(fall) for fall in within})
    debt, gross = at.debt(), at.gross()
    platforms, member = np.unique(at.inputs.accounts.platform, return_inverse=True)
    all_debt, all_gross = (_by_platform(member, values, platforms.size) for values in (debt, gross))
    parts = []
    for hit in _hit(at, falls, tuple(steady)):
        count, owed, held = (
            _by_platform(member, np.where(hit, values, 0.0), platforms.size)
            for values in (np.ones(debt.size), debt, gross)
        )
        columns = {"accounts": count.astype(np.int64), "debt": owed, "gross_assets": held}
        parts.append(pd.DataFrame(columns).assign(debt_share=ratio(owed, all_debt), gross_share=ratio(held, all_gross)))
    names = [*at.labels.nodes.take(platforms), ALL]
    order = [part.iloc[[row]] for row in range(len(names)) for part in parts]
    index = pd.MultiIndex.from_product([names, falls], names=["platform", "within"])
    return pd.concat(order).set_axis(index)


@np.errstate(over="ignore", invalid="ignore")  # states that have not converged may hold anything
def _hit(at: Standing, falls: Sequence[float], steady: tuple[str, ...]) -> list[Bools]:
    """Return for each fall which accounts (a,) would be liquidatable by then."""
    known, margin = at.kept > 0.0, at.surplus(level(at.inputs, LIQUIDATION))
    loss = at.kept * sums(worth(at.inputs, at.labels, LIQUIDATION, _falling(at, steady)), 1)
    return [known & ((margin < 0.0) | (margin - fall * loss < 0.0)) for fall in falls]


def _unknown(steady: Sequence[str]) -> list[str]:
    """Return the problems of what should be kinds of assets."""
    problems, kinds = texts("steady", steady, "kinds of assets"), schema.columns("assets")["kind"].choices
    if problems:
        return problems
    return [
        f"steady: {kind!r} is not a kind of asset{schema.near_misses(kind, kinds)}; give some of {', '.join(kinds)}"
        for kind in steady
        if kind not in kinds
    ]


def _falling(at: Standing, steady: tuple[str, ...]) -> Floats:
    """Return the prices (m,) that fall, zero for those that stay."""
    assets = at.system.markets.set_index("market")["asset"].reindex(at.labels.markets)
    kinds = at.system.assets.set_index("asset")["kind"].reindex(assets).to_numpy(dtype=object)
    return np.where(np.isin(kinds.astype(str), steady), 0.0, at.price)


def _by_platform(member: Ints, values: Floats, size: int) -> Floats:
    """Return sums by platform, and the sum of all as the last."""
    found = sum_by(member, values, size)
    return np.append(found, found.sum())

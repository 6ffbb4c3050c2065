"""Whether markets could take what a group would sell if it left at once."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pandas as pd

from contagion import channels, holdings
from contagion.errors import is_number
from contagion.holdings import Groups, net_units
from contagion.kernels.inputs import Floats, Ints, Markets, ratio, sum_by
from contagion.measures.standing import Standing, standing
from contagion.solution import Solution
from contagion.system import System

__all__ = ["run_coverage", "sale_for"]


class Sales(NamedTuple):
    """What each group would sell in each market: one entry for each pair with a sale."""

    group: Ints
    market: Ints
    usd: Floats
    taken: Floats  # USD that the market takes until its price has fallen so far
    drop: Floats  # share of the price that the sale would cost


def run_coverage(subject: System | Solution, opening: bool = True, fall: float = 0.05) -> pd.DataFrame:
    """Return, for every account group, what it would sell if it left at once against what its markets could take.

    Parameters
    ----------
    subject : System or Solution
        Where to measure.
    opening : bool
        Of a Solution: at its opening (default) with all quotes in place, or at its end, with what accounts still hold,
        the quotes that are left and the scenario's depth factors.
    fall : float
        Fall of a price, as a share of it, up to which a market counts as able to take a sale.

    Returns
    -------
    DataFrame
        Index: group ("whale @ Aave"), in the order of names. USD at opening prices, as ``markets.depth``:

        - sold: sales, net in each market along the platform's routes: collateral and long perps less debts and shorts
          bought back there; markets in which the group would buy on balance do not count
        - depth: what those markets take until their prices have fallen by ``fall``
        - coverage: depth / sold, infinite if nothing is sold or a market takes any amount
        - market: the one in which coverage is lowest; market_sold, market_depth, market_coverage: the same there
        - drop: the fall that the sale alone would cause there, as a share of the price

    Raises
    ------
    InputError
        If an argument is not one of those above, or the system is not valid.

    Notes
    -----
    The group's own quotes do not count: they leave with it. Each market stands alone: arbitrage, which would carry part
    of the sale to other venues, margin calls and other sellers are left out. A market whose floor lies above the fall
    takes any amount. Coverage of everybody at once is not the sum of groups. At the end of a solution a sale starts
    from the price that stands, on a fresh curve.

    Examples
    --------
    A market of infinite depth takes the whole loop:

    >>> from contagion import datasets
    >>> system, _ = datasets.load("loop_lending")
    >>> run_coverage(system)[["sold", "coverage", "drop"]].iloc[0].to_dict()
    {'sold': 368928.0, 'coverage': inf, 'drop': 0.0}
    """
    fits = is_number(fall) and 0.0 < fall < 1.0
    problems = [] if fits else [f"fall is {fall!r}; give a share between 0 and 1, exclusive"]
    at = standing(subject, opening, "run_coverage", problems)
    grouped = holdings.groups(at.system, at.inputs, at.labels)
    units = holdings.scaled(net_units(at.inputs.positions), at.kept, at.inputs.markets.price)
    group, market, sold = holdings.entries(grouped.rows(units))
    sells = sold > 0.0
    group, market, sold = group[sells], market[sells], sold[sells]
    depth = _others_depth(at, grouped, opening, group, market)
    return _table(
        at, Sales(group, market, sold, *_absorbed(at.inputs.markets, market, sold, depth, fall)), grouped.names
    )


def _absorbed(markets: Markets, market: Ints, sold: Floats, depth: Floats, fall: float) -> tuple[Floats, Floats]:
    """Return what markets take until their prices have fallen so far, and the drop that sales cause."""
    with np.errstate(divide="ignore", invalid="ignore"):
        taken = np.where(depth > 0.0, depth * sale_for(markets, fall)[market], 0.0)
        pressure = np.where(np.isinf(depth), 0.0, sold / depth)
    drop = -np.expm1(-channels.impact(markets.kind[market], pressure, -np.log(markets.floor[market])))
    return np.where(markets.floor[market] > 1.0 - fall, np.inf, taken), drop


def sale_for(markets: Markets, fall: float) -> Floats:
    """Return the sale (m,), in units of each market's depth, that lowers its price by a share.

    The inverse of ``channels.impact`` above the floor.

    Examples
    --------
    >>> from contagion import datasets
    >>> from contagion.arrays import lower
    >>> from contagion.scenario import Scenario
    >>> markets = lower(datasets.load("loop_lending")[0], Scenario())[0].markets
    >>> sale_for(markets, 0.01).round(12).tolist()
    [1.0, 1.0]
    """
    return np.select(
        [markets.kind == channels.LINEAR, markets.kind == channels.SQRT, markets.kind == channels.CONSTANT_PRODUCT],
        [100.0 * fall, (100.0 * fall) ** 2, math.expm1(-0.5 * math.log1p(-fall)) / channels.POOL],
        -math.log1p(-fall) / channels.RATE,
    )


def _others_depth(at: Standing, grouped: Groups, opening: bool, group: Ints, market: Ints) -> Floats:
    """Return the depth of each market as each group would find it, in USD: without the group's own quotes."""
    markets, quotes = at.inputs.markets, at.inputs.quotes
    quoted, count = quotes.depth * (1.0 - at.withdrawn), markets.price.size
    own = grouped.member[quotes.account] * count + quotes.market
    keys, place = np.unique(own, return_inverse=True)
    by_key = sum_by(place, quoted, keys.size)
    asked = group * count + market
    found = np.searchsorted(keys, asked)
    found[found == keys.size] = 0
    mine = np.where(keys[found] == asked, by_key[found], 0.0) if keys.size else np.zeros(asked.size)
    others = np.maximum(0.0, sum_by(quotes.market, quoted, count)[market] - mine)
    infinite = np.isinf(markets.depth[market])
    factor = 1.0 if opening else markets.factor[market]
    return np.where(infinite, np.inf, factor * (np.where(infinite, 0.0, markets.depth[market]) + others))


def _table(at: Standing, sales: Sales, names: pd.Index[str]) -> pd.DataFrame:
    """Return the sums of sales by group, and the market in which each group's sale is covered least."""
    size = len(names)
    covered = sales.taken / sales.usd
    order = np.lexsort((sales.market, covered, sales.group))[::-1]
    worst = np.full(size, -1, dtype=np.int64)
    worst[sales.group[order]] = order  # the last one written is covered least
    sells = worst >= 0
    sold, depth = (sum_by(sales.group, values, size) for values in (sales.usd, sales.taken))
    columns = {"sold": sold, "depth": depth, "coverage": ratio(depth, sold, empty=np.inf)}
    market = np.full(size, "", dtype=object)
    market[sells] = at.labels.markets.to_numpy(dtype=object)[sales.market[worst[sells]]]
    frame = pd.DataFrame(columns, index=pd.Index(names, name="group", dtype="str"))
    frame["market"] = pd.array(market, dtype="str")
    for name, values, nothing in (
        ("market_sold", sales.usd, 0.0),
        ("market_depth", sales.taken, 0.0),
        ("market_coverage", covered, np.inf),
        ("drop", sales.drop, 0.0),
    ):
        column = np.full(size, nothing)
        column[sells] = values[worst[sells]]
        frame[name] = column
    return frame

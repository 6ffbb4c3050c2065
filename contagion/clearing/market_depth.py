"""How much can be sold before a price falls: market depth from trading volume and volatility."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from contagion.clearing.network import Vector, read
from contagion.clearing.problems import positive

__all__ = ["market_depth"]


def market_depth(daily_volume: Any, volatility: Any, *, horizon: float = 20.0, scale: float = 0.4) -> pd.Series[float]:
    """Return the depth of each asset's market: D = c · ADV / σ · √τ, USD of sales per unit of relative price drop.

    Parameters
    ----------
    daily_volume : (k,) array, Series or mapping
        Average daily volume ADV, USD.
    volatility : likewise
        Daily volatility σ of returns, above zero.
    horizon : float
        Days τ over which sales are spread.
    scale : float
        c; near 0.4 in estimates of the square-root law.

    Returns
    -------
    Series
        Index asset.

    Raises
    ------
    InputError
        All that is wrong with the input.

    Notes
    -----
    Cont and Schaanning (2017), Fire sales, indirect contagion and systemic stress testing, Norges Bank Working Paper
    02/2017.

    Examples
    --------
    >>> round(market_depth([50.0], [0.02]).iloc[0], 2)  # 0.4 · 2500 · √20
    np.float64(4472.14)
    """
    problems = [*positive("horizon", horizon), *positive("scale", scale)]
    cure = "leave out assets without"
    vectors = {
        "daily_volume": Vector(daily_volume, axis="asset", zero=cure),
        "volatility": Vector(volatility, axis="asset", zero=cure),
    }
    table = read("market_depth", {}, vectors, problems)
    volume, spread = table.vectors["daily_volume"], table.vectors["volatility"]
    depth = scale * volume / spread * np.sqrt(horizon)
    return pd.Series(depth, index=table.labels["asset"].rename("asset"), name="depth")

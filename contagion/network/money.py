"""What a row is worth in USD at opening prices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contagion.network.layout import AMOUNTS

__all__ = ["usd"]


def usd(table: str, frames: dict[str, pd.DataFrame]) -> NDArray[np.float64]:
    """Return the amount of each row in USD, 0 where no money is meant or no price is known."""
    if table == "positions":
        return np.nan_to_num(np.abs(_number(frames[table]["quantity"])) * _prices(frames), posinf=np.inf)
    if table in AMOUNTS:
        return np.nan_to_num(_number(frames[table][AMOUNTS[table]]), posinf=np.inf)
    return np.zeros(len(frames[table]))


def _prices(frames: dict[str, pd.DataFrame]) -> NDArray[np.float64]:
    """Return the opening price of each position along the usual route of its platform, NaN without a market."""
    positions, accounts = frames["positions"], frames["accounts"].drop_duplicates("account")
    platform = accounts.set_index("account")["platform"].reindex(positions["account"])
    pairs = pd.MultiIndex.from_arrays([platform.to_numpy(), positions["asset"].to_numpy()])
    own = _average_price(frames["markets"], ["venue", "asset"]).reindex(pairs).to_numpy()
    everywhere = _average_price(frames["markets"], ["asset"]).reindex(positions["asset"]).to_numpy()
    return np.where(np.isnan(own), everywhere, own)


def _average_price(markets: pd.DataFrame, by: list[str]) -> pd.Series[float]:
    """Return mean prices weighted by depth, equally among infinite depths or if all depths are zero."""
    frame: pd.DataFrame = markets[by].assign(depth=_number(markets["depth"]), price=_number(markets["price"]))
    depth = frame["depth"].to_numpy()
    most = frame.groupby(by)["depth"].transform("max").to_numpy()
    weight = np.where(np.isinf(most), np.isinf(depth), np.where(most == 0.0, 1.0, depth))
    frame["weight"], frame["value"] = weight, weight * frame["price"]
    sums = frame.groupby(by)[["value", "weight"]].sum()
    return sums["value"] / sums["weight"]


def _number(values: pd.Series[Any]) -> NDArray[np.float64]:
    return pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64)

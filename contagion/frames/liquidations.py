"""Liquidated USD by platform, asset and account group."""

from __future__ import annotations

import numpy as np
import pandas as pd

from contagion.frames.parts import Parts
from contagion.kernels.inputs import DEBT, sum_by


def liquidations(parts: Parts) -> pd.DataFrame:
    """Return liquidated USD at opening prices by platform, asset and group: collateral sold and perps closed.

    Debts that are repaid do not count, so that closing a loan counts once.
    """
    positions, labels = parts.inputs.positions, parts.labels
    holdings = positions.quantity
    price = np.where(positions.side == DEBT, 0.0, parts.opening_price())
    account = np.repeat(np.arange(holdings.shape[0]), np.diff(holdings.indptr))
    usd = parts.run.state.liquidated[account] * holdings.data * price[holdings.indices]
    group, names = pd.factorize(parts.system.accounts["group"].take(labels.account_rows), sort=True)
    cell = holdings.indices.astype(np.int64) * len(names) + group[account]
    total = sum_by(cell, usd, price.size * len(names))
    touched = np.flatnonzero(total)
    column = labels.columns.take(touched // max(len(names), 1))
    frame = pd.DataFrame(
        {
            "platform": labels.nodes.take(column["platform"].to_numpy()),
            "asset": labels.assets.take(column["asset"].to_numpy()),
            "group": pd.Index(names).take(touched % max(len(names), 1)),
            "usd": total[touched],
        }
    )
    return frame.groupby(["platform", "asset", "group"], sort=True)["usd"].sum().reset_index()

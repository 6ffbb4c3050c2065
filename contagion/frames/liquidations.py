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
    sold = np.flatnonzero(usd)
    group, names = pd.factorize(parts.system.accounts["group"].take(labels.account_rows), sort=True)
    platform, asset = (labels.columns[name].to_numpy()[holdings.indices[sold]] for name in ("platform", "asset"))
    cell = (platform * len(labels.assets) + asset) * len(names) + group[account[sold]]
    cells, row = np.unique(cell, return_inverse=True)
    pair, of_group = np.divmod(cells, max(len(names), 1))
    of_platform, of_asset = np.divmod(pair, max(len(labels.assets), 1))
    return pd.DataFrame(
        {
            "platform": labels.nodes.take(of_platform),
            "asset": labels.assets.take(of_asset),
            "group": pd.Index(names).take(of_group),
            "usd": sum_by(row, usd[sold], cells.size),
        }
    )

"""What accounts sell: units of those that have sold all are added up once, those of the others anew in every round.

A liquidation is not undone, so what an account has sold in full stays sold. The compiled pass keeps the same sums, by
chunk.
"""

from __future__ import annotations

import numpy as np

from contagion.kernels.accounts import net_units
from contagion.kernels.chunks import bounds, column_sums_by_chunk, in_order
from contagion.kernels.inputs import Bools, Floats, Inputs


class Sales:
    """Net sales on markets, round after round.

    Parameters
    ----------
    inputs : Inputs
        Arrays of a system.
    apart : (a,) bool, optional
        Accounts that sell off the market.
    rising : bool
        Whether liquidated shares never fall.
    """

    def __init__(self, inputs: Inputs, apart: Bools | None, rising: bool) -> None:
        self._inputs, self._apart, self._rising = inputs, apart, rising
        self._bounds = bounds(inputs.accounts.platform.size)
        self._settled = np.zeros((self._bounds.size - 1, inputs.positions.side.size))
        self._closed = np.zeros(inputs.accounts.platform.size, dtype=np.bool_)

    def __call__(self, liquidated: Floats) -> Floats:
        """Return Q (m,) in USD at opening prices, from the liquidated share (a,) of every account."""
        held, positions = self._inputs.positions.quantity, self._inputs.positions
        left = liquidated if self._apart is None else np.where(self._apart, 0.0, liquidated)
        if self._rising:
            closing = (left >= 1.0) & ~self._closed
            if closing.any():
                self._settled += column_sums_by_chunk(held, closing.astype(np.float64), self._bounds)
                self._closed |= closing
            left = np.where(self._closed, 0.0, left)
        units = net_units(positions, in_order(self._settled + column_sums_by_chunk(held, left, self._bounds)))
        sold: Floats = (positions.route.T @ units) * self._inputs.markets.price
        return sold

"""What each price takes from the margin of an account: every trigger is linear in every price."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from contagion import holdings
from contagion.arrays import Labels
from contagion.kernels import Inputs
from contagion.kernels.inputs import COLLATERAL, DEBT, MAINTENANCE, Floats, Ints, sign_of

if TYPE_CHECKING:
    from scipy import sparse

__all__ = ["CALL", "LIQUIDATION", "STOP_LOSS", "TRIGGERS", "level", "worth"]

LIQUIDATION, STOP_LOSS, CALL = "liquidation", "stop_loss", "call"

TRIGGERS = (LIQUIDATION, STOP_LOSS, CALL)
"""What may set an account in motion, the gravest first."""


def level(inputs: Inputs, trigger: str) -> Floats:
    """Return the level (a,) of health at which accounts are liquidated, or called."""
    return inputs.accounts.liquidation_level if trigger == LIQUIDATION else inputs.accounts.call_level


def worth(inputs: Inputs, labels: Labels, trigger: str, price: Floats, rows: Ints | None = None) -> sparse.csr_array:
    """Return what is lost of each account's margin over a trigger (a, m), in USD, if one price fell to zero.

    Margin is the surplus over the level of a liquidation or call, at oracle prices, or the equity that a stop-loss
    watches, at the prices of the platform's routes; negative where a fall helps. Of some ``rows`` of accounts only, if
    they are given.
    """
    positions, accounts = inputs.positions, inputs.accounts
    side = positions.side
    if trigger == STOP_LOSS:
        return holdings.by_market(positions, sign_of(side), price, rows)
    platform = labels.columns["platform"].to_numpy()
    at_node = np.ones(len(labels.nodes))
    at_node[accounts.platform] = level(inputs, trigger)
    strict = np.zeros(len(labels.nodes), dtype=np.bool_)
    strict[accounts.platform] = accounts.margin_rule == MAINTENANCE
    of_debt, of_maintenance = np.where(strict, 1.0, at_node)[platform], np.where(strict, at_node, 1.0)[platform]
    weight = np.where(side == DEBT, -of_debt, sign_of(side)) - of_maintenance * positions.maintenance
    weight = np.where(side == COLLATERAL, positions.weight, weight)
    return holdings.by_market(positions, weight, price, rows, seen=True)

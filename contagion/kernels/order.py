"""Whether more of anything bad is always worse: then rounds may set out from the solution of something milder."""

from __future__ import annotations

import numpy as np

from contagion.kernels.inputs import DEBT, FUND, LONG, MAINTENANCE, SHORT, Bools, Codes, Inputs, Ints

__all__ = ["keeps_order", "moves"]


def keeps_order(inputs: Inputs) -> bool:
    """Return whether more of anything bad never makes anything better, so that the map is isotone.

    Rounds that set out from a state below the least fixed point then end in it (Tarski 1955). It takes a long-only
    system: no shorts, no debts in an asset whose price can move, level × maintenance ≤ 1 on perps; and neither of the
    two links that bend the order even there: accounts that a node owns, and margin calls that are funded
    (``docs/decisions/0008``).
    """
    given = inputs.accounts
    funded = (given.call_policy[given.funded] == FUND).any()
    return not (funded or (given.owner >= 0).any() or _shorts(inputs) or _heavy_perps(inputs))


def _shorts(inputs: Inputs) -> bool:
    """Return whether any account gains when a price falls."""
    positions = inputs.positions
    moving = moves(inputs).astype(np.float64)
    touched = (abs(positions.oracle) @ moving + abs(positions.route) @ moving > 0.0)[positions.pair]
    return bool((_held(inputs, SHORT) | (_held(inputs, DEBT) & touched)).any())


def moves(inputs: Inputs) -> Bools:
    """Return whether anything can move the price of each market (m,)."""
    markets = inputs.markets
    moving: Bools = np.isfinite(markets.depth) | (markets.shock > 0.0) | (markets.issuer >= 0)
    for market in markets.peg_order:
        anchor = markets.pegged_to[market]
        moving[market] |= anchor >= 0 and moving[anchor]
    return moving


def _heavy_perps(inputs: Inputs) -> bool:
    """Return whether a fall may free more maintenance margin than it costs equity."""
    given = inputs.accounts
    rows: Ints = np.flatnonzero(given.margin_rule == MAINTENANCE)
    levels = (given.liquidation_level, given.target_level, given.full_close_level, given.call_level, given.call_target)
    highest = max((float(level[rows].max(initial=0.0)) for level in levels), default=0.0)
    maintenance = inputs.positions.maintenance[_held(inputs, LONG)]
    return highest * float(maintenance.max(initial=0.0)) > 1.0


def _held(inputs: Inputs, side: int) -> Bools:
    """Return the term columns (k,) of one side that anybody holds."""
    sides: Codes = inputs.positions.side
    held: Bools = (sides == side) & (np.asarray(inputs.positions.quantity.sum(axis=0)) > 0.0)
    return held

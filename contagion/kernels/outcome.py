"""Everything that follows from where rounds have ended, computed once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from contagion.kernels.accounts import Decision, Lines, decide, lines
from contagion.kernels.credit import Losses, losses
from contagion.kernels.inputs import Floats, Inputs
from contagion.kernels.markets import Clearing, clear, prices
from contagion.kernels.reaction import State
from contagion.kernels.rounds import opening_equity, opening_lines, sold_on_markets

__all__ = ["Outcome", "settle"]


@dataclass(frozen=True)
class Outcome:
    """Everything that follows from the final (λ, η, θ), computed once from them."""

    inputs: Inputs
    opening_equity: Floats  # (a,) USD
    terminal: Lines
    clearing: Clearing
    decision: Decision
    losses: Losses

    @cached_property
    def opening(self) -> Lines:
        """Lines before anything has happened, made when they are first asked for."""
        return opening_lines(self.inputs)


@np.errstate(over="ignore", invalid="ignore")
def settle(inputs: Inputs, state: State, sold: Floats | None = None) -> Outcome:
    """Return all that follows from the final (λ, η, θ), computed once, so that identities hold to rounding.

    ``sold`` (m,) is Q as the last round added it up: then the last bits of prices are those of that round, and of a
    system in parts, which knows no other sum.
    """
    sold = sold_on_markets(inputs, state.liquidated) if sold is None else sold
    cleared = clear(inputs.markets, inputs.quotes, sold, state.withdrawn, state.haircut, None)
    price = prices(inputs.markets.price, cleared.log_drop)
    opening = opening_equity(inputs)
    at = lines(inputs.positions, inputs.accounts, price, cleared.average(inputs.markets), 1.0 - state.haircut)
    made = decide(inputs.accounts, at, opening)
    lost = losses(inputs.accounts, inputs.nodes, at, made, state.liquidated, opening, state.haircut)
    return Outcome(inputs, opening, at, cleared, made, lost)

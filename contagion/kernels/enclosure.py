"""A state that certainly lies above the least fixed point, a hair above where the rounds ended."""

from __future__ import annotations

import numpy as np

from contagion.kernels.inputs import Floats, Inputs
from contagion.kernels.order import keeps_order
from contagion.kernels.reaction import State
from contagion.kernels.rounds import iterate

__all__ = ["above"]

_RAISES = (1e-13, 1e-12, 1e-11, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6)
_ROUNDS = 60


def above(inputs: Inputs, state: State) -> State | None:
    """Return a state y that the map does not raise, F(y) ≤ y, at or above a state that the rounds have reached.

    In a system that keeps the order the least fixed point then lies at or below y (Tarski 1955): with the state itself,
    which the rounds approach from below, this encloses it. Shares, withdrawn quotes and haircuts that are neither zero
    nor one are raised by as little as it takes; the ratchet then holds what the map would lower, and rounds that end
    with nothing moving at all have found y. To the rounding of one evaluation of the map.

    None if the system does not keep the order, or no raise up to 1e-6 comes to rest: an account may stand an ulp from
    its level, and then no enclosure is small.
    """
    if not keeps_order(inputs):
        return None
    for raised in _RAISES:
        made = iterate(inputs, 0.0, _ROUNDS, begin=_raised(state, raised))
        if made.records[-1].step == 0.0:
            return made.state
    return None


def _raised(state: State, by: float) -> State:
    def lifted(shares: Floats) -> Floats:
        partial = (shares > 0.0) & (shares < 1.0)
        return np.where(partial, np.minimum(1.0, shares + by), shares)

    return state._replace(
        liquidated=lifted(state.liquidated), withdrawn=lifted(state.withdrawn), haircut=lifted(state.haircut)
    )

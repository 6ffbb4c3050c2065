"""What the solver read and returned, in one piece, and the sums over positions that several tables need."""

from __future__ import annotations

from typing import NamedTuple

from contagion.arrays import Labels
from contagion.kernels import Inputs, Outcome, Rounds
from contagion.kernels.inputs import Floats, sign_of
from contagion.system import System


class Parts(NamedTuple):
    """What the solver read and returned."""

    system: System
    inputs: Inputs
    labels: Labels
    run: Rounds
    outcome: Outcome

    def signed_units(self, weight: Floats) -> Floats:
        """Return the net units (k,) in each term column, accounts weighted by (a,); debts and shorts are negative."""
        positions = self.inputs.positions
        units: Floats = sign_of(positions.side) * (positions.quantity.T @ weight)
        return units

    def opening_price(self) -> Floats:
        """Return the opening price (k,) of each term column along its platform's route, USD per unit."""
        positions = self.inputs.positions
        price: Floats = (positions.route @ self.inputs.markets.price)[positions.pair]
        return price

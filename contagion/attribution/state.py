"""The terminal state, and what the rows of the loss graph are made of."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from contagion.frames import Parts
from contagion.kernels import settle
from contagion.kernels.accounts import decide
from contagion.kernels.inputs import Floats
from contagion.scenario import Scenario

__all__ = ["Terminal", "terminal"]

_ALMOST_ALL = 1.0 - 2.0**-53
"""The largest haircut below one: read in the place of one, whose log drop is infinite and would take all shares."""


class Terminal(NamedTuple):
    """Everything that follows from the final (λ, η, θ), as causes of loss count it."""

    parts: Parts
    scenario: Scenario
    venue: pd.Index[str]  # (m,)
    asset: pd.Index[str]  # (m,)
    fall: Floats  # (m,) USD per unit between opening and terminal price
    concession: Floats  # (m,) USD per unit between opening price and sellers' price
    paid: Floats  # (m,) H, log drop of sellers' price below the reference price
    paid_drop: Floats  # (m,) σ, log drop of sellers' price below the opening price
    requests: Floats  # (4, a) share that each rule asks to be sold
    wanted: Floats  # (f,) USD still needed when a funding row came up

    @property
    def lam(self) -> Floats:
        """Liquidated shares (a,)."""
        return self.parts.run.state.liquidated

    @property
    def eta(self) -> Floats:
        """Withdrawn shares of quotes (j,)."""
        return self.parts.run.state.withdrawn

    @property
    def theta(self) -> Floats:
        """Haircuts (n,)."""
        return self.parts.run.state.haircut

    @property
    def impact(self) -> Floats:
        """Log drop (m,) by sales, G."""
        return self.parts.outcome.clearing.impact

    @property
    def drop(self) -> Floats:
        """Log drop (m,) of prices, δ."""
        return self.parts.outcome.clearing.log_drop

    @property
    def moved(self) -> Floats:
        """USD (a,) that calls brought to each account less what it gave."""
        made = self.parts.outcome.decision
        return made.received - made.given


def terminal(parts: Parts, scenario: Scenario) -> Terminal:
    """Return the terminal state of a solution; haircuts of one are read as the largest number below it."""
    if (parts.run.state.haircut > _ALMOST_ALL).any():
        state = parts.run.state._replace(haircut=np.minimum(parts.run.state.haircut, _ALMOST_ALL))
        parts = parts._replace(run=parts.run._replace(state=state), outcome=settle(parts.inputs, state))
    inputs, outcome = parts.inputs, parts.outcome
    clearing = outcome.clearing
    paid = -np.log(clearing.discount)
    paid = np.where(clearing.pressure >= 0.0, np.maximum(paid, 0.0), np.minimum(paid, 0.0))  # a clip of rounding
    requests = np.zeros((4, inputs.accounts.platform.size))
    made = decide(inputs.accounts, outcome.terminal, outcome.opening_equity, requests)
    listed = parts.system.markets.set_index("market")[["venue", "asset"]].reindex(parts.labels.markets)
    price = inputs.markets.price
    return Terminal(
        parts,
        scenario,
        pd.Index(listed["venue"]),
        pd.Index(listed["asset"]),
        fall=-price * np.expm1(-clearing.log_drop),
        concession=-price * np.expm1(-(clearing.reference + paid)),
        paid=paid,
        paid_drop=clearing.reference + paid,
        requests=requests,
        wanted=made.wanted,
    )

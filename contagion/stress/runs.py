"""One system, many runs: arrays are lowered once, each run comes down to a loss."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from contagion.arrays import Labels
from contagion.arrays.accounts import losses_of
from contagion.arrays.encode import Names, in_order
from contagion.arrays.markets import markets_of
from contagion.frames import Parts
from contagion.frames.nodes import outside_liabilities
from contagion.kernels import Inputs, State, settle
from contagion.kernels.ahead import iterate_ahead
from contagion.kernels.inputs import DEBT, Floats
from contagion.kernels.reaction import Immune
from contagion.kernels.rounds import ready
from contagion.scenario import Scenario
from contagion.system import System

if TYPE_CHECKING:
    from contagion.kernels.compiled import Prepared

__all__ = ["MAX_ROUNDS", "TOL", "Book", "Run", "under"]

TOL = 1e-12
MAX_ROUNDS = 20_000


class Book(NamedTuple):
    """What turns the state of any run into dollars."""

    outside: Floats  # (n,) liabilities that nobody inside holds, USD
    value: Floats  # (a,) collateral and perps at opening prices, USD
    prepared: Prepared | None  # accounts of a large system, ready for any scenario

    @classmethod
    def of(cls, parts: Parts) -> Book:
        """Return the book of a lowered system."""
        price = np.where(parts.inputs.positions.side == DEBT, 0.0, parts.opening_price())
        return cls(outside_liabilities(parts), parts.inputs.positions.quantity @ price, ready(parts.inputs))

    def loss(self, inputs: Inputs, state: State, immune: Immune | None = None) -> float:
        """Return the loss of the system as ``Solution.totals`` defines it, in USD."""
        lost, nodes = settle(inputs, state, immune, self.prepared).losses, inputs.nodes
        with np.errstate(over="ignore", invalid="ignore"):  # runs that did not end may hold anything
            beyond = np.maximum(0.0, lost.loss - nodes.buffer - nodes.liabilities)
            by_accounts = float(lost.lost[inputs.accounts.owner < 0].sum())
            by_buffers = float(np.minimum(lost.loss, nodes.buffer).sum())
            return by_accounts + by_buffers + float((state.haircut * self.outside + beyond).sum())

    def liquidated(self, state: State) -> float:
        """Return the USD, at opening prices, of collateral sold and perps closed."""
        return float((self.value * state.liquidated).sum())

    def run(
        self,
        inputs: Inputs,
        tol: float = TOL,
        begin: State | None = None,
        immune: Immune | None = None,
        max_rounds: int = MAX_ROUNDS,
    ) -> Run:
        """Return where the rounds end, from zero or from a state, and what has been lost there."""
        made = iterate_ahead(inputs, tol, max_rounds, None, begin, immune, self.prepared)
        loss, sold = self.loss(inputs, made.state, immune), self.liquidated(made.state)
        return Run(made.state, loss, sold, len(made.records), made.converged)


class Run(NamedTuple):
    """Where the rounds ended."""

    state: State
    loss: float  # USD
    liquidated: float  # USD
    rounds: int
    converged: bool

    @property
    def figure(self) -> float:
        """The loss; NaN if the rounds found no fixed point."""
        return self.loss if self.converged else math.nan


def under(system: System, labels: Labels, inputs: Inputs, scenario: Scenario) -> Inputs:
    """Return the arrays of a system under another scenario with the same overrides: only markets and nodes differ."""
    names = Names(labels.nodes, labels.assets, labels.markets, labels.accounts)
    markets = in_order(system.markets, "market")
    nodes = inputs.nodes._replace(loss=losses_of(scenario, names))
    return inputs._replace(markets=markets_of(system, markets, scenario, names), nodes=nodes)

"""One system, many runs: arrays are lowered once, each run comes down to a loss."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from contagion.arrays import Labels
from contagion.arrays.accounts import losses_of
from contagion.arrays.encode import Names, in_order
from contagion.arrays.markets import markets_of
from contagion.frames import Parts
from contagion.kernels import Inputs, State
from contagion.kernels.ahead import iterate_ahead
from contagion.kernels.markets import Clearing
from contagion.kernels.reaction import Immune
from contagion.kernels.rounds import account_pass, ready, respond, start
from contagion.scenario import Scenario
from contagion.stress.ending import Tally, ending
from contagion.system import System

__all__ = ["MAX_ROUNDS", "TOL", "Book", "Run", "under"]

TOL = 1e-12
MAX_ROUNDS = 20_000


class Book(NamedTuple):
    """What turns the state of any run into dollars."""

    tally: Tally

    @classmethod
    def of(cls, parts: Parts) -> Book:
        """Return the book of a lowered system."""
        return cls(Tally.of(parts.system, parts.inputs, parts.labels, (), ready(parts.inputs)))

    def totals(self, inputs: Inputs, state: State, immune: Immune | None = None) -> dict[str, float]:
        """Return ``Solution.totals``, in USD."""
        return ending(inputs, state, self.tally, immune=immune).totals

    def run(
        self,
        inputs: Inputs,
        tol: float = TOL,
        begin: State | None = None,
        immune: Immune | None = None,
        max_rounds: int = MAX_ROUNDS,
    ) -> Run:
        """Return where the rounds end, from zero or from a state, and what has been lost there."""
        made = iterate_ahead(inputs, tol, max_rounds, None, begin, immune, self.tally.prepared)
        found = self.totals(inputs, made.state, immune)
        return Run(made.state, found["loss"], found["liquidated"], len(made.records), made.converged)

    def rounds(self, inputs: Inputs, count: int) -> Iterator[tuple[State, State, Clearing]]:
        """Yield the first rounds from zero, in Jacobi order: the state before each, that after it, and its clearing.

        The shares (a,) of the state after are written to in the next round.
        """
        state = start(inputs)
        react = account_pass(inputs, state, None, self.tally.prepared, np.maximum)
        for number in range(1, count + 1):
            before = state._replace(liquidated=state.liquidated.copy())
            with np.errstate(over="ignore", invalid="ignore"):  # as in `contagion.kernels.rounds.iterate`
                state, cleared = respond(inputs, state, react(number, state), react.opening, None)
            react.flush()
            yield before, state, cleared


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

"""Where accounts stand: at the opening, or with what a solved scenario has left of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from contagion.arrays import Labels, lower
from contagion.errors import instance, refuse
from contagion.kernels import Inputs
from contagion.kernels.accounts import Lines, surplus
from contagion.kernels.inputs import Floats
from contagion.kernels.markets import prices
from contagion.kernels.rounds import opening_lines
from contagion.scenario import Scenario
from contagion.solution import Solution
from contagion.system import System
from contagion.validate import validate

__all__ = ["ALL", "Standing", "standing"]

ALL = "all platforms"
"""Name of the row that sums up a table by platform."""

_UNBOUNDED = np.errstate(over="ignore", invalid="ignore")  # states that have not converged may hold anything


class Standing(NamedTuple):
    """Prices, and what is left of every account at them.

    Selling the share λ of an account leaves (1 − λ) of each position, and λ·V of cash for the rest; with the cash that
    margin calls brought or took, every line of the remaining account is (1 − λ)·line + λ·V + received − given.
    """

    system: System
    inputs: Inputs
    labels: Labels
    price: Floats  # (m,) USD per unit
    kept: Floats  # (a,) share of each position that has not been sold
    moved: Floats  # (a,) USD of cash that sales and calls brought, less what went to other accounts' calls
    lines: Lines  # of the accounts as they opened, at these prices
    opening_equity: Floats  # (a,)
    withdrawn: Floats  # (j,) share of each quote that is gone

    @_UNBOUNDED
    def surplus(self, level: Floats) -> Floats:
        """Return S (a,) of the remaining accounts over a level (a,)."""
        at = self.lines
        whole = surplus(self.inputs.accounts.margin_rule, at.weighted, at.debt, at.maintenance, level)
        return self.kept * whole + self.moved

    @_UNBOUNDED
    def equity(self) -> Floats:
        """Return the marked equity (a,) of the remaining accounts, negative where they owe more than they hold."""
        left: Floats = self.kept * self.lines.equity + self.moved
        return np.where(self.kept > 0.0, left, np.maximum(left, 0.0))  # a closed account's deficit is the platform's

    @_UNBOUNDED
    def cash(self) -> Floats:
        """Return the cash (a,) of the remaining accounts, negative where it is a dollar debt."""
        left: Floats = self.kept * self.inputs.accounts.cash + self.moved
        return np.where(self.kept > 0.0, left, np.maximum(left, 0.0))

    @_UNBOUNDED
    def gross(self) -> Floats:
        """Return the gross assets (a,) of the remaining accounts: collateral, perp notional, cash and claims."""
        opening = np.maximum(self.inputs.accounts.cash, 0.0)
        return self.kept * (self.lines.gross - opening) + np.maximum(self.cash(), 0.0)

    @_UNBOUNDED
    def debt(self) -> Floats:
        """Return the debt (a,) of the remaining accounts at oracle prices."""
        opening = np.maximum(-self.inputs.accounts.cash, 0.0)
        return self.kept * (self.lines.debt - opening) + np.maximum(-self.cash(), 0.0)

    def value(self) -> Floats:
        """Return the price (k,) of each term column along its platform's route, USD per unit."""
        positions = self.inputs.positions
        price: Floats = (positions.route @ self.price)[positions.pair]
        return price


def standing(subject: System | Solution, opening: bool, asked_by: str, problems: Sequence[str] = ()) -> Standing:
    """Return where the accounts of a system, or of a solution, stand; the system is checked first.

    Raises
    ------
    InputError
        If the subject is neither, the end of a system is asked for, there are ``problems`` with other arguments (all
        are listed together), or the system is not valid.
    """
    found = instance("subject", subject, (System, Solution), "a System or a Solution")
    found += instance("opening", opening, (bool, np.bool_), "True for the opening, or False for the end")
    if isinstance(subject, System) and isinstance(opening, bool | np.bool_) and not opening:
        found.append("a System has only an opening; solve it, and give the Solution")
    refuse([*found, *problems], asked_by)
    if isinstance(subject, Solution):
        return _opening(subject.system, subject.parts.inputs, subject.parts.labels) if opening else _end(subject)
    validate(subject)
    inputs, labels = lower(subject, Scenario())
    return _opening(subject, inputs, labels)


def _opening(system: System, inputs: Inputs, labels: Labels) -> Standing:
    at, size = opening_lines(inputs), inputs.accounts.platform.size
    none = np.zeros(size)
    price, quotes = inputs.markets.price, inputs.quotes.depth.size
    return Standing(system, inputs, labels, price, np.ones(size), none, at, at.equity, np.zeros(quotes))


@_UNBOUNDED
def _end(solution: Solution) -> Standing:
    parts = solution.parts
    outcome, state = parts.outcome, parts.run.state
    sold = state.liquidated * outcome.terminal.proceeds
    return Standing(
        solution.system,
        parts.inputs,
        parts.labels,
        prices(parts.inputs.markets.price, outcome.clearing.log_drop),
        1.0 - state.liquidated,
        sold + outcome.decision.received - outcome.decision.given,
        outcome.terminal,
        outcome.opening_equity,
        state.withdrawn,
    )

"""From the final state of a run to dollars: the sums of `contagion.frames.totals`, without tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np

from contagion.arrays import Labels
from contagion.frames import Parts
from contagion.frames.nodes import outside_liabilities
from contagion.kernels import Inputs, Outcome, Rounds, State
from contagion.kernels.accounts import decide, lines
from contagion.kernels.credit import borne, losses
from contagion.kernels.dollars import Sums, totals
from contagion.kernels.inputs import DEBT, Floats, Ints, sum_by
from contagion.kernels.markets import Clearing, clear, prices
from contagion.kernels.reaction import Immune
from contagion.kernels.rounds import opening_equity, sold_on_markets
from contagion.system import System

if TYPE_CHECKING:
    from contagion.kernels.compiled import Prepared

__all__ = ["Ending", "Tally", "ending"]


class Ending(NamedTuple):
    """Where a run has ended."""

    price: Floats  # (m,) USD per unit
    drop: Floats  # (m,) share of the opening price
    haircut: Floats  # (n,)
    loss: Floats  # (n,) USD
    buffer_left: Floats  # (n,) USD
    liquidated: Floats  # (n,) USD at opening prices, closed on the platform
    deficit: Floats  # (n,) USD, of the accounts that it holds
    equity: Floats  # (g,) USD, lost by the accounts of each group
    totals: dict[str, float]  # USD


class Tally(NamedTuple):
    """What turns any final state of one system into dollars."""

    opening: Floats  # (a,) equity at the opening, USD
    worth: Floats  # (k,) USD at the opening of one unit of collateral or perps in each term column; 0 for debts
    outside: Floats  # (n,) liabilities that nobody inside holds, USD
    members: tuple[Ints, ...]  # accounts of each group of which the lost equity is measured
    prepared: Prepared | None

    @classmethod
    def of(
        cls, system: System, inputs: Inputs, labels: Labels, members: tuple[Ints, ...], prepared: Prepared | None
    ) -> Tally:
        """Return the tally of a lowered system."""
        # the two sums below read neither the run nor its outcome
        parts = Parts(system, inputs, labels, cast(Rounds, None), cast(Outcome, None))
        worth = np.where(inputs.positions.side == DEBT, 0.0, parts.opening_price())
        opening = opening_equity(inputs) if prepared is None else prepared.opening
        return cls(opening, worth, outside_liabilities(parts), members, prepared)


@np.errstate(over="ignore", invalid="ignore")
def ending(inputs: Inputs, state: State, tally: Tally, accounts: bool = True, immune: Immune | None = None) -> Ending:
    """Return prices, haircuts, and losses in USD where a run has ended; without ``accounts`` the former two alone."""
    given, nodes = inputs.markets, inputs.nodes
    sold = sold_on_markets(inputs, state.liquidated, immune)
    cleared = clear(given, inputs.quotes, sold, state.withdrawn, state.haircut, None)
    price, drop = prices(given.price, cleared.log_drop), -np.expm1(-cleared.log_drop)
    nothing = np.zeros(nodes.buffer.size)
    if not accounts:
        return Ending(price, drop, state.haircut, nothing, nothing, nothing, nothing, np.zeros(0), {})
    if tally.prepared is None:
        sums = _sums(inputs, state, tally, cleared)
    else:
        from contagion.stress import fused_sums  # loads the compiler

        sums = Sums(*fused_sums.sums(inputs, state, tally, price, cleared.average(given)))
    loss = borne(nodes, sums.deficits, sums.owned, state.haircut)[1]
    made = totals(nodes, state.haircut, tally.outside, sums)
    left = np.maximum(0.0, nodes.buffer - loss)
    return Ending(price, drop, state.haircut, loss, left, sums.liquidated, sums.deficits, sums.equity, made)


def _sums(inputs: Inputs, state: State, tally: Tally, cleared: Clearing) -> Sums:
    """Return the sums over accounts by sparse products; `contagion.stress.fused_sums` is the same, compiled."""
    given, nodes, liquidated = inputs.accounts, inputs.nodes, state.liquidated
    price = prices(inputs.markets.price, cleared.log_drop)
    at = lines(inputs.positions, given, price, cleared.average(inputs.markets), 1.0 - state.haircut)
    made = decide(given, at, tally.opening)
    lost = losses(given, nodes, at, made, liquidated, tally.opening, state.haircut)
    standing = liquidated < 1.0
    uncovered = np.maximum(0.0, -(lost.outcome + made.received - made.given))
    bad = np.maximum(0.0, -(at.proceeds + made.received))
    sold = (inputs.positions.quantity @ tally.worth) * liquidated
    return Sums(
        account_loss=float(lost.lost[given.owner < 0].sum()),
        gains=float(np.maximum(0.0, lost.outcome - tally.opening).sum()),
        hidden=float(uncovered[standing].sum()),
        hidden_bad_debt=float(bad[standing].sum()),
        funded=float(made.received.sum()),
        deficits=lost.deficits,
        liquidated=sum_by(given.platform, sold, nodes.buffer.size),
        owned=lost.owned,
        equity=np.array([float(lost.lost[rows].sum()) for rows in tally.members]),
    )

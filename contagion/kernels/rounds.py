"""One round of the cascade, and its repetition until nothing moves."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from contagion import channels
from contagion.kernels import chunks
from contagion.kernels.accounts import Decision, Lines, decide, equity, lines, sold_units
from contagion.kernels.convergence import distance, settled
from contagion.kernels.credit import Losses, borne, losses
from contagion.kernels.inputs import Codes, Floats, Inputs, Ints
from contagion.kernels.markets import Clearing, clear, prices
from contagion.kernels.reaction import Firsts, Immune, Pass, Ratchet, Reaction, State
from contagion.kernels.sales import Sales

if TYPE_CHECKING:
    from contagion.kernels.compiled import Prepared

_MANY = 20


class Record(NamedTuple):
    """What one round did; the timeline is a list of these."""

    step: float  # largest move of any unknown
    evaluated_count: int  # accounts whose lines were taken; no other can have changed
    called_count: int  # accounts with an open margin call
    liquidated_count: int  # accounts of which anything has been sold
    sold: float  # USD at opening prices, markets that sell on balance only
    deficit: float  # USD
    depth_withdrawn: float  # USD of quotes gone
    largest_haircut: float
    log_drop: Floats  # (m,) at the end of the round


class Rounds(NamedTuple):
    """State that was reached and the way there."""

    state: State
    records: list[Record]
    called_round: Ints  # (a,) first round with an open call, 0 if none
    liquidated_round: Ints  # (a,) first round with a sale, 0 if none
    cause: Codes  # (a,) rule behind the first sale, 0 if none
    converged: bool
    looks: int = 0  # how many of the records are no rounds but looks ahead; see `contagion.kernels.ahead`
    last: tuple[float, ...] = ()  # steps of the rounds since the last look
    bound: float = math.nan  # certified distance of any log drop or haircut from the fixed point
    sold: Floats | None = None  # (m,) Q at the shares of the state, USD, as the last round added it up
    ends_only: bool = False  # calls and deficits of accounts that had sold all are not in the records


def start(inputs: Inputs) -> State:
    """Return the state in which only shocks and pegs have moved prices."""
    markets, nodes = inputs.markets, inputs.nodes
    nothing_sold, nothing_withdrawn = np.zeros(markets.price.size), np.zeros(inputs.quotes.depth.size)
    cleared = clear(markets, inputs.quotes, nothing_sold, nothing_withdrawn, np.zeros(nodes.buffer.size), None)
    return State(
        log_drop=cleared.log_drop,
        liquidated=np.zeros(inputs.accounts.platform.size),
        withdrawn=nothing_withdrawn,
        haircut=np.zeros(nodes.buffer.size),
        average=cleared.average(markets),
    )


def everything_lost(inputs: Inputs) -> State:
    """Return the state above all others: all accounts closed, all quotes gone, all claims and tokens worth nothing."""
    accounts, quotes = np.ones(inputs.accounts.platform.size), np.ones(inputs.quotes.depth.size)
    haircut = np.where(inputs.nodes.liabilities > 0.0, 1.0, 0.0)
    sold = sold_on_markets(inputs, accounts)
    cleared = clear(inputs.markets, inputs.quotes, sold, quotes, haircut, None)
    return State(cleared.log_drop, accounts, quotes, haircut, cleared.average(inputs.markets))


def opening_lines(inputs: Inputs) -> Lines:
    """Return the lines before anything has happened."""
    price = inputs.markets.price
    return lines(inputs.positions, inputs.accounts, price, price, np.ones(inputs.nodes.buffer.size))


def opening_equity(inputs: Inputs) -> Floats:
    """Return equity (a,) before anything has happened, USD."""
    return equity(inputs.positions, inputs.accounts, inputs.markets.price, np.ones(inputs.nodes.buffer.size))


def sold_on_markets(inputs: Inputs, liquidated: Floats, immune: Immune | None = None) -> Floats:
    """Return Q (m,): net sales in USD at opening prices, along the routes of each platform."""
    felt = liquidated if immune is None else np.where(immune.accounts, 0.0, liquidated)
    return (inputs.positions.route.T @ sold_units(inputs.positions, felt)) * inputs.markets.price


def withdrawn_quotes(inputs: Inputs, quoting: Floats, closing: Floats, opening: Floats) -> Floats:
    """Return η (j,): by the equity of quoting accounts, now and at the opening, and at least their liquidated share."""
    quotes = inputs.quotes
    by_equity = channels.withdrawal(quoting, opening, quotes.full_at, quotes.withdrawn_at)
    return np.maximum(by_equity, closing)


@np.errstate(over="ignore", invalid="ignore")  # a price beyond all numbers ends the rounds; see `distance`
def step(
    inputs: Inputs, state: State, opening_equity: Floats, immune: Immune | None = None, sales: Sales | None = None
) -> tuple[State, Decision, Losses, Clearing]:
    """Return the next state: prices, lines, accounts, quotes, losses, prices, all from the old prices.

    With the ``sales`` of the rounds before it, a round equals that of `iterate` to the last bit.
    """
    reaction, made, lost = _react(inputs, state, opening_equity, immune, sales=sales)
    new, cleared = respond(inputs, state, reaction, opening_equity[inputs.quotes.account], immune)
    return new, made, lost, cleared


def _react(
    inputs: Inputs,
    state: State,
    opening_equity: Floats,
    immune: Immune | None,
    ratchet: Ratchet = np.maximum,
    sales: Callable[[Floats], Floats] | None = None,
) -> tuple[Reaction, Decision, Losses]:
    """Return what accounts do at the prices and haircuts of a state."""
    price = prices(inputs.markets.price, state.log_drop)
    at = lines(inputs.positions, inputs.accounts, price, state.average, 1.0 - state.haircut)
    made = decide(inputs.accounts, at, opening_equity)
    liquidated = ratchet(state.liquidated, made.liquidated)
    lost = losses(inputs.accounts, inputs.nodes, at, made, liquidated, opening_equity, state.haircut)
    reaction = Reaction(
        liquidated=liquidated,
        sold=sold_on_markets(inputs, liquidated, immune) if sales is None else sales(liquidated),
        quoting=at.equity[inputs.quotes.account],
        closing=liquidated[inputs.quotes.account],
        haircut=lost.haircut,
        moved=float(np.abs(liquidated - state.liquidated).max(initial=0.0)),
        deficit=float(lost.deficits.sum()),
        evaluated_count=liquidated.size,
        called_count=int(np.count_nonzero(made.called)),
        liquidated_count=int(np.count_nonzero(liquidated)),
    )
    return reaction, made, lost


def respond(
    inputs: Inputs,
    state: State,
    made: Reaction,
    opening: Floats,
    immune: Immune | None,
    ratchet: Ratchet = np.maximum,
) -> tuple[State, Clearing]:
    """Return what quotes, nodes and markets make of what accounts do."""
    withdrawn = ratchet(state.withdrawn, withdrawn_quotes(inputs, made.quoting, made.closing, opening))
    haircut = ratchet(state.haircut, made.haircut)
    if immune is not None:
        withdrawn, haircut = np.where(immune.quotes, 0.0, withdrawn), np.where(immune.nodes, 0.0, haircut)
    cleared = clear(inputs.markets, inputs.quotes, made.sold, withdrawn, haircut, state.log_drop)
    return State(cleared.log_drop, made.liquidated, withdrawn, haircut, cleared.average(inputs.markets)), cleared


class SparsePass:
    """All accounts by sparse products, which small systems do not have to wait for.

    Accounts feel prices and the haircuts of those they have claims on, and nothing else: while these stand still, so do
    they, and a round is one of nodes alone.
    """

    def __init__(self, inputs: Inputs, immune: Immune | None, ratchet: Ratchet) -> None:
        self._inputs, self._immune, self._ratchet = inputs, immune, ratchet
        self._opening_equity = opening_equity(inputs)
        self._sales = Sales(inputs, None if immune is None else immune.accounts, rising=ratchet is np.maximum)
        self._debtors = np.unique(inputs.accounts.claims.indices)
        self._last: tuple[State, Reaction, Losses] | None = None
        self.opening = self._opening_equity[inputs.quotes.account]
        self.firsts = Firsts.of(inputs.accounts.platform.size)

    def __call__(self, number: int, state: State) -> Reaction:
        """Return what accounts do in round ``number`` at the prices and haircuts of a state."""
        if self._last is not None and self._stands_still(state):
            _, before, lost = self._last
            haircut = borne(self._inputs.nodes, lost.deficits, lost.owned, state.haircut)[2]
            return before._replace(haircut=haircut, moved=0.0, evaluated_count=0)
        reaction, made, lost = _react(
            self._inputs, state, self._opening_equity, self._immune, self._ratchet, self._sales
        )
        firsts = self.firsts
        firsts.called[made.called & (firsts.called == 0)] = number
        first = (reaction.liquidated > 0.0) & (firsts.liquidated == 0)
        firsts.liquidated[first], firsts.cause[first] = number, made.cause[first]
        self._last = state, reaction, lost
        return reaction

    def flush(self) -> None:
        """Nothing is left to be done: every round brings them up to date."""

    def _stands_still(self, state: State) -> bool:
        """Return whether accounts see what they last saw, and have done what they then did."""
        assert self._last is not None
        old, reaction, _ = self._last
        return (
            state.liquidated is reaction.liquidated
            and np.array_equal(state.log_drop, old.log_drop)
            and np.array_equal(state.average, old.average)
            and np.array_equal(state.haircut[self._debtors], old.haircut[self._debtors])
        )


def iterate(
    inputs: Inputs,
    tol: float,
    max_rounds: int,
    report: Callable[[Record], object] | None = None,
    begin: State | None = None,
    immune: Immune | None = None,
    prepared: Prepared | None = None,
    ratchet: Ratchet = np.maximum,
    react: Pass | None = None,
) -> Rounds:
    """Return the state after rounds in Jacobi order, until no unknown moves by more than ``tol``.

    A small step alone does not end it: near a tipping point steps are small far from the fixed point, so the
    estimated error must have come down too (`contagion.kernels.convergence`). Rounds set out from zero, or from the
    state ``begin``; the ratchet then holds whatever λ, η and θ that state has, so that a failure can be forced.
    ``prepared`` accounts serve all runs of one system. The ``ratchet`` keeps the larger of what was and what is asked
    for; np.minimum, the smaller: rounds then come down from a state above, and end in the greatest fixed point below.
    ``react`` evaluates accounts that are held elsewhere; the state then has none.
    """
    state = start(inputs) if begin is None else begin
    react = react or account_pass(inputs, state, immune, prepared, ratchet)
    records: list[Record] = []
    steps: list[float] = []
    converged = False
    with np.errstate(over="ignore", invalid="ignore"):  # a price beyond all numbers ends the rounds; see `distance`
        while not converged and len(records) < max_rounds and not (steps and math.isnan(steps[-1])):
            made = react(len(records) + 1, state)
            new, cleared = respond(inputs, state, made, react.opening, immune, ratchet)
            steps.append(distance(state, new, made.moved))
            records.append(record_of(inputs, new, made, cleared, steps[-1]))
            state = new
            consistent = begin is None or len(records) > 1  # a given state's average price may belong to other sales
            converged = consistent and settled(steps, tol)
            if report is not None:
                report(records[-1])
    react.flush()
    ends_only = prepared is not None and prepared.ends_only
    return Rounds(state, records, *react.firsts, converged, sold=made.sold, ends_only=ends_only)


def ready(inputs: Inputs, runs: int = 1) -> Prepared | None:
    """Return the accounts as many runs can share them; None for a few runs of a small system, which need nothing."""
    positions = inputs.positions.quantity.nnz
    if positions < chunks.COMPILED_FROM and positions * runs < _MANY * chunks.COMPILED_FROM:
        return None
    from contagion.kernels import compiled  # loads the compiler

    return compiled.prepare(inputs, ends_only=True)


def account_pass(
    inputs: Inputs, state: State, immune: Immune | None, prepared: Prepared | None, ratchet: Ratchet
) -> Pass:
    """Return what evaluates the accounts: the compiled pass where the system is large enough to wait for it."""
    if prepared is None and inputs.positions.quantity.nnz < chunks.COMPILED_FROM:
        return SparsePass(inputs, immune, ratchet)
    from contagion.kernels import compiled  # loads the compiler

    return compiled.CompiledPass(inputs, state, immune, prepared or compiled.prepare(inputs, screened=False), ratchet)


def record_of(inputs: Inputs, state: State, made: Reaction, cleared: Clearing, moved: float) -> Record:
    """Return what a round did that ended in a state."""
    return Record(
        step=moved,
        evaluated_count=made.evaluated_count,
        called_count=made.called_count,
        liquidated_count=made.liquidated_count,
        sold=float(np.maximum(cleared.sold, 0.0).sum()),
        deficit=made.deficit,
        depth_withdrawn=float((inputs.quotes.depth * state.withdrawn).sum()),
        largest_haircut=float(state.haircut.max(initial=0.0)),
        log_drop=state.log_drop,
    )

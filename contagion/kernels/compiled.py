"""Rounds over large systems: the compiled account pass between clearings of markets."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from contagion.kernels import fused, fused_funds, fused_lines, fused_screen
from contagion.kernels.accounts import net_units, unit_values
from contagion.kernels.active import Active
from contagion.kernels.chunks import bounds, in_order, sums_of_some
from contagion.kernels.credit import borne
from contagion.kernels.excerpt import excerpt
from contagion.kernels.inputs import Floats, Inputs, Ints
from contagion.kernels.markets import prices
from contagion.kernels.packed import (
    CALLS,
    IMMUNE,
    LINKED,
    OWNED,
    WATCHED,
    Packed,
    frozen,
    pack,
    spare,
    unit_surplus,
    watching_quotes,
)
from contagion.kernels.reaction import Firsts, Funds, Immune, Ratchet, Reaction, State
from contagion.kernels.screen import Screen, build
from contagion.kernels.threads import over_chunks


class Prepared(NamedTuple):
    """What depends on the tables alone and serves any number of scenarios."""

    book: Packed
    asking: Packed  # linked accounts alone
    opening: Floats  # (a,) equity before anything has happened, USD
    spare: Floats  # (a,) see `contagion.kernels.packed.spare`
    doubled: Floats  # (2, k) twice the size of each term column's part in either surplus at the opening
    bounds: Ints  # (c + 1,) of chunks
    screen: Screen | None
    ends_only: bool  # nobody reads deficits and calls of single rounds


def prepare(inputs: Inputs, screened: bool = True, ends_only: bool = False) -> Prepared:
    """Return the accounts of a system, packed and valued at opening prices, with an index of their safety.

    With ``ends_only`` the records of rounds do not count the deficits and calls of accounts that have sold all, where
    these matter to nobody else; states are the same.
    """
    book, price = pack(inputs), inputs.markets.price
    cuts, size = bounds(book.cash.size), book.cash.size
    values, recovery = unit_values(inputs.positions, price, price), np.ones(inputs.nodes.buffer.size)
    surplus, lines, weight = unit_surplus(book, values), np.empty((size, 5)), np.empty(size)
    over_chunks(fused_lines.all_lines, cuts.size - 1, size, book, values, recovery, cuts, lines)
    over_chunks(fused_screen.weights, cuts.size - 1, size, book, surplus, cuts, weight)
    index = build(inputs, book, lines, cuts) if screened else None
    opening, doubled = lines[:, 3].copy(), 2.0 * np.abs(surplus)
    return Prepared(book, excerpt(book, book.linked), opening, spare(book, weight), doubled, cuts, index, ends_only)


class CompiledPass:
    """All accounts in one pass over memory; see `contagion.kernels.fused`."""

    def __init__(self, inputs: Inputs, state: State, immune: Immune | None, ready: Prepared, ratchet: Ratchet) -> None:
        book, size = ready.book, ready.opening.size
        if immune is not None:
            book = frozen(book._replace(mark=np.where(immune.accounts, book.mark | IMMUNE, book.mark)))
        self._inputs, self._ready, self._book, self._falling = inputs, ready, book, ratchet is np.minimum
        self.firsts = Firsts.of(size)
        accounts = inputs.quotes.account
        self.opening, self._quoting, self._closing = ready.opening[accounts], *np.zeros((2, accounts.size))
        self._liquidated = state.liquidated.copy()
        ledger = fused_lines.empty_ledger(
            np.where(self._liquidated > 0.0, -np.inf, watching_quotes(book, ready.spare)),
            self._liquidated,
            (self.firsts.called, self.firsts.liquidated, self.firsts.cause),
            ready.opening,
        )
        self._active = Active(ready, book, ledger, accounts)
        self._reading = _reading(inputs, ready.ends_only)
        chunks = ready.bounds.size - 1
        self._sums = fused.Sums(
            np.zeros((chunks, inputs.positions.side.size)),
            np.zeros((chunks, inputs.positions.side.size)),
            np.zeros((chunks, inputs.nodes.buffer.size)),
            np.zeros(chunks),
            np.zeros((chunks, 3), dtype=np.int64),
            np.zeros(chunks, dtype=np.int64),
        )

    def __call__(self, number: int, state: State) -> Reaction:
        """Return what accounts do in round ``number`` at the prices and haircuts of a state."""
        inputs, sums, active = self._inputs, self._sums, self._active
        price = prices(inputs.markets.price, state.log_drop)
        values, recovery = unit_values(inputs.positions, price, state.average), 1.0 - state.haircut
        surplus = unit_surplus(self._book, values)
        if not self._falling:
            active.let_go(state.withdrawn)
        active.look(inputs, price, values, surplus, int(sums.done.sum()))
        view, funds = active.view, self._funds(values, recovery)
        watched = fused_funds.watch(view.ledger, view.book.linked, funds)
        over_chunks(
            fused.account_pass,
            view.chosen.bounds.size - 1,
            view.chosen.size,
            view.book,
            view.ledger,
            sums,
            self._reading,
            values,
            surplus,
            recovery,
            number,
            funds or fused_funds.NO_FUNDS,
            view.chosen,
            self._falling,
        )
        fused_funds.unwatch(view.ledger, *watched)
        self._quoting[view.quotes] = view.ledger.equity[view.quoting]
        self._closing[view.quotes] = view.ledger.liquidated[view.quoting]
        units = net_units(inputs.positions, in_order(sums.closed))
        deficits, lost = in_order(sums.deficits), view.ledger.lost[view.book.owned]
        owner = inputs.accounts.owner[self._book.owned]  # they are in every book, for they are looked at in every round
        owned = in_order(sums_of_some(view.book.owned, owner, lost, deficits.size, view.bounds))
        return Reaction(
            liquidated=self._liquidated,
            sold=(inputs.positions.route.T @ units) * inputs.markets.price,
            quoting=self._quoting.copy(),
            closing=self._closing.copy(),
            haircut=borne(inputs.nodes, deficits, owned, state.haircut)[2],
            moved=float(sums.moved.max(initial=0.0)),
            deficit=float(deficits.sum()),
            evaluated_count=int(sums.counts[:, 2].sum()),
            called_count=int(sums.counts[:, 0].sum()),
            liquidated_count=int(sums.counts[:, 1].sum()),
        )

    def _funds(self, values: Floats, recovery: Floats) -> Funds | None:
        """Return what linked accounts of the book at hand ask for and are given; None if nobody asks."""
        linked = self._active.view.linked
        funds = funds_of(self._ready, self._active.asking, values, recovery)
        return funds if funds is None else Funds(*(column[linked] for column in funds))

    def flush(self) -> None:
        """Bring the shares (a,) that it returns, and when accounts first acted, up to date."""
        self._active.flush()


def funds_of(ready: Prepared, places: Ints, values: Floats, recovery: Floats) -> Funds | None:
    """Return what linked accounts at some places among them ask for and are given; None if nobody asks."""
    if not places.size:
        return None
    asked, worth = fused_funds.asked_and_worth(ready.asking, places, values, recovery)
    return fused_funds.raised(asked, worth, ready.book.funded, ready.book.source)


def _reading(inputs: Inputs, ends_only: bool) -> fused.Reading:
    """Return what is read of accounts that have sold all.

    In a round, deficits matter to nodes whose haircut they may raise, and equity to owners.
    """
    if ends_only:
        return fused.Reading(OWNED, inputs.nodes.liabilities > 0.0)
    return fused.Reading(WATCHED | CALLS | LINKED, np.ones(inputs.nodes.buffer.size, dtype=np.bool_))

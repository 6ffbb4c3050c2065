"""Rounds over large systems: the compiled account pass between clearings of markets."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from contagion.kernels import fused, fused_funds, fused_lines, fused_screen
from contagion.kernels.accounts import net_units, unit_values
from contagion.kernels.chosen import Chosen, by_themselves, everybody, listed
from contagion.kernels.chunks import bounds, in_order, sums_of_some
from contagion.kernels.credit import borne
from contagion.kernels.excerpt import excerpt
from contagion.kernels.fused_lines import DONE
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
)
from contagion.kernels.reaction import Firsts, Funds, Immune, Ratchet, Reaction, State
from contagion.kernels.screen import Screen, build, moves
from contagion.kernels.threads import over_chunks

_MOST = 0.6
"""Share of the accounts from which a pass over all is cheaper than a list of those that can have changed."""

_STALE = 0.1
"""Share of a list that has to be done before it is drawn up anew."""

_LASTING = 1
"""Rounds after which a list that has not changed gets a book of its own, which stands closer together in memory."""

_STALE_ALONE = 0.5
"""Share of a list with a book of its own that has to be done before it is drawn up anew."""

_AHEAD = 1.2
"""Times as far as prices have moved that accounts are listed, so that not every round has to list a few more."""

_FURTHER = 8.0
"""Times as far as in the last round that prices may move before a book of its own holds too few accounts."""

_ROUNDING = 1e-13


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


class _Active:
    """Which accounts a round has to look at: an ascending list, or all of them."""

    def __init__(self, ready: Prepared, book: Packed, ledger: fused_lines.Ledger) -> None:
        self._ready, self._whole, self._ledger, self._screen = ready, book, ledger, ready.screen
        self._done, self._age, self._price, self._width = 0, 0, np.ones(1), np.inf
        self._everybody = everybody(ready.book, ready.bounds)
        self.chosen, self.count, self.book = self._everybody, ledger.liquidated.size, book
        self.linked = np.arange(book.linked.size)  # places of linked accounts that can have changed, among these
        if self._screen is not None:
            self._active = ledger.liquidated > 0.0
            self._reached = self._screen.start[:-1].copy()
            self._relative, self._next = np.ones(1), -np.inf
            self._list(0)

    def look(self, inputs: Inputs, price: Floats, values: Floats, surplus: Floats, done: int) -> None:
        """Find who can have changed at these prices; of ``done`` accounts nothing is left to know."""
        self._age += 1
        moved = float(np.abs(price / self._price - 1.0).max(initial=0.0))
        if self._screen is not None and (
            self._reach(self._screen, inputs, price)
            or done - self._done > (_STALE_ALONE if self.chosen.alone else _STALE) * max(1, self.count)
            or (self.chosen.alone and moved > self._width)
        ):
            self._list(done)
        if self.chosen.filtered and not (np.abs(surplus) <= self._ready.doubled).all():  # beyond the guard
            self._screen = None
            unfiltered = everybody(self._whole, self._ready.bounds, filtered=False)
            self._look_at(unfiltered, self._ledger.liquidated.size, np.arange(self._whole.linked.size))
        if self.chosen.listed and not self.chosen.alone and self._age > _LASTING:
            self._width = _FURTHER * moved
            self._keep_to_themselves(values - self._width * np.abs(values), surplus - self._width * np.abs(surplus))
            self._price = price
        if not self.chosen.alone:
            self._price = price

    def _keep_to_themselves(self, values: Floats, surplus: Floats) -> None:
        """Give those a book of their own who can act before prices have moved to where units are worth so little."""
        chosen, which = self.chosen, np.zeros(self._active.size, dtype=np.bool_)
        which[self._whole.linked] = True
        chunks = chosen.bounds.size - 1
        over_chunks(fused.may_act, chunks, self.count, self._whole, self._ledger, values, surplus, chosen, which)
        rows = chosen.rows[which[chosen.rows]]
        self.book, self.chosen = by_themselves(self._whole, listed(self._whole, self._ready.bounds, rows))
        self.count = rows.size

    def _look_at(self, chosen: Chosen, count: int, linked: Ints) -> None:
        self.chosen, self.count, self.linked, self.book, self._age = chosen, count, linked, self._whole, 0

    def _reach(self, screen: Screen, inputs: Inputs, price: Floats) -> bool:
        """Note whom prices have reached; return whether there is anybody new.

        Falls and rises of what accounts hold move by at most as much as those of prices, so nobody is new until these
        have moved by half the distance to whom they reach next.
        """
        active, relative = self._active, price / inputs.markets.price
        if 2.0 * np.abs(relative - self._relative).max(initial=0.0) < self._next - _ROUNDING:
            return False
        move = moves(screen, inputs, price)
        fresh = fused_screen.advance(_AHEAD * move, screen.start, screen.safety, screen.account, self._reached, active)
        left = self._reached < screen.start[1:]
        self._next = (screen.safety[self._reached[left]] - move[left]).min(initial=np.inf)
        self._relative = relative
        return self._ask() or bool(fresh)

    def _ask(self) -> bool:
        """Note who may be asked for funds, for they have to answer, and may ask in turn; return whether any is new."""
        active, new = self._active, False
        linked, funded, source = self._whole.linked, self._whole.funded, self._whole.source
        while not active[asked := linked[source[active[linked[funded]]]]].all():
            active[asked], new = True, True
        return new

    def _list(self, done: int) -> None:
        """List the accounts that have been reached and are not done, unless they are most of all."""
        rows = np.flatnonzero(self._active & (self._ledger.stage < DONE))
        self._done, linked = done, np.flatnonzero(self._active[self._whole.linked])
        if rows.size > _MOST * self._active.size:
            self._look_at(self._everybody, self._active.size, linked)
        else:
            self._look_at(listed(self._whole, self._ready.bounds, rows), rows.size, linked)


class CompiledPass:
    """All accounts in one pass over memory; see `contagion.kernels.fused`."""

    def __init__(self, inputs: Inputs, state: State, immune: Immune | None, ready: Prepared, ratchet: Ratchet) -> None:
        book, size = ready.book, ready.opening.size
        if immune is not None:
            book = frozen(book._replace(mark=np.where(immune.accounts, book.mark | IMMUNE, book.mark)))
        self._inputs, self._book, self._falling = inputs, book, ratchet is np.minimum
        self._bounds, self._ready = ready.bounds, ready
        self.firsts = Firsts.of(size)
        self.opening = ready.opening[inputs.quotes.account]
        liquidated = state.liquidated.copy()
        self._ledger = fused_lines.empty_ledger(
            np.where(liquidated > 0.0, -np.inf, ready.spare),
            liquidated,
            (self.firsts.called, self.firsts.liquidated, self.firsts.cause),
            ready.opening,
        )
        self._active = _Active(ready, book, self._ledger)
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
        inputs, ledger, sums, book = self._inputs, self._ledger, self._sums, self._book
        price = prices(inputs.markets.price, state.log_drop)
        values, recovery = unit_values(inputs.positions, price, state.average), 1.0 - state.haircut
        surplus, active = unit_surplus(book, values), self._active
        active.look(inputs, price, values, surplus, int(sums.done.sum()))
        funds = funds_of(self._ready, active.linked, values, recovery)
        watched = fused_funds.watch(ledger, book.linked, funds)
        over_chunks(
            fused.account_pass,
            active.chosen.bounds.size - 1,
            active.count,
            active.book,
            ledger,
            sums,
            self._reading,
            values,
            surplus,
            recovery,
            number,
            funds or fused_funds.NO_FUNDS,
            active.chosen,
            self._falling,
        )
        fused_funds.unwatch(ledger, *watched)
        units = net_units(inputs.positions, in_order(sums.closed))
        deficits = in_order(sums.deficits)
        owner, lost = inputs.accounts.owner[book.owned], ledger.lost[book.owned]
        owned = in_order(sums_of_some(book.owned, owner, lost, deficits.size, self._bounds))
        return Reaction(
            liquidated=ledger.liquidated,
            sold=(inputs.positions.route.T @ units) * inputs.markets.price,
            quoting=ledger.equity[inputs.quotes.account],
            closing=ledger.liquidated[inputs.quotes.account],
            haircut=borne(inputs.nodes, deficits, owned, state.haircut)[2],
            moved=float(sums.moved.max(initial=0.0)),
            deficit=float(deficits.sum()),
            evaluated_count=int(sums.counts[:, 2].sum()),
            called_count=int(sums.counts[:, 0].sum()),
            liquidated_count=int(sums.counts[:, 1].sum()),
        )


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

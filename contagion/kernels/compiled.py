"""Rounds over large systems: the compiled account pass between clearings of markets."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from contagion.kernels import fused
from contagion.kernels.accounts import net_units, unit_values
from contagion.kernels.chunks import bounds, in_order, sums_of_some
from contagion.kernels.credit import borne
from contagion.kernels.inputs import Floats, Inputs, Ints
from contagion.kernels.markets import prices
from contagion.kernels.packed import IMMUNE, Packed, pack, spare, unit_surplus
from contagion.kernels.reaction import Firsts, Immune, Ratchet, Reaction, State
from contagion.kernels.screen import Screen, build, moves
from contagion.kernels.threads import over_chunks

_MOST = 0.3
"""Share of the accounts from which a pass over all is cheaper than a list of those that can have changed."""


class Prepared(NamedTuple):
    """What depends on the tables alone and serves any number of scenarios."""

    book: Packed
    opening: Floats  # (a,) equity before anything has happened, USD
    spare: Floats  # (a,) see `contagion.kernels.packed.spare`
    doubled: Floats  # (k,) twice the size of each term column's part in the surplus at the opening
    bounds: Ints  # (c + 1,) of chunks
    screen: Screen | None


def prepare(inputs: Inputs, screened: bool = True) -> Prepared:
    """Return the accounts of a system, packed and valued at opening prices, with an index of their safety."""
    book, price = pack(inputs), inputs.markets.price
    cuts, size = bounds(book.cash.size), book.cash.size
    values, recovery = unit_values(inputs.positions, price, price), np.ones(inputs.nodes.buffer.size)
    surplus, lines, weight = unit_surplus(book, values), np.empty((size, 5)), np.empty(size)
    over_chunks(fused.all_lines, cuts.size - 1, size, book, values, recovery, cuts, lines)
    over_chunks(fused.weights, cuts.size - 1, size, book, surplus, cuts, weight)
    index = build(inputs, book, lines, cuts) if screened else None
    return Prepared(book, lines[:, 3].copy(), spare(book, weight), 2.0 * np.abs(surplus), cuts, index)


class _Active:
    """Which accounts a round has to look at: an ascending list, or all of them."""

    def __init__(self, ready: Prepared, book: Packed, liquidated: Floats) -> None:
        self._ready, self._book, self._screen = ready, book, ready.screen
        self.linked = book.linked
        self.rows, self.bounds, self.listed = np.empty(liquidated.size, dtype=np.int64), ready.bounds, False
        if self._screen is not None:
            self._active = liquidated > 0.0
            self._reached = self._screen.start[:-1].copy()
            self._list()

    def look(self, inputs: Inputs, price: Floats, surplus: Floats) -> None:
        """Find who can have changed at these prices."""
        if self._screen is not None:
            self._advance(self._screen, moves(self._screen, inputs, price))
        if not self.listed and not (np.abs(surplus) <= self._ready.doubled).all():  # beyond the guard for rounding
            self.rows, self.listed, self._screen = np.arange(self.rows.size), True, None

    @property
    def count(self) -> int:
        """How many accounts are looked at."""
        return self.rows.size

    def _advance(self, screen: Screen, move: Floats) -> None:
        active = self._active
        fresh = fused.advance(move, screen.start, screen.safety, screen.account, self._reached, active)
        asked = self._book.source[active[self._book.funded]]  # who may be asked has to answer, and may ask in turn
        if fresh or not active[asked].all():
            active[asked] = True
            self._list()

    def _list(self) -> None:
        """List the active accounts, or give the list up for good where it has become too long."""
        active = np.flatnonzero(self._active)
        if active.size > _MOST * self._active.size:
            self._screen, self.listed, self.linked = None, False, self._book.linked
            self.rows, self.bounds = np.empty(self._active.size, dtype=np.int64), self._ready.bounds
            return
        self.rows, self.bounds, self.listed = active, np.searchsorted(active, self._ready.bounds), True
        self.linked = self._book.linked[self._active[self._book.linked]]


class CompiledPass:
    """All accounts in one pass over memory; see `contagion.kernels.fused`."""

    def __init__(self, inputs: Inputs, state: State, immune: Immune | None, ready: Prepared, ratchet: Ratchet) -> None:
        book, size = ready.book, ready.opening.size
        if immune is not None:
            book = book._replace(mark=np.where(immune.accounts, book.mark | IMMUNE, book.mark))
        self._inputs, self._book, self._falling = inputs, book, ratchet is np.minimum
        self._active, self._bounds = _Active(ready, book, state.liquidated), ready.bounds
        self.firsts = Firsts.of(size)
        self.opening = ready.opening[inputs.quotes.account]
        liquidated = state.liquidated.copy()
        self._ledger = fused.empty_ledger(
            np.where(liquidated > 0.0, -np.inf, ready.spare),
            liquidated,
            (self.firsts.called, self.firsts.liquidated, self.firsts.cause),
            ready.opening,
        )
        chunks = ready.bounds.size - 1
        self._sums = fused.Sums(
            np.zeros((chunks, inputs.positions.side.size)),
            np.zeros((chunks, inputs.nodes.buffer.size)),
            np.zeros(chunks),
            np.zeros((chunks, 3), dtype=np.int64),
        )

    def __call__(self, number: int, state: State) -> Reaction:
        """Return what accounts do in round ``number`` at the prices and haircuts of a state."""
        inputs, ledger, sums, book = self._inputs, self._ledger, self._sums, self._book
        price = prices(inputs.markets.price, state.log_drop)
        values, recovery = unit_values(inputs.positions, price, state.average), 1.0 - state.haircut
        surplus, active = unit_surplus(book, values), self._active
        active.look(inputs, price, surplus)
        over_chunks(
            fused.ask_for_funds, active.linked.size, active.linked.size, book, ledger, values, recovery, active.linked
        )
        funds = bool(active.linked.size) and fused.raise_funds(
            book.funded, book.source, *fused.accounts_of_funds(ledger)
        )
        over_chunks(
            fused.account_pass,
            active.bounds.size - 1,
            active.count,
            book,
            ledger,
            sums,
            values,
            surplus,
            recovery,
            number,
            funds,
            active.rows,
            active.bounds,
            active.listed,
            self._falling,
        )
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

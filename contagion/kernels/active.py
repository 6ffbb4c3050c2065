"""Which accounts rounds go through, and where what is read and written of them stands.

Accounts that prices have reached are listed, by the screen (`contagion.kernels.screen`), unless they are most of all.
Once prices move by little, those that can act before they have moved by much more get a book and a ledger of their own:
a tenth of all accounts, scattered over memory, would take most of its lines into the cache.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from contagion.kernels import fused_filter, fused_screen
from contagion.kernels.chosen import Chosen, everybody, listed
from contagion.kernels.excerpt import excerpt, places_of
from contagion.kernels.fused_lines import DONE, Ledger
from contagion.kernels.inputs import Floats, Inputs, Ints
from contagion.kernels.packed import OWNED, STOP, Packed
from contagion.kernels.screen import Screen, moves, relative_move
from contagion.kernels.threads import over_chunks

if TYPE_CHECKING:
    from contagion.kernels.compiled import Prepared

__all__ = ["Active", "View"]

_MOST = 0.45
"""Share of the accounts from which a pass over all is cheaper than to list those that can have changed."""

_STALE, _STALE_ALONE = 0.1, 0.5
"""Share of a list that has to be done before it is drawn up anew; of a list with a book of its own."""

_LASTING = 2
"""Rounds between two attempts at a book of their own."""

_FEW = 0.25
"""Share of all accounts that a book of their own holds at most; with more it is not made."""

_AHEAD, _FAR = 1.2, 0.004
"""Accounts are listed that a move so many times as large, and so much more, would reach: lists then last for longer."""

_FURTHER = 5.0
"""Times as far as in the last round that prices may move before a book of its own holds too few accounts."""

_WIDEST = 0.5
"""Share by which prices may move at most before a book of its own holds too few: beyond, it would hold nearly all."""

_ROUNDING, _GUARD = 1e-13, 1e-11


class View(NamedTuple):
    """The accounts of a round: all, a list of some of them, or some in a book and a ledger of their own."""

    book: Packed
    ledger: Ledger
    chosen: Chosen
    bounds: Ints  # (c + 1,) of chunks, in accounts of the book
    linked: Ints  # places, among all linked accounts, of those in the book
    quotes: Ints  # quotes whose account is in the book
    quoting: Ints  # and this account


class Active:
    """Finds the accounts that a round has to look at.

    Parameters
    ----------
    ready, book, ledger
        All accounts.
    quoting : (j,) int
        The account behind each quote.

    Attributes
    ----------
    view : View
        The accounts of this round.
    asking : (…,) int
        Places of linked accounts that can have changed, among all of these.
    """

    def __init__(self, ready: Prepared, book: Packed, ledger: Ledger, quoting: Ints) -> None:
        self._ready, self._screen, self._quoting = ready, ready.screen, quoting
        self._done, self._age, self._price, self._width = 0, 0, np.ones(1), np.inf
        self._rows: Ints | None = None  # accounts of the view, if they stand by themselves
        linked, quotes = np.arange(book.linked.size), np.arange(quoting.size)
        self._quoters, self._behind = np.unique(quoting, return_inverse=True)
        self._quotes_gone = 0
        self._whole = View(book, ledger, everybody(book, ready.bounds), ready.bounds, linked, quotes, quoting)
        self.view, self.asking = self._whole, linked
        if self._screen is not None:
            self._reached = self._screen.start[:-1].copy()
            self._near = ledger.liquidated > 0.0
            self._relative, self._next = np.ones(1), -np.inf
            self._list(0)

    def let_go(self, withdrawn: Floats) -> None:
        """Look no more at accounts whose quotes (j,) are all gone for good, unless they have sold anything."""
        left = withdrawn < 1.0
        gone = left.size - int(np.count_nonzero(left))
        if gone == self._quotes_gone:
            return
        self._quotes_gone = gone
        quote = np.zeros(self._quoters.size, dtype=np.bool_)
        quote[self._behind[left]] = True
        rows, ledger = self._quoters[~quote], self.view.ledger
        places = rows if self._rows is None else places_of(rows, self._rows)[1]
        spare = self._ready.spare[rows if self._rows is None else self._rows[places]]
        whole = ledger.liquidated[places] == 0.0
        ledger.spare[places[whole]] = spare[whole]

    def look(self, inputs: Inputs, price: Floats, values: Floats, surplus: Floats, done: int) -> None:
        """Find who can have changed at these prices; of ``done`` accounts nothing is left to know.

        ``values`` and ``surplus`` are what a unit in each term column adds to lines and surplus.
        """
        self._age += 1
        moved = float(np.abs(relative_move(price, self._price)).max(initial=0.0))
        new = self._screen is not None and self._reach(self._screen, inputs, price)
        if self._rows is None:
            stale = new or (self.view.chosen.listed and done - self._done > _STALE * self.view.chosen.size)
        else:
            stale = new or moved > self._width or done - self._done > _STALE_ALONE * self._rows.size
        if stale:
            self._list(done)
        if self.view.chosen.filtered and not (np.abs(surplus) <= self._ready.doubled).all():  # beyond the guard
            self._screen, self.asking = None, self._whole.linked
            self._turn_to(everybody(self._whole.book, self._ready.bounds, filtered=False))
        if self._rows is None and self.view.chosen.filtered:
            self._price = price
            if self._age > _LASTING and _FURTHER * moved < _WIDEST:
                self._keep_to_themselves(values, surplus, _FURTHER * moved, done)

    def flush(self) -> None:
        """Bring the ledger of all accounts up to date."""
        if self._rows is not None:
            _write_back(self.view.ledger, self._whole.ledger, self._rows)

    def _turn_to(self, chosen: Chosen) -> None:
        """Go through some of the accounts where they stand among all."""
        self.flush()
        self.view, self._rows, self._age = self._whole._replace(chosen=chosen), None, 0

    def _keep_to_themselves(self, values: Floats, surplus: Floats, width: float, done: int) -> None:
        """If few can act before prices have moved by ``width``, give them a book of their own."""
        book, ledger, chosen, *_ = self.view
        which, less = np.zeros(ledger.liquidated.size, dtype=np.bool_), width + _GUARD
        which[book.linked] = ledger.stage[book.linked] < DONE
        values, surplus = values - less * np.abs(values), surplus - less * np.abs(surplus)
        over_chunks(
            fused_filter.may_act, chosen.bounds.size - 1, chosen.size, book, ledger, values, surplus, chosen, which
        )
        rows = chosen.rows[which[chosen.rows]].astype(np.int64) if chosen.listed else np.flatnonzero(which)
        self._age = 0
        if rows.size > _FEW * which.size:
            return
        own, bounds = excerpt(book, rows), np.searchsorted(rows, self._ready.bounds)
        linked, _ = places_of(book.linked, rows)
        quotes, quoting = places_of(self._quoting, rows)
        self.view = View(own, _page(ledger, own, rows), everybody(own, bounds), bounds, linked, quotes, quoting)
        self._rows, self._width, self._done = rows, width, done

    def _reach(self, screen: Screen, inputs: Inputs, price: Floats) -> bool:
        """Note whom prices have reached; return whether there is anybody new.

        Falls and rises of what accounts hold move by at most as much as those of prices, so nobody is new until these
        have moved by half the distance to whom they reach next.
        """
        near, relative = self._near, price / inputs.markets.price
        if 2.0 * np.abs(relative - self._relative).max(initial=0.0) < self._next - _ROUNDING:
            return False
        move = moves(screen, inputs, price)
        fresh = fused_screen.advance(
            _AHEAD * move + _FAR, screen.start, screen.safety, screen.account, self._reached, near
        )
        left = self._reached < screen.start[1:]
        self._next = (screen.safety[self._reached[left]] - move[left]).min(initial=np.inf)
        self._relative = relative
        return self._ask() or bool(fresh)

    def _ask(self) -> bool:
        """Note who may be asked for funds, for they have to answer, and may ask in turn; return whether any is new."""
        near, new, book = self._near, False, self._whole.book
        linked, funded, source = book.linked, book.funded, book.source
        while not near[asked := linked[source[near[linked[funded]]]]].all():
            near[asked], new = True, True
        return new

    def _list(self, done: int) -> None:
        """Turn to the accounts that have been reached and are not done; to all, and for good, if they are most."""
        self._done, book = done, self._whole.book
        self._turn_to(self._whole.chosen)
        if self._screen is None:
            return
        rows = np.flatnonzero(self._near & (self._whole.ledger.stage < DONE))
        if rows.size > _MOST * self._near.size:
            self._screen, self.asking = None, self._whole.linked
        else:
            self.asking = np.flatnonzero(self._near[book.linked])
            self._turn_to(listed(book, self._ready.bounds, rows))


def _page(whole: Ledger, book: Packed, rows: Ints) -> Ledger:
    """Return the ledger of some accounts, which have a ``book`` of their own; only what the next rounds read is copied.

    These write anew when an account first acts, and equity and losses of those that somebody asks for.
    """
    size, opening = rows.size, np.zeros(rows.size)
    read = np.flatnonzero(book.mark & (STOP | OWNED))
    opening[read] = whole.opening[rows[read]]
    return Ledger(
        spare=whole.spare[rows],
        liquidated=whole.liquidated[rows],
        called=np.zeros(size, dtype=np.int64),
        sold=np.zeros(size, dtype=np.int64),
        cause=np.zeros(size, dtype=np.int8),
        stage=whole.stage[rows],
        equity=np.zeros(size),
        lost=np.zeros(size),
        opening=opening,
    )


def _write_back(page: Ledger, whole: Ledger, rows: Ints) -> None:
    """Bring what has become of some accounts to the ledger of all; what came first there stays."""
    for name in ("spare", "liquidated", "stage"):
        getattr(whole, name)[rows] = getattr(page, name)
    for name, also in (("called", ()), ("sold", ("cause",))):
        new = np.flatnonzero(getattr(page, name))
        new = new[getattr(whole, name)[rows[new]] == 0]
        for each in (name, *also):
            getattr(whole, each)[rows[new]] = getattr(page, each)[new]

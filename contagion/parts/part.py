"""What the accounts of one part make of the prices that they are told."""

from __future__ import annotations

import numpy as np

from contagion.kernels import fused, fused_lines
from contagion.kernels.chosen import everybody
from contagion.kernels.chunks import sums_of_some
from contagion.kernels.final_sums import account_sums
from contagion.kernels.fused_funds import NO_FUNDS, asked_and_worth, by_account, unwatch, watch
from contagion.kernels.inputs import Floats, Ints
from contagion.kernels.packed import CALLS, LINKED, WATCHED
from contagion.kernels.reaction import Funds
from contagion.kernels.threads import over_chunks
from contagion.parts.book import Book, State
from contagion.parts.messages import Acted, Broadcast, Lost

__all__ = ["Part"]


class Part:
    """The accounts of one part.

    Its state is a consequence of what it was told: a part that is lost is made anew from its book, and told again.

    Parameters
    ----------
    book : Book
        Never written to.
    state : State
        Written to by `react`.
    columns : (k',) int
        Number, in the system as a whole, of each of its term columns.
    """

    def __init__(self, book: Book, state: State, columns: Ints) -> None:
        self.book, self.state, self.columns = book, state, columns

    def ask(self, at: Broadcast) -> tuple[Floats, Floats]:
        """Return what linked accounts (l,) ask for, and what they are worth to who asks them, USD."""
        asking = self.book.asking
        return asked_and_worth(asking, np.arange(asking.cash.size), at.values[self.columns], at.recovery)

    def react(self, number: int, at: Broadcast, funds: Funds | None = None) -> Acted:
        """Return what the accounts do in round ``number``; their state moves on."""
        book, state = self.book, self.state
        ledger, cuts = self._ledger(), book.bounds
        chunks, size, nodes = cuts.size - 1, state.spare.size, at.recovery.size
        sums = fused.Sums(
            np.zeros((chunks, self.columns.size)),
            state.settled,
            np.zeros((chunks, nodes)),
            np.zeros(chunks),
            np.zeros((chunks, 3), dtype=np.int64),
            state.done,
        )
        watched = watch(ledger, book.accounts.linked, funds)
        over_chunks(
            fused.account_pass,
            chunks,
            size,
            book.accounts,
            ledger,
            sums,
            fused.Reading(WATCHED | CALLS | LINKED, np.ones(nodes, dtype=np.bool_)),
            at.values[self.columns],
            np.ascontiguousarray(at.surplus[:, self.columns]),
            at.recovery,
            number,
            funds or NO_FUNDS,
            everybody(book.accounts, cuts, filtered=not at.everybody),
            False,
        )
        unwatch(ledger, *watched)
        owned = sums_of_some(book.accounts.owned, book.owner, ledger.lost[book.accounts.owned], nodes, cuts)
        quoting = ledger.equity[book.quoting], state.liquidated[book.quoting]
        return Acted(sums.closed, sums.deficits, owned, sums.moved, sums.counts, *quoting)

    def lost(self, at: Broadcast, worth: Floats, funds: Funds | None = None) -> Lost:
        """Return what the accounts have lost at terminal prices.

        ``worth`` (k,) is a unit of collateral or perps in each term column at the opening, USD; 0 for debts.
        """
        book, cuts = self.book, self.book.bounds
        chunks, size, nodes = cuts.size - 1, book.spare.size, at.recovery.size
        dollars, deficits, sold = np.zeros((chunks, 5)), np.zeros((chunks, nodes)), np.zeros((chunks, nodes))
        received, given = by_account(funds, book.accounts.linked, size)
        lost = np.zeros(size if book.owner.size else 0)
        over_chunks(
            account_sums,
            chunks,
            size,
            book.accounts,
            at.values[self.columns],
            at.recovery,
            worth[self.columns],
            book.opening,
            self.state.liquidated,
            received,
            given,
            cuts,
            dollars,
            deficits,
            sold,
            lost,
        )
        owned = sums_of_some(book.accounts.owned, book.owner, lost[book.accounts.owned], nodes, cuts)
        return Lost(dollars, deficits, sold, owned)

    def _ledger(self) -> fused_lines.Ledger:
        """Return the accounts' state with room for one round's notes; pages that are not written to cost nothing."""
        equity, lost = np.zeros((2, self.state.spare.size))
        return fused_lines.Ledger(*self.state[:6], equity, lost, self.book.opening)

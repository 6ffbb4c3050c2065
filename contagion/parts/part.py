"""What the accounts of one part make of the prices that they are told."""

from __future__ import annotations

import numpy as np

from contagion.kernels import fused, fused_lines
from contagion.kernels.chunks import sums_of_some
from contagion.kernels.final_sums import account_sums
from contagion.kernels.inputs import Floats, Ints
from contagion.kernels.packed import WATCHED
from contagion.kernels.threads import over_chunks
from contagion.parts.book import Book, State
from contagion.parts.messages import Acted, Broadcast, Funds, Lost

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
        asking, count = self.book.asking, self.book.asking.cash.size
        nothing = np.zeros(0)
        firsts = (np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int8))
        ledger = fused_lines.empty_ledger(np.zeros(count), nothing, firsts, nothing)
        over_chunks(
            fused_lines.ask_for_funds,
            count,
            count,
            asking,
            ledger,
            at.values[self.columns],
            at.recovery,
            np.arange(count),
        )
        return ledger.asked, ledger.value

    def react(self, number: int, at: Broadcast, funds: Funds | None = None) -> Acted:
        """Return what the accounts do in round ``number``; their state moves on."""
        book, state = self.book, self.state
        ledger, cuts = self._ledger(funds), book.bounds
        chunks, size, nodes = cuts.size - 1, state.spare.size, at.recovery.size
        sums = fused.Sums(
            np.zeros((chunks, self.columns.size)),
            state.settled,
            np.zeros((chunks, nodes)),
            np.zeros(chunks),
            np.zeros((chunks, 3), dtype=np.int64),
            state.done,
        )
        over_chunks(
            fused.account_pass,
            chunks,
            size,
            book.accounts,
            ledger,
            sums,
            fused.Reading(WATCHED, np.ones(nodes, dtype=np.bool_)),
            at.values[self.columns],
            at.surplus[self.columns],
            at.recovery,
            number,
            funds is not None,
            fused.Chosen(np.zeros(0, dtype=np.int64), cuts, listed=False, filtered=not at.everybody),
            False,
        )
        owned = sums_of_some(book.accounts.owned, book.owner, ledger.lost[book.accounts.owned], nodes, cuts)
        quoting = ledger.equity[book.quoting], state.liquidated[book.quoting]
        return Acted(sums.closed, sums.deficits, owned, sums.moved, sums.counts, *quoting)

    def lost(self, at: Broadcast, worth: Floats, funds: Funds | None = None) -> Lost:
        """Return what the accounts have lost at terminal prices.

        ``worth`` (k,) is a unit of collateral or perps in each term column at the opening, USD; 0 for debts.
        """
        book, ledger, cuts = self.book, self._ledger(funds), self.book.bounds
        chunks, size, nodes, nothing = cuts.size - 1, book.spare.size, at.recovery.size, np.zeros(0)
        dollars, deficits, sold = np.zeros((chunks, 5)), np.zeros((chunks, nodes)), np.zeros((chunks, nodes))
        received, given = (nothing, nothing) if funds is None else (ledger.received, ledger.given)
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

    def _ledger(self, funds: Funds | None) -> fused_lines.Ledger:
        """Return the accounts' state with room for one round's notes; pages that are not written to cost nothing."""
        book, state = self.book, self.state
        room = np.zeros((2, state.spare.size))
        asked, need, received, given, drawn = (np.zeros(0),) * 5 if funds is None else self._spread(funds)
        return fused_lines.Ledger(
            *state[:6], room[0], room[1], book.opening, np.zeros(0), asked, need, received, given, drawn
        )

    def _spread(self, funds: Funds) -> list[Floats]:
        """Return the columns of funds by account (a,)."""
        columns = list(np.zeros((len(funds), self.state.spare.size)))
        for column, known in zip(columns, funds, strict=True):
            column[self.book.accounts.linked] = known
        return columns

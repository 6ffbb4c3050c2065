"""What all accounts have lost where a run ended, in one compiled pass over memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from contagion.kernels import fused_lines
from contagion.kernels.accounts import unit_values
from contagion.kernels.chunks import in_order
from contagion.kernels.compiled import Prepared
from contagion.kernels.inputs import Floats, Inputs, Ints, sum_by
from contagion.kernels.jit import compiled
from contagion.kernels.packed import ENTRY, OWED, OWNED, Packed
from contagion.kernels.reaction import State
from contagion.kernels.threads import over_chunks

if TYPE_CHECKING:
    from contagion.sweep.ending import Tally

__all__ = ["sums"]


def sums(inputs: Inputs, state: State, tally: Tally, price: Floats, average: Floats) -> tuple[Any, ...]:
    """Return the fields of `contagion.sweep.ending.Sums` at terminal prices and sellers' average prices (m,)."""
    ready = tally.prepared
    assert ready is not None
    book, nodes, chunks = ready.book, inputs.nodes.buffer.size, ready.bounds.size - 1
    values, recovery = unit_values(inputs.positions, price, average), 1.0 - state.haircut
    received, given = _funds(ready, values, recovery)
    size = state.liquidated.size
    lost = np.zeros(size if tally.members or book.owned.size else 0)
    dollars, deficits, sold = np.zeros((chunks, 5)), np.zeros((chunks, nodes)), np.zeros((chunks, nodes))
    over_chunks(
        _sums,
        chunks,
        size,
        book,
        values,
        recovery,
        tally.worth,
        ready.opening,
        state.liquidated,
        received,
        given,
        ready.bounds,
        dollars,
        deficits,
        sold,
        lost,
    )
    owned = sum_by(inputs.accounts.owner[book.owned], lost[book.owned], nodes)
    equity = np.array([float(lost[rows].sum()) for rows in tally.members])
    return (*in_order(dollars).tolist(), in_order(deficits), in_order(sold), owned, equity)


def _funds(ready: Prepared, values: Floats, recovery: Floats) -> tuple[Floats, Floats]:
    """Return what accounts receive and give (a,) as calls are funded; empty if nothing moves."""
    book, size, nothing = ready.book, ready.opening.size, np.zeros(0)
    linked = book.linked
    if not linked.size:
        return nothing, nothing
    firsts = (np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int8))
    ledger = fused_lines.empty_ledger(np.zeros(size), nothing, firsts, ready.opening)
    over_chunks(
        fused_lines.ask_for_funds, book.linked.size, book.linked.size, book, ledger, values, recovery, book.linked
    )
    return (ledger.received, ledger.given) if fused_lines.raise_funds(book, ledger) else (nothing, nothing)


@compiled
def _sums(
    chunk: int,
    end: int,
    book: Packed,
    values: Floats,
    recovery: Floats,
    worth: Floats,
    opening: Floats,
    liquidated: Floats,
    received: Floats,
    given: Floats,
    bounds: Ints,
    dollars: Floats,
    deficits: Floats,
    sold: Floats,
    lost: Floats,
) -> None:
    """Write account losses, gains, hidden losses, hidden bad debt and funds of each chunk; deficits and sales by node.

    See `contagion.kernels.credit.losses` and `contagion.frames.totals`; losses by account go where there is room.
    """
    start, column, quantity, cash = book.start, book.column, book.quantity, book.cash
    mark, entry, owed_start, owed_by, owed = book.mark, book.entry, book.owed_start, book.owed_by, book.owed
    rule, platform = book.rule, book.platform
    for c in range(chunk, end):
        account_loss = gains = hidden = bad = funded = 0.0
        for a in range(bounds[c], bounds[c + 1]):
            equity = value = at_opening = 0.0
            for p in range(start[a], start[a + 1]):
                units, k = quantity[p], column[p]
                equity += units * values[k, 3]
                value += units * values[k, 4]
                at_opening += units * worth[k]
            paid = cash[a]
            if mark[a] & ENTRY:
                paid -= entry[a]
            if mark[a] & OWED:
                claims = 0.0
                for d in range(owed_start[a], owed_start[a + 1]):
                    claims += owed[d] * recovery[owed_by[d]]
                paid += claims
            equity += paid
            value += paid
            gets = received[a] if received.size else 0.0
            moved = gets - given[a] if received.size else 0.0
            share = liquidated[a]
            outcome = (1.0 - share) * equity + share * value
            short = max(0.0, -(value + gets))
            less = max(0.0, opening[a] + moved - max(0.0, outcome + moved))
            node = platform[rule[a]]
            if share >= 1.0:
                deficits[c, node] += short
            else:
                hidden += max(0.0, -(outcome + moved))
                bad += short
            sold[c, node] += at_opening * share
            gains += max(0.0, outcome - opening[a])
            funded += gets
            if not mark[a] & OWNED:
                account_loss += less
            if lost.size:
                lost[a] = less
        dollars[c, 0], dollars[c, 1], dollars[c, 2], dollars[c, 3], dollars[c, 4] = (
            account_loss,
            gains,
            hidden,
            bad,
            funded,
        )

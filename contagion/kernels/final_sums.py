"""What all accounts have lost where a run ended, in one compiled pass over memory."""

from __future__ import annotations

import numpy as np

from contagion.kernels.inputs import Floats, Ints
from contagion.kernels.jit import compiled
from contagion.kernels.packed import OWED, OWNED, Packed


@compiled
def account_sums(
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
    start, ends, column, quantity = book.start, book.start[1:], book.column, book.quantity
    owed_start, owed_ends, owed_by, owed = book.owed_start, book.owed_start[1:], book.owed_by, book.owed
    mark, cash, entry, rule, platform = book.mark, book.cash, book.entry, book.rule, book.platform
    for c in range(chunk, end):
        account_loss = gains = hidden = bad = funded = 0.0
        for a in range(np.uint64(bounds[c]), np.uint64(bounds[c + 1])):
            equity = value = at_opening = 0.0
            for p in range(start[a], ends[a]):
                units, k = quantity[p], column[p]
                equity += units * values[k, 3]
                value += units * values[k, 4]
                at_opening += units * worth[k]
            paid = cash[a] - entry[a]
            if mark[a] & OWED:
                claims = 0.0
                for d in range(owed_start[a], owed_ends[a]):
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

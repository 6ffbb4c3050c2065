"""What all accounts have lost where a run ended, in one compiled pass over memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from contagion.kernels.accounts import unit_values
from contagion.kernels.chunks import in_order, sums_of_some
from contagion.kernels.compiled import funds_of
from contagion.kernels.final_sums import account_sums
from contagion.kernels.fused_funds import by_account
from contagion.kernels.inputs import Floats, Inputs
from contagion.kernels.reaction import State
from contagion.kernels.threads import over_chunks

if TYPE_CHECKING:
    from contagion.stress.ending import Tally

__all__ = ["sums"]


def sums(inputs: Inputs, state: State, tally: Tally, price: Floats, average: Floats) -> tuple[Any, ...]:
    """Return the fields of `contagion.kernels.dollars.Sums` at terminal prices and sellers' average prices (m,)."""
    ready = tally.prepared
    assert ready is not None
    book, nodes, chunks = ready.book, inputs.nodes.buffer.size, ready.bounds.size - 1
    values, recovery = unit_values(inputs.positions, price, average), 1.0 - state.haircut
    funds = funds_of(ready, np.arange(book.linked.size), values, recovery)
    received, given = by_account(funds, book.linked, state.liquidated.size)
    size = state.liquidated.size
    lost = np.zeros(size if tally.members or book.owned.size else 0)
    dollars, deficits, sold = np.zeros((chunks, 5)), np.zeros((chunks, nodes)), np.zeros((chunks, nodes))
    over_chunks(
        account_sums,
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
    owner = inputs.accounts.owner[book.owned]
    owned = in_order(sums_of_some(book.owned, owner, lost[book.owned], nodes, ready.bounds))
    equity = np.array([float(lost[rows].sum()) for rows in tally.members])
    return (*in_order(dollars).tolist(), in_order(deficits), in_order(sold), owned, equity)

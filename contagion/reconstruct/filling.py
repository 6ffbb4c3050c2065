"""Totals filled with few, large debts."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from contagion.clearing.network import Floats
from contagion.errors import InputError
from contagion.reconstruct.totals import ROUNDING, Totals, infeasible

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["filled"]

_PATIENCE = 200
"""Draws in a row that find no free cell before what is left is placed along paths."""

_DUST = 1e-14
"""Share of a total that is rounding."""


class _Filling:
    """Debts placed so far, and what each bank still owes and is owed; changed in place while it is being filled."""

    def __init__(self, totals: Totals) -> None:
        self.totals = totals
        self.owed, self.owned = totals.liabilities.copy(), totals.assets.copy()
        self.debts: list[dict[int, float]] = [{} for _ in self.owed]
        self.debtors: list[set[int]] = [set() for _ in self.owed]

    def is_free(self, debtor: int, creditor: int) -> bool:
        free = self.totals.free
        return debtor != creditor if free is None else bool(free[debtor, creditor])

    def open_to(self, debtor: int) -> NDArray[np.bool_]:
        """Return which banks may be creditors of one."""
        free = self.totals.free
        found: NDArray[np.bool_] = np.arange(self.owed.size) != debtor if free is None else free[debtor]
        return found

    def place(self, debtor: int, creditor: int, amount: float) -> None:
        """Add a debt, or with a negative amount take some away; what rounding leaves is nothing."""
        debts = self.debts[debtor]
        left = debts.get(creditor, 0.0) + amount
        if amount < 0.0 and left <= _DUST * -amount:
            debts.pop(creditor)
            self.debtors[creditor].discard(debtor)
            return
        debts[creditor] = left
        self.debtors[creditor].add(debtor)

    def settle(self, debtor: int, creditor: int, amount: float) -> None:
        """Take an amount off what the two still owe and are owed."""
        for left, whole, bank in (
            (self.owed, self.totals.liabilities, debtor),
            (self.owned, self.totals.assets, creditor),
        ):
            rest = left[bank] - amount
            left[bank] = rest if rest > _DUST * whole[bank] else 0.0


def filled(totals: Totals, rng: np.random.Generator) -> csr_array:
    """Return debts on few free cells with the totals' sums: each link takes all that its two ends have left.

    Links are drawn with the probabilities of Anand, Craig and von Peter (2015), max(l_i/a_j, a_j/l_i) of what is left,
    so that small banks are linked to large ones. What ends on cells that are not free is moved along paths of debts.

    Raises
    ------
    InputError
        If no network fits.
    """
    filling = _Filling(totals)
    while (pair := _drawn(filling, rng)) is not None:
        amount = float(min(filling.owed[pair[0]], filling.owned[pair[1]]))
        filling.place(*pair, amount)
        filling.settle(*pair, amount)
    dust = ROUNDING * float(totals.liabilities.sum())
    for debtor in np.argsort(-filling.owed, kind="stable"):
        while filling.owed[debtor] > 0.0 and _moved(filling, int(debtor), dust):
            pass
    return _matrix(filling)


def _drawn(filling: _Filling, rng: np.random.Generator) -> tuple[int, int] | None:
    """Return a free cell of banks with something left, drawn with probability ∝ max(l_i/a_j, a_j/l_i); or None.

    Exact without a table of all cells: drawn by the sum of the two ratios, which is two products, and kept with
    probability max over sum.
    """
    owed, owned = filling.owed, filling.owned
    if not (owed.any() and owned.any()):
        return None
    cumulated = [np.cumsum(weights) for weights in (owed, _inverse(owned), _inverse(owed), owned)]
    first, second = cumulated[0][-1] * cumulated[1][-1], cumulated[2][-1] * cumulated[3][-1]
    for _ in range(_PATIENCE):
        side = 0 if rng.random() * (first + second) < first else 2
        debtor, creditor = (_picked(cumulated[side + end], rng) for end in (0, 1))
        ratio = owed[debtor] / owned[creditor]
        kept = rng.random() * (ratio + 1.0 / ratio) < max(ratio, 1.0 / ratio)
        if kept and filling.is_free(debtor, creditor):
            return debtor, creditor
    return None


def _inverse(values: Floats) -> Floats:
    return np.divide(1.0, values, out=np.zeros_like(values), where=values > 0.0)


def _picked(cumulated: Floats, rng: np.random.Generator) -> int:
    """Return a place with probability ∝ its step in the cumulated weights."""
    return int(np.searchsorted(cumulated, rng.random() * cumulated[-1], side="right"))


def _moved(filling: _Filling, debtor: int, dust: float) -> bool:
    """Place what one bank still owes, as far as one path of debts allows; False if only rounding is left.

    The path goes from the bank to a free cell, along a debt there back to its debtor, on to a free cell of that one,
    and so on to a creditor who is owed something still; free cells gain what debts lose.
    """
    came_from: dict[int, int] = {}  # creditor → the debtor by whom it was reached
    through: dict[int, int | None] = {debtor: None}  # debtor → the creditor whose debts led to it
    reached = np.zeros(filling.owed.size, dtype=np.bool_)
    queue = deque([debtor])
    while queue:
        at = queue.popleft()
        new = filling.open_to(at) & ~reached & (filling.totals.assets > 0.0)
        reached |= new
        came_from.update(dict.fromkeys(np.flatnonzero(new).tolist(), at))
        ends = np.flatnonzero(new & (filling.owned > 0.0))
        if ends.size:
            end = int(ends[np.argmax(filling.owned[ends])])
            _shift(filling, debtor, end, came_from, through)
            return True
        for creditor in np.flatnonzero(new).tolist():
            for other in sorted(filling.debtors[creditor]):
                if other not in through:
                    through[other] = creditor
                    queue.append(other)
    if filling.owed[debtor] <= dust:
        filling.owed[debtor] = 0.0
        return False
    rows = np.isin(np.arange(reached.size), list(through))
    owed, room = float(filling.totals.liabilities[rows].sum()), float(filling.totals.assets[reached].sum())
    raise InputError(infeasible(filling.totals.labels, rows, owed, room), "totals")


def _shift(filling: _Filling, debtor: int, end: int, came_from: dict[int, int], through: dict[int, int | None]) -> None:
    """Move what the two ends have left along the path that joins them, as far as the debts on it go."""
    gains, losses, creditor = [], [], end
    while True:
        at = came_from[creditor]
        gains.append((at, creditor))
        before = through[at]
        if before is None:
            break
        losses.append((at, before))
        creditor = before
    amount = min(filling.owed[debtor], filling.owned[end], *(filling.debts[at][to] for at, to in losses))
    for at, to in gains:
        filling.place(at, to, float(amount))
    for at, to in losses:
        filling.place(at, to, -float(amount))
    filling.settle(debtor, end, float(amount))


def _matrix(filling: _Filling) -> csr_array:
    from scipy.sparse import coo_array, csr_array

    count = filling.owed.size
    cells = [(debtor, to, amount) for debtor, debts in enumerate(filling.debts) for to, amount in debts.items()]
    rows, columns, amounts = zip(*cells, strict=True) if cells else ((), (), ())
    places = (np.array(rows, dtype=np.int64), np.array(columns, dtype=np.int64))
    return csr_array(coo_array((np.array(amounts, dtype=np.float64), places), shape=(count, count)))

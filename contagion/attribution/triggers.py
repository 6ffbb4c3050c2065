"""The trigger rule, and what takes an account's surplus or its equity.

Who has fallen below a level owes it to what took the surplus: each adverse cause in proportion to what it took, and the
opening as far as the level was missed there already. What raised the surplus (a hedge) softened the trigger but carries
no flow through it. (Signed proportions would be exact too, but explode where gains and losses nearly cancel.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from contagion import holdings
from contagion.attribution.graph import Block, Source
from contagion.attribution.state import Terminal
from contagion.kernels.accounts import surplus
from contagion.kernels.inputs import COLLATERAL, DEBT, MAINTENANCE, Floats, Ints, ratio, sign_of

if TYPE_CHECKING:
    from scipy import sparse

__all__ = ["Lost", "Triggered", "equity_lost", "surplus_lost", "triggered"]


class Lost(NamedTuple):
    """What some accounts (rows) lost of a surplus or of their equity, in USD, and where they started."""

    by_price: sparse.csr_array  # (rows, m)
    by_haircut: sparse.csr_array  # (rows, n)
    start: Floats  # (rows,) surplus over the level at the opening


class Triggered(NamedTuple):
    """Rows of one kind of trigger."""

    blocks: list[Block]
    sources: list[Source]
    mitigated: Floats  # (effects,) what hedges gave back, per dollar lost to adverse causes, times the value


def surplus_lost(t: Terminal, rows: Ints, level: Floats) -> Lost:
    """Return what accounts lost of their surplus S(level) as their platforms see prices; ``level`` (a,)."""
    positions, accounts = t.parts.inputs.positions, t.parts.inputs.accounts
    slope = _slope(t, level)
    at, rule = t.parts.outcome.opening, accounts.margin_rule[rows]
    start = surplus(rule, at.weighted[rows], at.debt[rows], at.maintenance[rows], level[rows])
    none = holdings.empty((rows.size, t.theta.size))
    return Lost(holdings.by_market(positions, slope, t.fall, rows, seen=True), none, start)


def _slope(t: Terminal, level: Floats) -> Floats:
    """Return the surplus per unit and USD of the price that the platform sees, by term column (k,)."""
    positions, accounts = t.parts.inputs.positions, t.parts.inputs.accounts
    # all accounts in a term column are on one platform, and share its level and its rule
    holder = np.repeat(np.arange(level.size), np.diff(positions.quantity.indptr))
    of_column = np.zeros(positions.side.size, dtype=np.int64)
    of_column[positions.quantity.indices] = holder
    at, strict = level[of_column], accounts.margin_rule[of_column] == MAINTENANCE
    on_debt, on_margin = np.where(strict, 1.0, at), np.where(strict, at, 1.0)
    owed = np.where(positions.side == DEBT, on_debt, -sign_of(positions.side))
    return np.where(positions.side == COLLATERAL, positions.weight, -owed - on_margin * positions.maintenance)


def equity_lost(t: Terminal, rows: Ints, start: Floats) -> Lost:
    """Return what accounts lost of their marked equity, above a level that leaves them ``start`` at the opening."""
    positions, accounts = t.parts.inputs.positions, t.parts.inputs.accounts
    by_price = holdings.by_market(positions, sign_of(positions.side), t.fall, rows)
    return Lost(by_price, holdings.scaled(accounts.claims[rows], columns=t.theta), start)


def triggered(effect: str, kind: str, at: Ints, value: Floats, lost: Lost, size: int) -> Triggered:
    """Return the rows ``at`` (of ``size``) of unknowns with these values by the trigger rule."""
    below = np.maximum(0.0, -lost.start)
    adverse = [holdings.positive(part) for part in (lost.by_price, lost.by_haircut)]
    softened = sum(holdings.sums(holdings.positive(-part), 1) for part in (lost.by_price, lost.by_haircut))
    total = sum((holdings.sums(part, 1) for part in adverse), below)
    scale = ratio(value, total, empty=0.0)
    blocks = [
        Block(effect, cause, kind, holdings.placed(holdings.scaled(part, scale), at, size))
        for cause, part in zip(("price", "theta"), adverse, strict=True)
    ]
    opening, mitigated = np.zeros(size), np.zeros(size)
    opening[at] = np.where(total > 0.0, scale * below, value)  # a breach by rounding alone has no other cause
    mitigated[at] = scale * softened
    return Triggered(blocks, [Source("opening", effect, opening)], mitigated)

"""Nodes: who bears what accounts leave unpaid, and what claimants lose."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from contagion import channels
from contagion.kernels.accounts import Decision, Lines
from contagion.kernels.chunks import bounds, in_order, sum_by_chunk, sums_of_some
from contagion.kernels.inputs import Accounts, Floats, Nodes


class Losses(NamedTuple):
    """Shortfalls of accounts (a,) and losses of nodes (n,) by cause, in USD."""

    deficit: Floats  # (a,) β
    outcome: Floats  # (a,) X = (1 − λ)E + λV, equity before funds move and before limited liability
    equity: Floats  # (a,) equity after
    lost: Floats  # (a,) equity lost, at most what there was
    deficits: Floats  # (n,) of the accounts that it holds
    claims: Floats  # (n,) on its claims
    owned: Floats  # (n,) on the accounts that it owns
    loss: Floats  # (n,)
    haircut: Floats  # (n,) θ as this round asks for it, before the ratchet


def losses(
    accounts: Accounts,
    nodes: Nodes,
    at: Lines,
    made: Decision,
    liquidated: Floats,
    opening_equity: Floats,
    haircut: Floats,
) -> Losses:
    """Return what accounts leave unpaid and how nodes bear it, with claims at the given haircuts."""
    count = nodes.buffer.size
    moved = made.received - made.given
    deficit = channels.deficit(at.proceeds + made.received, liquidated)
    outcome = (1.0 - liquidated) * at.equity + liquidated * at.proceeds
    equity = np.maximum(0.0, outcome + moved)
    lost = np.maximum(0.0, opening_equity + moved - equity)
    by_owner = np.flatnonzero(accounts.owner >= 0)
    deficits = sum_by_chunk(accounts.platform, deficit, count)
    owned = in_order(sums_of_some(by_owner, accounts.owner[by_owner], lost[by_owner], count, bounds(lost.size)))
    claims, loss, theta = borne(nodes, deficits, owned, haircut)
    return Losses(deficit, outcome, equity, lost, deficits, claims, owned, loss, theta)


def borne(nodes: Nodes, deficits: Floats, owned: Floats, haircut: Floats) -> tuple[Floats, Floats, Floats]:
    """Return what nodes lose on claims at the given haircuts, what they lose in all, and the haircuts that ensue."""
    claims = nodes.claims @ haircut
    loss = nodes.loss + deficits + claims + owned
    return claims, loss, channels.haircut(loss, nodes.buffer, nodes.liabilities, nodes.recovery_rate)

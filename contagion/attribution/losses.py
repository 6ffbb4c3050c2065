"""Rows of losses: what owners lose, what accounts leave unpaid, what nodes lose, haircuts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from contagion import channels, holdings
from contagion.attribution.accounts import held_back
from contagion.attribution.graph import Block, Source
from contagion.attribution.state import Terminal
from contagion.kernels.inputs import DEBT, Floats, ratio, sign_of, sum_by

if TYPE_CHECKING:
    from scipy import sparse

__all__ = ["Fallen", "account_rows", "fallen", "node_rows"]


class Fallen(NamedTuple):
    """What took accounts (a,) from opening equity to X = (1 − λ)E + λV, by kind, and how it is split."""

    mark: sparse.csr_array  # (a, m) what was kept, at terminal prices
    proceeds: sparse.csr_array  # (a, m) what was sold, at sellers' prices
    claims: sparse.csr_array  # (a, n)
    cost: Floats  # (a,)
    total: Floats  # (a,) z = E0 − X
    below: Floats  # (a,) what was missing at the opening already
    loss: Floats  # (a,) ℓ of the owner
    short: Floats  # (a,) β left unpaid


def fallen(t: Terminal) -> Fallen:
    """Return the loss of every account by what caused it."""
    positions, accounts = t.parts.inputs.positions, t.parts.inputs.accounts
    price, sign = t.parts.inputs.markets.price, sign_of(positions.side)
    mark = holdings.scaled(holdings.by_market(positions, sign, t.fall), 1.0 - t.lam)
    sold = np.flatnonzero(t.lam)
    cost = np.where(positions.side == DEBT, 0.0, positions.cost)
    proceeds = holdings.by_market(positions, sign - cost, t.concession, sold)
    closing = np.zeros(t.lam.size)
    closing[sold] = t.lam[sold] * holdings.sums(holdings.by_market(positions, cost, price, sold), 1)
    proceeds = holdings.placed(holdings.scaled(proceeds, t.lam[sold]), sold, t.lam.size)
    claims = holdings.scaled(accounts.claims, columns=t.theta)
    total = closing + sum(holdings.sums(part, 1) for part in (mark, proceeds, claims))
    opening = t.parts.outcome.opening_equity
    short = channels.deficit(t.parts.outcome.terminal.proceeds + t.parts.outcome.decision.received, t.lam)
    loss = np.minimum(np.maximum(total, 0.0), np.maximum(0.0, opening + t.moved))
    return Fallen(mark, proceeds, claims, closing, total, np.maximum(0.0, -opening), loss, short)


def account_rows(found: Fallen) -> tuple[list[Block], list[Source]]:
    """Return the rows of owners' losses and of deficits: one shortfall, split by limited liability."""
    whole = found.total + found.below
    known = whole > 0.0
    to_owner = np.divide(found.loss, found.total, out=np.zeros_like(whole), where=found.loss > 0.0)
    to_platform = ratio(found.short, whole, empty=0.0)
    blocks = [*_parts(found, "loss", to_owner), *_parts(found, "short", to_platform)]
    opening = np.where(known, to_platform * found.below, found.short)
    return blocks, [Source("opening", "short", opening)]


def _parts(found: Fallen, effect: str, scale: Floats) -> Iterator[Block]:
    yield Block(effect, "price", "mark", holdings.scaled(found.mark, scale))
    yield Block(effect, "sale", "proceeds", holdings.scaled(found.proceeds, scale))
    yield Block(effect, "theta", "claims", holdings.scaled(found.claims, scale))
    yield Block(effect, "lam", "cost", holdings.diagonal(found.cost * scale))


def node_rows(t: Terminal, found: Fallen) -> tuple[list[Block], list[Source], Floats]:
    """Return the rows of nodes' losses and haircuts, and the losses (n,)."""
    accounts, nodes, size = t.parts.inputs.accounts, t.parts.inputs.nodes, t.theta.size
    unpaid, owned = np.flatnonzero(found.short), np.flatnonzero((accounts.owner >= 0) & (found.loss > 0.0))
    shape = (size, t.lam.size)
    deficit = holdings.gathered(found.short[unpaid], accounts.platform[unpaid], unpaid, shape)
    of_owner = holdings.gathered(found.loss[owned], accounts.owner[owned], owned, shape)
    claims = holdings.scaled(nodes.claims, columns=t.theta)
    loss = (
        nodes.loss
        + sum_by(accounts.platform[unpaid], found.short[unpaid], size)
        + sum_by(accounts.owner[owned], found.loss[owned], size)
        + holdings.sums(claims, 1)
    )
    asked = channels.haircut(loss, nodes.buffer, nodes.liabilities, nodes.recovery_rate)
    cut, over = held_back("theta", t.theta, asked)
    blocks = [
        Block("node", "short", "deficit", deficit),
        Block("node", "loss", "owned", of_owner),
        Block("node", "theta", "claims", claims),
        Block("theta", "node", "haircut", holdings.diagonal(np.where(loss > 0.0, cut, 0.0))),
    ]
    return blocks, [over, *_write_offs(t)], loss


def _write_offs(t: Terminal) -> Iterator[Source]:
    for name in t.scenario.losses:
        amounts = np.where(t.parts.labels.nodes == name, t.parts.inputs.nodes.loss, 0.0)
        yield Source(f"loss:{name}", "node", amounts)

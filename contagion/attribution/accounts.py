"""Rows of what accounts and market makers do: cash needed, liquidated shares, withdrawn quotes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from contagion import channels, holdings
from contagion.attribution.graph import Block, Source
from contagion.attribution.state import Terminal
from contagion.attribution.triggers import Triggered, equity_lost, surplus_lost, triggered
from contagion.kernels.accounts import FUNDING, LIQUIDATION, STOP_LOSS, VOLUNTARY, surplus
from contagion.kernels.inputs import FUND, Bools, Floats, Ints, ratio, sum_by

__all__ = ["OVERSHOOT", "Actions", "actions", "held_back", "needs"]

OVERSHOOT = 1e-9
"""What the ratchet may hold above the terminal candidate before it is called an overshoot."""

KINDS = {VOLUNTARY: "deleveraging", FUNDING: "funding", STOP_LOSS: "stop_loss", LIQUIDATION: "liquidation"}
"""Kind of edge by the rule that asked for a sale."""


class Actions(NamedTuple):
    """Rows of accounts and quotes, and how far hedges softened their triggers, by type."""

    blocks: list[Block]
    sources: list[Source]
    mitigated: dict[str, Floats]
    voluntary: Floats  # (a,) part of λ that its owner decided: calls met, cash given, stop-losses

    @classmethod
    def of(cls, size: int, quotes: int) -> Actions:
        """Return no rows at all."""
        nothing = {"need": np.zeros(size), "lam": np.zeros(size), "eta": np.zeros(quotes)}
        return cls([], [], nothing, np.zeros(size))

    def add(self, effect: str, found: Triggered) -> None:
        """Add the rows of one trigger."""
        self.blocks.extend(found.blocks)
        self.sources.extend(found.sources)
        self.mitigated[effect] += found.mitigated


def needs(t: Terminal) -> Floats:
    """Return the cash (a,) that called accounts ask their funding sources for."""
    given, at = t.parts.inputs.accounts, t.parts.outcome.terminal
    asks = t.parts.outcome.decision.called & (given.call_policy == FUND)
    short_of = surplus(given.margin_rule, at.weighted, at.debt, at.maintenance, given.call_target)
    return np.where(asks, -short_of, 0.0)


def actions(t: Terminal, need: Floats, layered: Bools, layered_quotes: Bools) -> Actions:
    """Return the rows of calls, liquidated shares and quotes.

    Where several rules ask for a sale, the one that binds takes all of it, or they share it in layers where
    ``layered`` (a,) says so; of a quote that leaves with its maker's equity and liquidation, ``layered_quotes`` (j,).
    """
    found = Actions.of(t.lam.size, t.eta.size)
    called = np.flatnonzero(need)
    level = t.parts.inputs.accounts.call_level
    found.add("need", triggered("need", "call", called, need[called], surplus_lost(t, called, level), need.size))
    _shares(t, need, layered, found)
    _quotes(t, layered_quotes, found)
    return found


def held_back(effect: str, value: Floats, candidate: Floats) -> tuple[Floats, Source]:
    """Return what the rules share of each unknown; what the ratchet holds above its candidate is a source."""
    over = value - candidate
    held = over > np.where(candidate > 0.0, OVERSHOOT, 0.0)
    return np.where(held, candidate, value), Source("overshoot", effect, np.where(held, over, 0.0))


def shares_of_maximum(values: Floats, layered: Bools) -> Floats:
    """Return how the largest (1, a) of candidates (c, a) is shared among them; columns add up to one, or to zero.

    The first that attains the maximum takes all. In layers (the Shapley value of a maximum), what lies between two
    neighbours in size is shared equally among the candidates that reach higher.
    """
    count, top = values.shape[0], values.max(axis=0)
    shares = np.zeros_like(values)
    shares[values.argmax(axis=0), np.arange(top.size)] = top > 0.0
    rows = np.flatnonzero(layered & (top > 0.0))
    chosen = values[:, rows]
    order = np.argsort(chosen, axis=0, kind="stable")
    rising = np.take_along_axis(chosen, order, axis=0)
    slices = np.diff(rising, axis=0, prepend=0.0) / np.arange(count, 0, -1)[:, None] / top[rows]
    in_layers = np.empty_like(chosen)
    np.put_along_axis(in_layers, order, np.cumsum(slices, axis=0), axis=0)
    shares[:, rows] = in_layers
    return shares


def _shares(t: Terminal, need: Floats, layered: Bools, found: Actions) -> None:
    """Add the rows of liquidated shares."""
    given, size = t.parts.inputs.accounts, t.lam.size
    sold = t.lam > 0.0
    asked = t.requests * sold
    value, over = held_back("lam", t.lam, asked.max(axis=0))
    found.sources.append(over)
    parts = value * shares_of_maximum(asked, layered)
    equity = t.parts.outcome.opening_equity
    for rule, kind in KINDS.items():
        part = parts[rule - 1]
        rows = np.flatnonzero(part)
        if rule == FUNDING:
            found.blocks.append(_funding(t, need, part, layered))
            continue
        if rule == STOP_LOSS:
            lost = equity_lost(t, rows, equity[rows] * (1.0 - given.stop_loss[rows]))
        else:
            lost = surplus_lost(t, rows, given.call_level if rule == VOLUNTARY else given.liquidation_level)
        found.add("lam", triggered("lam", kind, rows, part[rows], lost, size))
    found.voluntary[:] = parts[[VOLUNTARY - 1, FUNDING - 1, STOP_LOSS - 1]].sum(axis=0)


def _funding(t: Terminal, need: Floats, value: Floats, layered: Bools) -> Block:
    """Return what sources sold to fund calls, by the account that was called.

    In proportion to what each took, or if nobody took anything to what each needed; in layers, to what each still
    wanted when its turn came, for who asked in vain has a part in exhausting a source.
    """
    given, taken = t.parts.inputs.accounts, t.parts.outcome.decision.taken
    size = value.size
    drawn = np.bincount(given.source, taken, minlength=size) > 0.0
    asked = np.where(t.wanted > 0.0, need[given.funded], 0.0)
    weight = np.where(layered[given.source], t.wanted, np.where(drawn[given.source], taken, asked))
    total = sum_by(given.source, weight, size)
    scale = ratio(value, total, empty=0.0)
    amount = weight * scale[given.source]
    return Block("lam", "need", "funding", holdings.gathered(amount, given.source, given.funded, (size, size)))


def _quotes(t: Terminal, layered: Bools, found: Actions) -> None:
    """Add the rows of withdrawn quotes: by the liquidation of the market maker, or by its equity."""
    quotes, size = t.parts.inputs.quotes, t.eta.size
    opening, terminal = t.parts.outcome.opening_equity[quotes.account], t.parts.outcome.terminal.equity[quotes.account]
    sick = (opening <= 0.0) & (t.eta > 0.0)
    found.sources.append(Source("opening", "eta", np.where(sick, t.eta, 0.0)))
    by_equity = channels.withdrawal(terminal, opening, quotes.full_at, quotes.withdrawn_at)
    candidates = np.stack([t.lam[quotes.account], by_equity]) * ((t.eta > 0.0) & ~sick)
    value, over = held_back("eta", np.where(sick, 0.0, t.eta), candidates.max(axis=0))
    found.sources.append(over)
    by_sale, by_loss = value * shares_of_maximum(candidates, layered)
    makers: Ints = quotes.account
    shape = (size, t.lam.size)
    found.blocks.append(Block("eta", "lam", "withdrawal", holdings.gathered(by_sale, np.arange(size), makers, shape)))
    rows = np.flatnonzero(by_loss)
    lost = equity_lost(t, makers[rows], opening[rows] * (1.0 - quotes.full_at[rows]))
    found.add("eta", triggered("eta", "withdrawal", rows, by_loss[rows], lost, size))

"""The rounds once more, and what is kept of each: sums, never a row for each account."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from contagion import holdings
from contagion.frames import Parts
from contagion.kernels.accounts import FUNDING
from contagion.kernels.credit import Losses
from contagion.kernels.inputs import Floats, Ints, sum_by
from contagion.kernels.markets import Clearing, depth_left
from contagion.kernels.rounds import start, step
from contagion.kernels.sales import Sales

__all__ = ["Path", "Points", "replay"]


class Points(NamedTuple):
    """What stood after each of the rounds 0 (the opening) to R."""

    equity: Floats  # (R + 1,) USD of all accounts
    deficit: Floats  # (R + 1,) USD
    closed: Floats  # (R + 1, n) USD liquidated so far by platform, at opening prices
    log_drop: Floats  # (R + 1, m)
    sold: Floats  # (R + 1, m) USD so far
    depth: Floats  # (R + 1, m) USD
    loss: Floats  # (R + 1, n) USD
    haircut: Floats  # (R + 1, n)


class Path(NamedTuple):
    """The points that the rounds passed, and what accounts did when they first acted."""

    points: Points
    shocked: Floats  # (m,) log drops that the first round read: shocks and pegs alone
    first_sale: Floats  # (a,) USD that each account sold in the first round in which it sold
    asked: Ints  # (c, 3) round, account that called, account that sold for it, for the first time
    wanted: Floats  # (c,) USD that was wanted of it

    def seen(self) -> Floats:
        """Return the log drops (R, m) that each round read."""
        return np.concatenate([self.shocked[None, :], self.points.log_drop[1:]])[: len(self.points.log_drop) - 1]


def replay(parts: Parts) -> Path:
    """Return the path of a solution, by running its rounds again; the last point is the solution's own."""
    inputs, run = parts.inputs, parts.run
    held = holdings.sums(holdings.opening_value(inputs.positions, inputs.markets.price, holdings.ASSETS), 1)
    state, opening_equity = start(inputs), parts.outcome.opening_equity
    sales = Sales(inputs, None, rising=True)
    shocked, first_sale = state.log_drop, np.zeros(held.size)
    rows, asked, wanted = [_opening(parts)], [np.zeros((0, 3), dtype=np.int64)], [np.zeros(0)]
    for number in range(1, len(run.records) + 1):
        state, made, lost, cleared = step(inputs, state, opening_equity, sales=sales)
        first = run.liquidated_round == number
        first_sale[first] = state.liquidated[first] * held[first]
        calls = np.flatnonzero((made.wanted > 0.0) & (first & (run.cause == FUNDING))[inputs.accounts.source])
        ends = (inputs.accounts.funded[calls], inputs.accounts.source[calls])
        asked.append(np.column_stack([np.full(calls.size, number), *ends]))
        wanted.append(made.wanted[calls])
        if number == len(run.records):  # as the solution has it: all of it once more, from the final state
            lost, cleared = parts.outcome.losses, parts.outcome.clearing
        closed = sum_by(inputs.accounts.platform, state.liquidated * held, lost.loss.size)
        rows.append(_point(lost, cleared, state.haircut, closed))
    points = Points(*(np.array(column) for column in zip(*rows, strict=True)))
    return Path(points, shocked, first_sale, np.concatenate(asked), np.concatenate(wanted))


def _opening(parts: Parts) -> Points:
    markets, nodes, quotes = parts.inputs.markets, parts.inputs.nodes.buffer.size, parts.inputs.quotes
    still, nothing = np.zeros(markets.price.size), np.zeros(nodes)
    unthinned = markets._replace(factor=np.ones(markets.price.size))
    depth = depth_left(unthinned, quotes, np.zeros(quotes.depth.size))
    equity = np.asarray(np.maximum(0.0, parts.outcome.opening_equity).sum())
    return Points(equity, np.zeros(()), nothing, still, still, depth, nothing, nothing)


def _point(lost: Losses, cleared: Clearing, haircut: Floats, closed: Floats) -> Points:
    return Points(
        equity=np.asarray(lost.equity.sum()),
        deficit=np.asarray(lost.deficit.sum()),
        closed=closed,
        log_drop=cleared.log_drop,
        sold=cleared.sold,
        depth=cleared.depth,
        loss=lost.loss,
        haircut=haircut,
    )

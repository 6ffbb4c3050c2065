"""System-wide sums: the loss, each dollar counted once, and the balance that proves it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from contagion import channels
from contagion.frames.accounts import hidden_bad_debt
from contagion.frames.liquidations import liquidations
from contagion.frames.nodes import outside_loss
from contagion.frames.parts import Parts
from contagion.kernels import settle
from contagion.kernels.enclosure import above
from contagion.kernels.inputs import DEBT, Floats, sum_by
from contagion.kernels.markets import prices
from contagion.kernels.rounds import start


@np.errstate(over="ignore", invalid="ignore")  # states that have not converged may hold anything
def totals(parts: Parts, liquidated: pd.DataFrame) -> dict[str, float]:
    """Return losses, gains, liquidated USD and unpaid debts of the whole system, in USD.

    ``loss`` is gross and counts each dollar once: what accounts that no node owns lose, the buffers used, and what
    falls on claimants outside the system.
    """
    lost, made = parts.outcome.losses, parts.outcome.decision
    account_loss = float(lost.lost[parts.inputs.accounts.owner < 0].sum())
    buffer_loss = float(np.minimum(lost.loss, parts.inputs.nodes.buffer).sum())
    outside = outside_loss(parts)
    uncovered = np.maximum(0.0, -(lost.outcome + made.received - made.given))
    return {
        "loss": account_loss + buffer_loss + float(outside.sum()),
        "account_loss": account_loss,
        "buffer_loss": buffer_loss,
        "outside_loss": float(outside.sum()),
        "gains": float(np.maximum(0.0, lost.outcome - parts.outcome.opening_equity).sum()),
        "hidden": float(uncovered[parts.run.state.liquidated < 1.0].sum()),
        "hidden_bad_debt": float(hidden_bad_debt(parts).sum()),
        "liquidated": float(liquidated["usd"].sum()),
        "deficit": float(lost.deficit.sum()),
        "funded": float(made.received.sum()),
    }


def enclosure(parts: Parts) -> tuple[float, float]:
    """Return losses between which that of the least fixed point lies, in USD; NaN where there is no certificate."""
    upper = above(parts.inputs, parts.run.state) if parts.run.converged else None
    if upper is None:
        return np.nan, np.nan
    raised = parts._replace(run=parts.run._replace(state=upper), outcome=settle(parts.inputs, upper))
    lower, most = (totals(each, liquidations(each))["loss"] for each in (parts, raised))
    return lower, max(lower, most)


def direct_loss(parts: Parts) -> float:
    """Return the loss if nobody reacted: shocks, pegs and write-offs, and what these take from claimants at once."""
    nodes, opening = parts.inputs.nodes, start(parts.inputs)
    owned = settle(parts.inputs, opening).losses.owned
    cut = channels.haircut(nodes.loss + owned, nodes.buffer, nodes.liabilities, nodes.recovery_rate)
    state = opening._replace(haircut=cut)
    lost = settle(parts.inputs, state).losses._replace(loss=nodes.loss + owned)
    unmoved = parts._replace(run=parts.run._replace(state=state), outcome=replace(parts.outcome, losses=lost))
    by_accounts = float(lost.lost[parts.inputs.accounts.owner < 0].sum())
    return by_accounts + float(np.minimum(lost.loss, nodes.buffer).sum()) + float(outside_loss(unmoved).sum())


@np.errstate(over="ignore", invalid="ignore")  # states that have not converged may hold anything
def stock_flow(parts: Parts) -> dict[str, float]:
    """Return both sides of the balance of all accounts: equity against prices, sales, costs and claims (Hurd 2017).

    ``equity_change`` sums accounts; ``marks``, ``sales``, ``liquidation_cost`` and ``claims`` come from totals of
    markets and nodes alone, and ``residual`` is what they leave unexplained: rounding, if every dollar that one loses
    is found somewhere else.
    """
    positions, given, clearing = parts.inputs.positions, parts.inputs.markets, parts.outcome.clearing
    liquidated, haircut = parts.run.state.liquidated, parts.run.state.haircut

    def by_market(units: Floats) -> Floats:
        held: Floats = positions.route.T @ sum_by(positions.pair, units, positions.route.shape[0])
        return held

    sold = by_market(parts.signed_units(liquidated))
    kept = by_market(parts.signed_units(np.ones(liquidated.size))) - sold
    price, average = prices(given.price, clearing.log_drop), clearing.average(given)
    closed = np.where(positions.side == DEBT, 0.0, positions.quantity.T @ liquidated)
    executed = (positions.route @ average)[positions.pair]
    entries = {
        "marks": float((kept * (price - given.price)).sum()),
        "sales": float((sold * (average - given.price)).sum()),
        "liquidation_cost": float(-(positions.cost * closed * executed).sum()),
        "claims": float(-(parts.inputs.accounts.claims.sum(axis=0) * haircut).sum()),
    }
    change = float((parts.outcome.losses.outcome - parts.outcome.opening_equity).sum())
    return {"equity_change": change, **entries, "residual": change - sum(entries.values())}

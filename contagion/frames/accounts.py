"""The table of accounts, and the accounts that stand on a knife's edge."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from contagion.frames.parts import Parts
from contagion.kernels.accounts import Lines, surplus
from contagion.kernels.inputs import CLOSE_FACTOR, MAINTENANCE, NO_CALL, Codes, Floats, Ints

CAUSES = ("", "call", "funding", "stop_loss", "liquidation")
"""Why an account first sold: its owner answered a call, gave cash, stopped out; or it was liquidated."""

_EDGE = 1e-9


@np.errstate(over="ignore", invalid="ignore")  # states that have not converged may hold anything
def accounts(parts: Parts) -> pd.DataFrame:
    """Return lines, health, leverage, sales and losses by account, in the order of the system's table."""
    order = np.empty(len(parts.labels.accounts), dtype=np.int64)
    order[parts.labels.account_rows] = np.arange(order.size)
    columns = _lines(parts) | _changes(parts)
    frame = pd.DataFrame(columns, index=parts.labels.accounts).take(order)
    listed = parts.system.accounts.set_index("account")
    owner = listed["owner"].where(listed["owner"] != "", listed.index.to_series())
    frame.insert(0, "platform", listed["platform"])
    frame.insert(1, "owner", owner)
    frame.insert(2, "group", listed["group"])
    return frame


def _lines(parts: Parts) -> dict[str, Floats]:
    columns: dict[str, Floats] = {}
    for suffix, at in (("_before", parts.outcome.opening), ("", parts.outcome.terminal)):
        columns[f"health{suffix}"] = _health(at, parts.inputs.accounts.margin_rule)
        columns[f"leverage{suffix}"] = _leverage(at)
        columns[f"gross_assets{suffix}"] = at.gross
        columns[f"weighted_assets{suffix}"] = at.weighted
        columns[f"debt{suffix}"] = at.debt
        columns[f"maintenance{suffix}"] = at.maintenance
    return columns


def _changes(parts: Parts) -> dict[str, Any]:
    opening, terminal, lost = parts.outcome.opening, parts.outcome.terminal, parts.outcome.losses
    return {
        "equity_before": opening.equity,
        "equity_marked": terminal.equity,
        "equity_if_sold": terminal.proceeds,
        "equity_after": lost.equity,
        "loss": lost.lost,
        "gain": np.maximum(0.0, lost.outcome - opening.equity),
        "liquidated": parts.run.state.liquidated,
        "deficit": lost.deficit,
        "received": parts.outcome.decision.received,
        "given": parts.outcome.decision.given,
        "hidden_bad_debt": hidden_bad_debt(parts),
        "called_round": _round_numbers(parts.run.called_round),
        "liquidated_round": _round_numbers(parts.run.liquidated_round),
        "cause": pd.Index(CAUSES).take(parts.run.cause.astype(np.int64)),
    }


def _health(at: Lines, rule: Codes) -> Floats:
    """Return the level at which the surplus is zero; infinite where nothing is required."""
    strict = rule == MAINTENANCE
    assets = np.where(strict, at.weighted - at.debt, at.weighted - at.maintenance)
    required = np.where(strict, at.maintenance, at.debt)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(required > 0.0, assets / required, np.where(assets < 0.0, -np.inf, np.inf))


def _leverage(at: Lines) -> Floats:
    """Return gross assets over marked equity; infinite where assets stand on no equity, NaN where there are none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(at.equity > 0.0, at.gross / at.equity, np.where(at.gross > 0.0, np.inf, np.nan))


def _round_numbers(numbers: Ints) -> pd.arrays.IntegerArray:
    return pd.arrays.IntegerArray(numbers.copy(), numbers == 0)


def hidden_bad_debt(parts: Parts) -> Floats:
    """Return max(0, −V) of the accounts (a,) that no rule has closed: what selling all would leave unpaid."""
    value = parts.outcome.terminal.proceeds + parts.outcome.decision.received
    return np.where(parts.run.state.liquidated < 1.0, np.maximum(0.0, -value), 0.0)


def knife_edge(parts: Parts) -> pd.DataFrame:
    """Return the accounts within 1e-9 of a trigger, relative to what is weighed.

    An ulp of input may decide about them.
    """
    given, at = parts.inputs.accounts, parts.outcome.terminal
    funded = at.weighted + parts.outcome.decision.received  # calls are judged before money arrives, liquidations after
    levels = {
        "call": (at.weighted, np.where(given.call_policy != NO_CALL, given.call_level, np.nan)),
        "liquidation": (funded, given.liquidation_level),
        "full_close": (funded, np.where(given.close_rule == CLOSE_FACTOR, given.full_close_level, np.nan)),
    }
    found = []
    for trigger, (weighted, level) in levels.items():
        margin = surplus(given.margin_rule, weighted, at.debt, at.maintenance, level)
        found.append(_close(parts, trigger, margin, np.abs(weighted) + at.debt + at.maintenance))
    margin = at.equity - given.stop_loss * parts.outcome.opening_equity
    found.append(_close(parts, "stop_loss", margin, np.abs(at.equity)))
    return pd.concat(found, ignore_index=True)


def _close(parts: Parts, trigger: str, margin: Floats, scale: Floats) -> pd.DataFrame:
    rows = np.flatnonzero((np.abs(margin) <= _EDGE * scale) & (scale > 0.0))
    names = parts.labels.accounts.take(rows)
    return pd.DataFrame({"account": names, "trigger": trigger, "surplus": margin[rows], "scale": scale[rows]})

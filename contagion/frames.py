"""From the solver's arrays to the tables and totals of a solution."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contagion.arrays import Labels
from contagion.kernels import Inputs, Outcome, State
from contagion.kernels.accounts import Lines, surplus
from contagion.kernels.inputs import CLOSE_FACTOR, DEBT, MAINTENANCE, SHORT, sum_by
from contagion.kernels.rounds import Rounds
from contagion.system import System

__all__ = [
    "Parts",
    "accounts",
    "knife_edge",
    "liquidations",
    "markets",
    "nodes",
    "quotes",
    "rounds",
    "stock_flow",
    "totals",
]

Floats = NDArray[np.float64]

CAUSES = ("", "call", "funding", "stop_loss", "liquidation")
"""Why an account first sold: its owner answered a margin call, gave cash to another account, stopped out, or was liquidated."""

_EDGE = 1e-9


class Parts(NamedTuple):
    """What the solver read and returned."""

    system: System
    inputs: Inputs
    labels: Labels
    state: State
    outcome: Outcome
    run: Rounds


def markets(parts: Parts) -> pd.DataFrame:
    """Return prices, the drop and its parts, sales and depth by market, in the order of the system's table."""
    given, clearing = parts.inputs.markets, parts.outcome.clearing
    drop = -np.expm1(-clearing.log_drop)
    depth_before = given.depth + sum_by(parts.inputs.quotes.market, parts.inputs.quotes.depth, drop.size)
    left = _depth_share(parts, depth_before)
    issuer = np.zeros(drop.size)
    issued = given.issuer >= 0
    with np.errstate(divide="ignore", invalid="ignore"):
        issuer[issued] = -np.log1p(-parts.state.haircut[given.issuer[issued]])
        peg = np.zeros(drop.size)
        pegged = given.pegged_to >= 0
        peg[pegged] = clearing.log_drop[given.pegged_to[pegged]]
        scale = np.where(clearing.log_drop == 0.0, 1.0, drop / clearing.log_drop)
    logs = {
        "shock": given.shock,
        "peg": peg,
        "issuer": issuer,
        "sales": clearing.impact * (1.0 + left) / 2.0,
        "depth": clearing.impact * (1.0 - left) / 2.0,
    }
    frame = pd.DataFrame(
        {
            "price_before": given.price,
            "price": given.price * np.exp(-clearing.log_drop),
            "drop": drop,
            **{f"drop_{cause}": _share_of_drop(log, clearing.log_drop, scale) for cause, log in logs.items()},
            "average_price": clearing.average(given),
            "sold": clearing.sold,
            "pressure": clearing.pressure,
            "depth_before": depth_before,
            "depth": clearing.depth,
        },
        index=parts.labels.markets,
    )
    listed = parts.system.markets.set_index("market")[["venue", "asset"]]
    return listed.join(frame)


def _depth_share(parts: Parts, depth_before: Floats) -> Floats:
    """Return the depth left over the depth with all quotes and no thinning factor; one where depth is infinite or none."""
    full = parts.inputs.markets.raising_factor * depth_before
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(np.isinf(full) | (full == 0.0), 1.0, parts.outcome.clearing.depth / full)


def _share_of_drop(log: Floats, total: Floats, scale: Floats) -> Floats:
    """Return a part of the log drop as a part of the relative drop; where the price is gone, infinite parts share it."""
    with np.errstate(invalid="ignore"):
        return np.where(np.isinf(total), np.where(np.isinf(log), 1.0, 0.0), log * scale)


def accounts(parts: Parts) -> pd.DataFrame:
    """Return lines, health, leverage, sales and losses by account, in the order of the system's table."""
    opening, terminal, lost = parts.outcome.opening, parts.outcome.terminal, parts.outcome.losses
    given, made = parts.inputs.accounts, parts.outcome.decision
    columns: dict[str, Any] = {}
    for suffix, at in (("_before", opening), ("", terminal)):
        columns[f"health{suffix}"] = _health(at, given.margin_rule)
        columns[f"leverage{suffix}"] = _leverage(at)
        columns[f"gross_assets{suffix}"] = at.gross
        columns[f"weighted_assets{suffix}"] = at.weighted
        columns[f"debt{suffix}"] = at.debt
        columns[f"maintenance{suffix}"] = at.maintenance
    columns |= {
        "equity_before": opening.equity,
        "equity_marked": terminal.equity,
        "equity_if_sold": terminal.proceeds,
        "equity_after": lost.equity,
        "loss": lost.lost,
        "gain": np.maximum(0.0, lost.outcome - opening.equity),
        "liquidated": parts.state.liquidated,
        "deficit": lost.deficit,
        "received": made.received,
        "given": made.given,
        "hidden_bad_debt": _hidden(parts),
        "called_round": _round_numbers(parts.run.called_round),
        "liquidated_round": _round_numbers(parts.run.liquidated_round),
        "cause": np.array(CAUSES, dtype=object)[parts.run.cause],
    }
    order = np.empty(given.platform.size, dtype=np.int64)
    order[parts.labels.account_rows] = np.arange(given.platform.size)
    frame = pd.DataFrame(columns, index=parts.labels.accounts).take(order)
    listed = parts.system.accounts.set_index("account")
    owner = listed["owner"].where(listed["owner"] != "", listed.index.to_series())
    frame.insert(0, "platform", listed["platform"])
    frame.insert(1, "owner", owner)
    frame.insert(2, "group", listed["group"])
    return frame


def _health(at: Lines, rule: NDArray[np.int8]) -> Floats:
    """Return the level at which the surplus is zero; infinite where nothing is required."""
    strict = rule == MAINTENANCE
    assets = np.where(strict, at.weighted - at.debt, at.weighted - at.maintenance)
    required = np.where(strict, at.maintenance, at.debt)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(required > 0.0, assets / required, np.where(assets < 0.0, -np.inf, np.inf))


def _leverage(at: Lines) -> Floats:
    """Return gross assets over marked equity; infinite where there are assets but no equity, NaN where there is neither."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(at.equity > 0.0, at.gross / at.equity, np.where(at.gross > 0.0, np.inf, np.nan))


def _round_numbers(numbers: NDArray[np.int64]) -> pd.arrays.IntegerArray:
    return pd.arrays.IntegerArray(numbers.copy(), numbers == 0)


def _hidden(parts: Parts) -> Floats:
    """Return by account what selling all would leave unpaid, where no rule has closed it: max(0, −V) with funds received."""
    value = parts.outcome.terminal.proceeds + parts.outcome.decision.received
    return np.where(parts.state.liquidated < 1.0, np.maximum(0.0, -value), 0.0)


def nodes(parts: Parts) -> pd.DataFrame:
    """Return losses by cause, buffers, haircuts and liquidated USD by node, in the order of the system's table."""
    given, lost = parts.inputs.nodes, parts.outcome.losses
    excess = np.maximum(0.0, lost.loss - given.buffer - given.liabilities)
    outside = _outside_liabilities(parts)
    sold = liquidations(parts).groupby("platform")["usd"].sum()
    frame = pd.DataFrame(
        {
            "loss": lost.loss,
            "loss_external": given.loss,
            "loss_deficits": lost.deficits,
            "loss_claims": lost.claims,
            "loss_owned": lost.owned,
            "buffer": given.buffer,
            "buffer_used": np.minimum(lost.loss, given.buffer),
            "liabilities": given.liabilities,
            "outside_liabilities": outside,
            "haircut": parts.state.haircut,
            "outside_loss": parts.state.haircut * outside + excess,
        },
        index=parts.labels.nodes,
    )
    frame["liquidated"] = sold.reindex(frame.index).fillna(0.0)
    return parts.system.nodes.set_index("node")[["kind", "domain"]].join(frame)


def _outside_liabilities(parts: Parts) -> Floats:
    """Return liabilities (n,) less what accounts and nodes of the system hold of them, as claims or as tokens issued."""
    given, positions = parts.inputs.nodes, parts.inputs.positions
    claims = given.claims.sum(axis=0) + parts.inputs.accounts.claims.sum(axis=0)
    value = _column_units(parts, None) * (positions.route @ parts.inputs.markets.price)[positions.pair]
    issuers = parts.system.assets.set_index("asset")["issuer"].reindex(parts.labels.assets)
    issuer = parts.labels.nodes.get_indexer(pd.Index(issuers))[parts.labels.columns["asset"].to_numpy()]
    tokens = sum_by(issuer[issuer >= 0], value[issuer >= 0], given.buffer.size)
    return np.maximum(0.0, given.liabilities - claims - np.maximum(0.0, tokens))


def _column_units(parts: Parts, weight: Floats | None) -> Floats:
    """Return signed units (k,) in each term column, weighted by account."""
    positions = parts.inputs.positions
    share = np.ones(positions.quantity.shape[0]) if weight is None else weight
    sign = np.where((positions.side == DEBT) | (positions.side == SHORT), -1.0, 1.0)
    return sign * (positions.quantity.T @ share)


def quotes(parts: Parts) -> pd.DataFrame:
    """Return the rows of the quotes table with the share of each that was withdrawn."""
    withdrawn = np.empty(parts.state.withdrawn.size)
    withdrawn[parts.labels.quote_rows] = parts.state.withdrawn
    return parts.system.quotes.assign(withdrawn=withdrawn)


def rounds(parts: Parts) -> pd.DataFrame:
    """Return the timeline, one row a round: largest step, calls, liquidated accounts, USD sold, the lowest price."""
    names = parts.labels.markets.to_numpy(dtype=object)
    rows = []
    for number, record in enumerate(parts.run.records, start=1):
        row: dict[str, Any] = {"round": number} | {k: v for k, v in record._asdict().items() if k != "log_drop"}
        lowest = int(np.argmax(record.log_drop)) if names.size else -1
        row["largest_drop"] = float(-np.expm1(-record.log_drop[lowest])) if names.size else 0.0
        row["lowest_market"] = names[lowest] if names.size else ""
        rows.append(row)
    return pd.DataFrame(rows).set_index("round")


def liquidations(parts: Parts) -> pd.DataFrame:
    """Return liquidated USD at opening prices by platform, asset and account group: collateral sold and perps closed."""
    positions, labels = parts.inputs.positions, parts.labels
    matrix = positions.quantity
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    price = np.where(positions.side == DEBT, 0.0, (positions.route @ parts.inputs.markets.price)[positions.pair])
    usd = parts.state.liquidated[row] * matrix.data * price[matrix.indices]
    groups, names = pd.factorize(parts.system.accounts["group"].take(labels.account_rows), sort=True)
    size = len(names)
    total = sum_by(matrix.indices.astype(np.int64) * size + groups[row], usd, price.size * size)
    touched = np.flatnonzero(total)
    frame = pd.DataFrame(
        {
            "platform": labels.nodes.take(labels.columns["platform"].to_numpy()[touched // size]),
            "asset": labels.assets.take(labels.columns["asset"].to_numpy()[touched // size]),
            "group": pd.Index(names).take(touched % size),
            "usd": total[touched],
        }
    )
    return frame.groupby(["platform", "asset", "group"], sort=True, as_index=False)["usd"].sum()


def totals(parts: Parts) -> dict[str, float]:
    """Return system-wide losses, each dollar counted once, and liquidated USD; all in USD."""
    lost, by_node = parts.outcome.losses, nodes(parts)
    free = parts.inputs.accounts.owner < 0
    account_loss = float(lost.lost[free].sum())
    buffer_loss = float(by_node["buffer_used"].sum())
    outside_loss = float(by_node["outside_loss"].sum())
    made = parts.outcome.decision
    uncovered = np.maximum(0.0, -(lost.outcome + made.received - made.given))
    return {
        "loss": account_loss + buffer_loss + outside_loss,
        "account_loss": account_loss,
        "buffer_loss": buffer_loss,
        "outside_loss": outside_loss,
        "gains": float(np.maximum(0.0, lost.outcome - parts.outcome.opening.equity).sum()),
        "hidden": float(uncovered[parts.state.liquidated < 1.0].sum()),
        "hidden_bad_debt": float(_hidden(parts).sum()),
        "liquidated": float(liquidations(parts)["usd"].sum()),
        "liquidation_cost": stock_flow(parts)["liquidation_cost"],
        "deficit": float(lost.deficit.sum()),
        "funded": float(made.received.sum()),
    }


def stock_flow(parts: Parts) -> dict[str, float]:
    """Return both sides of the balance of all accounts: equity changes against price changes, sales, costs and claims (Hurd 2017).

    ``equity_change`` sums accounts; the other entries are computed from market totals alone, and ``residual`` is what they leave open.
    """
    positions, given, clearing = parts.inputs.positions, parts.inputs.markets, parts.outcome.clearing
    lost = parts.outcome.losses
    pairs = positions.route.shape[0]

    def by_market(units: Floats) -> Floats:
        return positions.route.T @ sum_by(positions.pair, units, pairs)

    held, sold = (
        by_market(_column_units(parts, None)),
        by_market(_column_units(parts, parts.state.liquidated)),
    )
    price, average = given.price * np.exp(-clearing.log_drop), clearing.average(given)
    executed = (positions.route @ average)[positions.pair]
    units_sold = np.where(positions.side == DEBT, 0.0, positions.quantity.T @ parts.state.liquidated)
    owed = parts.inputs.accounts.claims.sum(axis=0)
    entries = {
        "marks": float(((held - sold) * (price - given.price)).sum()),
        "sales": float((sold * (average - given.price)).sum()),
        "liquidation_cost": float((positions.cost * units_sold * executed).sum()),
        "claims": float(-(owed * parts.state.haircut).sum()),
    }
    change = float((lost.outcome - parts.outcome.opening.equity).sum())
    explained = entries["marks"] + entries["sales"] - entries["liquidation_cost"] + entries["claims"]
    return {"equity_change": change, **entries, "residual": change - explained}


def knife_edge(parts: Parts) -> pd.DataFrame:
    """Return the accounts within 1e-9 of a trigger, relative to what it weighs: one ulp of input may decide about them."""
    given, at = parts.inputs.accounts, parts.outcome.terminal
    weighted = at.weighted + parts.outcome.decision.received
    size = np.abs(weighted) + at.debt + at.maintenance
    triggers = {
        "call": np.where(given.call_policy > 0, given.call_level, np.nan),
        "liquidation": given.liquidation_level,
        "full_close": np.where(given.close_rule == CLOSE_FACTOR, given.full_close_level, np.nan),
    }
    found = []
    for trigger, level in triggers.items():
        margin = surplus(given.margin_rule, weighted, at.debt, at.maintenance, level)
        found.append(_close(parts, trigger, margin, size))
    margin = at.equity - given.stop_loss * parts.outcome.opening.equity
    found.append(_close(parts, "stop_loss", margin, np.abs(at.equity)))
    return pd.concat(found, ignore_index=True)


def _close(parts: Parts, trigger: str, margin: Floats, size: Floats) -> pd.DataFrame:
    rows = np.flatnonzero((np.abs(margin) <= _EDGE * size) & (size > 0.0))
    return pd.DataFrame(
        {
            "account": parts.labels.accounts.take(rows),
            "trigger": trigger,
            "surplus": margin[rows],
            "scale": size[rows],
        }
    )

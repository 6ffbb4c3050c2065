"""The rows of the ranking: nodes, markets, account groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from contagion import holdings
from contagion.frames import Parts
from contagion.holdings import positive, scaled, sums
from contagion.kernels.inputs import Floats, Ints, ratio, sum_by
from contagion.kernels.rounds import start
from contagion.ranking.blame import Blame, Harm
from contagion.solution import Solution

if TYPE_CHECKING:
    from scipy import sparse

__all__ = ["Sold", "groups", "markets", "nodes", "sold"]

_VISIBLE = 1e-6


class Sold(NamedTuple):
    """USD at opening prices by group and market (g, m): collateral and perps held, and what of it was liquidated."""

    held: sparse.csr_array
    usd: sparse.csr_array


def sold(parts: Parts, grouped: holdings.Groups) -> Sold:
    """Return what was held and liquidated, by group and market."""
    held = holdings.opening_value(parts.inputs.positions, parts.inputs.markets.price, holdings.ASSETS)
    return Sold(grouped.rows(held), grouped.rows(scaled(held, parts.run.state.liquidated)))


@np.errstate(over="ignore", invalid="ignore")  # states that have not converged may hold anything
def nodes(solution: Solution, grouped: holdings.Groups, traded: Sold, blamed: Blame, abroad: Floats) -> pd.DataFrame:
    """Return the rows of nodes."""
    parts = solution.parts
    table, size = solution.nodes.reindex(parts.labels.nodes), len(parts.labels.nodes)
    given, lost = parts.inputs.accounts, parts.outcome.losses
    owned = given.owner >= 0
    beyond = np.maximum(0.0, table["loss"] - table["buffer"] - table["liabilities"])
    usd, held = (sum_by(grouped.platform, sums(matrix, 1), size) for matrix in (traded.usd, traded.held))
    columns = {
        "loss_passed_on": table["haircut"] * table["liabilities"] + beyond,
        "own_loss": table["loss"],
        "deficit_caused": sum_by(given.owner[owned], lost.deficit[owned], size),
        "deficit_borne": table["loss_deficits"],
        "usd_sold": usd,
        "price_drop_caused": blamed.node_drop,
        "hardest_hit": _named(parts.labels.markets, blamed.node_market, blamed.node_drop),
        "share_liquidated": ratio(usd, held),
        **_leverage(parts, given.platform, size),
        "cross_domain_exposure": abroad,
        "first_round": _first_sale(parts, given.platform, size),
    }
    return _frame(parts.labels.nodes, "node", columns)


@np.errstate(over="ignore", invalid="ignore")  # states that have not converged may hold anything
def markets(solution: Solution, traded: Sold, harmed: Harm, abroad: Floats) -> pd.DataFrame:
    """Return the rows of markets."""
    parts = solution.parts
    table = solution.markets.reindex(parts.labels.markets)
    drop = (table["drop_sales"] + table["drop_depth"]).to_numpy(dtype=np.float64)
    fall = parts.inputs.markets.price * table["drop"].to_numpy(dtype=np.float64)
    loss = positive(scaled(holdings.net_units(parts.inputs.positions), columns=fall))
    usd = sums(traded.usd, 0)
    columns = {
        "loss_passed_on": harmed.exposed * np.abs(drop),
        "own_loss": sums(loss, 0),
        "deficit_caused": np.nan,
        "deficit_borne": np.nan,
        "usd_sold": usd,
        "price_drop_caused": drop,
        "hardest_hit": _named(parts.labels.markets, np.arange(drop.size), drop),
        "share_liquidated": ratio(usd, sums(traded.held, 0)),
        "leverage_before": np.nan,
        "leverage_after": np.nan,
        "cross_domain_exposure": abroad,
        "first_round": _first_move(parts),
    }
    return _frame(parts.labels.markets, "market", columns)


@np.errstate(over="ignore", invalid="ignore")  # states that have not converged may hold anything
def groups(parts: Parts, grouped: holdings.Groups, traded: Sold, blamed: Blame, abroad: Floats) -> pd.DataFrame:
    """Return the rows of account groups."""
    lost, usd = parts.outcome.losses, sums(traded.usd, 1)
    deficit = grouped.total(lost.deficit)
    columns = {
        "loss_passed_on": blamed.damage + deficit,
        "own_loss": grouped.total(lost.lost),
        "deficit_caused": deficit,
        "deficit_borne": np.nan,
        "usd_sold": usd,
        "price_drop_caused": blamed.drop,
        "hardest_hit": _named(parts.labels.markets, blamed.market, blamed.drop),
        "share_liquidated": ratio(usd, sums(traded.held, 1)),
        **_leverage(parts, grouped.member, len(grouped.names)),
        "cross_domain_exposure": abroad,
        "first_round": _first_sale(parts, grouped.member, len(grouped.names)),
    }
    return _frame(grouped.names, "group", columns)


def _frame(names: pd.Index[str], kind: str, columns: dict[str, Any]) -> pd.DataFrame:
    """Return the columns of one type, of the same dtypes for all types."""
    size = len(names)
    frame = pd.DataFrame(index=pd.Index(names, dtype="str"))
    frame["type"] = pd.array([kind] * size, dtype="str")
    for name, values in columns.items():
        if name == "hardest_hit":
            frame[name] = pd.array(values, dtype="str")
        elif name == "first_round":
            frame[name] = pd.arrays.IntegerArray(values.astype(np.int64), values == 0)
        else:
            frame[name] = np.broadcast_to(np.asarray(values, dtype=np.float64), size)
    return frame


def _named(names: pd.Index[str], at: Ints, drop: Floats) -> list[str]:
    """Return the names of the markets that fell, empty where none did."""
    return [str(names[place]) if fall > 0.0 else "" for place, fall in zip(at, drop, strict=True)]


def _leverage(parts: Parts, member: Ints, size: int) -> dict[str, Floats]:
    """Return gross assets over the equity of accounts that have any, before and after.

    Infinite where there are assets but no equity, NaN without assets.
    """
    columns = {}
    for when, at in (("before", parts.outcome.opening), ("after", parts.outcome.terminal)):
        gross, equity = sum_by(member, at.gross, size), sum_by(member, np.maximum(at.equity, 0.0), size)
        empty = np.where(gross > 0.0, np.inf, np.nan)
        columns[f"leverage_{when}"] = ratio(gross, equity, empty)
    return columns


def _first_sale(parts: Parts, member: Ints, size: int) -> Ints:
    """Return the first round in which an account of each class sold, 0 if none did."""
    never = np.iinfo(np.int64).max
    first, when = np.full(size, never, dtype=np.int64), parts.run.liquidated_round
    np.minimum.at(first, member, np.where(when > 0, when, never))
    first[first == never] = 0
    return first


def _first_move(parts: Parts) -> Ints:
    """Return the first round after which a price stood more than 1e-6 away from where shocks and pegs had put it."""
    opening = start(parts.inputs).log_drop
    first = np.zeros(opening.size, dtype=np.int64)
    for number, record in enumerate(parts.run.records, start=1):
        apart = record.log_drop != opening  # two infinite drops are equal, though their difference is not a number
        with np.errstate(invalid="ignore"):
            apart &= ~(np.abs(record.log_drop - opening) <= _VISIBLE)
        first[apart & (first == 0)] = number
    return first

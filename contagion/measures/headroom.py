"""How far a price may move before anybody has to act."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from contagion import holdings
from contagion.kernels.inputs import NO_CALL, Bools, Floats, Ints
from contagion.measures.margin import CALL, STOP_LOSS, TRIGGERS, level, worth
from contagion.measures.standing import Standing, standing
from contagion.solution import Solution
from contagion.system import System

if TYPE_CHECKING:
    from scipy import sparse

__all__ = ["headroom"]

By = Literal["market", "asset", "group"]


class Distances(NamedTuple):
    """How far a price may fall, or rise, until an account acts; one entry for each account, trigger and move."""

    account: Ints
    move: Ints  # market or asset whose price moves
    trigger: Ints  # position in TRIGGERS
    fall: Floats  # share of the price, infinite where the account can lose it all
    rise: Floats  # share of the price, infinite where a rise does not hurt


def headroom(subject: System | Solution, opening: bool = True, by: By = "market") -> pd.DataFrame:
    """Return how far each price may fall, and rise, before the first account is called, stopped out or liquidated.

    One price moves alone. Exact, without a solve: every margin is linear in every price. Markets that are pegged to the
    one that moves follow it by the same share, as they do in a scenario; all other prices stay as they are.

    Parameters
    ----------
    subject : System or Solution
        Where to measure from.
    opening : bool
        Of a Solution: from the opening (default), or from where it ended, for what is left of the accounts once their
        liquidated shares are sold.
    by : {"market", "asset", "group"}
        "market": the price of one market moves. "asset": all prices of one asset move by the same share. "group": for
        each account group and platform, the market whose move alone touches it first.

    Returns
    -------
    DataFrame
        Index: market, asset, or group ("whale @ Aave"). Columns:

        - drop: largest fall, as a share of the price, that touches nobody; beyond it somebody must act. 0 if an account
          that the price can hurt is past its trigger already, infinite if not even a price of zero touches anyone
        - account, trigger (liquidation, stop_loss or call): who acts first, and why; empty if nobody does. In a tie
          the gravest trigger, then the first name
        - usd: collateral and perps that this account holds, at the prices measured from
        - rise, rise_account, rise_trigger, rise_usd: the same for a rising price, which hurts shorts and debts
        - market, rise_market: of groups only, whose move it is

    Raises
    ------
    InputError
        If an argument is not one of those above, or the system is not valid.

    Notes
    -----
    Liquidations and calls are judged at oracle prices, stop-losses at the prices of the platform's routes. Accounts
    that do not answer calls cannot be called. An account past its trigger counts for the prices that can hurt it.

    Examples
    --------
    Collateral of 368,928 at a weight of 0.85 carries a debt of 268,928 down to a price of 0.8576:

    >>> from contagion import datasets
    >>> system, _ = datasets.load("loop_lending")
    >>> headroom(system)["drop"].round(4).to_dict()
    {'Lending pool:USDe': 0.1424, 'Lending pool:USDT': inf}
    >>> headroom(system)["rise"].round(4).to_dict()
    {'Lending pool:USDe': inf, 'Lending pool:USDT': 0.1661}
    """
    known = by in ("market", "asset", "group") if isinstance(by, str) else False
    at = standing(subject, opening, "headroom", [] if known else [f"by is {by!r}; give 'market', 'asset' or 'group'"])
    moves = _moves(at, by)
    found = _distances(at, moves)
    moved = at.labels.assets if by == "asset" else at.labels.markets
    if by == "group":
        grouped = holdings.groups(at.system, at.inputs, at.labels)
        return _table(at, found, moved, grouped.member[found.account], grouped.names).rename_axis("group")
    table = _table(at, found, moved, found.move, moved).drop(columns=["market", "rise_market"])
    listed = at.system.assets["asset"] if by == "asset" else at.system.markets["market"]
    return table.reindex(list(listed)).rename_axis(by)


def _moves(at: Standing, by: str) -> sparse.csr_array:
    """Return which markets (rows) fall with each market, or asset (columns): itself, and what is pegged to it."""
    labels, pegged_to = at.labels, at.inputs.markets.pegged_to
    count = pegged_to.size
    column = np.arange(count)
    if by == "asset":
        column = labels.assets.get_indexer(
            pd.Index(at.system.markets.set_index("market")["asset"].reindex(labels.markets))
        )
    rows, columns, anchor = [], [], np.arange(count)
    follower = np.arange(count)
    while follower.size:
        rows.append(follower)
        columns.append(column[anchor])
        anchor = pegged_to[anchor]
        follower, anchor = follower[anchor >= 0], anchor[anchor >= 0]
    shape = (count, len(labels.assets) if by == "asset" else count)
    row, col = (np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64) for parts in (rows, columns))
    together = holdings.gathered(np.ones(row.size), row, col, shape)
    together.data[:] = 1.0  # a market falls once, however it is reached
    return together


@np.errstate(over="ignore", invalid="ignore")  # states that have not converged may hold anything
def _distances(at: Standing, moves: sparse.csr_array) -> Distances:
    """Return the distances of all accounts that still hold anything."""
    given = at.inputs.accounts
    open_ = at.kept > 0.0
    watched = {
        STOP_LOSS: open_ & (given.stop_loss == given.stop_loss),
        CALL: open_ & (given.call_policy != NO_CALL),
    }
    parts = []
    for number, trigger in enumerate(TRIGGERS):
        rows = np.flatnonzero(watched.get(trigger, open_))
        if trigger == STOP_LOSS:
            margin = at.equity()[rows] - given.stop_loss[rows] * at.opening_equity[rows]
        else:
            margin = at.surplus(level(at.inputs, trigger))[rows]
        held = worth(at.inputs, at.labels, trigger, at.price, rows) @ moves
        row, move, value = holdings.entries(held)
        value *= at.kept[rows[row]]
        parts.append(_reach(margin[row], value, rows[row], move, number))
    return Distances(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _reach(margin: Floats, value: Floats, account: Ints, move: Ints, trigger: int) -> Distances:
    left = np.maximum(margin, 0.0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        fall = np.where(value > 0.0, left / value, np.inf)
        rise = np.where(value < 0.0, left / -value, np.inf)
    fall[fall >= 1.0] = np.inf  # even a price of zero leaves it at its level
    return Distances(account, move, np.full(account.size, trigger, dtype=np.int64), fall, rise)


@np.errstate(over="ignore", invalid="ignore")  # states that have not converged may hold anything
def _table(at: Standing, found: Distances, moved: pd.Index[str], key: Ints, names: pd.Index[str]) -> pd.DataFrame:
    """Return the first to be touched in each class of entries, by a fall and by a rise."""
    held = holdings.ASSETS
    columns: dict[str, Any] = {}
    for prefix, distance in (("", found.fall), ("rise_", found.rise)):
        nearest, place = _first(key, distance, len(names))
        hit = place >= 0
        account, move, trigger = (part[place] if part.size else place for part in found[:3])
        usd, of = np.full(len(names), np.nan), account[hit]
        weight = np.isin(at.inputs.positions.side, held).astype(np.float64)
        value = holdings.by_market(at.inputs.positions, weight, at.price, of)
        usd[hit] = at.kept[of] * holdings.sums(value, 1)
        columns["drop" if prefix == "" else "rise"] = nearest
        columns[f"{prefix}account"] = _named(at.labels.accounts, account, hit)
        columns[f"{prefix}trigger"] = _named(pd.Index(TRIGGERS), trigger, hit)
        columns[f"{prefix}usd"] = usd
        columns[f"{prefix}market"] = _named(moved, move, hit)
    order = ["drop", "market", "account", "trigger", "usd"]
    order += ["rise", "rise_market", "rise_account", "rise_trigger", "rise_usd"]
    return pd.DataFrame(columns, index=pd.Index(names, dtype="str"))[order]


def _first(key: Ints, distance: Floats, size: int) -> tuple[Floats, Ints]:
    """Return the smallest distance in each class, and the first entry that has it, -1 if none is finite."""
    nearest = np.full(size, np.inf)
    with np.errstate(invalid="ignore"):  # a price beyond all numbers is no distance from anything
        np.minimum.at(nearest, key, distance)
    hit = np.flatnonzero((distance == nearest[key]) & np.isfinite(distance))[::-1]
    place = np.full(size, -1, dtype=np.int64)
    place[key[hit]] = hit  # the last one written is the first in order
    return nearest, place


def _named(names: pd.Index[str], at: Ints, known: Bools) -> pd.api.extensions.ExtensionArray:
    """Return names, empty where nothing is known."""
    found = np.full(known.size, "", dtype=object)
    found[known] = names.to_numpy(dtype=object)[at[known]]
    return pd.array(found, dtype="str")

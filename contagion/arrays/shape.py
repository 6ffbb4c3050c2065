"""What accounts hold, and the order in which the solver goes through them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contagion.arrays.encode import choice, floats, matrix, narrow
from contagion.kernels import inputs as codes
from contagion.kernels.inputs import Codes, Floats, Ints
from contagion.lookup import code, sorted_rows
from contagion.system import System

if TYPE_CHECKING:
    from scipy import sparse


class Held(NamedTuple):
    """What accounts hold, in the order of the solver.

    An item is a distinct asset, side, weight and maintenance: positions of one account in one item are added up.
    """

    rows: Ints  # (a,) row in system.accounts of each account
    holder: Ints  # (p,) row in system.accounts of the account of each position
    quantity: sparse.csr_array  # (a, items) units, positive
    entry: Floats  # (a,) sum of signed quantity times entry price of perps, USD
    items: pd.DataFrame  # (items,) asset (as a number), side, weight, maintenance


def held(system: System, assets: pd.Index[str]) -> Held:
    """Return what accounts hold, accounts by shape and name.

    Accounts of one shape (platform, what they have to do besides being liquidated, number of items) stand together, so
    that a pass over them runs the same few branches many times over memory that lies together. Nothing but an
    account's own rows decides on its shape: a part of a system finds the order of the whole.
    """
    accounts, positions = system.accounts, system.positions
    with ThreadPoolExecutor(1) as beside:  # names of accounts take as long as all the rest, and another processor
        holder = beside.submit(code, positions["account"], pd.Index(accounts["account"]))
        item, items = _items(positions, assets)
        rows, branch = sorted_rows(accounts["account"]), _branch(accounts)
        account = narrow(holder.result())
    quantity = matrix(np.abs(floats(positions["quantity"])), account, item, (len(accounts), len(items)))
    entry = _entry(positions, account, item, items["side"].to_numpy(), len(accounts))
    rows = rows[_by_branch_and_length(branch[rows], np.diff(quantity.indptr)[rows])]
    return Held(rows, account, quantity[rows], entry[rows], items)


def _items(positions: pd.DataFrame, assets: pd.Index[str]) -> tuple[Ints, pd.DataFrame]:
    """Return the item of each position, and what sets items apart, in canonical order."""
    side = choice(positions["side"], ("collateral", "debt", "perp"))
    side[(side == codes.LONG) & (floats(positions["quantity"]) < 0.0)] = codes.SHORT
    keys = pd.DataFrame({"asset": narrow(code(positions["asset"], assets)), "side": side})
    return distinct(keys.assign(weight=positions["weight"], maintenance=positions["maintenance"]))


def _entry(positions: pd.DataFrame, account: Ints, item: Ints, side: Codes, accounts: int) -> Floats:
    """Return the entry value (a,) of the perps of each account, USD."""
    perp = np.flatnonzero(side[item] >= codes.LONG)
    paid = floats(positions["quantity"])[perp] * floats(positions["entry_price"])[perp]
    entry: Floats = matrix(paid, account[perp], item[perp], (accounts, side.size)) @ np.ones(side.size)
    return entry


def _branch(accounts: pd.DataFrame) -> Ints:
    """Return numbers that ascend with the name of the platform, then with what there is to do besides liquidation.

    That is to answer calls, to stop losses, to belong to a node, as the accounts' own rows say. Other tables, by which
    accounts quote or fund others, are not asked: a part of a system does without them.
    """
    owned = accounts["owner"].notna() & (accounts["owner"] != "")
    stops, answers = accounts["stop_loss"].notna(), accounts["call_policy"] != "none"
    platform = pd.factorize(accounts["platform"], sort=True)[0].astype(np.int64)
    branch: Ints = 8 * platform + 4 * answers.to_numpy() + 2 * stops.to_numpy() + owned.to_numpy()
    return branch


def _by_branch_and_length(branch: Ints, length: NDArray[Any]) -> Ints:
    """Return the order of accounts by their branch, then by the number of items; numbers of 16 bits sort fastest."""
    key = branch * (int(length.max(initial=0)) + 1) + length
    small = key.size and 0 <= key.min() <= key.max() < 1 << 16
    return np.argsort(key.astype(np.uint16) if small else key, kind="stable")


def distinct(keys: pd.DataFrame) -> tuple[Ints, pd.DataFrame]:
    """Return the group of each row and the distinct rows in sorted order; empty cells are equal to each other."""
    group, groups = np.zeros(len(keys), dtype=np.int64), 1
    for name in keys.columns:
        part, parts = _ranks(keys[name])
        if groups == 1:
            group, groups = part, parts
        elif parts > 1:  # numbered anew after each column, so that the product never outgrows its integer
            group, groups = _ranks(pd.Series(group * parts + part))
    first = np.zeros(int(group.max(initial=-1)) + 1, dtype=np.int64)
    first[group[::-1]] = np.arange(len(keys) - 1, -1, -1)
    return group, keys.take(first).reset_index(drop=True)


def _ranks(values: pd.Series[Any]) -> tuple[Ints, int]:
    """Return the rank of each value among the distinct ones, and how many there are; empty cells come first."""
    if len(values) and values.dtype.kind == "i":
        least = int(values.min())
        above = values.to_numpy(dtype=np.int64) - least
        if (span := int(above.max()) + 1) <= len(values):  # marks take less time than hashes
            seen = np.zeros(span, dtype=np.bool_)
            seen[above] = True
            rank = np.cumsum(seen) - 1
            return rank[above], int(rank[-1]) + 1
    part, found = pd.factorize(values, sort=True)
    empty = int(part.min(initial=0) < 0)
    return part.astype(np.int64) + empty, len(found) + empty

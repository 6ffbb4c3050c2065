"""Holdings by term column, and the prices that each platform sees and sells at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from contagion.arrays.encode import Names, choice, code, floats, matrix, narrow
from contagion.kernels import Positions
from contagion.kernels import inputs as codes
from contagion.kernels.inputs import Codes, Floats, Ints, sum_by
from contagion.system import System

if TYPE_CHECKING:
    from scipy import sparse


def positions_of(
    system: System, accounts: pd.DataFrame, account: Ints, names: Names
) -> tuple[Positions, Floats, pd.DataFrame]:
    """Return holdings by term column, the entry value of each account's perps, and the keys of the columns.

    ``account`` (p,) is the number of the account that holds each position.
    """
    table = system.positions
    quantity = floats(table["quantity"])
    side = choice(table["side"], ("collateral", "debt", "perp"))
    side[(side == 2) & (quantity < 0.0)] = codes.SHORT
    column, columns = _columns(system, accounts, account, side, names)
    shape = (len(names.accounts), len(columns))
    positions = valued(matrix(np.abs(quantity), account, column, shape), columns, system, names)
    perp = side >= codes.LONG
    paid = quantity[perp] * floats(table["entry_price"])[perp]
    entry = matrix(paid, account[perp], column[perp], shape) @ np.ones(shape[1])
    return positions, entry, columns


def _columns(
    system: System, accounts: pd.DataFrame, account: Ints, side: Codes, names: Names
) -> tuple[Ints, pd.DataFrame]:
    """Return the term column of each position, and the keys of the columns."""
    table = system.positions
    platform = narrow(code(accounts["platform"], names.nodes))[account]
    modes, words = pd.factorize(accounts["mode"], sort=True)
    keys = pd.DataFrame({"platform": platform, "mode": narrow(modes)[account]})
    keys["asset"], keys["side"] = narrow(code(table["asset"], names.assets)), side
    keys["weight"], keys["maintenance"] = floats(table["weight"]), floats(table["maintenance"])
    column, columns = distinct(keys)
    columns["mode"] = pd.Series(words.take(columns["mode"].to_numpy()), dtype="str")
    return narrow(column), columns


def valued(quantity: sparse.csr_array, columns: pd.DataFrame, system: System, names: Names) -> Positions:
    """Return holdings (a, k) with what one unit in each of their columns counts for.

    ``columns`` holds platform and asset (as numbers), mode, side, and the weight and maintenance that positions state
    themselves (NaN if they do not).
    """
    terms = _with_terms(columns, system.terms, names)
    pair, pairs = distinct(terms[["platform", "asset"]])
    oracle, fixed = _oracles(system, pairs, names)
    return Positions(
        quantity=quantity,
        side=terms["side"].to_numpy(dtype=np.int8),
        pair=pair,
        weight=floats(terms["weight"]),
        maintenance=floats(terms["maintenance"]),
        cost=floats(terms["cost"]),
        oracle=oracle,
        oracle_fixed=fixed,
        route=_routes(system, pairs, names),
    )


def distinct(keys: pd.DataFrame) -> tuple[Ints, pd.DataFrame]:
    """Return the group of each row and the distinct rows in sorted order; empty cells are equal to each other."""
    group = np.zeros(len(keys), dtype=np.int64)
    for name in keys.columns:
        part, values = pd.factorize(keys[name], sort=True)
        # numbered anew after each column, so that the product never outgrows its integer
        group = pd.factorize(group * (len(values) + 1) + part + 1, sort=True)[0].astype(np.int64)
    first = np.zeros(int(group.max(initial=-1)) + 1, dtype=np.int64)
    first[group[::-1]] = np.arange(len(keys) - 1, -1, -1)
    return group, keys.take(first).reset_index(drop=True)


def _with_terms(columns: pd.DataFrame, table: pd.DataFrame, names: Names) -> pd.DataFrame:
    """Return the term columns with weight, maintenance and cost: the position's own, else the platform's, else 0."""
    terms = pd.DataFrame(
        {
            "platform": code(table["platform"], names.nodes),
            "mode": table["mode"].astype("str"),
            "asset": code(table["asset"], names.assets),
        }
    )
    terms[["weight", "maintenance", "cost"]] = table[["weight", "maintenance", "cost"]].to_numpy(dtype=np.float64)
    merged = columns.merge(terms, on=["platform", "mode", "asset"], how="left", suffixes=("", "_terms"))
    for name in ("weight", "maintenance"):
        merged[name] = merged[name].fillna(merged[f"{name}_terms"])
    return merged.fillna({"weight": 0.0, "maintenance": 0.0, "cost": 0.0})


def _oracles(system: System, pairs: pd.DataFrame, names: Names) -> tuple[sparse.csr_array, Floats]:
    """Return the weights (pairs, markets) and fixed prices (pairs,) that each platform sees."""
    table = system.oracles
    pair = _pair(table, pairs, names)
    market, weight = code(table["market"], names.markets), floats(table["weight"])
    used = pair >= 0
    read, fixed = used & (market >= 0), used & (market < 0)
    given = matrix(weight[read], pair[read], market[read], (len(pairs), len(names.markets)))
    value = (weight * floats(table["value"]))[fixed]
    return given + _usual_market(system, pairs, pair[used], names), sum_by(pair[fixed], value, len(pairs))


def _routes(system: System, pairs: pd.DataFrame, names: Names) -> sparse.csr_array:
    """Return the shares (pairs, markets) of the flow of each platform and asset."""
    table = system.routes
    pair = _pair(table, pairs, names)
    used = pair >= 0
    market, share = code(table["market"], names.markets)[used], floats(table["share"])[used]
    given = matrix(share, pair[used], market, (len(pairs), len(names.markets)))
    shares: sparse.csr_array = given + _usual_market(system, pairs, pair[used], names)
    return shares


def _pair(table: pd.DataFrame, pairs: pd.DataFrame, names: Names) -> Ints:
    """Return the priced pair of each row of a table with platform and asset, -1 where nobody holds it."""
    index = pd.MultiIndex.from_frame(pairs)
    wanted = [code(table["platform"], names.nodes), code(table["asset"], names.assets)]
    return index.get_indexer(pd.MultiIndex.from_arrays(wanted)).astype(np.int64)


def _usual_market(system: System, pairs: pd.DataFrame, listed: Ints, names: Names) -> sparse.csr_array:
    """Return the weights (pairs, markets) of pairs without rows of their own.

    The platform's own markets for the asset, else all its markets, weighted by ``markets.depth``: equally among those
    of infinite depth, or if all are zero.
    """
    markets = pd.DataFrame(
        {
            "market": code(system.markets["market"], names.markets),
            "venue": code(system.markets["venue"], names.nodes),
            "asset": code(system.markets["asset"], names.assets),
            "depth": floats(system.markets["depth"]),
        }
    ).sort_values("market")
    unlisted = pairs.assign(pair=np.arange(len(pairs)))[~np.isin(np.arange(len(pairs)), listed)]
    options = unlisted.merge(markets, on="asset")
    options["own"] = options["venue"] == options["platform"]
    options = options[options["own"] | ~options.groupby("pair")["own"].transform("any")]
    depth = options["depth"].to_numpy()
    best = options.groupby("pair")["depth"].transform("max").to_numpy()
    weight = np.where(
        np.isinf(best), np.isinf(depth), np.where(best == 0.0, 1.0, np.where(np.isinf(depth), 0.0, depth))
    )
    total = options.assign(weight=weight).groupby("pair")["weight"].transform("sum").to_numpy()
    shape = (len(pairs), len(names.markets))
    return matrix(weight / total, options["pair"].to_numpy(), options["market"].to_numpy(), shape)

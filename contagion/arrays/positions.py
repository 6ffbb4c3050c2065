"""Holdings by term column, and the prices that each platform sees and sells at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from contagion.arrays.encode import Names, floats, matrix, narrow
from contagion.arrays.shape import Held, distinct
from contagion.kernels import Positions
from contagion.kernels.inputs import Floats, Ints, sum_by
from contagion.lookup import code
from contagion.system import System

if TYPE_CHECKING:
    from scipy import sparse


def positions_of(system: System, holdings: Held, names: Names) -> tuple[Positions, pd.DataFrame]:
    """Return holdings by term column, and the keys of the columns."""
    from scipy import sparse

    rule, rules = _rules(system.accounts, names)
    held = holdings.quantity
    rule = np.repeat(narrow(rule)[holdings.rows], np.diff(held.indptr))
    column, keys = distinct(pd.DataFrame({"rule": rule, "item": held.indices}))
    columns = pd.concat(
        [
            rules.take(keys["rule"].to_numpy()).reset_index(drop=True),
            holdings.items.take(keys["item"].to_numpy()).reset_index(drop=True),
        ],
        axis=1,
    )
    quantity = sparse.csr_array((held.data, narrow(column), held.indptr), shape=(held.shape[0], len(columns)))
    return valued(quantity, columns, system, names), columns


def _rules(accounts: pd.DataFrame, names: Names) -> tuple[Ints, pd.DataFrame]:
    """Return the rule of each row of accounts, and what sets rules apart: platform (as a number) and mode."""
    platform = narrow(code(accounts["platform"], names.nodes))
    return distinct(pd.DataFrame({"platform": platform, "mode": accounts["mode"]}))


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

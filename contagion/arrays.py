"""From tables to arrays: the only crossing, and the only place where names become numbers.

Rows are put in a canonical order (by name, then by value), so that sums run in the same order whatever the order of
the input rows: results are equal bit for bit. The one order that carries meaning, that of funding rows of one
priority, is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contagion import channels
from contagion.kernels import Accounts, Inputs, Markets, Nodes, Positions, Quotes
from contagion.kernels import inputs as codes
from contagion.kernels.inputs import sum_by
from contagion.scenario import Scenario
from contagion.system import System

if TYPE_CHECKING:
    from scipy import sparse

__all__ = ["Labels", "lower"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Labels(NamedTuple):
    """Names behind the numbers, each index sorted.

    ``columns`` has the platform, asset and side of every term column as positions in the other indices.
    """

    nodes: pd.Index[str]
    assets: pd.Index[str]
    markets: pd.Index[str]
    accounts: pd.Index[str]
    columns: pd.DataFrame
    quote_rows: Ints  # row in system.quotes of each quote
    account_rows: Ints  # row in system.accounts of each account


def lower(system: System, scenario: Scenario) -> tuple[Inputs, Labels]:
    """Return the arrays of a checked system under a scenario whose overrides are already applied, and their labels."""
    accounts, account_rows = _sorted(system.accounts, "account")
    nodes, _ = _sorted(system.nodes, "node")
    markets, _ = _sorted(system.markets, "market")
    labels = Labels(
        nodes=pd.Index(nodes["node"]),
        assets=pd.Index(system.assets["asset"].sort_values()),
        markets=pd.Index(markets["market"]),
        accounts=pd.Index(accounts["account"]),
        columns=pd.DataFrame(),
        quote_rows=np.empty(0, dtype=np.int64),
        account_rows=account_rows,
    )
    positions, entry, columns = _positions(system, accounts, labels)
    quotes, quote_rows = _quotes(system.quotes, labels)
    inputs = Inputs(
        positions=positions,
        accounts=_accounts(system, accounts, nodes, entry, labels),
        markets=_markets(system, markets, scenario, labels),
        quotes=quotes,
        nodes=_nodes(system, nodes, scenario, labels),
    )
    return inputs, labels._replace(columns=columns, quote_rows=quote_rows)


def _sorted(frame: pd.DataFrame, key: str) -> tuple[pd.DataFrame, Ints]:
    rows: Ints = frame[key].argsort(kind="stable").to_numpy().astype(np.int64)
    return frame.take(rows), rows


def _code(names: pd.Series[Any], index: pd.Index[str]) -> Ints:
    """Return the position of each name, -1 where it is not one of them."""
    return index.get_indexer(pd.Index(names)).astype(np.int64)


def _floats(values: pd.Series[Any]) -> Floats:
    return values.to_numpy(dtype=np.float64)


def _choice(values: pd.Series[Any], words: tuple[str, ...]) -> NDArray[np.int8]:
    return pd.Index(words).get_indexer(pd.Index(values)).astype(np.int8)


def _matrix(values: Floats, rows: Ints, columns: Ints, shape: tuple[int, int]) -> sparse.csr_array:
    """Return a sparse matrix whose entries stand in canonical order: by row, then column, then value."""
    from scipy import sparse  # loaded where it is used: it would double the import time of the package

    key = rows * shape[1] + columns
    order = np.argsort(key, kind="stable")
    if (np.diff(key[order]) == 0).any():  # entries that will be added need an order of their own
        order = np.lexsort((values, key))
    matrix: sparse.csr_array = sparse.coo_array((values[order], (rows[order], columns[order])), shape=shape).tocsr()
    matrix.sum_duplicates()
    return matrix


def _positions(system: System, accounts: pd.DataFrame, labels: Labels) -> tuple[Positions, Floats, pd.DataFrame]:
    """Return holdings by term column, the entry value of each account's perps, and the names of the columns."""
    table = system.positions
    account = _code(table["account"], labels.accounts)
    asset = _code(table["asset"], labels.assets)
    quantity = _floats(table["quantity"])
    side = _choice(table["side"], ("collateral", "debt", "perp"))
    side[(side == 2) & (quantity < 0.0)] = codes.SHORT
    platform = _code(accounts["platform"], labels.nodes)[account]
    modes, mode_names = pd.factorize(accounts["mode"], sort=True)
    keys = pd.DataFrame({"platform": platform, "mode": modes[account], "asset": asset, "side": side})
    keys["weight"], keys["maintenance"] = _floats(table["weight"]), _floats(table["maintenance"])
    column, terms = _distinct(keys)
    terms = _with_terms(terms, system.terms, mode_names, labels)
    pair, pairs = _distinct(terms[["platform", "asset"]])
    oracle, fixed = _oracles(system, pairs, labels)
    shape = (len(labels.accounts), len(terms))
    positions = Positions(
        quantity=_matrix(np.abs(quantity), account, column, shape),
        side=terms["side"].to_numpy(dtype=np.int8),
        pair=pair,
        weight=_floats(terms["weight"]),
        maintenance=_floats(terms["maintenance"]),
        cost=_floats(terms["cost"]),
        oracle=oracle,
        oracle_fixed=fixed,
        route=_routes(system, pairs, labels),
    )
    perp = side >= codes.LONG
    paid = quantity[perp] * _floats(table["entry_price"])[perp]
    entry = _matrix(paid, account[perp], np.zeros(paid.size, dtype=np.int64), (shape[0], 1)).toarray()[:, 0]
    return positions, entry, terms[["platform", "asset", "side"]]


def _distinct(keys: pd.DataFrame) -> tuple[Ints, pd.DataFrame]:
    """Return the group of each row and the distinct rows in sorted order; empty cells are equal to each other."""
    grouped = keys.groupby(list(keys.columns), sort=True, dropna=False)
    group: Ints = grouped.ngroup().to_numpy().astype(np.int64)
    first = np.zeros(grouped.ngroups, dtype=np.int64)
    first[group[::-1]] = np.arange(len(keys) - 1, -1, -1)
    return group, keys.take(first).reset_index(drop=True)


def _with_terms(columns: pd.DataFrame, table: pd.DataFrame, modes: pd.Index[str], labels: Labels) -> pd.DataFrame:
    """Return the term columns with weight, maintenance and cost: the position's own, else the platform's, else 0."""
    terms = pd.DataFrame(
        {
            "platform": _code(table["platform"], labels.nodes),
            "mode": _code(table["mode"], pd.Index(modes)),
            "asset": _code(table["asset"], labels.assets),
        }
    )
    terms[["weight", "maintenance", "cost"]] = table[["weight", "maintenance", "cost"]].to_numpy(dtype=np.float64)
    merged = columns.merge(terms, on=["platform", "mode", "asset"], how="left", suffixes=("", "_terms"))
    for name in ("weight", "maintenance"):
        merged[name] = merged[name].fillna(merged[f"{name}_terms"])
    return merged.fillna({"weight": 0.0, "maintenance": 0.0, "cost": 0.0})


def _oracles(system: System, pairs: pd.DataFrame, labels: Labels) -> tuple[sparse.csr_array, Floats]:
    """Return the weights (pairs, markets) and fixed prices (pairs,) that each platform sees."""
    table = system.oracles
    pair = _pair(table, pairs, labels)
    market, weight = _code(table["market"], labels.markets), _floats(table["weight"])
    used = pair >= 0
    read, fixed = used & (market >= 0), used & (market < 0)
    given = _matrix(weight[read], pair[read], market[read], (len(pairs), len(labels.markets)))
    value = (weight * _floats(table["value"]))[fixed]
    return given + _usual_market(system, pairs, pair[used], labels), sum_by(pair[fixed], value, len(pairs))


def _routes(system: System, pairs: pd.DataFrame, labels: Labels) -> sparse.csr_array:
    """Return the shares (pairs, markets) of the flow of each platform and asset."""
    table = system.routes
    pair = _pair(table, pairs, labels)
    used = pair >= 0
    market, share = _code(table["market"], labels.markets)[used], _floats(table["share"])[used]
    given = _matrix(share, pair[used], market, (len(pairs), len(labels.markets)))
    shares: sparse.csr_array = given + _usual_market(system, pairs, pair[used], labels)
    return shares


def _pair(table: pd.DataFrame, pairs: pd.DataFrame, labels: Labels) -> Ints:
    """Return the priced pair of each row of a table with platform and asset, -1 where nobody holds it."""
    index = pd.MultiIndex.from_frame(pairs)
    wanted = [_code(table["platform"], labels.nodes), _code(table["asset"], labels.assets)]
    return index.get_indexer(pd.MultiIndex.from_arrays(wanted)).astype(np.int64)


def _usual_market(system: System, pairs: pd.DataFrame, listed: Ints, labels: Labels) -> sparse.csr_array:
    """Return the weights (pairs, markets) of pairs without rows of their own.

    The platform's own markets for the asset, else all its markets, weighted by ``markets.depth``: equally among those
    of infinite depth, or if all are zero.
    """
    markets = pd.DataFrame(
        {
            "market": _code(system.markets["market"], labels.markets),
            "venue": _code(system.markets["venue"], labels.nodes),
            "asset": _code(system.markets["asset"], labels.assets),
            "depth": _floats(system.markets["depth"]),
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
    shape = (len(pairs), len(labels.markets))
    return _matrix(weight / total, options["pair"].to_numpy(), options["market"].to_numpy(), shape)


def _accounts(system: System, accounts: pd.DataFrame, nodes: pd.DataFrame, entry: Floats, labels: Labels) -> Accounts:
    platform = _code(accounts["platform"], labels.nodes)
    level = _floats(nodes["liquidation_level"])
    call = _floats(nodes["call_level"].fillna(nodes["liquidation_level"]))
    target = _floats(nodes["target_level"].fillna(nodes["liquidation_level"]))
    claims = system.claims
    creditor = _code(claims["creditor"], labels.accounts)
    held = creditor >= 0
    debtor, amount = _code(claims["debtor"], labels.nodes)[held], _floats(claims["amount"])[held]
    funding = system.funding.sort_values("priority", kind="stable")
    return Accounts(
        platform=platform,
        owner=_code(accounts["owner"], labels.nodes),
        cash=_floats(accounts["cash"]),
        entry=entry,
        claims=_matrix(amount, creditor[held], debtor, (len(accounts), len(nodes))),
        margin_rule=_choice(nodes["margin_rule"], ("ltv", "maintenance"))[platform],
        liquidation_level=level[platform],
        target_level=np.maximum(target, level)[platform],
        close_rule=_choice(nodes["close_rule"], ("restore", "full", "close_factor"))[platform],
        close_factor=_floats(nodes["close_factor"])[platform],
        full_close_level=_floats(nodes["full_close_level"])[platform],
        call_policy=_choice(accounts["call_policy"], ("none", "delever", "fund")),
        call_level=call[platform],
        call_target=np.maximum(target, call)[platform],
        stop_loss=_floats(accounts["stop_loss"]),
        funded=_code(funding["account"], labels.accounts),
        source=_code(funding["source"], labels.accounts),
    )


def _markets(system: System, markets: pd.DataFrame, scenario: Scenario, labels: Labels) -> Markets:
    issuer = system.assets.set_index("asset")["issuer"].reindex(markets["asset"])
    pegged_to = _code(markets["pegged_to"], labels.markets)
    factor, raising = _factors(markets, scenario)
    laplacian, component, linked = _links(system.arbitrage, scenario.arbitrage, labels)
    return Markets(
        price=_floats(markets["price"]),
        shock=channels.log_drop(_shocks(markets, scenario)),
        kind=_choice(markets["impact"], channels.IMPACTS),
        floor=_floats(markets["floor"]),
        depth=_floats(markets["depth"]),
        factor=factor,
        raising_factor=raising,
        pegged_to=pegged_to,
        peg_order=_peg_order(pegged_to),
        issuer=_code(issuer, labels.nodes),
        laplacian=laplacian,
        component=component,
        linked=linked,
    )


def _shocks(markets: pd.DataFrame, scenario: Scenario) -> Floats:
    """Return the relative drop (m,) imposed on each market; its own entry wins over its asset's."""
    shocks = pd.Series(dict(scenario.shocks), dtype=np.float64)
    own, by_asset = shocks.reindex(markets["market"]).to_numpy(), shocks.reindex(markets["asset"]).to_numpy()
    return np.nan_to_num(np.where(np.isnan(own), by_asset, own), nan=0.0)


def _factors(markets: pd.DataFrame, scenario: Scenario) -> tuple[Floats, Floats]:
    """Return the product (m,) of the depth factors that apply to each market, and that of those above one."""
    factor, raising = np.ones(len(markets)), np.ones(len(markets))
    for key, value in scenario.depth.items():
        applies = (markets["market"] == key) | (markets["venue"] == key) | (markets["asset"] == key)
        factor[applies.to_numpy()] *= value
        raising[applies.to_numpy()] *= max(value, 1.0)
    return factor, raising


def _peg_order(pegged_to: Ints) -> Ints:
    """Return the markets by the length of their chain of pegs."""
    steps, anchor = np.zeros(pegged_to.size, dtype=np.int64), pegged_to.copy()
    while (anchor >= 0).any():
        steps[anchor >= 0] += 1
        anchor = np.where(anchor >= 0, pegged_to[anchor], -1)
    return np.argsort(steps, kind="stable").astype(np.int64)


def _links(table: pd.DataFrame, factor: float, labels: Labels) -> tuple[sparse.csr_array, Ints, NDArray[np.bool_]]:
    """Return the Laplacian of the arbitrage links, the linked component of each market, and whether it has links."""
    from scipy import sparse
    from scipy.sparse import csgraph

    size = len(labels.markets)
    a, b = _code(table["market_a"], labels.markets), _code(table["market_b"], labels.markets)
    depth = _floats(table["depth"]) * factor
    open_ = depth > 0.0
    first, second, depth = np.minimum(a, b)[open_], np.maximum(a, b)[open_], depth[open_]
    upper = _matrix(depth, first, second, (size, size))
    adjacency = (upper + upper.T).tocsr()
    laplacian = (sparse.diags_array(adjacency.sum(axis=1)) - adjacency).tocsr()
    component = csgraph.connected_components(adjacency, directed=False)[1].astype(np.int64)
    return laplacian, component, np.diff(adjacency.indptr) > 0


def _quotes(table: pd.DataFrame, labels: Labels) -> tuple[Quotes, Ints]:
    account, market = _code(table["account"], labels.accounts), _code(table["market"], labels.markets)
    depth, full_at, withdrawn_at = (_floats(table[name]) for name in ("depth", "full_at", "withdrawn_at"))
    rows = np.lexsort((withdrawn_at, full_at, depth, account, market)).astype(np.int64)
    return Quotes(account[rows], market[rows], depth[rows], full_at[rows], withdrawn_at[rows]), rows


def _nodes(system: System, nodes: pd.DataFrame, scenario: Scenario, labels: Labels) -> Nodes:
    size = len(nodes)
    creditor, debtor = (_code(system.claims[name], labels.nodes) for name in ("creditor", "debtor"))
    amount = _floats(system.claims["amount"])
    order = np.lexsort((amount, creditor, debtor))
    listed = sum_by(debtor[order], amount[order], size)
    given = _floats(nodes["liabilities"])
    held = creditor >= 0
    losses = pd.Series(dict(scenario.losses), dtype=np.float64).reindex(labels.nodes).fillna(0.0)
    return Nodes(
        buffer=_floats(nodes["buffer"]),
        liabilities=np.where(np.isnan(given), listed, given),
        recovery_rate=_floats(nodes["recovery_rate"]),
        loss=_floats(losses),
        claims=_matrix(amount[held], creditor[held], debtor[held], (size, size)),
    )

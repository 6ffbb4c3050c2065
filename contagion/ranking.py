"""One sorted frame of named measures over nodes, markets and account groups."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse import linalg

from contagion import holdings
from contagion.frames import Parts
from contagion.kernels.rounds import start
from contagion.kernels.inputs import COLLATERAL, DEBT, LONG, SHORT, Floats, Ints, Markets, sum_by
from contagion.solution import Solution

__all__ = ["rank"]

_BLOCK = 1024
_VISIBLE = 1e-6


class _Harm(NamedTuple):
    """What price moves by sales do to the holders on the losing side: longs where the price falls, shorts where it rises."""

    side: Floats  # (m,) 1 where sales lower the price, -1 where buying raises it
    by_sales: Floats  # (m,) share of the price, positive
    by_depth: Floats  # (m,) share of the price, positive
    exposed: Floats  # (m,) USD at opening prices held on the losing side
    exposed_groups: sparse.csr_array  # (g, m)


def rank(solution: Solution) -> pd.DataFrame:
    """Return nodes, markets and account groups in the order of the loss that they passed on.

    Parameters
    ----------
    solution : Solution
        A solved scenario.

    Returns
    -------
    DataFrame
        Index: node, market or account group. Accounts are grouped by ``accounts.group`` and platform ("whale @ Aave"),
        since each platform liquidates by its own rules. Sorted by ``loss_passed_on``, ties by name. USD unless a
        share; a measure that has no meaning for a type is NaN. With h(m, drop) = sum over accounts of
        max(0, net opening holdings in m × drop), the loss of those on the losing side:

        ======================  ================================================================================
        rank                    1 is the entity that passed on most
        type                    node, market or group
        loss_passed_on          What did others lose through it? *node*: haircut × liabilities, and loss beyond
                                them. *market*: h(m, drop_sales + drop_depth). *group*: its share of the selling
                                pressure and of the depth withdrawn in each market, times what those took from
                                all other groups, and its deficits. Types overlap: a market passes on what groups
                                did to it; never add them up.
        own_loss                What did it lose itself? *node*: loss before its buffer. *market*: h(m, drop),
                                what its holders lost. *group*: equity lost.
        deficit_caused          Which bad debt did its accounts leave? *node*: of the accounts that it owns.
        deficit_borne           Which bad debt arose on its books? *node* only.
        usd_sold                What was liquidated (group), on it (node), in it (market)? At opening prices,
                                collateral and perps; each type adds up to ``totals["liquidated"]``.
        price_drop_caused       How deep is the deepest fall that its sales and withdrawn quotes alone explain, in
                                one market? Share of the price; *market*: drop_sales + drop_depth.
        hardest_hit             Market of that fall
        share_liquidated        usd_sold over what was held at the opening
        leverage_before, after  Gross assets over equity of the accounts in the group, or held by the node, before
                                and at terminal prices if nobody had sold (passive leverage)
        cross_domain_exposure   What ties it to another domain at the opening? Positions whose platform and market
                                lie in different domains, claims between domains and, for groups, the equity of
                                funding sources in another domain. Not how much of it was lost.
        first_round             When did it first sell (group, accounts on the node) or its price first move with
                                sales (market)? Missing if never.
        ======================  ================================================================================

    Notes
    -----
    Arbitrage carries sales to other venues, x = (diag(D) + L)^-1 Q, so a group's share of the pressure in a market
    counts what it sold elsewhere. These measures follow one step; attribution follows the whole cascade.

    Examples
    --------
    >>> import contagion as ct
    >>> from contagion import generate
    >>> ranked = rank(ct.solve(*generate.system(accounts=1000)))
    >>> ranked.columns[0], ranked["rank"].iloc[0], bool(ranked["loss_passed_on"].is_monotonic_decreasing)
    ('rank', 1, True)
    """
    parts = solution.parts
    grouped = holdings.groups(parts.system, parts.inputs, parts.labels)
    sold = _sold(parts, grouped)
    harm = _harm(parts, grouped, solution.markets)
    domains = _cross_domain(parts, grouped)
    caused = _caused(parts, grouped, harm)
    frames = [
        _nodes(solution, grouped, sold, caused, domains[0]),
        _markets(solution, sold, harm, domains[1]),
        _groups(parts, grouped, sold, caused, domains[2]),
    ]
    table = pd.concat([frame for frame in frames if len(frame)] or frames[:1])
    names = table.index.to_series().to_numpy(dtype=object)
    order = np.lexsort((table["type"].to_numpy(dtype=object), names, -table["loss_passed_on"].to_numpy()))
    table = table.take(order)
    table.insert(0, "rank", np.arange(1, len(table) + 1))
    return table.rename_axis("name")


def _frame(names: pd.Index[Any], kind: str, columns: dict[str, Any]) -> pd.DataFrame:
    """Return the columns of one type, in one order and of one dtype for all types."""
    text = {"type": np.full(len(names), kind, dtype=object), "hardest_hit": columns.pop("hardest_hit")}
    first = columns.pop("first_round").astype(np.int64)
    frame = pd.DataFrame({name: np.broadcast_to(np.asarray(v, float), len(names)) for name, v in columns.items()})
    frame.index = pd.Index(names, dtype="str")
    frame.insert(0, "type", pd.array(text["type"], dtype="str"))
    frame.insert(frame.columns.get_loc("price_drop_caused") + 1, "hardest_hit", pd.array(text["hardest_hit"], dtype="str"))
    frame["first_round"] = pd.arrays.IntegerArray(first, first == 0)
    return frame


class _Sold(NamedTuple):
    held: sparse.csr_array  # (g, m) USD at opening prices: collateral and perps
    usd: sparse.csr_array  # (g, m) of which liquidated


def _sold(parts: Parts, grouped: holdings.Groups) -> _Sold:
    price = parts.inputs.markets.price
    held = holdings.opening_value(parts.inputs.positions, price, (COLLATERAL, LONG, SHORT))
    share = sparse.diags_array(parts.run.state.liquidated)
    return _Sold(grouped.rows(held), grouped.rows((share @ held).tocsr()))


def _harm(parts: Parts, grouped: holdings.Groups, markets: pd.DataFrame) -> _Harm:
    listed = markets.reindex(parts.labels.markets)
    side = np.where(parts.outcome.clearing.impact < 0.0, -1.0, 1.0)
    units = holdings.net_units(parts.inputs.positions)
    exposed = units @ sparse.diags_array(side * parts.inputs.markets.price)
    exposed.data = np.maximum(exposed.data, 0.0)
    by_group = grouped.rows(exposed.tocsr())
    drops = [np.abs(listed[name].to_numpy(dtype=np.float64)) for name in ("drop_sales", "drop_depth")]
    return _Harm(side, *drops, np.asarray(by_group.sum(axis=0)), by_group)


class _Caused(NamedTuple):
    """What groups (g,) and the accounts on nodes (n,) did to prices."""

    damage: Floats  # (g,) USD lost by other groups
    drop: Floats  # (g,)
    market: Ints  # (g,)
    node_drop: Floats  # (n,)
    node_market: Ints  # (n,)


def _caused(parts: Parts, grouped: holdings.Groups, harm: _Harm) -> _Caused:
    """Return the price damage of every group: its shares of pressure and lost depth, times what these did."""
    count, nodes = len(grouped.names), len(parts.labels.nodes)
    damage, drop, market = np.zeros(count), np.zeros(count), np.zeros(count, dtype=np.int64)
    by_node = np.zeros((nodes, harm.side.size))
    if harm.side.size:
        for rows, share in _price_shares(parts, grouped, harm):
            others = harm.exposed - harm.exposed_groups[rows].toarray()
            damage[rows] = (share * others).sum(axis=1)
            falls = share * (harm.side > 0.0)
            market[rows] = falls.argmax(axis=1)
            drop[rows] = falls.max(axis=1)
            np.add.at(by_node, grouped.platform[rows], falls)
    node_market = by_node.argmax(axis=1) if by_node.size else np.zeros(nodes, dtype=np.int64)
    return _Caused(np.maximum(damage, 0.0), drop, market, by_node.max(axis=1, initial=0.0), node_market)


def _price_shares(parts: Parts, grouped: holdings.Groups, harm: _Harm) -> Iterator[tuple[slice, Floats]]:
    """Yield blocks of groups and the part of each market's price (b, m) that each of them moved, without sign."""
    markets, quotes, state = parts.inputs.markets, parts.inputs.quotes, parts.run.state
    depth, size = parts.outcome.clearing.depth, (len(grouped.names), harm.side.size)
    flow = sparse.diags_array(state.liquidated) @ holdings.net_units(parts.inputs.positions)
    flow = (flow @ sparse.diags_array(markets.price)).tocsr()
    sides = [side for side in (1.0, -1.0) if (harm.side == side).any()]
    flows = [grouped.rows(_positive(flow, side)) for side in sides]
    spread = _spread(markets, depth)
    totals = [spread(np.asarray(flow.sum(axis=0))[None, :]) for flow in flows]
    gone = quotes.depth * state.withdrawn * markets.factor[quotes.market]
    left = sparse.csr_array((gone, (grouped.member[quotes.account], quotes.market)), shape=size)
    full = sum_by(quotes.market, quotes.depth, size[1]) + markets.depth
    with np.errstate(invalid="ignore"):
        lost = np.where(np.isinf(full), np.inf, markets.raising_factor * full - depth)
    for first in range(0, size[0], _BLOCK):
        rows = slice(first, min(first + _BLOCK, size[0]))
        share = np.zeros((rows.stop - rows.start, size[1]))
        for side, flow, total in zip(sides, flows, totals, strict=True):
            share += _ratio(spread(flow[rows].toarray()), total) * harm.by_sales * (harm.side == side)
        yield rows, share + _ratio(left[rows].toarray(), lost) * harm.by_depth


def _positive(flow: sparse.csr_array, side: float) -> sparse.csr_array:
    return sparse.csr_array((np.maximum(side * flow.data, 0.0), flow.indices, flow.indptr), shape=flow.shape)


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros_like(part), where=np.broadcast_to(whole > 0.0, part.shape))


def _spread(markets: Markets, depth: Floats) -> Callable[[Floats], Floats]:
    """Return the function from sales (b, m) to the pressure (b, m) they make, x = (diag(D) + L)^-1 Q.

    Where a linked component has no depth, pressure is infinite and the sum of its sales stands for it: only ratios
    between sellers are used.
    """
    component = markets.component
    total = sum_by(component, depth, depth.size)[component]
    void = np.flatnonzero(total == 0.0)
    inside = sparse.csr_array((np.ones(void.size), (void, component[void])), shape=(depth.size, depth.size))
    coupled = np.flatnonzero(markets.linked & (total > 0.0) & np.isfinite(depth))
    matrix = markets.laplacian[coupled][:, coupled] + sparse.diags_array(depth[coupled])
    factor = linalg.splu(matrix.tocsc()) if coupled.size else None

    def pressure(sold: Floats) -> Floats:
        x = np.divide(sold, depth, out=np.zeros_like(sold), where=np.broadcast_to(depth > 0.0, sold.shape))
        if void.size:
            x[:, void] = (sold @ inside)[:, component[void]]
        if factor is not None:
            x[:, coupled] = factor.solve(np.ascontiguousarray(sold[:, coupled].T)).T
        return x

    return pressure


def _cross_domain(parts: Parts, grouped: holdings.Groups) -> tuple[Floats, Floats, Floats]:
    """Return the opening exposure to other domains of nodes (n,), markets (m,) and groups (g,), in USD."""
    system, inputs, labels = parts.system, parts.inputs, parts.labels
    domain = pd.factorize(system.nodes.set_index("node")["domain"].reindex(labels.nodes))[0]
    venue = labels.nodes.get_indexer(pd.Index(system.markets.set_index("market")["venue"].reindex(labels.markets)))
    value = holdings.opening_value(inputs.positions, inputs.markets.price, (COLLATERAL, DEBT, LONG, SHORT))
    abroad = grouped.rows(value).tocoo()
    abroad.data = abroad.data * (domain[grouped.platform[abroad.row]] != domain[venue[abroad.col]])
    by_group, by_market = np.asarray(abroad.sum(axis=1)), np.asarray(abroad.sum(axis=0))
    by_node = sum_by(grouped.platform, by_group, domain.size)
    lent = inputs.nodes.claims.tocoo()
    lent_usd = lent.data * (domain[lent.row] != domain[lent.col])
    owed = grouped.rows(inputs.accounts.claims).tocoo()
    owed_usd = owed.data * (domain[grouped.platform[owed.row]] != domain[owed.col])
    for node, usd in ((lent.row, lent_usd), (lent.col, lent_usd), (owed.col, owed_usd)):
        by_node = by_node + sum_by(node, usd, domain.size)
    by_group = by_group + sum_by(owed.row, owed_usd, by_group.size) + _callable(parts, grouped, domain)
    return by_node, by_market, by_group


def _callable(parts: Parts, grouped: holdings.Groups, domain: Ints) -> Floats:
    """Return by group (g,) the opening equity of funding sources in another domain, on either side of the line; a
    source counts once for each group that may call on it.
    """
    given, size = parts.inputs.accounts, len(grouped.names)
    pairs = np.unique(np.stack([grouped.member[given.funded], given.source]), axis=1)
    called, source = pairs[0], pairs[1]
    across = domain[grouped.platform[called]] != domain[given.platform[source]]
    usd = np.maximum(0.0, parts.outcome.opening.equity[source]) * across
    return sum_by(called, usd, size) + sum_by(grouped.member[source], usd, size)


def _nodes(
    solution: Solution, grouped: holdings.Groups, sold: _Sold, caused: _Caused, abroad: Floats
) -> pd.DataFrame:
    parts = solution.parts
    table, size = solution.nodes.reindex(parts.labels.nodes), len(parts.labels.nodes)
    given, lost = parts.inputs.accounts, parts.outcome.losses
    owned = given.owner >= 0
    hosted = sum_by(grouped.platform, np.asarray(sold.held.sum(axis=1)), size)
    beyond = np.maximum(0.0, table["loss"] - table["buffer"] - table["liabilities"])
    columns = {
        "loss_passed_on": table["haircut"] * table["liabilities"] + beyond,
        "own_loss": table["loss"],
        "deficit_caused": sum_by(given.owner[owned], lost.deficit[owned], size),
        "deficit_borne": table["loss_deficits"],
        "usd_sold": sum_by(grouped.platform, np.asarray(sold.usd.sum(axis=1)), size),
        "price_drop_caused": caused.node_drop,
        "hardest_hit": _named(parts.labels.markets, caused.node_market, caused.node_drop),
    }
    columns["share_liquidated"] = _share(columns["usd_sold"], hosted)
    columns |= _leverage(parts, given.platform, size)
    columns |= {"cross_domain_exposure": abroad, "first_round": _first_sale(parts, given.platform, size)}
    return _frame(parts.labels.nodes, "node", columns)


def _markets(solution: Solution, sold: _Sold, harm: _Harm, abroad: Floats) -> pd.DataFrame:
    parts = solution.parts
    table = solution.markets.reindex(parts.labels.markets)
    usd = np.asarray(sold.usd.sum(axis=0))
    units = holdings.net_units(parts.inputs.positions) @ sparse.diags_array(parts.inputs.markets.price)
    loss = units @ sparse.diags_array(table["drop"].to_numpy())
    loss.data = np.maximum(loss.data, 0.0)
    drop = (table["drop_sales"] + table["drop_depth"]).to_numpy()
    columns = {
        "loss_passed_on": harm.exposed * np.abs(drop),
        "own_loss": np.asarray(loss.sum(axis=0)),
        "deficit_caused": np.nan,
        "deficit_borne": np.nan,
        "usd_sold": usd,
        "price_drop_caused": drop,
        "hardest_hit": _named(parts.labels.markets, np.arange(drop.size), drop),
        "share_liquidated": _share(usd, np.asarray(sold.held.sum(axis=0))),
        "leverage_before": np.nan,
        "leverage_after": np.nan,
        "cross_domain_exposure": abroad,
        "first_round": _first_move(parts),
    }
    return _frame(parts.labels.markets, "market", columns)


def _groups(parts: Parts, grouped: holdings.Groups, sold: _Sold, caused: _Caused, abroad: Floats) -> pd.DataFrame:
    lost, usd = parts.outcome.losses, np.asarray(sold.usd.sum(axis=1))
    deficit = grouped.total(lost.deficit)
    columns = {
        "loss_passed_on": caused.damage + deficit,
        "own_loss": grouped.total(lost.lost),
        "deficit_caused": deficit,
        "deficit_borne": np.nan,
        "usd_sold": usd,
        "price_drop_caused": caused.drop,
        "hardest_hit": _named(parts.labels.markets, caused.market, caused.drop),
        "share_liquidated": _share(usd, np.asarray(sold.held.sum(axis=1))),
        **_leverage(parts, grouped.member, len(grouped.names)),
        "cross_domain_exposure": abroad,
        "first_round": _first_sale(parts, grouped.member, len(grouped.names)),
    }
    return _frame(grouped.names, "group", columns)


def _named(markets: pd.Index[str], at: Ints, drop: Floats) -> Any:
    names = markets.to_numpy(dtype=object)
    return np.where(drop > 0.0, names[at], "") if names.size else np.full(drop.size, "", dtype=object)


def _share(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.full(part.size, np.nan), where=whole > 0.0)


def _leverage(parts: Parts, member: Ints, size: int) -> dict[str, Floats]:
    """Return gross assets over equity before and after; infinite where there are assets but no equity, NaN without
    assets.
    """
    columns = {}
    for when, at in (("before", parts.outcome.opening), ("after", parts.outcome.terminal)):
        gross, equity = sum_by(member, at.gross, size), sum_by(member, at.equity, size)
        empty = np.where(gross > 0.0, np.inf, np.nan)
        columns[f"leverage_{when}"] = np.divide(gross, equity, out=empty, where=equity > 0.0)
    return columns


def _first_sale(parts: Parts, member: Ints, size: int) -> Ints:
    """Return the first round in which an account of each class sold, 0 if none did."""
    never = np.iinfo(np.int64).max
    first, when = np.full(size, never), parts.run.liquidated_round
    np.minimum.at(first, member, np.where(when > 0, when, never))
    return np.where(first == never, 0, first)


def _first_move(parts: Parts) -> Ints:
    """Return the first round after which a price stood more than 1e-6 away from where shocks and pegs had put it."""
    opening = start(parts.inputs).log_drop
    first = np.zeros(opening.size, dtype=np.int64)
    for number, record in enumerate(parts.run.records, start=1):
        changed = record.log_drop != opening
        with np.errstate(invalid="ignore"):
            moved = changed & ~(np.abs(record.log_drop - opening) <= _VISIBLE)
        first[moved & (first == 0)] = number
    return first

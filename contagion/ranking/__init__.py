"""One sorted frame of named measures over nodes, markets and account groups."""

from __future__ import annotations

import numpy as np
import pandas as pd

from contagion import holdings
from contagion.ranking import rows
from contagion.ranking.blame import blame, harm
from contagion.ranking.crossing import cross_domain
from contagion.solution import Solution

__all__ = ["rank"]


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
        leverage_before, _after Gross assets over equity of the accounts in the group, or held by the node, before
                                and at terminal prices if nobody had sold (passive leverage); negative equity
                                counts as none
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
    >>> ranked.columns[0], ranked.index[0], bool(ranked["loss_passed_on"].is_monotonic_decreasing)
    ('rank', 'trader @ exchange0', True)
    """
    parts = solution.parts
    grouped = holdings.groups(parts.system, parts.inputs, parts.labels)
    traded = rows.sold(parts, grouped)
    harmed = harm(parts, grouped, solution.markets)
    blamed = blame(parts, grouped, harmed)
    of_nodes, of_markets, of_groups = cross_domain(parts, grouped)
    table = pd.concat(
        [
            rows.nodes(solution, grouped, traded, blamed, of_nodes),
            rows.markets(solution, traded, harmed, of_markets),
            rows.groups(parts, grouped, traded, blamed, of_groups),
        ]
    )
    names, kinds = (column.to_numpy(dtype=object) for column in (table.index.to_series(), table["type"]))
    order = np.lexsort((kinds, names, -table["loss_passed_on"].to_numpy()))
    ranked = table.take(order).rename_axis("name")
    ranked.insert(0, "rank", np.arange(1, len(ranked) + 1))
    return ranked

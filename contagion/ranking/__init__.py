"""One sorted frame of named measures over nodes, markets and account groups."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from contagion import holdings
from contagion.errors import instance, refuse
from contagion.measures import headroom
from contagion.ranking import rows
from contagion.ranking.attributed import COLUMNS, attributed, passing, sources
from contagion.ranking.blame import blame, harm
from contagion.ranking.crossing import cross_domain
from contagion.ranking.resolved import resolved, unknown
from contagion.solution import Solution, unforced

__all__ = ["rank"]


def rank(solution: Solution, measures: Sequence[str] | None = None, progress: bool = False) -> pd.DataFrame:
    """Return nodes, markets and account groups in the order of the loss that passes through them, and its sources.

    Parameters
    ----------
    solution : Solution
        A solved scenario.
    measures : sequence of {"avoided_if_immune", "impact_if_failed"}, optional
        Measures to add that take a solve for each entity: seconds, or minutes for thousands of groups. By default none.
    progress : bool
        Whether to show the progress of these on stderr.

    Returns
    -------
    DataFrame
        Index: node, market or account group; then the sources. Accounts are grouped by ``accounts.group`` and platform
        ("whale @ Aave"), since each platform liquidates by its own rules. Sorted by ``throughput``, then
        ``loss_passed_on``, sources by ``caused``, ties by name. USD unless a share; a measure that has no meaning for a
        type is NaN. With h(m, drop) = sum over accounts of max(0, net opening holdings in m × drop), the loss of those
        on the losing side:

        ======================  ================================================================================
        rank                    1 is the entity through which most of the loss passes
        type                    node, market, group or source
        throughput              How much of the loss passes through it, each time it passes? Exact, by attribution over
                                the whole cascade (docs/attribution.md). Not what would be avoided without it.
        throughput_share        The same over the loss; above one where a dollar comes back and passes again.
        passing_share           Which share of the loss passes it at least once? At most one in long-only systems.
        amplification           How often does a dollar that reaches it pass it? 1 without feedback.
        cross_domain_throughput How much of what passes comes from, or goes to, another domain? Each end counts.
        caused                  What did this source (shock, depth factor, write-off) cause, feedback included? Adds up
                                to the loss over sources. Not what a smaller shock would have saved.
        headroom                How far may its price fall alone, from the opening, before somebody must act (market);
                                how far some price, before an account of the group must? Share of the price; infinite
                                if no fall does it. Not a distance to a joint fall of several prices.
        avoided_if_immune       On request: how much smaller would the loss have been had it passed nothing on? 0 for
                                what was not touched. See `contagion.avoided_if_immune`.
        impact_if_failed        On request: what would its failure cost the system if nothing else happened, whatever
                                the scenario? *node*, *group*. See `contagion.impact_if_failed`.
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

    Raises
    ------
    InputError
        If an argument is not one of those above, or ``avoided_if_immune`` is asked of a solution that has not
        converged; the message lists every problem.
    NotConverged
        If ``impact_if_failed`` is asked for, and the opening itself has no fixed point within 20,000 rounds.

    Notes
    -----
    Arbitrage carries sales to other venues, x = (diag(D) + L)^-1 Q, so a group's share of the pressure in a market
    counts what it sold elsewhere. Measures from ``loss_passed_on`` on follow one step; those before it the whole
    cascade.

    Examples
    --------
    >>> import contagion as ct
    >>> from contagion import generate
    >>> ranked = rank(ct.solve(*generate.system(accounts=1000)))
    >>> ranked.columns[0], ranked.index[0], bool(ranked["throughput"].dropna().is_monotonic_decreasing)
    ('rank', 'trader @ exchange1', True)

    Had the loop's sales not moved the price, the loss would have been smaller by what it avoids as if immune:

    >>> system, scenarios = ct.datasets.load("loop_lending")
    >>> solution = ct.solve(system, scenarios["thin_exit"])
    >>> avoided = rank(solution, ["avoided_if_immune"])["avoided_if_immune"]["loop @ Lending pool"]
    >>> bool(avoided == ct.avoided_if_immune(solution)["avoided_if_immune"]["loop @ Lending pool"] > 0.0)
    True
    """
    asked = () if measures is None else measures
    problems = instance("solution", solution, Solution, "a Solution (solve returns one)") + unforced(solution)
    refuse(problems + unknown(asked, solution), "rank")
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
    keys = pd.MultiIndex.from_arrays([table["type"], table.index])
    return _ranked(_explained(solution, table, resolved(solution, asked, keys, progress)))


def _explained(solution: Solution, table: pd.DataFrame, more: dict[str, pd.Series]) -> pd.DataFrame:
    """Return the table with what the attribution and more solves say, and sources below it.

    NaN where there is no attribution.
    """
    found = attributed(solution)
    keys = pd.MultiIndex.from_arrays([table["type"], table.index])
    exact = None if found is None else passing(found)  # the rows of the table are in this order too
    for place, name in enumerate(COLUMNS, start=1):
        table.insert(place, name, np.nan if exact is None else exact[name].to_numpy())
    table.insert(len(COLUMNS) + 1, "caused", np.nan)
    near = {"market": headroom(solution)["drop"], "group": headroom(solution, by="group")["drop"]}
    table.insert(len(COLUMNS) + 2, "headroom", pd.concat(near).reindex(keys).to_numpy())
    for place, (name, values) in enumerate(more.items(), start=len(COLUMNS) + 3):
        table.insert(place, name, values.to_numpy(dtype=np.float64))
    if found is None:
        return table
    return pd.concat([table, sources(found).reindex(columns=table.columns).astype(table.dtypes.to_dict())])


def _ranked(table: pd.DataFrame) -> pd.DataFrame:
    names, kinds = (column.to_numpy(dtype=object) for column in (table.index.to_series(), table["type"]))
    amounts = [-table[name].fillna(0.0).to_numpy() for name in ("caused", "loss_passed_on", "throughput")]
    order = np.lexsort((kinds, names, *amounts, kinds == "source"))
    ranked = table.take(order).rename_axis("name")
    ranked.insert(0, "rank", np.arange(1, len(ranked) + 1))
    return ranked

"""What ties entities of one domain to another."""

from __future__ import annotations

import numpy as np
import pandas as pd

from contagion import holdings
from contagion.frames import Parts
from contagion.kernels.inputs import DEBT, Floats, Ints, sum_by

__all__ = ["cross_domain"]


def cross_domain(parts: Parts, grouped: holdings.Groups) -> tuple[Floats, Floats, Floats]:
    """Return the opening exposure to other domains of nodes (n,), markets (m,) and groups (g,), in USD."""
    domain, venue = _domains(parts)
    inputs, size = parts.inputs, len(parts.labels.nodes)
    sides = (*holdings.ASSETS, DEBT)
    held = grouped.rows(holdings.opening_value(inputs.positions, inputs.markets.price, sides))
    group, market, traded = holdings.entries(held)
    creditor, debtor, lent = holdings.entries(inputs.nodes.claims)
    lender, owing, owed = holdings.entries(grouped.rows(inputs.accounts.claims))
    traded *= domain[grouped.platform[group]] != domain[venue[market]]
    lent *= domain[creditor] != domain[debtor]
    owed *= domain[grouped.platform[lender]] != domain[owing]
    node = np.concatenate([grouped.platform[group], creditor, debtor, owing])
    by_node = sum_by(node, np.concatenate([traded, lent, lent, owed]), size)
    by_group = sum_by(np.concatenate([group, lender]), np.concatenate([traded, owed]), len(grouped.names))
    return by_node, sum_by(market, traded, venue.size), by_group + _callable(parts, grouped, domain)


def _domains(parts: Parts) -> tuple[Ints, Ints]:
    """Return the number of each node's domain (n,) and the node that is each market's venue (m,)."""
    labels = parts.labels
    names = parts.system.nodes.set_index("node")["domain"].reindex(labels.nodes)
    venues = parts.system.markets.set_index("market")["venue"].reindex(labels.markets)
    domain = pd.factorize(names)[0].astype(np.int64)
    return domain, labels.nodes.get_indexer(pd.Index(venues)).astype(np.int64)


def _callable(parts: Parts, grouped: holdings.Groups, domain: Ints) -> Floats:
    """Return by group (g,) the opening equity of funding sources in another domain, on either side of the line.

    A source counts once for each group that may call on it.
    """
    given, size = parts.inputs.accounts, len(grouped.names)
    pairs = np.unique(np.stack([grouped.member[given.funded], given.source]), axis=1)
    called, source = pairs[0], pairs[1]
    across = domain[grouped.platform[called]] != domain[given.platform[source]]
    usd = np.maximum(0.0, parts.outcome.opening_equity[source]) * across
    ends = np.concatenate([called, grouped.member[source]])
    return sum_by(ends, np.concatenate([usd, usd]), size)

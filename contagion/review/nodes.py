"""Nodes: what they owe, and what they issued."""

from __future__ import annotations

import numpy as np
import pandas as pd

from contagion.kernels.inputs import Floats, sum_by
from contagion.review.found import of_rows
from contagion.system import System

_ROUNDING = 1e-9


def warn_issuers(system: System) -> pd.DataFrame:
    """Return assets whose issuer has no liabilities, so that no loss of the issuer ever reaches them."""
    liabilities, _, _ = _owed(system)
    none = system.nodes["node"][liabilities == 0.0]
    text = "its issuer has no liabilities, so the token is never cut: give nodes.liabilities, tokens included"
    bad = system.assets["issuer"].isin(none) & (system.assets["issuer"] != "")
    return of_rows(system, "assets", bad, "issuer_without_liabilities", text)


def warn_nodes(system: System) -> pd.DataFrame:
    """Return nodes that owe less than claims and their tokens add up to; ``value`` is that sum.

    Tokens count net of what is borrowed, at the lowest opening price of the asset. Issuers that owe nothing at all are
    left to `warn_issuers`.
    """
    liabilities, listed, tokens = _owed(system)
    bad = (liabilities < (listed + tokens) * (1.0 - _ROUNDING)) & ((liabilities > 0.0) | (listed > 0.0))
    text = (
        "liabilities below the claims on it plus the tokens it issued that accounts hold: losses are shared by too "
        "few, and nobody outside bears any; give nodes.liabilities, at least this sum"
    )
    return of_rows(system, "nodes", pd.Series(bad), "liabilities_below_claims", text, listed + tokens)


def warn_issuer_cycles(system: System) -> pd.DataFrame:
    """Return issuers that hold, through accounts they own, their own token or that of one that holds theirs.

    Their haircuts feed each other; the fixed point settles that, but it should be meant.
    """
    import networkx as nx  # loaded where it is used: importing the package stays light

    owner = system.accounts.set_index("account")["owner"]
    issuer = system.assets.set_index("asset")["issuer"]
    held = system.positions[(system.positions["side"] != "debt") & (system.positions["quantity"] > 0.0)]
    pairs = pd.DataFrame({"holder": held["account"].map(owner), "issuer": held["asset"].map(issuer)}).drop_duplicates()
    pairs = pairs[(pairs["issuer"] != "") & pairs["holder"].isin(system.nodes["node"])]
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_edges_from(pairs.itertuples(index=False, name=None))
    circles = [group for group in nx.strongly_connected_components(graph) if len(group) > 1]
    caught = set().union(*circles) | {node for node in graph if graph.has_edge(node, node)}
    text = "holds its own token, or that of an issuer that holds its: their haircuts feed each other"
    return of_rows(system, "nodes", system.nodes["node"].isin(caught), "issuer_cycle", text)


def _owed(system: System) -> tuple[Floats, Floats, Floats]:
    """Return for each node its liabilities, the claims on it, and the tokens it issued that accounts hold, in USD."""
    nodes, assets = system.nodes, system.assets
    debtor = pd.Index(nodes["node"]).get_indexer(pd.Index(system.claims["debtor"]))
    listed = sum_by(debtor, system.claims["amount"].to_numpy(dtype=np.float64), len(nodes))
    issued = assets[assets["issuer"] != ""]
    price = issued["asset"].map(system.markets.groupby("asset")["price"].min()).fillna(0.0)
    positions = system.positions
    token = pd.Index(issued["asset"]).get_indexer(pd.Index(positions["asset"]))
    rows = np.flatnonzero((token >= 0) & (positions["side"] != "perp").to_numpy(dtype=np.bool_))
    sign = np.where(positions["side"].iloc[rows] == "debt", -1.0, 1.0)
    units = sum_by(token[rows], sign * positions["quantity"].to_numpy(dtype=np.float64)[rows], len(issued))
    held = np.maximum(units, 0.0) * price.to_numpy(dtype=np.float64)
    tokens = sum_by(pd.Index(nodes["node"]).get_indexer(pd.Index(issued["issuer"])), held, len(nodes))
    given = nodes["liabilities"].to_numpy(dtype=np.float64)
    return np.where(np.isnan(given), listed, given), listed, tokens

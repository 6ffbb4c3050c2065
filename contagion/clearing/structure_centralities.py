"""The usual centralities, by networkx, as columns beside what a model says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from contagion import schema
from contagion.clearing.arguments import flat
from contagion.clearing.network import Matrix, Table, read
from contagion.errors import texts

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["CENTRALITIES", "centralities"]


def _eigenvector(graph: nx.DiGraph[int]) -> dict[int, float]:
    import networkx as nx

    both: nx.Graph[int] = nx.Graph()
    both.add_nodes_from(graph)
    for debtor, creditor, data in graph.edges(data=True):
        before = both.get_edge_data(debtor, creditor, {"amount": 0.0})["amount"]
        both.add_edge(debtor, creditor, amount=before + data["amount"])
    try:
        return dict(nx.eigenvector_centrality(both, max_iter=10_000, tol=1e-10, weight="amount"))
    except nx.PowerIterationFailedConvergence:
        return dict.fromkeys(graph, np.nan)


def _pagerank(graph: nx.DiGraph[int]) -> dict[int, float]:
    import networkx as nx

    return dict(nx.pagerank(graph, weight="amount", tol=1e-12, max_iter=1_000))


def _betweenness(graph: nx.DiGraph[int]) -> dict[int, float]:
    import networkx as nx

    return dict(nx.betweenness_centrality(graph))


def _closeness(graph: nx.DiGraph[int]) -> dict[int, float]:
    import networkx as nx

    return dict(nx.closeness_centrality(graph))


def _clustering(graph: nx.DiGraph[int]) -> dict[int, float]:
    import networkx as nx

    found: Any = nx.clustering(graph)
    return dict(found)


def _core_number(graph: nx.DiGraph[int]) -> dict[int, int]:
    import networkx as nx

    return dict(nx.core_number(graph))


CENTRALITIES: dict[str, Callable[[Any], Any]] = {
    "creditors": lambda graph: dict(graph.out_degree()),
    "debtors": lambda graph: dict(graph.in_degree()),
    "debts": lambda graph: dict(graph.out_degree(weight="amount")),
    "claims": lambda graph: dict(graph.in_degree(weight="amount")),
    "betweenness": _betweenness,
    "closeness": _closeness,
    "pagerank": _pagerank,
    "eigenvector": _eigenvector,
    "clustering": _clustering,
    "core_number": _core_number,
}
"""Names of the columns, and what fills them from a graph whose edges go from debtor to creditor."""


def centralities(liabilities: Any, losses: Any = None, *, measures: Sequence[str] | None = None) -> pd.DataFrame:
    """Return centralities of each node as columns, beside losses where there are any.

    Parameters
    ----------
    liabilities : (n, n) array, sparse array, DataFrame or DiGraph
        ``liabilities[i, j]`` is what i owes j, USD; edges go from debtor to creditor.
    losses : DataFrame, Series or mapping, optional
        What to show first, by node: the frame of a result, or one of its columns.
    measures : sequence of str, optional
        Columns; all by default. On networks of thousands of nodes leave out betweenness and closeness, which take
        minutes.

    Returns
    -------
    DataFrame
        Index node; columns of ``losses``, then creditors and debtors (counts), debts and claims (USD), betweenness and
        closeness (of steps, amounts do not matter; closeness by paths that end at the node), pagerank (along
        payments, by amount), eigenvector (amounts in both directions added up; NaN where it does not converge),
        clustering, core_number (of k-cores).

    Raises
    ------
    InputError
        All that is wrong with the input.

    Notes
    -----
    networkx computes them: ``nx.betweenness_centrality`` and so on, with its default arguments unless said otherwise.

    Examples
    --------
    >>> debts, losses = [[0, 2, 0], [0, 0, 1], [0, 0, 0]], {0: 5.0, 1: 1.0, 2: 0.0}
    >>> centralities(debts, losses, measures=["debts", "betweenness"]).loc[1].to_dict()
    {'losses': 1.0, 'debts': 1.0, 'betweenness': 0.5}
    """
    import networkx as nx

    names = list(CENTRALITIES) if measures is None else measures
    wrong = texts("measures", names) or _unknown(names)
    beside = partial(_unfit, losses)
    table = read("centralities", {"liabilities": Matrix(liabilities)}, {}, wrong, beside)
    labels = table.labels["node"].rename("node")
    links = table.matrices["liabilities"].tocoo()
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(range(len(labels)))
    edges = zip(links.row.tolist(), links.col.tolist(), links.data.tolist(), strict=True)
    graph.add_weighted_edges_from(edges, weight="amount")
    found = {name: list(map(CENTRALITIES[name](graph).get, graph)) if len(graph) else np.zeros(0) for name in names}
    frame = pd.DataFrame(found, index=labels)
    return frame if losses is None else pd.concat([_beside(losses, labels), frame], axis=1)


def _unknown(names: Sequence[str]) -> list[str]:
    return [
        f"measures has {name!r}; known are {', '.join(CENTRALITIES)}{schema.near_misses(str(name), list(CENTRALITIES))}"
        for name in names
        if name not in CENTRALITIES
    ]


def _unfit(losses: Any, table: Table) -> list[str]:
    """Return why losses cannot stand beside the nodes."""
    given = _columns(losses)
    if losses is None or given is None:
        return [] if losses is None else [f"losses is a {type(losses).__name__}; give a DataFrame, Series or mapping"]
    labels = table.labels["node"]
    missing = labels[~labels.isin(given.index)]
    if not len(missing) and given.index.is_unique:
        return []
    wrong = f"of {missing[0]!r} are missing" if len(missing) else "list some node twice"
    return [f"losses {wrong}; give one row for each node"]


def _beside(losses: Any, labels: pd.Index[Any]) -> pd.DataFrame:
    """Return losses as columns in the order of the nodes."""
    given = _columns(losses)
    assert given is not None  # `_unfit` has refused everything else
    return given.take(given.index.get_indexer(labels)).set_axis(labels, axis=0)


def _columns(losses: Any) -> pd.DataFrame | None:
    """Return losses as columns by node, None for what has no labels."""
    given = losses
    if isinstance(losses, Mapping):
        given = pd.Series(list(losses.values()), index=flat(list(losses)))
    if isinstance(given, pd.Series):
        given = given.to_frame("losses" if given.name is None else given.name)
    return given.set_axis(flat(given.index), axis=0) if isinstance(given, pd.DataFrame) else None

"""How fast payments end at a node that no longer pays: SinkRank."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contagion.clearing.network import Floats, Matrix, read

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["sink_rank"]


def sink_rank(liabilities: Any) -> pd.DataFrame:
    """Return the inverse of the mean number of payments after which a unit of money is stuck at each node.

    A unit that i holds goes to j with probability Pᵢⱼ = Lᵢⱼ / Σⱼ Lᵢⱼ. If node k takes in money and pays nobody, a unit
    that starts at i gets there after Σⱼ (I − Q)⁻¹ᵢⱼ payments, where Q is P without k. SinkRank of k is (n − 1) over the
    sum of this over all i: 1 where everybody pays k only, and 0 where money of somebody never gets to k.

    Parameters
    ----------
    liabilities : (n, n) array, sparse array, DataFrame or DiGraph
        Payments: what i (row) owes j, USD. Nodes that owe nothing keep what they get.

    Returns
    -------
    DataFrame
        Index node; columns sink_rank (0 to 1) and distance (mean number of payments; infinite at rank 0).

    Raises
    ------
    InputError
        All that is wrong with the input.

    Notes
    -----
    Soramäki and Cook (2013), SinkRank: an algorithm for identifying systemically important banks in payment systems,
    Economics: The Open-Access, Open-Assessment E-Journal 7. All nodes at once from one dense inverse (Hunter 1982,
    Generalized inverses and their application to applied probability problems): seconds for 2,000 nodes.

    Examples
    --------
    In a ring of three, money is one or two payments away from any node: 1.5 on average.

    >>> sink_rank([[0, 1, 0], [0, 0, 1], [1, 0, 0]])["distance"].round(9).tolist()
    [1.5, 1.5, 1.5]

    In a chain it always ends at the last, and at no other.

    >>> sink_rank([[0, 1, 0], [0, 0, 1], [0, 0, 0]])["sink_rank"].round(9).tolist()
    [0.0, 0.0, 0.666666667]
    """
    table = read("sink_rank", {"liabilities": Matrix(liabilities)}, {})
    labels = table.labels["node"].rename("node")
    distance = _distances(table.matrices["liabilities"])
    rank = np.divide(1.0, distance, out=np.zeros_like(distance), where=distance > 0.0)
    return pd.DataFrame({"sink_rank": rank, "distance": distance}, index=labels)


def _distances(payments: csr_array) -> Floats:
    """Return the mean number of payments to each node from all others; infinite where some never get there."""
    count = payments.shape[0]
    if count < 2:
        return np.zeros(count)
    out = np.asarray(payments.sum(axis=1), dtype=np.float64).reshape(-1)
    distance = np.full(count, np.inf)
    last = _last(payments)
    if not last.size:
        return distance
    steps = payments.toarray() / np.where(out > 0.0, out, 1.0)[:, None]
    steps[np.diag_indices(count)] = np.where(out > 0.0, 0.0, 1.0)
    # Hunter's generalised inverse: any vector that does not sum to zero may stand in the last term
    start = np.full(count, 1.0 / count)
    inverse = np.linalg.inv(np.eye(count) - steps + start[None, :])
    share = start @ inverse
    passages = (np.diagonal(inverse)[last] - inverse[:, last]) / share[last]
    distance[last] = passages.sum(axis=0) / (count - 1)
    return distance


def _last(payments: csr_array) -> NDArray[np.int64]:
    """Return the nodes that money from everywhere gets to: those of the one group that it never leaves, if one."""
    from scipy.sparse.csgraph import connected_components

    count, group = connected_components(payments, directed=True, connection="strong")
    links = payments.tocoo()
    leaves = np.zeros(count, dtype=np.bool_)
    leaves[group[links.row[group[links.row] != group[links.col]]]] = True
    final = np.flatnonzero(~leaves)
    return np.flatnonzero(group == final[0]) if final.size == 1 else np.zeros(0, dtype=np.int64)

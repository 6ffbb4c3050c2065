"""Whether distress grows or dies out: the spectral radius of the leverage matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contagion.clearing.clearing_vector import EXACT
from contagion.clearing.distress import leverage
from contagion.clearing.network import Matrix, Vector, read
from contagion.clearing.perron import perron
from contagion.clearing.results import Column, OnFailure, checked, failure_choice
from contagion.frozen import HandsOutCopies

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["Stability", "leverage_stability"]


@dataclass(frozen=True)
class Stability(HandsOutCopies):
    """The spectral radius of the leverage matrix, and whose it is.

    Parameters
    ----------
    frame : DataFrame
        Index node; columns leverage (claims on the network over equity), component (its strongly connected component,
        0 is the one with the largest radius), component_radius (spectral radius of that; 0 for nodes on no cycle),
        elasticity (by how many per cent the spectral radius changes if this node's leverage changes by one; adds up to
        one, zero outside of component 0).
    spectral_radius : float
    stable : bool
        Whether it is below one: distress that is passed on linearly dies out.
    converged : bool
    rounds : int
        Components on which eigenvalues were found.
    residual : float
        Gap of the bounds of Collatz and Wielandt, as a share of the radius.
    """

    frame: pd.DataFrame
    spectral_radius: float
    stable: bool
    converged: bool
    rounds: int
    residual: float

    leverage = Column("Claims on the network over equity, by node.")
    elasticity = Column("Relative change of the spectral radius with each node's leverage.")


def leverage_stability(liabilities: Any, equity: Any, *, on_failure: OnFailure = "raise") -> Stability:
    """Return the spectral radius of Λᵢⱼ = Lⱼᵢ / Eᵢ: above one, even the smallest distress on a cycle grows to defaults.

    Cycles are what matters: the radius is the largest over strongly connected components, and only in these can
    distress return to where it came from.

    Parameters
    ----------
    liabilities : (n, n) array, sparse array, DataFrame or DiGraph
        ``liabilities[i, j]`` is what i owes j, USD.
    equity : (n,) array, Series, mapping or float
        Equity, USD, above zero.
    on_failure : {"raise", "return"}

    Returns
    -------
    Stability

    Raises
    ------
    InputError
        All that is wrong with the input.
    NotConverged
        If eigenvalues were not found well enough.

    Notes
    -----
    Bardoscia, Battiston, Caccioli and Caldarelli (2017), Pathways towards instability in financial networks, Nature
    Communications 8, 14416: linear DebtRank amplifies shocks if and only if the largest eigenvalue exceeds one.

    Examples
    --------
    Two banks owe each other 1 and 4 on equity of 2 and 2: Λ = [[0, 2], [½, 0]] with eigenvalues ±1.

    >>> stability = leverage_stability([[0, 1], [4, 0]], 2)
    >>> round(stability.spectral_radius, 9), stability.frame["elasticity"].round(9).tolist()
    (1.0, [0.5, 0.5])
    """
    vectors = {"equity": Vector(equity, zero="leverage is infinite, drop them")}
    table = read("leverage_stability", {"liabilities": Matrix(liabilities)}, vectors, failure_choice(on_failure))
    labels = table.labels["node"].rename("node")
    matrix = leverage(table.matrices["liabilities"], table.vectors["equity"])
    columns, value, gap = _columns(matrix)
    frame = pd.DataFrame(columns, index=labels)
    rounds = int(frame["component"][frame["component_radius"] > 0.0].nunique())
    result = Stability(frame, value, value < 1.0, gap <= EXACT, rounds, gap)
    return checked(result, "leverage_stability", on_failure, "its largest eigenvalues are almost equal")


def _columns(matrix: csr_array) -> tuple[dict[str, Any], float, float]:
    """Return the columns of the frame, the spectral radius, and the largest gap of its bounds."""
    number, members = _components(matrix)
    found = {part: perron(matrix[nodes][:, nodes]) for part, nodes in members.items()}
    ranked = sorted(found, key=lambda part: (-found[part][0], part))
    radius, elasticity = np.zeros(number.size), np.zeros(number.size)
    for part in ranked:
        radius[members[part]] = found[part][0]
    for part in ranked[:1]:
        elasticity[members[part]] = found[part][1]
    alone = [part for part in dict.fromkeys(number.tolist()) if part not in found]
    place = {part: rank for rank, part in enumerate([*ranked, *alone])}
    columns: dict[str, Any] = {
        "leverage": np.asarray(matrix.sum(axis=1), dtype=np.float64).reshape(-1),
        "component": np.array([place[part] for part in number.tolist()], dtype=np.int64),
        "component_radius": radius,
        "elasticity": elasticity,
    }
    value = found[ranked[0]][0] if ranked else 0.0
    return columns, value, max((gap for _, _, gap in found.values()), default=0.0)


def _components(matrix: csr_array) -> tuple[NDArray[np.int64], dict[int, NDArray[np.int64]]]:
    """Return the strongly connected component of each node, and the nodes of those of more than one."""
    from scipy.sparse.csgraph import connected_components

    if not matrix.shape[0]:
        return np.zeros(0, dtype=np.int64), {}
    _, number = connected_components(matrix, directed=True, connection="strong")
    order = np.argsort(number, kind="stable")
    starts = np.flatnonzero(np.diff(number[order], prepend=-1))
    groups = np.split(order, starts[1:])
    return number.astype(np.int64), {int(number[nodes[0]]): nodes for nodes in groups if nodes.size > 1}

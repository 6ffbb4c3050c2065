"""Who would lose by whose sales: overlaps of portfolios, weighted by the liquidity of what they share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from contagion.clearing.clearing_vector import EXACT
from contagion.clearing.network import Floats, Matrix, Vector, read
from contagion.clearing.results import Column, OnFailure, checked, failure_choice
from contagion.frozen import HandsOutCopies

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["EndogenousRisk", "endogenous_risk", "indirect_contagion", "liquidity_weighted_overlaps"]

_DENSE = 1_000
"""Assets (or banks, if fewer) up to which all eigenvalues are found rather than the largest alone."""


@dataclass(frozen=True)
class EndogenousRisk(HandsOutCopies):
    """The principal direction of losses by sales.

    Parameters
    ----------
    frame : DataFrame
        Index node; columns endogenous_risk (entry of the principal eigenvector, of length one, not negative), share
        (the same, adding up to one), vulnerability (the same over equity, where equity was given; scaled alike).
    eigenvalue : float
        Largest eigenvalue of the overlaps, USD: losses for a unit of proportional sales along the eigenvector.
    explained : float
        That eigenvalue over the sum of all: how well one number for each bank stands for the whole matrix, 0 to 1.
    converged : bool
    rounds : int
        1: eigenvectors are found by a library.
    residual : float
        Largest gap of Ω u = λ u, as a share of λ.
    """

    frame: pd.DataFrame
    eigenvalue: float
    explained: float
    converged: bool
    rounds: int
    residual: float

    endogenous_risk = Column("Entry of the principal eigenvector, by node.")


def liquidity_weighted_overlaps(holdings: Any, depth: Any) -> pd.DataFrame:
    """Return Ω = Π D⁻¹ Πᵀ: what bank i (row) would lose if bank j (column) sold all that it has, to first order.

    Parameters
    ----------
    holdings : (n, k) array, sparse array or DataFrame
        Π: marketable assets, USD; banks are rows.
    depth : (k,) array, Series, mapping or float
        D: USD of sales per unit of relative price drop, above zero (`market_depth`).

    Returns
    -------
    DataFrame
        n × n, symmetric, USD.

    Raises
    ------
    InputError
        All that is wrong with the input.

    Notes
    -----
    Cont and Schaanning (2017), Fire sales, indirect contagion and systemic stress testing, Norges Bank Working Paper
    02/2017; (2019), Monitoring indirect contagion, Journal of Banking and Finance 104. With leverage targets and one
    round it is the matrix of Greenwood, Landier and Thesmar (2015) between sales and losses (`vulnerable_banks`).

    Examples
    --------
    >>> liquidity_weighted_overlaps([[2, 0], [4, 1]], [4, 1]).to_numpy().tolist()
    [[1.0, 2.0], [2.0, 5.0]]
    """
    weighted, labels = _read("liquidity_weighted_overlaps", holdings, depth)
    columns = labels.rename("seller")
    return pd.DataFrame((weighted @ weighted.T).toarray(), index=labels.rename("node"), columns=columns)


def indirect_contagion(holdings: Any, depth: Any) -> pd.DataFrame:
    """Return the indirect contagion index: what each bank's liquidation would cost all others, ICIⱼ = Σᵢ≠ⱼ Ωᵢⱼ.

    Parameters
    ----------
    holdings, depth
        As in `liquidity_weighted_overlaps`; nothing n × n is made.

    Returns
    -------
    DataFrame
        Index node; columns indirect_contagion (USD), share (of the sum over banks), own_loss (what the bank itself
        would lose: Ωⱼⱼ, USD).

    Raises
    ------
    InputError
        All that is wrong with the input.

    Notes
    -----
    Cont and Schaanning (2019), Monitoring indirect contagion, Journal of Banking and Finance 104: the index "measures
    the systemic importance of a bank by quantifying the loss its distressed liquidation would inflict on other
    institutions". Earlier versions give this name to the principal eigenvector of the overlaps (`endogenous_risk`).

    Examples
    --------
    >>> indirect_contagion([[2, 0], [4, 1]], [4, 1])["indirect_contagion"].tolist()
    [2.0, 2.0]
    """
    weighted, labels = _read("indirect_contagion", holdings, depth)
    own = np.asarray(weighted.multiply(weighted).sum(axis=1), dtype=np.float64).reshape(-1)
    total = np.asarray(weighted.sum(axis=0), dtype=np.float64).reshape(-1)
    others = np.maximum(weighted @ total - own, 0.0)
    columns = {"indirect_contagion": others, "share": others / max(float(others.sum()), 1e-300), "own_loss": own}
    return pd.DataFrame(columns, index=labels.rename("node"))


def endogenous_risk(
    holdings: Any, depth: Any, equity: Any = None, *, on_failure: OnFailure = "raise"
) -> EndogenousRisk:
    """Return the endogenous risk index: the principal eigenvector u of the liquidity-weighted overlaps, Ω u = λ u.

    Where one eigenvalue is much larger than all others, losses by sales are proportional to u whatever the stress that
    makes banks sell. Entries are not negative, and of one sign where all portfolios are linked (Perron and Frobenius).

    Parameters
    ----------
    holdings, depth
        As in `liquidity_weighted_overlaps`; nothing n × n is made where there are fewer assets than banks.
    equity : (n,) array, Series, mapping or float, optional
        Equity, USD, above zero, for the index as a share of it.
    on_failure : {"raise", "return"}

    Returns
    -------
    EndogenousRisk

    Raises
    ------
    InputError
        All that is wrong with the input.
    NotConverged
        If the eigenvector was not found well enough.

    Notes
    -----
    Cont and Schaanning (2019), Monitoring indirect contagion, Journal of Banking and Finance 104.

    Examples
    --------
    Overlaps [[2, 1], [1, 2]]: eigenvalues 3 and 1, and the eigenvector of 3 is (1, 1) / √2.

    >>> index = endogenous_risk([[1, 1, 0], [1, 0, 1]], 1)
    >>> round(index.eigenvalue, 9), round(index.explained, 9), index.frame["share"].round(9).tolist()
    (3.0, 0.75, [0.5, 0.5])
    """
    given = {} if equity is None else {"equity": Vector(equity, zero="vulnerability is a share of equity, drop them")}
    weighted, labels, more = _read_all("endogenous_risk", holdings, depth, given, failure_choice(on_failure))
    vector, value = _principal(weighted)
    trace = float(weighted.multiply(weighted).sum())
    gap = float(np.abs(weighted @ (weighted.T @ vector) - value * vector).max(initial=0.0)) / max(value, 1e-300)
    columns = {"endogenous_risk": vector, "share": vector / max(float(vector.sum()), 1e-300)}
    if equity is not None:
        columns["vulnerability"] = vector / more["equity"]
    frame = pd.DataFrame(columns, index=labels.rename("node"))
    result = EndogenousRisk(frame, value, value / max(trace, 1e-300), gap <= EXACT, 1, gap)
    return checked(result, "endogenous_risk", on_failure, "overlaps have several eigenvalues that are almost equal")


def _principal(weighted: csr_array) -> tuple[Floats, float]:
    """Return the principal eigenvector of W Wᵀ, of length one and not negative, and its eigenvalue."""
    banks, assets = weighted.shape
    if weighted.nnz == 0:
        return np.zeros(banks), 0.0
    side = weighted.T @ weighted if assets < banks else weighted @ weighted.T
    if min(banks, assets) <= _DENSE:
        values, vectors = np.linalg.eigh(side.toarray())
        value, vector = float(values[-1]), vectors[:, -1]
    else:
        from scipy.sparse.linalg import eigsh

        values, vectors = eigsh(side, k=1, v0=np.ones(side.shape[0]), tol=0.0)
        value, vector = float(values[0]), vectors[:, 0]
    vector = np.abs(vector)
    vector = weighted @ vector if assets < banks else weighted @ (weighted.T @ vector)
    return vector / np.linalg.norm(vector), value


def _read(subject: str, holdings: Any, depth: Any) -> tuple[csr_array, pd.Index[Any]]:
    return _read_all(subject, holdings, depth, {}, [])[:2]


def _read_all(
    subject: str, holdings: Any, depth: Any, vectors: dict[str, Vector], problems: list[str]
) -> tuple[csr_array, pd.Index[Any], dict[str, Floats]]:
    """Return Π D^(−1/2), whose product with its transpose is Ω, the labels of its rows, and other vectors."""
    from scipy.sparse import csr_array

    matrices = {"holdings": Matrix(holdings, rows="node", columns="asset")}
    table = read(
        subject, matrices, {"depth": Vector(depth, axis="asset", zero="give depths above zero"), **vectors}, problems
    )
    matrix, depths = table.matrices["holdings"], table.vectors["depth"]
    data = matrix.data / np.sqrt(depths)[matrix.indices]
    weighted = csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)
    return weighted, table.labels["node"], table.vectors

"""Who can bring down whom: what a default takes of each creditor's equity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from contagion.clearing.network import Floats, Matrix, Vector, read

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["impact_matrix", "impact_of", "vulnerability_matrix"]


def impact_matrix(liabilities: Any, equity: Any, *, binary: bool = False) -> Any:
    """Return Vᵢⱼ = Lᵢⱼ / Eⱼ: the share of j's (column) equity that i's (row) default takes.

    Parameters
    ----------
    liabilities : (n, n) array, sparse array, DataFrame or DiGraph
        ``liabilities[i, j]`` is what i owes j, USD.
    equity : (n,) array, Series, mapping or float
        Equity, USD, above zero.
    binary : bool
        Whether to keep only 1 for a share of at least one, a default that brings down the creditor, and 0 otherwise.

    Returns
    -------
    DataFrame
        n × n with the labels of nodes; a CSR array where liabilities are sparse.

    Raises
    ------
    InputError
        All that is wrong with the input.

    Notes
    -----
    Silva, de Souza and Tabak (2017), Monitoring vulnerability and impact diffusion in financial networks, Journal of
    Economic Dynamics and Control 76; R package NetworkRiskMeasures, ``impact_matrix``.

    Examples
    --------
    >>> impact_matrix([[0, 3], [1, 0]], [2, 6]).to_numpy().tolist()
    [[0.0, 0.5], [0.5, 0.0]]
    """
    impact, labels, _ = impact_of("impact_matrix", liabilities, equity, {}, binary=binary)
    return _labelled(impact, labels, liabilities)


def vulnerability_matrix(liabilities: Any, equity: Any, *, binary: bool = False) -> Any:
    """Return Λᵢⱼ = Lⱼᵢ / Eᵢ: the share of i's (row) equity that j's (column) default takes; `impact_matrix` transposed.

    Parameters
    ----------
    liabilities, equity, binary
        As in `impact_matrix`.

    Returns
    -------
    DataFrame
        n × n with the labels of nodes; a CSR array where liabilities are sparse.

    Raises
    ------
    InputError
        All that is wrong with the input.

    Notes
    -----
    As in `impact_matrix`; it is the interbank leverage matrix of Battiston et al. (2016), Leveraging the network: a
    stress-test framework based on DebtRank, Statistics & Risk Modeling 33.

    Examples
    --------
    >>> vulnerability_matrix([[0, 3], [0, 0]], [2, 6]).to_numpy().tolist()
    [[0.0, 0.0], [0.5, 0.0]]
    """
    impact, labels, _ = impact_of("vulnerability_matrix", liabilities, equity, {}, binary=binary)
    return _labelled(impact.T.tocsr(), labels, liabilities)


def impact_of(
    subject: str, liabilities: Any, equity: Any, more: dict[str, Vector], *, binary: bool
) -> tuple[csr_array, pd.Index[Any], dict[str, Floats]]:
    """Return Lᵢⱼ / Eⱼ, the labels, and other vectors."""
    from scipy.sparse import csr_array

    vectors = {"equity": Vector(equity, zero="impact is a share of equity, drop them"), **more}
    table = read(subject, {"liabilities": Matrix(liabilities)}, vectors)
    matrix, labels = table.matrices["liabilities"], table.labels["node"].rename("node")
    data = matrix.data / table.vectors["equity"][matrix.indices]
    data = (data >= 1.0).astype(np.float64) if binary else data
    impact = csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape, copy=True)
    impact.eliminate_zeros()
    return impact, labels, table.vectors


def _labelled(matrix: csr_array, labels: pd.Index[Any], given: Any) -> Any:
    """Return a matrix as it was given: sparse, or as a frame with labels."""
    from scipy.sparse import issparse

    return matrix if issparse(given) else pd.DataFrame(matrix.toarray(), index=labels, columns=labels)

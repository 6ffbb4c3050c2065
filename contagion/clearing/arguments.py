"""One argument in whatever form users have it → its numbers, and the labels of its sides."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["Floats", "Matrix", "Raw", "Vector", "flat", "matrix", "vector"]

Floats = NDArray[np.float64]


class Matrix(NamedTuple):
    """A matrix as given, and what is allowed in it.

    Parameters
    ----------
    given : array, scipy.sparse array or matrix, DataFrame or networkx.DiGraph
        Graphs have an edge from the debtor to the creditor with attribute ``amount``; parallel edges add up.
    rows, columns : str
        The sets of labels along its sides; where they are the same, the diagonal must be zero.
    highest : float
        Largest entry allowed; the smallest is zero.
    names : Index, optional
        Labels of the rows of a matrix that has none of its own.
    """

    given: Any
    rows: str = "node"
    columns: str = "node"
    highest: float = math.inf
    names: pd.Index[Any] | None = None


class Vector(NamedTuple):
    """A vector as given, and what is allowed in it.

    Parameters
    ----------
    given : array, Series, mapping, number or None
        A number holds for all; None leaves the default.
    axis : str
        The set of labels along it.
    lowest, highest : float
        Smallest and largest entry allowed.
    default : float, optional
        What holds if nothing is given, and for labels that a mapping or Series leaves out; by default neither may be.
    zero : str
        What to do about entries of zero, where these are not allowed; by default they are.
    infinite : bool
        Whether entries may be infinite.
    """

    given: Any
    axis: str = "node"
    lowest: float = 0.0
    highest: float = math.inf
    default: float | None = None
    zero: str = ""
    infinite: bool = False


class Raw(NamedTuple):
    """An argument taken apart: its numbers, the labels of each of its sides (None: by position), and what it fits."""

    name: str
    values: Any
    sides: tuple[tuple[str, pd.Index[Any] | None], ...]
    rule: Matrix | Vector


def matrix(name: str, rule: Matrix, found: list[str]) -> Raw | None:
    """Return a matrix taken apart, or note why it is none."""
    given = rule.given
    try:
        values, rows, columns = _parts(given)
    except (TypeError, ValueError) as error:
        found.append(f"{name} ({type(given).__name__}) cannot be read as a matrix of numbers: {error}")
        return None
    if rule.rows == rule.columns and values.shape[0] != values.shape[1]:
        found.append(f"{name} has shape {values.shape}; it needs as many rows (debtors) as columns (creditors)")
        return None
    return Raw(name, values, ((rule.rows, rule.names if rows is None else rows), (rule.columns, columns)), rule)


def vector(name: str, rule: Vector, found: list[str]) -> Raw | None:
    """Return a vector taken apart, or note why it is none."""
    given = rule.default if rule.given is None else rule.given
    labels = None
    if isinstance(given, Mapping):
        labels, given = flat(list(given)), list(given.values())
    if isinstance(given, pd.Series):
        labels = flat(given.index)
    if given is None:
        found.append(f"{name} is missing")
        return None
    try:
        values = _floats(given)
    except (TypeError, ValueError) as error:
        found.append(f"{name} ({type(rule.given).__name__}) cannot be read as numbers: {error}")
        return None
    if values.ndim > 1:
        found.append(f"{name} has shape {values.shape}; give one dimension")
        return None
    return Raw(name, values, ((rule.axis, labels),), rule)


def flat(labels: Any) -> pd.Index[Any]:
    """Return labels as an index of one level: tuples are labels as any others."""
    if isinstance(labels, pd.MultiIndex):
        return labels.to_flat_index()
    return labels if isinstance(labels, pd.Index) else pd.Index(labels, tupleize_cols=False)


def _parts(given: Any) -> tuple[csr_array, pd.Index[Any] | None, pd.Index[Any] | None]:
    """Return the numbers of a matrix, and the labels of its rows and columns if it has any."""
    from scipy.sparse import coo_array, csr_array, issparse

    if hasattr(given, "edges") and hasattr(given, "is_directed"):
        values, nodes = _graph(given)
        return values, nodes, nodes
    if isinstance(given, pd.DataFrame):
        return csr_array(_floats(given)), flat(given.index), flat(given.columns)
    if issparse(given):
        sparse: Any = given
        if sparse.ndim != 2:
            raise ValueError(f"it has {sparse.ndim} dimension{'s' * (sparse.ndim != 1)}, a matrix has 2")
        if sparse.dtype.kind not in "biuf":
            raise ValueError(f"its entries are of type {sparse.dtype}")
        return csr_array(sparse.tocsr()).astype(np.float64, copy=False), None, None
    dense = _floats(given)
    if dense.ndim != 2:
        raise ValueError(f"it has {dense.ndim} dimensions, a matrix has 2")
    return csr_array(coo_array(dense)), None, None


def _graph(graph: Any) -> tuple[csr_array, pd.Index[Any]]:
    """Return the amounts along the edges of a graph, and its nodes."""
    from scipy.sparse import coo_array, csr_array

    if not graph.is_directed():
        raise ValueError("edges need a direction, from the debtor to the creditor: give a networkx.DiGraph")
    place = {node: number for number, node in enumerate(graph)}
    edges = list(graph.edges(data="amount"))
    bare = [(debtor, creditor) for debtor, creditor, amount in edges if amount is None]
    if bare:
        raise ValueError(f"{len(bare)} edges have no attribute 'amount', the first is {bare[0]}")
    ends = np.array([(place[debtor], place[creditor]) for debtor, creditor, _ in edges], dtype=np.int64).reshape(-1, 2)
    amounts = _floats([amount for _, _, amount in edges])
    values = csr_array(coo_array((amounts, (ends[:, 0], ends[:, 1])), shape=(len(place), len(place))))
    return values, flat(list(place))


def _floats(given: Any) -> Floats:
    """Return numbers as float64, missing ones as NaN; text is refused, also where it reads like a number."""
    if hasattr(given, "tocsr"):
        raise ValueError("it is sparse; give an array")
    values = given.to_numpy() if isinstance(given, pd.DataFrame | pd.Series) else np.asarray(given)
    if values.dtype.kind in "biuf":
        return values.astype(np.float64, copy=False)
    if values.dtype.kind in "mMV":
        raise ValueError(f"entries are of type {values.dtype}")
    entries = np.asarray(given, dtype=object) if values.dtype.kind != "O" else values
    wrong = [entry for entry in entries.flat if isinstance(entry, str | bytes | complex)]
    if wrong:
        raise ValueError(f"{wrong[0]!r} is not a number")
    return np.where(pd.isna(entries), np.nan, entries).astype(np.float64)

"""Matrices and vectors as users have them → sparse matrices and arrays with common labels, or one list of problems.

One convention holds in the whole package: ``liabilities[i, j]`` is what i owes j. Rows are debtors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contagion.clearing.problems import cells, duplicated, entries, unknown
from contagion.errors import InputError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["Floats", "Matrix", "Table", "Vector", "read"]

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
    """

    given: Any
    rows: str = "node"
    columns: str = "node"
    highest: float = math.inf


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
    """

    given: Any
    axis: str = "node"
    lowest: float = 0.0
    highest: float = math.inf
    default: float | None = None


class Table(NamedTuple):
    """What was read: labels by axis, matrices and vectors by name, all in the order of the labels."""

    labels: dict[str, pd.Index[Any]]
    matrices: dict[str, csr_array]
    vectors: dict[str, Floats]


class _Raw(NamedTuple):
    """An argument taken apart: its numbers, the labels of each of its sides (None: by position), and what it fits."""

    name: str
    values: Any
    sides: tuple[tuple[str, pd.Index[Any] | None], ...]
    rule: Matrix | Vector


class _Side(NamedTuple):
    """One side of an argument."""

    item: _Raw
    number: int
    axis: str
    own: pd.Index[Any] | None

    @property
    def optional(self) -> bool:
        return isinstance(self.item.rule, Vector) and self.item.rule.default is not None


def read(
    subject: str, matrices: Mapping[str, Matrix], vectors: Mapping[str, Vector], problems: Sequence[str] = ()
) -> Table:
    """Return matrices and vectors in one order of labels, as float64: CSR without stored zeros, and arrays.

    Parameters
    ----------
    subject : str
        What is called; the first line of the error.
    matrices, vectors : mapping of name to Matrix or Vector
        Arguments by the names that users know. Of those with labels the first sets the order; those without are taken
        by position.
    problems : sequence of str
        What else is wrong with the call, so that one error lists everything.

    Raises
    ------
    InputError
        Shapes that do not fit, entries that are negative, too large, infinite or NaN, a diagonal that is not zero,
        labels that are repeated, missing or unknown. All of them at once.

    Examples
    --------
    >>> read("example", {"liabilities": Matrix([[0, 2], [0, 0]])}, {"assets": Vector({"a": 1, "b": 3})}).labels["node"]
    Index(['a', 'b'], dtype='str')
    """
    found = list(problems)
    raw = [_matrix(name, rule, found) for name, rule in matrices.items()]
    raw += [_vector(name, rule, found) for name, rule in vectors.items()]
    known = [item for item in raw if item is not None]
    labels = _labels(known, found)
    read_in = {item.name: _aligned(item, labels, found) for item in known if not _misfit(item, labels, found)}
    found += [problem for item in known if item.name in read_in for problem in _entries(item, read_in, labels)]
    if found:
        raise InputError(list(dict.fromkeys(found)), subject)
    return Table(labels, {name: read_in[name] for name in matrices}, {name: read_in[name] for name in vectors})


def _matrix(name: str, rule: Matrix, found: list[str]) -> _Raw | None:
    from scipy.sparse import coo_array, csr_array, issparse

    given: Any = rule.given
    rows: pd.Index[Any] | None = None
    columns: pd.Index[Any] | None = None
    try:
        if hasattr(given, "edges") and hasattr(given, "is_directed"):
            values, rows = _graph(given)
            columns = rows
        elif isinstance(given, pd.DataFrame):
            rows, columns = given.index, given.columns
            values = csr_array(given.to_numpy(dtype=np.float64))
        elif issparse(rule.given):
            values = csr_array(given.tocsr()).astype(np.float64, copy=False)
        else:
            dense = np.asarray(given, dtype=np.float64)
            if dense.ndim != 2:
                raise ValueError(f"it has {dense.ndim} dimensions, a matrix has 2")
            values = csr_array(coo_array(dense))
    except (TypeError, ValueError) as error:
        found.append(f"{name} ({type(given).__name__}) cannot be read as a matrix of numbers: {error}")
        return None
    if rule.rows == rule.columns and values.shape[0] != values.shape[1]:
        found.append(f"{name} has shape {values.shape}; it needs as many rows (debtors) as columns (creditors)")
        return None
    return _Raw(name, values, ((rule.rows, rows), (rule.columns, columns)), rule)


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
    amounts = np.array([amount for _, _, amount in edges], dtype=np.float64)
    values = csr_array(coo_array((amounts, (ends[:, 0], ends[:, 1])), shape=(len(place), len(place))))
    return values, pd.Index(list(place))


def _vector(name: str, rule: Vector, found: list[str]) -> _Raw | None:
    given = rule.default if rule.given is None else rule.given
    labels = None
    if isinstance(given, Mapping):
        given = pd.Series(dict(given), dtype=object if not given else None)
    if isinstance(given, pd.Series):
        labels = given.index
    try:
        values = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        found.append(f"{name} ({type(given).__name__}) cannot be read as numbers: {error}")
        return None
    if given is None or values.ndim > 1:
        found.append(f"{name} is missing" if given is None else f"{name} has shape {values.shape}; give one dimension")
        return None
    return _Raw(name, values, ((rule.axis, labels),), rule)


def _labels(items: Sequence[_Raw], found: list[str]) -> dict[str, pd.Index[Any]]:
    """Return the labels of each axis: those of the first argument that needs any, else numbers from zero.

    Where other arguments go by position, labels that are just these positions mean them, in whatever order they come.
    """
    labels: dict[str, pd.Index[Any]] = {}
    sides = [_Side(item, number, *side) for item in items for number, side in enumerate(item.sides)]
    for axis in dict.fromkeys(side.axis for side in sides):
        here = [side for side in sides if side.axis == axis]
        sizes = [side.item.values.shape[side.number] for side in here if side.own is None and side.item.values.ndim]
        positions = [pd.RangeIndex(size) for size in sizes[:1]]
        own = [side.own for side in here if side.own is not None and not side.optional]
        spare = [side.own for side in here if side.own is not None and side.optional]
        spare = [one for one in spare if not sizes or len(one) == sizes[0]]
        for one in [*own, *spare]:
            labels.setdefault(axis, positions[0] if positions and one.isin(positions[0]).all() else one)
        for one in positions:
            labels.setdefault(axis, one)
        if axis in labels:
            found += _unclear(labels[axis], here)
    for side in sides:
        found += [] if side.own is None else duplicated(side.item.name, side.axis, side.own)
    return labels


def _unclear(order: pd.Index[Any], sides: Sequence[_Side]) -> list[str]:
    """Return that arguments without labels cannot be placed, where those with labels differ in their order."""
    bare = [side.item.name for side in sides if side.own is None and side.item.values.ndim]
    owns = [(side.item.name, side.own) for side in sides if side.own is not None]
    other = [name for name, own in owns if len(own) == len(order) and not own.equals(order) and own.isin(order).all()]
    if not bare or not other or order.equals(pd.RangeIndex(len(order))):
        return []
    return [
        f"{bare[0]} has no labels, and {owns[0][0]} and {other[0]} list theirs in different orders; label {bare[0]}"
    ]


def _misfit(item: _Raw, labels: Mapping[str, pd.Index[Any]], found: list[str]) -> bool:
    """Return whether an argument has the wrong size or labels, and note it."""
    before = len(found)
    for number, (axis, own) in enumerate(item.sides):
        if own is not None:
            optional = isinstance(item.rule, Vector) and item.rule.default is not None
            found += unknown(item.name, axis, own, labels[axis], optional=optional)
        elif item.values.ndim and item.values.shape[number] != len(labels[axis]):
            found.append(f"{item.name} has {item.values.shape[number]} entries for {len(labels[axis])} {axis}s")
    return len(found) > before or any(own is not None and not own.is_unique for _, own in item.sides)


def _aligned(item: _Raw, labels: Mapping[str, pd.Index[Any]], found: list[str]) -> Any:
    """Return the numbers of an argument in the order of the labels; a matrix without zeros and doubles."""
    if isinstance(item.rule, Matrix):
        values = item.values
        for number, (axis, own) in enumerate(item.sides):
            if own is not None and not own.equals(labels[axis]):
                order = own.get_indexer(labels[axis])
                values = values[order] if number == 0 else values[:, order]
        return _tidy(values, owned=values is not item.values)
    axis, own = item.sides[0]
    if own is not None:
        fill = np.nan if item.rule.default is None else item.rule.default
        return np.append(item.values, fill)[own.get_indexer(labels[axis])]
    if axis not in labels:
        found.append(f"{item.name} is one number, and nothing else says how many {axis}s there are")
        return np.atleast_1d(item.values)
    return np.broadcast_to(item.values, len(labels[axis])).astype(np.float64)


def _tidy(values: csr_array, *, owned: bool) -> csr_array:
    """Return a CSR matrix with sorted indices, no doubles and no stored zeros; never written to the caller's."""
    if values.has_canonical_format and values.nnz == np.count_nonzero(values.data):
        return values
    values = values if owned else values.copy()
    values.sum_duplicates()
    values.eliminate_zeros()
    return values


def _entries(item: _Raw, read_in: Mapping[str, Any], labels: Mapping[str, pd.Index[Any]]) -> list[str]:
    """Return what is wrong with the numbers themselves."""
    values = read_in[item.name]
    if isinstance(item.rule, Matrix):
        return cells(item.name, values, labels[item.rule.rows], labels[item.rule.columns], item.rule)
    return entries(item.name, values, labels[item.rule.axis], item.rule) if item.rule.axis in labels else []

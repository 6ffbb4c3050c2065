"""Matrices and vectors as users have them → sparse matrices and arrays with common labels, or one list of problems.

One convention holds in the whole package: ``liabilities[i, j]`` is what i owes j. Rows are debtors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from contagion.clearing import arguments
from contagion.clearing.arguments import Floats, Matrix, Raw, Vector
from contagion.clearing.problems import cells, duplicated, entries, unknown
from contagion.errors import InputError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["Floats", "Matrix", "Table", "Vector", "read"]


class Table(NamedTuple):
    """What was read: labels by axis, matrices and vectors by name, all in the order of the labels."""

    labels: dict[str, pd.Index[Any]]
    matrices: dict[str, csr_array]
    vectors: dict[str, Floats]


class _Side(NamedTuple):
    """One side of an argument."""

    item: Raw
    number: int
    axis: str
    own: pd.Index[Any] | None

    @property
    def optional(self) -> bool:
        return isinstance(self.item.rule, Vector) and self.item.rule.default is not None


def read(
    subject: str,
    matrices: Mapping[str, Matrix],
    vectors: Mapping[str, Vector],
    problems: Sequence[str] = (),
    also: Callable[[Table], list[str]] | None = None,
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
    also : callable, optional
        What is wrong between arguments, asked once each of them has the right size.

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
    raw = [arguments.matrix(name, rule, found) for name, rule in matrices.items()]
    raw += [arguments.vector(name, rule, found) for name, rule in vectors.items()]
    known = [item for item in raw if item is not None]
    labels = _labels(known, found)
    read_in = {item.name: _aligned(item, labels, found) for item in known if not _misfit(item, labels, found)}
    found += [problem for item in known if item.name in read_in for problem in _entries(item, read_in, labels)]
    whole = len(read_in) == len(raw) and all(axis in labels for item in known for axis, _ in item.sides)
    parts = ({name: read_in[name] for name in names if name in read_in} for names in (matrices, vectors))
    table = Table(labels, *parts)
    if whole and also is not None:
        found += also(table)
    if found:
        raise InputError(list(dict.fromkeys(found)), subject)
    return table


def _labels(items: Sequence[Raw], found: list[str]) -> dict[str, pd.Index[Any]]:
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


def _misfit(item: Raw, labels: Mapping[str, pd.Index[Any]], found: list[str]) -> bool:
    """Return whether an argument has the wrong size or labels, and note it."""
    before = len(found)
    for number, (axis, own) in enumerate(item.sides):
        if own is not None:
            optional = isinstance(item.rule, Vector) and item.rule.default is not None
            found += unknown(item.name, axis, own, labels[axis], optional=optional)
            if item.values.shape[number] != len(own):
                found.append(
                    f"{item.name} has {item.values.shape[number]} rows for {len(own)} {axis}s; give one for each"
                )
        elif item.values.ndim and item.values.shape[number] != len(labels[axis]):
            found.append(f"{item.name} has {item.values.shape[number]} entries for {len(labels[axis])} {axis}s")
    return len(found) > before or any(own is not None and not own.is_unique for _, own in item.sides)


def _aligned(item: Raw, labels: Mapping[str, pd.Index[Any]], found: list[str]) -> Any:
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
        found += [] if found else [f"{item.name} is one number, and nothing else says how many {axis}s there are"]
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


def _entries(item: Raw, read_in: Mapping[str, Any], labels: Mapping[str, pd.Index[Any]]) -> list[str]:
    """Return what is wrong with the numbers themselves."""
    values = read_in[item.name]
    if isinstance(item.rule, Matrix):
        return cells(item.name, values, labels[item.rule.rows], labels[item.rule.columns], item.rule)
    return entries(item.name, values, labels[item.rule.axis], item.rule) if item.rule.axis in labels else []

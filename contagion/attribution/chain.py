"""Conserved flows as a Markov chain: who passes a dollar of loss on to whom, and who amplifies it.

Flows that are conserved at every entity become probabilities when they are divided by what leaves it: P_ij is the share
of what passes through j that goes on to i. Columns of P, with the share that j bears itself, sum to one, so a dollar
starts at a source, walks from cause to effect and is borne somewhere. N = (I − P)⁻¹ counts its visits (Kemeny and
Snell 1960, theorem 3.2.4; transposed, because causes are columns here).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from contagion.attribution.merging import Chain, column_sums, merge_vanishing, triplets
from contagion.kernels.inputs import Bools, Floats, Ints

if TYPE_CHECKING:
    from scipy import sparse

__all__ = ["Chain", "Moves", "first_passage", "gains", "moves", "named", "onward", "visits"]

CACHED = 20_000_000
"""Numbers of (I − P)⁻¹ that are kept at a time."""


class Moves(NamedTuple):
    """The walk of a dollar over the m entities that a source can reach."""

    entity: Ints  # (m,) their numbers in the chain, ascending
    into: Ints  # (n,) as in Merged, -1 too where no source reaches
    start: Floats  # (m,) USD that enters
    move: sparse.csc_array  # (m, m) P, from column to row; no diagonal
    stop: Floats  # (m,) share of the through flow that is borne
    through: Floats  # (m,) USD, passes of an entity to itself not counted
    signed: bool  # whether anything is negative


def moves(chain: Chain) -> Moves:
    """Return the walk of a dollar through the chain, vanishing entities merged."""
    (flow, source, sink), into = merge_vanishing(chain)
    entity = np.flatnonzero(_reached(flow, source))
    among = np.full(source.size + 1, -1)
    among[entity] = entity
    flow = flow[entity][:, entity]
    start, borne = source[entity], sink[entity]
    through = borne + column_sums(flow)
    move = flow.tocsc()
    move.sort_indices()
    move.data = move.data / np.repeat(through, np.diff(move.indptr))
    signed = bool((flow.data < 0.0).any() or (start < 0.0).any() or (borne < 0.0).any() or (through < 0.0).any())
    return Moves(entity, among[into], start, move, borne / through, through, signed)


def onward(move: sparse.csc_array, cause: int) -> tuple[Ints, Floats]:
    """Return the effects of one entity and their shares in what passes through it."""
    first, end = move.indptr[cause], move.indptr[cause + 1]
    return move.indices[first:end].astype(np.int64), move.data[first:end]


def named(walk: Moves, nodes: tuple[int, ...]) -> tuple[int, ...]:
    """Return the numbers in the chain of entities that a source can reach."""
    return tuple(walk.entity[list(nodes)].tolist())


def visits(move: sparse.csc_array) -> Callable[[int], Floats]:
    """Return a function of i that returns row i of (I − P)⁻¹ (m,): the expected visits to i from each entity.

    One sparse factorisation, one solve for each row asked for: its result is the same on any number of threads, which
    that of a dense inverse is not.

    Raises
    ------
    numpy.linalg.LinAlgError
        If I − P is singular. Chains without negative flows never are.
    """
    factor = _factor(move)
    size = move.shape[0]

    @lru_cache(maxsize=max(64, CACHED // max(1, size)))
    def row(i: int) -> Floats:
        unit = np.zeros(size)
        unit[i] = 1.0
        return factor.solve(unit, transposed=True)

    return row


def gains(chain: Chain) -> Floats:
    """Return how often a dollar that reaches each entity visits it (n,), expected; 1 where there is no feedback.

    Merged entities have the gain of what they are merged into, and entities without flow have 1.

    Examples
    --------
    Of what passes through 0, half goes on to 1, and half of that returns: 1 + ¼ + 1/16 + … = 4/3.

    >>> import numpy as np
    >>> from scipy import sparse
    >>> flow = sparse.csr_array(np.array([[0.0, 1.0], [2.0, 0.0]]))
    >>> gains(Chain(flow, source=np.array([3.0, 0.0]), sink=np.array([2.0, 1.0]))).round(4)
    array([1.3333, 1.3333])
    """
    walk = moves(chain)
    return _by_entity(walk, _local_gains(walk), 1.0)


def first_passage(chain: Chain) -> Floats:
    """Return the USD whose walk visits each entity at least once (n,): its through flow without its own feedback.

    At most the target where nothing is negative; the sum of entities may be more, as one dollar visits several.
    Merged entities have the value of what they are merged into.
    """
    walk = moves(chain)
    return _by_entity(walk, walk.through / _local_gains(walk), 0.0)


def _local_gains(walk: Moves) -> Floats:
    """Return the diagonal of (I − P)⁻¹ (m,), solved for a batch of columns at a time."""
    size, width = walk.entity.size, 256
    factor = _factor(walk.move)
    diagonal = np.empty(size)
    for first in range(0, size, width):
        columns = np.arange(first, min(size, first + width))
        unit = np.zeros((size, columns.size))
        unit[columns, columns - first] = 1.0
        diagonal[columns] = factor.solve(unit)[columns, columns - first]
    return diagonal


def _by_entity(walk: Moves, values: Floats, otherwise: float) -> Floats:
    """Return values (m,) by entity of the chain (n,)."""
    place = np.searchsorted(walk.entity, np.maximum(walk.into, 0))
    padded = np.append(values, otherwise)
    return padded[np.where(walk.into < 0, values.size, place)]


class _Factor(NamedTuple):
    """LU factors of I − P, its rows and columns in another order."""

    lu: Any
    order: Ints  # (m,)

    def solve(self, right: Floats, transposed: bool = False) -> Floats:
        """Return the solution for a right-hand side (m,) or several (m, ·)."""
        solved = np.empty_like(right)
        solved[self.order] = self.lu.solve(right[self.order], trans="T" if transposed else "N")
        return solved


def _factor(move: sparse.csc_array) -> _Factor:
    """Return the LU factors of I − P.

    Entities are eliminated by their number of neighbours: a hundred thousand groups before the few markets that all of
    them share, which leaves a block no larger than these. To search for a better order takes longer than the rest.
    """
    from scipy import sparse
    from scipy.sparse import linalg

    if not move.shape[0]:
        move = sparse.csc_array((1, 1))
    neighbours = np.diff(move.indptr) + np.bincount(move.indices, minlength=move.shape[0])
    order = np.argsort(neighbours, kind="stable")
    matrix = sparse.csc_array(sparse.eye_array(order.size, format="csc") - move[order][:, order])
    matrix.sort_indices()
    try:
        return _Factor(linalg.splu(matrix, permc_spec="NATURAL"), order)
    except RuntimeError as error:
        raise np.linalg.LinAlgError("I − P is singular: flows of both signs cancel in a loop") from error


def _reached(flow: sparse.csr_array, source: Floats) -> Bools:
    """Return whether a flow leads from any source to each entity (n,)."""
    from scipy import sparse
    from scipy.sparse import csgraph

    size = source.size
    starts = np.flatnonzero(source)
    _, effect, cause = triplets(flow)
    origin = np.concatenate([cause, np.full(starts.size, size)])
    onward = np.concatenate([effect, starts])
    graph = sparse.csr_array((np.ones(origin.size), (origin, onward)), shape=(size + 1, size + 1))
    order = csgraph.breadth_first_order(graph, size, return_predecessors=False)
    reached = np.zeros(size + 1, dtype=np.bool_)
    reached[order] = True
    return reached[:size]

"""Walks: the same flows with every loop walked, so one entity may come again."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from contagion.attribution.best_first import Bounds, Branches, Expand, Found, best_first
from contagion.attribution.chain import Chain, Moves, moves, named, onward
from contagion.kernels.inputs import Ints

__all__ = ["Walk", "Walks", "best_first_walks", "walks"]


class Walk(NamedTuple):
    """A walk from a source to who bears the loss."""

    nodes: tuple[int, ...]
    usd: float


class Walks(NamedTuple):
    """Walks, largest first, and what is not listed; listed and rest are the target."""

    walks: tuple[Walk, ...]
    listed: float  # USD
    rest: float  # USD
    proven: int  # so many of the first walks are sure to be the largest, in this order
    expansions: int  # prefixes looked at
    into: Ints  # (n,) entity that each is part of in the walks, -1 if none passes it


def walks(chain: Chain, k: int, *, floor: float = 1e-15, expansions: int = 20_000) -> Walks:
    """Return the k largest walks of a chain, and exactly what they leave.

    A walk weighs source · ΠP · share borne at its end. There are infinitely many where there is feedback; all that
    start with a prefix weigh source · ΠP together, so the rest is known at every moment.

    Parameters
    ----------
    chain : Chain
        Conserved flows; passes of an entity to itself are not walked.
    k : int
        Walks wanted.
    floor : float
        Share of all sources below which prefixes and walks are left in the rest.
    expansions : int
        Prefixes to look at. After these, walks found so far come out in order, but those are not ``proven``.

    Returns
    -------
    Walks
        Nodes are numbers of entities in the chain.

    Examples
    --------
    Of 3 USD that enter at 0, half goes on to 1, and half of that returns.

    >>> import numpy as np
    >>> from scipy import sparse
    >>> flow = sparse.csr_array(np.array([[0.0, 1.0], [2.0, 0.0]]))
    >>> found = walks(Chain(flow, source=np.array([3.0, 0.0]), sink=np.array([2.0, 1.0])), k=3)
    >>> [(walk.nodes, round(walk.usd, 9)) for walk in found.walks]
    [((0,), 1.5), ((0, 1), 0.75), ((0, 1, 0), 0.375)]
    >>> round(found.rest, 9)
    0.375
    """
    walk = moves(chain)
    found = list(_search(walk, k, floor, expansions))
    last = found[-1] if found else Found((), 0.0, 0.0, float(walk.start.sum()), False, 0)
    return Walks(
        walks=tuple(Walk(one.nodes, one.usd) for one in found),
        listed=math.fsum(one.usd for one in found),
        rest=last.frontier,
        proven=sum(one.proven for one in found),
        expansions=last.expansions,
        into=walk.into,
    )


def best_first_walks(chain: Chain, k: int, *, floor: float = 1e-15, expansions: int = 20_000) -> Iterator[Found]:
    """Yield walks as ``walks`` finds them, each with what is emitted and what is not at that moment."""
    return _search(moves(chain), k, floor, expansions)


def _search(walk: Moves, k: int, floor: float, expansions: int) -> Iterator[Found]:
    """Yield walks, their nodes numbered as in the chain."""
    bounds = Bounds(k, floor * float(np.abs(walk.start).sum()), expansions, not walk.signed)
    roots = Branches(0.0, np.arange(walk.start.size), walk.start, walk.start, walk.start)
    for found in best_first(roots, _expand(walk), bounds):
        yield found._replace(nodes=named(walk, found.nodes))


def _expand(walk: Moves) -> Expand:
    """Return what finds the ways on from a prefix: all columns of P, with the share borne, sum to one."""

    def expand(nodes: tuple[int, ...], step: float) -> Branches:
        last = nodes[-1]
        entity, share = onward(walk.move, last)
        flow = step * share
        return Branches(step * float(walk.stop[last]), entity, flow, flow, flow)

    return expand

"""Walks: the same flows with every loop walked, so one entity may come again."""

from __future__ import annotations

from collections.abc import Iterator

from contagion.attribution.best_first import Bounds, Branches, Expand, Found
from contagion.attribution.chain import Chain, Moves, moves, onward
from contagion.attribution.listing import EXPANSIONS, FLOOR, Listing, largest, searched

__all__ = ["best_first_walks", "walks"]


def walks(chain: Chain, k: int, *, floor: float = FLOOR, expansions: int = EXPANSIONS) -> Listing:
    """Return the k largest walks of a chain, and exactly what they leave.

    A walk weighs source · ΠP · share borne at its end. There are infinitely many where there is feedback; all that
    start with a prefix weigh source · ΠP together, so the rest is known at every moment. Arguments are those of
    `loop_erased_paths`; walks have no gains.

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
    return largest(walk, _expand(walk), k, floor, expansions)


def best_first_walks(chain: Chain, k: int) -> Iterator[Found]:
    """Yield walks as they are found, each with what is emitted and what is not at that moment."""
    walk = moves(chain)
    return searched(walk, _expand(walk), Bounds(k, FLOOR, EXPANSIONS, not walk.signed))


def _expand(walk: Moves) -> Expand:
    """Return what finds the ways on from a prefix: all columns of P, with the share borne, sum to one."""

    def expand(nodes: tuple[int, ...], step: float) -> Branches:
        last = nodes[-1]
        entity, share = onward(walk.move, last)
        flow = step * share
        return Branches(step * float(walk.stop[last]), entity, flow, flow, flow)

    return expand

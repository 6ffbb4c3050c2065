"""The largest paths or walks as a list, and exactly what they leave."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from contagion.attribution.best_first import Bounds, Branches, Expand, Found, best_first, rounded
from contagion.attribution.chain import Moves, named
from contagion.kernels.inputs import Ints

__all__ = ["EXPANSIONS", "FLOOR", "Listing", "Walk", "largest", "searched"]

FLOOR = 1e-15
"""Share of all sources below which nothing is looked at, if not said otherwise."""

EXPANSIONS = 20_000
"""Prefixes looked at, if not said otherwise."""

SEARCHED = 4
"""Found where flows are signed, for each that is listed."""

Gains = Callable[[tuple[int, ...]], tuple[float, ...]]
"""Gain of every node of a path."""


class Walk(NamedTuple):
    """A path, or a walk, from a source to who bears the loss."""

    nodes: tuple[int, ...]
    usd: float
    gains: tuple[float, ...]  # of a path, for each of its nodes: visits before it goes on; 1 without feedback


class Listing(NamedTuple):
    """Paths or walks, largest first, and what is not listed; listed and rest are the target."""

    walks: tuple[Walk, ...]
    listed: float  # USD
    rest: float  # USD
    proven: int  # so many of the first are sure to be the largest, in this order
    expansions: int  # prefixes looked at
    into: Ints  # (n,) entity that each is part of in them, -1 if none passes it


def largest(walk: Moves, expand: Expand, k: int, floor: float, expansions: int, gains: Gains = lambda _: ()) -> Listing:
    """Return the k largest of what a search finds, under the numbers that entities have in the chain.

    Masses that cancel bound nothing: with flows of both signs, the largest of four times as many as are wanted are
    listed, and none of their order is proven.
    """
    wanted = SEARCHED * k if walk.signed else k
    found = list(searched(walk, expand, Bounds(wanted, floor, expansions, not walk.signed)))
    last = found[-1] if found else Found((), 0.0, 0.0, float(walk.start.sum()), False, 0)
    found.sort(key=lambda one: (not one.proven, -float(rounded(abs(one.usd))), one.nodes))
    return Listing(
        walks=tuple(Walk(named(walk, one.nodes), one.usd, gains(one.nodes)) for one in found[:k]),
        listed=math.fsum(one.usd for one in found[:k]),
        rest=math.fsum([last.frontier, *(one.usd for one in found[k:])]),
        proven=sum(one.proven for one in found),
        expansions=last.expansions,
        into=walk.into,
    )


def searched(walk: Moves, expand: Expand, bounds: Bounds) -> Iterator[Found]:
    """Yield what is found from the sources on; the least of the bounds is a share of them all.

    All that enters is borne somewhere, so the mass of a first node is its source.
    """
    roots = Branches(0.0, np.arange(walk.start.size), walk.start, walk.start, walk.start)
    return best_first(roots, expand, bounds._replace(least=bounds.least * float(np.abs(walk.start).sum())))

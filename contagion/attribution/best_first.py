"""Best-first search over chains of cause and effect: the largest first, and nothing lost from the sum.

A prefix stands for all that continue it, and its mass is the sum of their weights. Where no weight is negative, mass is
a bound on every one of them, so taking the heaviest from a heap finds complete chains in descending order and expands
no prefix that a proof of that order could leave out (Dechter and Pearl 1985). Of the branches of one prefix only the
heaviest waits in the heap, and brings the next when it leaves: a market may go on to a million accounts.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from contagion.kernels.inputs import Floats, Ints

__all__ = ["Bounds", "Branches", "Expand", "Found", "best_first", "rounded"]


class Branches(NamedTuple):
    """What becomes of a prefix: it ends, or goes on to one of b entities."""

    stop: float  # weight of the chain that ends here, USD
    entity: Ints  # (b,) that it may go on to, ascending
    step: Floats  # (b,) source times the product of P along each longer prefix, USD
    mass: Floats  # (b,) sum of the weights of all chains that start with it, USD
    order: Floats  # (b,) by what to look at them first: mass, if it is a bound


Expand = Callable[[tuple[int, ...], float], Branches]
"""Branches of a prefix, given its entities and its step."""


class Bounds(NamedTuple):
    """How long to search."""

    wanted: int  # chains
    least: float  # USD; prefixes and chains below stay in the frontier
    expansions: int  # prefixes looked at; after these only what is complete already comes out
    proof: bool = True  # whether the order is a bound


class Found(NamedTuple):
    """A complete chain, and the state of the search when it came out."""

    nodes: tuple[int, ...]
    usd: float
    emitted: float  # sum of what came out so far, with this one
    frontier: float  # sum of what did not: emitted and frontier are the target
    proven: bool  # whether nothing that has not come out can be larger
    expansions: int


class _Entry(NamedTuple):
    """A prefix or a complete chain in the heap; ties go to the lower numbers."""

    priority: float
    nodes: tuple[int, ...]
    complete: bool
    usd: float  # mass or weight
    step: float
    next: Iterator[_Entry]  # its siblings that come after it


def best_first(roots: Branches, expand: Expand, bounds: Bounds) -> Iterator[Found]:
    """Yield complete chains, the largest first, each with the sums emitted and not emitted so far."""
    heap: list[_Entry] = []
    largest: list[float] = []  # the wanted number of complete chains seen so far
    emitted, frontier = 0.0, float(roots.mass.sum())
    count = expansions = 0
    proven = bounds.proof
    _push(heap, _longer((), roots, bounds.least))
    while heap and count < bounds.wanted:
        at = heapq.heappop(heap)
        if at.complete:
            count += 1
            emitted, frontier = emitted + at.usd, frontier - at.usd
            yield Found(at.nodes, at.usd, emitted, frontier, proven, expansions)
        elif expansions < bounds.expansions:
            expansions += 1
            _push(heap, at.next)
            branches = expand(at.nodes, at.step)
            frontier += branches.stop + float(branches.mass.sum()) - at.usd
            _complete(heap, largest, at.nodes, branches.stop, bounds)
            _push(heap, _longer(at.nodes, branches, _threshold(largest, bounds)))
        else:  # its siblings would only come here too
            proven = False


def rounded(usd: Floats | float) -> Floats:
    """Return the numbers to 12 digits, so that what is equal but for rounding is a tie."""
    mantissa, exponent = np.frexp(usd)
    exact: Floats = np.ldexp(np.rint(np.ldexp(mantissa, 40)), exponent - 40)
    return exact


def _threshold(largest: list[float], bounds: Bounds) -> float:
    """Return below what a prefix can not come before as many complete chains as are wanted."""
    full = len(largest) == bounds.wanted
    return max(bounds.least, largest[0]) if full else bounds.least


def _complete(heap: list[_Entry], largest: list[float], nodes: tuple[int, ...], usd: float, bounds: Bounds) -> None:
    """Add a complete chain to the heap."""
    size = float(rounded(abs(usd)))
    if size == 0.0 or size < _threshold(largest, bounds):
        return
    heapq.heappush(heap, _Entry(-size, nodes, True, usd, 0.0, iter(())))
    push = heapq.heappush if len(largest) < bounds.wanted else heapq.heappushpop
    push(largest, size)


def _push(heap: list[_Entry], entries: Iterator[_Entry]) -> None:
    """Add the next of some entries to the heap, if there is one."""
    for entry in entries:
        heapq.heappush(heap, entry)
        return


def _longer(nodes: tuple[int, ...], branches: Branches, threshold: float) -> Iterator[_Entry]:
    """Return the prefixes that may still come out, in the order in which they do; the others stay in the frontier."""
    order = rounded(np.abs(branches.order))
    kept = np.flatnonzero((order >= threshold) & (order > 0.0))
    kept = kept[np.argsort(-order[kept], kind="stable")]
    columns = (-order[kept], branches.entity[kept], branches.mass[kept], branches.step[kept])

    def entries() -> Iterator[_Entry]:
        for priority, entity, mass, step in zip(*columns, strict=True):
            yield _Entry(float(priority), (*nodes, int(entity)), False, float(mass), float(step), following)

    following = entries()
    return following

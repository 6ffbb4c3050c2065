"""Loop-erased paths: the target split over paths that visit nobody twice, their loops folded into gains."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from contagion.attribution.best_first import Bounds, Branches, Expand, Found, best_first, rounded
from contagion.attribution.chain import Chain, Moves, moves, named, onward, visits
from contagion.kernels.inputs import Floats, Ints

__all__ = ["Path", "Paths", "loop_erased_paths"]

LONG = 32
"""Entities on a prefix from which one solve is cheaper than a determinant for each of them."""

SEARCHED = 4
"""Paths looked for where flows are signed, for each that is listed."""


class Path(NamedTuple):
    """A path from a source to who bears the loss."""

    nodes: tuple[int, ...]
    usd: float
    gains: tuple[float, ...]  # for each of its nodes: visits before the path goes on, expected; 1 without feedback


class Paths(NamedTuple):
    """Paths, largest first, and what is not listed; listed and rest are the target."""

    paths: tuple[Path, ...]
    listed: float  # USD
    rest: float  # USD
    proven: int  # so many of the first paths are sure to be the largest, in this order
    expansions: int  # prefixes looked at
    into: Ints  # (n,) entity that each is part of in the paths, -1 if none passes it


def loop_erased_paths(chain: Chain, k: int, *, floor: float = 1e-15, expansions: int = 20_000) -> Paths:
    """Return the k largest loop-erased simple paths of a chain, and exactly what they leave.

    The weight of a path γ is what the walks carry that become γ when their loops are erased in the order in which they
    close: source · ΠP · Π gain · share borne at its end, the gain of a node being the expected visits to it of a walk
    that avoids the nodes before it on the path; Π gain = det(I − P without γ)/det(I − P) (Lawler 1999; Marchal 2000).
    Weights of all simple paths, those of one node included, sum to the target exactly. All paths that start with a
    prefix and go on from its end i to J weigh source · ΠP · Π gain · P_Ji · h(J) together, with h the probability to be
    borne before any node of the prefix is hit; so the weight of what is not listed is known at every moment.

    With flows of both signs the identity holds too, but weights may be negative, and masses that cancel bound nothing:
    prefixes are taken by what flows into their last node, the largest of four times as many paths as are wanted are
    listed, and none of their order is proven.

    Parameters
    ----------
    chain : Chain
        Conserved flows; passes of an entity to itself do not matter.
    k : int
        Paths wanted.
    floor : float
        Share of all sources below which prefixes and paths are left in the rest.
    expansions : int
        Prefixes to look at. After these, paths found so far come out in order, but those are not ``proven``.

    Returns
    -------
    Paths
        Nodes are numbers of entities in the chain. Paths that weigh the same to 12 digits are in the order of these.

    Raises
    ------
    numpy.linalg.LinAlgError
        If flows of both signs cancel in a loop, so that I − P is singular.

    Examples
    --------
    Of 3 USD that enter at 0, half goes on to 1, and half of that returns. Two paths: 0, which bears 3 · 4/3 · 1/2, and
    0 → 1, which bears 3 · 4/3 · 1/2 · 1/2.

    >>> import numpy as np
    >>> from scipy import sparse
    >>> flow = sparse.csr_array(np.array([[0.0, 1.0], [2.0, 0.0]]))
    >>> found = loop_erased_paths(Chain(flow, source=np.array([3.0, 0.0]), sink=np.array([2.0, 1.0])), k=10)
    >>> [(path.nodes, round(path.usd, 9), [round(gain, 4) for gain in path.gains]) for path in found.paths]
    [((0,), 2.0, [1.3333]), ((0, 1), 1.0, [1.3333, 1.0])]
    """
    walk = moves(chain)
    row = visits(walk.move)
    wanted = SEARCHED * k if walk.signed else k
    bounds = Bounds(wanted, floor * float(np.abs(walk.start).sum()), expansions, not walk.signed)
    found = list(best_first(_roots(walk), _expand(walk, row), bounds))
    last = found[-1] if found else Found((), 0.0, 0.0, float(walk.start.sum()), False, 0)
    found.sort(key=lambda one: (not one.proven, -float(rounded(abs(one.usd))), one.nodes))
    return Paths(
        paths=tuple(Path(named(walk, one.nodes), one.usd, _gains(row, one.nodes)) for one in found[:k]),
        listed=math.fsum(one.usd for one in found[:k]),
        rest=math.fsum([last.frontier, *(one.usd for one in found[k:])]),
        proven=sum(one.proven for one in found),
        expansions=last.expansions,
        into=walk.into,
    )


def _roots(walk: Moves) -> Branches:
    """Return the first nodes of all paths. All that enters is borne somewhere, so mass is the source."""
    return Branches(0.0, np.arange(walk.start.size), walk.start, walk.start, walk.start)


def _expand(walk: Moves, row: Callable[[int], Floats]) -> Expand:
    """Return what finds the ways on from a prefix.

    With A the prefix, N_AA the visits among it and e = 1'N_AA⁻¹ the probabilities to leave each node of it for good,
    h(J) = 1 − Σ e_a N_aJ. All is multiplied by det N_AA = Π gain, so that nothing is divided by it: it may be zero
    where flows are signed.
    """
    move, signed = walk.move, walk.signed

    def expand(nodes: tuple[int, ...], step: float) -> Branches:
        last = nodes[-1]
        entity, share = onward(move, last)
        unseen = (entity[:, None] != nodes).all(axis=1)
        entity, share = entity[unseen], share[unseen]
        rows = [row(i) for i in nodes]
        gain, escape = _escape(np.stack([one[list(nodes)] for one in rows]))
        borne = np.full(entity.size, gain)
        for weight, one in zip(escape, rows, strict=True):  # not a matrix product, whose sums depend on threads
            borne -= weight * one[entity]
        flow, stop = step * share, step * gain * float(walk.stop[last])
        if signed:
            return Branches(stop, entity, flow, flow * borne, flow * gain)
        mass = flow * np.clip(borne, 0.0, gain)
        return Branches(stop, entity, flow, mass, mass)

    return expand


def _escape(among: Floats) -> tuple[float, Floats]:
    """Return det N_AA and 1'N_AA⁻¹ times it (m,), by Cramer's rule: row after row replaced by ones."""
    size = len(among)
    gain, cofactors = float(np.linalg.det(among)), np.ones(size)
    if size > LONG:
        cofactors[:] = gain * np.linalg.solve(among.T, cofactors)
        return gain, cofactors
    replaced = np.repeat(among[None], size, axis=0)
    replaced[np.arange(size), np.arange(size)] = 1.0
    cofactors[:] = np.linalg.det(replaced)
    return gain, cofactors


def _gains(row: Callable[[int], Floats], nodes: tuple[int, ...]) -> tuple[float, ...]:
    """Return the gain of every node of a path: ratios of leading minors of the visits among them."""
    among = np.stack([row(i)[list(nodes)] for i in nodes])
    minors = np.array([1.0, *(np.linalg.det(among[: i + 1, : i + 1]) for i in range(len(nodes)))])
    with np.errstate(divide="ignore", invalid="ignore"):  # a minor may be zero where flows are signed
        return tuple((minors[1:] / minors[:-1]).tolist())

"""Loop-erased paths: the target split over paths that visit nobody twice, their loops folded into gains."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from contagion.attribution.best_first import Branches, Expand
from contagion.attribution.chain import Chain, Moves, moves, onward, visits
from contagion.attribution.listing import EXPANSIONS, FLOOR, Listing, largest
from contagion.kernels.inputs import Floats

__all__ = ["loop_erased_paths"]

LONG = 32
"""Entities on a prefix from which one solve is cheaper than a determinant for each of them."""


def loop_erased_paths(chain: Chain, k: int, *, floor: float = FLOOR, expansions: int = EXPANSIONS) -> Listing:
    """Return the k largest loop-erased simple paths of a chain, and exactly what they leave.

    The weight of a path γ is what the walks carry that become γ when their loops are erased in the order in which they
    close: source · ΠP · Π gain · share borne at its end, the gain of a node being the expected visits to it of a walk
    that avoids the nodes before it on the path; Π gain = det(I − P without γ)/det(I − P) (Lawler 1999; Marchal 2000).
    Weights of all simple paths, those of one node included, sum to the target exactly. All paths that start with a
    prefix and go on from its end i to J weigh source · ΠP · Π gain · P_Ji · h(J) together, with h the probability to be
    borne before any node of the prefix is hit; so the weight of what is not listed is known at every moment.

    With flows of both signs the identity holds too, but weights may be negative: prefixes are then taken by what flows
    into their last node.

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
    Listing
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
    >>> [(path.nodes, round(path.usd, 9), [round(gain, 4) for gain in path.gains]) for path in found.walks]
    [((0,), 2.0, [1.3333]), ((0, 1), 1.0, [1.3333, 1.0])]
    """
    walk = moves(chain)
    row = visits(walk.move)
    return largest(walk, _expand(walk, row), k, floor, expansions, lambda nodes: _gains(row, nodes))


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

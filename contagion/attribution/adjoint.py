"""The adjoint of the loss graph: how much of a target passes through every unknown.

With W_ij = a_ij/u_i, which has no units and the eigenvalues of M, throughput T = u∘y solves T = W'T + v∘u. Unknowns of
accounts cause each other in one order only, so they are eliminated in one pass; what is left is a system of the size of
markets and nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from contagion import holdings
from contagion.attribution.graph import HUBS, INNER, PASS, TYPES, Block, Graph
from contagion.kernels.inputs import Floats

if TYPE_CHECKING:
    from scipy import sparse

__all__ = ["Stability", "flow_of", "flows", "passed", "reduced", "stability", "throughput"]

_STEPS = {"need": 1, "lam": 1, "flow": 0, "eta": 1, "loss": 1, "short": 1}
"""Edges that lead to an unknown; sales pass through flows on the way from λ to a price, which is one edge of M."""

_LONGEST = 3
"""Unknowns of accounts between two hubs, at most: need, λ, and one of η, ℓ, β."""

_REVALUED = ("theta", "node", "short", "loss", "flow", "lam", "need", "eta", "price", "sale")
"""Types in an order in which edges that only revalue a loss lead from later to earlier ones."""

_DENSE = 400


class Stability(NamedTuple):
    """What decides whether shares may be read one by one."""

    spectral_radius: float  # ρ(M)
    determinant_sign: float  # of det(I − M)

    @property
    def readable(self) -> bool:
        """Whether walks converge and no pole has been passed."""
        return self.spectral_radius < 1.0 and self.determinant_sign > 0.0


def reduced(graph: Graph) -> list[sparse.csr_array]:
    """Return what is left of W between hubs when accounts are eliminated, by the unknowns on the way (0 to 3)."""
    offsets, size = _offsets(graph)
    found: dict[str, list[Any]] = {}
    for kind in TYPES:
        into: list[Any] = [None] * (_LONGEST + 1)
        leads_on = _leads_on(graph, kind) / graph.scale[kind]
        for block in graph.blocks:
            if block.effect != kind:
                continue
            weights = holdings.scaled(block.amounts, leads_on)
            weights.eliminate_zeros()
            for steps, matrix in enumerate(_causes(weights, block.cause, found, offsets, size)):
                if matrix is not None and matrix.nnz:
                    into[steps] = matrix if into[steps] is None else into[steps] + matrix
        own = _STEPS.get(kind, 0)
        found[kind] = [None] * own + into[: len(into) - own]
    shape = {kind: (graph.value[kind].size, size) for kind in HUBS}
    return [
        _stacked([holdings.empty(shape[kind]) if found[kind][n] is None else found[kind][n] for kind in HUBS])
        for n in range(_LONGEST + 1)
    ]


def _causes(
    weights: sparse.csr_array, cause: str, found: Mapping[str, list[Any]], offsets: Mapping[str, int], size: int
) -> Iterable[Any]:
    """Return weights in terms of hubs, by the unknowns passed: a hub's own columns, or what an account passes on."""
    if cause not in HUBS:
        return [None if matrix is None else (weights @ matrix).tocsr() for matrix in found[cause]]
    row, column, value = holdings.entries(weights)
    return [holdings.gathered(value, row, offsets[cause] + column, (weights.shape[0], size))]


def _leads_on(graph: Graph, kind: str) -> Floats:
    """Return 1 for unknowns that cause something; all hubs do."""
    leads = np.full(graph.value[kind].size, float(kind in HUBS))
    for block in graph.blocks:
        if block.cause == kind:
            leads[block.amounts.indices] = 1.0
    return leads


def _offsets(graph: Graph) -> tuple[dict[str, int], int]:
    sizes = [graph.value[kind].size for kind in HUBS]
    ends = np.cumsum(sizes).tolist()
    return dict(zip(HUBS, [0, *ends[:-1]], strict=True)), ends[-1]


def _stacked(rows: list[sparse.csr_array]) -> sparse.csr_array:
    from scipy import sparse  # loaded where it is used: it would double the import time of the package

    found: sparse.csr_array = sparse.vstack(rows, format="csr")
    return found


def throughput(graph: Graph, between: list[sparse.csr_array], target: Mapping[str, Floats]) -> dict[str, Floats]:
    """Return T by type; ``between`` is `reduced`, and ``target`` holds weights times values, v∘u, by type."""
    from scipy.sparse import eye_array, linalg  # loaded where it is used: it would double the import time

    offsets, size = _offsets(graph)
    inner = _backward(graph, INNER[::-1], target, {})
    right = np.concatenate([target.get(kind, 0.0) + _back(graph, kind, inner) for kind in HUBS])
    solved = linalg.splu((eye_array(size) - _sum(between).T).tocsc()).solve(right) if size else right
    hubs = {kind: solved[offsets[kind] : offsets[kind] + graph.value[kind].size] for kind in HUBS}
    return _backward(graph, INNER[::-1], target, hubs)


def passed(graph: Graph, target: Mapping[str, Floats]) -> dict[str, Floats]:
    """Return what of a target reaches every unknown by edges that only revalue a loss into its bearer."""
    revaluing = graph._replace(blocks=tuple(block for block in graph.blocks if block.kind in PASS))
    return _backward(revaluing, _REVALUED, target, {})


def _backward(
    graph: Graph, order: Iterable[str], target: Mapping[str, Floats], known: Mapping[str, Floats]
) -> dict[str, Floats]:
    """Return v∘u + W'T of types in an order in which none causes a later one, given T of others."""
    found = dict(known)
    for kind in order:
        found[kind] = target.get(kind, 0.0) + _back(graph, kind, found)
    return found


def _back(graph: Graph, kind: str, through: Mapping[str, Floats]) -> Floats:
    """Return (W'T) of one type, as far as T of the effects is given."""
    total = np.zeros(graph.value[kind].size)
    for block in graph.blocks:
        if block.cause == kind and block.effect in through:
            total += block.amounts.T @ (through[block.effect] / graph.scale[block.effect])
    return total


def _sum(matrices: list[sparse.csr_array]) -> sparse.csr_array:
    total = matrices[0]
    for matrix in matrices[1:]:
        total = total + matrix
    return total


def flow_of(graph: Graph, block: Block, through: Mapping[str, Floats]) -> float:
    """Return what flows over all edges of a block, Σ u_j·M_ij·y_i."""
    adjoint = through[block.effect] / graph.scale[block.effect]
    return float(adjoint @ (block.amounts @ graph.ratio(block.cause)))


def flows(graph: Graph, block: Block, through: Mapping[str, Floats]) -> sparse.csr_array:
    """Return what flows over each edge of a block, u_j·M_ij·y_i, as a matrix (effects, causes)."""
    adjoint = through[block.effect] / graph.scale[block.effect]
    return holdings.scaled(block.amounts, adjoint, graph.ratio(block.cause))


def stability(between: list[sparse.csr_array]) -> Stability:
    """Return ρ(M) and the sign of det(I − M), from what is left of M between hubs.

    An eigenvector of M to s ≠ 0 fulfils s·x = Σ_d K_d·x/s^d at the hubs, d unknowns of accounts passed on the way: a
    polynomial eigenvalue problem, and its companion matrix has the eigenvalues of M.
    """
    from scipy.sparse import block_array, csr_array, eye_array

    size = between[0].shape[0]
    if size == 0:
        return Stability(0.0, 1.0)
    below: list[list[Any]] = [
        [eye_array(size) if d == n else None for d in range(len(between))] for n in range(len(between) - 1)
    ]
    companion = csr_array(block_array([list(between), *below]))
    return Stability(_radius(companion), _determinant_sign(eye_array(size) - _sum(between)))


def _radius(matrix: Any) -> float:
    from scipy.sparse import linalg

    if matrix.shape[0] <= _DENSE:
        return float(np.abs(np.linalg.eigvals(matrix.toarray())).max())
    start = np.ones(matrix.shape[0])
    return float(np.abs(linalg.eigs(matrix, k=1, which="LM", v0=start, return_eigenvectors=False))[0])


def _determinant_sign(matrix: Any) -> float:
    from scipy.sparse import linalg

    factor = linalg.splu(matrix.tocsc())
    sign = _parity(factor.perm_r) * _parity(factor.perm_c)
    return float(sign * np.prod(np.sign(factor.U.diagonal())))


def _parity(order: np.ndarray) -> int:
    """Return 1 for an even permutation, -1 for an odd one."""
    seen, sign = np.zeros(order.size, dtype=np.bool_), 1
    for first in range(order.size):
        length, place = 0, first
        while not seen[place]:
            seen[place] = True
            place = int(order[place])
            length += 1
        if length % 2 == 0 and length:
            sign = -sign
    return sign

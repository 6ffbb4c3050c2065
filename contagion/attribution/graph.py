"""The loss graph: unknowns of the solution, and what each of them was caused by.

Every unknown is a node with a value u; its row says which amounts of it came from which other unknowns and sources, so
that u_i = Σ_j a_ij + c_i. Amounts are in the unit of the effect, so one array holds them however the units of causes
differ: a_ij = M_ij·u_j.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from contagion import holdings
from contagion.kernels.inputs import Bools, Floats

if TYPE_CHECKING:
    from scipy import sparse

__all__ = ["HUBS", "INNER", "PASS", "TYPES", "Block", "Graph", "Source", "assembled"]

INNER = ("need", "lam", "flow", "eta", "loss", "short")
"""Unknowns of accounts, quotes and order flow, in the order in which they cause each other: cash that a called account
needs, liquidated share, sales that reach a market, share of a quote withdrawn, loss of the owner, deficit.
"""

HUBS = ("price", "sale", "theta", "node")
"""Unknowns through which everything feeds back: log drop of a price, log drop of what sellers get, haircut, loss."""

TYPES = (*INNER, *HUBS)

PASS = ("mark", "proceeds", "owned", "haircut")
"""Kinds of edges that revalue a loss into its bearer; every other kind is a channel."""


class Block(NamedTuple):
    """Edges of one kind between two types of unknowns."""

    effect: str
    cause: str
    kind: str
    amounts: sparse.csr_array  # (effects, causes) in the unit of the effect; per `Graph.scale` of a flow


class Source(NamedTuple):
    """What one source adds to unknowns of one type."""

    name: str
    effect: str
    amounts: Floats  # (effects,)


class Graph(NamedTuple):
    """The whole loss graph.

    A flow of sales may be zero on balance while accounts sell and buy; its ``scale`` is therefore what goes through it
    gross, and that of every other unknown is its value (1 where it is zero, and no edge leads there).
    """

    value: dict[str, Floats]  # u by type
    scale: dict[str, Floats]
    blocks: tuple[Block, ...]
    sources: tuple[Source, ...]

    def ratio(self, cause: str) -> Floats:
        """Return value over scale: what amounts of this cause are to be multiplied with."""
        return self.value[cause] / self.scale[cause]


def assembled(value: dict[str, Floats], flow: Floats, blocks: list[Block], sources: list[Source]) -> Graph:
    """Return the graph of unknowns that are not zero; rows of others are left out."""
    scale = {name: np.where(u == 0.0, 1.0, u) for name, u in value.items()}
    scale["flow"] = np.where(flow == 0.0, 1.0, flow)
    there = {name: u != 0.0 for name, u in value.items()} | {"flow": flow != 0.0}
    kept = [block._replace(amounts=_rows(block.amounts, there[block.effect])) for block in blocks]
    found = [source._replace(amounts=np.where(there[source.effect], source.amounts, 0.0)) for source in sources]
    return Graph(
        value,
        scale,
        tuple(block for block in kept if block.amounts.nnz),
        tuple(source for source in found if source.amounts.any()),
    )


def _rows(matrix: sparse.csr_array, there: Bools) -> sparse.csr_array:
    """Return a matrix without the entries that are zero or stand in rows to be left out."""
    keep = matrix.data != 0.0
    if not there.all():
        keep &= np.repeat(there, np.diff(matrix.indptr))
    return holdings.chosen(matrix, keep)

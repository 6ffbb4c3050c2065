"""The whole loss graph of a solution."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from contagion import holdings
from contagion.attribution.accounts import Actions, actions, needs
from contagion.attribution.graph import Block, Graph, Source, assembled
from contagion.attribution.losses import account_rows, fallen, node_rows
from contagion.attribution.prices import gross_flow, price_rows, sales
from contagion.attribution.state import Terminal
from contagion.kernels.inputs import Bools, Floats, ratio

if TYPE_CHECKING:
    from scipy import sparse

__all__ = ["LossGraph", "loss_graph"]

_RATCHETED = ("lam", "eta", "theta")


class LossGraph(NamedTuple):
    """The loss graph, and what hedges softened."""

    graph: Graph
    mitigated: dict[str, Floats]  # by type: what hedges gave back per dollar lost to adverse causes


def loss_graph(t: Terminal, layers: bool = False) -> LossGraph:
    """Return the loss graph of a terminal state.

    Of several rules that ask for the sale of one account, the first that binds is its cause; they share it in layers if
    ``layers``, and in any case where binding rules alone would leave a circle that no source reaches: a shock sells a
    in part, that sale calls b, and b's call for cash then sells a in full. What no rule explains even so (a hedged
    book whose own closing keeps the price where it had to be) the ratchet holds: it is an overshoot.
    """
    sold, need, found = sales(t), needs(t), fallen(t)
    rows = [price_rows(t, sold), account_rows(found)]
    of_nodes, losses, loss = node_rows(t, found)
    blocks = [block for made, _ in rows for block in made] + of_nodes
    sources = [source for _, made in rows for source in made] + losses
    value = {
        "need": need,
        "lam": t.lam,
        "flow": holdings.sums(sold, 1),
        "eta": t.eta,
        "loss": found.loss,
        "short": found.short,
        "price": t.drop,
        "sale": t.paid_drop,
        "theta": t.theta,
        "node": loss,
    }

    def graph_with(made: Actions) -> Graph:
        flows = _flows(sold, made.voluntary, t.lam)
        return assembled(value, gross_flow(sold), [*made.blocks, *flows, *blocks], [*made.sources, *sources])

    layered, layered_quotes = np.full(t.lam.size, layers), np.full(t.eta.size, layers)
    made = actions(t, need, layered, layered_quotes)
    graph = graph_with(made)
    lost = unreached(graph)
    if not layers and (lost["lam"].any() or lost["eta"].any()):
        made = actions(t, need, layered | lost["lam"], layered_quotes | lost["eta"])
        graph = graph_with(made)
        lost = unreached(graph)
    mitigated = {kind: made.mitigated[kind] / graph.scale[kind] for kind in made.mitigated}
    return LossGraph(_held(graph, lost), mitigated)


def _flows(sold: sparse.csr_array, voluntary: Floats, lam: Floats) -> list[Block]:
    """Return the rows of sales that reach markets, by whether the owner or the platform decided."""
    share = ratio(voluntary, lam, empty=0.0)
    return [
        Block("flow", "lam", "forced sale", holdings.scaled(sold, columns=1.0 - share)),
        Block("flow", "lam", "voluntary sale", holdings.scaled(sold, columns=share)),
    ]


def unreached(graph: Graph) -> dict[str, Bools]:
    """Return the unknowns that are not zero and that no source reaches."""
    reached = {kind: np.zeros(u.size, dtype=np.bool_) for kind, u in graph.value.items()}
    for source in graph.sources:
        reached[source.effect] |= source.amounts != 0.0
    count, before = sum(int(found.sum()) for found in reached.values()), -1
    edges = [holdings.pattern(block.amounts) for block in graph.blocks]
    while count > before:
        before = count
        for block, leads in zip(graph.blocks, edges, strict=True):
            reached[block.effect] |= leads @ reached[block.cause]
        count = sum(int(found.sum()) for found in reached.values())
    return {kind: (graph.value[kind] != 0.0) & ~reached[kind] for kind in reached}


def _held(graph: Graph, lost: dict[str, Bools]) -> Graph:
    """Return the graph in which the ratchet is the source of the λ, η, θ that nothing reaches."""
    sources, blocks = list(graph.sources), list(graph.blocks)
    for kind in _RATCHETED:
        if lost[kind].any():
            sources.append(Source("overshoot", kind, np.where(lost[kind], graph.value[kind], 0.0)))
            keep = (~lost[kind]).astype(np.float64)
            blocks = [
                block._replace(amounts=holdings.scaled(block.amounts, keep)) if block.effect == kind else block
                for block in blocks
            ]
    return graph._replace(sources=tuple(sources), blocks=tuple(blocks))

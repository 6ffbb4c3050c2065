"""What a diagram shows, before it is text: boxes, edges and words."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contagion import holdings
from contagion.arrays import Labels
from contagion.kernels import Inputs
from contagion.kernels.accounts import Lines
from contagion.kernels.inputs import Floats
from contagion.system import System

__all__ = ["SUMS", "Arrow", "Picture", "arrows", "edges", "entities", "from_matrix", "members", "summed"]

SUMS = ("members", "gross", "held", "base", "lost", "sold", "deficit", "owed", "cut", "thinned", "depth", "passed")
"""Columns of boxes that add up when boxes are folded into one: members; gross assets; collateral and perps held; base
and lost, whose ratio is the share lost; USD sold; bad debt; liabilities and what was cut of them; depth gone and depth
at the opening; share of the loss that passes, each time it passes.
"""


class Picture(NamedTuple):
    """Boxes and edges of a diagram.

    ``boxes`` has name, kind (exchange, protocol, institution, market, group, shock), type (node, market, group,
    shock), domain, home (platform or venue), asset, sort (what it is called when it is folded with its likes), column
    (place from left to right), first (round, 0 for shocked, NaN for never), note and the columns of `SUMS`.
    ``edges`` has cause and effect (rows of boxes), channel and usd; of a solution flow too, the share of the loss that
    takes this way; of a causal chain told too, whether to point it out.
    """

    boxes: pd.DataFrame
    edges: pd.DataFrame
    title: str
    subtitle: str
    solved: bool
    columns: tuple[str, ...] = ()  # headings, left to right
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()  # below the title


class Arrow(NamedTuple):
    """One edge of a picture."""

    cause: int
    effect: int
    channel: str
    usd: float
    flow: float = 0.0
    told: bool = False


def arrows(edges: pd.DataFrame) -> list[Arrow]:
    """Return edges one by one, in their order."""
    ends = (edges["cause"].tolist(), edges["effect"].tolist())
    more = [edges[name].tolist() for name in ("flow", "told") if name in edges]
    return [Arrow(*row) for row in zip(*ends, edges["channel"].tolist(), edges["usd"].tolist(), *more, strict=True)]


def members(system: System, inputs: Inputs, labels: Labels, most: int) -> holdings.Groups:
    """Return the accounts one by one if everything fits into ``most`` boxes, else by group and platform."""
    grouped = holdings.groups(system, inputs, labels)
    count = len(labels.accounts)
    if len(labels.nodes) + len(labels.markets) + count > most:
        return grouped
    each = np.arange(count)
    return holdings.Groups(
        labels.accounts, grouped.group.take(grouped.member), inputs.accounts.platform, each.astype(np.int64)
    )


def entities(system: System, inputs: Inputs, labels: Labels, grouped: holdings.Groups, opening: Lines) -> pd.DataFrame:
    """Return one box for each node, market and account group, in this order, with gross assets at the opening."""
    domain = system.nodes.set_index("node")["domain"].reindex(labels.nodes).to_numpy(dtype=object)
    hosted = np.bincount(inputs.accounts.platform, opening.gross, minlength=len(labels.nodes))
    lent = holdings.sums(inputs.nodes.claims, 1)
    traded = holdings.sums(holdings.opening_value(inputs.positions, inputs.markets.price, holdings.ASSETS), 0)
    parts = [
        _nodes(system, labels, hosted + lent + inputs.nodes.buffer),
        _markets(system, labels, domain, traded),
        {
            "name": grouped.names if grouped.names is labels.accounts else grouped.group,
            "kind": "group",
            "type": "group",
            "domain": domain[grouped.platform],
            "home": labels.nodes.to_numpy(dtype=object)[grouped.platform],
            "asset": "",
            "sort": "other accounts",
            "members": grouped.total(np.ones(grouped.member.size)),
            "gross": grouped.total(opening.gross),
        },
    ]
    boxes = pd.concat([pd.DataFrame(part) for part in parts], ignore_index=True)
    return boxes.assign(**dict.fromkeys(SUMS[2:], 0.0), column=0, first=np.nan, note="")


def _nodes(system: System, labels: Labels, gross: Floats) -> dict[str, Any]:
    nodes = system.nodes.set_index("node").reindex(labels.nodes)
    return {
        "name": labels.nodes,
        "kind": nodes["kind"].to_numpy(dtype=object),
        "type": "node",
        "domain": nodes["domain"].to_numpy(dtype=object),
        "home": "",
        "asset": "",
        "sort": [f"other {kind}s" for kind in nodes["kind"]],
        "members": 1.0,
        "gross": gross,
    }


def _markets(system: System, labels: Labels, domain: NDArray[np.object_], gross: Floats) -> dict[str, Any]:
    markets = system.markets.set_index("market").reindex(labels.markets)
    kinds = system.assets.set_index("asset")["kind"].reindex(markets["asset"])
    return {
        "name": labels.markets,
        "kind": "market",
        "type": "market",
        "domain": domain[labels.nodes.get_indexer(pd.Index(markets["venue"]))],
        "home": markets["venue"].to_numpy(dtype=object),
        "asset": markets["asset"].to_numpy(dtype=object),
        "sort": [f"{kind}s".replace("_", " ").replace("others", "other tokens") for kind in kinds],
        "members": 1.0,
        "gross": gross,
    }


def edges(channel: str, cause: Any, effect: Any, usd: Any) -> pd.DataFrame:
    """Return the edges of one channel; those without money are none."""
    frame = pd.DataFrame({"cause": cause, "effect": effect, "channel": channel, "usd": usd})
    return frame[frame["usd"] > 0.0].astype({"cause": "int64", "effect": "int64", "usd": "float64"})


def from_matrix(channel: str, matrix: Any, rows: int, columns: int, transposed: bool = False) -> pd.DataFrame:
    """Return the edges in a matrix from boxes ``rows``… to boxes ``columns``…; the other way round if transposed."""
    row, column, usd = holdings.entries(matrix)
    first, second = rows + row, columns + column
    return edges(channel, second if transposed else first, first if transposed else second, usd)


def summed(frame: pd.DataFrame) -> pd.DataFrame:
    """Return edges with those between the same boxes through the same channel put together."""
    amounts = [name for name in ("usd", "flow") if name in frame]
    return frame.groupby(["cause", "effect", "channel"], sort=True)[amounts].sum().reset_index()

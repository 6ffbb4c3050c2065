"""What of the loss passes through the boxes and along the arrows of a cascade: conserved flows of the attribution."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from contagion import holdings
from contagion.attribution import attribute
from contagion.kernels.inputs import Floats
from contagion.solution import Solution, unforced

__all__ = ["Passing", "passing"]

_CHANNEL = {
    "forced sale": "liquidation",
    "voluntary sale": "sale",
    "depth": "quote",
    "claims": "claim",
    "issuer": "peg",
    "own shock": "shock",
    "external": "shock",
}
"""Channel of an arrow by the kind of flow, where they have different names."""

_HELD = ("mark", "proceeds", "liquidation", "call", "deleveraging", "stop_loss", "withdrawal")
"""Flows from a price to accounts: they share the arrows of what these hold there."""

_HOLDINGS = ("collateral", "perp", "unseen")


class Passing(NamedTuple):
    """Shares of the loss."""

    boxes: Floats  # (b,) each time it passes, for nodes, markets and groups
    arrows: Floats  # (e,)


def passing(solution: Solution, grouped: holdings.Groups, arrows: pd.DataFrame) -> Passing:
    """Return what passes through nodes, markets and groups, numbered in this order, and along arrows between them.

    Nothing where prices are beyond all numbers, nor at a greatest fixed point, of which no shock is the cause.
    """
    labels = solution.parts.labels
    size = len(labels.nodes) + len(labels.markets) + len(grouped.names)
    if unforced(solution) or not np.isfinite(solution.markets["price"]).all():
        return Passing(np.zeros(size), np.zeros(len(arrows)))
    found = attribute(solution)
    which = found.entities(("account",) if grouped.names is labels.accounts else ("group", "platform"))
    box = np.full(len(which.names), -1)  # a source has none
    box[which.of["node"]] = np.arange(len(labels.nodes))
    box[which.of["price"]] = len(labels.nodes) + np.arange(len(labels.markets))
    box[which.of["loss"]] = len(labels.nodes) + len(labels.markets) + grouped.member
    flows = found.flows_between(which)
    flows["effect"] = box[flows["effect"].to_numpy()]
    flows["cause"] = box[flows["cause"].to_numpy()]  # −1: a source, the box of the shock
    loss = found.total or 1.0
    boxes = np.bincount(flows["effect"], flows["usd"], minlength=size) / loss
    return Passing(boxes, _along(arrows, flows, size) / loss)


def _along(arrows: pd.DataFrame, flows: pd.DataFrame, shock: int) -> Floats:
    """Return the flow along each arrow; arrows of one pair and family share theirs in proportion to their money."""
    family = flows["channel"].map(lambda kind: "held" if kind in _HELD else _CHANNEL.get(kind, kind))
    cause = flows["cause"].where(flows["cause"] >= 0, shock)
    total = flows["usd"].groupby([cause, flows["effect"], family.rename("family")]).sum()
    of_arrow = arrows["channel"].map(lambda channel: "held" if channel in _HOLDINGS else channel)
    keys = pd.MultiIndex.from_arrays([arrows["cause"], arrows["effect"], of_arrow])
    alike = arrows["usd"].groupby([arrows["cause"], arrows["effect"], of_arrow]).transform("sum")
    share = (arrows["usd"] / alike).to_numpy(dtype=np.float64)
    found: Floats = total.reindex(keys).fillna(0.0).to_numpy(dtype=np.float64) * share
    return found

"""What is attributed: the loss, or what befell one group, platform, market or node."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from contagion import holdings
from contagion.attribution.graph import Graph
from contagion.attribution.state import Terminal
from contagion.errors import InputError
from contagion.frames.nodes import outside_liabilities
from contagion.kernels.inputs import Floats
from contagion.schema import near_misses

__all__ = ["Target", "target_of"]

_KINDS = {
    "equity": "an account, a group, or a group on a platform ('whale @ Aave')",
    "deficit": "a platform",
    "price": "a market",
    "haircut": "a node",
}


class Target(NamedTuple):
    """Weights times values, v∘u, by type, and the unit that they add up in."""

    amounts: dict[str, Floats]
    unit: str

    @property
    def total(self) -> float:
        """The whole target."""
        return float(sum(part.sum() for part in self.amounts.values()))


def target_of(name: str, t: Terminal, graph: Graph, grouped: holdings.Groups) -> Target:
    """Return the target of a name: "loss", or "equity:…", "deficit:…", "price:…", "haircut:…".

    Raises
    ------
    InputError
        If there is no such target.
    """
    if name == "loss":
        return Target(_loss(t, graph), "usd")
    kind, colon, which = name.partition(":")
    if kind not in _KINDS or not colon:
        options = ", ".join(f"'{kind}:…' ({what})" for kind, what in _KINDS.items())
        raise InputError(f"target {name!r}: is not known; give 'loss', {options}")
    labels, value = t.parts.labels, graph.value
    if kind == "equity":
        return Target({"loss": value["loss"] * _members(which, t, grouped)}, "usd")
    if kind == "deficit":
        here = t.parts.inputs.accounts.platform == _place(which, labels.nodes, "node", kind)
        return Target({"short": value["short"] * here}, "usd")
    index, word = (labels.markets, "market") if kind == "price" else (labels.nodes, "node")
    effect = "price" if kind == "price" else "theta"
    one = np.zeros(value[effect].size)
    place = _place(which, index, word, kind)
    # a log drop counts as its relative drop, so that causes of a price add up to what it fell
    one[place] = -np.expm1(-value[effect][place]) if kind == "price" else value[effect][place]
    return Target({effect: one}, "drop" if kind == "price" else "haircut")


def _loss(t: Terminal, graph: Graph) -> dict[str, Floats]:
    """Return where every dollar of the gross loss is counted, once."""
    nodes, lost = t.parts.inputs.nodes, graph.value["node"]
    beyond = np.maximum(0.0, lost - nodes.buffer - nodes.liabilities)
    return {
        "loss": np.where(t.parts.inputs.accounts.owner < 0, graph.value["loss"], 0.0),
        "node": np.minimum(lost, nodes.buffer) + beyond,
        "theta": outside_liabilities(t.parts) * t.theta,
    }


def _members(name: str, t: Terminal, grouped: holdings.Groups) -> Floats:
    """Return 1 for each account (a,) that a name stands for."""
    labels = t.parts.labels
    found = (grouped.names == name)[grouped.member] | (grouped.group == name)[grouped.member]
    alone = np.asarray(labels.accounts == name)
    if found.any() and alone.any() and (found != alone).any():
        where = grouped.names[grouped.member[alone]][0]
        raise InputError(
            f"target 'equity:{name}': {name!r} is an account (in {where!r}) and a group; rename one of them"
        )
    found |= alone
    if not found.any():
        _unknown("equity", name, _KINDS["equity"], [*grouped.names, *grouped.group.unique(), *labels.accounts[:1000]])
    return found.astype(np.float64)


def _place(name: str, index: pd.Index[str], word: str, kind: str) -> int:
    if name not in index:
        _unknown(kind, name, f"a {word}", list(index))
    return int(index.get_indexer(pd.Index([name]))[0])


def _unknown(kind: str, name: str, what: str, options: list[str]) -> None:
    raise InputError(f"target '{kind}:{name}': {name!r} is not {what}{near_misses(name, options)}")

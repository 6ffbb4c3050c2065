"""What is attributed: the loss, or what befell one group, platform, market or node."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import pandas as pd

from contagion import holdings
from contagion.attribution.graph import Graph
from contagion.attribution.state import Terminal
from contagion.errors import InputError, refuse
from contagion.frames.nodes import outside_liabilities
from contagion.kernels.inputs import Bools, Floats
from contagion.schema import near_misses
from contagion.system import System

__all__ = ["Target", "check_target", "target_of"]

_KINDS = {
    "equity": "an account, a group, or a group on a platform ('whale @ Aave')",
    "deficit": "a platform",
    "price": "a market",
    "haircut": "a node",
}


_NUMBER = re.compile(r" \(\d+\)$")


class Target(NamedTuple):
    """Weights times values, v∘u, by type, and the unit that they add up in."""

    amounts: dict[str, Floats]
    unit: str

    @property
    def total(self) -> float:
        """The whole target."""
        return float(sum(part.sum() for part in self.amounts.values()))


def check_target(target: object, system: System | None) -> list[str]:
    """Return what is wrong with a target, as far as the tables of a system tell; without them, its first word.

    So a word that is mistyped is found before a solve. Where two groups have one name, only the solution tells them
    apart, by a number; "whale @ Aave (2)" is known when "whale @ Aave" is.

    Examples
    --------
    >>> from contagion import datasets
    >>> check_target("price:Binance:BTX", datasets.load("october_2025")[0])
    ["target 'price:Binance:BTX': 'Binance:BTX' is not a market (did you mean 'Binance:BTC' or 'Binance:WBETH'?)"]
    """
    if not isinstance(target, str):
        return [f"target is {target!r}; give 'loss', or a word like 'price:Binance:BTC'"]
    kind, colon, name = target.partition(":")
    if target == "loss":
        return []
    if kind not in _KINDS or not colon:
        options = ", ".join(f"'{kind}:…' ({what})" for kind, what in _KINDS.items())
        near = near_misses(kind, ["loss", *(f"{kind}:" for kind in _KINDS)])
        return [f"target {target!r} is not known{near}; give 'loss', {options}"]
    if system is None:
        return []
    if kind == "equity":
        return _check_members(name, system)
    known = system.markets["market"] if kind == "price" else system.nodes["node"]
    return [] if (known == name).any() else [_unknown(kind, name, list(known))]


def _check_members(name: str, system: System) -> list[str]:
    """Return the problem of a name that stands for no accounts, or for an account and another group."""
    accounts = system.accounts
    inside = _inside(name, accounts)
    alone = (accounts["account"] == name).to_numpy()
    if inside.any() and alone.any() and (inside != alone).any():
        group, platform = accounts.loc[alone, ["group", "platform"]].iloc[0]
        where = f"{group} @ {platform}"
        return [f"target 'equity:{name}': {name!r} is an account (in {where!r}) and a group; rename one of them"]
    if inside.any() or alone.any() or _inside(_NUMBER.sub("", name), accounts).any():
        return []
    pairs = accounts[["group", "platform"]].drop_duplicates()
    joined = sorted(f"{group} @ {platform}" for group, platform in pairs.itertuples(index=False))
    return [_unknown("equity", name, [*joined, *sorted(pairs["group"].unique()), *sorted(accounts["account"][:1000])])]


def _inside(name: str, accounts: pd.DataFrame) -> Bools:
    """Return whether accounts (a,) are in a group of this name, on any platform or on the one that it names."""
    found = accounts["group"] == name
    words = name.split(" @ ")
    for at in range(1, len(words)):
        group, platform = (" @ ".join(part) for part in (words[:at], words[at:]))
        found |= (accounts["group"] == group) & (accounts["platform"] == platform)
    return found.to_numpy(dtype=np.bool_)


def target_of(name: str, t: Terminal, graph: Graph, grouped: holdings.Groups) -> Target:
    """Return the target of a name: "loss", or "equity:…", "deficit:…", "price:…", "haircut:…".

    Raises
    ------
    InputError
        If there is no such target.
    """
    if name == "loss":
        return Target(_loss(t, graph), "usd")
    refuse(check_target(name, t.parts.system), "target")
    kind, _, which = name.partition(":")
    labels, value = t.parts.labels, graph.value
    if kind == "equity":
        return Target({"loss": value["loss"] * _members(which, t, grouped)}, "usd")
    if kind == "deficit":
        here = t.parts.inputs.accounts.platform == _place(which, labels.nodes)
        return Target({"short": value["short"] * here}, "usd")
    index = labels.markets if kind == "price" else labels.nodes
    effect = "price" if kind == "price" else "theta"
    one = np.zeros(value[effect].size)
    place = _place(which, index)
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
    found = (grouped.names == name)[grouped.member] | (grouped.group == name)[grouped.member]
    found |= np.asarray(t.parts.labels.accounts == name)
    if not found.any():
        raise InputError(_unknown("equity", name, [*grouped.names]))
    return found.astype(np.float64)


def _place(name: str, index: pd.Index[str]) -> int:
    return int(index.get_indexer(pd.Index([name]))[0])


def _unknown(kind: str, name: str, options: list[str]) -> str:
    return f"target '{kind}:{name}': {name!r} is not {_KINDS[kind]}{near_misses(name, options)}"

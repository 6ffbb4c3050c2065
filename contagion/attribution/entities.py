"""From unknowns to entities: account groups, markets and nodes, and the scenario's sources."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Set
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
import pandas as pd

from contagion import holdings
from contagion.attribution.adjoint import flows
from contagion.attribution.graph import Graph
from contagion.errors import refuse, texts
from contagion.frames import Parts
from contagion.kernels.inputs import Floats, Ints, sum_by
from contagion.schema import near_misses

if TYPE_CHECKING:
    from scipy import sparse

__all__ = ["COLUMNS", "Entities", "check_by", "edges", "entities", "injected", "members"]

COLUMNS = ("account", "owner", "group", "platform", "mode")
"""Columns of accounts by which they may be grouped."""

_OF_SOURCES = {"shock": "own shock", "depth": "depth", "loss": "external"}
"""The channel of a source by the first word of its name; `opening` and `overshoot` are their own."""


class Entities(NamedTuple):
    """Sources, account groups, markets and nodes, numbered in this order; and the entity of each unknown, by type."""

    names: pd.Index[str]  # (e,)
    types: pd.Index[str]  # (e,) source, group, market, node
    sources: tuple[str, ...]
    of: dict[str, Ints]

    def matrix(self, kind: str) -> sparse.csr_array:
        """Return the matrix (e, unknowns) that adds up unknowns of one type by entity."""
        of = self.of[kind]
        return holdings.gathered(np.ones(of.size), of, np.arange(of.size), (len(self.names), of.size))

    def total(self, kind: str, values: Floats) -> Floats:
        """Return the sums (e,) of values of the unknowns of one type."""
        return sum_by(self.of[kind], values, len(self.names))


def check_by(by: object) -> list[str]:
    """Return what is wrong with the columns by which accounts are to be grouped.

    Examples
    --------
    >>> check_by(["grup", "platform"])
    ["by holds 'grup' (did you mean 'group'?); give some of account, owner, group, platform, mode"]
    """
    if isinstance(by, Set | Mapping):
        return [f"by is {by!r}, which has no order; give a list of columns"]
    if problems := texts("by", by, "columns"):
        return problems
    columns = list(cast("Collection[str]", by))
    if not columns:
        return [f"by is empty; give some of {', '.join(COLUMNS)}"]
    wrong = dict.fromkeys(name for name in columns if name not in COLUMNS)
    twice = dict.fromkeys(name for name in columns if columns.count(name) > 1 and name in COLUMNS)
    named = ", ".join(f"{name!r}{near_misses(name, COLUMNS)}" for name in wrong)
    return ([f"by holds {named}; give some of {', '.join(COLUMNS)}"] if wrong else []) + [
        f"by holds {name!r} more than once; give each column once" for name in twice
    ]


def members(parts: Parts, by: tuple[str, ...]) -> tuple[pd.Index[str], Ints]:
    """Return the names of account groups by columns of accounts ("whale @ Aave"), and the group of each account (a,).

    Raises
    ------
    InputError
        If a column is not one of `COLUMNS`, or there is none.
    """
    refuse(check_by(by), "by")
    if by == ("group", "platform"):
        grouped = holdings.groups(parts.system, parts.inputs, parts.labels)
        return grouped.names, grouped.member
    accounts = parts.system.accounts.take(parts.labels.account_rows)
    owner = accounts["owner"].where(accounts["owner"] != "", accounts["account"])
    joined = accounts.assign(owner=owner)[by[0]].astype("str")
    for name in by[1:]:
        joined = joined + " @ " + accounts.assign(owner=owner)[name].astype("str")
    codes, found = pd.factorize(joined, sort=True)
    names = pd.Index(found, dtype="str")
    taken = names.isin(parts.labels.nodes) | names.isin(parts.labels.markets)
    return names.where(~taken, "accounts of " + names), codes.astype(np.int64)


def entities(parts: Parts, graph: Graph, by: tuple[str, ...] = ("group", "platform")) -> Entities:
    """Return the entities of a system, its accounts grouped by columns of the table of accounts."""
    groups, member = members(parts, by)
    sources = tuple(dict.fromkeys(source.name for source in graph.sources))
    labels = parts.labels
    sizes = (len(sources), len(groups), len(labels.markets), len(labels.nodes))
    first = np.cumsum((0, *sizes))
    group, market = first[1] + member, first[2] + np.arange(sizes[2])
    node, quoting = first[3] + np.arange(sizes[3]), group[parts.inputs.quotes.account]
    of = dict.fromkeys(("need", "lam", "loss", "short"), group) | dict.fromkeys(("flow", "price", "sale"), market)
    return Entities(
        pd.Index([*sources, *groups, *labels.markets, *labels.nodes], dtype="str"),
        pd.Index(np.repeat(["source", "group", "market", "node"], sizes), dtype="str"),
        sources,
        of | {"eta": quoting, "theta": node, "node": node},
    )


def edges(graph: Graph, through: Mapping[str, Floats], which: Entities) -> pd.DataFrame:
    """Return what flows between entities by kind of edge: cause, effect (numbers of entities), channel, usd.

    What stays inside an entity (an account's own costs, a call that another account of the group meets) is left out.
    """
    frames = []
    for kind in dict.fromkeys(block.kind for block in graph.blocks):
        parts = [
            which.matrix(block.effect) @ flows(graph, block, through) @ which.matrix(block.cause).T
            for block in graph.blocks
            if block.kind == kind
        ]
        effect, cause, usd = holdings.entries(sum(parts[1:], parts[0]))
        frames.append(pd.DataFrame({"cause": cause, "effect": effect, "channel": kind, "usd": usd}))
    frames.append(injected(graph, through, which))
    found = pd.concat(frames, ignore_index=True)
    return found[(found["usd"] != 0.0) & (found["cause"] != found["effect"])].reset_index(drop=True)


def injected(graph: Graph, through: Mapping[str, Floats], which: Entities) -> pd.DataFrame:
    """Return what sources put into entities, in the form of `edges`."""
    size = len(which.names)
    into = {name: np.zeros(size) for name in which.sources}
    for source in graph.sources:
        usd = source.amounts * through[source.effect] / graph.scale[source.effect]
        into[source.name] += which.total(source.effect, usd)
    frames = [pd.DataFrame({"cause": np.zeros(0, int), "effect": np.zeros(0, int), "channel": "", "usd": np.zeros(0)})]
    for number, (name, usd) in enumerate(into.items()):
        at = np.flatnonzero(usd)
        frames.append(pd.DataFrame({"cause": number, "effect": at, "channel": channel_of(name), "usd": usd[at]}))
    return pd.concat(frames, ignore_index=True)


def channel_of(source: str) -> str:
    """Return the channel of a source by its name."""
    return _OF_SOURCES.get(source.partition(":")[0], source)

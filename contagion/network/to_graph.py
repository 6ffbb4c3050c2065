"""From tables to a graph."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd

from contagion import schema
from contagion.errors import InputError
from contagion.network.layout import DERIVED, ENDS, EXTRA, KINDS, OWN, SHOWN, more
from contagion.network.money import usd

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["Tables", "to_networkx"]


class Tables(Protocol):
    """Anything with the twelve tables, such as a `contagion.System`."""

    def tables(self) -> Iterator[tuple[str, pd.DataFrame]]:
        """Return the tables by name."""


Keys = dict[str, dict[str, str]]
"""Graph node of each name, by table."""


def to_networkx(system: Tables) -> nx.MultiDiGraph[str]:
    """Return a directed multigraph with every row of a system; see `contagion.network` for its nodes and edges.

    Raises
    ------
    InputError
        If a row refers to a name that is not listed, so that there is nothing to draw the edge to.

    Examples
    --------
    >>> from contagion import System
    >>> import pandas as pd
    >>> claims = pd.DataFrame({"creditor": ["fund"], "debtor": ["bank"], "amount": [5.0]})
    >>> graph = System(nodes=pd.DataFrame({"node": ["bank", "fund"]}), claims=claims).to_networkx()
    >>> [(a, b, edge["kind"], edge["amount"]) for a, b, edge in graph.edges(data=True)]
    [('fund', 'bank', 'claim', 5.0)]
    """
    import networkx as nx

    frames = dict(system.tables())
    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    extra = {table: _extra_dtypes(table, frame) for table, frame in frames.items()}
    if any(extra.values()):
        graph.graph[EXTRA] = json.dumps({table: dtypes for table, dtypes in extra.items() if dtypes})
    keys: Keys = {}
    for table, key in schema.KEYS.items():
        names = frames[table][key].tolist()
        own = _graph_keys(table, names, graph)
        keys[table] = dict(zip(reversed(names), reversed(own), strict=True))
        kind = frames[table]["kind"] if table in ("nodes", "assets") else [table.removesuffix("s")] * len(names)
        described = zip(own, names, kind, _rows(table, frames[table]), strict=True)
        graph.add_nodes_from((node, {**row, "kind": what, "name": name}) for node, name, what, row in described)
    problems: list[str] = []
    for table in ENDS:
        graph.add_edges_from(_edges(table, frames, keys, problems))
    if problems:
        raise InputError(problems, "system")
    graph.add_edges_from(_derived_edges(frames, keys))
    return graph


def _graph_keys(table: str, names: list[str], graph: nx.MultiDiGraph[str]) -> list[str]:
    """Return a key for each row that no other row has: the name, if an earlier table does not use it."""
    prefix = table.removesuffix("s") + ":"
    taken = set(graph)
    plain = set(names) - taken
    keys = []
    for name in names:
        key = name
        if key in taken:
            while key in taken or key in plain:
                key = prefix + key
        taken.add(key)
        keys.append(key)
    return keys


def _extra_dtypes(table: str, frame: pd.DataFrame) -> dict[str, str]:
    known = schema.columns(table)
    return {str(name): str(frame[name].dtype) for name in frame.columns if name not in known}


def _attribute(table: str, column: str) -> str:
    """Return the attribute of a column; the prefix keeps columns outside the schema apart from what is not a column."""
    extra = column not in schema.columns(table)
    return f"{table}.{column}" if extra and (column in OWN or column.startswith(f"{table}.")) else column


def _rows(table: str, frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the cells of each row by attribute, with the table and the number of the row."""
    names = [_attribute(table, str(name)) for name in frame.columns]
    columns = [frame[name].tolist() for name in frame.columns]
    cells = zip(*columns, strict=True)
    return [dict(zip(names, row, strict=True), table=table, row=number) for number, row in enumerate(cells, start=1)]


def _edges(
    table: str, frames: dict[str, pd.DataFrame], keys: Keys, problems: list[str]
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Return the edges of a table; ends that are not listed are added to ``problems`` instead."""
    frame = frames[table]
    creditors, debtors = (_end(table, frame, column, keys) for column in ENDS[table])
    kinds = frame["side"].tolist() if table == "positions" else [KINDS[table]] * len(frame)
    rows = zip(creditors, debtors, kinds, usd(table, frames).tolist(), _rows(table, frame), strict=True)
    unlisted = []
    for creditor, debtor, kind, amount, row in rows:
        if creditor is None or debtor is None:
            unlisted.append(str(row["row"]))
            continue
        yield creditor, debtor, {"amount": amount, **row, "kind": kind}
        if table == "arbitrage":
            yield debtor, creditor, {"kind": kind, "amount": amount, "table": ""}
    if unlisted:
        listed = f"row{'s' if len(unlisted) > 1 else ''} {', '.join(unlisted[:SHOWN])}{more(len(unlisted))}"
        problems.append(f"{table} {listed}: names a row that is not listed; see contagion.validate, and mend it first")


def _end(table: str, frame: pd.DataFrame, column: str, keys: Keys) -> list[str | None]:
    """Return the graph node of each row at one end, None if its name is not listed."""
    found: dict[str, str] = {}
    for listing in reversed(schema.columns(table)[column].references):
        found |= keys[listing]
    if table == "oracles" and column == "market":
        fixed = map(keys["assets"].get, frame["asset"])
        return [found.get(name) if name else asset for name, asset in zip(frame[column], fixed, strict=True)]
    return [found.get(name) for name in frame[column]]


def _derived_edges(frames: dict[str, pd.DataFrame], keys: Keys) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for kind, (table, column, listing) in DERIVED.items():
        frame = frames[table]
        for name, other in zip(frame[schema.KEYS[table]], frame[column], strict=True):
            if other in keys[listing]:
                yield keys[table][name], keys[listing][other], {"kind": kind, "amount": 0.0, "table": ""}

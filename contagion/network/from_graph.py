"""From a graph to tables."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

import pandas as pd

from contagion import schema
from contagion.errors import InputError
from contagion.network.layout import AMOUNTS, DERIVED, ENDS, EXTRA, KINDS, OWN, SHOWN, SIDES, more

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["tables_of"]


def tables_of(graph: nx.MultiDiGraph[Any]) -> dict[str, pd.DataFrame]:
    """Return the tables that a graph holds, rows in their former order.

    A graph made by hand needs no more than ``kind`` on nodes and edges: it says which table a row belongs to. Columns
    that are absent take their defaults; claims take ``amount``.

    Raises
    ------
    InputError
        If a node or an edge does not say what it is.
    """
    rows: dict[str, list[dict[str, Any]]] = {table: [] for table in schema.TABLES}
    names: dict[Hashable, tuple[str, str]] = {}
    lost: list[str] = []
    for node, data in graph.nodes(data=True):
        table = _table(data, _node_table)
        if table in schema.KEYS:
            name = str(data.get("name", node))
            names[node] = (table, name)
            rows[table].append({**data, schema.KEYS[table]: name})
        else:
            lost.append(repr(node))
    problems = _lost("node", lost, "exchange, protocol, institution, market, account, or the kind of an asset")
    lost = []
    for a, b, data in graph.edges(data=True):
        table = _table(data, _edge_table)
        if table not in ("", *ENDS):
            lost.append(f"{a!r} → {b!r}")
        elif table and not problems:
            rows[table].append(_edge_row(table, data, names[a], names[b]))
    problems += _lost("edge", lost, f"{', '.join(SIDES)}, {', '.join(KINDS.values())}")
    if problems:
        raise InputError(problems, "graph")
    extra = json.loads(graph.graph.get(EXTRA, "{}"))
    return {table: _frame(table, rows[table], extra.get(table, {})) for table in schema.TABLES}


def _table(data: dict[str, Any], known: Callable[[str], str]) -> str:
    """Return the table that a node or an edge names, else that of its kind."""
    return str(data["table"]) if "table" in data else known(str(data.get("kind")))


def _node_table(kind: str) -> str:
    for table in ("nodes", "assets"):
        if kind in schema.columns(table)["kind"].choices:
            return table
    return {"market": "markets", "account": "accounts"}.get(kind, "?")


def _edge_table(kind: str) -> str:
    """Return the table of a kind of edge, an empty string for one that repeats a row."""
    if kind in SIDES:
        return "positions"
    if kind in DERIVED:
        return ""
    return next((table for table, known in KINDS.items() if known == kind), "?")


def _lost(part: str, found: list[str], kinds: str) -> list[str]:
    if not found:
        return []
    named = f"{part}{'s' if len(found) > 1 else ''} {', '.join(found[:SHOWN])}{more(len(found))}"
    return [f"graph: {named} without a known kind; give the attribute kind: {kinds}"]


def _edge_row(table: str, data: dict[str, Any], start: tuple[str, str], end: tuple[str, str]) -> dict[str, Any]:
    """Return the cells of an edge; the names at its ends go before attributes of the same meaning."""
    first, second = ENDS[table]
    if table == "oracles" and end[0] == "assets":
        second = "asset"
    row = {**data, first: start[1], second: end[1]}
    if table == "positions":
        row.setdefault("side", data["kind"])
    elif table in AMOUNTS and "amount" in data:
        row.setdefault(AMOUNTS[table], data["amount"])
    return row


def _frame(table: str, rows: list[dict[str, Any]], extra: dict[str, str]) -> pd.DataFrame:
    """Return the table of some rows, in the order of their numbers, those without a number last."""
    known = schema.columns(table)
    rows = sorted(rows, key=lambda row: row.get("row", math.inf))
    names = dict.fromkeys(name for row in rows for name in row if name in known or name not in OWN)
    data: dict[str, Any] = {name: pd.Series(dtype=dtype) for name, dtype in extra.items() if not rows}
    for name in names:
        column = name.removeprefix(f"{table}.")
        cells = [row.get(name) for row in rows]
        try:
            data[column] = pd.Series(cells, dtype=extra.get(column))
        except (TypeError, ValueError):  # somebody changed a cell of a column outside the schema
            data[column] = pd.Series(cells)
    return pd.DataFrame(data)

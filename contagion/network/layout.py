"""Which row becomes which node or edge, and how their attributes are called."""

from __future__ import annotations

__all__ = ["AMOUNTS", "DERIVED", "ENDS", "EXTRA", "KINDS", "OWN", "SHOWN", "SIDES", "more"]

ENDS = {
    "terms": ("platform", "asset"),
    "oracles": ("platform", "market"),
    "routes": ("platform", "market"),
    "positions": ("account", "asset"),
    "claims": ("creditor", "debtor"),
    "quotes": ("account", "market"),
    "funding": ("account", "source"),
    "arbitrage": ("market_a", "market_b"),
}
"""Columns at the two ends of an edge, by table."""

KINDS = {
    "terms": "terms",
    "oracles": "oracle",
    "routes": "route",
    "claims": "claim",
    "quotes": "quote",
    "funding": "funding",
    "arbitrage": "arbitrage",
}
"""Kind of the edges, by table; positions have their side."""

AMOUNTS = {"claims": "amount", "quotes": "depth", "arbitrage": "depth"}
"""Columns that are the amount of the edge."""

SIDES = ("collateral", "debt", "perp")
"""Kinds of the edges of positions."""

DERIVED = {
    "margin": ("accounts", "platform", "nodes"),
    "owner": ("accounts", "owner", "nodes"),
    "issuer": ("assets", "issuer", "nodes"),
    "venue": ("markets", "venue", "nodes"),
    "asset": ("markets", "asset", "assets"),
    "pegged_to": ("markets", "pegged_to", "markets"),
}
"""Edges from a row to the row that one of its cells names, by kind."""

OWN = ("kind", "amount", "name", "table", "row")
"""Attributes that are not columns; an extra column of such a name gets its table's name as a prefix."""

SHOWN = 5
"""Rows that a message names before it says "and 37 more"."""

EXTRA = "extra_columns"
"""Attribute of the graph: dtypes of the columns outside the schema, by table, as JSON."""


def more(count: int) -> str:
    """Return how a list of rows ends of which only the first are shown."""
    return f" and {count - SHOWN} more" if count > SHOWN else ""

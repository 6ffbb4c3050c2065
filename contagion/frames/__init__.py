"""From the solver's arrays to the tables and totals of a solution, one table a module."""

from contagion.frames.accounts import accounts, hidden_bad_debt, knife_edge
from contagion.frames.liquidations import liquidations
from contagion.frames.markets import markets, quotes
from contagion.frames.nodes import nodes
from contagion.frames.parts import Parts
from contagion.frames.rounds import prices, rounds
from contagion.frames.totals import direct_loss, enclosure, stock_flow, totals

__all__ = [
    "Parts",
    "accounts",
    "direct_loss",
    "enclosure",
    "hidden_bad_debt",
    "knife_edge",
    "liquidations",
    "markets",
    "nodes",
    "prices",
    "quotes",
    "rounds",
    "stock_flow",
    "totals",
]

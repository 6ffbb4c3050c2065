"""Words of the loss graph: channels, which add up to a loss, and kinds of edges, which overlap."""

__all__ = ["CHANNELS", "TRANSMISSIONS"]

CHANNELS = (
    "own shock",
    "peg",
    "issuer",
    "sales",
    "depth",
    "cost",
    "claims",
    "deficit",
    "external",
    "opening",
    "overshoot",
)
"""Channels: how a loss last came to its bearer."""

TRANSMISSIONS = (
    "liquidation",
    "call",
    "deleveraging",
    "funding",
    "stop_loss",
    "withdrawal",
    "oracle",
    "forced sale",
    "voluntary sale",
    "impact",
    "arbitrage",
    "depth",
    "peg",
    "issuer",
    "mark",
    "proceeds",
    "cost",
    "claims",
    "deficit",
    "owned",
    "haircut",
)
"""Kinds of edges of the loss graph; `oracle` is a part of liquidation, call and deleveraging."""

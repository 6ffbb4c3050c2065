"""How things look: colours that colour-blind readers can tell apart, shapes, fonts."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["CHANNELS", "DOMAINS", "FLOWS", "FONT", "INK", "MUTED", "RAMP", "SHAPES", "Line", "fill"]

FONT = "Helvetica,Arial,Liberation Sans,DejaVu Sans,sans-serif"
"""First of these that exists; the last is carried in ``fonts`` for machines without any."""

INK = "#1a1a1a"
MUTED = "#5f5f5f"

SHAPES = {
    "exchange": "box",
    "protocol": "component",
    "institution": "tab",
    "group": "box",
    "market": "note",
    "shock": "box",
}
"""Shape by kind; account groups are boxes with round corners."""

DOMAINS = {"cefi": ("CeFi", "#eef3f8"), "defi": ("DeFi", "#f1f6ee"), "tradfi": ("TradFi", "#f6f1f4")}
"""Title and background of each domain's cluster."""

RAMP = (
    (0.0, "#ffffff"),
    (0.05, "#fff3c4"),
    (0.20, "#fedb7a"),
    (0.40, "#fdae45"),
    (0.60, "#ee7a1f"),
    (0.80, "#c24a0a"),
    (1.01, "#7a2503"),
)
"""Upper ends and colours of the loss classes, light to dark so that they survive a black-and-white printer
(sequential YlOrBr, after Brewer).
"""

_DARK = 5


class Line(NamedTuple):
    """Looks and meaning of a channel."""

    colour: str
    style: str
    label: str
    widest: float = 7.0  # points
    ink: str = ""  # of its labels, where the colour is too light to read


CHANNELS = {
    "collateral": Line("#0072b2", "solid", "collateral"),
    "perp": Line("#56b4e9", "solid", "perps", ink="#2a7fb0"),
    "unseen": Line("#0072b2", "dotted", "loss the oracle does not see"),
    "liquidation": Line("#d55e00", "solid", "liquidation"),
    "sale": Line("#e69f00", "solid", "owner sells (call, stop)", ink="#9a6a00"),
    "quote": Line("#009e73", "dashed", "quotes", 2.5),
    "debt": Line("#d55e00", "solid", "debt"),
    "deficit": Line("#000000", "solid", "bad debt"),
    "claim": Line("#cc79a7", "solid", "claims"),
    "owned": Line("#cc79a7", "dashed", "owner's equity"),
    "funding": Line("#000000", "dashed", "funding of calls"),
    "oracle": Line("#e69f00", "dashed", "oracle", 2.5),
    "peg": Line("#cc79a7", "dotted", "peg, issuer", 2.5),
    "arbitrage": Line("#7f7f7f", "dotted", "arbitrage", 2.5),
    "shock": Line("#9a9a9a", "solid", "shock", 2.0),
}
"""Channels in the order of the legend, in colours of Okabe and Ito (2008)."""

FLOWS = {
    **CHANNELS,
    "mark": Line("#0072b2", "solid", "loss on holdings"),
    "cost": Line("#56b4e9", "solid", "cost of liquidations", ink="#2a7fb0"),
    "cut": Line("#000000", "dotted", "not seen: fixed oracle price", 1.4),
    "negative": Line("#8a8a8a", "dashed", "negative: gains, hedges", ink="#5f5f5f"),
}
"""Channels of a causal chain."""


def fill(share: float) -> tuple[str, str, str]:
    """Return the background and the colours of large and small print for a share lost."""
    share = min(round(share, 9), 1.0)
    if not share > 0.0:
        return RAMP[0][1], INK, MUTED
    rank = next(number for number, (end, _) in enumerate(RAMP) if share <= end)
    ink = "#ffffff" if rank >= _DARK else INK
    return RAMP[rank][1], ink, MUTED if rank <= 1 else ink

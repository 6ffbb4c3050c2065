"""The words in and beside a box, as Graphviz' HTML-like labels."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable
from typing import Any

from contagion.diagram.metrics import Words
from contagion.money import percent, usd

__all__ = ["box_words", "font", "plain", "short", "table", "tooltip"]

_LONG = 26
_PASSES = 0.1
"""Share of the loss from which a box says what passes through it."""


def font(line: Words) -> str:
    """Return a line in its font; every character stands for itself."""
    safe = html.escape(_printable(line.words), quote=True) or " "
    bold = f"<B>{safe}</B>" if line.bold else safe
    return f'<FONT POINT-SIZE="{line.size:g}" COLOR="{line.colour}">{bold}</FONT>'


def table(rows: Iterable[str], attributes: str = "", cell: str = "") -> str:
    """Return an HTML-like label of rows below each other."""
    body = "".join(f"<TR><TD{cell and ' ' + cell}>{row}</TD></TR>" for row in rows)
    frame = 'BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0"'
    return f"<<TABLE {frame}{attributes and ' ' + attributes}>{body}</TABLE>>"


def plain(words: str) -> str:
    """Return words for an attribute that Graphviz reads as an escaped string."""
    return _printable(words).replace("\\", "\\\\")


def _printable(words: str) -> str:
    return "".join(c if c.isprintable() else " " for c in words)


def short(name: str, most: int = _LONG) -> str:
    """Return a name that fits; the tooltip has all of it.

    Examples
    --------
    >>> short("a very long name of a fund", 12)
    'a very long…'
    """
    return name if len(name) <= most else name[: most - 1].rstrip() + "…"


def box_words(box: Any, solved: bool, scale: float, ink: str, muted: str) -> list[Words]:
    """Return the lines of a box: its name, then what it is, then what happened to it."""
    lines = [Words(short(box.name), 11.0 + 3.0 * scale, ink, bold=True)]
    what = _what(box, solved)
    if what:
        lines.append(Words(what, 9.5, muted))
    if solved and box.type != "shock":
        lines += [Words(line, 10.0, ink) for line in happened(box)]
    return lines + [Words(short(line, 36), 9.5, muted) for line in box.note.split("\n") if line]


def _what(box: Any, solved: bool) -> str:
    """Return where, how many and how much: "Aave · 23 accounts · $1.2bn · ×4.1" (leverage)."""
    words = []
    if box.home and box.home not in box.name and not (box.type == "market" and box.members == 1.0):
        words.append(short(box.home, 20))
    if box.type != "shock" and (box.members > 1.0 or box.type == "group"):
        unit = {"group": "account", "market": "market", "node": "node"}[box.type]
        words.append(f"{box.members:,.0f} {unit}{'s' if box.members > 1.0 else ''}")
    if not solved and box.gross > 0.0:
        words.append(usd(box.gross))
    if not solved and box.type == "group" and box.base > 0.0 and box.gross > 1.005 * box.base:
        words.append(f"×{box.gross / box.base:.1f}")
    return " · ".join(words)


def happened(box: Any) -> list[str]:
    """Return lines about losses, sales, bad debt, haircuts, what passes on, and the round of the first blow."""
    first = f"r{box.first:.0f}" if box.first > 0.0 else ""
    lost = box.lost / box.base if box.base > 0.0 else 0.0
    through = f"passes {percent(box.passed)}" if box.passed >= _PASSES else ""
    if box.type == "market":
        gone = box.thinned / box.depth if box.depth > 0.0 else 0.0
        sold = f"{usd(box.sold)} sold" if box.sold > 0.0 else ""
        return _lines([_change(lost), sold, f"depth −{percent(gone)}" if gone > 0.005 else "", first], [through])
    if box.type == "group":
        done = box.sold / box.held if box.held > 0.0 else 0.0
        sold = f"{percent(done)} sold" if done > 0.0 else ""
        debt = f"bad debt {usd(box.deficit)}" if box.deficit > 0.0 else ""
        return _lines(
            [f"lost {usd(box.lost)} ({percent(lost)})" if box.lost > 0.0 else ""], [sold, debt, through, first]
        )
    cut = box.cut / box.owed if box.owed > 0.0 else 0.0
    return _lines(
        [f"{usd(box.sold)} liquidated" if box.sold > 0.0 else "", first],
        [f"loss {usd(box.lost)}" if box.lost > 0.0 else "", f"haircut {percent(cut)}" if cut > 0.0 else "", through],
    )


def _change(fall: float) -> str:
    if math.isinf(fall):
        return "+∞"
    if abs(fall) < 1e-3:  # below what a percentage shows
        return "±0%"
    return f"−{percent(fall)}" if fall > 0.0 else f"+{percent(-fall)}"


def _lines(*rows: list[str]) -> list[str]:
    joined = (" · ".join(word for word in row if word) for row in rows)
    return [line for line in joined if line]


def tooltip(box: Any, solved: bool) -> str:
    """Return the full name and all figures of a box."""
    words = [str(box.name), box.kind if box.type != "group" else f"accounts at {box.home}" if box.home else "accounts"]
    if box.type != "shock":
        words.append(f"gross assets {usd(box.gross)}")
        words += happened(box) if solved else []
    return plain(" | ".join(word for word in words if word))

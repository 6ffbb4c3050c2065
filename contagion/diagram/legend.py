"""Title above and legend below a drawing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from contagion.diagram.labels import font, table
from contagion.diagram.metrics import Words, fitted, width
from contagion.diagram.picture import Picture
from contagion.diagram.style import CHANNELS, FLOWS, INK, MUTED, RAMP, fill

__all__ = ["LOOP", "chain_legend", "legend", "title"]

LOOP = 1.05
"""Loop gain from which a box of a causal chain has a badge."""

_SIZE = 10.5
_ROW = 20.0
_AIR = 2
_MOST = 4
_DASHES = {"solid": "━━", "dashed": "╍╍", "dotted": "┅┅"}

_CHAIN = {
    "liquidation": "liquidation: forces a sale, and its price impact",
    "sale": "call or stop-loss: owner sells, and its impact",
    "quote": "quotes withdrawn, and the impact of thin depth",
}
_READING = (
    "Width and %: share of the total that flows; at every box, what comes in goes out or ends there.",
    "Light: flows back, loops.",
    "×2.8: loop gain, how often a dollar passes that box; shares above 100% count every pass.",
    "Size: what passes.",
    "Bears: what its owners, or its creditors outside the system, lose.",
    "Folded corner: market, round corners: accounts, tab: balance sheet.",
)


def title(picture: Picture, wide: float) -> tuple[str, float]:
    """Return the title as an HTML-like label of a width, and its height."""
    rows = [Words(picture.title, 20.0, INK, bold=True), Words(picture.subtitle, 13.0, MUTED)]
    rows = [fitted(row, wide) for row in rows]
    rows += [line for remark in picture.remarks for line in _lines(Words(remark, 11.0, MUTED), wide)]
    return _block([font(row) for row in rows], wide), sum(1.3 * row.size for row in rows)


def legend(picture: Picture, wide: float) -> tuple[str, float]:
    """Return the legend as an HTML-like label of a width, and its height: channels, loss classes, shapes, notes."""
    used = [CHANNELS[name] for name in CHANNELS if name in set(picture.edges["channel"])]
    items = [(Words(_DASHES[line.style], 14.0, line.colour), Words(f" {line.label}    ", _SIZE)) for line in used]
    rows = _wrapped(items, wide)
    if picture.solved:
        rows.append(_ramp())
    verb = "was" if picture.solved else "would be"
    sentences = [
        *(
            [f"Arrows run from the cause to who {verb} hurt; width: USD; strong colour: between domains."]
            if used
            else []
        ),
        "Size: gross assets.",
        "Thick frame: exchange, plugs: protocol, tab: institution, round corners: accounts, folded corner: market.",
    ]
    told = ("r3: a tenth of it had begun by round 3.", "Passes 20%: of the loss, each time it passes.")
    sentences += told if picture.solved else ("×4: leverage.",)
    notes = [f"{note[0].upper()}{note[1:]}." for note in picture.notes]
    rows += _wrapped([(Words(f"{sentence} ", _SIZE, MUTED),) for sentence in [*sentences, *notes]], wide)
    return _block(rows, wide, _AIR), _ROW * len(rows)


def chain_legend(picture: Picture, wide: float) -> tuple[str, float]:
    """Return the legend of a causal chain as an HTML-like label of a width, and its height."""
    names = set(picture.edges["channel"]) | ({"negative"} if (picture.edges["usd"] < 0.0).any() else set())
    dashes = {name: _DASHES[FLOWS[name].style] if name in ("cut", "negative") else _DASHES["solid"] for name in names}
    items = [
        (Words(dashes[name], 14.0, line.colour), Words(f" {_CHAIN.get(name, line.label)}    ", _SIZE))
        for name, line in FLOWS.items()
        if name in names
    ]
    rows = [*_wrapped(items, wide), _ramp()] if len(picture.boxes) else []
    gains = len(picture.boxes) and bool((picture.boxes["gain"] > LOOP).any())
    shown = {"×": gains, "B": len(picture.boxes) and bool(picture.boxes["type"].isin(("node", "losing")).any())}
    sentences = [words for words in _READING if shown.get(words[0], True)] if len(picture.boxes) else []
    notes = [f"{note[0].upper()}{note[1:]}." for note in picture.notes]
    rows += _wrapped([(Words(f"{sentence} ", _SIZE, MUTED),) for sentence in (*sentences, *notes)], wide)
    return _block(rows, wide, _AIR), _ROW * len(rows)


def _block(rows: list[str], wide: float, air: int = 0) -> str:
    return table(rows, f'WIDTH="{wide:.0f}"', f'ALIGN="LEFT" CELLPADDING="{air}"')


def _lines(words: Words, wide: float) -> list[Words]:
    """Return words broken into lines of a width in points; a story longer than a few lines is cut.

    Examples
    --------
    >>> [line.words for line in _lines(Words("a long story of a loss", 10), 60.0)]
    ['a long story', 'of a loss']
    """
    lines: list[str] = []
    rest = words.words.split()
    while rest and len(lines) < _MOST - 1:
        much = 1
        while much < len(rest) and width(words._replace(words=" ".join(rest[: much + 1]))) <= wide:
            much += 1
        lines.append(" ".join(rest[:much]))
        rest = rest[much:]
    return [fitted(words._replace(words=line), wide) for line in [*lines, *([" ".join(rest)] if rest else [])]]


def _wrapped(items: Sequence[tuple[Words, ...]], wide: float) -> list[str]:
    """Return the items in as many rows as they need."""
    rows: list[str] = []
    used = wide + 1.0
    for item in items:
        needs = sum(width(words) for words in item)
        if used + needs > wide:
            rows.append("")
            used = 0.0
        rows[-1] += "".join(font(words) for words in item)
        used += needs
    return rows


def _ramp() -> str:
    """Return the loss classes as coloured cells."""
    cells = [f"<TD>{font(Words('Share lost, of price, equity, or buffer and liabilities:  ', _SIZE))}</TD>"]
    for (low, _), (high, colour) in pairwise(RAMP):
        words = Words(f"  {100 * low:.0f}–{min(100 * high, 100):.0f}%  ", _SIZE, fill(high - 0.01)[1])
        cells.append(f'<TD BGCOLOR="{colour}">{font(words)}</TD>')
    return f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1"><TR>{"".join(cells)}</TR></TABLE>'

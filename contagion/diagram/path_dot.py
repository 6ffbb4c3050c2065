"""From a causal chain to DOT text: boxes with loop gains, flows with shares, title and legend."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from contagion.diagram.dot import Flip, Page, Room, curve, free_place, numbered, ordered, page_looks, titled
from contagion.diagram.labels import font, plain, short, table
from contagion.diagram.layout import MARGIN, arrange
from contagion.diagram.legend import LOOP, chain_legend
from contagion.diagram.metrics import Words, extent, width
from contagion.diagram.picture import Arrow, Picture, arrows
from contagion.diagram.routes import routes
from contagion.diagram.style import FLOWS, FONT, INK, MUTED, fill
from contagion.money import percent, usd

if TYPE_CHECKING:
    import graphviz

__all__ = ["to_dot"]

_NARROWEST = 900.0
_WIDEST = 15.0
_THINNEST = 0.9
_TOLD = 1.8
_LABELLED = 0.0095
_MINOR = 0.005
_SMALL = 0.02
_ALONE = 14.0
_OVER = 11.0
_NODE = {"fontname": FONT, "fontsize": "10", "fixedsize": "true", "color": "#4a4a4a", "penwidth": "0.8"}
_PLAIN = {"shape": "plain", "style": "", "fixedsize": "false"}
_SHAPES = {"hit": "note", "pushed": "note", "node": "tab"}


class _Unit(NamedTuple):
    """What amounts are measured in and shared of."""

    total: float
    name: str

    def share(self, amount: float) -> str:
        return percent(amount / self.total) if self.total else "0%"

    def amount(self, amount: float) -> str:
        return usd(amount) if self.name == "usd" else percent(amount)


def to_dot(picture: Picture, total: float, unit: str) -> graphviz.Digraph:
    """Return the diagram of a causal chain; equal pictures give equal text."""
    import graphviz

    picture, of = ordered(picture), _Unit(total, unit)
    boxes, edges = picture.boxes, picture.edges
    largest = float(boxes["gross"].max()) if len(boxes) else 0.0
    drawn = [_Box(box, of, largest) for box in boxes.itertuples(index=False)]
    sizes = np.array([box.size for box in drawn]).reshape(len(drawn), 2)
    over = np.array([_OVER if box.badge else 0.0 for box in drawn])
    pulled = picture._replace(edges=edges.assign(usd=edges["usd"].abs()))
    sizes[:, 1] += over  # so that nothing runs through a badge
    head, inner, high = titled(pulled, sizes, _NARROWEST)
    top = MARGIN + high + 34.0
    layout = arrange(boxes, pulled.edges, sizes, top)
    found = routes(boxes, edges, layout)
    wide = max(layout.right, _NARROWEST, *(x + MARGIN for route in found for x, _ in route.middles))
    strip, depth = chain_legend(picture, wide - 2 * MARGIN)
    bottom = layout.bottom + depth + 26.0
    flip = Flip(bottom)
    graph = graphviz.Digraph("contagion_paths", node_attr=_NODE, edge_attr={"fontname": FONT, "arrowsize": "0.6"})
    graph.attr("graph", **page_looks(picture, wide, bottom))
    graph.node("title", label=head, pos=flip(MARGIN + inner / 2.0, MARGIN / 2.0 + high / 2.0), **_PLAIN)
    for number, heading in enumerate(picture.columns[: len(layout.columns)]):
        label = f"<{font(Words(heading, 11.0, MUTED, bold=True))}>"
        graph.node(f"column{number}", label=label, pos=flip(sum(layout.columns[number]) / 2.0, top - 18.0), **_PLAIN)
    ids = numbered(boxes)
    layout = layout._replace(y=layout.y + over / 2.0, height=layout.height - over)
    for row, box in enumerate(drawn):
        graph.node(ids[row], pos=flip(layout.x[row], layout.y[row]), **box.looks)
    _arrows(graph, Page(picture, layout, found, ids, flip), of)
    for row, box in enumerate(drawn):
        if box.badge:
            at = (layout.x[row] + box.size[0] / 2.0 - 4.0, layout.y[row] - box.size[1] / 2.0 - 3.0)
            graph.node(f"gain_{ids[row]}", pos=flip(*at), **_badge(box.badge))
    legend_at = flip(wide / 2.0, layout.bottom + 16.0 + depth / 2.0)
    graph.node("legend", label=strip, pos=legend_at, **_PLAIN)
    return graph


class _Box:
    """Words, looks and size of one box."""

    def __init__(self, box: Any, of: _Unit, largest: float) -> None:
        scale = math.sqrt(box.gross / largest) if largest > 0.0 else 0.0
        lost = box.lost / box.base if box.base > 0.0 else 0.0
        back, ink, muted = fill(lost if box.type in ("hit", "pushed", "losing", "node") else 0.0)
        if box.type == "source":
            back, ink, muted = INK, "#ffffff", "#ffffff"
        name = box.name if box.members == 1.0 else f"{box.name} ({box.members:,.0f})"
        words = [Words(short(name, 30), 10.5 + 3.5 * scale, ink, bold=True)]
        words += [Words(line, 10.0, ink) for line in _amounts(box, of) if line]
        words += [Words(line, 9.5, muted) for line in (box.note, _undrawn(box, of)) if line]
        wide, high = extent(words)
        self.size = (max(wide + 18.0, 60.0 + 90.0 * scale), max(high + 10.0, 24.0 + 110.0 * scale))
        self.badge = f"×{box.gain:.1f}" if box.gain > LOOP else ""
        self.looks = {
            "label": table([font(line) for line in words]),
            "shape": _SHAPES.get(box.type, "box"),
            "style": "rounded,filled" if box.type in ("passing", "losing") else "filled",
            "fillcolor": back,
            "width": f"{self.size[0] / 72.0:.3f}",
            "height": f"{self.size[1] / 72.0:.3f}",
            "tooltip": plain(" | ".join(_told(box, of))),
        }
        if self.badge:
            self.looks |= {"penwidth": "2"}


def _amounts(box: Any, of: _Unit) -> list[str]:
    if box.type in ("losing", "node"):
        return [f"bears {of.share(box.borne)} · {of.amount(box.borne)}"]
    return [f"{'passes ' if box.type != 'source' else ''}{of.share(box.usd)} · {of.amount(box.usd)}"]


def _undrawn(box: Any, of: _Unit) -> str:
    """Return what of the flows that are not drawn comes in and goes out, if it can be seen."""
    ways = ((box.rest_in, "in"), (box.rest_out, "out"))
    seen = [f"{of.share(usd)} {way}" for usd, way in ways if abs(usd) >= _MINOR * abs(of.total)]
    return f"other flows {' · '.join(seen)}" if seen else ""


def _told(box: Any, of: _Unit) -> list[str]:
    words = [box.name, f"{box.members:,.0f} in this box" if box.members > 1.0 else "", box.home]
    words += [f"{of.amount(box.usd)} passes", f"{of.amount(box.borne)} borne", f"loop gain ×{box.gain:.3f}", box.note]
    return [word for word in words if word]


def _badge(words: str) -> dict[str, str]:
    wide = width(Words(words, 10.5, bold=True)) + 12.0
    label = f"<{font(Words(words, 10.5, '#ffffff', bold=True))}>"
    looks = {"shape": "box", "style": "rounded,filled", "fillcolor": "#4b2e83", "color": "#ffffff", "penwidth": "1.2"}
    size = {"width": f"{wide / 72.0:.3f}", "height": f"{17.0 / 72.0:.3f}"}
    return {"label": label, "tooltip": plain(f"loop gain {words}"), **looks, **size}


def _arrows(graph: graphviz.Digraph, page: Page, of: _Unit) -> None:
    """Write the edges, those that run back first, then the widest; and above all the shares of the largest ones."""
    listed = arrows(page.picture.edges)
    column = page.picture.boxes["column"].to_numpy(dtype=np.int64)
    size = np.array([0.0 if edge.channel == "cut" else abs(edge.usd) for edge in listed])
    widest = float(size.max(initial=0.0)) or 1.0
    back = np.array([column[edge.effect] <= column[edge.cause] for edge in listed], dtype=bool)
    for row in np.lexsort((np.arange(len(listed)), -size, ~back)).tolist():
        edge = listed[row]
        looks = _line(edge, size[row] / widest, bool(back[row]) and not edge.told, of)
        graph.edge(page.ids[edge.cause], page.ids[edge.effect], pos=curve(page.routes[row], page.flip), **looks)
    taken: list[Room] = []
    for row in np.lexsort((np.arange(len(listed)), -size)).tolist():
        edge = listed[row]
        words = _label(edge, size[row], of)
        small = edge.channel != "cut" and not edge.told and size[row] < _SMALL * abs(of.total)
        at = free_place(page.routes[row], words, taken, _ALONE if small else 0.0) if words.words else None
        if at is not None:
            label = table([font(words)], 'BGCOLOR="#ffffffd8"')
            graph.node(f"share{row + 1}", label=label, pos=page.flip(*at), **_PLAIN)


def _label(edge: Arrow, size: float, of: _Unit) -> Words:
    line = FLOWS["negative" if edge.usd < 0.0 else edge.channel]
    colour = line.ink or line.colour
    if edge.channel == "cut":
        return Words(f"✕ cut {usd(edge.usd)}", 9.5, colour, bold=True)
    shown = bool(of.total) and (edge.told or size >= _LABELLED * abs(of.total))
    return Words(of.share(edge.usd) if shown else "", 9.5, MUTED if edge.channel == "shock" else colour, bold=True)


def _line(edge: Arrow, scale: float, back: bool, of: _Unit) -> dict[str, str]:
    line = FLOWS["negative" if edge.usd < 0.0 else edge.channel]
    thick = line.widest if edge.channel == "cut" else max(_TOLD if edge.told else _THINNEST, _WIDEST * scale)
    solid = edge.channel in ("quote", "owned", "funding", "peg", "arbitrage")  # wide here, so dashes would not read
    return {
        "color": line.colour if edge.channel == "cut" else f"{line.colour}{'38' if back else 'a8'}",
        "style": "solid" if solid and edge.usd > 0.0 else line.style,
        "penwidth": f"{thick:.2f}",
        "arrowsize": f"{0.6 if thick < 4.0 else 0.35 if thick < 8.0 else 0.15:g}",
        "tooltip": plain(f"{line.label}: {of.share(edge.usd)}, {of.amount(edge.usd)}"),
    }

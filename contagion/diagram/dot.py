"""From a picture to DOT text: clusters, boxes, edges, title and legend, all placed, in one fixed order."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from contagion.diagram.labels import box_words, font, plain, table, tooltip
from contagion.diagram.layout import MARGIN, Layout, arrange
from contagion.diagram.legend import legend, title
from contagion.diagram.metrics import Words, extent, width
from contagion.diagram.picture import Arrow, Picture, arrows
from contagion.diagram.routes import Point, Route, routes
from contagion.diagram.style import CHANNELS, DOMAINS, FONT, INK, MUTED, SHAPES, fill
from contagion.kernels.inputs import Floats
from contagion.money import percent, usd

if TYPE_CHECKING:
    import graphviz

__all__ = ["Flip", "Page", "Room", "curve", "free_place", "numbered", "ordered", "page_looks", "titled", "to_dot"]

_TOP = 112.0
_ABOVE = 40.0
_HEADING = 16.0
_NARROWEST = 700.0
_LABELS = 18
_EACH = 2
_PADDING = {"protocol": (34.0, 10.0), "shock": (20.0, 14.0)}
_PLAIN = {"shape": "plain", "style": "", "fixedsize": "false"}
_NODE = {
    "fontname": FONT,
    "fontsize": "10",
    "fixedsize": "true",
    "color": "#4a4a4a",
    "style": "filled",
    "penwidth": "0.8",
}

Room = tuple[float, float, float, float]
"""What a word takes of the page: left, top, right, bottom."""


def to_dot(picture: Picture) -> graphviz.Digraph:
    """Return the diagram of a picture; equal pictures give equal text.

    Every box, arrow and label carries its place, so that Graphviz only paints: ``layout=nop2`` stands in the text and
    any of its programs obeys it.
    """
    import graphviz

    picture = ordered(picture)
    rows = picture.boxes.itertuples(index=False)
    drawn = [_Box(box, picture.solved, scale) for box, scale in zip(rows, _scales(picture.boxes), strict=True)]
    sizes = np.array([box.size for box in drawn]).reshape(len(drawn), 2)
    head, inner, high = titled(picture, sizes, _NARROWEST)
    top = max(_TOP, high + _ABOVE)
    layout = arrange(picture.boxes, picture.edges, sizes, top)
    found = routes(picture.boxes, picture.edges, layout)
    wide = max(layout.right, _NARROWEST, *(x + MARGIN for route in found for x, _ in route.middles))
    strip, depth = legend(picture, wide - 2 * MARGIN)
    bottom = layout.bottom + depth + 26.0
    graph = graphviz.Digraph(
        "contagion", node_attr=_NODE, edge_attr={"fontname": FONT, "fontsize": "9", "arrowsize": "0.7"}
    )
    graph.attr("graph", **page_looks(picture, wide, bottom))
    page = Page(picture, layout, found, numbered(picture.boxes), Flip(bottom))
    graph.node("title", label=head, pos=page.flip(MARGIN + inner / 2.0, MARGIN / 2.0 + high / 2.0), **_PLAIN)
    _headings(graph, page, top - _HEADING)
    for domain in [*layout.lanes, ""]:
        _lane(graph, page, domain, drawn)
    _arrows(graph, page)
    legend_at = page.flip(wide / 2.0, layout.bottom + 16.0 + depth / 2.0)
    graph.node("legend", label=strip, pos=legend_at, **_PLAIN)
    return graph


def titled(picture: Picture, sizes: Floats, narrowest: float) -> tuple[str, float, float]:
    """Return the title as wide as the columns of boxes (boxes, 2), its width and its height."""
    right = arrange(picture.boxes, picture.edges, sizes, 0.0).right  # the same wherever the boxes begin below it
    inner = max(right, narrowest) - 2 * MARGIN
    head, high = title(picture, inner)
    return head, inner, high


def page_looks(picture: Picture, page: float, bottom: float) -> dict[str, str]:
    """Return the attributes of a page of a width and height."""
    return {
        "layout": "nop2",
        "bb": f"0,0,{page:.1f},{bottom:.1f}",
        "fontname": FONT,
        "bgcolor": "white",
        "outputorder": "edgesfirst",
        "pad": "0.2",
        "size": "16,10",
        "dpi": "150",
        "tooltip": plain(f"{picture.title}: {picture.subtitle}"),
    }


class Flip:
    """Places of DOT, whose y runs up, from places of the page, whose y runs down."""

    def __init__(self, bottom: float) -> None:
        self.bottom = bottom

    def __call__(self, x: float, y: float) -> str:
        """Return the place in DOT of a place on the page."""
        return f"{x:.1f},{self.bottom - y:.1f}"


class Page(NamedTuple):
    """A picture, where its boxes and edges lie, and what they are called in DOT."""

    picture: Picture
    layout: Layout
    routes: list[Route]
    ids: list[str]
    flip: Flip


def ordered(picture: Picture) -> Picture:
    """Return the picture with boxes and edges sorted by name, so that no row order of the input shows."""
    boxes = picture.boxes
    order = boxes.sort_values(["type", "domain", "home", "name", "kind", "members"], kind="stable").index.to_numpy()
    place = np.empty(order.size, dtype=np.int64)
    place[order] = np.arange(order.size)
    edges = picture.edges
    edges = edges.assign(cause=place[edges["cause"]], effect=place[edges["effect"]])
    edges = edges.sort_values(["cause", "effect", "channel"]).reset_index(drop=True)
    return picture._replace(boxes=boxes.loc[order].reset_index(drop=True), edges=edges)


def numbered(boxes: pd.DataFrame) -> list[str]:
    """Return an id for each box that no name can break: its type and its number in sorted order."""
    number = boxes.groupby("type").cumcount() + 1
    return [f"{kind}{n}" for kind, n in zip(boxes["type"], number, strict=True)]


def _scales(boxes: pd.DataFrame) -> list[float]:
    """Return the root of each box's gross assets over the largest."""
    gross = boxes["gross"].to_numpy(dtype=np.float64)
    largest = float(gross.max(initial=0.0))
    return [math.sqrt(value / largest) if largest > 0.0 else 0.0 for value in gross.tolist()]


class _Box:
    """Words, looks and size of one box."""

    def __init__(self, box: Any, solved: bool, scale: float) -> None:
        share = box.lost / box.base if box.base > 0.0 else float(box.lost > 0.0)
        back, ink, muted = fill(share if solved else 0.0)
        untouched = solved and math.isnan(box.first) and box.lost == 0.0
        if box.type == "shock":
            back, ink, muted = INK, "#ffffff", "#ffffff"
        if untouched:
            ink = muted = "#8a8a8a"
        words = box_words(box, solved, scale, ink, muted)
        wide, high = extent(words)
        more = _PADDING.get(box.kind, (16.0, 9.0))
        self.size = (max(wide + more[0], 56.0 + 70.0 * scale), max(high + more[1], 24.0 + 36.0 * scale))
        self.looks = {
            "label": table([font(line) for line in words]),
            "shape": SHAPES.get(box.kind, "box"),
            "style": "rounded,filled" if box.type == "group" else "filled",
            "fillcolor": back,
            "width": f"{self.size[0] / 72.0:.3f}",
            "height": f"{self.size[1] / 72.0:.3f}",
            "tooltip": tooltip(box, solved),
        }
        if box.kind == "exchange":
            self.looks["penwidth"] = "2"
        if untouched:
            self.looks["color"] = "#bdbdbd"


def _headings(graph: graphviz.Digraph, page: Page, height: float) -> None:
    """Write the headings of the columns."""
    for number, heading in enumerate(page.picture.columns[: len(page.layout.columns)]):
        if heading:
            middle = sum(page.layout.columns[number]) / 2.0
            label = f"<{font(Words(heading, 11.0, MUTED, bold=True))}>"
            graph.node(f"column{number}", label=label, pos=page.flip(middle, height), **_PLAIN)


def _caption(page: Page, domain: str) -> tuple[Words, Room]:
    """Return the name of a lane, and where it stands: in the upper left corner, right of the shock."""
    caption = Words(DOMAINS.get(domain, (domain, ""))[0], 13.0, MUTED, bold=True)
    shocked = (page.picture.boxes["type"] == "shock").any()
    left = (page.layout.columns[1][0] - 12.0 if shocked else MARGIN / 2.0) + 10.0
    top = page.layout.lanes[domain][0] + 5.0
    return caption, (left, top, left + width(caption), top + 16.0)


def _lane(graph: graphviz.Digraph, page: Page, domain: str, drawn: list[_Box]) -> None:
    """Write the boxes of one domain, inside its cluster if it has one."""
    rows = np.flatnonzero(page.picture.boxes["domain"] == domain)
    if not domain:
        _boxes(graph, page, rows, drawn)
        return
    name, colour = DOMAINS.get(domain, (domain, "#f5f5f5"))
    caption, (left, _, right, _) = _caption(page, domain)
    top, bottom = page.layout.lanes[domain]
    looks = {
        "label": f"<{font(caption)}>",
        "lp": page.flip((left + right) / 2.0, top + 13.0),
        "bb": f"{page.flip(left - 10.0, bottom)},{page.flip(page.layout.right - MARGIN / 2.0, top)}",
        "style": "rounded,filled",
        "color": colour,
        "fillcolor": colour,
        "fontname": FONT,
        "tooltip": name,
    }
    with graph.subgraph(name=f"cluster_{domain}", graph_attr=looks) as cluster:
        _boxes(cluster, page, rows, drawn)


def _boxes(graph: graphviz.Digraph, page: Page, rows: Any, drawn: list[_Box]) -> None:
    for row in rows:
        graph.node(page.ids[row], **drawn[row].looks, pos=page.flip(page.layout.x[row], page.layout.y[row]))


def _arrows(graph: graphviz.Digraph, page: Page) -> None:
    """Write the edges, the widest first so that thin ones lie on top, and above all the amounts of the largest ones.

    Amounts are nodes, since Graphviz paints edges and their labels in turn, and lines would hide labels.
    """
    boxes, edges = page.picture.boxes, page.picture.edges
    if edges.empty:
        return
    listed = arrows(edges)
    money = np.array([0.0 if edge.channel == "shock" else edge.usd for edge in listed])
    widest = max(float(money.max()), 1e-9)
    taken = [_caption(page, lane)[1] for lane in page.layout.lanes]
    wanted = {
        row: free_place(page.routes[row], Words(usd(listed[row].usd), 9.5, bold=True), taken)
        for row in _labelled(edges)
    }
    places = {row: at for row, at in wanted.items() if at is not None}
    domain = boxes["domain"].to_numpy(dtype=object)
    for row in np.lexsort((np.arange(len(edges)), -money)).tolist():
        edge = listed[row]
        across = len({domain[edge.cause], domain[edge.effect]} - {""}) > 1
        looks = _line(edge, math.sqrt(edge.usd / widest) if edge.usd < widest else 1.0, across)
        graph.edge(page.ids[edge.cause], page.ids[edge.effect], pos=curve(page.routes[row], page.flip), **looks)
    for row, at in sorted(places.items()):
        edge = listed[row]
        label = _money(edge, len({domain[edge.cause], domain[edge.effect]} - {""}) > 1)
        graph.node(f"amount{row + 1}", label=label, pos=page.flip(*at), **_PLAIN)


def curve(route: Route, flip: Flip) -> str:
    """Return a route as the position of an edge in DOT."""
    return f"e,{flip(*route.tip)} " + " ".join(flip(*point) for point in route.curve)


def _line(edge: Arrow, scale: float, across: bool) -> dict[str, str]:
    line = CHANNELS[edge.channel]
    thick = 0.7 + (line.widest - 0.7) * scale
    return {
        "color": line.colour if across else f"{line.colour}70",
        "style": line.style,
        "penwidth": f"{thick + 0.5 * across:.2f}",
        "tooltip": plain(f"{line.label}: {usd(edge.usd)}{_flows(edge)}"),
    }


def _flows(edge: Arrow) -> str:
    """Return which share of the loss takes this way, if a visible one does."""
    return f" | {percent(edge.flow)} of the loss flows here" if abs(edge.flow) >= 5e-4 else ""


def _labelled(edges: pd.DataFrame) -> list[int]:
    """Return the rows of the largest edges of each channel, the largest share of a channel first."""
    paid = edges[edges["channel"] != "shock"]
    share = (paid["usd"] / paid.groupby("channel")["usd"].transform("sum")).rename("share")
    ranked = paid.assign(share=share, row=paid.index).sort_values(["share", "row"], ascending=[False, True])
    return [int(row) for row in ranked.groupby("channel", sort=False).head(_EACH)["row"][:_LABELS]]


def free_place(route: Route, words: Words, taken: list[Room], apart: float = 0.0) -> Point | None:
    """Return the first place along a route with no other label within ``apart``, and take it; None if there is none."""
    wide, high = width(words) / 2.0 + 2.0, 6.5
    for x, y in route.middles:
        left, top, right, bottom = x - wide - apart, y - high - apart, x + wide + apart, y + high + apart
        if not any(a < right and left < c and b < bottom and top < d for a, b, c, d in taken):
            taken.append((x - wide, y - high, x + wide, y + high))
            return x, y
    return None


def _money(edge: Arrow, across: bool) -> str:
    line = CHANNELS[edge.channel]
    return table([font(Words(usd(edge.usd), 9.5, line.ink or line.colour, bold=across))], 'BGCOLOR="#ffffffc8"')

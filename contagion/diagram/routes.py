"""How the arrows run: out of the side of a box, level through the free space of columns, into the side of another."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd

from contagion.diagram.layout import Layout
from contagion.diagram.picture import arrows

__all__ = ["Route", "routes"]

_HEAD = 8.0
_BULGE = 30.0
_CLEAR = 5.0
_APART = 4.0
_LEFT = ("arbitrage", "peg")
"""Channels between boxes of one column that run on its left side."""

Point = tuple[float, float]


class Route(NamedTuple):
    """Points of a Bézier curve (1 + 3n), the tip of its arrow, and where a label may stand; y down."""

    curve: list[Point]
    tip: Point
    middles: list[Point]


def routes(boxes: pd.DataFrame, edges: pd.DataFrame, layout: Layout) -> list[Route]:
    """Return the route of each edge."""
    column = boxes["column"].to_numpy(dtype=np.int64)
    ends = _ends(edges, column, layout)
    free = _Corridors(column, layout)
    found = []
    for edge, (tail, head) in zip(arrows(edges), ends, strict=True):
        a, b = int(column[edge.cause]), int(column[edge.effect])
        found.append(_bulge(tail, head, edge.channel) if a == b else _level(tail, head, a, b, free, layout))
    return found


def _leaves_right(a: int, b: int, channel: str) -> bool:
    return b > a or (a == b and channel not in _LEFT)


def _ends(edges: pd.DataFrame, column: np.ndarray, layout: Layout) -> list[tuple[Point, Point]]:
    """Return where each edge leaves and enters: spread over the side, in the order of the heights of the other ends."""
    sides: dict[tuple[int, bool], list[tuple[float, int, int]]] = {}
    for number, edge in enumerate(arrows(edges)):
        a, b = int(column[edge.cause]), int(column[edge.effect])
        out = _leaves_right(a, b, edge.channel)
        into = out if a == b else not out
        sides.setdefault((edge.cause, out), []).append((float(layout.y[edge.effect]), number, 0))
        sides.setdefault((edge.effect, into), []).append((float(layout.y[edge.cause]), number, 1))
    points: list[list[Point]] = [[(0.0, 0.0), (0.0, 0.0)] for _ in range(len(edges))]
    for (box, right), marks in sides.items():
        half, span = layout.width[box] / 2.0, 0.8 * layout.height[box]
        for place, (_, number, end) in enumerate(sorted(marks)):
            x = layout.x[box] + (half if right else -half)
            y = layout.y[box] + span * ((place + 1) / (len(marks) + 1) - 0.5)
            points[number][end] = (float(x), float(y))
    return [(pair[0], pair[1]) for pair in points]


class _Corridors:
    """Free heights in each column; every line that passes takes a little of it."""

    def __init__(self, column: np.ndarray, layout: Layout) -> None:
        self._used: dict[tuple[int, float], int] = {}
        self._boxes = {
            number: sorted(
                (float(layout.y[row] - layout.height[row] / 2.0), float(layout.y[row] + layout.height[row] / 2.0))
                for row in np.flatnonzero(column == number)
            )
            for number in np.unique(column).tolist()
        }

    def near(self, column: int, wanted: float) -> float:
        """Return the free height in a column that is nearest to the wanted one."""
        boxes = self._boxes[column]
        if not any(top - _CLEAR < wanted < bottom + _CLEAR for top, bottom in boxes):
            return wanted
        beside = [height for top, bottom in boxes for height in (top - _CLEAR, bottom + _CLEAR)]
        free = [h for h in beside if not any(t - _CLEAR + 0.01 < h < b + _CLEAR - 0.01 for t, b in boxes)]
        best = min(free, key=lambda height: (abs(height - wanted), height))
        count = self._used[column, best] = self._used.get((column, best), -1) + 1
        above = any(abs(best - (top - _CLEAR)) < 0.01 for top, _ in boxes)
        return best + (-1.0 if above else 1.0) * min(count, 2) * _APART


def _level(tail: Point, head: Point, a: int, b: int, free: _Corridors, layout: Layout) -> Route:
    """Return a route through the columns between, level inside each of them."""
    step = 1 if b > a else -1
    sign = float(step)
    stops = [tail]
    target = (head[0] - sign * _HEAD, head[1])
    for number in range(a + step, b, step):
        left, right = layout.columns[number]
        enter, leave = (left, right) if step > 0 else (right, left)
        share = (enter - tail[0]) / (target[0] - tail[0])
        height = free.near(number, tail[1] + share * (target[1] - tail[1]))
        stops += [(enter, height), (leave, height)]
    stops.append(target)
    curve, middles = [tail], []
    for place, (start, end) in enumerate(pairwise(stops)):
        reach = 0.5 * (end[0] - start[0])
        curve += [(start[0] + reach, start[1]), (end[0] - reach, end[1]), end]
        if place % 2 == 0:
            middles += [_at(start, end, t) for t in (0.5, 0.35, 0.65, 0.22, 0.78)]
    return Route(curve, head, middles)


def _at(start: Point, end: Point, t: float) -> Point:
    """Return the point of a level S-curve at its parameter t."""
    ease = t * t * (3.0 - 2.0 * t)
    x = (1 - t) ** 3 * start[0] + 3 * t * (1 - t) * (start[0] + end[0]) / 2.0 + t**3 * end[0]
    return x, start[1] + ease * (end[1] - start[1])


def _bulge(tail: Point, head: Point, channel: str) -> Route:
    """Return a route beside the column that both boxes stand in."""
    sign = -1.0 if channel in _LEFT else 1.0
    out = _BULGE + 0.06 * abs(head[1] - tail[1])
    edge = max(sign * tail[0], sign * head[0])
    x = sign * (edge + out)
    target = (head[0] + sign * _HEAD, head[1])
    middle = ((tail[0] + 6.0 * x + target[0]) / 8.0, (tail[1] + head[1]) / 2.0)
    return Route([tail, (x, tail[1]), (x, head[1]), target], head, [middle])

"""Where the boxes stand: columns from left to right, one lane for each domain, neighbours at about one height.

All in points, y down from the top of the page. Doing this here rather than in Graphviz keeps lanes and columns exactly
aligned, the same on every machine, and costs milliseconds at any size.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from contagion.diagram.style import DOMAINS
from contagion.kernels.inputs import Floats

__all__ = ["Layout", "arrange"]

MARGIN = 24.0
_GAP = 11.0
_PAD = 16.0
_CAPTION = 22.0
_BETWEEN = 12.0
_GUTTER = (66.0, 200.0, 4.0)
_SWEEPS = 12


class Layout(NamedTuple):
    """Boxes by centre and size, lanes by domain, columns by left and right edge; all in points, y down."""

    x: Floats
    y: Floats
    width: Floats
    height: Floats
    lanes: dict[str, tuple[float, float]]  # top and bottom
    columns: list[tuple[float, float]]  # left and right
    right: float
    bottom: float


def arrange(boxes: pd.DataFrame, edges: pd.DataFrame, sizes: Floats, top: float) -> Layout:
    """Return the places of boxes with the given sizes (boxes, 2), below ``top``."""
    width, height = sizes[:, 0], sizes[:, 1]
    column = boxes["column"].to_numpy(dtype=np.int64)
    columns = _columns(column, edges, width)
    x = np.array([sum(columns[number]) / 2.0 for number in column])
    lanes, bottom = _lanes(boxes["domain"], column, height, top)
    y = _heights(boxes, edges, column, height, lanes, (top, bottom))
    return Layout(x, y, width, height, lanes, columns, columns[-1][1] + MARGIN if columns else MARGIN, bottom)


def _columns(column: np.ndarray, edges: pd.DataFrame, width: Floats) -> list[tuple[float, float]]:
    """Return the left and right edge of each column; gutters are wider where many lines pass."""
    count = int(column.max(initial=-1)) + 1
    low = np.minimum(column[edges["cause"]], column[edges["effect"]])
    high = np.maximum(column[edges["cause"]], column[edges["effect"]])
    left, found = MARGIN + 12.0, []
    least, most, each = _GUTTER
    for number in range(count):
        wide = float(width[column == number].max(initial=30.0))
        found.append((left, left + wide))
        passing = int(((low <= number) & (high > number)).sum())
        left += wide + min(most, least + each * passing)
    return found


def _lanes(
    domain: pd.Series[str], column: np.ndarray, height: Floats, top: float
) -> tuple[dict[str, tuple[float, float]], float]:
    """Return top and bottom of each domain's lane, high enough for its fullest column, and the bottom of all."""
    known = list(DOMAINS)
    lanes = {}
    names = sorted(set(domain) - {""}, key=lambda name: (known.index(name) if name in known else len(known), name))
    for name in names:
        inside = (domain == name).to_numpy()
        stacks = [height[inside & (column == number)] for number in np.unique(column[inside])]
        tall = max(float(stack.sum()) + _GAP * (stack.size - 1) for stack in stacks)
        lanes[name] = (top, top + tall + _CAPTION + _PAD)
        top = lanes[name][1] + _BETWEEN
    outside = (domain == "").to_numpy()
    stacks = [height[outside & (column == number)] for number in np.unique(column[outside])]
    tall = max((float(stack.sum()) + _GAP * (stack.size - 1) for stack in stacks), default=0.0)
    return lanes, top + tall if not lanes else top - _BETWEEN


def _heights(
    boxes: pd.DataFrame,
    edges: pd.DataFrame,
    column: np.ndarray,
    height: Floats,
    lanes: dict[str, tuple[float, float]],
    page: tuple[float, float],
) -> Floats:
    """Return the centre of each box: sweeps that move every stack towards the mean height of its neighbours."""
    domain = boxes["domain"].to_numpy(dtype=object)
    stacks = []
    for key in sorted(set(zip(domain, column.tolist(), strict=True))):
        rows = np.flatnonzero((domain == key[0]) & (column == key[1]))
        upper, lower = lanes.get(key[0], page)
        stacks.append((rows, (upper + _CAPTION, lower - _PAD / 2.0) if key[0] in lanes else page))
    y = np.zeros(len(boxes))
    for rows, (upper, lower) in stacks:
        y[rows] = _stacked(np.full(rows.size, (upper + lower) / 2.0), height[rows], upper, lower)
    pull = _pull(edges, len(boxes))
    for _ in range(_SWEEPS):
        for rows, (upper, lower) in stacks:
            weight = pull[rows].sum(axis=1)
            mean = np.divide(pull[rows] @ y, weight, out=y[rows].copy(), where=weight > 0.0)
            order = rows[np.lexsort((rows, mean))]
            y[order] = _stacked(np.sort(mean), height[order], upper, lower)
    return y


def _pull(edges: pd.DataFrame, count: int) -> Floats:
    """Return how strongly each box (row) is drawn to each other."""
    pull = np.zeros((count, count))
    share = edges["usd"] / edges.groupby("channel")["usd"].transform("sum")
    strength = np.sqrt(share.fillna(1.0).to_numpy(dtype=np.float64))  # no share: an amount beyond all numbers
    np.add.at(pull, (edges["cause"].to_numpy(), edges["effect"].to_numpy()), strength)
    return pull + pull.T


def _stacked(wanted: Floats, height: Floats, upper: float, lower: float) -> Floats:
    """Return centres as near as possible to the wanted ones (sorted), without overlap and inside.

    Isotonic regression of what remains when the least distances are taken off.
    """
    offset = np.concatenate([[0.0], np.cumsum((height[1:] + height[:-1]) / 2.0 + _GAP)])
    blocks: list[tuple[float, int]] = []
    for value in wanted - offset:
        blocks.append((float(value), 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (b, m), (a, n) = blocks.pop(), blocks.pop()
            blocks.append(((a * n + b * m) / (n + m), n + m))
    level = np.repeat([value for value, _ in blocks], [size for _, size in blocks])
    first, last = upper + height[0] / 2.0, lower - height[-1] / 2.0 - offset[-1]
    centres: Floats = np.clip(level, first, max(first, last)) + offset
    return centres

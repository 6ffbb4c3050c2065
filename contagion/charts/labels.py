"""Labels beside what they name: at the ends of lines without overlap, and near points where there is room."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from contagion.charts.style import legible
from contagion.kernels.inputs import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text
    from matplotlib.transforms import Bbox

__all__ = ["BETWEEN", "Label", "at_ends", "near", "room", "spread"]

POINTS = 8.5

BETWEEN = (0.5, 0.65, 0.35, 0.8, 0.2)
"""Where along a gap its label may stand, the best place first."""

_LINE = 1.3  # height of a line of text, in font sizes
_DISTANCES = (8.0, 20.0, 40.0, 70.0, 110.0, 160.0)  # points between a point and its words
_CLOSE = 12.0  # pixels around a point that may be full of the line it is on
_LEADER = 0.28  # inches between the panel and its labels


class Label(NamedTuple):
    """Words for the end of a line."""

    words: str
    y: float
    colour: str


def spread(wanted: Sequence[float] | Floats, gap: float, low: float, high: float) -> Floats:
    """Return heights at least ``gap`` apart and within bounds, the nearest to those wanted (least squares).

    In the order of the wanted heights, less n·gap each, that is an isotonic regression, solved by pooling neighbours
    that are out of order. If there is no room, gaps shrink.

    Examples
    --------
    >>> spread([0.0, 1.0, 1.0, 9.0], gap=2.0, low=0.0, high=10.0).tolist()
    [0.0, 2.0, 4.0, 9.0]
    """
    heights = np.asarray(wanted, dtype=np.float64)
    if heights.size > 1:
        gap = min(gap, (high - low) / (heights.size - 1))
    order = np.argsort(heights, kind="stable")
    steps = gap * np.arange(heights.size)
    pools: list[tuple[float, int]] = []  # mean and size
    for height in heights[order] - steps:
        pools.append((float(height), 1))
        while len(pools) > 1 and pools[-2][0] >= pools[-1][0]:
            (mean, size), (before, count) = pools.pop(), pools.pop()
            pools.append(((mean * size + before * count) / (size + count), size + count))
    level = np.repeat([mean for mean, _ in pools], [size for _, size in pools])
    placed = np.empty(heights.size)
    placed[order] = np.clip(level, low, max(low, high - gap * (heights.size - 1))) + steps
    return placed


def room(words: Sequence[str]) -> float:
    """Return the inches that labels need beside a panel, measured in the font they are written in."""
    from contagion.charts.figure import Chart

    scratch: Any = Chart(1.0, 1.0)
    renderer = scratch.canvas.get_renderer()
    texts = [scratch.text(0.0, 0.0, text, size=POINTS) for text in words]
    widest = max((text.get_window_extent(renderer).width for text in texts), default=0.0)
    return _LEADER + float(widest / scratch.dpi) + 0.1


def at_ends(axes: Axes, labels: Sequence[Label]) -> list[Text]:
    """Return texts right of a panel, each tied by a thin line to the height where its own line ends."""
    figure: Any = axes.figure
    box = axes.get_position()
    width, height = figure.get_size_inches()
    wide, tall = box.width * width, box.height * height
    low, high = axes.get_ylim()
    unit = (high - low) / tall  # data in an inch
    gap = POINTS * _LINE / 72.0 * unit
    heights = spread([label.y for label in labels], gap, low + gap / 2.0, high - gap / 2.0)
    texts = []
    for label, height in zip(labels, heights.tolist(), strict=True):
        colour = legible(label.colour)
        ends = [1.0 + 0.03 / wide, 1.0 + 0.12 / wide, 1.0 + (_LEADER - 0.04) / wide]
        axes.plot(
            ends,
            [label.y, label.y, height],
            color=label.colour,
            linewidth=0.7,
            transform=axes.get_yaxis_transform(),
            clip_on=False,
            label="_leader",
        )
        texts.append(
            axes.text(
                1.0 + _LEADER / wide,
                height,
                label.words,
                size=POINTS,
                color=colour,
                va="center",
                transform=axes.get_yaxis_transform(),
            )
        )
    axes.set_ylim(low, high)
    return texts


def near(axes: Axes, words: str, points: Sequence[tuple[float, float]], colour: str, taken: list[Bbox]) -> Text:
    """Return a text beside one of the points of a panel, where it covers no line and none of the boxes ``taken``.

    Its own box is added to those. Where it must stand off, a line ties it to the point.
    """
    figure: Any = axes.figure
    renderer = figure.canvas.get_renderer()
    inside, drawn = axes.get_window_extent(renderer), _drawn(axes)
    text = axes.annotate(
        words,
        points[0],
        xytext=(0, 0),
        textcoords="offset points",
        size=9.0,
        color=legible(colour),
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
        arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.8, "shrinkA": 1, "shrinkB": 4},
    )
    places = [(distance, *place) for distance in _DISTANCES for place in product(points, _directions(distance))]
    scores = []
    for _, point, shift in places:
        _move(text, point, shift)
        box = _box(text, renderer).padded(4.0)
        scores.append(_badness(box, axes.transData.transform(point), inside, drawn, taken))
        if scores[-1] == 0.0:
            break
    distance, point, shift = places[int(np.argmin(scores))]
    _move(text, point, shift)
    if distance == _DISTANCES[0] and text.arrow_patch is not None:
        text.arrow_patch.set_visible(False)
    taken.append(_box(text, renderer).padded(2.0))
    return text


def _badness(box: Bbox, at: Floats, inside: Bbox, drawn: Floats, taken: list[Bbox]) -> float:
    """Return zero for a box in the panel, on no other box and on no line, whose tie to its point crosses none."""
    outside = not (box.x0 >= inside.x0 and box.x1 <= inside.x1 and box.y0 >= inside.y0 and box.y1 <= inside.y1)
    covered = int(((drawn >= box.min) & (drawn <= box.max)).all(axis=1).sum())
    tie = np.linspace(np.clip(at, box.min, box.max), at, 60)
    tie = tie[np.hypot(*(tie - at).T) > _CLOSE]
    crossed = sum(int((np.hypot(*(drawn - spot).T) < 2.0).any()) for spot in tie) if len(drawn) else 0
    return 1e6 * outside + 1e5 * sum(box.overlaps(other) for other in taken) + covered + crossed


def _directions(distance: float) -> list[tuple[float, float]]:
    far = 0.8 * distance
    return [
        (far, far),
        (-far, far),
        (far, -far),
        (-far, -far),
        (distance, 0.0),
        (-distance, 0.0),
        (0.0, distance),
        (0.0, -distance),
    ]


def _move(text: Any, point: tuple[float, float], shift: tuple[float, float]) -> None:
    dx, dy = shift
    text.xy = point
    text.set_position((dx, dy))
    text.set_ha("left" if dx > 0 else "right" if dx < 0 else "center")
    text.set_va("bottom" if dy > 0 else "top" if dy < 0 else "center")


def _box(text: Any, renderer: Any) -> Bbox:
    """Return where the words are, without the line that ties them to the point."""
    from matplotlib.text import Text

    text.update_positions(renderer)
    box: Bbox = Text.get_window_extent(text, renderer)
    return box


def _drawn(axes: Axes) -> Floats:
    """Return points (·, 2), in pixels, a few pixels apart along every line of a panel."""
    found = [np.empty((0, 2))]
    for line in axes.lines:
        corners = line.get_transform().transform(np.asarray(line.get_xydata(), dtype=np.float64))
        corners = corners[np.isfinite(corners).all(axis=1)]
        for start, end in pairwise(corners):
            count = int(np.hypot(*(end - start)) // 3.0) + 2
            found.append(np.linspace(start, end, min(count, 2000)))
        found.append(corners)
    return np.concatenate(found)

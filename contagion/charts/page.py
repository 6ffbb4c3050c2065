"""A page with a title and panels below each other, made without pyplot and without touching anybody's settings."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from contagion.charts.labels import room
from contagion.charts.style import ALARM, GRID, INK, MUTED
from contagion.errors import InputError
from contagion.money import percent, usd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

__all__ = ["Page", "Words", "caption", "empty", "numbers", "opened"]

WIDTH = 9.0
_UNITS = ((1e12, "tn"), (1e9, "bn"), (1e6, "m"), (1e3, "k"))
_EDGE = 0.15
_LEFT = 0.75
_GAP = 0.55  # between panels, for the titles
_FOOT = 0.55  # ticks and name of the x axis


class Words(NamedTuple):
    """What stands above and below the panels."""

    title: str
    subtitle: str = ""
    note: str = ""
    alarm: bool = False


class Page(NamedTuple):
    """A figure and its panels, top to bottom."""

    figure: Figure
    panels: list[Axes]


@contextmanager
def opened(
    words: Words, rows: int = 1, height: float = 3.6, labels: Sequence[str] = (), left: float = _LEFT
) -> Iterator[Page]:
    """Yield a page to draw on; leaving it fixes every tick, so that later settings of the caller change nothing.

    Parameters
    ----------
    words : Words
        Title, subtitle and note; broken into lines that fit.
    rows : int
        Panels.
    height, left : float
        Height of a panel, and room to its left for ticks, in inches.
    labels : sequence of str
        What will stand to the right of the panels, which get as narrow as that needs.

    Raises
    ------
    InputError
        If matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise InputError('charts need an extra; install it: pip install "contagion[charts]"')
    from contagion.charts.figure import Chart, settings

    with settings():
        foot = _lines(words.note, 8.0)
        right = max(_EDGE, room(labels)) if labels else _EDGE
        top = _EDGE + 0.22 * len(_lines(words.title, 13.0)) + 0.17 * len(_lines(words.subtitle, 9.5)) + 0.42
        bottom = _FOOT + 0.15 * len(foot) + (0.1 if foot else 0.0)
        size = top + rows * height + (rows - 1) * _GAP + bottom
        figure = Chart(WIDTH, size)
        figure.set_label(words.title)
        _write(figure, words, size)
        panels = []
        for row in range(rows):
            low = size - top - height - row * (height + _GAP)
            box = (left / WIDTH, low / size, (WIDTH - left - right) / WIDTH, height / size)
            panels.append(_panel(figure, box, last=row == rows - 1))
        yield Page(figure, panels)
        figure.draw_without_rendering()


def _write(figure: Figure, words: Words, size: float) -> None:
    """Write title, subtitle and note, one line a text."""
    y, x = size - _EDGE, _EDGE / WIDTH
    for lines, points, step, colour, weight in (
        (_lines(words.title, 13.0), 13.0, 0.22, ALARM if words.alarm else INK, "bold"),
        (_lines(words.subtitle, 9.5), 9.5, 0.17, ALARM if words.alarm else MUTED, "normal"),
    ):
        for line in lines:
            figure.text(x, y / size, line, size=points, color=colour, weight=weight, va="top")
            y -= step
    for number, line in enumerate(reversed(_lines(words.note, 8.0))):
        figure.text(x, (0.08 + 0.15 * number) / size, line, size=8.0, color=MUTED, va="bottom")


def _lines(words: str, points: float) -> list[str]:
    """Return lines that fit on the page: letters of this font are 0.6 of its size wide on average, bold ones 0.7."""
    letter = (0.7 if points > 10.0 else 0.6) * points / 72.0
    most = int((WIDTH - 2.0 * _EDGE) / letter)
    return [line for part in words.splitlines() for line in textwrap.wrap(part, most)]


def _panel(figure: Figure, box: tuple[float, float, float, float], last: bool) -> Axes:
    axes = figure.add_axes(box)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(MUTED)
    axes.grid(visible=True, axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, labelsize=8.5, length=0, labelbottom=last)
    axes.tick_params(axis="x", length=3)
    axes.xaxis.label.set_color(MUTED)
    axes.yaxis.label.set_color(MUTED)
    return axes


def caption(axes: Axes, title: str, note: str = "") -> tuple[Text, Text]:
    """Return the title of a panel, bold, and the note that follows it in the same line."""
    figure: Any = axes.figure
    head = axes.annotate(
        title,
        (0, 1),
        xycoords="axes fraction",
        xytext=(0, 7),
        textcoords="offset points",
        size=9.5,
        weight="bold",
        color=INK,
    )
    width = head.get_window_extent(figure.canvas.get_renderer()).width * 72.0 / figure.dpi
    tail = axes.annotate(
        note, (0, 1), xycoords="axes fraction", xytext=(width + 8, 7), textcoords="offset points", size=8.5, color=MUTED
    )
    return head, tail


def empty(axes: Axes, words: str) -> None:
    """Write into a panel why there is nothing in it."""
    axes.set_axis_off()
    axes.text(0.0, 0.9, words, size=11.0, color=MUTED, transform=axes.transAxes)


def numbers(axes: Axes, axis: Literal["x", "y"], write: Callable[[float], str], most: int = 6) -> None:
    """Write at most so many round numbers along an axis: money for `usd`, percentages for `percent`."""
    exact = {usd: _usd, percent: _percent}.get(write, write)
    axes.locator_params(axis=axis, nbins=most, steps=[1, 2, 5, 10])
    (axes.xaxis if axis == "x" else axes.yaxis).set_major_formatter(lambda value, _: exact(value))


def _usd(amount: float) -> str:
    """Return a round amount without rounding it: labels of neighbouring ticks must differ.

    Examples
    --------
    >>> _usd(12.5e9), _usd(0.0), _usd(-1500.0)
    ('$12.5bn', '$0', '−$1.5k')
    """
    unit, name = next(((unit, name) for unit, name in _UNITS if abs(amount) >= unit), (1.0, ""))
    return f"{'−' if amount < 0.0 else ''}${abs(amount) / unit:.6g}{name}"


def _percent(share: float) -> str:
    return f"{100.0 * share:.6g}%".replace("-", "−")

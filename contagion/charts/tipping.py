"""At which multiple of a scenario the loss jumps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pandas as pd

from contagion.charts.given import table
from contagion.charts.labels import BETWEEN, near
from contagion.charts.page import Words, caption, numbers, opened
from contagion.charts.style import ALARM, COLOURS, INK, MUTED
from contagion.errors import InputError
from contagion.kernels.inputs import Bools, Floats, Ints
from contagion.money import usd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

__all__ = ["Tipping", "draw_tipping"]

_FIGURES = ("found", "below", "above", "loss_below", "loss_above")
_SOURCE = "contagion.tipping_point(system, scenario)"


class Tipping(Protocol):
    """What a chart needs to know of a tipping point, as `contagion.tipping_point` returns it."""

    @property
    def curve(self) -> pd.DataFrame:
        """Columns multiple and loss (USD), one row a solve."""

    @property
    def found(self) -> bool:
        """Whether the loss jumps anywhere."""

    @property
    def below(self) -> float:
        """Multiple just before the jump."""

    @property
    def above(self) -> float:
        """Multiple just after it."""

    @property
    def loss_below(self) -> float:
        """Loss just before the jump, USD."""

    @property
    def loss_above(self) -> float:
        """Loss just after it, USD."""


def draw_tipping(point: Tipping) -> Figure:
    """Return the loss against the multiple of the scenario, with the jump and the scenario itself (×1) marked.

    Parameters
    ----------
    point : TippingPoint
        From `contagion.tipping_point`.

    Returns
    -------
    matplotlib.figure.Figure

        The line is broken at the jump; what lies in between was bisected away. Open circles are solves that have not
        converged.

    Raises
    ------
    InputError
        If it is no tipping point, or matplotlib is not installed (``pip install "contagion[charts]"``).

    Examples
    --------
    >>> import contagion as ct
    >>> from contagion.stress import tipping_point
    >>> system, scenarios = ct.datasets.load("loop_lending")
    >>> draw_tipping(tipping_point(system, scenarios["thin_exit"])).get_label()
    'The scenario tips at ×0.946'
    """
    curve = _checked(point).sort_values("multiple", kind="stable")
    multiple, loss = (curve[name].to_numpy(dtype=np.float64) for name in ("multiple", "loss"))
    loss = np.where(np.isfinite(loss), loss, np.nan)
    settled = curve["converged"].to_numpy(dtype=bool) if "converged" in curve else np.ones(loss.size, dtype=bool)
    with opened(_words(point, multiple, settled)) as page:
        axes = page.panels[0]
        _limits(axes, multiple, loss)
        for part in _branches(multiple, point):
            axes.plot(
                multiple[part],
                loss[part],
                color=COLOURS[0],
                linewidth=2.0,
                marker="o",
                markersize=3,
                clip_on=False,
                label="loss",
            )
        axes.plot(
            multiple[~settled],
            loss[~settled],
            "o",
            color=ALARM,
            markerfacecolor="white",
            markersize=6,
            clip_on=False,
            label="not converged",
        )
        axes.axvline(1.0, color=MUTED, linewidth=0.9, linestyle=(0, (1, 2)), label="_scenario")
        taken: list[Bbox] = []
        if point.found:
            _jump(axes, point, taken)
        _scenario(axes, multiple, loss, taken)
        axes.set_xlabel("multiple of the scenario's shocks")
        caption(axes, "Loss")
    return page.figure


def _checked(point: Tipping) -> pd.DataFrame:
    """Return the solves of a tipping point, one row each."""
    missing = [name for name in ("curve", *_FIGURES) if not hasattr(point, name)]
    if missing:
        raise InputError(
            f"draw_tipping: a {type(point).__name__} has no {', '.join(missing)}; give what {_SOURCE} returns"
        )
    return table(point.curve, ("multiple", "loss"), "draw_tipping", _SOURCE)


def _words(point: Tipping, multiple: Floats, settled: Bools) -> Words:
    open_ended = int((~settled).sum())
    note = f"Open circles: {open_ended} of {settled.size} solves have not converged." if open_ended else ""
    if not point.found:
        low, high = _times(float(multiple.min())), _times(float(multiple.max()))
        lost = bool((point.curve["loss"] != 0.0).any())
        words = f"between {low} and {high} the loss grows without a jump" if lost else f"nothing is lost up to {high}"
        return Words("No tipping point", words, note)
    below, above = _bracket(point.below, point.above)
    return Words(
        f"The scenario tips at {_times(point.above)}",
        f"the loss jumps from {usd(point.loss_below)} at {below} to {usd(point.loss_above)} at {above}",
        note,
    )


def _times(multiple: float) -> str:
    return f"×{multiple:.3g}"


def _bracket(below: float, above: float) -> tuple[str, str]:
    """Return both multiples with as many digits as it takes to tell them apart.

    Examples
    --------
    >>> _bracket(0.83124, 0.83131)
    ('×0.83124', '×0.83131')
    """
    digits = 2 if above <= below else max(2, math.ceil(-math.log10(above - below)))
    return f"×{below:.{digits}f}", f"×{above:.{digits}f}"


def _branches(multiple: Floats, point: Tipping) -> list[Ints]:
    """Return the rows before and after the jump: no line is drawn across it."""
    if not point.found:
        return [np.arange(multiple.size, dtype=np.int64)]
    sides = (multiple <= point.below, multiple >= point.above)
    return [np.flatnonzero(side).astype(np.int64) for side in sides]


def _limits(axes: Axes, multiple: Floats, loss: Floats) -> None:
    high = max(float(multiple.max()), 1.0)
    axes.set_xlim(min(float(multiple.min()), 1.0), high * 1.02)
    axes.set_ylim(0.0, 1.1 * max(float(np.nanmax(loss, initial=0.0)), 1.0))
    numbers(axes, "y", usd)
    numbers(axes, "x", _times, most=10)


def _jump(axes: Axes, point: Tipping, taken: list[Bbox]) -> None:
    axes.axvspan(point.below, point.above, color=COLOURS[1], alpha=0.25, linewidth=0, label="_bracket")
    middle = (point.below + point.above) / 2.0
    ends = [point.loss_below, min(point.loss_above, axes.get_ylim()[1])]  # a loss beyond all numbers ends at the top
    axes.plot([middle, middle], ends, color=COLOURS[1], linewidth=1.6, linestyle=(0, (4, 2)), label="jump")
    words = (
        f"tips between {' and '.join(_bracket(point.below, point.above))}\n+{usd(point.loss_above - point.loss_below)}"
    )
    near(axes, words, [(middle, ends[0] + share * (ends[1] - ends[0])) for share in BETWEEN], ALARM, taken)


def _scenario(axes: Axes, multiple: Floats, loss: Floats, taken: list[Bbox]) -> None:
    """Mark ×1; with its loss, if it was solved."""
    here = np.flatnonzero((multiple == 1.0) & np.isfinite(loss))
    if not here.size:
        near(axes, "this scenario", [(1.0, axes.get_ylim()[1] / 2.0)], INK, taken)
        return
    size = float(loss[here[0]])
    axes.plot([1.0], [size], "o", color=INK, markersize=7, label="this scenario", clip_on=False)
    near(axes, f"this scenario: {usd(size)}", [(1.0, size)], INK, taken)

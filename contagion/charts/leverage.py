"""Who stood on how little equity, before and after."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from contagion.charts.given import table
from contagion.charts.page import Words, caption, empty, numbers, opened
from contagion.charts.style import BEFORE, COLOURS, GRID, INK, legible
from contagion.errors import InputError
from contagion.money import percent, usd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_leverage"]

_MEASURES = {
    "gross_assets": "Gross assets",
    "debt": "Debt",
    "equity": "Equity",
    "accounts": "Accounts",
    "share": "Share of gross assets",
}
_THICK = 0.36
_SOURCE = "contagion.measures.leverage_distribution(solution)"


def draw_leverage(
    distribution: pd.DataFrame, measure: Literal["gross_assets", "debt", "equity", "accounts", "share"] = "gross_assets"
) -> Figure:
    """Return bars of what stands in each class of leverage, before and after a scenario.

    Parameters
    ----------
    distribution : DataFrame
        From `contagion.measures.leverage_distribution`, of a Solution or of a System.
    measure : str
        What the bars measure. Classes in which there is none of it are left out.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If it is no such table, the measure is unknown, or matplotlib is not installed
        (``pip install "contagion[charts]"``).

    Examples
    --------
    >>> import contagion as ct
    >>> from contagion.measures import leverage_distribution
    >>> system, scenarios = ct.datasets.load("loop_lending")
    >>> figure = draw_leverage(leverage_distribution(ct.solve(system, scenarios["thin_exit"])))
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['before $369k', 'after $0', 'Gross assets', 'by leverage (gross assets over equity)']
    """
    bars = _bars(distribution, measure)
    write = {"accounts": _count, "share": percent}.get(measure, usd)
    pairs = "before" in bars
    words = Words(f"Leverage{' before and after' if pairs else ''}", _summary(distribution, pairs))
    widest = f"before {write(float(bars.to_numpy().max(initial=0.0)))}"
    with opened(words, height=max(0.5 * len(bars), 1.0), labels=[widest], left=1.1) as page:
        axes = page.panels[0]
        if not len(bars):
            empty(axes, f"There is no {_MEASURES[measure].lower()}.")
            return page.figure
        _draw(axes, bars, write)
        numbers(axes, "x", write)
        caption(axes, _MEASURES[measure], "by leverage (gross assets over equity)")
    return page.figure


def _bars(distribution: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Return one column, or two for before and after, without the classes that are empty."""
    distribution = table(distribution, (), "draw_leverage", _SOURCE)
    if measure not in _MEASURES:
        raise InputError(f"draw_leverage: measure is {measure!r}; give one of {', '.join(_MEASURES)}")
    known = [str(name) for name in distribution.columns]
    if measure in known:
        bars = distribution[[measure]].set_axis(["now"], axis=1)
    elif f"{measure}_before" in known and f"{measure}_after" in known:
        bars = distribution[[f"{measure}_before", f"{measure}_after"]].set_axis(["before", "after"], axis=1)
    else:
        raise InputError(f"draw_leverage: the table has no column {measure}; give what {_SOURCE} returns")
    bars = bars.astype("float64").fillna(0.0)
    return bars[(bars != 0.0).any(axis=1)]


def _summary(distribution: pd.DataFrame, pairs: bool) -> str:
    """Return how much assets stand on how much equity, before and after."""
    words = []
    for when in ("_before", "_after") if pairs else ("",):
        columns = [f"gross_assets{when}", f"equity{when}"]
        if not set(columns) <= set(distribution.columns):
            return ""
        assets, equity = (float(distribution[column].sum()) for column in columns)
        times = f" (×{assets / equity:.1f})" if equity > 0.0 else ""
        words.append(f"{when.removeprefix('_')} {usd(assets)} of assets on {usd(equity)} of equity{times}".strip())
    return " · ".join(words)


def _count(number: float) -> str:
    return f"{number:,.0f}"


def _times(name: str) -> str:
    """Return a class of leverage with its unit, "×3–5"; "no equity" stays as it is."""
    return f"×{name}" if name[:1].isdigit() else name


def _draw(axes: Axes, bars: pd.DataFrame, write: Callable[[float], str]) -> None:
    """Draw the classes from top to bottom, and write each amount at its bar; the first bars say when."""
    colours = {"before": BEFORE, "after": COLOURS[0], "now": COLOURS[0]}
    place = np.arange(len(bars), dtype=np.float64)
    shift = _THICK / 2.0 if len(bars.columns) > 1 else 0.0
    for name, offset in zip(bars, (-shift, shift), strict=False):
        when, values = str(name), bars[name].to_numpy()
        axes.barh(place + offset, values, height=_THICK, color=colours[when], label=when)
        for row in range(len(bars)):
            words = f"{when} {write(values[row])}" if row == 0 and when != "now" else write(values[row])
            axes.annotate(
                words,
                (max(values[row], 0.0), row + offset),
                xytext=(4, 0),
                textcoords="offset points",
                size=8.5,
                va="center",
                color=legible(colours[when]),
            )
    axes.set_ylim(len(bars) - 0.5, -0.5)
    axes.set_yticks(place, [_times(str(name)) for name in bars.index], color=INK)
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x", color=GRID, linewidth=0.8)
    axes.set_xlim(min(0.0, 1.05 * float(bars.to_numpy().min())), 1.02 * max(float(bars.to_numpy().max()), 1e-9))

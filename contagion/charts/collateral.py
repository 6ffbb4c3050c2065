"""How much a fall of one asset would liquidate, at once and after feedback."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from contagion.charts.given import table
from contagion.charts.labels import BETWEEN, Label, at_ends, near
from contagion.charts.page import Words, caption, numbers, opened
from contagion.charts.style import COLOURS
from contagion.errors import InputError
from contagion.kernels.inputs import Floats
from contagion.money import percent, usd

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_collateral_curve"]

_FIRST, _FEEDBACK = COLOURS[0], COLOURS[1]
_WIDER = 1.05  # times the gap at the end, from which the widest gap gets a label of its own
_COLUMNS = ("first_round", "with_feedback")
_SOURCE = "contagion.collateral_curve(system, asset)"


def draw_collateral_curve(curve: pd.DataFrame, asset: str = "") -> Figure:
    """Return USD liquidated against the drop of an asset: in the first round, with feedback, and the gap between.

    Parameters
    ----------
    curve : DataFrame
        From `contagion.collateral_curve`: index drop (0-1), columns first_round and with_feedback (USD).
    asset : str
        Whose drop it is; for the title.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If it is no such table, a column or every row is missing, or matplotlib is not installed
        (``pip install "contagion[charts]"``).

    Examples
    --------
    >>> curve = pd.DataFrame({"first_round": [0, 1e9, 2e9], "with_feedback": [0, 1e9, 5e9]}, index=[0.0, 0.1, 0.2])
    >>> figure = draw_collateral_curve(curve, "ETH")
    >>> [text.get_text() for text in figure.axes[0].texts][2:]
    ['$5bn with feedback', '+$3bn by feedback', '$2bn in the first round']
    """
    first, full = _checked(curve)
    drop = curve.index.to_numpy(dtype=np.float64)
    widest = int(np.argmax(np.nan_to_num(full - first)))
    gap, at = float(full[widest] - first[widest]), float(drop[widest])
    ends = _ends(first, full)
    words = Words(
        f"What a fall of {asset or 'one asset'} would liquidate",
        _summary(gap, at, float(first[widest])),
        _lost(drop, full),
    )
    with opened(words, labels=[label.words for label in ends]) as page:
        axes = page.panels[0]
        axes.fill_between(drop, first, full, color=_FEEDBACK, alpha=0.15, linewidth=0, label="feedback")
        axes.plot(drop, full, color=_FEEDBACK, linewidth=2.0, label=_COLUMNS[1])
        axes.plot(drop, first, color=_FIRST, linewidth=2.0, label=_COLUMNS[0])
        axes.set_xlim(float(drop[0]), max(float(drop[-1]), float(drop[0]) + 1e-9))
        axes.set_ylim(0.0, 1.08 * max(float(np.nanmax([full, first])), 1.0))
        numbers(axes, "y", usd)
        numbers(axes, "x", percent, most=10)
        axes.set_xlabel(f"drop of {asset}" if asset else "drop")
        caption(axes, "Liquidated", "at opening prices")
        at_ends(axes, ends)
        if gap > _WIDER * float(np.nan_to_num(full[-1] - first[-1])):
            axes.plot([at, at], [first[widest], full[widest]], color=_FEEDBACK, linewidth=1.0, label="_gap")
            beside = [(at, float(first[widest]) + share * gap) for share in BETWEEN]
            near(axes, f"+{usd(gap)} by feedback", beside, _FEEDBACK, [])
    return page.figure


def _ends(first: Floats, full: Floats) -> list[Label]:
    """Return labels for the ends of both curves and of the gap between them."""
    low, high = float(first[-1]), float(full[-1])
    if math.isnan(high):
        known = full[np.isfinite(full)][-1:].tolist()
        last = [Label(f"{usd(known[0])} with feedback, then none found", known[0], _FEEDBACK)] if known else []
        return [*last, Label(f"{usd(low)} in the first round", low, _FIRST)]
    if not high > low:
        return [Label(f"{usd(low)}, no feedback", low, _FIRST)]
    return [
        Label(f"{usd(high)} with feedback", high, _FEEDBACK),
        Label(f"+{usd(high - low)} by feedback", (low + high) / 2.0, _FEEDBACK),
        Label(f"{usd(low)} in the first round", low, _FIRST),
    ]


def _lost(drop: Floats, full: Floats) -> str:
    """Return where the rounds found no fixed point."""
    lost = drop[np.isnan(full)]
    return (
        f"No fixed point was found at {lost.size} of {drop.size} drops, from {percent(lost[0])} on."
        if lost.size
        else ""
    )


def _checked(curve: pd.DataFrame) -> tuple[Floats, Floats]:
    """Return what is sold in the first round and with feedback, of a curve by drop."""
    curve = table(curve, _COLUMNS, "draw_collateral_curve", _SOURCE)
    if not pd.api.types.is_numeric_dtype(curve.index.dtype):
        raise InputError(
            f"draw_collateral_curve: the index must be the drop of the asset, 0-1; give what {_SOURCE} returns"
        )
    first, full = (curve[name].to_numpy(dtype=np.float64) for name in _COLUMNS)
    return first, full


def _summary(gap: float, at: float, first: float) -> str:
    if not gap > 0.0:
        return "what is sold does not lower prices enough to liquidate more"
    return f"at a drop of {percent(at)}, feedback turns {usd(first)} into {usd(first + gap)}"

"""What happened when: prices, liquidations, depth and haircuts round by round."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from contagion.charts.fold import Line, alike, stacked
from contagion.charts.labels import Label, at_ends
from contagion.charts.page import Words, caption, empty, numbers, opened
from contagion.charts.style import OTHERS, assigned
from contagion.errors import InputError
from contagion.kernels.inputs import Floats
from contagion.money import percent, usd
from contagion.solution import Solution
from contagion.timeline import timeline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_timeline"]

_MOST = 6
_MANY = 3
_STILL = 1e-9
_GREY = 40
_QUIET = 0.01
"""Share of a panel's range; rounds at the end in which no line moves by more are left out."""

_VISIBLE = 0.1
"""Share of the largest move of a panel from which another is one."""

_NEAR_ZERO = 0.5  # the axis of shares that come below goes down to zero
_FEW = 12  # rounds that get a mark each


class Panel(NamedTuple):
    """One of the small multiples."""

    title: str
    note: str
    lines: list[Line]
    write: Callable[[float], str]
    area: bool = False
    shares: bool = False  # of the opening: near one at first
    others: Floats | None = None  # (rounds, series) in grey

    def paths(self) -> Floats:
        """Return the heights (rounds, ·) of everything that is drawn."""
        paths = np.array([line.values for line in self.lines]).T
        return np.hstack(
            [paths.cumsum(axis=1) if self.area else paths, *([] if self.others is None else [self.others])]
        )

    def words(self) -> list[str]:
        """Return the labels of the lines: where it ended, and who it is."""
        return [f"{self.write(float(line.values[-1]))} {line.words()}" for line in self.lines]


def draw_timeline(solution: Solution) -> Figure:
    """Return the story of a solved scenario as small multiples above one axis of rounds.

    Parameters
    ----------
    solution : Solution
        Solved scenario; one that has not converged is marked as such.

    Returns
    -------
    matplotlib.figure.Figure
        Panels, top to bottom: prices as a share of the opening, of the market of each asset that fell most (others
        in grey); USD liquidated so far by platform, stacked; depth left as a share of the opening's, where least is
        left; haircuts by node. Panels in which nothing happens are left out, and the note says so; so are the last
        rounds, in which no line moves by more than 1 % of its panel. Series that run alike are one line ("+ 3 more").
        A label says where its line ends after the last round.

    Raises
    ------
    InputError
        If it is not a solution, or matplotlib is not installed (``pip install "contagion[charts]"``).

    Examples
    --------
    >>> import contagion as ct
    >>> system, scenarios = ct.datasets.load("loop_lending")
    >>> figure = draw_timeline(ct.solve(system, scenarios["thin_exit"]))
    >>> [axes.texts[-2].get_text() for axes in figure.axes]
    ['Price, share of opening', 'Liquidated so far, by platform', 'Haircut on claims, by node']
    """
    if not isinstance(solution, Solution):
        raise InputError(
            f"draw_timeline: a {type(solution).__name__} has no rounds; "
            "give the Solution that contagion.solve(system, scenario) returns"
        )
    story = timeline(solution)
    every = {
        "no price moved": _prices(solution, story.markets),
        "nothing was liquidated": _liquidated(story.platforms),
        "no depth was lost": _depth(solution, story.markets),
        "no claim was cut": _haircuts(story.nodes),
    }
    panels = [panel for panel in every.values() if panel.lines]
    absent = [words for words, panel in every.items() if not panel.lines]
    rounds = len(solution.rounds)
    last = _last(panels, rounds)
    words = _words(solution, absent, last, rounds)
    labels = [text for panel in panels for text in panel.words()]
    with opened(words, rows=max(len(panels), 1), height=1.75, labels=labels) as page:
        colours: dict[str, str] = {}
        for axes, panel in zip(page.panels, panels, strict=False):
            names = assigned([line.name for line in panel.lines], colours)
            colours |= names
            _draw(axes, panel, last, names)
        if not panels:
            empty(page.panels[0], "Nothing happens in this scenario.")
            return page.figure
        page.panels[-1].set_xlabel("round" if last == rounds else f"round (of {rounds})")
    return page.figure


def _words(solution: Solution, absent: list[str], last: int, rounds: int) -> Words:
    name = solution.scenario.name or "scenario"
    state = "converged in" if solution.converged else "NOT CONVERGED after"
    certainty = f"{state} {rounds} round{'s' if rounds != 1 else ''}"
    lines = [f"loss {usd(solution.totals['loss'])} · {usd(solution.totals['liquidated'])} liquidated · {certainty}"]
    if not solution.converged:
        lines[0] += "; these numbers are not a result"
    if solution.scenario.description:
        lines.append(solution.scenario.description)
    notes = [f"In this scenario {_listed(absent)}."] if absent else []
    if last < rounds:
        notes.append(f"After round {last} no line moves by more than {percent(_QUIET)} of its panel.")
    title = f"Timeline: {name}{'' if solution.converged else ' (NOT CONVERGED)'}"
    return Words(title, "\n".join(lines), " ".join(notes), alarm=not solution.converged)


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _wide(frame: pd.DataFrame, by: str, values: str) -> pd.DataFrame:
    """Return a tidy frame with one column for each ``by``, in the order of names, and one row a round."""
    if frame.empty:
        return pd.DataFrame(index=pd.Index([0], name="round"))
    return frame.pivot(index="round", columns=by, values=values).sort_index(axis=1)


def _prices(solution: Solution, frame: pd.DataFrame) -> Panel:
    price = _wide(frame, "market", "price")
    share = price / price.iloc[0]
    share = share.loc[:, share.notna().all() & ((share - 1.0).abs().max() > _STILL)]
    asset = solution.markets["asset"]
    kind = asset.map(solution.system.assets.set_index("asset")["kind"])
    lines, others = _lowest(share, asset, kind)
    note = "lowest market of each kind of asset, then of each asset; others in grey" if others.shape[1] else ""
    return Panel("Price, share of opening", note, lines, percent, shares=True, others=others)


def _depth(solution: Solution, frame: pd.DataFrame) -> Panel:
    depth = _wide(frame, "market", "depth")
    before = solution.markets["depth_before"].reindex(depth.columns)
    deep = before[np.isfinite(before) & (before > 0.0)].index
    left = depth[deep] / before[deep]
    left = left.loc[:, left.min() < 1.0 - _STILL]
    lines, others = _lowest(left, solution.markets["venue"])
    note = "thinnest market of each venue, others in grey" if others.shape[1] else ""
    return Panel("Depth, share of opening", note, lines, percent, shares=True, others=others)


def _lowest(
    share: pd.DataFrame, kind: pd.Series[str], wider: pd.Series[str] | None = None
) -> tuple[list[Line], Floats]:
    """Return the market of each kind that ends lowest, as lines, and a sample (rounds, ·) of the other markets.

    Those of each wider kind come first, if they moved by a visible part of the panel: a broken peg falls less than
    an altcoin, and tells more. Where there are hardly any kinds, further markets fill up.
    """
    last = share.iloc[-1].sort_values(kind="stable")
    ends = last.index
    first = ~kind.reindex(ends).duplicated().to_numpy()
    order = [*ends[first], *(ends[~first] if first.sum() < _MANY else [])]
    if wider is not None:
        moved = (last - 1.0).abs().to_numpy()
        leading = ends[~wider.reindex(ends).duplicated().to_numpy() & (moved > _VISIBLE * moved.max(initial=0.0))]
        order = list(dict.fromkeys([*leading, *order]))
    lines = sorted(alike(share, order, _MOST), key=lambda line: float(line.values[-1]))
    named = {name for line in lines for name in line.members}
    return lines, _sample(share, [name for name in ends if name not in named])


def _sample(wide: pd.DataFrame, names: list[str]) -> Floats:
    """Return the series (rounds, ·) to show in grey: evenly spaced by where they end, if there are many."""
    ranked = wide[names].iloc[-1].sort_values(kind="stable").index
    chosen = np.unique(np.linspace(0, len(ranked) - 1, min(len(ranked), _GREY)).round().astype(int))
    found: Floats = wide[list(ranked[chosen])].to_numpy(dtype=np.float64)
    return found


def _liquidated(frame: pd.DataFrame) -> Panel:
    wide = _wide(frame, "platform", "liquidated_usd")
    lines = stacked(wide, _MOST)
    return Panel(
        "Liquidated so far, by platform",
        usd(sum(float(line.values[-1]) for line in lines)) + " in all",
        lines,
        usd,
        area=True,
    )


def _haircuts(frame: pd.DataFrame) -> Panel:
    wide = _wide(frame, "node", "haircut")
    wide = wide.loc[:, (wide > 0.0).any()]
    order = list(wide.iloc[-1].sort_values(ascending=False, kind="stable").index)
    return Panel("Haircut on claims, by node", "", alike(wide, order, _MOST), percent)


def _last(panels: Iterable[Panel], rounds: int) -> int:
    """Return the last round to show: every line of every panel stays where it is from there on."""
    last = 1
    for panel in panels:
        values = panel.paths()
        moving = np.abs(values - values[-1]).max(axis=1) > _QUIET * np.ptp(values)
        last = max(last, int(moving.nonzero()[0].max(initial=0)) + 1)
    return min(rounds, last + max(1, round(0.05 * last)))


def _draw(axes: Axes, panel: Panel, last: int, colours: dict[str, str]) -> None:
    x = np.arange(last + 1, dtype=np.float64)
    if panel.others is not None:
        axes.plot(x, panel.others[: last + 1], color=OTHERS, linewidth=0.6, alpha=0.7, label="_other")
    draw = _bands if panel.area else _curves
    heights = draw(axes, x, panel.lines, colours)
    _frame(axes, panel, last)
    labels = [
        Label(words, y, colours[line.name]) for words, y, line in zip(panel.words(), heights, panel.lines, strict=True)
    ]
    at_ends(axes, labels)
    caption(axes, panel.title, panel.note)


def _curves(axes: Axes, x: Floats, lines: list[Line], colours: dict[str, str]) -> list[float]:
    """Draw lines, and return where each ends."""
    mark = "o" if x.size <= _FEW + 1 else ""
    for line in reversed(lines):
        axes.plot(
            x,
            line.values[: x.size],
            color=colours[line.name],
            linewidth=1.8,
            marker=mark,
            markersize=3,
            clip_on=False,
            label=line.name,
        )
    return [float(line.values[-1]) for line in lines]


def _bands(axes: Axes, x: Floats, lines: list[Line], colours: dict[str, str]) -> list[float]:
    """Draw bands on top of each other, the largest at the bottom, and return the middle of each at its end."""
    base = np.zeros(x.size)
    middles = []
    for line in lines:
        top = base + line.values[: x.size]
        axes.fill_between(x, base, top, color=colours[line.name], alpha=0.85, linewidth=0, label=line.name)
        axes.plot(x, top, color="white", linewidth=0.8, label="_edge")
        middles.append(float(base[-1] + top[-1]) / 2.0)
        base = top
    return middles


def _frame(axes: Axes, panel: Panel, last: int) -> None:
    """Set the limits of both axes, and write the numbers along them."""
    values = panel.paths()
    high = float(values.max())
    low = 0.0
    if panel.shares:
        high, low = max(1.0, high), float(values.min())
        low = 0.0 if low < _NEAR_ZERO else low - 0.05 * (high - low)
    axes.set_ylim(low, high + 0.04 * (high - low))
    axes.set_xlim(0, last)
    numbers(axes, "y", panel.write, most=5)
    axes.locator_params(axis="x", nbins=10, steps=[1, 2, 5, 10], integer=True)

"""How systems and solutions look in a notebook: a short summary, and below it the diagram.

Notebooks show one form of an object, and prefer HTML to SVG, so the diagram is part of the HTML. What has no HTML, as a
PDF made of a notebook, shows the SVG alone. IPython asks for both at once; each picture is painted only once. Above a
size, the diagram is left to `contagion.draw`: nobody who types a name into a cell wants to wait for it.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Sequence
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from contagion import diagram, display
from contagion.arrays import lower
from contagion.attribution import Attribution
from contagion.errors import ContagionError, InputError
from contagion.kernels.inputs import sum_by
from contagion.kernels.rounds import opening_lines
from contagion.money import percent, usd
from contagion.scenario import Scenario
from contagion.solution import Solution
from contagion.system import System
from contagion.validate import validate

if TYPE_CHECKING:
    import graphviz

__all__ = [
    "LARGE",
    "attribution_html",
    "attribution_svg",
    "solution_html",
    "solution_svg",
    "system_html",
    "system_svg",
]

LARGE = 500_000
"""Accounts and positions beyond which no diagram is drawn unasked: about a second of work."""

_TOP = 5
_SECONDS = 3.0


@display.html.register
def system_html(system: System) -> str:
    """Return sizes of the tables, assets by platform, and the diagram of exposures; all text is escaped."""
    sizes = [(table, f"{len(frame):,}") for table, frame in system.tables() if len(frame)]
    parts = [_table(("table", "rows"), sizes, most=len(sizes))] if sizes else []
    if _is_large(system):
        return _page("System", "", parts, _left_out("system"))
    try:
        validate(system, Scenario())
    except InputError as error:
        count = f"{len(error.problems)} problem{'' if len(error.problems) == 1 else 's'}"
        return _page("System", f"{count}, listed by contagion.validate(system)", parts, "")
    picture = _painted(diagram.draw(system))
    if not len(system.accounts):
        return _page("System", "no accounts", parts, picture)
    totals, platforms = _assets(system)
    return _page("System", totals, [*parts, platforms], picture)


@display.html.register
def solution_html(solution: Solution) -> str:
    """Return the loss and how sure it is, what fell and who lost most, and the diagram of the cascade."""
    rounds = len(solution.parts.run.records)
    count = f"{rounds:,} round{'' if rounds == 1 else 's'}"
    state = f"converged in {count}, residual {solution.residual:.0e}"
    if not solution.converged:
        state = f"NOT CONVERGED after {count}: these numbers are not a result"
    parts = [_totals(solution), _markets(solution.markets), _nodes(solution.nodes)]
    picture = _left_out("solution") if _is_large(solution.system) else _painted(diagram.draw(solution))
    sold = (
        f"{int((solution.parts.run.state.liquidated > 0.0).sum()):,} of {len(solution.system.accounts):,} accounts sold"
    )
    title = solution.scenario.name or "Solution"
    return _page(
        title, f"loss {usd(solution.totals['loss'])} · {sold} · {state}", [part for part in parts if part], picture
    )


@display.html.register
def attribution_html(found: Attribution) -> str:
    """Return sources and channels, how they may be read, and the picture of the paths."""
    write = usd if found.unit == "usd" else percent
    parts = [
        _table((name, found.unit, "share"), [(str(at), write(amount), percent(share)) for at, amount, share in rows], 8)
        for name, rows in (
            (name, list(_rows(table[table["share"] != 0.0], found.unit, "share")))
            for name, table in (("source", found.sources), ("channel", found.channels))
        )
    ]
    system = found.terminal.parts.system
    picture = _left_out("attribution", "draw_paths") if _is_large(system) else _painted(diagram.draw_paths(found))
    line = f"{write(found.total)} · {found.reading}"
    return _page(found.target, line, [part for part in parts if part], picture)


@display.svg.register
def system_svg(system: System) -> str | None:
    """Return the diagram of exposures; None where the system is large, or its tables have problems."""
    if _is_large(system):
        return None
    try:
        validate(system, Scenario())
    except InputError:
        return None
    return _alone(diagram.draw(system))


@display.svg.register
def solution_svg(solution: Solution) -> str | None:
    """Return the diagram of the cascade; None where the system is large."""
    return None if _is_large(solution.system) else _alone(diagram.draw(solution))


@display.svg.register
def attribution_svg(found: Attribution) -> str | None:
    """Return the picture of the paths; None where the system is large."""
    return None if _is_large(found.terminal.parts.system) else _alone(diagram.draw_paths(found))


def _is_large(system: System) -> bool:
    return len(system.accounts) + len(system.positions) > LARGE


def _assets(system: System) -> tuple[str, str]:
    """Return assets, debt and equity of all accounts in a line, and by platform as a table."""
    inputs, labels = lower(system, Scenario())
    at = opening_lines(inputs)
    platform, size = inputs.accounts.platform, len(labels.nodes)
    frame = pd.DataFrame(
        {name: sum_by(platform, values, size) for name, values in (("assets", at.gross), ("debt", at.debt))}
        | {"accounts": sum_by(platform, (at.gross >= 0.0).astype(float), size)},
        index=labels.nodes,
    )
    frame = frame[frame["accounts"] > 0.0].sort_values("assets", ascending=False, kind="stable")
    rows = [
        (str(name), f"{accounts:,.0f}", usd(assets), usd(debt))
        for name, accounts, assets, debt in _rows(frame, "accounts", "assets", "debt")
    ]
    line = f"{usd(float(at.gross.sum()))} gross assets, {usd(float(at.debt.sum()))} debt at opening prices"
    return line, _table(("platform", "accounts", "gross assets", "debt"), rows)


def _totals(solution: Solution) -> str:
    rows = [(name.replace("_", " "), usd(value)) for name, value in solution.totals.items() if value]
    return _table(("total", "USD"), rows, most=len(rows))


def _markets(markets: pd.DataFrame) -> str:
    fell = markets[markets["drop"] > 0.0].sort_values("drop", ascending=False, kind="stable")
    rows = [(str(name), f"−{percent(drop)}", usd(sold)) for name, drop, sold in _rows(fell, "drop", "sold")]
    return _table(("market", "price", "sold"), rows)


def _nodes(nodes: pd.DataFrame) -> str:
    hit = nodes[(nodes["loss"] > 0.0) | (nodes["liquidated"] > 0.0)]
    hit = hit.sort_values(["loss", "liquidated"], ascending=False, kind="stable")
    rows = [
        (str(name), usd(loss), percent(haircut), usd(sold))
        for name, loss, haircut, sold in _rows(hit, "loss", "haircut", "liquidated")
    ]
    return _table(("node", "loss", "haircut", "liquidated there"), rows)


def _rows(frame: pd.DataFrame, *columns: str) -> Iterable[tuple[Any, ...]]:
    return zip(frame.index, *(frame[column] for column in columns), strict=True)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], most: int = 0) -> str:
    """Return a table of the first rows, five if not said otherwise, and how many more there are; nothing for none."""
    if not rows:
        return ""
    shown = rows[: most or _TOP]
    cells = [_row("th", header), *(_row("td", row) for row in shown)]
    if len(shown) < len(rows):
        cells.append(_row("td", [f"… and {len(rows) - len(shown):,} more", *[""] * (len(header) - 1)]))
    return f'<table style="margin:0">{"".join(cells)}</table>'


def _row(tag: str, cells: Sequence[str]) -> str:
    """Return a row whose first cell is a name and whose others are numbers."""
    aligned = (
        f'<{tag} style="text-align:{"right" if at else "left"}">{escape(cell)}</{tag}>' for at, cell in enumerate(cells)
    )
    return f"<tr>{''.join(aligned)}</tr>"


def _page(title: str, line: str, parts: Sequence[str], picture: str) -> str:
    head = f"<b>{escape(title)}</b>{': ' if line else ''}{escape(line)}"
    body = "".join(parts)
    columns = f'<div style="display:flex;flex-wrap:wrap;gap:2em;align-items:flex-start;margin:.5em 0">{body}</div>'
    return f"<div>{head}{columns if body else ''}{picture}</div>"


def _left_out(name: str, function: str = "draw") -> str:
    return f"<div>large, so its diagram is left to <code>contagion.{function}({name})</code></div>"


def _painted(digraph: graphviz.Digraph) -> str:
    """Return a diagram as inline SVG no wider than the notebook; a sentence where it cannot be painted."""
    try:
        text = _svg(digraph.source)
    except ContagionError as error:
        return f"<div>{escape(str(error))}</div>"
    return re.sub(r"<svg\b", '<svg style="max-width:100%;height:auto"', text, count=1)


def _alone(digraph: graphviz.Digraph) -> str | None:
    """Return a diagram as SVG; None where it cannot be painted."""
    try:
        return _svg(digraph.source)
    except ContagionError:
        return None


@lru_cache(maxsize=4)
def _svg(source: str) -> str:
    """Return the picture of a DOT text; the last few are kept, since every form of an object asks for its own."""
    import graphviz

    with tempfile.TemporaryDirectory(prefix="contagion-") as folder:
        (file,) = diagram.render(graphviz.Source(source), Path(folder) / "picture.svg", seconds=_SECONDS)
        text = file.read_text("utf-8")
    return text[text.index("<svg") :]

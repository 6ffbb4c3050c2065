"""What the command line prints: rankings, tables and sentences, as wide as the terminal allows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

import contagion as ct
from contagion.money import percent, usd
from contagion.review import warnings

__all__ = ["LISTED", "NARROWEST", "SHOWN", "as_table", "count", "mention", "ranking_formats", "show", "terminal"]

Formats = Mapping[str, Callable[[Any], str]]

SHOWN: Formats = {
    "rank": str,
    "type": str,
    "throughput": usd,
    "throughput_share": percent,
    "own_loss": usd,
    "usd_sold": usd,
    "deficit_caused": usd,
    "price_drop_caused": percent,
    "share_liquidated": percent,
    "leverage_before": "×{:.1f}".format,
    "leverage_after": "×{:.1f}".format,
    "first_round": str,
}
"""Columns of the ranking that are printed, and how a value is written."""

_FEW = ("rank", "type", "throughput", "own_loss", "usd_sold", "share_liquidated")
"""Those for which a narrow terminal has room."""

_NARROW, NARROWEST, _UNWATCHED = 126, 72, 200
"""Widths: below which only a few columns are shown; which these need; and of what is piped or written to a file."""

LISTED = 20


def count(number: int) -> str:
    """Return so many warnings in words."""
    return f"{number} warning{'' if number == 1 else 's'}"


def mention(console: Console, system: ct.System, where: str) -> None:
    """Say that tables deserve a look, if they do."""
    if number := len(warnings(system)):
        console.print(f"{count(number)} about the tables: contagion check {where}", markup=False, highlight=False)


def terminal() -> Console:
    """Return a console on which numbers have room; what nobody looks at on a terminal has any width."""
    console = Console(emoji=False)
    console.width = max(console.width, NARROWEST if console.is_terminal else _UNWATCHED)
    return console


def ranking_formats(width: int) -> Formats:
    """Return the columns of the ranking that fit on a terminal, and how their values are written."""
    return SHOWN if width >= _NARROW else {name: SHOWN[name] for name in _FEW}


def show(console: Console, solution: ct.Solution, top: int) -> None:
    """Print what came out of a solve, and how sure it is, and the first rows of the ranking."""
    totals = {name: usd(value) for name, value in solution.totals.items()}
    certainty = "converged" if solution.converged else "[bold red]NOT CONVERGED[/]"
    console.print(
        f"\n[bold]{escape(solution.scenario.name or 'scenario')}[/]: loss {totals['loss']}, liquidated "
        f"{totals['liquidated']}, unpaid {totals['deficit']}, hidden bad debt {totals['hidden_bad_debt']}; "
        f"{certainty} in {len(solution.rounds)} rounds (residual {solution.residual:.0e}, rate {solution.rate:.2f})"
    )
    ranking = ct.rank(solution)
    console.print(as_table(ranking.head(top), ranking_formats(console.width)))
    if len(ranking) > top:
        console.print(f"… and {len(ranking) - top} more")


def as_table(frame: pd.DataFrame, formats: Formats) -> Table:
    """Return rows as a table in which only names may be cropped; headers are broken after their first word."""
    made = Table(box=None, header_style="bold", pad_edge=False)
    made.add_column(str(frame.index.name or ""), vertical="bottom")
    for column in formats:
        made.add_column(column.replace("_", "\n", 1).replace("_", " "), justify="right", no_wrap=True)
    for name, row in zip(frame.index, frame[list(formats)].itertuples(index=False), strict=True):
        cells = ["" if pd.isna(value) else write(value) for write, value in zip(formats.values(), row, strict=True)]
        made.add_row(Text(str(name), no_wrap=True, overflow="ellipsis"), *cells)
    return made

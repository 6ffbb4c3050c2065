"""Questions to the command line: where a loss came from, when a system tips, what a change changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from rich.console import Console
from rich.markup import escape

import contagion as ct
from contagion import report
from contagion.attribution.entities import check_by
from contagion.attribution.target import check_target
from contagion.cli.console import as_table, terminal
from contagion.cli.shared import ROUNDS, Folder, MaxRounds, ScenarioFile, Top, end, prepare, solved, watched
from contagion.errors import refuse
from contagion.money import percent, usd
from contagion.validate import applied

__all__ = ["compare", "explain", "tip"]

Written = Annotated[Path | None, typer.Option("--out", help="Folder for the tables and pictures of the answer.")]


def explain(
    folder: Folder,
    scenario: ScenarioFile,
    target: Annotated[
        str, typer.Option(help="loss, equity:<group or account>, deficit:<platform>, price:<market> or haircut:<node>.")
    ] = "loss",
    by: Annotated[str, typer.Option(help="Columns of accounts that make up a group.")] = "group,platform",
    out: Written = None,
    top: Top = 10,
    max_rounds: MaxRounds = ROUNDS,
) -> None:
    """Say where a loss came from: its story, sources, channels and paths, which add up to it."""
    system, chosen = ct.read_system(folder), ct.read_scenario(scenario)
    columns = tuple(name.strip() for name in by.split(","))
    refuse([*check_target(target, applied(system, chosen)), *check_by(columns)], "explain")
    if out is not None:
        prepare(out)
    solution = solved(system, chosen, max_rounds)
    end(not solution.converged)
    found, told = ct.attribute(solution, target), ct.timeline(solution)
    if out is not None:
        report.write_attribution(found, out, columns)
        report.write_timeline(told, out)
    console = terminal()
    name = escape(chosen.name or "scenario")
    console.print(f"[bold]{name}[/]: {escape(target)} {_amount(found.unit)(found.total)}")
    _explanation(console, found, told.story(), ct.paths(found, top, by=columns), top)
    if out is not None:
        console.print(f"Tables and the picture of the paths: {out}", markup=False)


def _explanation(console: Console, found: ct.Attribution, story: str, listed: pd.DataFrame, top: int) -> None:
    """Print a story, the largest sources and channels, the paths, and how far the shares can be read."""
    for line in story.splitlines():
        console.print(f"  {line}", markup=False, highlight=False)
    formats = {found.unit: _amount(found.unit), "share": percent}
    for table in (found.sources, found.channels):
        console.print()
        console.print(as_table(table[table["share"] != 0.0].head(top), formats))
    console.print()
    for row in listed.to_dict("records"):
        gain = f"  ×{row['gain']:.1f}" if row["gain"] > 1.05 else ""
        console.print(f"{percent(row['share']):>6}  {' → '.join(row['path'])}{gain}", markup=False, highlight=False)
    rest = f"{percent(listed.attrs['unlisted_share']):>6}  on other paths"
    console.print(f"{rest}\n{found.reading}", markup=False, highlight=False)


def tip(
    folder: Folder,
    scenario: ScenarioFile,
    most: Annotated[float, typer.Option("--most", min=0.01, help="Largest multiple of the scenario to try.")] = 2.0,
    out: Written = None,
    max_rounds: MaxRounds = ROUNDS,
) -> None:
    """Find the smallest multiple of a scenario at which the loss jumps."""
    system, chosen = ct.read_system(folder), ct.read_scenario(scenario)
    if out is not None:
        prepare(out)
    found = ct.tipping_point(system, chosen, between=(0.0, most), max_rounds=max_rounds, progress=watched())
    drawn = True
    if out is not None:
        report.write_table(found.curve.rename_axis("row"), out / "tipping.csv")
        drawn = bool(report.write_chart("draw_tipping", found, out / "tipping"))
    console = terminal()
    console.print(str(found), markup=False, highlight=False)
    if not drawn:
        console.print('The picture needs matplotlib: pip install "contagion[charts]"', markup=False)
    end(not found.curve["converged"].all())


def compare(
    folder: Folder,
    scenario: ScenarioFile,
    other: Annotated[Path, typer.Argument(help="Scenario in TOML to set beside the first; overrides count too.")],
    out: Written = None,
    top: Top = 10,
    max_rounds: MaxRounds = ROUNDS,
) -> None:
    """Say what changes from one scenario to another."""
    system, chosen = ct.read_system(folder), [ct.read_scenario(file) for file in (scenario, other)]
    if out is not None:
        prepare(out)
    first, second = (solved(system, each, max_rounds) for each in chosen)
    end(not (first.converged and second.converged))
    found = ct.compare(first, second, k=top)
    if out is not None:
        report.write_comparison(found, out)
    console = terminal()
    console.print(str(found), markup=False, highlight=False)
    formats = {"loss_a": usd, "loss_b": usd, "change": usd}
    console.print(as_table(found.groups.head(top), formats))


def _amount(unit: str) -> Callable[[float], str]:
    """Return how amounts of a unit are written."""
    return usd if unit == "usd" else percent

"""The command line: parse, call, print.

Exit codes: 0 for success, 1 for bad input, 2 for wrong usage, 3 for a solve that did not converge.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import contagion as ct
from contagion import diagram, report
from contagion.diagram.money import percent, usd
from contagion.review import review

BAD_INPUT, NOT_CONVERGED = 1, 3

app = typer.Typer(
    help="Systemic risk on exposure graphs: who takes down whom, through what, and what would have stopped it.",
    no_args_is_help=True,
    add_completion=False,
)

_SHOWN: dict[str, Callable[[Any], str]] = {
    "rank": str,
    "type": str,
    "loss_passed_on": usd,
    "own_loss": usd,
    "usd_sold": usd,
    "deficit_caused": usd,
    "price_drop_caused": percent,
    "share_liquidated": percent,
    "leverage_before": "×{:.1f}".format,
    "leverage_after": "×{:.1f}".format,
    "first_round": str,
}
"""Columns of the ranking that a terminal has room for, and how a value is written."""

Folder = Annotated[Path, typer.Argument(help="Folder of CSV or Parquet tables, or an Excel workbook.")]
ScenarioFile = Annotated[Path, typer.Argument(help="Scenario in TOML.")]
Out = Annotated[Path, typer.Option("--out", help="Folder for tables, diagrams and run.json.")]
Top = Annotated[int, typer.Option("--top", min=1, help="Rows of the ranking to print.")]


def main() -> None:
    """Run the command line and turn the package's own errors into messages and exit codes."""
    try:
        app()
    except ct.ContagionError as error:
        sys.stderr.write(f"contagion: {error}\n")
        sys.exit(NOT_CONVERGED if isinstance(error, ct.NotConverged) else BAD_INPUT)
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


@app.command()
def demo(
    out: Out = Path("contagion-demo"),
    top: Top = 12,
    dataset: Annotated[str, typer.Option(help="Bundled system.")] = "october_2025",
) -> None:
    """Solve every scenario of a bundled case; print the ranked nodes, write tables and diagrams."""
    system, scenarios = ct.datasets.load(dataset)
    console = Console()
    console.print(f"[bold]{dataset}[/]: {system!r}")
    failed = False
    for name, scenario in scenarios.items():
        solution = _solve(system, scenario)
        failed |= not solution.converged
        _show(console, solution, top)
        report.write_report(solution, out / name, _watched())
    console.print(
        f"Tables, diagrams and run.json: {out}/<scenario>/ (look at {out}/{next(iter(scenarios))}/cascade.svg)"
    )
    _end(failed)


@app.command()
def check(
    folder: Folder,
    scenario: Annotated[Path | None, typer.Argument(help="Scenario in TOML, checked against the tables.")] = None,
) -> None:
    """Check tables, and a scenario: list every problem (exit 1), else what deserves a look."""
    system = ct.read_system(folder)
    chosen = ct.read_scenario(scenario) if scenario else ct.Scenario()
    changed = chosen.apply(system)
    ct.validate(changed, chosen)
    console = Console()
    warnings = review(changed)
    console.print(f"{system!r}: no problems, {len(warnings)} warnings")
    for text in warnings.head(20)["text"]:
        console.print(f"  - {text}", markup=False, highlight=False)


@app.command()
def solve(folder: Folder, scenario: ScenarioFile, out: Out = Path("contagion-out"), top: Top = 12) -> None:
    """Solve a scenario; print the ranking, write tables, diagrams and run.json."""
    solution = _solve(ct.read_system(folder), ct.read_scenario(scenario))
    console = Console()
    _show(console, solution, top)
    report.write_report(solution, out, _watched())
    console.print(f"Tables, diagrams and run.json: {out}")
    _end(not solution.converged)


@app.command()
def rank(
    folder: Folder,
    scenario: ScenarioFile,
    out: Annotated[Path | None, typer.Option("--out", help="CSV file for the whole ranking.")] = None,
    top: Top = 25,
) -> None:
    """Solve a scenario and print who passed on most."""
    solution = _solve(ct.read_system(folder), ct.read_scenario(scenario))
    _show(Console(), solution, top)
    if out is not None:
        report.write_table(ct.rank(solution), out)
    _end(not solution.converged)


@app.command()
def draw(
    folder: Folder,
    scenario: Annotated[
        Path | None, typer.Argument(help="Scenario in TOML; without it the exposures are drawn.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="File without ending; .svg and .png are written.")] = Path(
        "contagion"
    ),
) -> None:
    """Draw the exposures of a system, or the cascade of a scenario."""
    system = ct.read_system(folder)
    if scenario is None:
        ct.validate(system)
        subject: ct.System | ct.Solution = system
    else:
        subject = _solve(system, ct.read_scenario(scenario))
    for path in diagram.render(ct.draw(subject), out):
        typer.echo(path)
    _end(isinstance(subject, ct.Solution) and not subject.converged)


@app.command()
def doctor() -> None:
    """Print versions, the renderer and fonts found, and threads."""
    program, version = diagram.renderer()
    rows = report.versions() | {
        "renderer": f"{program} ({version})",
        "fonts": diagram.fonts(),
        "threads": str(os.cpu_count()),
    }
    for name, value in rows.items():
        typer.echo(f"{name:<12} {value}")


def _solve(system: ct.System, scenario: ct.Scenario) -> ct.Solution:
    return ct.solve(system, scenario, on_failure="return", progress=_watched())


def _watched() -> bool:
    """Return whether somebody looks at the terminal."""
    return sys.stderr.isatty()


def _end(failed: bool) -> None:
    if failed:
        sys.stderr.write("contagion: NOT CONVERGED; the numbers above are not a result (see run.json)\n")
        raise typer.Exit(NOT_CONVERGED)


def _show(console: Console, solution: ct.Solution, top: int) -> None:
    totals = {name: usd(value) for name, value in solution.totals.items()}
    certainty = "converged" if solution.converged else "[bold red]NOT CONVERGED[/]"
    console.print(
        f"\n[bold]{escape(solution.scenario.name or 'scenario')}[/]: loss {totals['loss']}, liquidated "
        f"{totals['liquidated']}, unpaid {totals['deficit']}, hidden bad debt {totals['hidden_bad_debt']}; "
        f"{certainty} in {len(solution.rounds)} rounds (residual {solution.residual:.0e}, rate {solution.rate:.2f})"
    )
    ranking = ct.rank(solution)
    shown = ranking.head(top)
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("name", no_wrap=True)
    for column in _SHOWN:
        table.add_column(column.replace("_", " "), justify="right")
    for name, row in zip(shown.index, shown[list(_SHOWN)].itertuples(index=False), strict=True):
        cells = zip(row, _SHOWN.values(), strict=True)
        table.add_row(escape(str(name)), *("" if pd.isna(value) else write(value) for value, write in cells))
    console.print(table)
    if len(ranking) > top:
        console.print(f"… and {len(ranking) - top} more")

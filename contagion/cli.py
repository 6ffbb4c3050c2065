"""The command line: parse, call, print.

Exit codes: 0 for success, 1 for bad input, 2 for wrong usage, 3 for a solve that did not converge.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from importlib import metadata, resources
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

import contagion as ct
from contagion import diagram, report
from contagion.diagram.money import percent, usd
from contagion.review import warnings
from contagion.validate import applied

BAD_INPUT, NOT_CONVERGED = 1, 3

app = typer.Typer(
    help="Systemic risk on exposure graphs: who takes down whom, through what, and what would have stopped it.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_SHOWN: dict[str, Callable[[Any], str]] = {
    "rank": str,
    "type": str,
    "throughput": usd,
    "throughput_share": percent,
    "caused": usd,
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

_NARROW, _NARROWEST, _UNWATCHED = 126, 72, 200
"""Widths: below which only a few columns are shown; which these need; and of what is piped or written to a file."""

_LISTED = 20

Folder = Annotated[Path, typer.Argument(help="Folder of CSV or Parquet tables, or an Excel workbook.")]
ScenarioFile = Annotated[Path, typer.Argument(help="Scenario in TOML.")]
Out = Annotated[Path, typer.Option("--out", help="Folder for tables, diagrams and run.json; made if need be.")]
Top = Annotated[int, typer.Option("--top", min=1, help="Rows of the ranking to print.")]
MaxRounds = Annotated[int, typer.Option("--max-rounds", min=1, help="Rounds after which a solve is given up.")]
ROUNDS = 20_000


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
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename}: "
        sys.stderr.write(f"contagion: {where}{error.strerror or error}; give another path, or mend the rights on it\n")
        sys.exit(BAD_INPUT)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"contagion {metadata.version('contagion')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Systemic risk on exposure graphs: who takes down whom, through what, and what would have stopped it."""


@app.command()
def demo(
    out: Out = Path("contagion-demo"),
    top: Top = 12,
    dataset: Annotated[str, typer.Option(help="Bundled system.")] = "october_2025",
    max_rounds: MaxRounds = ROUNDS,
) -> None:
    """Solve every scenario of a bundled case; print the ranked nodes, write tables and diagrams."""
    system, scenarios = ct.datasets.load(dataset)
    for name in scenarios:
        _prepare(out / name)
    console = _console()
    console.print(f"[bold]{dataset}[/]: {system!r}")
    _mention(console, system, f"{resources.files('contagion') / 'data' / dataset}")
    failed = False
    for name, scenario in scenarios.items():
        solution = _solve(system, scenario, max_rounds)
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
    changed = applied(system, chosen)
    console = _console()
    found = warnings(changed)
    console.print(f"{system!r}: no problems, {_count(len(found))}")
    for table, row, name, text in found.head(_LISTED)[["table", "row", "name", "text"]].itertuples(index=False):
        where = table if pd.isna(row) else f"{table} row {row}"
        console.print(f"  - {where} ({name}): {text}", markup=False, highlight=False)
    if len(found) > _LISTED:
        console.print(f"… and {len(found) - _LISTED} more (contagion.review lists all)")


@app.command()
def solve(
    folder: Folder,
    scenario: ScenarioFile,
    out: Out = Path("contagion-out"),
    top: Top = 12,
    max_rounds: MaxRounds = ROUNDS,
) -> None:
    """Solve a scenario; print the ranking, write tables, diagrams and run.json."""
    system, chosen = ct.read_system(folder), ct.read_scenario(scenario)
    _prepare(out)
    solution = _solve(system, chosen, max_rounds)
    console = _console()
    _show(console, solution, top)
    _mention(console, solution.system, f"{folder} {scenario}")
    report.write_report(solution, out, _watched())
    console.print(f"Tables, diagrams and run.json: {out}")
    _end(not solution.converged)


@app.command()
def rank(
    folder: Folder,
    scenario: ScenarioFile,
    out: Annotated[Path | None, typer.Option("--out", help="CSV file for the whole ranking.")] = None,
    top: Top = 25,
    max_rounds: MaxRounds = ROUNDS,
) -> None:
    """Solve a scenario and print who passed on most."""
    system, chosen = ct.read_system(folder), ct.read_scenario(scenario)
    if out is not None:
        _prepare_file(out)
    solution = _solve(system, chosen, max_rounds)
    console = _console()
    _show(console, solution, top)
    _mention(console, solution.system, f"{folder} {scenario}")
    if out is not None:
        report.write_table(ct.rank(solution), out)
    _end(not solution.converged)


@app.command()
def draw(
    folder: Folder,
    scenario: Annotated[
        Path | None, typer.Argument(help="Scenario in TOML; without it the exposures are drawn.")
    ] = None,
    out: Annotated[
        Path,
        typer.Option(
            "--out", help="File: without ending, .svg and .png are written; with .svg, .png or .pdf, only that one."
        ),
    ] = Path("contagion"),
    max_rounds: MaxRounds = ROUNDS,
) -> None:
    """Draw the exposures of a system, or the cascade of a scenario."""
    system = ct.read_system(folder)
    chosen = None if scenario is None else ct.read_scenario(scenario)
    _prepare_file(out)
    if chosen is None:
        ct.validate(system)
        subject: ct.System | ct.Solution = system
    else:
        subject = _solve(system, chosen, max_rounds)
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


def _solve(system: ct.System, scenario: ct.Scenario, max_rounds: int) -> ct.Solution:
    return ct.solve(system, scenario, max_rounds=max_rounds, on_failure="return", progress=_watched())


def _watched() -> bool:
    """Return whether somebody looks at the terminal."""
    return sys.stderr.isatty()


def _prepare(folder: Path) -> None:
    """Make a folder and try to write to it, so that a long solve does not end in vain."""
    if folder.exists() and not folder.is_dir():
        raise ct.InputError(f"{folder}: is a file; give a folder for --out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ct.InputError(f"{folder}: nothing can be written there ({error.strerror}); give another --out") from None


def _prepare_file(file: Path) -> None:
    if file.is_dir():
        raise ct.InputError(f"{file}: is a folder; give a file for --out")
    _prepare(file.parent)


def _end(failed: bool) -> None:
    if failed:
        sys.stderr.write("contagion: NOT CONVERGED; these numbers are not a result; try --max-rounds\n")
        raise typer.Exit(NOT_CONVERGED)


def _count(number: int) -> str:
    return f"{number} warning{'' if number == 1 else 's'}"


def _mention(console: Console, system: ct.System, where: str) -> None:
    """Say that tables deserve a look, if they do."""
    if number := len(warnings(system)):
        console.print(f"{_count(number)} about the tables: contagion check {where}", markup=False, highlight=False)


def _console() -> Console:
    """Return a console on which numbers have room; what nobody looks at on a terminal has any width."""
    console = Console()
    console.width = max(console.width, _NARROWEST if console.is_terminal else _UNWATCHED)
    return console


def _columns(width: int) -> tuple[str, ...]:
    """Return the columns of the ranking that fit on a terminal."""
    return tuple(_SHOWN) if width >= _NARROW else _FEW


def _show(console: Console, solution: ct.Solution, top: int) -> None:
    totals = {name: usd(value) for name, value in solution.totals.items()}
    certainty = "converged" if solution.converged else "[bold red]NOT CONVERGED[/]"
    console.print(
        f"\n[bold]{escape(solution.scenario.name or 'scenario')}[/]: loss {totals['loss']}, liquidated "
        f"{totals['liquidated']}, unpaid {totals['deficit']}, hidden bad debt {totals['hidden_bad_debt']}; "
        f"{certainty} in {len(solution.rounds)} rounds (residual {solution.residual:.0e}, rate {solution.rate:.2f})"
    )
    ranking = ct.rank(solution)
    console.print(_table(ranking.head(top), _columns(console.width)))
    if len(ranking) > top:
        console.print(f"… and {len(ranking) - top} more")


def _table(ranking: pd.DataFrame, columns: tuple[str, ...]) -> Table:
    """Return rows as a table in which only names may be cropped; headers are broken after their first word."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("name", vertical="bottom")
    for column in columns:
        table.add_column(column.replace("_", "\n", 1).replace("_", " "), justify="right", no_wrap=True)
    for name, row in zip(ranking.index, ranking[list(columns)].itertuples(index=False), strict=True):
        cells = ["" if pd.isna(value) else _SHOWN[column](value) for column, value in zip(columns, row, strict=True)]
        table.add_row(Text(str(name), no_wrap=True, overflow="ellipsis"), *cells)
    return table

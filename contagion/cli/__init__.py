"""The command line: parse, call, write, print.

Files are written before anything is printed: whoever reads may stop early (`| head`), and that ends the program.
Exit codes: 0 for success, 1 for bad input, 2 for wrong usage, 3 for a solve that did not converge.
"""

from __future__ import annotations

import os
import sys
from importlib import metadata, resources
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

import contagion as ct
from contagion import diagram, report
from contagion.cli import questions
from contagion.cli.console import LISTED, count, mention, show, terminal
from contagion.cli.shared import (
    NOT_CONVERGED,
    ROUNDS,
    Folder,
    MaxRounds,
    Out,
    ScenarioFile,
    Top,
    end,
    prepare,
    prepare_file,
    solved,
    watched,
)
from contagion.review import warnings
from contagion.validate import applied

BAD_INPUT = 1

app = typer.Typer(
    help="Systemic risk on exposure graphs: who takes down whom, through what, and what would have stopped it.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


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
        prepare(out / name)
    solutions = {name: solved(system, scenario, max_rounds) for name, scenario in scenarios.items()}
    for name, solution in solutions.items():
        report.write_report(solution, out / name, watched())
    console = terminal()
    console.print(f"[bold]{dataset}[/]: {system!r}")
    mention(console, system, f"{resources.files('contagion') / 'data' / dataset}")
    for solution in solutions.values():
        show(console, solution, top)
    console.print(
        f"Tables, diagrams and run.json: {out}/<scenario>/ (look at {out}/{next(iter(scenarios))}/cascade.svg)"
    )
    end(not all(solution.converged for solution in solutions.values()))


@app.command()
def check(
    folder: Folder,
    scenario: Annotated[Path | None, typer.Argument(help="Scenario in TOML, checked against the tables.")] = None,
) -> None:
    """Check tables, and a scenario: list every problem (exit 1), else what deserves a look."""
    system = ct.read_system(folder)
    chosen = ct.read_scenario(scenario) if scenario else ct.Scenario()
    changed = applied(system, chosen)
    console = terminal()
    found = warnings(changed)
    console.print(f"{system!r}: no problems, {count(len(found))}")
    for table, row, name, text in found.head(LISTED)[["table", "row", "name", "text"]].itertuples(index=False):
        where = table if pd.isna(row) else f"{table} row {row}"
        console.print(f"  - {where} ({name}): {text}", markup=False, highlight=False)
    if len(found) > LISTED:
        console.print(f"… and {len(found) - LISTED} more (contagion.review lists all)")


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
    prepare(out)
    solution = solved(system, chosen, max_rounds)
    report.write_report(solution, out, watched())
    console = terminal()
    show(console, solution, top)
    mention(console, solution.system, f"{folder} {scenario}")
    console.print(f"Tables, diagrams and run.json: {out}")
    end(not solution.converged)


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
        prepare_file(out)
    solution = solved(system, chosen, max_rounds)
    if out is not None:
        report.write_table(ct.rank(solution), out)
    console = terminal()
    show(console, solution, top)
    mention(console, solution.system, f"{folder} {scenario}")
    end(not solution.converged)


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
    prepare_file(out)
    if chosen is None:
        ct.validate(system)
        subject: ct.System | ct.Solution = system
    else:
        subject = solved(system, chosen, max_rounds)
    for path in diagram.render(ct.draw(subject), out):
        typer.echo(path)
    end(isinstance(subject, ct.Solution) and not subject.converged)


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


for question in (questions.explain, questions.tip, questions.compare):
    app.command()(question)

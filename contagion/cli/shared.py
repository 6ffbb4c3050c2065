"""What commands share: their options, and solving with care."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

import contagion as ct

__all__ = [
    "NOT_CONVERGED",
    "ROUNDS",
    "Folder",
    "MaxRounds",
    "Out",
    "ScenarioFile",
    "Top",
    "end",
    "prepare",
    "prepare_file",
    "solved",
    "watched",
]

NOT_CONVERGED = 3

Folder = Annotated[Path, typer.Argument(help="Folder of CSV or Parquet tables, or an Excel workbook.")]
ScenarioFile = Annotated[Path, typer.Argument(help="Scenario in TOML.")]
Out = Annotated[Path, typer.Option("--out", help="Folder for tables, diagrams and run.json; made if need be.")]
Top = Annotated[int, typer.Option("--top", min=1, help="Rows of the ranking to print.")]
MaxRounds = Annotated[int, typer.Option("--max-rounds", min=1, help="Rounds after which a solve is given up.")]
ROUNDS = 20_000


def solved(system: ct.System, scenario: ct.Scenario, max_rounds: int) -> ct.Solution:
    """Return a solution, converged or not; rounds are shown to whoever looks at the terminal."""
    return ct.solve(system, scenario, max_rounds=max_rounds, on_failure="return", progress=watched())


def watched() -> bool:
    """Return whether somebody looks at the terminal."""
    return sys.stderr.isatty()


def prepare(folder: Path) -> None:
    """Make a folder and try to write to it, so that a long solve does not end in vain."""
    if folder.exists() and not folder.is_dir():
        raise ct.InputError(f"{folder}: is a file; give a folder for --out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ct.InputError(f"{folder}: nothing can be written there ({error.strerror}); give another --out") from None


def prepare_file(file: Path) -> None:
    """Make the folder of a file, and try to write there."""
    if file.is_dir():
        raise ct.InputError(f"{file}: is a folder; give a file for --out")
    prepare(file.parent)


def end(failed: bool) -> None:
    """Say that a solve did not converge, and end with its exit code."""
    if failed:
        sys.stderr.write("contagion: NOT CONVERGED; these numbers are not a result; try --max-rounds\n")
        raise typer.Exit(NOT_CONVERGED)

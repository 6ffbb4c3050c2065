"""A solved scenario as a folder: tables as CSV, pictures as SVG and PNG, and a record of the run that made them."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
import platform
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib import metadata
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from contagion import diagram
from contagion.attribution import Attribution, attribute, paths
from contagion.compare import Comparison
from contagion.io import write_atomically
from contagion.ranking import rank
from contagion.scenario import Scenario
from contagion.solution import Solution
from contagion.timeline import Timeline

__all__ = [
    "record",
    "versions",
    "write_attribution",
    "write_chart",
    "write_comparison",
    "write_report",
    "write_table",
    "write_timeline",
]

_FORMATS = ("svg", "png")
_PATHS = 50
_EXTRAS = ("matplotlib",)
_PACKAGES = ("contagion", "numpy", "scipy", "numba", "pandas", "networkx", "graphviz", "pygraphviz")


def write_report(solution: Solution, folder: str | Path, progress: bool = False) -> list[Path]:
    """Return the files written: tables of the solution and its attribution, the ranking, pictures and ``run.json``.

    Files are replaced one by one and never half-written; the same input writes the same bytes.

    Parameters
    ----------
    solution : Solution
        Solved scenario; a result that has not converged is marked as such in ``run.json``. Where prices are beyond all
        numbers there is neither attribution nor timeline.
    folder : str or Path
        Where to write; made if it is not there.
    progress : bool
        Whether to show on stderr how far the writing is.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = [write_table(table(), folder / f"{name}.csv") for name, table in _shown(_tables(solution), progress)]
    written += diagram.render(diagram.draw(solution), folder / "cascade", _FORMATS)
    written += diagram.render(diagram.draw(solution.system), folder / "exposures", _FORMATS)
    if np.isfinite(solution.markets["price"]).all():
        written += write_attribution(attribute(solution), folder)
        written += write_chart("draw_timeline", solution, folder / "timeline")
    path = folder / "run.json"
    write_atomically(path, (json.dumps(record(solution), indent=2, allow_nan=False) + "\n").encode())
    return [*written, path]


def write_attribution(
    found: Attribution, folder: str | Path, by: tuple[str, ...] = ("group", "platform")
) -> list[Path]:
    """Return the files written: tables of an attribution, how its shares may be read, its paths, and their picture.

    ``by`` are the columns of accounts that make up a group in the table of paths.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    named = ("sources", "channels", "transmission", "throughput", "opening")
    listed = paths(found, k=_PATHS, by=by).drop(columns="gains")
    for name in ("path", "channels"):
        listed[name] = listed[name].map(" → ".join)
    tables = {name: getattr(found, name) for name in named}
    tables |= {name: getattr(found, name).rename_axis("row") for name in ("edges", "mitigated")}
    tables["paths"] = listed.set_index("rank")
    written = [write_table(table, folder / f"{name}.csv") for name, table in tables.items()]
    written.append(_write_text(found.reading, folder / "reading.txt"))
    return written + diagram.render(diagram.draw_paths(found), folder / "paths", _FORMATS)


def write_timeline(told: Timeline, folder: str | Path) -> list[Path]:
    """Return the files written: one for each table of a timeline, and its story."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    names = ("markets", "platforms", "triggers", "nodes")
    tables = {"rounds": told.rounds} | {name: getattr(told, name).rename_axis("row") for name in names}
    written = [write_table(table, folder / f"timeline_{name}.csv") for name, table in tables.items()]
    return [*written, _write_text(told.story(), folder / "story.txt")]


def write_comparison(found: Comparison, folder: str | Path) -> list[Path]:
    """Return the files written, one for each table of a comparison."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    names = ("totals", "markets", "nodes", "groups", "sources", "channels", "paths")
    return [write_table(getattr(found, name), folder / f"{name}.csv") for name in names]


def write_chart(name: str, subject: object, path: Path) -> list[Path]:
    """Return the files of a chart by the name of its function; none where matplotlib, an extra, is missing."""
    if importlib.util.find_spec("matplotlib") is None:
        return []
    from contagion import charts

    return charts.save(getattr(charts, name)(subject), path)


def write_table(frame: pd.DataFrame, path: Path) -> Path:
    """Return the CSV file that holds a table; numbers are written so that they read back exactly."""
    write_atomically(path, frame.to_csv(lineterminator="\n").encode())
    return path


def _write_text(text: str, path: Path) -> Path:
    write_atomically(path, f"{text}\n".encode())
    return path


def _tables(solution: Solution) -> dict[str, Callable[[], pd.DataFrame]]:
    """Return what makes each table; made one by one, since a million accounts fill memory."""
    named = ("markets", "accounts", "nodes", "rounds", "prices")
    rows = ("quotes", "liquidations", "knife_edge")
    return (
        {"ranking": partial(rank, solution)}
        | {name: partial(getattr, solution, name) for name in named}
        | {name: lambda name=name: getattr(solution, name).rename_axis("row") for name in rows}
    )


def _shown(
    tables: dict[str, Callable[[], pd.DataFrame]], progress: bool
) -> Iterable[tuple[str, Callable[[], pd.DataFrame]]]:
    return tqdm(tables.items(), desc="tables", unit="", disable=not progress)


def record(solution: Solution) -> dict[str, Any]:
    """Return what defends and repeats a run: versions, hashes of the input, scenario, certainty and totals.

    JSON has no word for a number that is not finite: None stands in its place.
    """
    content: dict[str, Any] = _finite(
        {
            "versions": versions(),
            "input": {table: _digest(frame) for table, frame in solution.system.tables() if len(frame)},
            "scenario": _plain(solution.scenario),
            "tol": solution.tol,
            "converged": solution.converged,
            "rounds": len(solution.rounds),
            "residual": solution.residual,
            "rate": solution.rate,
            "error_estimate": solution.error_estimate,
            "knife_edge_accounts": len(solution.knife_edge),
            "totals": dict(solution.totals),
            "direct_loss": solution.direct_loss,
            "amplification": solution.amplification,
            "stock_flow": dict(solution.stock_flow),
        }
    )
    return content


def versions() -> dict[str, str]:
    """Return the versions of Python, of this package and of what it computes and draws with."""
    extra = [name for name in _EXTRAS if importlib.util.find_spec(name) is not None]
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in (*_PACKAGES, *extra)}


def _digest(frame: pd.DataFrame) -> dict[str, Any]:
    """Return the number of rows of a table and the SHA-256 of its CSV, as `contagion.write_system` writes it."""
    text = frame.to_csv(index=False, lineterminator="\n")
    return {"rows": len(frame), "sha256": hashlib.sha256(text.encode()).hexdigest()}


def _plain(scenario: Scenario) -> dict[str, Any]:
    """Return a scenario as it is written in TOML; infinity in an override as text, which an override reads too."""
    overrides = [
        {"table": change.table, "where": _cells(change.where), "set": _cells(change.set)}
        for change in scenario.overrides
    ]
    return {
        "name": scenario.name,
        "description": scenario.description,
        "shocks": dict(scenario.shocks),
        "depth": dict(scenario.depth),
        "arbitrage": scenario.arbitrage,
        "losses": dict(scenario.losses),
        "override": overrides,
    }


def _cells(cells: Mapping[str, Any]) -> dict[str, str | float]:
    found: dict[str, str | float] = {}
    for column, value in cells.items():
        if isinstance(value, str):
            found[column] = value
        elif value is None:
            found[column] = ""
        else:  # numpy's numbers are no JSON
            found[column] = int(value) if isinstance(value, Integral) else float(value)
            found[column] = found[column] if math.isfinite(value) else str(float(value))
    return found


def _finite(value: Any) -> Any:
    """Return a tree of mappings and lists with None for every number that is not finite."""
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

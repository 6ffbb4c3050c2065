"""The table: one process for each size, then text, Markdown or CSV."""

from __future__ import annotations

import csv
import importlib.metadata
import io
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

Cells = Sequence[Sequence[str]]

ROOT = Path(__file__).parents[2]

COLUMNS: Mapping[str, tuple[str, str]] = {
    "accounts": ("accounts", ",.0f"),
    "positions": ("positions", ",.0f"),
    "check": ("check s", ".3g"),
    "lower": ("lower s", ".3g"),
    "rounds": ("rounds", ".0f"),
    "rounds_seconds": ("rounds s", ".3g"),
    "round": ("s a round", ".2g"),
    "solve": ("solve s", ".3g"),
    "pass_rate": ("GB/s", ".3g"),
    "triad_one": ("triad 1", ".3g"),
    "triad_all": ("triad all", ".3g"),
    "of_triad": ("of triad", ".0%"),
    "tables_memory": ("GB before", ".2f"),
    "solve_memory": ("GB solve", ".2f"),
    "sweep_rate": ("scenarios a s", ".3g"),
    "sweep_ratio": ("one over solve", ".2g"),
    "attribute": ("attribute s", ".3g"),
    "attribute_ratio": ("over solve", ".2f"),
}
"""Columns of the table: what stands above each, and how numbers are written."""


def measured(accounts: int, scenarios: int) -> dict[str, float] | None:
    """Return the row of one size, measured in a fresh process; None if that process died (of memory, most often)."""
    command = [sys.executable, "-m", "tests.benchmarks.measured", str(accounts), "--scenarios", str(scenarios)]
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(command, stdout=subprocess.PIPE, env=environment, cwd=ROOT, text=True, check=False)
    if done.returncode:
        return None
    row: dict[str, float] = json.loads(done.stdout)
    return row


def machine() -> str:
    """Return cores, processor, threads and versions in one line."""
    from contagion.kernels.threads import count  # loads the compiler

    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("numpy", "scipy", "numba", "pandas"))
    return f"{os.cpu_count()} cores, {count()} threads, {_processor()}, Python {platform.python_version()}, {versions}"


def _processor() -> str:
    listed = Path("/proc/cpuinfo")
    if listed.exists():
        names = [line.partition(":")[2].strip() for line in listed.read_text().splitlines() if "model name" in line]
        if names:
            return names[0]
    return platform.processor() or platform.machine()


def sizes(rows: Sequence[Mapping[str, float]]) -> Cells:
    """Return the cells of the table of sizes, the first row with names; empty where a size has no such number."""
    body = [[format(row[name], how) if name in row else "" for name, (_, how) in COLUMNS.items()] for row in rows]
    return [[title for title, _ in COLUMNS.values()], *body]


def written(cells: Cells, form: str) -> str:
    """Return cells as aligned text, as a Markdown table, or as CSV."""
    if form == "csv":
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows([cell.replace(",", "") for cell in row] for row in cells)
        return out.getvalue()
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [[cell.rjust(width) for cell, width in zip(row, widths, strict=True)] for row in cells]
    if form == "text":
        return "\n".join("  ".join(line) for line in lines) + "\n"
    rule = ["-" * (width - 1) + ":" for width in widths]
    return "\n".join("| " + " | ".join(line) + " |" for line in [lines[0], rule, *lines[1:]]) + "\n"

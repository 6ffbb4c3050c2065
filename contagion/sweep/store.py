"""A sweep on disk: one Parquet file in the end, and until then a directory of what is done."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from contagion.errors import InputError
from contagion.sweep.engine import Row
from contagion.sweep.tasks import Task

__all__ = ["Store", "check_out"]

_KEY = b"contagion.sweep"
_GROUP = 4096
"""Rows of a row group."""

_SCHEMA = ("scenario", "converged", "rounds", "residual")


def check_out(out: object) -> list[str]:
    """Return what is wrong with the name of a file for results."""
    if out is None:
        return []
    if not isinstance(out, str | Path) or Path(out).suffix != ".parquet":
        return [f"out is {out!r}; give the name of a file that ends in .parquet, or None"]
    problems = []
    if not Path(out).absolute().parent.is_dir():
        problems.append(f"out: there is no directory {str(Path(out).absolute().parent)!r}; make it")
    if Path(out).is_dir():
        problems.append(f"out: {str(out)!r} is a directory; give the name of a file")
    if find_spec("pyarrow") is None:
        problems.append('out: Parquet files need an extra; install it: pip install "contagion[parquet]"')
    return problems


class Store(NamedTuple):
    """Where the rows of one sweep are kept; tasks appear whole or not at all."""

    file: Path
    parts: Path
    measures: tuple[str, ...]
    fingerprint: str

    @classmethod
    def open(cls, out: str | Path, measures: tuple[str, ...], fingerprint: str) -> Store:
        """Return the store of a sweep, begun or resumed.

        Raises
        ------
        InputError
            If the file, or what was done of it, belongs to another sweep.
        """
        file = Path(out).absolute()
        store = cls(file, file.with_name(file.name + ".parts"), measures, fingerprint)
        begun = store.parts / "sweep.json"
        if file.exists():
            if store._printed() != fingerprint:
                raise InputError(f"out: {str(out)!r} {_OTHER}")
            shutil.rmtree(store.parts, ignore_errors=True)  # a kill may have come between the file and its parts
        elif begun.exists():
            if json.loads(begun.read_text("utf-8")).get("fingerprint") != fingerprint:
                raise InputError(f"out: {str(store.parts)!r} {_OTHER}")
        else:
            store.parts.mkdir(exist_ok=True)
            _replace(begun, json.dumps({"fingerprint": fingerprint}).encode())
        return store

    def finished(self) -> pd.DataFrame | None:
        """Return the whole sweep, if it is done."""
        return pd.read_parquet(self.file, engine="pyarrow") if self.file.exists() else None

    def done(self, tasks: Sequence[Task]) -> dict[int, Row]:
        """Return the rows by scenario of all tasks that are done."""
        rows: dict[int, Row] = {}
        for task in tasks:
            part = self._part(task)
            if part.exists():
                rows |= self._read(part)
        return rows

    def write(self, task: Task, rows: Sequence[Row]) -> None:
        """Write the rows of a task."""
        import pyarrow as pa
        from pyarrow import parquet

        columns: dict[str, Any] = {
            "scenario": pa.array(task.scenarios, pa.int64()),
            "converged": pa.array([row.converged for row in rows], pa.bool_()),
            "rounds": pa.array([row.rounds for row in rows], pa.int64()),
            "residual": pa.array([row.residual for row in rows], pa.float64()),
        }
        values = zip(*(row.values for row in rows), strict=True)
        columns |= {f"value:{k}": pa.array(column, pa.float64()) for k, column in enumerate(values)}
        sink = pa.BufferOutputStream()
        parquet.write_table(pa.table(columns), sink)
        _replace(self._part(task), sink.getvalue())

    def finish(self, frame: pd.DataFrame) -> None:
        """Write the whole sweep, block by block, and clear away its parts."""
        import pyarrow as pa
        from pyarrow import parquet

        made = self.file.with_name(f".{self.file.name}.new")
        table = pa.Table.from_pandas(frame)
        table = table.replace_schema_metadata({**(table.schema.metadata or {}), _KEY: self.fingerprint.encode()})
        parquet.write_table(table, made, row_group_size=_GROUP)
        made.replace(self.file)
        shutil.rmtree(self.parts, ignore_errors=True)

    def _part(self, task: Task) -> Path:
        return self.parts / f"task-{task.number:09d}.parquet"

    def _read(self, part: Path) -> dict[int, Row]:
        frame = pd.read_parquet(part, engine="pyarrow")
        values = frame[[f"value:{k}" for k in range(len(self.measures))]].to_numpy(dtype="float64")
        head = frame[list(_SCHEMA)].itertuples(index=False)
        return {
            int(number): Row(bool(converged), int(rounds), float(residual), tuple(row))
            for (number, converged, rounds, residual), row in zip(head, values.tolist(), strict=True)
        }

    def _printed(self) -> str:
        from pyarrow import ArrowException, parquet

        try:
            metadata = parquet.read_schema(self.file).metadata or {}
        except (ArrowException, OSError):
            return ""
        return str(metadata.get(_KEY, b"").decode())


_OTHER = (
    "belongs to something else: another system, other scenarios or measures, or another release; "
    "remove it, or give another name"
)


def _replace(file: Path, content: Any) -> None:
    """Write a file so that it is there whole or not at all."""
    made = file.with_name(f".{file.name}.new")
    made.write_bytes(content)
    made.replace(file)

"""A sweep on disk: one Parquet file in the end, and until then a directory of what is done."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from contagion.errors import InputError, refuse
from contagion.sweep.engine import Row
from contagion.sweep.tasks import Task

__all__ = ["Store", "check_out"]

_KEY = b"contagion.sweep"
_GROUP = 4096
"""Rows of a row group."""

_BEGUN = "sweep.json"
_TASK = f"task-{'[0-9]' * 9}.parquet"

_HEAD = {"scenario": "int64", "converged": "bool", "rounds": "int64", "residual": "float64"}
"""Columns of a task and their types; the measures follow."""


def check_out(out: object) -> list[str]:
    """Return what is wrong with the name of a file for results, and with what is there already."""
    if out is None:
        return []
    if not isinstance(out, str | Path) or Path(out).suffix != ".parquet":
        return [f"out is {out!r}; give the name of a file that ends in .parquet, or None"]
    problems = []
    if find_spec("pyarrow") is None:
        problems.append('out: Parquet files need an extra; install it: pip install "contagion[parquet]"')
    try:
        return [*_check_place(Path(out).absolute()), *problems]
    except (OSError, ValueError) as error:  # a folder that nobody may look into, or a name that no file can have
        return [_unusable(out, error), *problems]


def _check_place(file: Path) -> list[str]:
    """Return what is in the way of a file and of the folder beside it; a file that is there needs no folder."""
    with suppress(FileNotFoundError, NotADirectoryError):
        file.lstat()  # says more of a name that no file can have than the questions below
    if not file.parent.is_dir():
        return [f"out: there is no directory {str(file.parent)!r}; make it"]
    if file.is_dir():
        return [f"out: {str(file)!r} is a directory; give the name of a file"]
    if file.exists():
        return []
    if _made(file).is_dir():
        return [f"out: {str(_made(file))!r}, where the table is written first, is a directory; move it"]
    parts = _parts(file)
    closed = [each for each in (file.parent, parts) if each.is_dir() and not os.access(each, os.W_OK | os.X_OK)]
    if closed:
        shown = " and ".join(repr(str(each)) for each in closed)
        return [f"out: nothing may be written into {shown}; change its permissions, or give another name"]
    return _check_parts(parts)


def _check_parts(parts: Path) -> list[str]:
    """Return the problem of a folder that no sweep has made, or whose word cannot be read."""
    begun = parts / _BEGUN
    if begun.exists() or begun.is_symlink():
        try:
            _word(begun)
        except (OSError, ValueError, RecursionError) as error:
            return [f"out: {str(begun)!r} cannot be read ({error}); remove {str(parts)!r}, or give another name"]
        return []
    if not parts.exists() and not parts.is_symlink():
        return []
    # a kill may have come before the word was whole
    if parts.is_dir() and all(each.name == _made(begun).name for each in parts.iterdir()):
        return []
    what = "holds files that are not of a sweep" if parts.is_dir() else "is not a directory"
    return [f"out: {str(parts)!r}, where a sweep keeps what is done, {what}; move it, or give another name"]


class Store(NamedTuple):
    """Where the rows of one sweep are kept; tasks appear whole or not at all."""

    file: Path
    parts: Path
    measures: tuple[str, ...]
    fingerprint: str
    held: ExitStack  # the lock on the parts; the system lets go of it for a process that is killed

    @classmethod
    def open(cls, out: str | Path, measures: tuple[str, ...], fingerprint: str) -> Store:
        """Return the store of a sweep, begun or resumed.

        Raises
        ------
        InputError
            If the file, or what was done of it, belongs to another sweep, or one is at work on it.
        """
        file = Path(out).absolute()
        store = cls(file, _parts(file), measures, fingerprint, ExitStack())
        try:
            store._begin()
        except OSError as error:
            store.close()
            raise InputError(_unusable(out, error)) from error
        except InputError:
            store.close()
            raise
        return store

    def close(self) -> None:
        """Let others sweep into the same file."""
        self.held.close()

    def _begin(self) -> None:
        if self.file.exists():
            if self._printed() != self.fingerprint:
                raise InputError(f"out: {str(self.file)!r} {_OTHER}")
            self._clear()  # a kill may have come between the file and its parts
            return
        refuse(_check_parts(self.parts), "out")
        begun = self.parts / _BEGUN
        if not begun.exists():
            self.parts.mkdir(exist_ok=True)
            _replace(begun, json.dumps({"fingerprint": self.fingerprint}).encode())
        elif _word(begun) != self.fingerprint:
            raise InputError(f"out: {str(self.parts)!r} {_OTHER}")
        self._lock()
        for part in self.parts.glob(_TASK):
            if part.is_dir():
                part.rmdir()  # no file can take its place; one that is not empty is told before anything is solved

    def _lock(self) -> None:
        """Keep other processes out of the parts, where the system can."""
        if find_spec("fcntl") is None:
            return
        import fcntl

        held = os.open(self.parts, os.O_RDONLY)
        self.held.callback(os.close, held)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"out: another sweep is at work on {str(self.file)!r}; wait until it is done, or give another name"
            ) from None
        except OSError:  # a file system without locks
            return

    def finished(self) -> pd.DataFrame | None:
        """Return the whole sweep, if it is done.

        Raises
        ------
        InputError
            If its file is damaged.
        """
        from pyarrow import ArrowException

        if not self.file.exists():
            return None
        try:
            return pd.read_parquet(self.file, engine="pyarrow", page_checksum_verification=True)
        except (ArrowException, OSError, ValueError, TypeError, LookupError) as error:  # as the damage has it
            raise InputError(f"out: {str(self.file)!r} cannot be read ({error}); remove it and sweep again") from error

    def done(self, tasks: Sequence[Task]) -> dict[int, Row]:
        """Return the rows by scenario of all tasks that are done; one that is damaged is not."""
        rows: dict[int, Row] = {}
        for task in tasks:
            rows |= self._read(task)
        return rows

    def write(self, task: Task, rows: Sequence[Row]) -> None:
        """Write the rows of a task."""
        import pyarrow as pa
        from pyarrow import parquet

        lines = [(number, *row[:-1], *row.values) for number, row in zip(task.scenarios, rows, strict=True)]
        schema = self._schema()
        table = pa.table(dict(zip(schema.names, zip(*lines, strict=True), strict=True)), schema=schema)
        sink = pa.BufferOutputStream()
        parquet.write_table(table, sink, write_page_checksum=True)
        _replace(self._part(task), sink.getvalue())

    def finish(self, frame: pd.DataFrame) -> None:
        """Write the whole sweep, block by block, and clear away its parts."""
        import pyarrow as pa
        from pyarrow import parquet

        made = _made(self.file)
        table = pa.Table.from_pandas(frame)
        table = table.replace_schema_metadata({**(table.schema.metadata or {}), _KEY: self.fingerprint.encode()})
        parquet.write_table(table, made, row_group_size=_GROUP, write_page_checksum=True)
        made.replace(self.file)
        self._clear()

    def _clear(self) -> None:
        """Remove what this sweep has written into its folder, and the folder if nothing else is in it.

        Nothing is raised: the table is whole, and what is left does no harm.
        """
        begun = self.parts / _BEGUN
        with suppress(OSError, ValueError, RecursionError):
            if begun.exists() and _word(begun) == self.fingerprint:
                for pattern in (_TASK, f".{_TASK}.new", _made(begun).name):
                    for each in self.parts.glob(pattern):
                        each.unlink()
                begun.unlink()  # the last, for a folder without it is taken for another's
            self.parts.rmdir()

    def _part(self, task: Task) -> Path:
        return self.parts / f"task-{task.number:09d}.parquet"

    def _schema(self) -> Any:
        import pyarrow as pa

        values = {f"value:{k}": "float64" for k in range(len(self.measures))}
        return pa.schema([pa.field(name, kind) for name, kind in {**_HEAD, **values}.items()])

    def _read(self, task: Task) -> dict[int, Row]:
        """Return the rows of a task, or none if they are not there, damaged or of another."""
        from pyarrow import ArrowException, parquet

        try:
            with parquet.ParquetFile(self._part(task), page_checksum_verification=True) as part:
                if not part.schema_arrow.equals(self._schema()):
                    return {}
                columns = [column.to_pylist() for column in part.read().columns]
        except (ArrowException, OSError, ValueError):  # as the damage has it
            return {}
        if columns[0] != list(task.scenarios) or any(None in column for column in columns):
            return {}
        return {
            number: Row(converged, rounds, residual, tuple(values))
            for number, converged, rounds, residual, *values in zip(*columns, strict=True)
        }

    def _printed(self) -> str:
        from pyarrow import ArrowException, parquet

        try:
            metadata = parquet.read_schema(self.file).metadata or {}
            return str(metadata.get(_KEY, b"").decode())
        except PermissionError:
            raise
        except (ArrowException, OSError, ValueError):
            return ""


_OTHER = (
    "belongs to something else: another system, other scenarios or measures, or another release; "
    "remove it, or give another name"
)


def _unusable(out: object, error: Exception) -> str:
    return f"out: {str(out)!r} cannot be used ({error}); mend that, or give another name"


def _parts(file: Path) -> Path:
    return file.with_name(file.name + ".parts")


def _word(begun: Path) -> str:
    """Return the fingerprint of a sweep that has begun; what is no word raises a ValueError."""
    read = json.loads(begun.read_text("utf-8"))
    if not isinstance(read, dict):
        raise ValueError(f"it holds a {type(read).__name__}")
    return str(read.get("fingerprint"))


def _made(file: Path) -> Path:
    """Return where a file is written before it takes its place."""
    return file.with_name(f".{file.name}.new")


def _replace(file: Path, content: Any) -> None:
    """Write a file so that it is there whole or not at all."""
    made = _made(file)
    made.write_bytes(content)
    made.replace(file)

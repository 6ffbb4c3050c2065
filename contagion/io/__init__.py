"""Systems on disk: a folder with one CSV or Parquet file per table, or one Excel workbook."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal
from uuid import uuid4

import pandas as pd

from contagion import schema
from contagion.errors import InputError, instance, refuse
from contagion.io.parquet import read_parquet, write_parquet
from contagion.io.paths import check_path, kind_of, reading, resembled, unreadable
from contagion.io.text import read_csv, write_csv
from contagion.io.workbook import read_workbook, write_workbook
from contagion.system import System

__all__ = ["read_system", "write_atomically", "write_system"]

_SUFFIXES = (".csv", ".parquet")


def read_system(path: str | Path) -> System:
    """Return the system in a folder of ``<table>.csv`` or ``<table>.parquet`` files, or in an Excel workbook.

    Names are text, whatever they look like ("007", "NA", "1e5"), and kept with their spaces; numbers are read
    exactly; an empty cell takes the default of the schema. Columns outside the schema are kept, from CSV and Excel as
    text. Files that are no table are passed over.

    Parameters
    ----------
    path : str or Path
        Folder, or a file that ends in ``.xlsx``.

    Returns
    -------
    System
        Not yet checked; see `contagion.validate`.

    Raises
    ------
    InputError
        If there is nothing to read, a table is no file, a file looks like a misnamed table, a table has two files, a
        file cannot be read, is not UTF-8 or not well-formed, or an extra is not installed. All files are tried first.
    """
    refuse(check_path("path", path), "read_system")
    path = Path(path)
    if path.suffix.lower() == ".xlsx":
        return System(**read_workbook(path))
    with reading(path):
        if not path.is_dir():
            there = "a single file" if path.exists() else "not there"
            cure = "give a folder with one CSV or Parquet file per table, or an .xlsx workbook"
            raise InputError(f"{path}: {there}; {cure}")
        files = _table_files(path)
    frames: dict[str, pd.DataFrame] = {}
    problems: list[str] = []
    for table, file in files.items():
        try:
            frames[table] = read_csv(file) if file.suffix.lower() == ".csv" else read_parquet(file)
        except InputError as error:
            problems += error.problems
        except OSError as error:
            problems.append(unreadable(file, error))
    refuse(problems, str(path))
    return System(**frames)


def write_system(system: System, path: str | Path, file_format: Literal["csv", "parquet"] = "csv") -> None:
    """Write the tables of a system that have rows; `read_system` returns an equal system.

    Parameters
    ----------
    system : System
    path : str or Path
        Folder, made if need be, or a file that ends in ``.xlsx``. Files of tables that are now empty, or that stand
        there in the other format, are removed; other files stay.
    file_format : {"csv", "parquet"}
        Kind of the files in a folder.

    Raises
    ------
    InputError
        If it is no System, the format is unknown, its extra is not installed, or Excel cannot hold a table.

    Notes
    -----
    All files are first written in full under temporary names, then renamed one after the other. What stops the
    writing leaves the old files as they were; what stops the renaming, a moment at the end, leaves some files old and
    some new, but each of them whole.
    """
    refuse(instance("system", system, System, "a System (partition writes one in parts)"), "write_system")
    path = Path(path)
    if path.suffix.lower() == ".xlsx":
        _replace({path: lambda target: write_workbook(_written(system), target)})
        return
    if file_format not in ("csv", "parquet"):
        raise InputError(f"file_format is {file_format!r}; give 'csv' or 'parquet'")
    write = write_csv if file_format == "csv" else write_parquet
    if path.exists() and not path.is_dir():
        raise InputError(f"{path}: is a file; give a folder, or a name that ends in .xlsx")
    path.mkdir(parents=True, exist_ok=True)
    targets = {path / f"{table}.{file_format}": frame for table, frame in _written(system).items()}
    _replace({target: lambda to, frame=frame: write(frame, to) for target, frame in targets.items()})  # type: ignore[misc]
    for file in _candidates(path):
        if file.stem in schema.TABLES and file not in targets:
            file.unlink(missing_ok=True)


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file in full under a temporary name in its folder, then rename it over the old one, if there is one."""
    _replace({path: lambda target: _write_bytes(target, data)})


def _write_bytes(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _written(system: System) -> dict[str, pd.DataFrame]:
    """Return the tables with rows; an empty system shows its header of nodes."""
    frames = {table: frame for table, frame in system.tables() if len(frame)}
    return frames or {"nodes": system.nodes}


def _replace(writers: Mapping[Path, Callable[[Path], None]]) -> None:
    """Write all files under temporary names of this call, then rename them one by one; no file is ever half-written."""
    temporary = {target: target.with_name(f".{target.name}.{uuid4().hex}.tmp") for target in writers}
    try:
        for target, write in writers.items():
            write(temporary[target])
        for target, file in temporary.items():
            file.replace(target)
    finally:
        for file in temporary.values():
            file.unlink(missing_ok=True)


def _candidates(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in _SUFFIXES and file.is_file())


def _table_files(folder: Path) -> dict[str, Path]:
    files: dict[str, Path] = {}
    problems = []
    for file in _candidates(folder):
        if file.stem in files:
            problems.append(
                f"{folder}: both {files[file.stem].name} and {file.name}; remove the one that is out of date"
            )
        elif file.stem in schema.TABLES:
            files[file.stem] = file
    for file in _candidates(folder):
        table = resembled(file.stem, files)
        if table is not None:
            meant = f"{table}{file.suffix.lower()}"
            problems.append(f"{folder}: {file.name} is not a table (did you mean {meant!r}?); rename or remove it")
    problems += [
        f"{folder}: {entry.name} is {kind_of(entry)}; a table is one file: put it there, or rename or remove this"
        for entry in sorted(folder.iterdir())
        if entry.suffix.lower() in _SUFFIXES and entry.stem in schema.TABLES and not entry.is_file()
    ]
    if not files and not problems:
        tables = ", ".join(schema.TABLES)
        problems.append(f"{folder}: no table in it; give CSV or Parquet files named after the tables: {tables}")
    refuse(problems, str(folder))
    return files

"""A system on disk in parts: small tables as single files, accounts, positions and claims as folders of part files.

::

    folder/nodes.parquet …              one file a table, as `contagion.io.read_system` reads them
    folder/accounts/part-00000.parquet  accounts of part 0
    folder/positions/part-00000.parquet what they hold
    folder/claims/part-00000.parquet    what they are owed, if there are claims; those of nodes stand in any one part
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pandas as pd

from contagion import schema
from contagion.errors import InputError, refuse
from contagion.io.parquet import read_parquet, require_pyarrow, write_parquet
from contagion.io.paths import few, kind_of, reading, resembled, unreadable

__all__ = ["PARTITIONED", "folder_in_parts", "part_name", "part_names", "read_part", "rows_of_part", "write_part"]

PARTITIONED = ("accounts", "positions", "claims")
"""Tables that stand in parts."""


def part_name(number: int) -> str:
    """Return the name of a part's files."""
    return f"part-{number:05}.parquet"


def part_names(folder: Path) -> tuple[str, ...]:
    """Return the names of the parts in a folder, in order.

    Raises
    ------
    InputError
        If it cannot be read, there is no part, a file that lacks its counterpart or is none, or something looks like a
        misnamed table.
    """
    with reading(folder):
        found = {table: _files(folder / table) for table in PARTITIONED}
        strange = [*_misnamed(folder), *(each for table in PARTITIONED for each in _strays(folder / table))]
    names = found["accounts"]
    problems = [
        f"{folder / table}: {name} has no counterpart in accounts; name the files of one part alike"
        for table in ("positions", "claims")
        for name in found[table]
        if name not in names
    ]
    problems += [
        f"{folder / 'positions'}: {name} is missing, which accounts has; add it, without rows if they hold nothing"
        for name in names
        if name not in found["positions"]
    ]
    if not names:
        problems = [
            f"{folder}: no accounts in parts; give a folder with accounts/{part_name(0)} and positions/{part_name(0)} "
            "(contagion.partition writes one)"
        ]
    refuse([*problems, *strange], str(folder))
    return tuple(names)


def rows_of_part(folder: Path, table: str, name: str) -> int:
    """Return how many rows a table has in a part, from the end of its file."""
    require_pyarrow()
    from pyarrow import ArrowException, parquet

    try:
        return int(parquet.read_metadata(folder / table / name).num_rows)
    except (ArrowException, OSError) as error:
        raise InputError(f"{folder / table / name}: not a readable Parquet file: {error}") from None


def read_part(folder: Path, name: str) -> dict[str, pd.DataFrame]:
    """Return the rows of one part by table.

    Raises
    ------
    InputError
        If a file cannot be read or is gone; only claims may be absent. All files are tried first.
    """
    frames, problems = dict[str, pd.DataFrame](), list[str]()
    for table in PARTITIONED:
        file = folder / table / name
        try:
            if file.exists():
                frames[table] = read_parquet(file)
            elif table != "claims":
                problems.append(f"{file}: is not there any more; put it back, or open the system again")
        except InputError as error:
            problems += error.problems
        except OSError as error:
            problems.append(unreadable(file, error))
    refuse(problems, str(folder))
    return frames


def write_part(folder: Path, number: int, frames: Mapping[str, pd.DataFrame]) -> None:
    """Write the rows of one part by table."""
    for table, frame in frames.items():
        (folder / table).mkdir(exist_ok=True)
        write_parquet(frame, folder / table / part_name(number))


@contextmanager
def folder_in_parts(folder: Path) -> Iterator[Path]:
    """Fill a folder that appears under its name once it is whole, and leaves nothing behind if it is not.

    Raises
    ------
    InputError
        If there is something of that name already, or the folder cannot be made.
    """
    with _making(folder):
        if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
            raise InputError(f"{folder}: is there already; give a new name, or remove it")
        made = folder.with_name(f".{folder.name}.{uuid4().hex}.tmp")
        made.parent.mkdir(parents=True, exist_ok=True)
        made.mkdir()
    try:
        yield made
        with _making(folder):
            made.replace(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def _making(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        why = f"{error.strerror or error}: {error.filename}"
        raise InputError(
            f"{folder}: cannot be made ({why}); give a new name in a folder that you may write to"
        ) from None


def _entries(folder: Path) -> list[Path]:
    """Return what is in a folder, but for what is hidden and the notes (``_SUCCESS``) of those who write parts."""
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith((".", "_")))


def _is_part(file: Path) -> bool:
    return file.suffix.lower() == ".parquet" and file.is_file()


def _files(folder: Path) -> list[str]:
    return [file.name for file in _entries(folder) if _is_part(file)] if folder.is_dir() else []


def _strays(folder: Path) -> Iterator[str]:
    """Return what is in a folder of parts and is none, by its kind."""
    found: dict[str, list[str]] = {}
    for entry in _entries(folder) if folder.is_dir() else ():
        if not _is_part(entry):
            kind = "not a Parquet file" if entry.is_file() else kind_of(entry)
            found.setdefault(kind, []).append(entry.name)
    for kind, names in found.items():
        yield f"{folder}: {few(names)}: {kind}; one .parquet file is a part here: write it as that, or move it away"


def _misnamed(folder: Path) -> Iterator[str]:
    """Return what is beside the parts and looks like a table that would not be read."""
    entries = _entries(folder)
    present = {entry.stem for entry in entries}
    for entry in entries:
        name, table = entry.name, resembled(entry.name, present)
        single = entry.suffix.lower() in (".parquet", ".csv") and entry.stem in PARTITIONED
        if single or (name in PARTITIONED and not entry.is_dir()):
            yield f"{folder}: {entry.stem} is a single file here; give a folder {entry.stem} with one file a part"
        elif entry.is_dir() and name in schema.TABLES and name not in PARTITIONED:
            yield f"{folder}: {name} is a folder, but does not stand in parts; give one file, {name}.parquet"
        elif entry.is_dir() and table is not None:
            meant = table if table in PARTITIONED else f"{table}.parquet"
            yield f"{folder}: folder {name} is not a table (did you mean {meant!r}?); rename or remove it"

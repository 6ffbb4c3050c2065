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

from contagion.errors import InputError
from contagion.io.parquet import read_parquet, require_pyarrow, write_parquet

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
        If there is no such folder, no part, or a file that lacks its counterpart.
    """
    found = {table: _files(folder / table) for table in PARTITIONED}
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
    problems += [
        f"{folder}: {table} is a single file here; give a folder {table} with one file a part"
        for table in PARTITIONED
        for suffix in (".parquet", ".csv")
        if (folder / f"{table}{suffix}").exists()
    ]
    if not names:
        problems = [
            f"{folder}: no accounts in parts; give a folder with accounts/{part_name(0)} and positions/{part_name(0)} "
            "(contagion.partition writes one)"
        ]
    if problems:
        raise InputError(problems, str(folder))
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
    """Return the rows of one part by table."""
    files = {table: folder / table / name for table in PARTITIONED}
    return {table: read_parquet(file) for table, file in files.items() if file.exists()}


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
        If there is something of that name already.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise InputError(f"{folder}: is there already; give a new name, or remove it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = folder.with_name(f".{folder.name}.{uuid4().hex}.tmp")
    made.mkdir()
    try:
        yield made
        made.replace(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _files(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.glob("*.parquet") if file.is_file()) if folder.is_dir() else []

"""Systems in parts on disk: opening them, and writing one from a system in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from contagion import validate
from contagion.arrays.shape import held
from contagion.errors import InputError, instance, refuse, whole
from contagion.io import read_system
from contagion.io.parquet import write_parquet
from contagion.io.partitioned import PARTITIONED, folder_in_parts, part_names, read_part, rows_of_part, write_part
from contagion.io.paths import check_path, reading
from contagion.kernels.chunks import bounds
from contagion.lookup import code
from contagion.scenario import Scenario
from contagion.system import System

__all__ = ["Partitioned", "open_partitioned", "partition"]

T = TypeVar("T")

_ACCOUNTS = 250_000
"""Accounts that a part has by default, about: what a worker reads and checks in a few hundred megabytes."""


@dataclass(frozen=True, eq=False)
class Partitioned:
    """A system on disk whose accounts, positions and claims stand in parts; nothing but small tables is in memory.

    Attributes
    ----------
    folder : Path
        Where it stands; see `contagion.io.partitioned`.
    small : System
        The tables that do not stand in parts.
    names : tuple of str
        Names of the files of each part.
    accounts, positions : tuple of int
        Rows of each part.
    """

    folder: Path
    small: System = field(repr=False)
    names: tuple[str, ...]
    accounts: tuple[int, ...]
    positions: tuple[int, ...]

    def __repr__(self) -> str:
        sizes = f"{sum(self.accounts):,} accounts, {sum(self.positions):,} positions, {len(self.names)} parts"
        return f"Partitioned({str(self.folder)!r}: {sizes})"

    def part(self, number: int) -> System:
        """Return the accounts of one part, what they hold and are owed, with the small tables that concern no other.

        Raises
        ------
        InputError
            If there is no part of that number, or its files cannot be read.
        """
        count = len(self.names)
        if whole("number", number, 0) or number >= count:
            there = f"there {'is 1 part' if count == 1 else f'are {count} parts'}"
            raise InputError(f"number is {number!r}; {there}: give a whole number from 0 to {count - 1}")
        own = {name: table for name, table in self.small.tables() if name not in ("quotes", "funding", *PARTITIONED)}
        return System(**{**own, **read_part(self.folder, self.names[number])})

    def under(self, scenario: Scenario) -> Partitioned:
        """Return the system with a scenario's overrides, which may change small tables alone.

        Raises
        ------
        InputError
            If any changes a table that stands in parts, or cannot be applied.
        """
        problems = [
            f"override of {each.table}: this table stands in parts; write it with the change (contagion.partition), or "
            "override a table that does not"
            for each in scenario.overrides
            if each.table in PARTITIONED
        ]
        refuse(problems, "overrides")
        return replace(self, small=scenario.apply(self.small))


def open_partitioned(folder: str | Path) -> Partitioned:
    """Return a system on disk, to be solved part by part.

    Parameters
    ----------
    folder : str or Path
        Small tables as single files, and folders ``accounts``, ``positions`` and, if there are any, ``claims`` with
        one Parquet file a part, named alike; columns as in ``docs/schema.md``. Positions and claims stand in the part
        of their account; claims of nodes in any. `partition` and `contagion.generate.partitioned` write such folders.
        Names that begin with "." or "_" are passed over.

    Returns
    -------
    Partitioned
        Small tables, and the number of accounts and positions of each part; what stands in parts is read by the solve.

    Raises
    ------
    InputError
        If files cannot be read, those of parts have no counterpart, there is something else among them, or a name
        looks like a misnamed table. All files are tried first. Rows are checked by `contagion.solve`.

    Notes
    -----
    Sums run chunk by chunk and part by part, in order. For a folder that `partition` has written, prices, shares and
    haircuts are those of the system in memory, bit for bit; for any other, they are the same bits on any number of
    threads and workers, and those in memory to 1e-9.

    Examples
    --------
    >>> import tempfile
    >>> import contagion as ct
    >>> system, scenarios = ct.datasets.load("loop_lending")
    >>> with tempfile.TemporaryDirectory() as room:
    ...     written = ct.partition(system, f"{room}/parts")
    ...     opened = ct.open_partitioned(f"{room}/parts")
    ...     loss = ct.solve(opened, scenarios["fall_25"]).totals["loss"]
    >>> opened.accounts == written.accounts, round(loss), round(ct.solve(system, scenarios["fall_25"]).totals["loss"])
    (True, 92232, 92232)
    """
    refuse(check_path("folder", folder), "open_partitioned")
    folder = Path(folder).absolute()  # the same one later, wherever the process then works
    with reading(folder):
        if not folder.is_dir():
            raise InputError(f"{folder}: not a folder; give one with small tables and folders of parts")
    problems: list[str] = []
    names = _tried(problems, part_names, folder) or ()
    accounts, positions = (
        tuple(_tried(problems, rows_of_part, folder, table, name) or 0 for name in names)
        for table in ("accounts", "positions")
    )
    for name in names:
        if (folder / "claims" / name).exists():
            _tried(problems, rows_of_part, folder, "claims", name)
    small = _tried(problems, read_system, folder)
    if small is None or problems:
        raise InputError(list(dict.fromkeys(problems)), str(folder))
    return Partitioned(folder, small, names, accounts, positions)


def _tried(problems: list[str], read: Callable[..., T], *given: object) -> T | None:
    """Return what a function reads; what is wrong is added to the problems."""
    try:
        return read(*given)
    except InputError as error:
        problems += error.problems
        return None


def partition(system: System, folder: str | Path, parts: int | None = None) -> Partitioned:
    """Write a system in parts, and return it opened.

    Parameters
    ----------
    system : System
        Tables; checked first.
    folder : str or Path
        A new folder; it appears once it is whole.
    parts : int, optional
        How many; fewer if accounts are fewer than so many of the solver's chunks (8,192 accounts or more, at most 256
        chunks). By default parts have about 250,000 accounts.

    Returns
    -------
    Partitioned
        As `open_partitioned` returns it, whose example shows both.

    Raises
    ------
    InputError
        If the system is not valid, there is something of that name already, or the folder cannot be made.
    """
    problems = instance("system", system, System, "a System (read_system reads one from a folder)")
    problems += [] if parts is None else whole("parts", parts, 1)
    problems += check_path("folder", folder)
    if isinstance(system, System):
        problems += validate.problems(system)
    refuse(problems, "partition")
    folder = Path(folder)
    with folder_in_parts(folder) as made:
        for table, frame in system.tables():
            if table not in PARTITIONED and (len(frame) or table == "nodes"):
                write_parquet(frame, made / f"{table}.parquet")
        for number, frames in enumerate(_parts(system, parts)):
            write_part(made, number, frames)
    return open_partitioned(folder)


def _parts(system: System, parts: int | None) -> Iterator[dict[str, pd.DataFrame]]:
    """Return the rows of each part: accounts in the solver's order, cut between its chunks."""
    holdings = held(system, pd.Index(system.assets["asset"]))
    accounts = system.accounts.take(holdings.rows)
    number = np.empty(len(accounts), dtype=np.int64)
    number[holdings.rows] = np.arange(len(accounts))
    holder = number[holdings.holder]
    creditor = code(system.claims["creditor"], pd.Index(accounts["account"]))
    creditor = np.maximum(creditor, 0)  # claims of nodes stand in the first part
    cuts = _cuts(len(accounts), parts)
    for first, last in pairwise(cuts):
        rows: dict[str, Any] = {"accounts": accounts.iloc[first:last]}
        for table, owner in (("positions", holder), ("claims", creditor)):
            if table == "positions" or len(system.claims):
                rows[table] = getattr(system, table)[(owner >= first) & (owner < last)]
        yield rows


def _cuts(accounts: int, parts: int | None) -> list[int]:
    """Return the first account of each part, and the end: chunks are shared out evenly."""
    chunks = bounds(accounts)
    count = chunks.size - 1
    wanted = -(-accounts // _ACCOUNTS) if parts is None else parts
    wanted = max(1, min(wanted, count))
    cuts = [int(chunks[count * part // wanted]) for part in range(wanted)]
    return [*cuts, accounts]

"""Systems in parts on disk: opening them, and writing one from a system in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from contagion.arrays.shape import held
from contagion.errors import InputError, instance, refuse, whole
from contagion.io import read_system
from contagion.io.parquet import write_parquet
from contagion.io.partitioned import PARTITIONED, folder_in_parts, part_names, read_part, rows_of_part, write_part
from contagion.kernels.chunks import bounds
from contagion.lookup import code
from contagion.scenario import Scenario
from contagion.system import System
from contagion.validate.cells import check_numbers

__all__ = ["Partitioned", "open_partitioned", "partition"]

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
        """Return the accounts of one part, what they hold and are owed, with the small tables that concern no other."""
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

    Raises
    ------
    InputError
        If small tables cannot be read, or files of parts have no counterpart. Rows are checked by `contagion.solve`.

    Notes
    -----
    Sums run chunk by chunk and part by part, in order. For a folder that `partition` has written, prices, shares and
    haircuts are those of the system in memory, bit for bit; for any other, they are the same bits on any number of
    threads and workers, and those in memory to 1e-9.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: not a folder; give one with small tables and folders of parts")
    names = part_names(folder)
    accounts, positions = (
        tuple(rows_of_part(folder, table, name) for name in names) for table in ("accounts", "positions")
    )
    return Partitioned(folder, read_system(folder), names, accounts, positions)


def partition(system: System, folder: str | Path, parts: int | None = None) -> Partitioned:
    """Write a system in parts, and return it opened.

    Parameters
    ----------
    system : System
    folder : str or Path
        A new folder; it appears once it is whole.
    parts : int, optional
        How many; fewer if accounts are fewer than so many of the solver's chunks (8,192 accounts or more, at most 256
        chunks). By default parts have about 250,000 accounts.

    Raises
    ------
    InputError
        If there is something of that name already, accounts of positions are not among the accounts, or a cell of a
        number column is none.
    """
    problems = instance("system", system, System, "a System (read_system reads one from a folder)")
    problems += [] if parts is None else whole("parts", parts, 1)
    if isinstance(system, System):
        problems += check_numbers(system)
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
    unknown = ~system.positions["account"].isin(system.accounts["account"])
    if unknown.any():
        names = ", ".join(map(repr, system.positions["account"][unknown].unique()[:5]))
        raise InputError(f"positions: account {names} is not in accounts; add it, or mend the name")
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

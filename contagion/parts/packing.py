"""From the Parquet files of one part to its book: read, check, lower, pack."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contagion.arrays import lower
from contagion.errors import InputError
from contagion.io.partitioned import read_part
from contagion.kernels import Inputs, chunks, fused_lines, fused_screen
from contagion.kernels.accounts import unit_values
from contagion.kernels.excerpt import excerpt
from contagion.kernels.inputs import Bools, Ints
from contagion.kernels.packed import pack, spare, unit_surplus, watching_quotes
from contagion.kernels.threads import over_chunks
from contagion.lookup import code
from contagion.parts.book import Book, Summary
from contagion.parts.messages import Plan
from contagion.parts.seal import seal_of
from contagion.scenario import Scenario
from contagion.system import System
from contagion.validate import problems

__all__ = ["PackedPart", "hashes", "pack_part", "refused", "system_of_part"]

_WHOLE = ("quotes", "funding")
"""Small tables that name accounts of any part, and so are checked with all parts."""


class PackedPart(NamedTuple):
    """A part as its engine keeps it."""

    summary: Summary
    book: Book | None
    names: NDArray[np.uint64]  # (a,) hashes of the names of its accounts, ascending


def pack_part(plan: Plan, number: int) -> PackedPart:
    """Return a part, packed, and what the whole has to know of it.

    Where its rows or the small tables have problems there is no book, and those that the plan does not know are told.
    """
    seal = seal_of(plan, number)  # before the rows are read, so that it never stands for newer ones
    try:
        frames = read_part(plan.folder, plan.parts[number])
        found = _misplaced(plan, number, frames)
        system = system_of_part(plan, frames)
    except InputError as error:
        return refused(plan, number, error.problems, seal)
    own = problems(system)
    if not found and not own:
        return _packed(plan, number, system, seal)
    found += [f"{_part(plan, number)}: {each}" for each in own if each not in plan.known]
    return refused(plan, number, found, seal)


def system_of_part(plan: Plan, frames: dict[str, pd.DataFrame]) -> System:
    """Return the rows of a part as a system of its own, without the tables that reach beyond it."""
    own = {name: table for name, table in plan.small.tables() if name not in (*_WHOLE, *frames)}
    return System(**{**own, **frames})


def _packed(plan: Plan, number: int, system: System, seal: tuple[str, ...]) -> PackedPart:
    inputs, labels = lower(system, Scenario())
    names = labels.accounts
    quoting, linked = _named(plan.small, names)
    inputs = inputs._replace(quotes=inputs.quotes._replace(account=quoting))
    cuts = chunks.bounds(len(names), plan.accounts)
    book = _book(inputs, quoting, linked, cuts)
    given, holdings = inputs.accounts, inputs.positions.quantity
    summary = Summary(
        number=number,
        accounts=len(names),
        positions=len(system.positions),
        columns=labels.columns,
        quoting=tuple(names.take(quoting)),
        linked=tuple(names.take(linked)),
        opening=book.opening[quoting],
        units=chunks.column_sums(holdings, np.ones(len(names))),
        owed=chunks.column_sums_by_chunk(given.claims, np.ones(len(names)), cuts),
        claims=system.claims[system.claims["creditor"].isin(plan.small.nodes["node"])],
        problems=(),
        seal=seal,
    )
    return PackedPart(summary, book, hashes(system.accounts["account"]))


def _book(inputs: Inputs, quoting: Ints, linked: Ints, cuts: Ints) -> Book:
    """Return the accounts, packed and valued at opening prices; see `contagion.kernels.compiled.prepare`."""
    accounts, price = pack(inputs, linked), inputs.markets.price
    size = accounts.cash.size
    values, recovery = unit_values(inputs.positions, price, price), np.ones(inputs.nodes.buffer.size)
    surplus, lines, weight = unit_surplus(accounts, values), np.empty((size, 5)), np.empty(size)
    over_chunks(fused_lines.all_lines, cuts.size - 1, size, accounts, values, recovery, cuts, lines)
    over_chunks(fused_screen.weights, cuts.size - 1, size, accounts, surplus, cuts, weight)
    return Book(
        accounts=accounts,
        asking=excerpt(accounts, accounts.linked),
        opening=lines[:, 3].copy(),
        spare=watching_quotes(accounts, spare(accounts, weight)),
        bounds=cuts,
        quoting=quoting,
        owner=inputs.accounts.owner[accounts.owned],
    )


def hashes(names: pd.Series[str]) -> NDArray[np.uint64]:
    """Return a number for each name, ascending; two names hardly ever share one."""
    found: NDArray[np.uint64] = np.sort(pd.util.hash_array(names.to_numpy(dtype=object), categorize=False))
    return found


def _named(small: System, names: pd.Index[str]) -> tuple[Ints, Ints]:
    """Return the accounts of a part, ascending, that quotes name, and those that funding names."""
    columns = [small.quotes["account"], small.funding["account"], small.funding["source"]]
    found = code(pd.concat(columns, ignore_index=True), names)
    quoting, linked = (np.unique(each) for each in np.split(found, [len(columns[0])]))
    return quoting[quoting >= 0], linked[linked >= 0]


def _misplaced(plan: Plan, number: int, frames: dict[str, pd.DataFrame]) -> list[str]:
    """Return what is wrong with rows whose account is not in the part.

    The frames get accounts that stand in for those, so that all else about the rows is checked, under their numbers.
    """
    found, absent = [], dict[str, None]()
    accounts = frames["accounts"]
    if "account" not in accounts or "account" not in frames["positions"]:
        return []  # which the schema's own check names
    known = pd.Index(accounts["account"].astype("str"))
    nodes = pd.Index(plan.small.nodes["node"])
    for table, column, also in (("positions", "account", known[:0]), ("claims", "creditor", nodes)):
        if table not in frames or column not in frames[table]:
            continue
        frame = frames[table]
        name = frame[column].astype("str").fillna("")
        bad: Bools = ((code(name, known) < 0) & (code(name, also) < 0) & (name != "").to_numpy()).astype(np.bool_)
        if bad.any():
            found.append(_sentence(plan, number, table, column, name[bad]))
            absent |= dict.fromkeys(name[bad])
    if absent:
        stand_ins = pd.DataFrame({"account": list(absent), "platform": nodes[0] if len(nodes) else ""}, dtype=object)
        frames["accounts"] = pd.concat([accounts.astype(object), stand_ins], ignore_index=True)
    return found


def _sentence(plan: Plan, number: int, table: str, column: str, names: pd.Series[str]) -> str:
    shown = names.drop_duplicates().iloc[:3].tolist()
    more = f" and {names.nunique() - len(shown)} more" if names.nunique() > len(shown) else ""
    part = plan.parts[number]
    return (
        f"{table}/{part}: {column} {', '.join(map(repr, shown))}{more} ({len(names)} rows) is not in accounts/{part}; "
        f"a row of {table} stands in the part of its account: move it there (contagion.partition writes such a "
        "folder), or add the account"
    )


def _part(plan: Plan, number: int) -> str:
    return Path(plan.parts[number]).stem


def refused(plan: Plan, number: int, found: Sequence[str], seal: tuple[str, ...] = ()) -> PackedPart:
    """Return what stands for a part that cannot be packed, and why."""
    nothing = np.zeros(0)
    summary = Summary(
        number, 0, 0, pd.DataFrame(), (), (), nothing, nothing, np.zeros((0, 0)), plan.small.claims, tuple(found), seal
    )
    return PackedPart(summary, None, np.zeros(0, dtype=np.uint64))

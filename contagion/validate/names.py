"""The rules for names: each once, each known where it is used, and meaning one thing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from contagion import schema
from contagion.lookup import FEW, listed, repeated
from contagion.system import System
from contagion.validate.table import Bools, Table

__all__ = ["check_creditors", "check_duplicates", "check_names", "check_references"]

_ONCE = {
    "terms": ("platform", "mode", "asset"),
    "oracles": ("platform", "asset", "market"),
    "routes": ("platform", "asset", "market"),
    "funding": ("account", "source"),
}
"""Tables other than lists of names of which no two rows may agree in these columns."""


def check_names(system: System) -> list[str]:
    """Return names that stand twice in the table that lists them."""
    problems = []
    for name, key in schema.KEYS.items():
        table = Table.of(system, name)
        bad = repeated(table.frame[key]) & table.filled(key)
        problems += table.report(bad, key, "is the name of an earlier row too", "rename it, or drop one of the rows")
    return problems


def check_duplicates(system: System) -> list[str]:
    """Return rows that repeat the key of an earlier row, where it is not clear which of them holds."""
    problems = []
    for name, key in _ONCE.items():
        table = Table.of(system, name)
        bad = table.frame.duplicated(list(key)).to_numpy()
        words = f"{', '.join(key[:-1])} and {key[-1]}"
        problems += table.report(bad, key[-1], f"repeats an earlier row with the same {words}", "keep one of them")
    table = Table.of(system, "arbitrage")
    bad = _repeated_pairs(table.frame["market_a"], table.frame["market_b"])
    return problems + table.report(bad, "market_b", "is linked to market_a by an earlier row", "add the depths up")


def check_references(system: System) -> list[str]:
    """Return names that the table that they refer to does not list."""
    problems = []
    for table, column, unknown in _unknown(system):
        if not unknown.any():
            continue
        lists = schema.columns(table.name)[column].references
        known = pd.concat([getattr(system, name)[schema.KEYS[name]] for name in lists])
        wrong = f"is not in {' or '.join(lists)}"
        problems += table.report(unknown, column, wrong, "add it, or mend the name", known)
    return problems


def check_creditors(system: System) -> list[str]:
    """Return creditors that are the name of a node and of an account, so that it is open whose claim it is."""
    table = Table.of(system, "claims")
    creditors, accounts = table.frame["creditor"], system.accounts["account"]
    if creditors.empty:
        return []
    both = accounts[~_unlisted(system.nodes["node"], [accounts])[0]]
    if both.empty:
        return []
    bad = ~_unlisted(both, [creditors])[0] & table.filled("creditor")
    return table.report(bad, "creditor", "is a node and an account", "rename one of the two")


def _unknown(system: System) -> Iterator[tuple[Table, str, Bools]]:
    """Return the columns that refer to other tables, with the rows whose name is not listed there."""
    unknown: dict[tuple[str, str], Bools] = {}
    for listing, key in schema.KEYS.items():
        users = [
            (name, column.name)
            for name, frame in system.tables()
            for column in schema.columns(name).values()
            if listing in column.references and len(frame)
        ]
        cells = [getattr(system, table)[column] for table, column in users]
        left = [
            unknown.setdefault(user, np.ones(len(each), dtype=np.bool_))
            for user, each in zip(users, cells, strict=True)
        ]
        names = getattr(system, listing)[key]
        found = _unlisted(names, [each[rows] for each, rows in zip(cells, left, strict=True)])
        for rows, absent in zip(left, found, strict=True):
            rows[rows] = absent
    for (name, column), rows in unknown.items():
        table = Table.of(system, name)
        yield table, column, rows & table.filled(column) if rows.any() else rows


def _repeated_pairs(first: pd.Series[str], second: pd.Series[str]) -> Bools:
    """Return the rows whose two names stand together in an earlier row, in either order."""
    codes, names = pd.factorize(pd.concat([first, second], ignore_index=True))
    ends = codes.astype(np.int64).reshape(2, -1)
    pairs = ends.min(axis=0) * len(names) + ends.max(axis=0)
    repeated: Bools = pd.Series(pairs).duplicated().to_numpy(dtype=np.bool_)
    return repeated


def _unlisted(names: pd.Series[str], columns: list[pd.Series[str]]) -> list[Bools]:
    """Return for every column the rows that hold none of the names, which are hashed once for all."""
    if not any(map(len, columns)):
        return [np.zeros(0, dtype=np.bool_) for _ in columns]
    if len(names) + sum(map(len, columns)) < FEW:
        known = set(names.tolist())
        return [np.array([name not in known for name in column.tolist()], dtype=np.bool_) for column in columns]
    unlisted = ~listed(pd.concat(columns, ignore_index=True), names)
    return np.split(unlisted, np.cumsum([len(column) for column in columns])[:-1])

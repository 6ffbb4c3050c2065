"""What is known of a network: total assets and liabilities of each bank in it, and perhaps some of its cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contagion.clearing.network import Floats, Matrix, Vector, read
from contagion.errors import InputError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["ROUNDING", "Totals", "infeasible", "read_totals"]

ROUNDING = 1e-12
"""Share of the grand total within which sums are equal."""

_APART = 1e-9
"""Share by which total assets and liabilities may differ; assets are then scaled."""

_SHOWN = 5


class Totals(NamedTuple):
    """What each bank still owes and is owed once known cells are taken off, and the cells that are not free.

    ``free`` (n, n) is None if all cells but the diagonal are.
    """

    labels: pd.Index[Any]
    liabilities: Floats  # (n,) row sums of the free cells
    assets: Floats  # (n,) column sums of the free cells
    known: csr_array  # (n, n) amounts of the known cells
    free: NDArray[np.bool_] | None

    @property
    def all_liabilities(self) -> Floats:
        """Row sums with known cells (n,)."""
        return self.liabilities + np.asarray(self.known.sum(axis=1), dtype=np.float64).reshape(-1)

    @property
    def all_assets(self) -> Floats:
        """Column sums with known cells (n,)."""
        return self.assets + np.asarray(self.known.sum(axis=0), dtype=np.float64).reshape(-1)


def read_totals(subject: str, assets: Any, liabilities: Any, known: Any = None, problems: Sequence[str] = ()) -> Totals:
    """Return what is known, aligned and checked for what no network can fit.

    Parameters
    ----------
    subject : str
        What is called; the first line of the error.
    assets, liabilities : (n,) array, Series or mapping
        What each bank is owed by, and owes to, the others, USD.
    known : (n, n) array or DataFrame with NaN where nothing is known; sparse array, whose stored cells are known
        (zeros too); or DiGraph, whose edges (``amount``) are known.

    Raises
    ------
    InputError
        All that is wrong, and totals that no network fits by a simple count: sums that differ, known cells above
        their totals, a bank that owes more than all others may be owed.
    """
    from scipy.sparse import csr_array

    amounts, cells = _split(known, list(problems))
    matrices = {} if known is None else {"known": Matrix(amounts)}
    vectors = {"assets": Vector(assets), "liabilities": Vector(liabilities)}
    table = read(subject, matrices, vectors, problems)
    labels, owed, owned = table.labels["node"], table.vectors["liabilities"], table.vectors["assets"]
    found = _unequal(owed, owned)
    owned = owned * (owed.sum() / owned.sum()) if owned.any() and not found else owned
    if known is None:
        totals = Totals(labels, owed, owned, csr_array((owed.size, owed.size)), None)
    else:
        free = ~_pattern(cells, labels)
        np.fill_diagonal(free, val=False)
        fixed = table.matrices["known"]
        left = [total - np.asarray(fixed.sum(axis=axis)).reshape(-1) for axis, total in ((1, owed), (0, owned))]
        for name, rest, total in (("liabilities", left[0], owed), ("assets", left[1], owned)):
            found += _banks(rest < -ROUNDING * total, labels, f"known cells add up to more than the {name} of")
        small = [np.where(rest > ROUNDING * total, rest, 0.0) for rest, total in zip(left, (owed, owned), strict=True)]
        totals = Totals(labels, small[0], small[1], fixed, free)
    found = found or _too_large(totals)
    if found:
        raise InputError(found, subject)
    return totals


def infeasible(labels: pd.Index[Any], rows: NDArray[np.bool_], owed: float, room: float) -> str:
    """Return that some banks owe more than those who may be their creditors are owed."""
    names = [repr(label) for label in labels[rows][:_SHOWN]]
    more = f" and {np.count_nonzero(rows) - _SHOWN} more" if np.count_nonzero(rows) > _SHOWN else ""
    return (
        f"no network has these totals: {', '.join(names)}{more} together owe {owed:g}, and all who may be their "
        f"creditors are owed {room:g}; check totals and known cells"
    )


def _split(known: Any, problems: list[str]) -> tuple[Any, Any]:
    """Return known amounts with zeros for what is not known, and which cells are known."""
    from scipy.sparse import csr_array

    if known is None or problems:
        return None, None
    if hasattr(known, "tocsr"):
        stored: Any = known.tocsr()
        ones = np.ones(stored.nnz)
        return known, csr_array((ones, stored.indices, stored.indptr), shape=stored.shape).toarray() > 0.0
    if hasattr(known, "edges"):
        place = {node: number for number, node in enumerate(known)}
        cells = np.zeros((len(place), len(place)), dtype=np.bool_)
        for debtor, creditor in known.edges():
            cells[place[debtor], place[creditor]] = True
        return known, pd.DataFrame(cells, index=list(place), columns=list(place))
    if isinstance(known, pd.DataFrame):
        return known.fillna(0.0), known.notna()
    try:
        values = np.array(known, dtype=np.float64)
    except (TypeError, ValueError):
        return known, None  # the reading of the matrix says what is wrong with it
    return np.where(np.isnan(values), 0.0, values), ~np.isnan(values)


def _pattern(cells: Any, labels: pd.Index[Any]) -> NDArray[np.bool_]:
    """Return which cells are known, in the order of the labels."""
    if isinstance(cells, pd.DataFrame):
        cells = cells.reindex(index=labels, columns=labels)
    return np.asarray(cells, dtype=np.bool_)


def _unequal(owed: Floats, owned: Floats) -> list[str]:
    gap = abs(float(owed.sum() - owned.sum()))
    if gap <= _APART * float(max(owed.sum(), owned.sum())):
        return []
    return [
        f"liabilities add up to {owed.sum():g} and assets to {owned.sum():g}; what is owed is what others own: "
        "add a bank for the rest of the world, or scale one side"
    ]


def _too_large(totals: Totals) -> list[str]:
    """Return banks that owe, or are owed, more than all others together may be owed, or owe."""
    slack = ROUNDING * float(totals.liabilities.sum())
    if totals.free is None:
        room = [totals.assets.sum() - totals.assets, totals.liabilities.sum() - totals.liabilities]
    else:
        room = [totals.free @ totals.assets, totals.liabilities @ totals.free]
    found = _banks(
        totals.liabilities > room[0] + slack,
        totals.labels,
        "no network has these totals: more is owed than all possible creditors are owed by",
    )
    return found + _banks(
        totals.assets > room[1] + slack,
        totals.labels,
        "no network has these totals: more is owned than all possible debtors owe by",
    )


def _banks(bad: NDArray[np.bool_], labels: pd.Index[Any], wrong: str) -> list[str]:
    if not bad.any():
        return []
    names = ", ".join(repr(label) for label in labels[bad][:_SHOWN])
    count = int(np.count_nonzero(bad))
    return [f"{wrong} {names}{f' and {count - _SHOWN} more' if count > _SHOWN else ''}"]

"""One part of the accounts: what of it stays as it is, and what rounds change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contagion.kernels.inputs import Codes, Floats, Ints
from contagion.kernels.packed import Packed, frozen

__all__ = ["Book", "State", "Summary"]

_FIELDS = len(Packed._fields)


class Book(NamedTuple):
    """Accounts of one part (a), valued at opening prices; nothing in it depends on the scenario's shocks."""

    accounts: Packed
    asking: Packed  # linked accounts (l) alone
    opening: Floats  # (a,) equity before anything has happened, USD
    spare: Floats  # (a,) see `contagion.kernels.packed.spare`
    bounds: Ints  # (c + 1,) of chunks
    quoting: Ints  # (q,) accounts that quote
    owner: Ints  # (o,) node that owns each of the owned accounts

    @property
    def arrays(self) -> list[NDArray[Any]]:
        """All arrays in a row, from which `of` makes the same book."""
        return [*self.accounts, *self.asking, *self[2:]]

    @classmethod
    def of(cls, arrays: Sequence[NDArray[Any]]) -> Book:
        """Return the book that arrays in a row stand for."""
        accounts, asking = Packed(*arrays[:_FIELDS]), Packed(*arrays[_FIELDS : 2 * _FIELDS])
        return cls(frozen(accounts), frozen(asking), *arrays[2 * _FIELDS :])


class State(NamedTuple):
    """What has become of the accounts of one part; written to as rounds go by, and nothing but their consequence."""

    spare: Floats  # (a,) as in the book; −inf once an account has to be looked at
    liquidated: Floats  # (a,) λ
    called: Ints  # (a,) first round with an open call, 0 if none
    sold: Ints  # (a,) first round with a sale, 0 if none
    cause: Codes  # (a,) rule behind the first sale, 0 if none
    stage: NDArray[np.uint8]  # (a,) see `contagion.kernels.fused_lines`
    settled: Floats  # (c, k') units of accounts that have sold all
    done: Ints  # (c,) accounts of which nothing is left to know

    @classmethod
    def fresh(cls, book: Book) -> State:
        """Return the state in which nothing has happened."""
        size = book.spare.size
        called, sold = np.zeros((2, size), dtype=np.int64)
        cause, stage = np.zeros(size, dtype=np.int8), np.zeros(size, dtype=np.uint8)
        chunks, columns = book.bounds.size - 1, book.accounts.column_rule.size
        settled, done = np.zeros((chunks, columns)), np.zeros(chunks, dtype=np.int64)
        return cls(book.spare.copy(), np.zeros(size), called, sold, cause, stage, settled, done)


class Summary(NamedTuple):
    """What the system as a whole has to know of a part."""

    number: int
    accounts: int
    positions: int
    columns: pd.DataFrame  # (k',) what sets its term columns apart; see `contagion.arrays.Labels`
    quoting: tuple[str, ...]  # (q,) its accounts that quote
    linked: tuple[str, ...]  # (l,) its accounts that `funding` names
    opening: Floats  # (q,) equity of those that quote before anything has happened, USD
    units: Floats  # (k',) held in each column
    owed: Floats  # (c, n) claims of its accounts on nodes, USD
    claims: pd.DataFrame  # rows of claims that nodes hold
    problems: tuple[str, ...]  # what is wrong with its rows; then there is no book
    seal: tuple[str, ...] = ()  # of its files before they were read; see `contagion.parts.seal`

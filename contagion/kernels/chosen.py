"""Which accounts a pass goes through: all of them, or a list of those that can have changed."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contagion.kernels.inputs import Ints
from contagion.kernels.packed import Packed, runs_of_tests

__all__ = ["Chosen", "everybody", "listed"]


class Chosen(NamedTuple):
    """Accounts, and how to find them in the book."""

    rows: NDArray[np.uint32]  # ascending (a machine holds fewer than 2³²); those of chunk c between bounds c and c + 1
    bounds: Ints  # (c + 1,) places in the list, or accounts if there is none
    runs: Ints  # (r + 1,) first place of each run of accounts that are tested alike, and the end
    tests: Ints  # (r,) marks of each run that tell which tests are due: CALLS, STOP
    listed: bool
    filtered: bool  # whether a product or two a position tell who may act; else all do

    @property
    def size(self) -> int:
        """How many accounts there are."""
        return int(self.bounds[-1])


def everybody(book: Packed, bounds: Ints, filtered: bool = True) -> Chosen:
    """Return all accounts of a book with the given chunks."""
    return Chosen(np.zeros(0, dtype=np.uint32), bounds, book.runs, book.tests, False, filtered)


def listed(book: Packed, bounds: Ints, rows: NDArray[Any]) -> Chosen:
    """Return some accounts, ascending; ``bounds`` are those of all."""
    runs, tests = runs_of_tests(book.mark[rows])
    return Chosen(rows.astype(np.uint32), np.searchsorted(rows, bounds), runs, tests, True, True)

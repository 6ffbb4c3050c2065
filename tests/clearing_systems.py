"""Random small networks of debts, and slow solvers that import nothing from the package."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tests.seeds import some

Floats = NDArray[np.float64]

SEEDS = some(60)


class Book(NamedTuple):
    liabilities: Floats
    assets: Floats
    external: Floats


def draw(seed: int, largest: int = 8) -> Book:
    """Return debts of some banks; every third book has round numbers, so that ties happen."""
    source = np.random.default_rng(seed)
    count = int(source.integers(2, largest + 1))
    linked = source.random((count, count)) < source.uniform(0.2, 0.9)
    debts = np.where(linked, source.lognormal(1.0, 1.0, (count, count)), 0.0)
    np.fill_diagonal(debts, 0.0)
    assets = source.lognormal(0.5, 1.0, count) * (source.random(count) < 0.8)
    external = source.lognormal(0.0, 1.0, count) * (source.random(count) < 0.6)
    decimals = 0 if seed % 3 == 0 else 12
    return Book(debts.round(decimals), assets.round(decimals), external.round(decimals))


def shares_of(debts: Floats, external: Floats) -> tuple[Floats, Floats]:
    owed = debts.sum(axis=1) + external
    return debts / np.where(owed > 0, owed, 1.0)[:, None], owed


def picard(book: Book, kept: tuple[float, float] = (1.0, 1.0), *, from_below: bool = False) -> Floats:
    """Return a clearing vector by plain loops over banks, from above or from below."""
    shares, owed = shares_of(book.liabilities, book.external)
    paid = np.zeros_like(owed) if from_below else owed.copy()
    for _ in range(20_000):
        after = []
        for bank, due in enumerate(owed):
            received = sum(shares[debtor, bank] * paid[debtor] for debtor in range(owed.size))
            left = kept[0] * book.assets[bank] + kept[1] * received
            after.append(due if book.assets[bank] + received >= due - 1e-12 else min(due, left))
        if max(abs(np.array(after) - paid)) < 1e-15:
            break
        paid = np.array(after)
    return paid

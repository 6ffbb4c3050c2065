"""What a valuation is: a function of a borrower's equity, with its slopes and its costs of default."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from contagion.clearing.network import Floats

__all__ = ["Book", "Function", "Ranking", "Valuation", "flat", "one", "ranked"]

Ranking = Literal["pari_passu", "senior"]


class Book(NamedTuple):
    """Balance sheets at face value, (n,) each, USD.

    ``claims`` and ``debts`` are those in the network; ``liabilities`` are debts and external liabilities, and
    ``equity`` is what is left if everybody pays.
    """

    external_assets: Floats
    external_liabilities: Floats
    claims: Floats
    debts: Floats
    liabilities: Floats
    equity: Floats


Function = Callable[[Floats, Book], Floats]
"""(equity (n,), book) → value of a unit of each borrower's debt (n,), 0 to 1; entry j depends on borrower j alone."""


@dataclass(frozen=True)
class Valuation:
    """How debts are valued, and its slopes, which the sensitivities need.

    Parameters
    ----------
    name : str
    value : callable (equity, book) → (n,)
        Worth of a unit of each borrower's debt, 0 to 1, not decreasing in equity.
    slope, slope_assets : callable, optional
        Its derivatives by the borrower's equity and by its external assets at given equity; by default differences, and
        zero.
    kept_assets, kept_claims : float
        Shares of external assets and of claims that a node keeps when its equity is negative (costs of default).
    """

    name: str
    value: Function
    slope: Function | None = None
    slope_assets: Function | None = None
    kept_assets: float = 1.0
    kept_claims: float = 1.0


def ranked(book: Book, external: Ranking) -> Floats:
    """Return the debts that share what is left: all, or those in the network where outside creditors come first."""
    return book.liabilities if external == "pari_passu" else book.debts


def one(values: Floats) -> Floats:
    """Return values with ones for zeros, to divide by where the quotient is not used."""
    return np.where(values > 0.0, values, 1.0)


def flat(equity: Floats, _: Book) -> Floats:
    """Return slopes of zero."""
    return np.zeros_like(equity)

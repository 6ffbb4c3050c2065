"""Claims that lose value when their debtor defaults: Eisenberg–Noe, Rogers–Veraart, Furfine."""

from __future__ import annotations

import numpy as np

from contagion.clearing.network import Floats
from contagion.clearing.obligations import TIE
from contagion.clearing.problems import choice, share
from contagion.clearing.valuations.book import Book, Ranking, Valuation, flat, ranked
from contagion.errors import refuse

__all__ = ["eisenberg_noe", "furfine", "rogers_veraart"]


def eisenberg_noe(external: Ranking = "pari_passu") -> Valuation:
    """Return V = min(1, (E + p̄)⁺ / p̄): creditors get what is left (Eisenberg and Noe 2001; Barucca et al. 2020).

    ``external`` says whether outside creditors rank equally (p̄ are all liabilities) or before (p̄ are debts in the
    network, as Barucca et al. have it).
    """
    return _shared("eisenberg_noe", 1.0, 1.0, external)


def rogers_veraart(alpha: float, beta: float, external: Ranking = "pari_passu") -> Valuation:
    """Return `eisenberg_noe` with shares α of assets and β of claims kept in default (Rogers and Veraart 2013)."""
    refuse(share("alpha", alpha) + share("beta", beta), "rogers_veraart")
    return _shared("rogers_veraart", alpha, beta, external)


def _shared(name: str, alpha: float, beta: float, external: Ranking) -> Valuation:
    refuse(choice("external", external, ("pari_passu", "senior")), name)

    def value(equity: Floats, book: Book) -> Floats:
        owed = ranked(book, external)
        share = np.divide(equity + owed, owed, out=np.ones_like(owed), where=owed > 0.0)
        return np.clip(share, 0.0, 1.0)

    def slope(equity: Floats, book: Book) -> Floats:
        owed = ranked(book, external)
        inside = (equity < 0.0) & (equity > -owed)
        return np.divide(1.0, owed, out=np.zeros_like(owed), where=inside)

    return Valuation(name, value, slope, None, alpha, beta)


def furfine(recovery_rate: float = 0.0) -> Valuation:
    """Return V = 1 if E ≥ 0, else R (Furfine 2003; Barucca et al. 2020)."""
    refuse(share("recovery_rate", recovery_rate), "furfine")

    def value(equity: Floats, book: Book) -> Floats:
        return np.where(equity >= -TIE * book.liabilities, 1.0, recovery_rate)

    return Valuation("furfine", value, flat)

"""What a claim on a borrower is worth, as a function of the borrower's equity: the valuation functions of NEVA."""

from __future__ import annotations

from contagion.clearing.valuations.at_maturity import black_cox, merton
from contagion.clearing.valuations.before_default import distress, linear_debtrank
from contagion.clearing.valuations.book import Book, Function, Valuation
from contagion.clearing.valuations.in_default import eisenberg_noe, furfine, rogers_veraart

__all__ = [
    "Book",
    "Function",
    "Valuation",
    "black_cox",
    "distress",
    "eisenberg_noe",
    "furfine",
    "linear_debtrank",
    "merton",
    "rogers_veraart",
]

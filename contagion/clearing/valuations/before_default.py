"""Claims that lose value as soon as their debtor is in distress: linear DebtRank, Veraart (2020)."""

from __future__ import annotations

from typing import Any

import numpy as np

from contagion.clearing.network import Floats
from contagion.clearing.obligations import TIE
from contagion.clearing.problems import positive, share
from contagion.clearing.valuations.book import Book, Valuation, one
from contagion.clearing.valuations.figures import by_position
from contagion.errors import refuse

__all__ = ["distress", "linear_debtrank"]


def linear_debtrank(reference_equity: Any) -> Valuation:
    """Return V = min(1, E⁺ / M), M the equity before any shock (Bardoscia et al. 2015; Barucca et al. 2020).

    ``reference_equity`` is an array in the order of the nodes, USD.
    """
    reference, wrong = by_position("reference_equity", reference_equity, zero=True)
    refuse(wrong, "linear_debtrank")

    def value(equity: Floats, _: Book) -> Floats:
        share = np.divide(equity, reference, out=(equity > 0.0).astype(np.float64), where=reference > 0.0)
        return np.clip(share, 0.0, 1.0)

    def slope(equity: Floats, _: Book) -> Floats:
        inside = (equity > 0.0) & (equity < reference)
        return np.divide(1.0, reference, out=np.zeros_like(equity), where=inside)

    return Valuation("linear_debtrank", value, slope)


def distress(
    cushion: float,
    perceived_recovery_rate: float = 1.0,
    recovery_rate: float = 1.0,
    shape: tuple[float, float] = (1.0, 1.0),
) -> Valuation:
    """Return V(y) = 1 if y ≥ 1 + k, R + (1 − R) F((y − 1) / k) from 1 on, and β y⁺ below, y = (E + p̄) / p̄.

    y are assets per unit of liabilities. Claims lose value when the cushion k is used up, before default; with k = 0
    and β = 1, Eisenberg and Noe. Veraart (2020), Distress and default contagion in financial networks, Mathematical
    Finance 30.

    Parameters
    ----------
    cushion : float
        k, excess of assets over liabilities below which creditors begin to doubt, as a share of liabilities.
    perceived_recovery_rate : float
        R, what a claim is worth to creditors just before default.
    recovery_rate : float
        β, share of what is left that creditors get in default, at most R.
    shape : (float, float)
        Of the Beta distribution function F.
    """
    problems = share("recovery_rate", recovery_rate) + share("perceived_recovery_rate", perceived_recovery_rate)
    problems += [] if cushion == 0 else positive("cushion", cushion)
    problems += [problem for one in shape for problem in positive("shape", one)]
    if not problems and recovery_rate > perceived_recovery_rate:
        problems = ["recovery_rate is above perceived_recovery_rate; debt would gain from default"]
    refuse(problems, "distress")
    rise = 1.0 - perceived_recovery_rate

    def above(equity: Floats, book: Book) -> tuple[Floats, Floats]:
        owed = one(book.liabilities)
        cover = np.where(book.liabilities > 0.0, equity / owed, np.inf)
        return cover, np.clip(cover / cushion, 0.0, 1.0) if cushion else np.ones_like(cover)

    def value(equity: Floats, book: Book) -> Floats:
        from scipy.special import betainc

        cover, used = above(equity, book)
        doubted = perceived_recovery_rate + rise * betainc(*shape, used)
        return np.where(cover >= -TIE, doubted, recovery_rate * np.clip(1.0 + cover, 0.0, 1.0))

    def slope(equity: Floats, book: Book) -> Floats:
        from scipy.special import beta

        cover, used = above(equity, book)
        doubted, failed = (cover > 0.0) & (cover < cushion), (cover < 0.0) & (cover > -1.0)
        inside = np.where(doubted, used, 0.5)
        density = inside ** (shape[0] - 1.0) * (1.0 - inside) ** (shape[1] - 1.0) / beta(*shape)
        steep = np.where(doubted, rise * density / (cushion or 1.0), np.where(failed, recovery_rate, 0.0))
        return steep / one(book.liabilities)

    return Valuation("distress", value, slope)

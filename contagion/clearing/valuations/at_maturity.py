"""Claims that may fail until they are due, while assets move: Merton, Black and Cox."""

from __future__ import annotations

from typing import Any

import numpy as np

from contagion.clearing.network import Floats
from contagion.clearing.problems import choice, positive, share
from contagion.clearing.valuations.book import Book, Ranking, Valuation, one, ranked
from contagion.clearing.valuations.figures import by_position
from contagion.errors import refuse

__all__ = ["black_cox", "merton"]


def merton(
    volatility: Any, maturity: float = 1.0, recovery_rate: float = 1.0, external: Ranking = "senior"
) -> Valuation:
    """Return V = P[E_T ≥ 0] + R E[((E_T + p̄) / p̄)⁺; E_T < 0], E_T = E + A_T − A, where assets A_T are lognormal.

    Claims before maturity are worth what Eisenberg and Noe would pay then, on average (Merton 1974; Barucca et al.
    2020, in arXiv:1606.05164 eq. 12 and 16).

    Parameters
    ----------
    volatility : float or (n,) array
        Of external assets, a year.
    maturity : float
        Years.
    recovery_rate : float
        Share of what is left that creditors get.
    external : {"pari_passu", "senior"}
        As in `eisenberg_noe`.
    """
    problems = choice("external", external, ("pari_passu", "senior")) + share("recovery_rate", recovery_rate)
    spread = _spread("merton", volatility, maturity, problems)

    def value(equity: Floats, book: Book) -> Floats:
        owed = ranked(book, external)
        upper, lower, between = _chances(equity, book.external_assets, owed, spread)
        left = (1.0 + (equity - book.external_assets) / one(owed)) * (upper - lower) + between / one(owed)
        return np.where(owed > 0.0, np.clip(1.0 - upper + recovery_rate * left, 0.0, 1.0), 1.0)

    def slope(equity: Floats, book: Book) -> Floats:
        owed = ranked(book, external)
        upper, lower, _ = _chances(equity, book.external_assets, owed, spread)
        density = _density(1.0 - equity / one(book.external_assets), spread) / one(book.external_assets)
        found = (1.0 - recovery_rate) * density + recovery_rate * (upper - lower) / one(owed)
        return np.where(owed > 0.0, found, 0.0)

    def slope_assets(equity: Floats, book: Book) -> Floats:
        owed, assets = ranked(book, external), one(book.external_assets)
        upper, lower, between = _chances(equity, book.external_assets, owed, spread)
        density = _density(1.0 - equity / assets, spread) * equity / assets**2
        found = recovery_rate / one(owed) * (between / assets - (upper - lower)) - (1.0 - recovery_rate) * density
        return np.where((owed > 0.0) & (book.external_assets > 0.0), found, 0.0)

    return Valuation("merton", value, slope, slope_assets)


def black_cox(volatility: Any, maturity: float = 1.0, recovery_rate: float = 0.0) -> Valuation:
    """Return V = 1 − (1 − R) P[assets fall by E before maturity]; external assets are a geometric Brownian motion.

    Default comes as soon as equity is gone (Black and Cox 1976; Bardoscia, Barucca, Brinley Codd and Hill 2017).

    Parameters
    ----------
    volatility, maturity, recovery_rate
        As in `merton`.
    """
    spread = _spread("black_cox", volatility, maturity, share("recovery_rate", recovery_rate))
    lost = 1.0 - recovery_rate

    def terms(equity: Floats, book: Book) -> tuple[Any, Floats, Floats, Floats]:
        from scipy.special import ndtr

        assets = one(book.external_assets)
        fall = np.log(np.clip(1.0 - equity / assets, 1e-300, 1.0))
        inside = (equity > 0.0) & (equity < book.external_assets)
        return (
            inside,
            fall,
            ndtr((fall + spread**2 / 2) / spread),
            np.exp(-fall) * ndtr((fall - spread**2 / 2) / spread),
        )

    def value(equity: Floats, book: Book) -> Floats:
        inside, _, first, second = terms(equity, book)
        chance = np.where(inside, np.clip(first + second, 0.0, 1.0), equity <= 0.0)
        settled = (equity >= 0.0) & (book.external_assets == 0.0)
        return np.where(settled | (book.liabilities == 0.0), 1.0, 1.0 - lost * chance)

    def by_fall(equity: Floats, book: Book) -> Floats:
        inside, fall, _, second = terms(equity, book)
        inside = inside & (book.liabilities > 0.0)
        return np.where(inside, -lost * (2.0 * _normal((fall + spread**2 / 2) / spread) / spread - second), 0.0)

    def slope(equity: Floats, book: Book) -> Floats:
        steep = by_fall(equity, book)
        return -np.divide(steep, book.external_assets - equity, out=np.zeros_like(steep), where=steep != 0.0)

    def slope_assets(equity: Floats, book: Book) -> Floats:
        steep = by_fall(equity, book)
        assets = one(book.external_assets)
        return np.divide(steep * equity / assets, assets - equity, out=np.zeros_like(steep), where=steep != 0.0)

    return Valuation("black_cox", value, slope, slope_assets)


def _chances(equity: Floats, assets: Floats, owed: Floats, spread: Floats) -> tuple[Floats, Floats, Floats]:
    """Return P[E_T < 0], P[E_T < −p̄], and E[A_T; −p̄ ≤ E_T < 0]."""
    from scipy.special import ndtr

    def below(threshold: Floats) -> tuple[Floats, Floats]:
        ratio = np.divide(threshold, assets, out=np.where(threshold > 0.0, np.inf, 0.0), where=assets > 0.0)
        at = np.log(np.clip(ratio, 1e-300, 1e300)) / spread
        return ndtr(at + spread / 2), ndtr(at - spread / 2)

    (upper, upper_mean), (lower, lower_mean) = below(assets - equity), below(assets - equity - owed)
    return upper, lower, assets * (upper_mean - lower_mean)


def _density(ratio: Floats, spread: Floats) -> Floats:
    """Return the density of A_T / A, lognormal with mean one."""
    safe = np.where(ratio > 0.0, ratio, 1.0)
    density: Floats = _normal(np.log(safe) / spread + spread / 2) / (safe * spread)
    return np.where(ratio > 0.0, density, 0.0)


def _normal(at: Floats) -> Floats:
    density: Floats = np.exp(-(at**2) / 2.0) / np.sqrt(2.0 * np.pi)
    return density


def _spread(name: str, volatility: Any, maturity: float, problems: list[str]) -> Floats:
    """Return the standard deviation of log assets at maturity."""
    values, wrong = by_position("volatility", volatility, zero=False)
    refuse([*problems, *wrong, *positive("maturity", maturity)], name)
    return np.asarray(values * np.sqrt(float(maturity)))

"""What a claim on a borrower is worth, as a function of the borrower's equity: the valuation functions of NEVA."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from contagion.clearing.network import Floats
from contagion.clearing.obligations import TIE
from contagion.clearing.problems import choice, positive
from contagion.errors import InputError

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


def eisenberg_noe(external: Ranking = "pari_passu") -> Valuation:
    """Return V = min(1, (E + p̄)⁺ / p̄): creditors get what is left (Eisenberg and Noe 2001; Barucca et al. 2020, 4.1).

    ``external`` says whether outside creditors rank equally (p̄ are all liabilities) or before (p̄ are debts in the
    network, as Barucca et al. have it).
    """
    return _shared("eisenberg_noe", 1.0, 1.0, external)


def rogers_veraart(alpha: float, beta: float, external: Ranking = "pari_passu") -> Valuation:
    """Return `eisenberg_noe` with shares α of assets and β of claims kept in default (Rogers and Veraart 2013)."""
    _check("rogers_veraart", _rate("alpha", alpha) + _rate("beta", beta))
    return _shared("rogers_veraart", alpha, beta, external)


def _shared(name: str, alpha: float, beta: float, external: Ranking) -> Valuation:
    _check(name, choice("external", external, ("pari_passu", "senior")))

    def value(equity: Floats, book: Book) -> Floats:
        owed = _ranked(book, external)
        share = np.divide(equity + owed, owed, out=np.ones_like(owed), where=owed > 0.0)
        return np.clip(share, 0.0, 1.0)

    def slope(equity: Floats, book: Book) -> Floats:
        owed = _ranked(book, external)
        inside = (equity < 0.0) & (equity > -owed)
        return np.divide(1.0, owed, out=np.zeros_like(owed), where=inside)

    return Valuation(name, value, slope, None, alpha, beta)


def linear_debtrank(reference_equity: Any) -> Valuation:
    """Return V = min(1, E⁺ / M), M the equity before any shock (Bardoscia et al. 2015; Barucca et al. 2020, 4.3).

    ``reference_equity`` is an array in the order of the nodes, USD.
    """
    wrong = _unlabelled("reference_equity", reference_equity)
    reference = np.asarray([] if wrong else reference_equity, dtype=np.float64)
    if not (np.isfinite(reference) & (reference >= 0.0)).all():
        wrong = ["reference_equity must be finite and not negative for all"]
    _check("linear_debtrank", wrong)

    def value(equity: Floats, _: Book) -> Floats:
        share = np.divide(equity, reference, out=(equity > 0.0).astype(np.float64), where=reference > 0.0)
        return np.clip(share, 0.0, 1.0)

    def slope(equity: Floats, _: Book) -> Floats:
        inside = (equity > 0.0) & (equity < reference)
        return np.divide(1.0, reference, out=np.zeros_like(equity), where=inside)

    return Valuation("linear_debtrank", value, slope)


def furfine(recovery_rate: float = 0.0) -> Valuation:
    """Return V = 1 if E ≥ 0, else R (Furfine 2003; Barucca et al. 2020, 4.2)."""
    _check("furfine", _rate("recovery_rate", recovery_rate))

    def value(equity: Floats, book: Book) -> Floats:
        return np.where(equity >= -TIE * book.liabilities, 1.0, recovery_rate)

    return Valuation("furfine", value, _flat)


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
    problems = _rate("recovery_rate", recovery_rate) + _rate("perceived_recovery_rate", perceived_recovery_rate)
    problems += [] if cushion == 0 else positive("cushion", cushion)
    problems += [problem for one in shape for problem in positive("shape", one)]
    if not problems and recovery_rate > perceived_recovery_rate:
        problems = ["recovery_rate is above perceived_recovery_rate; debt would gain from default"]
    _check("distress", problems)
    rise = 1.0 - perceived_recovery_rate

    def above(equity: Floats, book: Book) -> tuple[Floats, Floats]:
        owed = _one(book.liabilities)
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
        return steep / _one(book.liabilities)

    return Valuation("distress", value, slope)


def merton(
    volatility: Any, maturity: float = 1.0, recovery_rate: float = 1.0, external: Ranking = "senior"
) -> Valuation:
    """Return V = P[E_T ≥ 0] + R E[((E_T + p̄) / p̄)⁺; E_T < 0], E_T = E + A_T − A, where assets A_T are lognormal.

    Claims before maturity are worth what Eisenberg and Noe would pay then, on average (Merton 1974; Barucca et al.
    2020, eq. 12 and 16).

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
    problems = choice("external", external, ("pari_passu", "senior")) + _rate("recovery_rate", recovery_rate)
    spread = _spread("merton", volatility, maturity, problems)

    def value(equity: Floats, book: Book) -> Floats:
        owed = _ranked(book, external)
        upper, lower, between = _chances(equity, book.external_assets, owed, spread)
        left = (1.0 + (equity - book.external_assets) / _one(owed)) * (upper - lower) + between / _one(owed)
        return np.where(owed > 0.0, np.clip(1.0 - upper + recovery_rate * left, 0.0, 1.0), 1.0)

    def slope(equity: Floats, book: Book) -> Floats:
        owed = _ranked(book, external)
        upper, lower, _ = _chances(equity, book.external_assets, owed, spread)
        density = _density(1.0 - equity / _one(book.external_assets), spread) / _one(book.external_assets)
        found = (1.0 - recovery_rate) * density + recovery_rate * (upper - lower) / _one(owed)
        return np.where(owed > 0.0, found, 0.0)

    def slope_assets(equity: Floats, book: Book) -> Floats:
        owed, assets = _ranked(book, external), _one(book.external_assets)
        upper, lower, between = _chances(equity, book.external_assets, owed, spread)
        density = _density(1.0 - equity / assets, spread) * equity / assets**2
        found = recovery_rate / _one(owed) * (between / assets - (upper - lower)) - (1.0 - recovery_rate) * density
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
    spread = _spread("black_cox", volatility, maturity, _rate("recovery_rate", recovery_rate))
    lost = 1.0 - recovery_rate

    def terms(equity: Floats, book: Book) -> tuple[Any, Floats, Floats, Floats]:
        from scipy.special import ndtr

        assets = _one(book.external_assets)
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
        assets = _one(book.external_assets)
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


def _ranked(book: Book, external: Ranking) -> Floats:
    return book.liabilities if external == "pari_passu" else book.debts


def _one(values: Floats) -> Floats:
    """Return values with ones for zeros, to divide by where the quotient is not used."""
    return np.where(values > 0.0, values, 1.0)


def _flat(equity: Floats, _: Book) -> Floats:
    return np.zeros_like(equity)


def _rate(name: str, value: object) -> list[str]:
    good = isinstance(value, int | float) and 0.0 <= value <= 1.0
    return [] if good else [f"{name} is {value!r}; give a number from 0 to 1"]


def _unlabelled(name: str, given: object) -> list[str]:
    """Return the problem of figures with labels: a valuation does not know the nodes, so it could not match them."""
    labelled = isinstance(given, Mapping | pd.Series | pd.DataFrame)
    return [f"{name} has labels; give an array in the order of the nodes"] if labelled else []


def _spread(name: str, volatility: Any, maturity: object, problems: list[str]) -> Floats:
    """Return the standard deviation of log assets at maturity."""
    labelled = _unlabelled("volatility", volatility)
    values = np.asarray([] if labelled else volatility, dtype=np.float64)
    wrong = [] if (values > 0.0).all() and np.isfinite(values).all() else ["volatility must be above zero for all"]
    _check(name, [*problems, *labelled, *wrong, *positive("maturity", maturity)])
    return np.asarray(values * np.sqrt(float(maturity)))  # type: ignore[arg-type]


def _check(subject: str, problems: list[str]) -> None:
    if problems:
        raise InputError(problems, subject)

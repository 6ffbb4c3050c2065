"""Transmission rules: one pure function each, elementwise on arrays, with its equation and source.

Nothing here knows of tables, accounts or rounds. Log drops are written δ = −ln(price / reference price); x is the
sale in units of the market's depth, so that x = 1 lowers the price by 1 % for every kind of impact.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "IMPACTS",
    "close_factor",
    "deficit",
    "haircut",
    "impact",
    "log_drop",
    "restore",
    "sellers_discount",
    "withdrawal",
]

Floats = NDArray[np.float64]

IMPACTS = ("exponential", "linear", "sqrt", "constant_product")
"""Kinds of price impact; a market stores its position in this tuple."""

EXPONENTIAL, LINEAR, SQRT, CONSTANT_PRODUCT = range(4)

RATE = -math.log(0.99)
"""Log drop that a sale of x = 1 causes."""

POOL = 0.99**-0.5 - 1.0
"""Share by which x = 1 enlarges the reserve of a constant-product pool."""


def log_drop(drop: Floats) -> Floats:
    """Return δ = −ln(1 − drop) of relative drops; infinite for a drop of one."""
    with np.errstate(divide="ignore"):
        return -np.log1p(-drop)


def impact(kind: NDArray[np.int8], x: Floats, cap: Floats) -> Floats:
    """Return the log price drop that sales cause, min(g(x), cap).

    Parameters
    ----------
    kind : (m,) int8
        Position in `IMPACTS`.
    x : (m,) float
        Net sale over depth; negative for net buying, infinite where nothing stands against a sale.
    cap : (m,) float
        −ln(floor): the drop at which stub bids stand.

    Returns
    -------
    (m,) float
        g(x) = x·ln(1/0.99) (exponential; Cifuentes, Ferrucci and Shin 2005), −ln(1 − 0.01 x) (linear in the price,
        as in Kyle 1985), −ln(1 − 0.01 √x) (square root; Tóth et al. 2011), 2 ln(1 + x (0.99^(−1/2) − 1))
        (constant-product pool; Angeris et al. 2021). For x ≤ 0 every kind is exponential, so prices rise.

    Examples
    --------
    >>> drop = impact(np.array([0, 1, 2, 3]), np.ones(4), np.full(4, 9.0))
    >>> np.round(1 - np.exp(-drop), 12).tolist()
    [0.01, 0.01, 0.01, 0.01]
    """
    sold = np.maximum(x, 0.0)
    with np.errstate(divide="ignore"):
        curved = np.select(
            [kind == LINEAR, kind == SQRT, kind == CONSTANT_PRODUCT],
            [
                -np.log1p(-np.minimum(0.01 * sold, 1.0)),
                -np.log1p(-np.minimum(0.01 * np.sqrt(sold), 1.0)),
                2.0 * np.log1p(POOL * sold),
            ],
            RATE * sold,
        )
    return np.where(x > 0.0, np.minimum(curved, cap), RATE * x)


def sellers_discount(kind: NDArray[np.int8], x: Floats, floor: Floats) -> Floats:
    """Return the mean of exp(−min(g(t), −ln floor)) over t from 0 to x: sellers' average over the reference price.

    Sellers settle at the volume-weighted average while holders mark at the terminal price (Banerjee and Feinstein
    2021, "Price mediated contagion through capital ratio requirements with VWAP liquidation prices"). Closed form for
    every kind: with x̂ the sale at which the floor binds, the mean up to min(x, x̂) is a(x) below, and the floor
    fills the rest.

    ================  ====================================  ==========================
    kind              a(x)                                   x̂
    ================  ====================================  ==========================
    exponential       (1 − e^(−kx)) / (kx), k = ln(1/0.99)   −ln(floor) / k
    linear            1 − 0.005 x                            100 (1 − floor)
    sqrt              1 − 0.01·(2/3)·√x                      (100 (1 − floor))²
    constant_product  1 / (1 + bx), b = 0.99^(−1/2) − 1      (floor^(−1/2) − 1) / b
    ================  ====================================  ==========================
    """
    bound = np.select(
        [kind == LINEAR, kind == SQRT, kind == CONSTANT_PRODUCT],
        [100.0 * (1.0 - floor), (100.0 * (1.0 - floor)) ** 2, (floor**-0.5 - 1.0) / POOL],
        -np.log(floor) / RATE,
    )
    free = np.minimum(np.maximum(x, 0.0), bound)
    mean = np.select(
        [kind == LINEAR, kind == SQRT, kind == CONSTANT_PRODUCT],
        [1.0 - 0.005 * free, 1.0 - 0.01 * (2.0 / 3.0) * np.sqrt(free), 1.0 / (1.0 + POOL * free)],
        _mean_decay(RATE * free),
    )
    share = np.divide(bound, x, out=np.ones_like(x), where=x > bound)  # of the sale that is done above the floor
    return np.where(x > 0.0, share * mean + (1.0 - share) * floor, _mean_decay(RATE * np.minimum(x, 0.0)))


def _mean_decay(t: Floats) -> Floats:
    """Return κ(t) = (1 − e^(−t)) / t, one at zero."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(t == 0.0, 1.0, -np.expm1(-t) / t)


def restore(surplus: Floats, equity: Floats) -> Floats:
    """Return the share of everything that must be sold to bring a surplus back to zero.

    Selling the share λ of an account leaves (1 − λ)·T of surplus on what remains and adds λ·V of realised equity, so
    λ = −T/(V − T), by algebra; 0 if T ≥ 0, 1 if nothing is left to sell for (V ≤ 0). Proceeds count
    1:1, whatever the level. Beyond the toxic level LTV > 1/(1 + bonus) (Warmuz, Chaudhary and Pinna 2022) a sale
    makes health worse, and rounds of it run to one.

    Parameters
    ----------
    surplus : float array
        T, surplus over the target level, in USD.
    equity : float array
        V, equity if all is sold at execution prices after costs, in USD.

    Examples
    --------
    >>> restore(np.array([1.0, -1.0, -1.0]), np.array([5.0, 3.0, -2.0])).tolist()
    [0.0, 0.25, 1.0]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        partial = -surplus / (equity - surplus)
    return np.where(surplus >= 0.0, 0.0, np.where(equity <= 0.0, 1.0, partial))


def close_factor(restoring: Floats, full: NDArray[np.bool_], debt: Floats, equity: Floats, factor: Floats) -> Floats:
    """Return the share that an Aave v3 liquidation closes.

    Everything if health is below the full-close level (``full``) or nothing is left to sell for; else at least
    ``factor`` of the debt D, which takes the share factor·D/(V + D) of the proceeds, and at least what restores
    health (Aave v3 ``LiquidationLogic``).
    """
    proceeds = equity + debt
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        least = np.minimum(1.0, factor * debt / proceeds)
    return np.where(full | (proceeds <= 0.0), 1.0, np.maximum(restoring, least))


def withdrawal(equity: Floats, opening: Floats, full_at: Floats, withdrawn_at: Floats) -> Floats:
    """Return the share of its quotes that a market maker has withdrawn, by its equity over opening equity.

    Linear from none at ``full_at`` to all at ``withdrawn_at`` (endogenous market liquidity: Cao and Feinstein 2024;
    funding and market liquidity: Brunnermeier and Pedersen 2009); all if opening equity is not positive.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        health = equity / opening
        share = np.clip((full_at - health) / (full_at - withdrawn_at), 0.0, 1.0)
    return np.where(opening <= 0.0, 1.0, share)


def deficit(equity: Floats, liquidated: Floats) -> Floats:
    """Return what a closed account still owes its platform, max(0, −V) once everything is sold (limited liability)."""
    return np.where(liquidated >= 1.0, np.maximum(0.0, -equity), 0.0)


def haircut(loss: Floats, buffer: Floats, liabilities: Floats, recovery_rate: Floats) -> Floats:
    """Return θ, the share that claimants of a node lose, pari passu.

    θ = 1 − recovery_rate·max(0, 1 − (loss − buffer)/liabilities) once the loss exceeds the buffer, else 0 (Eisenberg
    and Noe 2001 with recovery_rate = 1; below one a cost of default as in Rogers and Veraart 2013, with one rate on
    the value that is left).
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        lost = np.minimum(1.0, (loss - buffer) / liabilities)
        share = (1.0 - recovery_rate) + recovery_rate * lost  # keeps all digits of a small loss on large liabilities
    return np.where((loss > buffer) & (liabilities > 0.0), share, 0.0)

"""How fast prices fall at least as sales grow from one size to a larger one: minorants of the curves of `channels`."""

from __future__ import annotations

import numpy as np

from contagion import channels
from contagion.channels import CONSTANT_PRODUCT, LINEAR, POOL, RATE, SQRT
from contagion.kernels.inputs import Codes, Floats

__all__ = ["fall", "fall_slope", "free", "log_discount", "log_discount_slope"]

_SERIES = 1e-3


def free(kind: Codes, floor: Floats) -> Floats:
    """Return x̂ (m,), the sale at which stub bids stand."""
    return np.select(
        [kind == LINEAR, kind == SQRT, kind == CONSTANT_PRODUCT],
        [100.0 * (1.0 - floor), (100.0 * (1.0 - floor)) ** 2, (floor**-0.5 - 1.0) / POOL],
        -np.log(floor) / RATE,
    )


def fall(kind: Codes, x: Floats, floor: Floats) -> Floats:
    """Return G, the log drop by sales."""
    return channels.impact(kind, x, -np.log(floor))


def log_discount(kind: Codes, x: Floats, floor: Floats) -> Floats:
    """Return −ln of the sellers' average price over the reference price."""
    return -np.log(channels.sellers_discount(kind, x, floor))


@np.errstate(divide="ignore", invalid="ignore", over="ignore")
def fall_slope(kind: Codes, low: Floats, high: Floats, floor: Floats) -> Floats:
    """Return the largest slope of a line through G(low) that stays at or below G from ``low`` to ``high``.

    Up to x̂ a slope at most every g' does, which is least at one of the ends, or for square roots at √x = 50; beyond it
    G is flat, so the line must not end above the cap.
    """
    bound = free(kind, floor)
    end = np.minimum(high, bound)
    least = np.minimum(_steepness(kind, low), _steepness(kind, end))
    dip = (kind == SQRT) & (low < 2500.0) & (end > 2500.0)
    least = np.where(dip, _steepness(kind, np.full_like(low, 2500.0)), least)
    capped = (-np.log(floor) - fall(kind, low, floor)) / (high - low)
    return np.where(low >= bound, 0.0, np.where(high > bound, np.minimum(least, capped), least))


@np.errstate(divide="ignore", invalid="ignore", over="ignore")
def log_discount_slope(kind: Codes, low: Floats, high: Floats, floor: Floats) -> Floats:
    """Return a slope that the log discount has at least everywhere from ``low`` to ``high``.

    Its own slope has no interior least but for square roots, at √x = 75; beyond x̂ it only falls.
    """
    bound = free(kind, floor)
    least = np.minimum(_average_steepness(kind, low, floor), _average_steepness(kind, high, floor))
    dip = (kind == SQRT) & (low < 5625.0) & (np.minimum(high, bound) > 5625.0)
    return np.where(dip, np.minimum(least, _average_steepness(kind, np.full_like(low, 5625.0), floor)), least)


def _steepness(kind: Codes, x: Floats) -> Floats:
    """Return g'(x)."""
    root = np.sqrt(x)
    return np.select(
        [kind == LINEAR, kind == SQRT, kind == CONSTANT_PRODUCT],
        [0.01 / (1.0 - 0.01 * x), 0.005 / (root * (1.0 - 0.01 * root)), 2.0 * POOL / (1.0 + POOL * x)],
        np.full_like(x, RATE),
    )


def _average_steepness(kind: Codes, x: Floats, floor: Floats) -> Floats:
    """Return the slope of the log discount: (1 − p/v)/x for a terminal price p and an average v, without cancellation.

    Beyond x̂ the average is floor + C/x.
    """
    root, u = np.sqrt(x), RATE * x
    bound = free(kind, floor)
    curved = np.where(u < _SERIES, 0.5 - u / 12.0 + u**3 / 720.0, 1.0 / u - 1.0 / np.expm1(u))
    within = np.select(
        [kind == LINEAR, kind == SQRT, kind == CONSTANT_PRODUCT],
        [0.005 / (1.0 - 0.005 * x), 1.0 / (300.0 * root * (1.0 - root / 150.0)), POOL / (1.0 + POOL * x)],
        RATE * curved,
    )
    excess = bound * (channels.sellers_discount(kind, bound, floor) - floor)
    beyond = np.where(np.isfinite(x), excess / (x * (x * floor + excess)), 0.0)
    return np.where(x <= bound, within, beyond)

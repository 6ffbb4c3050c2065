"""How distress spreads: rounds over blocks of scenarios, one a column, rows are nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contagion.clearing.network import Floats

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["ALL", "Spread", "exponential", "leverage", "linear", "single_hit", "spread"]

ALL = 1.0 - 1e-9
"""Distress from which on a node has defaulted: all equity is lost but for what rounds leave open."""


class Spread(NamedTuple):
    """Distress (n × scenarios): share of equity lost, at most one; the same before the cap; first round of default.

    Rounds of default are kept for one scenario only, which is what they cost.
    """

    distress: Floats
    uncapped: Floats
    default_round: NDArray[np.int64]
    rounds: int
    residual: float
    converged: bool


Passed = Callable[[Floats], Floats]
"""What a node passes on: the share of its debts that is taken to be lost when it has this distress."""


def leverage(liabilities: csr_array, equity: Floats) -> csr_array:
    """Return Λᵢⱼ = Lⱼᵢ / Eᵢ: the share of its equity that i (row) has lent to j (column)."""
    from scipy.sparse import csr_array

    columns = liabilities.tocsc()
    rows = np.repeat(np.arange(equity.size), np.diff(columns.indptr))
    with np.errstate(over="ignore"):  # whoever asks refuses what is beyond all numbers
        shares = columns.data / equity[rows]
    return csr_array((shares, columns.indices, columns.indptr), shape=liabilities.shape)


def linear(distress: Floats) -> Floats:
    """Return distress itself (Bardoscia et al. 2015)."""
    return distress


def exponential(alpha: float) -> Passed:
    """Return h ↦ h exp(α (h − 1)): linear at α = 0, defaults alone for α → ∞ (Bardoscia et al. 2016)."""
    return lambda distress: distress * np.exp(alpha * (distress - 1.0))


def spread(matrix: csr_array, shocks: Floats, passed: Passed, tol: float, max_rounds: int) -> Spread:
    """Return the least h = min(1, s + Λ p(h)), column by column, round by round.

    Rounds pass on increments only: h(t+1) = min(1, h(t) + Λ (p(h(t)) − p(h(t−1)))), which never falls.
    """
    distress, uncapped = np.minimum(shocks, 1.0), shocks.copy()
    default_round, alone = np.where(distress >= ALL, 1, 0), shocks.shape[1] == 1
    step, settled, rounds = passed(distress), False, 0
    for rounds in range(1, max_rounds + 1):
        uncapped += matrix @ step
        after = np.minimum(uncapped, 1.0)
        step = passed(after) - passed(distress)
        settled = _settled(after - distress, after, tol)
        distress = after
        if alone:
            default_round[(distress >= ALL) & (default_round == 0)] = rounds + 1
        if settled:
            break
    uncapped = shocks + matrix @ passed(distress)
    residual = float(np.abs(np.minimum(uncapped, 1.0) - distress).max(initial=0.0))
    return Spread(distress, uncapped, default_round, rounds, residual, settled)


def _settled(step: Floats, distress: Floats, tol: float) -> bool:
    """Return whether no distress moves by more than a share of itself.

    However little distress arrives on a cycle whose radius is above one, it grows to defaults: there increments are no
    small share of what is there, though they may be small beside one.
    """
    return bool((np.abs(step) <= tol * distress).all())


def single_hit(matrix: csr_array, shocks: Floats, max_rounds: int) -> Spread:
    """Return the distress of Battiston et al. (2012): each node passes on what it has when it is first in distress.

    h(t) = min(1, h(t−1) + Σ Wᵢⱼ hⱼ(t−1)) over those j that came into distress at t − 1, with W = min(1, Λ).
    """
    impact = matrix.copy()
    impact.data = np.minimum(impact.data, 1.0)
    distress, uncapped = np.minimum(shocks, 1.0), shocks.copy()
    default_round = np.where(distress >= ALL, 1, 0)
    touched = active = distress > 0.0
    for rounds in range(1, max_rounds + 1):
        if not active.any():
            return Spread(distress, uncapped, default_round, rounds - 1, 0.0, True)
        uncapped = uncapped + impact @ np.where(active, distress, 0.0)
        distress = np.minimum(1.0, np.maximum(distress, uncapped))
        default_round[(distress >= ALL) & (default_round == 0)] = rounds + 1
        active = (distress > 0.0) & ~touched
        touched = touched | active
    return Spread(distress, uncapped, default_round, max_rounds, float(np.max(distress[active], initial=0.0)), False)

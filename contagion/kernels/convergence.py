"""When rounds have come to their end: steps, their rate, and the error that they leave."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from contagion.kernels.reaction import State

ACCURACY = 2.5e-10
"""Error that a converged result may still have, by its own estimate: a quarter of 1e-9, for ρ still rises on the way
in.
"""

_NOISE = 1e-14
_MEMORY = 9
_CONFIRM = 3
_PATIENCE = 100


def distance(old: State, new: State, moved: float) -> float:
    """Return the largest move of any component of (δ, λ, η, θ), of which λ has ``moved``.

    NaN if a price has left the range of the arithmetic.
    """
    if not np.isfinite(new.average).all():
        return math.nan
    changed = old.log_drop != new.log_drop  # two infinite drops are equal, though their difference is not a number
    moves = (
        new.log_drop[changed] - old.log_drop[changed],
        new.withdrawn - old.withdrawn,
        new.haircut - old.haircut,
    )
    return float(np.max([moved, *(np.abs(move).max(initial=0.0) for move in moves)]))


def local_rate(steps: Sequence[float]) -> float:
    """Return ρ, by which the last rounds shrank the step: the geometric mean of up to eight ratios.

    Steps at the resolution of the arithmetic say nothing and are left out; NaN before there are two others.
    """
    if steps and steps[-1] == 0.0:
        return 0.0
    telling = [step for step in steps[-_MEMORY:] if _NOISE < step < math.inf]
    if len(telling) < 2:
        return math.nan
    return float((telling[-1] / telling[0]) ** (1.0 / (len(telling) - 1)))


def error_estimate(steps: Sequence[float]) -> float:
    """Return step·ρ/(1 − ρ), the distance to the fixed point if the last rounds' rate holds on.

    Infinite if the steps did not shrink, or if there are too few to tell.
    """
    if not steps:
        return math.inf
    if steps[-1] == 0.0 or _rests(steps):
        return steps[-1]
    rate = local_rate(steps)
    return steps[-1] * rate / (1.0 - rate) if rate < 1.0 else math.inf


def settled(steps: Sequence[float], tol: float) -> bool:
    """Return whether the rounds have come to their end.

    Either nothing moves at all, or steps have been below ``tol`` for a while without growing (a cascade that starts
    from an account an ulp below its level begins with steps that small) and the estimated error has come down to
    `ACCURACY`.
    """
    if not steps or steps[-1] == 0.0:
        return bool(steps)
    last = steps[-_CONFIRM:]
    quiet = len(last) == _CONFIRM and all(later <= earlier <= tol for earlier, later in pairwise(last))
    return _rests(steps) or (quiet and error_estimate(steps) <= ACCURACY)


def _rests(steps: Sequence[float]) -> bool:
    """Return whether only rounding has moved for so long that nothing can be growing beneath it."""
    return len(steps) >= _PATIENCE and all(step <= _NOISE for step in steps[-_PATIENCE:])

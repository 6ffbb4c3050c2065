"""The smallest shock that breaks something, in any direction within bounds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from contagion import channels
from contagion.errors import instance, is_number, refuse, whole
from contagion.kernels.inputs import Floats
from contagion.scenario import Scenario
from contagion.sweep.conditions import Condition, parsed
from contagion.sweep.engine import Engine
from contagion.sweep.reverse import ReverseStress, Search, Tried, bisected
from contagion.system import System
from contagion.validate import problems as problems_of
from contagion.validate.scenarios import check_scenario

__all__ = ["reverse_within"]

_WIDTH = 1e-3
"""Largest width of the bracket around the norm, as a share of it."""

_STEP = 0.25
"""First step of the descent, as a share of the box."""


def reverse_within(
    system: System,
    bounds: Mapping[str, tuple[float, float]],
    condition: str | Callable[[pd.Series[float]], bool],
    samples: int = 256,
    seed: int = 0,
    progress: bool = False,
) -> ReverseStress:
    """Return the smallest drops within bounds at which a condition holds: a reverse stress test over a small box.

    Which mixture of falls, each within reason, would break it soonest? Small is the Euclidean norm of log drops.

    Parameters
    ----------
    system : System
        Tables; checked first.
    bounds : mapping of str to (float, float)
        Least and largest drop of each market or asset, 0 ≤ low ≤ high < 1.
    condition : str or callable
        As in `reverse`.
    samples : int
        Directions to try; best a power of two.
    seed : int
        Seed of the directions.
    progress : bool
        Whether to show progress on stderr.

    Returns
    -------
    ReverseStress
        ``scenario`` attains it: solved from zero, and the condition holds there. ``above`` and ``below`` are norms of
        log drops on its ray from the mildest corner of the box. Always an upper bound: another direction may do with
        less.

    Raises
    ------
    InputError
        If system, bounds or another argument is not valid; the message lists every problem.

    Notes
    -----
    Quasi-random directions (Sobol 1967, scrambled) from the mildest corner, after the box's diagonal and edges; on each
    one solve just short of the best norm so far, and bisection to 1e-3 of it where the condition holds there. Then
    pattern search over directions (Hooke and Jeeves 1961) until its step falls below 1e-3. Reverse stress testing as a
    search for the least implausible scenario: Breuer, Jandačka, Rheinberger and Summer 2009.

    Examples
    --------
    Of 100 in A and 1 in B, ten are lost soonest as A falls by about 10 %, a log drop of 0.105:

    >>> import pandas as pd
    >>> import contagion as ct
    >>> deep = {"venue": "x", "price": 1.0, "depth": float("inf")}
    >>> system = ct.System(
    ...     nodes=pd.DataFrame({"node": ["x"]}),
    ...     assets=pd.DataFrame({"asset": ["A", "B"]}),
    ...     markets=pd.DataFrame({"market": ["x:A", "x:B"], "asset": ["A", "B"]}).assign(**deep),
    ...     accounts=pd.DataFrame({"account": ["a"], "platform": "x"}),
    ...     positions=pd.DataFrame({"account": "a", "asset": ["A", "B"], "quantity": [100.0, 1.0]}),
    ... )
    >>> point = reverse_within(system, {"A": (0, 0.5), "B": (0, 0.5)}, "loss >= 10", samples=16)
    >>> point.found, round(point.scenario.shocks["A"], 2), round(point.above, 2)
    (True, 0.1, 0.11)
    """
    wanted = _checked(system, bounds, condition, samples, seed)
    names = sorted(bounds)
    low, high = channels.log_drop(np.array([bounds[name] for name in names], dtype=np.float64)).T
    with tqdm(desc="solves", unit="", disable=not progress) as bar:
        search = Search(Engine.of(system, wanted.measures), wanted, bar)
        corner = search(_norm(low), _imposed(names, low))
        if corner.met:
            return search.result(corner, None, corner.distance > 0.0)
        box, best = _Box(names, low, high - low, search, corner), None
        for direction in _directions(len(names), samples, seed):
            best = box.nearer(direction, best)
        if best is None:
            return search.result(None, None, True)
        best = _descend(box, best)
        return search.result(best.above, best.below, True)


def _norm(drops: Floats) -> float:
    return float(np.sqrt(np.sum(drops * drops)))


def _imposed(names: list[str], drops: Floats) -> Scenario:
    """Return the scenario of some log drops."""
    most = math.nextafter(1.0, 0.0)
    return Scenario(shocks={name: min(float(-np.expm1(-u)), most) for name, u in zip(names, drops, strict=True)})


class _Best(NamedTuple):
    """Shortest ray so far: where the condition holds, and just short of it."""

    above: Tried
    below: Tried
    direction: Floats


class _Box(NamedTuple):
    """Log drops between bounds, on rays from the mildest corner."""

    names: list[str]
    low: Floats
    width: Floats
    search: Search
    corner: Tried

    def at(self, direction: Floats, norm: float) -> Floats:
        """Return the log drops on a ray that have this norm."""
        along = direction * self.width
        a, b, c = np.sum(along**2), np.sum(along * self.low), np.sum(self.low**2) - norm**2
        drops: Floats = self.low + along * ((math.sqrt(max(b * b - a * c, 0.0)) - b) / a)
        return drops

    def end(self, direction: Floats) -> float:
        """Return the norm at which a ray leaves the box."""
        return _norm(self.low + direction * self.width)

    def nearer(self, direction: Floats, best: _Best | None) -> _Best | None:
        """Return the bracket on a ray if the condition holds there at a smaller norm than the best, else the best."""

        def at(norm: float) -> Tried:
            return self.search(norm, _imposed(self.names, self.at(direction, norm)))

        start, end = self.corner.distance, self.end(direction)
        shorter = end if best is None else min(end, best.above.distance * (1.0 - _WIDTH))
        if shorter <= start:
            return best
        above = at(shorter)
        if not above.met:
            return best
        return _Best(*bisected(at, above, self.corner, _WIDTH * shorter), direction)


def _directions(size: int, samples: int, seed: int) -> Floats:
    """Return the diagonal, the edges and quasi-random directions (·, size), each with its largest entry one."""
    from scipy.stats import qmc  # loaded where it is used: it would double the import time of the package

    exponent = max(0, math.ceil(math.log2(samples)))
    drawn = qmc.Sobol(size, rng=np.random.default_rng(seed)).random_base2(exponent)[:samples]
    drawn = drawn[drawn.max(axis=1) > 0.0]
    edges = np.eye(size) if size > 1 else np.zeros((0, size))
    return np.concatenate([np.ones((1, size)), edges, drawn / drawn.max(axis=1)[:, None]])


def _descend(box: _Box, best: _Best) -> _Best:
    """Return the bracket after a pattern search over directions."""
    step = _STEP
    while step > _WIDTH:
        before = best
        for axis in range(len(box.names)):
            for change in (-step, step):
                moved = best.direction.copy()
                moved[axis] = min(1.0, max(0.0, moved[axis] + change))
                if moved.max() > 0.0 and (moved != best.direction).any():
                    best = box.nearer(moved / moved.max(), best) or best
        if best is before:
            step /= 2.0
    return best


def _checked(system: object, bounds: object, condition: object, samples: object, seed: object) -> Condition:
    problems = instance("system", system, System, "a System") + whole("samples", samples, 1) + whole("seed", seed, 0)
    pairs = _pairs(bounds)
    if pairs is None or not pairs:
        problems.append(f"bounds is {bounds!r}; give a mapping of name to (low, high), as {{'BTC': (0, 0.3)}}")
    wrong = [f"{name!r} is {pair!r}" for name, pair in (pairs or {}).items() if not _fits(pair)]
    if wrong:
        problems.append(f"bounds of {', '.join(wrong)}; give two drops (low, high), 0 ≤ low ≤ high < 1")
    wanted = None
    if isinstance(system, System):
        problems += problems_of(system)
        named = Scenario(shocks=dict.fromkeys(pairs or {}, 0.0))
        problems += [found.replace("scenario: shocks", "bounds", 1) for found in check_scenario(system, named)]
        wanted, found = parsed(condition, system)
        problems += found
    refuse(problems, "reverse_within")
    assert wanted is not None
    return wanted


def _pairs(bounds: object) -> dict[str, object] | None:
    return {str(name): pair for name, pair in bounds.items()} if isinstance(bounds, Mapping) else None


def _fits(pair: object) -> bool:
    if not isinstance(pair, tuple | list) or len(pair) != 2 or not all(map(is_number, pair)):
        return False
    return 0.0 <= float(pair[0]) <= float(pair[1]) < 1.0

"""The smallest multiple of a scenario at which the loss jumps."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from contagion.errors import instance, is_number, refuse, whole
from contagion.frozen import HandsOutCopies
from contagion.kernels import State
from contagion.money import usd
from contagion.scenario import Scenario
from contagion.solve import solve
from contagion.stress.order import grows_with_multiple, keeps_order
from contagion.stress.runs import MAX_ROUNDS, Book, under
from contagion.system import System

__all__ = ["TippingPoint", "tipping_point"]

_STEPS = 20

_JUMP = 0.1
"""Rise of the loss that counts as a jump, as a share of the loss of the scenario itself."""


@dataclass(frozen=True, eq=False, repr=False)
class TippingPoint(HandsOutCopies):
    """Where the loss jumps as a scenario grows, if it does; made by `tipping_point`.

    Attributes
    ----------
    found : bool
        Whether the loss jumps anywhere; if not, the four figures below are NaN.
    below, above : float
        Multiples of the scenario just before and just after the jump, at most the accuracy apart.
    loss_below, loss_above : float
        Losses there, USD.
    jump : float
        Rise of the loss that counted as a jump, USD.
    curve : DataFrame
        Every multiple that was solved, in order: multiple, loss and liquidated (USD), rounds, converged.
    """

    found: bool
    below: float
    above: float
    loss_below: float
    loss_above: float
    jump: float
    curve: pd.DataFrame = field(repr=False)

    def __repr__(self) -> str:
        return f"TippingPoint({self})"

    def __str__(self) -> str:
        low, high = self.curve["multiple"].iloc[0], self.curve["multiple"].iloc[-1]
        failed = int((~self.curve["converged"].astype(bool)).sum())
        solves = f"{len(self.curve)} solves" + (f", {failed} of them NOT CONVERGED" if failed else "")
        if (self.curve["loss"] == 0.0).all():
            return f"No tipping point: nothing is lost up to ×{high:g} ({solves})"
        counted = f"{usd(self.jump)} or more"
        if not self.found:
            return f"No tipping point: from ×{low:g} to ×{high:g} the loss never jumps by {counted} ({solves})"
        return (
            f"The scenario tips between ×{self.below:.6g} and ×{self.above:.6g}: the loss jumps by "
            f"{usd(self.loss_above - self.loss_below)}, from {usd(self.loss_below)} to {usd(self.loss_above)} "
            f"(a jump is {counted}; {solves})"
        )


def tipping_point(
    system: System,
    scenario: Scenario,
    between: tuple[float, float] = (0.0, 2.0),
    accuracy: float = 1e-3,
    max_rounds: int = MAX_ROUNDS,
    progress: bool = False,
) -> TippingPoint:
    """Return the smallest multiple of a scenario at which the loss jumps.

    How far is this scenario from one that feeds on itself? Multiples are those of `Scenario.scaled`: log drops of
    shocks grow in proportion. A jump is a rise of the loss, within ``accuracy``, by at least a tenth of the loss of the
    scenario itself (of the largest multiple, if 1 is not in ``between``, or nothing is lost at 1); a loss that is
    merely steep, as many small accounts in a row make it, counts as a jump as well if it is that steep.

    Parameters
    ----------
    system, scenario : System, Scenario
        Tables and what is imposed on them; checked first.
    between : (float, float)
        Multiples between which to look, 0 ≤ low < high.
    accuracy : float
        Largest width of the bracket around the jump.
    max_rounds : int
        Cap on the rounds of each solve; reaching it shows in the curve.
    progress : bool
        Whether to show progress on stderr.

    Returns
    -------
    TippingPoint
        ``below`` and ``above`` with the losses on either side, and the whole curve; ``found`` is False if there is no
        jump.

    Raises
    ------
    InputError
        If system, scenario or arguments are not valid; the message lists every problem.

    Notes
    -----
    Twenty equal steps, then bisection wherever the loss rises by a jump, leftmost first. The loss of a long-only
    system grows with the multiple, so no jump is missed; with shorts one that is undone within a step may be. In
    long-only systems (and without the two links of ``docs/decisions/0008``, depth factors above one, or a changed
    arbitrage factor) each solve sets out from the state at the next smaller multiple, which lies below its least fixed
    point; in all others from zero. A solve that does not converge counts with what it has lost by then, and with an
    infinite loss where prices leave the range of the arithmetic. Losses jump where the least fixed point is lost in a
    fold (Motter and Lai 2002; Gai and Kapadia 2010).

    Examples
    --------
    An account is closed in full once 0.8 × 10 × price < 7.6, when the price is 5 % down: at the multiple
    ln(0.95) / ln(0.9) = 0.4868 of a shock of 10 %.

    >>> import pandas as pd
    >>> import contagion as ct
    >>> system = ct.System(
    ...     nodes=pd.DataFrame({"node": ["x"], "close_rule": "full"}),
    ...     assets=pd.DataFrame({"asset": ["A"]}),
    ...     markets=pd.DataFrame({"market": ["x:A"], "venue": "x", "asset": "A", "price": 1.0, "depth": 2.0}),
    ...     terms=pd.DataFrame({"platform": ["x"], "asset": "A", "weight": 0.8}),
    ...     accounts=pd.DataFrame({"account": ["a"], "platform": "x", "cash": -7.6}),
    ...     positions=pd.DataFrame({"account": ["a"], "asset": "A", "quantity": 10.0}),
    ... )
    >>> point = tipping_point(system, ct.Scenario(shocks={"A": 0.1}))
    >>> point.below < 0.4868 < point.above
    True
    """
    _check(system, scenario, between, accuracy, max_rounds)
    rows: list[_Row] = []
    with tqdm(desc="multiples", unit="", disable=not progress) as bar:

        def report(row: _Row) -> None:
            rows.append(row)
            bar.update()

        low, high = float(between[0]), float(between[1])
        solved = _solver(system, scenario, high, report, max_rounds)
        points: list[_Point] = []
        for multiple in _grid(low, high):
            points.append(solved(multiple, points[-1].state if points else None))
        jump = _JUMP * _reference(points)
        found = _leftmost(points, solved, jump, float(accuracy)) if jump > 0.0 else None
    below, above = found or (_NOWHERE, _NOWHERE)
    curve = pd.DataFrame(rows, columns=list(_Row._fields)).sort_values("multiple", ignore_index=True)
    return TippingPoint(found is not None, below.multiple, above.multiple, below.loss, above.loss, jump, curve)


class _Row(NamedTuple):
    """One multiple in the curve."""

    multiple: float
    loss: float  # USD
    liquidated: float  # USD
    rounds: int
    converged: bool


class _Point(NamedTuple):
    """One multiple in the search."""

    multiple: float
    loss: float  # USD, infinite where prices left the range of the arithmetic
    state: State | None


_Solver = Callable[[float, State | None], _Point]

_NOWHERE = _Point(math.nan, math.nan, None)


def _solver(
    system: System, scenario: Scenario, high: float, report: Callable[[_Row], object], max_rounds: int
) -> _Solver:
    """Return what solves a multiple, given the state at a smaller one."""
    largest = scenario.scaled(high)
    parts = solve(system, largest, max_rounds=1, on_failure="return").parts  # one round: checks, and the arrays
    book = Book.of(parts)
    warm = keeps_order(parts.inputs) and grows_with_multiple(scenario, links=not parts.system.arbitrage.empty)

    def solved(multiple: float, milder: State | None) -> _Point:
        inputs = under(parts.system, parts.labels, parts.inputs, scenario.scaled(multiple))
        run = book.run(inputs, begin=milder if warm else None, max_rounds=max_rounds)
        report(_Row(multiple, run.loss, run.liquidated, run.rounds, run.converged))
        return _Point(multiple, run.loss if math.isfinite(run.loss) else math.inf, run.state)

    return solved


def _grid(low: float, high: float) -> list[float]:
    """Return the multiples of the first pass: equal steps, and the scenario itself."""
    own = [1.0] if low < 1.0 < high else []
    grid: list[float] = np.union1d(np.linspace(low, high, _STEPS + 1), own).tolist()
    return grid


def _reference(points: Sequence[_Point]) -> float:
    """Return the loss that a jump is measured against: of the scenario itself, else of the largest multiple."""
    own = [point.loss for point in points if point.multiple == 1.0 and 0.0 < point.loss < math.inf]
    finite = [point.loss for point in points if point.loss < math.inf]
    return own[0] if own else max(finite[-1:], default=0.0)


def _leftmost(points: Sequence[_Point], solved: _Solver, jump: float, accuracy: float) -> tuple[_Point, _Point] | None:
    """Return the ends of the first interval, as wide as the accuracy at most, over which the loss jumps."""
    waiting = list(pairwise(points))[::-1]  # a stack with the leftmost interval on top
    while waiting:
        left, right = waiting.pop()
        if not right.loss >= left.loss + jump:
            continue
        middle = (left.multiple + right.multiple) / 2.0
        if right.multiple - left.multiple <= accuracy or not left.multiple < middle < right.multiple:
            return left, right
        between = solved(middle, left.state)
        waiting += [(between, right), (left, between)]
    return None


def _check(system: object, scenario: object, between: object, accuracy: object, max_rounds: object) -> None:
    problems = instance("system", system, System, "a System")
    problems += instance("scenario", scenario, Scenario, "the Scenario to multiply")
    pair = tuple(between) if isinstance(between, tuple | list) else ()
    if len(pair) != 2 or not all(map(is_number, pair)) or not 0.0 <= pair[0] < pair[1]:
        problems.append(f"between is {between!r}; give two numbers (low, high), 0 ≤ low < high")
    if not is_number(accuracy):
        problems.append(f"accuracy is {accuracy!r}; give a finite number")
    elif not accuracy > 0.0:
        problems.append(f"accuracy is {accuracy!r}; give a positive width of the bracket")
    problems += whole("max_rounds", max_rounds, 1)
    refuse(problems, "tipping_point")

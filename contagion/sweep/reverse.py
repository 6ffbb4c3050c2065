"""The smallest shock that breaks something, along a scenario's own direction."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import pandas as pd
from tqdm import tqdm

from contagion.errors import instance, is_number, refuse
from contagion.frozen import HandsOutCopies
from contagion.scenario import Scenario
from contagion.stress.order import grows_with_multiple, keeps_order
from contagion.sweep.conditions import Condition, parsed
from contagion.sweep.engine import Engine, Row
from contagion.sweep.sweep import checked_system
from contagion.system import System
from contagion.validate.scenarios import check_scenario

__all__ = ["ReverseStress", "Search", "Tried", "bisected", "check_accuracy", "reverse"]

_STEPS = 8


@dataclass(frozen=True, eq=False, repr=False)
class ReverseStress(HandsOutCopies):
    """The mildest scenario found that meets a condition; made by `reverse` and `reverse_within`.

    Attributes
    ----------
    condition : str
        What was looked for.
    found : bool
        Whether any scenario that was tried meets it; if not, ``scenario`` is None and the distances are NaN.
    scenario, milder : Scenario or None
        One that meets the condition, and one on the same ray, just short of it, that does not (None if the condition
        holds at the near end of the ray already): the certificate.
    above, below : float
        Their distances: multiples of the scenario (`reverse`), or norms of log drops (`reverse_within`).
    measures : DataFrame
        Measures of the condition at both (rows ``below`` and ``above``), each solved from zero.
    upper_bound : bool
        Whether something milder may meet the condition too: always, unless it holds at a distance of zero, or the
        system keeps its order, the scenario grows with its multiple and the measure with both.
    tried : DataFrame
        Every scenario that was solved, in turn: distance, met, converged, rounds and measures.
    """

    condition: str
    found: bool
    scenario: Scenario | None
    milder: Scenario | None
    above: float
    below: float
    upper_bound: bool
    measures: pd.DataFrame = field(repr=False)
    tried: pd.DataFrame = field(repr=False)

    def __repr__(self) -> str:
        failed = int((~self.tried["converged"].astype(bool)).sum())
        solves = f"{len(self.tried)} solves" + (f", {failed} of them NOT CONVERGED" if failed else "")
        if not self.found:
            return f"ReverseStress({self.condition}: met nowhere; {solves})"
        where = "at or below" if self.upper_bound else "at"
        below = "" if math.isnan(self.below) else f", not at {self.below:.6g}"
        return f"ReverseStress({self.condition}: met {where} {self.above:.6g}{below}; {solves})"


class Tried(NamedTuple):
    """One scenario that was solved."""

    distance: float
    scenario: Scenario
    row: Row
    met: bool


class Search:
    """Solves scenarios from zero and keeps what was found."""

    def __init__(self, engine: Engine, condition: Condition, bar: tqdm) -> None:  # type: ignore[type-arg]
        self._engine, self._condition, self._bar = engine, condition, bar
        self.tried: list[Tried] = []

    def __call__(self, distance: float, scenario: Scenario) -> Tried:
        """Return what a scenario comes to."""
        row = self._engine.row(scenario)
        self.tried.append(Tried(distance, scenario, row, self._condition.met(row)))
        self._bar.update()
        return self.tried[-1]

    def result(self, above: Tried | None, below: Tried | None, upper_bound: bool) -> ReverseStress:
        """Return what was found between one that meets the condition and one that does not."""
        ends = {"below": below, "above": above}
        read = {name: self._condition.read(end.row) for name, end in ends.items() if end is not None}
        measures = pd.DataFrame(read, index=list(self._condition.measures)).T.reindex(list(ends))
        return ReverseStress(
            condition=self._condition.text,
            found=above is not None,
            scenario=None if above is None else above.scenario,
            milder=None if below is None else below.scenario,
            above=math.nan if above is None else above.distance,
            below=math.nan if below is None else below.distance,
            upper_bound=upper_bound,
            measures=measures,
            tried=self._table(),
        )

    def _table(self) -> pd.DataFrame:
        head = [(each.distance, each.met, each.row.converged, each.row.rounds) for each in self.tried]
        values = [each.row.values for each in self.tried]
        return pd.concat(
            [
                pd.DataFrame(head, columns=["distance", "met", "converged", "rounds"]),
                pd.DataFrame(values, columns=list(self._condition.measures), dtype="float64"),
            ],
            axis=1,
        )


def reverse(
    system: System,
    scenario: Scenario,
    condition: str | Callable[[pd.Series[float]], bool],
    between: tuple[float, float] = (0.0, 2.0),
    accuracy: float = 1e-3,
    progress: bool = False,
) -> ReverseStress:
    """Return the smallest multiple of a scenario at which a condition holds: a reverse stress test along a ray.

    How much more of this would exhaust Binance's fund?

    Parameters
    ----------
    system, scenario : System, Scenario
        Tables, and the direction: multiples are those of `Scenario.scaled`.
    condition : str or callable
        A measure of `sweep`, a sign and a number ("buffer_left:Binance <= 0" where its fund is exhausted,
        "haircut:Lender A >= 0.1", "price:Curve:USDe < 0.9", "loss > 1e9"), or a function that takes all measures (a
        Series by name, but those of single groups and accounts) and returns True or False.
    between : (float, float)
        Multiples between which to look, 0 ≤ low < high.
    accuracy : float
        Largest width of the bracket.
    progress : bool
        Whether to show progress on stderr.

    Returns
    -------
    ReverseStress
        The bracket: ``above`` meets the condition, ``below`` does not, with the measures on either side.

    Raises
    ------
    InputError
        If system, scenario or another argument is not valid; the message lists every problem. So is a function that
        asks for a measure that is not there, or returns anything else, as soon as it does.

    Notes
    -----
    Reverse stress testing: which shock breaks it, rather than what a shock breaks (Breuer, Jandačka, Rheinberger and
    Summer 2009). Bisection. Where the condition holds under all that is worse (long-only systems,
    ``docs/decisions/0008``; measures that only grow) the bracket holds the smallest multiple; in all others eight equal
    steps come first, bisection follows below the first that meets the condition, and the answer is an upper bound.
    Where no fixed point was found nothing is known, and the condition counts as not met.

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
    >>> point = reverse(system, ct.Scenario(shocks={"A": 0.1}), "liquidated > 0")
    >>> point.below < 0.4868 <= point.above, point.upper_bound
    (True, False)
    """
    changed, wanted = _checked(system, scenario, condition, between, accuracy)
    engine = Engine.of(changed, wanted.measures)
    low, high = float(between[0]), float(between[1])
    ordered = (
        wanted.grows
        and grows_with_multiple(scenario, links=not changed.arbitrage.empty)
        and keeps_order(engine.overlay.under(scenario.scaled(high)))
    )
    with tqdm(desc="multiples", unit="", disable=not progress) as bar:
        search = Search(engine, wanted, bar)

        def at(multiple: float) -> Tried:
            return search(multiple, scenario.scaled(multiple))

        below = at(low)
        if below.met:
            return search.result(below, None, low > 0.0)
        for step in [high] if ordered else [low + (high - low) * k / _STEPS for k in range(1, _STEPS + 1)]:
            above = at(step)
            if above.met:
                return search.result(*bisected(at, above, below, accuracy), not ordered)
            below = above
        return search.result(None, None, not ordered)


def bisected(at: Callable[[float], Tried], above: Tried, below: Tried, width: float) -> tuple[Tried, Tried]:
    """Return two at most so far apart, the first of which meets the condition, and the second does not."""
    while above.distance - below.distance > width:
        middle = at((below.distance + above.distance) / 2.0)
        if not below.distance < middle.distance < above.distance:
            break  # there is no number between them
        below, above = (below, middle) if middle.met else (middle, above)
    return above, below


def _checked(
    system: object, scenario: object, condition: object, between: object, accuracy: object
) -> tuple[System, Condition]:
    problems = instance("system", system, System, "a System")
    problems += instance("scenario", scenario, Scenario, "the Scenario to multiply")
    pair = tuple(between) if isinstance(between, tuple | list) else ()
    if len(pair) != 2 or not all(map(is_number, pair)) or not 0.0 <= pair[0] < pair[1]:
        problems.append(f"between is {between!r}; give two numbers (low, high), 0 ≤ low < high")
    problems += check_accuracy(accuracy)
    wanted = None
    if isinstance(system, System):
        overrides = scenario.overrides if isinstance(scenario, Scenario) else ()
        system, found = checked_system(system, overrides)
        wanted, wrong = parsed(condition, system)
        problems += found + wrong
        problems += check_scenario(system, scenario) if isinstance(scenario, Scenario) else []
    refuse(problems, "reverse")
    assert isinstance(system, System)
    assert wanted is not None
    return system, wanted


def check_accuracy(accuracy: object) -> list[str]:
    """Return what is wrong with the width of a bracket."""
    fits = is_number(accuracy) and accuracy > 0.0
    return [] if fits else [f"accuracy is {accuracy!r}; give a positive width of the bracket"]

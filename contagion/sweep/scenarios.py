"""Many scenarios as one plan: a list, or a grid of what varies around a base."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast, overload

import pandas as pd

from contagion.errors import instance, numbers, refuse
from contagion.frozen import HandsOutCopies
from contagion.scenario import Scenario

__all__ = ["Grid", "Listed", "Plan", "grid", "listed"]


class Plan(Sequence[Scenario]):
    """Scenarios by number, and what tells them apart."""

    @property
    def parameters(self) -> pd.DataFrame:
        """One row a scenario, one column for each thing that varies."""
        raise NotImplementedError

    @property
    def line(self) -> int:
        """How many scenarios in a row differ in one thing alone; 1 if that says nothing."""
        return 1

    @overload
    def __getitem__(self, number: int) -> Scenario: ...
    @overload
    def __getitem__(self, number: slice) -> list[Scenario]: ...
    def __getitem__(self, number: int | slice) -> Scenario | list[Scenario]:
        if isinstance(number, slice):
            return [self.scenario(each) for each in range(*number.indices(len(self)))]
        if not -len(self) <= number < len(self):
            raise IndexError(f"scenario {number} of {len(self)}")
        return self.scenario(number % len(self))

    def __iter__(self) -> Iterator[Scenario]:
        return (self.scenario(number) for number in range(len(self)))

    def scenario(self, number: int) -> Scenario:
        """Return one scenario, counted from 0."""
        raise NotImplementedError

    def name(self, number: int, /) -> str:
        """Return the name of one scenario."""
        return self.scenario(number).name


@dataclass(frozen=True, eq=False)
class Listed(Plan):
    """Scenarios one by one."""

    scenarios: tuple[Scenario, ...]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.scenarios)

    def scenario(self, number: int) -> Scenario:
        """Return one scenario, counted from 0."""
        return self.scenarios[number]

    def name(self, number: int) -> str:
        """Return the name that it was given under, or its own."""
        return self.names[number]

    @property
    def parameters(self) -> pd.DataFrame:
        """No column: nothing says what scenarios of a list have in common."""
        return pd.DataFrame(index=pd.RangeIndex(len(self.scenarios)))


@dataclass(frozen=True, eq=False, repr=False)
class Grid(HandsOutCopies, Plan):
    """Scenarios in which several numbers vary around a base, each with each; made by `grid`.

    A sequence: ``len(grid)``, ``grid[3]`` and loops give `Scenario` objects.

    Attributes
    ----------
    base : Scenario
        What they have in common.
    axes : mapping of str to tuple of float
        Values of each number that varies ("shocks:BTC", "depth:Binance", "losses:fund", "arbitrage"); the last varies
        fastest.
    """

    base: Scenario
    axes: Mapping[str, tuple[float, ...]]

    def __repr__(self) -> str:
        return (
            f"Grid({len(self)} scenarios: {', '.join(f'{key} × {len(values)}' for key, values in self.axes.items())})"
        )

    def __len__(self) -> int:
        return math.prod(map(len, self.axes.values()))

    @property
    def line(self) -> int:
        """How many scenarios in a row differ along the last axis alone."""
        return len(list(self.axes.values())[-1]) if self.axes else 1

    @cached_property
    def parameters(self) -> pd.DataFrame:
        """One row a scenario, one column an axis."""
        return pd.DataFrame(list(itertools.product(*self.axes.values())), columns=list(self.axes), dtype="float64")

    def scenario(self, number: int) -> Scenario:
        """Return one scenario, counted from 0."""
        changed: dict[str, Any] = {part: dict(getattr(self.base, part)) for part in ("shocks", "depth", "losses")}
        for axis, values in reversed(list(self.axes.items())):
            number, place = divmod(number, len(values))
            part, colon, name = axis.partition(":")
            if colon:
                changed[part][name] = values[place]
            else:
                changed[part] = values[place]
        return replace(self.base, **changed)


def grid(
    base: Scenario | None = None,
    shocks: Mapping[str, Sequence[float]] | None = None,
    depth: Mapping[str, Sequence[float]] | None = None,
    losses: Mapping[str, Sequence[float]] | None = None,
    arbitrage: Sequence[float] | None = None,
) -> Grid:
    """Return the scenarios in which several numbers vary around a base, each with each, for `contagion.sweep`.

    Parameters
    ----------
    base : Scenario, optional
        What they have in common; numbers that vary replace its own. By default nothing.
    shocks, depth, losses : mapping of str to sequence of float, optional
        Drops by market or asset, factors by market, venue or asset, USD by node, as in `Scenario`.
    arbitrage : sequence of float, optional
        Factors on every link.

    Returns
    -------
    Grid
        Arbitrage varies slowest, then losses, depth and shocks, each in the order given. In long-only systems, lines
        along the last axis are cheapest if they grow worse.

    Raises
    ------
    InputError
        If something is not a list of numbers in its range; names are checked once the system is known.

    Examples
    --------
    >>> plan = grid(shocks={"BTC": [0.1, 0.2], "ETH": [0.0, 0.1, 0.3]}, arbitrage=[1, 0])
    >>> plan
    Grid(12 scenarios: arbitrage × 2, shocks:BTC × 2, shocks:ETH × 3)
    >>> plan[5]
    Scenario(shocks={'BTC': 0.2, 'ETH': 0.3})
    >>> plan.parameters.iloc[6].tolist()
    [0.0, 0.1, 0.0]
    """
    problems = instance("base", base, (Scenario, type(None)), "a Scenario, or None for none")
    axes: dict[str, tuple[float, ...]] = {}
    if arbitrage is not None:
        problems += _axis(axes, "arbitrage", arbitrage)
    for part, given in (("losses", losses), ("depth", depth), ("shocks", shocks)):
        checked: object = given
        if not isinstance(checked, Mapping | None):
            problems.append(f"{part} is {given!r}; give a mapping of name to a list of numbers")
            continue
        nameless = [name for name in given or {} if not isinstance(name, str) or not name]
        if nameless:
            problems.append(
                f"{part} has the {'keys' if nameless[1:] else 'key'} {', '.join(map(repr, nameless))}; {_KEYS}"
            )
        for name, values in (given or {}).items():
            problems += _axis(axes, f"{part}:{name}", values)
    refuse(problems, "grid")
    return Grid(Scenario() if base is None else base, axes)


_KEYS = "give names as text that is not empty"


def _axis(axes: dict[str, tuple[float, ...]], name: str, values: object) -> list[str]:
    """Write an axis, and return what is wrong with its values."""
    drops = name.startswith("shocks:")
    found = numbers(
        name,
        values,
        (lambda value: 0.0 <= value < 1.0) if drops else (lambda value: value >= 0.0),
        "drops of at least 0 and below 1" if drops else "finite numbers of at least 0",
    )
    if not found:
        axes[name] = tuple(float(value) for value in cast(Collection[float], values))
    return found


def listed(given: object) -> tuple[Plan | None, list[str]]:
    """Return what was given as a plan, and what is wrong with it."""
    if isinstance(given, Plan):
        return (given, []) if len(given) else (None, ["scenarios is an empty plan; give at least one scenario"])
    wanted = "a list or mapping of Scenario, a grid, or draws"
    if isinstance(given, Scenario):
        return None, [f"scenarios is a single Scenario; give {wanted}, here [scenario]"]
    if isinstance(given, str) or not isinstance(given, Sequence | Mapping):
        return None, [f"scenarios is a {type(given).__name__}; give {wanted}"]
    if not given:
        return None, ["scenarios is empty; give at least one"]
    each = list(given.values()) if isinstance(given, Mapping) else list(given)
    wrong = [number for number, one in enumerate(each) if not isinstance(one, Scenario)]
    if wrong:
        shown = ", ".join(f"number {number} is a {type(each[number]).__name__}" for number in wrong[:5])
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        return None, [f"scenarios: {shown}{more}; give {wanted}"]
    names = [str(key) for key in given] if isinstance(given, Mapping) else [one.name for one in each]
    return Listed(tuple(each), tuple(names)), []

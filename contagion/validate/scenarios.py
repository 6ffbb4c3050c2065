"""The rules for scenarios: names that the system knows, numbers that make sense."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import pandas as pd

from contagion.scenario import Scenario
from contagion.system import System
from contagion.validate.table import SHOWN, suggestion

__all__ = ["check_scenario"]


def check_scenario(system: System, scenario: Scenario) -> list[str]:
    """Return unknown names and impossible numbers of a scenario, its overrides apart."""
    markets = system.markets
    traded = (markets["market"], system.assets["asset"])
    return [
        *_check_names("shocks", scenario.shocks, "a market or an asset", *traded),
        *_check_names("depth", scenario.depth, "a market, a venue or an asset", *traded, system.nodes["node"]),
        *_check_names("losses", scenario.losses, "a node", system.nodes["node"]),
        *_check_values("shocks", scenario.shocks, _is_drop, "a drop of at least 0 and below 1"),
        *_check_values("depth", scenario.depth, _is_amount, "a finite factor of at least 0"),
        *_check_values("losses", scenario.losses, _is_amount, "a finite number of at least 0 (USD)"),
        *_check_arbitrage(scenario.arbitrage),
    ]


def _is_drop(value: float) -> bool:
    return 0.0 <= value < 1.0


def _is_amount(value: float) -> bool:
    return 0.0 <= value < math.inf


def _check_names(part: str, entries: Mapping[str, float], what: str, *lists: pd.Series[str]) -> list[str]:
    known: set[str] = set()
    for names in lists if entries else ():
        known.update(names[names.isin(list(entries))])  # the few are hashed and the many looked at, not the reverse
    unknown = [name for name in entries if name not in known]
    if not unknown:
        return []
    listed = pd.concat([names.drop_duplicates() for names in lists])
    named = ", ".join(f"{name!r}{suggestion(name, listed)}" for name in unknown[:SHOWN])
    return [f"scenario: {part} of {named}{_more(unknown)}: not {what}; mend the name, or drop it"]


def _check_values(part: str, entries: Mapping[str, float], fits: Callable[[float], bool], what: str) -> list[str]:
    wrong = [f"{name!r} is {value!r}" for name, value in entries.items() if not fits(value)]
    return [f"scenario: {part} of {', '.join(wrong[:SHOWN])}{_more(wrong)}; give {what}"] if wrong else []


def _check_arbitrage(factor: float) -> list[str]:
    if _is_amount(factor):
        return []
    return [f"scenario: arbitrage is {factor!r}; give a finite factor of at least 0 (0 halts transfers)"]


def _more(found: list[str]) -> str:
    return f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""

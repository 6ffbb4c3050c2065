"""What a sweep writes down of each scenario: totals by name, or a figure of one market, node, platform or group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np

from contagion import holdings
from contagion.arrays import Labels
from contagion.attribution.target import check_target
from contagion.errors import texts
from contagion.kernels import Inputs
from contagion.kernels.inputs import Ints
from contagion.schema import near_misses
from contagion.stress.ending import Ending
from contagion.system import System

__all__ = ["TOTALS", "Reader", "check_everywhere", "check_measures", "every_measure", "members"]

TOTALS = (
    "loss",
    "account_loss",
    "buffer_loss",
    "outside_loss",
    "gains",
    "hidden",
    "hidden_bad_debt",
    "liquidated",
    "deficit",
    "funded",
)
"""Names in ``Solution.totals``."""

_MARKET, _ACCOUNTS = ("price", "drop"), ("equity",)
_NODE = ("haircut", "loss", "buffer_left", "liquidated", "deficit")
_KINDS = (*_MARKET, *_NODE, *_ACCOUNTS)

_SHOWN = 5
"""Scenarios that are named for each measure."""


class Reader(NamedTuple):
    """Which number of an ending each measure is."""

    measures: tuple[str, ...]
    places: tuple[tuple[str, int | None], ...]  # field and place in it; none for totals

    @classmethod
    def of(cls, measures: tuple[str, ...], labels: Labels) -> Reader:
        """Return the reader of measures that have been checked."""
        groups = [name for name in measures if name.startswith("equity:")]
        places: list[tuple[str, int | None]] = []
        for measure in measures:
            kind, _, name = measure.partition(":")
            if measure in TOTALS:
                places.append((measure, None))
            elif kind in _ACCOUNTS:
                places.append((kind, groups.index(measure)))
            else:
                index = labels.markets if kind in _MARKET else labels.nodes
                # raises where get_indexer has −1, which would be the last place
                places.append((kind, cast(int, index.get_loc(name))))
        return cls(measures, tuple(places))

    def read(self, ending: Ending) -> tuple[float, ...]:
        """Return the measures of an ending."""
        return tuple(
            ending.totals[field] if place is None else float(getattr(ending, field)[place])
            for field, place in self.places
        )

    @property
    def looks_at_accounts(self) -> bool:
        """Whether any measure needs more than prices and haircuts."""
        return any(field not in (*_MARKET, "haircut") for field, _ in self.places)


def check_measures(measures: object, system: System) -> list[str]:
    """Return what is wrong with a list of measures.

    Examples
    --------
    >>> from contagion import datasets
    >>> system, _ = datasets.load("october_2025")
    >>> check_measures(["los"], system)
    ["measure 'los' is not known (did you mean 'loss' or 'loss:…'?); give a total ('loss', 'account_loss', ..."]
    >>> check_measures(["price:Binance:BTX"], system)
    ["measure 'price:Binance:BTX': 'Binance:BTX' is not a market (did you mean 'Binance:BTC' or 'Binance:WBETH'?)"]
    """
    problems, given = _given(measures)
    return problems + [problem for measure in given for problem in _check(measure, system)]


def check_everywhere(measures: object, system: System, changed: Sequence[tuple[str, System]]) -> list[str]:
    """Return what is wrong with a list of measures in what overrides make of a system, each with a scenario's name.

    A measure that is wrong in the system itself and in all of them is told once, without a name.
    """
    problems, given = _given(measures)
    for measure in given:
        wrong = [(where, found) for where, each in changed if (found := _check(measure, each))]
        if len(wrong) == len(changed) and (everywhere := _check(measure, system)):
            problems += everywhere
            continue
        problems += [f"{where}: {problem}" for where, found in wrong[:_SHOWN] for problem in found]
        if len(wrong) > _SHOWN:
            problems.append(f"measure {measure!r}: {len(wrong) - _SHOWN} more sets of overrides leave it unknown")
    return problems


def _given(measures: object) -> tuple[list[str], list[str]]:
    """Return what is wrong with a list of measures in itself, and what it holds if that is nothing."""
    problems = texts("measures", measures, "measures")
    if isinstance(measures, set | frozenset):
        problems.append("measures is a set, which has no order; give a list")
    if problems:
        return problems, []
    given: list[str] = list(dict.fromkeys(measures))  # type: ignore[call-overload]  # texts, as checked
    return ([], given) if given else (["measures is empty; give at least one, as ['loss']"], [])


def _check(measure: str, system: System) -> list[str]:
    kind, colon, name = measure.partition(":")
    if measure in TOTALS:
        return []
    if kind not in _KINDS or not colon:
        near = near_misses(measure if not colon else kind, [*TOTALS, *(f"{each}:…" for each in _KINDS)])
        totals = ", ".join(map(repr, TOTALS))
        return [
            f"measure {measure!r} is not known{near}; give a total ({totals}) or 'price:…', 'drop:…' (a market), "
            "'haircut:…', 'loss:…', 'buffer_left:…', 'liquidated:…', 'deficit:…' (a node), 'equity:…' (an account, a "
            "group, or a group on a platform)"
        ]
    if kind in _ACCOUNTS:
        return [problem.replace("target", "measure", 1) for problem in check_target(measure, system)]
    known = system.markets["market"] if kind in _MARKET else system.nodes["node"]
    if (known == name).any():
        return []
    what = "a market" if kind in _MARKET else "a node"
    return [f"measure {measure!r}: {name!r} is not {what}{near_misses(name, list(known))}"]


def every_measure(system: System) -> tuple[str, ...]:
    """Return all measures of a system but those of single groups and accounts."""
    markets, nodes = sorted(system.markets["market"]), sorted(system.nodes["node"])
    by_market = (f"{kind}:{name}" for kind in _MARKET for name in markets)
    by_node = (f"{kind}:{name}" for kind in _NODE for name in nodes)
    return (*TOTALS, *by_market, *by_node)


def members(measures: tuple[str, ...], system: System, inputs: Inputs, labels: Labels) -> tuple[Ints, ...]:
    """Return the accounts that each "equity:…" stands for."""
    names = [measure.partition(":")[2] for measure in measures if measure.startswith("equity:")]
    if not names:
        return ()
    grouped, accounts = holdings.groups(system, inputs, labels), np.asarray(labels.accounts)
    return tuple(
        np.flatnonzero(
            np.asarray((grouped.names == name) | (grouped.group == name))[grouped.member] | (accounts == name)
        )
        for name in names
    )

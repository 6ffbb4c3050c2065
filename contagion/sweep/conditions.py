"""What must not happen, in words: "buffer_left:Binance <= 0", "price:Curve:USDe < 0.9", "loss > 1e9"."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

from contagion.errors import InputError
from contagion.schema import near_misses
from contagion.sweep.engine import Row
from contagion.sweep.measures import check_measures, every_measure
from contagion.system import System

__all__ = ["Condition", "parsed"]

_WORDS = re.compile(r"^\s*(?P<measure>.+?)\s*(?P<sign>>=|<=|>|<)\s*(?P<number>\S+)\s*$")
_SIGNS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
_FALLS = ("price", "buffer_left")
_RISES = ("loss", "account_loss", "buffer_loss", "outside_loss", "liquidated", "deficit", "haircut", "drop")


class Condition(NamedTuple):
    """A test of the measures of a scenario."""

    text: str
    measures: tuple[str, ...]
    holds: Callable[[pd.Series[float]], bool]
    grows: bool  # whether it holds under all that is worse, in systems that keep their order

    def met(self, row: Row) -> bool:
        """Return whether the condition holds; where no fixed point was found, nothing is known to hold."""
        return row.converged and bool(self.holds(self.read(row)))

    def read(self, row: Row) -> pd.Series[float]:
        """Return the measures by name."""
        return pd.Series(dict(zip(self.measures, row.values, strict=True)), dtype="float64")


def parsed(given: object, system: System) -> tuple[Condition | None, list[str]]:
    """Return a condition and what is wrong with it.

    Examples
    --------
    >>> from contagion import datasets
    >>> parsed("price:Binance:BTX <= 0.9", datasets.load("october_2025")[0])[1]
    ["condition: measure 'price:Binance:BTX': 'Binance:BTX' is not a market (did you mean 'Binance:BTC' or ..."]
    """
    if callable(given):
        name = getattr(given, "__name__", repr(given))
        return Condition(name, every_measure(system), _told(given, name), False), []
    if not isinstance(given, str):
        return None, [f"condition is {given!r}; {_CURE}"]
    found = _WORDS.match(given)
    number = _number(found["number"]) if found else math.nan
    if found is None or not math.isfinite(number):
        return None, [f"condition {given!r} cannot be read; {_CURE}"]
    measure, sign = found["measure"], found["sign"]
    problems = [f"condition: {problem}" for problem in check_measures([measure], system)]
    kind, compare = measure.partition(":")[0], _SIGNS[sign]
    grows = kind in (_RISES if sign in (">", ">=") else _FALLS)
    return Condition(given, (measure,), lambda row: bool(compare(row[measure], number)), grows), problems


def _told(function: Callable[[pd.Series[float]], object], name: str) -> Callable[[pd.Series[float]], bool]:
    """Return a function of a row that tells what is wrong with the one given, where it first shows."""

    def holds(row: pd.Series[float]) -> bool:
        try:
            found = function(row)
        except KeyError as error:
            asked = str(error.args[0]) if error.args else ""
            near = near_misses(asked, map(str, row.index))
            raise InputError(
                f"condition {name}: it failed with KeyError {error}{near}; the row holds totals ('loss', …), 'price:…' "
                "and 'drop:…' of markets, and 'haircut:…', 'loss:…', 'buffer_left:…', 'liquidated:…', 'deficit:…' of "
                "nodes"
            ) from error
        if not isinstance(found, bool | np.bool_):
            raise InputError(
                f"condition {name}: it returned a {type(found).__name__}; return True or False, as "
                "lambda row: row['loss'] > 1e9"
            )
        return bool(found)

    return holds


_CURE = "give a measure, a sign and a number, as 'loss > 1e9' or 'buffer_left:Binance <= 0', or a function of a row"


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return math.nan

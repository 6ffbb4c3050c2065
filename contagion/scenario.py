"""What happens to a system: shocks, thinner markets, halted transfers, losses and changed cells."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from contagion import schema
from contagion.errors import InputError
from contagion.override import Override, is_number
from contagion.system import System

__all__ = ["Override", "Scenario", "read_scenario"]

_LARGEST = 709.0
"""Logarithm of about the largest number there is."""

_KEYS = ("name", "description", "arbitrage", "shocks", "depth", "losses", "override")


@dataclass(frozen=True)
class Scenario:
    """Return a scenario: everything that is imposed on a system from outside.

    Parameters
    ----------
    shocks : mapping of str to float
        Drop of a reference price, as a share of it (0 ≤ drop < 1), by market or asset; a market's own entry wins over
        its asset's.
    depth : mapping of str to float
        Factor (≥ 0) on market depth by market, venue or asset; all entries that apply multiply.
    arbitrage : float
        Factor (≥ 0) on the depth of every arbitrage link; 0 halts transfers between venues.
    losses : mapping of str to float
        External write-offs in USD by node.
    overrides : sequence of Override
        Changed cells of the tables, applied in order before anything else.
    name, description : str
        For titles and reports.

    Examples
    --------
    >>> Scenario(shocks={"BTC": 0.12}, arbitrage=0.1)
    Scenario(shocks={'BTC': 0.12}, arbitrage=0.1)
    """

    shocks: Mapping[str, float] = field(default_factory=dict)
    depth: Mapping[str, float] = field(default_factory=dict)
    arbitrage: float = 1.0
    losses: Mapping[str, float] = field(default_factory=dict)
    overrides: tuple[Override, ...] = ()
    name: str = ""
    description: str = ""

    def __post_init__(self) -> None:
        problems = []
        for part in ("shocks", "depth", "losses"):
            given = getattr(self, part)
            if not isinstance(given, Mapping):
                problems.append(f"scenario: {part} is {given!r}; give a mapping of name to number")
                continue
            problems += [
                f"scenario: {part}[{k!r}] is {v!r}; give a number" for k, v in given.items() if not is_number(v)
            ]
            numbers = {str(key): float(value) for key, value in given.items() if is_number(value)}
            object.__setattr__(self, part, dict(sorted(numbers.items())))
        overrides, wrong = _overrides(self.overrides)
        object.__setattr__(self, "overrides", overrides)
        problems += wrong
        if not is_number(self.arbitrage):
            problems.append(f"scenario: arbitrage is {self.arbitrage!r}; give a factor of at least 0")
        problems += [
            f"scenario: {part} is {getattr(self, part)!r}; give text"
            for part in ("name", "description")
            if not isinstance(getattr(self, part), str)
        ]
        if problems:
            raise InputError(problems, "scenario")

    def __repr__(self) -> str:
        parts = {"name": "", "shocks": {}, "depth": {}, "arbitrage": 1.0, "losses": {}, "overrides": ()}
        shown = (f"{part}={getattr(self, part)!r}" for part, usual in parts.items() if getattr(self, part) != usual)
        return f"Scenario({', '.join(shown)})"

    def scaled(self, multiple: float) -> Scenario:
        """Return the scenario so many times as strong.

        Log drops of shocks and losses are multiplied, factors on depth and arbitrage raised to the power: twice a shock
        is the same shock twice in a row. Overrides are structure and stay.

        Parameters
        ----------
        multiple : float
            t ≥ 0: a drop s becomes 1 − (1 − s)^t, a factor f becomes f^t, a loss becomes t times as large. 0 imposes
            nothing, 1 the scenario itself. A drop that comes to 1 within rounding stays the last number below it.

        Raises
        ------
        InputError
            If ``multiple`` is not a finite number of at least 0, or the scenario holds numbers that cannot be scaled:
            drops outside 0 ≤ drop < 1, negative factors, factors that grow beyond all numbers.

        Examples
        --------
        >>> twice = Scenario(shocks={"BTC": 0.1}, depth={"Binance": 0.5}, losses={"fund": 1e6}).scaled(2)
        >>> round(twice.shocks["BTC"], 12), twice.depth["Binance"], twice.losses["fund"]
        (0.19, 0.25, 2000000.0)
        """
        problems = self._not_scalable(multiple)
        if problems:
            raise InputError(problems, "scaled scenario")
        if multiple == 1.0:
            return self  # and not a shock that is an ulp off
        return replace(
            self,
            shocks={name: _drop_scaled(drop, multiple) for name, drop in self.shocks.items()},
            depth={name: float(factor**multiple) for name, factor in self.depth.items()},
            arbitrage=float(self.arbitrage**multiple),
            losses={name: float(multiple * loss) for name, loss in self.losses.items()},
        )

    def _not_scalable(self, multiple: Any) -> list[str]:
        if not is_number(multiple) or not 0.0 <= multiple < math.inf:
            return [f"multiple is {multiple!r}; give a finite number of at least 0"]
        problems = [
            f"scenario: shocks of {name!r} is {drop!r}; only a drop of at least 0 and below 1 can be scaled"
            for name, drop in self.shocks.items()
            if not 0.0 <= drop < 1.0
        ]
        factors = [(f"depth of {name!r}", factor) for name, factor in self.depth.items()]
        return problems + [
            f"scenario: {what} is {factor!r}; only a factor of at least 0 can be scaled, as long as it stays finite"
            for what, factor in [*factors, ("arbitrage", self.arbitrage)]
            if not (factor == 0.0 or (factor > 0.0 and multiple * math.log(factor) < _LARGEST))
        ]

    def apply(self, system: System) -> System:
        """Return the system with the overrides applied, in order.

        Raises
        ------
        InputError
            If any cannot be; the message lists every one of them.
        """
        problems: list[str] = []
        for override in self.overrides:
            try:
                system = override.apply(system)
            except InputError as error:
                problems += error.problems
        if problems:
            raise InputError(problems, "overrides")
        return system


def read_scenario(path: str | Path) -> Scenario:
    """Return the scenario of a TOML file.

    ``name``, ``description`` and ``arbitrage`` stand at top level, then the tables ``[shocks]``, ``[depth]`` and
    ``[losses]``, and any number of ``[[override]]`` with ``table``, ``where`` and ``set``. Keys with a colon are
    quoted.

    Raises
    ------
    InputError
        If the file cannot be read, is not TOML, or holds unknown keys.
    """
    path = Path(path)
    try:
        raw = tomllib.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file; give a scenario in TOML") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: not a readable TOML file: {error}; quote keys that hold a colon") from None
    problems = [
        f"{path}: unknown key {k!r}{schema.near_misses(k, _KEYS)}; allowed: {', '.join(_KEYS)}"
        for k in raw
        if k not in _KEYS
    ]
    overrides = raw.pop("override", [])
    for number, entry in enumerate(overrides if isinstance(overrides, list) else [overrides], start=1):
        if not _is_override(entry):
            problems.append(
                f"{path}: override {number} must hold exactly a table, and what to look for and to change: "
                "table = '…', where = { column = value }, set = { column = value }"
            )
    if problems:
        raise InputError(problems, str(path))
    return Scenario(**raw, overrides=tuple(Override(**entry) for entry in overrides))


def _drop_scaled(drop: float, multiple: float) -> float:
    """Return 1 − (1 − drop)^multiple with all its digits, and below one."""
    return min(-math.expm1(multiple * math.log1p(-drop)), math.nextafter(1.0, 0.0)) + 0.0  # no negative zero


def _is_override(entry: Any) -> bool:
    if not isinstance(entry, dict) or set(entry) != {"table", "where", "set"}:
        return False
    return isinstance(entry["table"], str) and isinstance(entry["where"], dict) and isinstance(entry["set"], dict)


def _overrides(given: Any) -> tuple[tuple[Override, ...], list[str]]:
    """Return the overrides of a scenario, and what is wrong with them; None is no override."""
    if given is None:
        return (), []
    hint = "give a sequence of Override(table, where, set)"
    if isinstance(given, Override):
        return (), [f"scenario: overrides is a single Override; {hint}, here [Override(…)]"]
    if isinstance(given, str | Mapping) or not isinstance(given, Iterable):
        return (), [f"scenario: overrides is {given!r}; {hint}"]
    entries = tuple(given)
    wrong = [entry for entry in entries if not isinstance(entry, Override)]
    return entries, [f"scenario: override {entry!r} is not an Override; {hint}" for entry in wrong]

"""What is said between the whole and its parts; small, and ready to be sent to another machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from contagion.kernels.inputs import Floats, Ints
from contagion.system import System

__all__ = ["Acted", "Broadcast", "Ending", "Lost", "Plan"]


class Plan(NamedTuple):
    """What every part has to know of the system as a whole; a few small tables."""

    folder: Path
    parts: tuple[str, ...]  # names of their files
    small: System  # tables that do not stand in parts, with the overrides of the scenario
    accounts: int  # in all parts
    known: tuple[str, ...] = ()  # problems of the small tables, with which no part is packed
    seals: Sequence[tuple[str, ...]] = ()  # by part, once they are packed; see `contagion.parts.seal`


class Broadcast(NamedTuple):
    """What all parts are told of the prices and haircuts of a round: a few numbers for each term column and node."""

    values: Floats  # (k, 6) what a unit adds to each line; see `contagion.kernels.accounts.unit_values`
    surplus: Floats  # (2, k) and to the surplus at the liquidation and at the call level
    recovery: Floats  # (n,) of claims
    everybody: bool  # whether all accounts have to be looked at: a price has doubled, beyond the guard for rounding


class Acted(NamedTuple):
    """What the accounts of a part did in a round, added up in each chunk (c,)."""

    closed: Floats  # (c, k') units of each of its term columns
    deficits: Floats  # (c, n) USD
    owned: Floats  # (c, n) lost by the accounts that nodes own, USD
    moved: Floats  # (c,) largest move of λ
    counts: Ints  # (c, 3) accounts that are called, that have sold, and that were evaluated
    quoting: Floats  # (q,) equity of accounts that quote, USD
    closing: Floats  # (q,) their liquidated share


class Lost(NamedTuple):
    """What the accounts of a part have lost where the rounds ended, added up in each chunk, USD."""

    dollars: Floats  # (c, 5) account losses, gains, hidden losses, hidden bad debt, funds received
    deficits: Floats  # (c, n)
    liquidated: Floats  # (c, n) at opening prices
    owned: Floats  # (c, n)


class Ending(NamedTuple):
    """Prices and haircuts where the rounds ended."""

    price: Floats  # (m,) USD per unit
    average: Floats  # (m,) of sellers
    haircut: Floats  # (n,)

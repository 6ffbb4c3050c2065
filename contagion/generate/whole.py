"""A synthetic system in memory."""

from __future__ import annotations

import numpy as np

from contagion.errors import InputError
from contagion.generate.draws import MAKER, accounts_of, book_of, depth_of, draw_sizes, funding_of, names_of, quotes_of
from contagion.generate.rules import claims, fall, rules
from contagion.kernels.inputs import sum_by
from contagion.scenario import Scenario
from contagion.system import System

__all__ = ["system", "whole_number"]


def system(accounts: int = 1_000, assets: int = 20, seed: int = 0, shorts: bool = True) -> tuple[System, Scenario]:
    """Return a synthetic system and a scenario that liquidates a part of it.

    Two lending protocols hold borrowers with one to three collaterals against a dollar debt; three exchanges hold
    traders of perps and market makers with unified accounts, whose quotes are half of the markets' depth. Sizes are
    Pareto (tail index 1.2), popularity of assets is Zipf, and depth grows with what is held, so that a cascade looks
    alike at any size.

    Parameters
    ----------
    accounts : int
        Number of margin accounts; each has about 2.5 positions.
    assets : int
        Number of assets besides the dollar token.
    seed : int
        Seed of all draws.
    shorts : bool
        Whether some traders are short; without them the system is long-only and its solution a least fixed point.

    Returns
    -------
    (System, Scenario)
        Tables that pass `contagion.validate`, and a market-wide fall.

    Raises
    ------
    InputError
        If there is not at least one account and one asset, or their number is not whole.

    Examples
    --------
    >>> tables, fall = system(accounts=100, assets=5, seed=7)
    >>> len(tables.accounts), len(tables.markets), fall.name
    (100, 16, 'market-wide fall')
    """
    accounts, assets = whole_number("accounts", accounts), whole_number("assets", assets)
    if accounts < 1 or assets < 1:
        raise InputError(f"accounts={accounts}, assets={assets}: give at least one of each")
    rng = np.random.default_rng(seed)
    names = names_of("asset", assets)
    role, size = draw_sizes(rng, accounts)
    book = book_of(rng, role, size, assets, shorts)
    price = np.exp(rng.normal(2.0, 2.0, size=assets))
    account_table, positions = accounts_of(rng, role, book, names_of("a", accounts), (names, price))
    depth = depth_of(sum_by(book.asset, np.abs(book.value), assets))
    tables = {
        **rules(names, price, depth, size.sum()),
        "accounts": account_table,
        "positions": positions,
        "claims": claims(size.sum()),
        "quotes": quotes_of(rng, account_table[role == MAKER], names, depth),
        "funding": funding_of(rng, account_table),
    }
    return System(**tables), fall(names)


def whole_number(name: str, number: float) -> int:
    """Return a count as an integer; 1e6 is one."""
    try:
        whole = int(number)
    except (TypeError, ValueError, OverflowError):
        whole = None
    if whole is None or whole != number:
        raise InputError(f"{name}={number!r}: give a whole number")
    return whole
